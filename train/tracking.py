"""MLflow tracking of a stage: its settings, its metrics by epoch, its plots, and what it was made of."""

import logging
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow

from train.team import ALONE, Team

EXPERIMENT = "segue"
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
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=stage):
        mlflow.set_tags({"stage": stage, "dataset": dataset_digest, "commit": code_commit()})
        mlflow.log_params(asdict(config))

        def track(metrics: Mapping[str, float], step: int | None = None) -> None:
            mlflow.log_metrics({name: float(value) for name, value in metrics.items()}, step=step)

        yield track


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
