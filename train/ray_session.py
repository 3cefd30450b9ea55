"""A session with Ray: one on this machine that nobody else reaches, or the cluster that RAY_ADDRESS names.

Ray is no part of the ordinary training environment. Nothing here runs, and nothing imports Ray, unless several workers
or a search are asked for.
"""

import logging
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from segue.errors import InputError, SegueError

_LOG = logging.getLogger(__name__)
LOCAL = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # elsewhere Ray takes 127.0.0.1 by itself; on Linux this asks for it
    "RAY_AUTH_MODE": "token",
    "RAY_worker_niceness": "0",  # Ray's 15 would have two workers starve where one does not
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # nobody takes this machine away
    "RAY_memory_monitor_refresh_ms": "0",  # what others take of this machine's memory is no reason to kill our workers
    "RAY_agent_register_timeout_ms": "120000",  # a busy machine needs longer than Ray's thirty seconds
}
"""Environment of a session on this machine: loopback only, and a token that is made anew each time."""
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo"}
"""Where gloo listens in such a session."""
ALWAYS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths of settings mean the same in a worker
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "900",  # a busy machine, or a pod that is made anew
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",  # seconds until a lost worker is missed
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow keeps the curves
}
"""Environment of every session; `segue.privacy` has switched Ray's usage reports off."""
_HANDED_ON = ("MLFLOW_TRACKING_URI", "HF_HUB_OFFLINE", "HF_HOME")
_PATIENCE = 600
"""Seconds that a cluster may be away, a head that is made anew, say, before a command gives up."""
_PAUSE = 5.0
"""Seconds between two attempts."""
_STORE = 256 << 20
"""Bytes of shared memory for objects that workers hand to each other; ours hand on files and gradients instead."""


@dataclass(frozen=True)
class Session:
    """What runs on it.

    Attributes:
        cpus: CPUs that Ray counts.
        variables: Environment of the workers.
        call: Calls a function where the cluster is: in this process, or in one on the cluster.
    """

    cpus: int
    variables: Mapping[str, str] = field(default_factory=dict)
    call: Callable[[Callable[[], Any]], Any] = lambda function: function()

    def threads(self, workers: int, wished: int) -> int:
        """Return how many CPUs each of ``workers`` gets: the ``wished``, or for 0 an equal share.

        Raises:
            InputError: There are not as many.
        """
        threads = wished if wished > 0 else max(1, self.cpus // workers)
        if workers * threads > self.cpus:
            raise InputError(
                f"{workers} workers with {threads} threads each need {workers * threads} CPUs, and Ray counts "
                f"{self.cpus}; ask for fewer with --workers or threads=."
            )
        return threads


@contextmanager
def session(purpose: str, cpus: int = 0) -> Iterator[Session]:
    """Yield a session with Ray and end it afterwards; inside of another one, yield that.

    Args:
        purpose: What needs Ray, to begin the sentence that says so.
        cpus: CPUs to count on this machine, where there is no cluster; 0 counts those that there are.

    Raises:
        InputError: Ray is not installed, or the cluster does not answer.
    """
    if find_spec("ray") is None:
        raise InputError(
            f"{purpose} needs Ray, which is not installed; install it with "
            "`pip install --no-deps --require-hashes -r requirements/ray.txt`."
        )
    for name, value in ALWAYS.items():
        os.environ.setdefault(name, value)
    if (ray := sys.modules.get("ray")) and ray.is_initialized():
        yield Session(int(ray.cluster_resources()["CPU"]), _handed_on() | LOOPBACK)
        return
    address = os.environ.get("RAY_ADDRESS", "")
    with _cluster(address) if address else _local(cpus) as found:
        yield found


@contextmanager
def _local(cpus: int) -> Iterator[Session]:
    """Yield a session on this machine, on the loopback interface alone and without a dashboard."""
    token = {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with (
        _environment({**LOCAL, **token}),
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as own,
    ):
        ray: Any = import_module("ray")
        count = cpus or len(os.sched_getaffinity(0))
        ray.init(
            address="local",
            num_cpus=count,
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=_STORE,
            _temp_dir=own,
            logging_level=logging.ERROR,
            logging_config=ray.LoggingConfig(log_level="ERROR"),
        )
        try:
            yield Session(count, _handed_on() | LOOPBACK)
        finally:
            ray.shutdown()


@contextmanager
def _cluster(address: str) -> Iterator[Session]:
    ray: Any = import_module("ray")
    _connect(ray, address)
    try:
        # On the head, which outlives workers.
        head = {"node:__internal_head__": 0.001}
        on_cluster = ray.remote(num_cpus=0, resources=head, max_retries=3)(lambda function: function())
        cpus = int(ray.cluster_resources().get("CPU", 0))
        yield Session(cpus, _handed_on(), lambda function: ray.get(on_cluster.remote(function)))
    except ConnectionError as error:
        raise SegueError(
            f"The Ray cluster at {address} was lost while it trained; give the same command again, and it goes on from "
            "the checkpoint."
        ) from error
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    """Begin a session on a cluster, asking again for a while where nobody answers.

    Raises:
        InputError: Nobody has answered for `_PATIENCE` seconds, or the answer is a refusal.
    """
    quiet = ray.LoggingConfig(log_level="ERROR")
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            ray.init(address=address, logging_level=logging.ERROR, logging_config=quiet)
        except (ConnectionError, RuntimeError, ValueError, ImportError) as error:
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            if isinstance(error, ConnectionError) and time.monotonic() < until:
                _LOG.warning("The Ray cluster at %s does not answer (%s); asking again.", address, reason)
                ray.shutdown()  # what the failed attempt has left
                time.sleep(_PAUSE)
                continue
            raise InputError(
                f"The Ray cluster at {address} (RAY_ADDRESS) cannot be used: {reason} "
                "Check the address, the token in RAY_AUTH_TOKEN, and that both sides have the same Python and Ray."
            ) from error
        return


def _handed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in _HANDED_ON if name in os.environ}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the time of the block; Ray reads them where it starts its processes."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
