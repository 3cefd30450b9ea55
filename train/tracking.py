"""MLflow tracking of a stage: its settings, its metrics by epoch, its plots, and what it was made of."""

import logging
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from train.team import ALONE, Team

EXPERIMENT = "segue"
_RUN: ContextVar[str] = ContextVar("run", default="")
"""The run that a stage is to log to, where it shall not make one of its own."""
Track = Callable[..., None]
"""Called with a mapping of metrics and optionally ``step=``."""


@contextmanager
def stage_run(stage: str, config: Any, dataset_digest: str, team: Team = ALONE) -> Iterator[Track]:
    """Log a stage as an MLflow run and yield the function that logs its metrics.

    The store is MLFLOW_TRACKING_URI; without it MLflow's own default (a SQLite file in the working folder).

    Args:
        stage: The run's name.
        config: The stage's dataclass of settings; all are logged as parameters.
        dataset_digest: Lineage, beside the code's commit and the seed.
        team: Who runs the stage; the leader alone logs.
    """
    if not team.leads:
        yield lambda *_, **__: None
        return
    _experiment()
    given = _RUN.get()
    with mlflow.start_run(run_id=given or None, run_name=None if given else stage, nested=bool(given)) as run:
        mlflow.set_tags({"stage": stage, "dataset": dataset_digest, "commit": code_commit()})
        if not run.data.params:  # a run that is gone on with has them, and they never change
            mlflow.log_params(asdict(config))

        def track(metrics: Mapping[str, float], step: int | None = None) -> None:
            mlflow.log_metrics({name: float(value) for name, value in metrics.items()}, step=step)

        yield track


@contextmanager
def logging_to(run_id: str) -> Iterator[None]:
    """Have a stage that is run inside of the block log to this run; nothing else changes for it."""
    token = _RUN.set(run_id)
    try:
        yield
    finally:
        _RUN.reset(token)


def run_with(tags: Mapping[str, str], name: str, parent: str = "") -> str:
    """Return the id of the run that has these tags; it is made where there is none, so nothing is logged twice.

    Args:
        tags: Names without a dot, and values, which find the run again.
        name: Of a run that is made.
        parent: Id of the run below which that is shown.
    """
    experiment, client = _experiment(), mlflow.MlflowClient()
    if found := runs_with(tags):
        return str(found[0].info.run_id)
    below = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
    made = client.create_run(experiment, tags={**tags, **below, MLFLOW_RUN_NAME: name})
    return str(made.info.run_id)


def runs_with(tags: Mapping[str, str]) -> list[Run]:
    """Return the runs of the experiment that have these tags."""
    wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    return list(mlflow.MlflowClient().search_runs([_experiment()], wanted, max_results=1000))


def _experiment() -> str:
    """Make ours the active experiment, where it is not, and return its id."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return str(mlflow.set_experiment(EXPERIMENT).experiment_id)


def log_plot(figure: Any, name: str) -> None:
    """Keep a matplotlib figure with the current run, as ``name``."""
    mlflow.log_figure(figure, name)


def log_folder(path: Path, name: str) -> None:
    """Keep a folder's files with the current run, under ``name``."""
    mlflow.log_artifacts(str(path), name)


def code_commit() -> str:
    """Return the Git commit that this code stands at, or "" where it is not in a Git checkout."""
    here = Path(__file__).parent
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()
