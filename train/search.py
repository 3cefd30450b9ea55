"""Stage ``search``: tries settings of a stage and ranks them by the stage's own validation NDCG.

Optuna's TPE says what to try next, and Ray Tune makes the trials. A trial is remembered under the digest of its
settings, and what is tried next follows from the seed and the trials that are known. So a search that was stopped, or
is asked for more trials, goes on where it was: finished trials are read and told to TPE, and one that was cut off goes
on from its stage's own checkpoint.
"""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlflow
from omegaconf import OmegaConf
from tqdm import tqdm

from data_processing.dataset import Dataset
from segue.errors import InputError, SegueError
from train.lightgcn_training import TrainingSettings
from train.ray_session import Session, session
from train.search_results import ranked, write_results
from train.search_space import Point, Space, Value, fitted, space_of, words_of
from train.search_tracking import SearchRun, search_run
from train.search_trials import Trial, Trials
from train.tracking import logging_to
from train.workers import failure_of

MODULES = {"lightgcn": "lightgcn_stage", "llara": "llara"}
"""Stages whose settings can be searched, and where they are."""
_OWN = ("dataset", "output", "seed", "threads")
"""Settings of a stage that the search sets itself."""


@dataclass(frozen=True)
class Config:
    """Settings of the search; ``train/conf/search.yaml`` explains each."""

    dataset: str
    output: str
    stage: str
    settings: list[str]
    space: list[str]
    trials: int
    at_once: int
    at_random: int
    seed: int
    threads: int


@dataclass(frozen=True)
class Search:
    """A search whose settings make sense.

    Attributes:
        config: Its settings.
        space: What is drawn for each setting of the stage.
        first: The stage's own defaults of those, which are the first trial.
        trials: What is known of trials.
    """

    config: Config
    space: Space
    first: dict[str, Value]
    trials: Trials

    @classmethod
    def of(cls, config: Config) -> "Search":
        """Return the search that the settings ask for.

        Raises:
            InputError: A setting makes no sense, or the stage has no such setting or cannot take such a value.
            DatasetError: There is no dataset.
        """
        _checked(config)
        dataset = Dataset.open(Path(config.dataset))
        space = space_of(config.space)
        first = _defaults(config, space)
        space = fitted(space, first)
        for name, drawn in space.items():
            for value in drawn.ends():
                stage_settings(config, {**first, name: value})
        identity = (dataset.digest, config.stage, config.settings, config.seed)
        return cls(config, space, first, Trials(Path(config.output).absolute() / "trials", identity))

    def known(self) -> list[Trial]:
        """Return the trials of the same settings so far, finished or not, in the order in which they were drawn."""
        return [trial for trial in self.trials.known() if set(trial.settings) == set(self.space)]

    def next(self, busy: Sequence[Trial]) -> Trial | None:
        """Return the trial to make next while those of ``busy`` are being made, or None where nothing is left."""
        from train.search_draws import next_trial

        known = {trial.number: trial for trial in [*busy, *self.known()]}  # a worker may not have written its own yet
        in_order = [known[number] for number in sorted(known)]
        numbers = {trial.number for trial in busy}
        return next_trial(self.space, self.first, in_order, self.config.seed, self.config.at_random, numbers)


