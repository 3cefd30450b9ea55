"""Runs a command and measures it: seconds, CPU seconds and the memory of all its processes together."""

import resource
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

_EVERY = 0.5  # seconds; reading the map of a process costs it some milliseconds


@dataclass(frozen=True, slots=True)
class Measured:
    """What a command took.

    Attributes:
        code: Its exit code.
        seconds: Of the wall.
        cpu_seconds: Of all its processes, user and system.
        peak_mb: Most memory of all its processes at one time, in 10^6 bytes: proportional set size, which counts pages
            that several share once.
    """

    code: int
    seconds: float
    cpu_seconds: float
    peak_mb: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures, rounded."""
        return {name: round(value, 2) for name, value in asdict(self).items()}


def measure(command: Sequence[str], folder: Path | None = None) -> Measured:
    """Run a command to its end, in a folder or where we are, and return what it took; its output goes with ours."""
    before, start = _cpu(), perf_counter()
    process = subprocess.Popen(command, cwd=folder)  # noqa: S603 - a benchmark's own command
    ended, peak = threading.Event(), [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, ended, peak))
    watcher.start()
    code = process.wait()
    seconds = perf_counter() - start
    ended.set()
    watcher.join()
    return Measured(code, seconds, _cpu() - before, peak[0] / 1e6)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(pid: int, ended: threading.Event, peak: list[int]) -> None:
    while not ended.wait(_EVERY):
        peak[0] = max(peak[0], _memory(pid))


def _memory(pid: int) -> int:
    """Return the proportional set size of a process and all below it, in bytes; 0 where it has just ended."""
    total = 0
    try:
        first = psutil.Process(pid)
        family = [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total
