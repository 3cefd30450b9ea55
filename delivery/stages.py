"""The stages from playlists to a verdict, run by DVC in the work folder: what changed, and nothing else."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from delivery.code import ROOT, code_digests
from segue.errors import InputError, SegueError
from segue.files import write_whole

PIPELINE = Path(__file__).parent / "pipeline"
_NOISE = ("> ", "Updating lock file", "Generating lock file", "Use `dvc push`", "To track", "Data and pipelines are up")
_GRACE_SECONDS = 20
Say = Callable[[str], None]


class StageError(SegueError):
    """A stage failed; those before it stand."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run is made of.

    Attributes:
        playlists: Files or folders to read; none for a generated sample.
        seed: Of every stage.
        profile: Of `PIPELINE`/profiles.yaml, or ``auto``.
        sample: How many playlists are made up where none are given.
        ingest: Further options of stage ingest, by name, with the files among them.
        margin: NDCG that may be lost to what runs today; 0 asks the candidate to be better.
        links: Where the report's dataset, commit and run lead, as `evaluation` takes it.
        pipeline: The description of the stages.
    """

    playlists: tuple[Path, ...] = ()
    seed: int = 0
    profile: str = "auto"
    sample: int = 3000
    ingest: Sequence[tuple[str, str | Path]] = ()
    margin: float = 0.0
    links: Mapping[str, str] = field(default_factory=dict)
    pipeline: Path = PIPELINE / "dvc.yaml"


class Stages:
    """The DVC project of a work folder."""

    def __init__(self, home: Path, inputs: Inputs, environment: Mapping[str, str], say: Say) -> None:
        """Name it; nothing is written yet.

        Args:
            home: The work folder.
            inputs: What to run on.
            environment: Variables for the stages, on top of those of this process.
            say: Told what happens, a line at a time.
        """
        self._home = home
        self._inputs = inputs
        self._environment = {**os.environ, **_environment(home), **environment}
        self._say = say

    def run(self, target: str, gate: Sequence[str] = (), alone: bool = False, keep_open: Sequence[int] = ()) -> None:
        """Bring a stage and all before it up to date.

        Args:
            target: The stage.
            alone: Leave those before it as they are.
            gate: Options of stage gate.
            keep_open: File descriptors that the stages inherit: a lock is then held until the last of them ended.

        Raises:
            StageError: A stage failed.
        """
        self._prepare(gate)
        only = ["--single-item"] if alone else []
        command = [sys.executable, "-m", "dvc", "repro", *only, target]
        with subprocess.Popen(  # noqa: S603
            command, cwd=self._home, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True, errors="replace", process_group=0, pass_fds=tuple(keep_open),
        ) as process:  # fmt: skip
            try:
                stage = self._follow(process)
                code = process.wait()
            except BaseException:
                _end(process)
                raise
        if code:
            raise StageError(
                f"The stage {stage or target} failed; its own message stands above. Mend that and call this again: "
                "what is finished is kept."
            )

    def _follow(self, process: "subprocess.Popen[str]") -> str:
        """Tell each stage's begin, output and end; return the last one that was begun."""
        stage, begun = "", 0.0
        for line in process.stdout or ():
            name = _between(line, "Running stage '", "':")
            if stage and (name or line.startswith(("Updating lock", "Generating lock"))):
                self._say(f"   {stage} took {_duration(time.monotonic() - begun)}")
                stage = ""
            if name:
                stage, begun = name, time.monotonic()
                self._say(f"── {stage}")
            elif unchanged := _between(line, "Stage '", "' didn't change"):
                self._say(f"── {unchanged} stands, nothing changed")
            elif line.strip() and not line.startswith(_NOISE):
                self._say(f"   {line.rstrip()}")
        return stage

    def _prepare(self, gate: Sequence[str]) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        if not (self._home / ".dvc" / "config").is_file():
            self._init()
        _write_yaml(self._home / "params.yaml", self._params(gate))
        _write_yaml(self._home / "dvc.yaml", self._pipeline())

    def _init(self) -> None:
        command = [sys.executable, "-m", "dvc", "init", "--no-scm", "--force", "--quiet"]
        done = subprocess.run(command, cwd=self._home, env=self._environment, capture_output=True, text=True)  # noqa: S603
        if done.returncode:
            raise StageError(f"DVC cannot work in {self._home}: {' '.join(done.stderr.split())}")

    def _params(self, gate: Sequence[str]) -> dict[str, Any]:
        inputs = self._inputs
        paths = [str(path) for path in inputs.playlists] or ["data"]
        links = {"dataset": "../dataset/validation.html", **inputs.links}  # beside the report's folder
        options = [part for name, value in inputs.ingest for part in (f"--{name}", str(value))]
        return {
            "playlists": shlex.join(paths),
            "ingest": shlex.join(options),
            "seed": inputs.seed,
            "sample": {"playlists": inputs.sample},
            "train": profile(inputs.profile, own=bool(inputs.playlists)),
            "margin": inputs.margin,
            "links": shlex.join(part for name, to in links.items() for part in ("--link", f"{name}={to}")),
            "gate": shlex.join(gate),
            "code": code_digests(),
        }

    def _pipeline(self) -> dict[str, Any]:
        """Return the description of the stages, reading one's own playlists where there are some."""
        pipeline: dict[str, Any] = yaml.safe_load(self._inputs.pipeline.read_text())
        stages = pipeline["stages"]
        files = [str(value) for _, value in self._inputs.ingest if isinstance(value, Path)]
        if self._inputs.playlists:
            stages.pop("sample", None)
            stages["ingest"]["deps"] = [str(path) for path in self._inputs.playlists]
        stages["ingest"]["deps"] += files
        return pipeline


def profile(name: str, own: bool) -> dict[str, str]:
    """Return what a profile adds to each training stage; ``auto`` fits ``own`` playlists or the generated sample.

    Raises:
        InputError: There is no such profile.
    """
    profiles: dict[str, dict[str, str]] = yaml.safe_load((PIPELINE / "profiles.yaml").read_text())
    wanted = name if name != "auto" else "full" if own else "sample"
    if wanted not in profiles:
        raise InputError(f"There is no profile {name!r}; there are auto, {', '.join(profiles)}.")
    return profiles[wanted]


def _environment(home: Path) -> dict[str, str]:
    """Return what makes `python` this Python with this code, and DVC keep to the work folder."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        "SHELL": "/bin/sh",  # DVC runs commands in the user's shell, and not every shell knows $?
        "DVC_SITE_CACHE_DIR": str(home / ".dvc" / "site"),
        "DVC_NO_ANALYTICS": "1",
        "MLFLOW_LOGGING_LEVEL": os.environ.get("MLFLOW_LOGGING_LEVEL", "ERROR"),
    }


def _write_yaml(path: Path, value: Any) -> None:
    data = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000).encode()
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)


def _end(process: "subprocess.Popen[str]") -> None:
    """End DVC and the stage that it runs, kindly first: a stage then removes its half-written files."""
    for sign, seconds in ((signal.SIGINT, _GRACE_SECONDS), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, sign)
            process.wait(seconds)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _between(line: str, before: str, after: str) -> str:
    start, _, rest = line.partition(before)
    return rest.partition(after)[0] if not start.strip() and after in rest else ""


def _duration(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes} min {left} s" if minutes else f"{left} s"