def run(config: Config) -> None:
    """Write ``trials.csv``, ``search.png`` and ``best.txt`` to ``config.output``, and log all of it to MLflow.

    Raises:
        InputError: There is nothing to search, Ray or Optuna is missing, or a setting is not the stage's.
        SegueError: What a trial died of; the others are kept.
    """
    search, failure = Search.of(config), ""
    output = Path(config.output).absolute()
    left = config.trials - len(ranked(search.known()))
    digest = Dataset.open(Path(config.dataset)).digest
    with _session(left) as ray:
        if ray and ray.cpus < config.threads:  # Tune would wait for them for ever
            raise InputError(f"A trial with threads={config.threads} finds {ray.cpus} CPUs; set threads={ray.cpus}.")
        with search_run(output, config, digest) as book:
            if ray:
                variables = {**ray.variables, "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
                failure = ray.call(lambda: _tune(search, left, book, variables))
            if best_first := ranked(search.known()):
                write_results(output, best_first, search.space)
                book.results([(search.trials.name(trial.settings), trial) for trial in best_first], output)
            if failure:
                raise SegueError(failure)


def make(search: Search, trial: Trial, book: SearchRun) -> Trial:
    """Return the trial finished: trained, or gone on with from its stage's checkpoint, and written down.

    Raises:
        SegueError: The stage refuses the settings.
    """
    known = search.trials.find(trial.settings)
    if known and known.ndcg is not None:
        return known
    search.trials.keep(trial)
    folder, name = search.trials.workplace(trial.settings), search.trials.name(trial.settings)
    with logging_to(book.trial(name, trial)):
        if not (folder / "metrics.json").exists():
            import_module(f"train.{MODULES[search.config.stage]}").run(
                stage_settings(search.config, trial.settings, folder)
            )
    ndcg, seconds = figures(json.loads((folder / "metrics.json").read_text()))
    finished = replace(trial, ndcg=ndcg, seconds=seconds)
    search.trials.keep(finished)
    shutil.rmtree(folder)
    book.finish(name, finished)
    return finished


def figures(metrics: Any) -> tuple[float, float]:
    """Return the validation NDCG and the seconds of a stage's ``metrics.json``; 0 seconds where it tells none.

    A training whose figure is no number has come to nothing: its NDCG is 0.
    """
    if isinstance(metrics, dict):
        ndcg, seconds = float(metrics["ndcg"]), float(metrics["seconds"])
    else:
        values = [float(value) for name, value in metrics[-1].items() if name.startswith("ndcg_")]
        ndcg, seconds = sum(values) / len(values), 0.0
    return ndcg if math.isfinite(ndcg) else 0.0, seconds


def stage_settings(config: Config, point: Point, output: Path = Path("trial")) -> Any:
    """Return the stage's settings for a point.

    Raises:
        InputError: The stage has no such setting, or cannot take the value.
    """
    from train.__main__ import load_config

    own = [f"dataset={config.dataset}", f"output={output}", f"seed={config.seed}", f"threads={config.threads}"]
    settings = load_config(config.stage, [*config.settings, *words_of(point), *own])
    return settings.checked() if isinstance(settings, TrainingSettings) else settings


def _checked(config: Config) -> None:
    if config.stage not in MODULES:
        names = " or stage=".join(MODULES)
        raise InputError(f"The settings of {config.stage!r} cannot be searched; set stage={names}.")
    for name, least in {"trials": 1, "at_once": 1, "at_random": 1, "threads": 1, "seed": 0}.items():
        if getattr(config, name) < least:
            raise InputError(f"A search's {name} is {least} or more, and not {getattr(config, name)}; set {name}=.")
    for word in config.settings:
        if (name := _name(word)) in _OWN:
            raise InputError(f"The search sets {name} of a trial itself; leave {word!r} out of settings=.")


def _name(word: str) -> str:
    return word.split("=")[0].lstrip("+~")


def _defaults(config: Config, space: Space) -> dict[str, Value]:
    """Return the stage's own settings of what is searched.

    Raises:
        InputError: The stage has no such setting, or it is not one to search.
    """
    try:
        stage = OmegaConf.to_container(OmegaConf.structured(stage_settings(config, {})))
    except InputError as error:
        raise InputError(f"A trial would have no settings to begin with; hand them on by settings=. {error}") from error
    first: dict[str, Value] = {}
    for name in space:
        if name in _OWN or name in map(_name, config.settings):
            raise InputError(f"{name} is set for all trials alike, and cannot be searched too; leave it out of space=.")
        value = stage
        for part in name.split("."):
            value = value.get(part, {}) if isinstance(value, dict) else {}
        if isinstance(value, dict | list):
            raise InputError(
                f"Stage {config.stage} has no setting {name!r} to search; train/conf/{config.stage}.yaml names all."
            )
        first[name] = value
    return first


def _session(left: int) -> AbstractContextManager[Session | None]:
    """Return a session with Ray, or none where no trial is left to make."""
    if left <= 0:
        return nullcontext()
    if find_spec("ray") and not find_spec("optuna"):
        raise InputError(
            "A search needs Optuna, which is not installed; install it with "
            "`pip install --no-deps --require-hashes -r requirements/ray.txt`."
        )
    return session("A search")


def _tune(search: Search, left: int, book: SearchRun, variables: Mapping[str, str]) -> str:
    """Make trials where the cluster is, and return why one failed, or ""."""
    tune: Any = import_module("ray.tune")
    config = search.config
    trainable = tune.with_parameters(_trial, search=search, book=book, variables=variables)
    with tempfile.TemporaryDirectory(prefix="tune-") as books:
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"CPU": config.threads}),
            tune_config=tune.TuneConfig(
                metric="ndcg",
                mode="max",
                num_samples=left,
                max_concurrent_trials=config.at_once,
                search_alg=_searcher(search),
                reuse_actors=True,  # a process that has torch already begins its next trial at once
            ),
            run_config=tune.RunConfig(
                name="search", storage_path=books, verbose=0, failure_config=tune.FailureConfig(max_failures=2)
            ),
        )
        results = tuner.fit()
        errors = [failure_of(str(error), "A trial of the search") for error in results.errors]
        refusals = [result.metrics["refusal"] for result in results if (result.metrics or {}).get("refusal")]
    return next(iter([*refusals, *errors]), "")


def _searcher(search: Search) -> Any:
    """Return what tells Tune which trial is next."""
    base: Any = import_module("ray.tune.search").Searcher

    class Draws(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(metric="ndcg", mode="max")
            self.made: dict[str, Trial] = {}
            self.busy: dict[int, Trial] = {}
            self.refused = False

        def suggest(self, trial_id: str) -> Any:
            trial = None if self.refused else search.next(list(self.busy.values()))
            if trial is None:
                return base.FINISHED
            self.made[trial_id] = self.busy[trial.number] = trial
            return {"trial": asdict(trial)}

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            trial, result = self.made[trial_id], result or {}
            self.refused = self.refused or bool(result.get("refusal"))
            if error or self.refused:
                return  # it stays busy, so that this session does not begin it again
            del self.busy[trial.number]
            tqdm.write(f"trial {trial.number}: ndcg {result['ndcg']:.4f}  {' '.join(words_of(trial.settings))}")

        def save(self, checkpoint_path: str) -> None:
            """Write nothing: all that is known stands in the trials' own files."""

        def restore(self, checkpoint_path: str) -> None:
            """Read nothing."""

    return Draws()


def _trial(given: Mapping[str, Any], search: Search, book: SearchRun, variables: Mapping[str, str]) -> None:
    """Make a trial on a worker. A refusal is reported and not raised: raised, it would be tried again."""
    os.environ.update(variables)
    try:
        told = {"ndcg": make(search, Trial(**given["trial"]), book).ndcg, "refusal": ""}
    except SegueError as error:
        told = {"ndcg": 0.0, "refusal": str(error)}
    import_module("ray.tune").report(told)
