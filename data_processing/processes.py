"""Work on several processes, whose results come in order and do not depend on how many there are."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any, TypeVar

from segue.cpu_limit import cpu_limit
from segue.errors import InputError, SegueError

Item = TypeVar("Item")
Result = TypeVar("Result")


class LostProcessError(SegueError):
    """A working process ended before its work did."""


def cores() -> int:
    """Return how many processes the cores are enough for; a container with a limit sees more than it may use."""
    return max(1, round(cpu_limit()))


def refuse_none(processes: int | None) -> None:
    """Refuse a number of processes that nothing can be done with; None stands for as many as there are cores.

    Raises:
        InputError: It is below 1.
    """
    if processes is not None and processes < 1:
        raise InputError("--processes is a number of processes: at least 1.")


class Work:
    """Calls functions on many items; processes are started when there is something for a second one to do."""

    def __init__(self, processes: int, prepare: Callable[[], object] | None = None) -> None:
        """Work on up to ``processes`` processes, each of which first calls ``prepare``."""
        self._processes, self._prepare = processes, prepare
        self._executor: ProcessPoolExecutor | None = None

    def each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield ``function(item)`` of each item, in order; both must be picklable.

        Raises:
            LostProcessError: A process was killed.
        """
        if self._prepare is None and (len(items) < 2 or self._processes < 2):
            yield from map(function, items)
            return
        try:
            tasks = [self._started().submit(function, item) for item in items]
            for task in tasks:
                yield task.result()
        except BrokenProcessPool as error:
            raise LostProcessError(
                "A working process was killed, most likely for want of memory; run the same command again, with "
                "fewer --processes."
            ) from error

    def end(self) -> None:
        """End the processes; what was not begun is dropped."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:  # spawned, not forked: Arrow and BLAS run threads that a fork would lose
            spawn = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self._processes, spawn, _begin, (self._prepare,))
        return self._executor


@contextmanager
def working(processes: int, prepare: Callable[[], object] | None = None) -> Iterator[Work]:
    """Yield `Work` that ends with the block; if this process is killed, the others end by themselves."""
    work = Work(processes, prepare)
    try:
        yield work
    finally:
        work.end()


def _begin(prepare: Callable[[], object] | None) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - spawned by `Work`
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    if prepare is not None:
        prepare()


def _end_with(parent: Any) -> None:
    wait([parent])
    os._exit(1)
