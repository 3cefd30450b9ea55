"""Starts a stage on several workers by Ray Train: on this machine, or on the cluster that RAY_ADDRESS names.

Every worker is a process that calls the stage with its `Team`. When one is lost, Ray starts all of them again, and the
stage goes on from the checkpoint that it finds, as it would after any other kill.
"""

import re
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch.distributed as dist

from data_processing.dataset import Dataset
from segue.errors import SegueError
from train.lightgcn_training import TrainingSettings
from train.ray_session import session
from train.shared_folder import shared
from train.team import Team

RESTARTS = 3
"""How often lost workers are started again before the stage gives up."""
_PATIENCE = 6 * 3600
"""Seconds that workers wait for each other; while the leader factorises or measures, the others do."""


def run_on_workers(module: str, config: Any, workers: int) -> None:
    """Run a stage on ``workers`` processes.

    Args:
        module: The stage's module, whose ``run`` takes ``team=``.
        config: Its settings, with folders that every worker can reach.
        workers: How many, at least 2.

    Raises:
        SegueError: What the stage raised, or Ray is missing, or workers were lost too often.
    """
    _refuse_early(config)
    with session(f"--workers {workers}", cpus=workers * config.threads) as ray, shared(config) as there:
        threads = ray.threads(workers, config.threads)
        failure = ray.call(lambda: _fit(module, there, workers, threads, ray.variables))
        if failure:
            raise SegueError(failure)
        shutil.rmtree(_checkpoints(there), ignore_errors=True)


def _refuse_early(config: Any) -> None:
    """Say what is wrong with dataset or settings before anything is started."""
    Dataset.open(Path(config.dataset))
    if isinstance(config, TrainingSettings):
        config.checked()


def _checkpoints(config: Any) -> Path:
    return Path(config.output).absolute().with_suffix(".checkpoints")


def _fit(module: str, config: Any, workers: int, threads: int, variables: Mapping[str, str]) -> str:
    """Train where the cluster is, and return why it failed, or ""."""
    ray, torch = (import_module(name) for name in ("ray.train", "ray.train.torch"))
    trainer = torch.TorchTrainer(
        _worker,
        train_loop_config={"module": module, "config": config},
        torch_config=torch.TorchConfig("gloo", timeout_s=_PATIENCE),
        scaling_config=ray.ScalingConfig(num_workers=workers, resources_per_worker={"CPU": threads}),
        run_config=ray.RunConfig(
            name="ray",
            storage_path=str(_checkpoints(config)),
            failure_config=ray.FailureConfig(max_failures=RESTARTS),
            worker_runtime_env={"env_vars": dict(variables)},
            logging_config=ray.LoggingConfig(log_level="ERROR"),
        ),
    )
    try:
        refusal: str | None = trainer.fit().return_value
    except ray.TrainingFailedError as error:
        return failure_of(str(error), f"Training on {workers} workers was begun {RESTARTS + 1} times and")
    return refusal or ""


def failure_of(traceback: str, what: str) -> str:
    """Return one sentence for what workers died of: that of the stage itself, where it raised one."""
    own = re.search(r"^segue\.errors\.\w+: (.+)$", traceback, re.MULTILINE)
    if own:
        return own[1]
    last = traceback.strip().splitlines()[-1]
    return f"{what} failed; the last error was: {last}"


def _worker(task: dict[str, Any]) -> str:
    """Run the stage as one of the team, and return the sentence with which it refused, or "".

    A refusal is no loss: raised, it would be tried again. Who refuses alone leaves the group, so that nobody waits.
    """
    try:
        import_module(task["module"]).run(task["config"], team=Team.present())
    except SegueError as error:
        dist.destroy_process_group()
        return str(error)
    return ""
