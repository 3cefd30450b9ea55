"""A bounded place to work in: so many requests are ranked at once, some wait, and the rest are told to come later.

What is taken in beyond what can be done only waits, and then answers nobody: its client has left. A service that
refuses early keeps answering as many as it can (Google SRE book, "Handling Overload"). Whoever finds no place is
refused at once; who waited too long for its turn, when that comes and before it costs anything.
"""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

from inference.turns import Turns

_Result = TypeVar("_Result")
_SHARE = 0.05  # of the newest piece of work in the mean, by which the time to come back is told


class Overloaded(Exception):  # noqa: N818 - a state of the service, and no error of anybody's
    """There is no place left.

    Attributes:
        retry_after: Whole seconds after which the work that waits now should be done.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class Work:
    """A pool of threads with a bounded queue before it. Used from the event loop alone."""

    def __init__(self, threads: int, queue: int, patience: float = math.inf, turns: int | None = None) -> None:
        """Work in ``threads`` threads and let ``queue`` more pieces of work wait.

        Args:
            threads: Pieces of work under way at once.
            queue: Pieces of work that wait beyond them.
            patience: Seconds that each may wait.
            turns: Of those under way, how many run Python (`inference.turns`); without it all.
        """
        self._patience, self._turns = patience, Turns(turns or threads)
        self._threads, self._queue = threads, queue
        self._pool = ThreadPoolExecutor(threads, "ranking")
        self._taken = 0
        self.allow(threads)
        self._mean = 0.01  # seconds

    @property
    def taken(self) -> int:
        """Pieces of work that are being done or wait."""
        return self._taken

    def allow(self, at_once: int) -> None:
        """Have so many pieces of work under way at once from now on, and no more than there are threads."""
        self._at_once = min(at_once, self._threads)
        self._slots = asyncio.Semaphore(self._at_once)  # who has one of those before keeps it

    def check(self) -> None:
        """Look whether there is a place, before anything is spent on a request.

        Raises:
            Overloaded: There is none.
        """
        if self._taken >= self._at_once + self._queue:
            raise self._overloaded()

    async def do(self, action: Callable[[], _Result]) -> _Result:
        """Return what ``action`` returns, called in a thread.

        Raises:
            Overloaded: There is no place left, or its turn did not come in time.
        """
        self.check()
        self._taken += 1
        try:
            came = monotonic()
            async with self._slots:
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._timed, action, came)
        finally:
            self._taken -= 1

    def close(self) -> None:
        """Let the threads end; what waits is done first."""
        self._pool.shutdown(wait=False)

    def _overloaded(self) -> Overloaded:
        return Overloaded(max(1, math.ceil((1 + self._queue / self._at_once) * self._mean)))

    def _timed(self, action: Callable[[], _Result], came: float) -> _Result:
        with self._turns.turn():
            start = monotonic()
            if start - came > self._patience:
                raise self._overloaded()
            try:
                return action()
            finally:
                self._mean += _SHARE * (monotonic() - start - self._mean)
