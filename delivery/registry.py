"""The registry of published bundles: the port, and MLflow behind it.

MLflow takes seconds to import, so its adapter does that when it is first asked, and not before.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from segue.errors import SegueError

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "segue"
EXPERIMENT = "segue"
_RUN = "publish"
_PARENT = "mlflow.parentRunId"
_SQLITE = "sqlite:///"


class RegistryError(SegueError):
    """The registry cannot be reached, or does not know what was asked for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is registered of a bundle.

    Attributes:
        digest: The bundle's digest.
        report: Digest of the report that judged it.
        verdict: That report's verdict.
        dataset: Digest of the dataset it learned from.
        source: Where the bundle is kept.
    """

    digest: str
    report: str
    verdict: str
    dataset: str
    source: str


@dataclass(frozen=True, slots=True)
class Version:
    """An entry and the number that the registry gave it."""

    number: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is kept with a version for people to look at.

    Attributes:
        parameters: Lineage: dataset, commit, seed and the like.
        metrics: ``model/slice/metric`` to its value.
        files: Reports to attach.
        note: Markdown with what belongs together.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Sequence[Path] = ()
    note: str = ""


class Registry(Protocol):
    """The port. Versions are only ever added; a bundle judged anew is a new version."""

    def register(self, entry: Entry, evidence: Evidence) -> Version:
        """Add a version."""
        ...

    def find(self, digest: str) -> Version | None:
        """Return the newest version of a bundle, or None."""
        ...

    def get(self, number: int) -> Version | None:
        """Return a version by its number, or None."""
        ...

    def newest(self) -> Version | None:
        """Return the version that was registered last, or None."""
        ...

    def measured(self, number: int, name: str, evidence: Evidence) -> None:
        """Keep what was measured of a version that is registered, under a name of what was done."""
        ...

    def mark(self, environment: str, number: int) -> None:
        """Say that a version stands in an environment."""
        ...

    def marked(self, environment: str) -> int | None:
        """Return the version that stands in an environment as far as the registry knows, or None."""
        ...


class MlflowRegistry:
    """MLflow's model registry: versions of the model ``segue``, tagged, with an alias an environment."""

    def __init__(self, address: str, artifacts: str = "") -> None:
        """Name it; nothing is read yet.

        Args:
            address: Tracking URI, of a server or ``sqlite:///…``.
            artifacts: Folder for the files of runs; "" leaves it to the server.
        """
        self._address = address
        self._artifacts = artifacts
        # MLflow reads these when it is first imported.
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # 7 by default: minutes before it gives up

    def prepare(self) -> None:
        """Make the experiment that training and publishing log to, so that its files stand where they should."""
        with self._answers():
            self._experiment()

    def register(self, entry: Entry, evidence: Evidence) -> Version:
        """Log a run with the evidence, then add the version that points to it."""
        from mlflow.exceptions import MlflowException

        with self._answers():
            run = self._run(entry, evidence)
            try:
                self._client.create_registered_model(MODEL)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            made = self._client.create_model_version(MODEL, entry.source, run, tags=_tags(entry))
            return _version(made)

    def find(self, digest: str) -> Version | None:
        """Search by tag."""
        return self._first(f"name = '{MODEL}' and tags.digest = '{digest}'")

    def newest(self) -> Version | None:
        """Search all."""
        return self._first(f"name = '{MODEL}'")

    def get(self, number: int) -> Version | None:
        """Ask for the number."""
        with self._answers():
            found = self._known(lambda: self._client.get_model_version(MODEL, str(number)))
            return _version(found) if found else None

    def measured(self, number: int, name: str, evidence: Evidence) -> None:
        """Log a run below the version's own."""
        with self._answers():
            version = self._client.get_model_version(MODEL, str(number))
            tags = {"version": str(number), "digest": version.tags.get("digest", ""), _PARENT: str(version.run_id)}
            made = self._client.create_run(self._experiment(), run_name=name, tags=tags)
            run = str(made.info.run_id)
            self._client.set_tag(run, "mlflow.note.content", evidence.note)
            self._log_numbers(run, evidence)
            self._client.set_terminated(run)

    def mark(self, environment: str, number: int) -> None:
        """Set the alias."""
        with self._answers():
            self._client.set_registered_model_alias(MODEL, environment, str(number))

    def marked(self, environment: str) -> int | None:
        """Read the alias."""
        with self._answers():
            found = self._known(lambda: self._client.get_model_version_by_alias(MODEL, environment))
            return int(found.version) if found else None

    @cached_property
    def _client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        file = Path(self._address.removeprefix(_SQLITE))
        if self._address.startswith(_SQLITE) and not file.exists():
            _make_database(file)
        return MlflowClient(self._address, self._address)

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        if known := self._client.get_experiment_by_name(EXPERIMENT):
            return str(known.experiment_id)
        try:
            return str(self._client.create_experiment(EXPERIMENT, self._artifacts or None))
        except MlflowException:  # somebody else was quicker
            known = self._client.get_experiment_by_name(EXPERIMENT)
            if known is None:
                raise
            return str(known.experiment_id)

    def _run(self, entry: Entry, evidence: Evidence) -> str:
        """Return the run with the evidence, the one that was begun where publishing was cut off."""
        experiment = self._experiment()
        wanted = f"tags.digest = '{entry.digest}' and tags.report = '{entry.report}'"
        begun = self._client.search_runs([experiment], wanted, max_results=1)
        run = begun[0] if begun else self._client.create_run(experiment, run_name=_RUN, tags=_tags(entry))
        number = str(run.info.run_id)
        self._client.set_tag(number, "mlflow.note.content", evidence.note)
        self._log_numbers(number, evidence)
        for file in evidence.files:
            self._client.log_artifact(number, str(file))
        self._client.set_terminated(number)
        return number

    def _log_numbers(self, run: str, evidence: Evidence) -> None:
        from mlflow.entities import Metric, Param

        begun = int(self._client.get_run(run).info.start_time)  # logged again, a metric is the same metric
        metrics = [Metric(name, value, begun, 0) for name, value in evidence.metrics.items()]
        parameters = [Param(name, value) for name, value in evidence.parameters.items()]
        self._client.log_batch(run, metrics, parameters)

    def _first(self, wanted: str) -> Version | None:
        with self._answers():
            found = self._client.search_model_versions(wanted, max_results=1, order_by=["version_number DESC"])
            return _version(found[0]) if found else None

    def _known(self, ask: Any) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return ask()
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None

    @contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except RegistryError:
            raise
        except Exception as error:  # MLflow lets those of its database and of its web client through
            if type(error).__module__.partition(".")[0] not in ("mlflow", "sqlalchemy", "requests", "urllib3"):
                raise
            reason = " ".join(str(error).split())[:300]
            raise RegistryError(
                f"The registry {self._address} does not answer as it should ({reason}); check MLFLOW_TRACKING_URI."
            ) from error


def _make_database(file: Path) -> None:
    """Make MLflow's tables beside their place first: that takes ten seconds, and half of them would be of no use."""
    from mlflow import MlflowClient

    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
        made = Path(folder) / file.name
        MlflowClient(f"{_SQLITE}{made}").get_experiment_by_name(EXPERIMENT)
        with suppress(FileExistsError):  # somebody else was quicker
            file.hardlink_to(made)


def _tags(entry: Entry) -> dict[str, str]:
    return {"digest": entry.digest, "report": entry.report, "verdict": entry.verdict, "dataset": entry.dataset}


def _version(found: Any) -> Version:
    try:
        tags = found.tags
        entry = Entry(tags["digest"], tags["report"], tags["verdict"], tags["dataset"], found.source)
        return Version(int(found.version), entry)
    except KeyError as error:
        raise RegistryError(
            f"The version {found.version} of the model {MODEL} lacks the tag {error}; it was not made by segue publish."
        ) from error
