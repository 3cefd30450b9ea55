"""A search in MLflow: a run of its own, and below it a run for each trial, which is the one that the stage logs to."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow

from segue.files import write_whole
from train.search_space import words_of
from train.search_trials import Trial
from train.tracking import code_commit, run_with, runs_with

FIGURE = "validation_ndcg"
"""The metric by which trials are compared."""
_FILES = ("trials.csv", "search.png", "best.txt")


@dataclass(frozen=True)
class SearchRun:
    """Where a search stands in MLflow.

    Attributes:
        search: What its runs are found by again, as the tag ``search``.
        run: Id of its own run.
    """

    search: str
    run: str

    def trial(self, name: str, trial: Trial) -> str:
        """Return the id of a trial's run, which is made at most once.

        Args:
            name: What the trial is remembered under.
            trial: Number and settings of a run that is made.
        """
        return run_with(self._tags(name), f"trial {trial.number}", self.run)

    def finish(self, name: str, trial: Trial) -> None:
        """Log a finished trial's figure, unless that is done; without the stage's curves where those went elsewhere."""
        client, run_id = mlflow.MlflowClient(), self.trial(name, trial)
        run = client.get_run(run_id)
        if trial.ndcg is not None and FIGURE not in run.data.metrics:
            client.log_metric(run_id, FIGURE, trial.ndcg, step=0)
            client.set_tag(run_id, "drawn", " ".join(words_of(trial.settings)))
        if run.info.status != "FINISHED":
            client.set_terminated(run_id)

    def results(self, ranked: Sequence[tuple[str, Trial]], folder: Path) -> None:
        """Log what a search has come to, the best trial marked by the tag ``best``.

        Args:
            ranked: Finished trials with what they are remembered under, the best first.
            folder: With the table, the plot and the settings of the best.
        """
        client = mlflow.MlflowClient()
        logged = {metric.step for metric in client.get_metric_history(self.run, FIGURE)}
        for name, trial in sorted(ranked, key=lambda each: each[1].number):
            self.finish(name, trial)
            if trial.number not in logged:
                client.log_metric(self.run, FIGURE, trial.ndcg or 0.0, step=trial.number)
        client.log_metric(self.run, f"best_{FIGURE}", ranked[0][1].ndcg or 0.0, step=len(ranked))
        client.set_tag(self.run, "best_trial", str(ranked[0][1].number))
        self._mark(self.trial(*ranked[0]))
        for file in _FILES:
            client.log_artifact(self.run, str(folder / file))

    def _mark(self, best: str) -> None:
        client = mlflow.MlflowClient()
        for run in runs_with({"search": self.search, "best": "true"}):
            if run.info.run_id != best:
                client.delete_tag(run.info.run_id, "best")
        client.set_tag(best, "best", "true")

    def _tags(self, name: str) -> dict[str, str]:
        return {"search": self.search, "trial": name}


@contextmanager
def search_run(folder: Path, config: Any, dataset_digest: str) -> Iterator[SearchRun]:
    """Begin a search's run, or go on with it, and yield where it stands.

    Args:
        folder: The search's output, which keeps what its runs are found by.
        config: Its dataclass of settings; all but ``trials``, which may grow, are logged as parameters.
        dataset_digest: Lineage, beside the code's commit.
    """
    search = _mark_of(folder)
    run_id = run_with({"search": search, "stage": "search"}, f"search {config.stage}")
    with mlflow.start_run(run_id=run_id) as run:
        mlflow.set_tags({"dataset": dataset_digest, "commit": code_commit()})
        if not run.data.params:
            mlflow.log_params({name: value for name, value in asdict(config).items() if name != "trials"})
        yield SearchRun(search, run_id)


def _mark_of(folder: Path) -> str:
    file = folder / "mlflow.txt"
    if not file.exists():
        write_whole(file, f"{secrets.token_hex(8)}\n".encode())
    return file.read_text().strip()
