"""Turns: as many threads run Python as there are cores, and one that is in the library lets another run meanwhile.

Many requests are under way at once, so that they share a pass over the catalogue. Were all their threads to run Python
at the same time, the event loop, which refuses what is too much, would wait for the interpreter behind each of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, local

_mine = local()


class Turns:
    """So many turns to be had at the same time."""

    def __init__(self, count: int) -> None:
        self._free = BoundedSemaphore(count)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and have it."""
        with self._free:
            _mine.free = self._free
            try:
                yield
            finally:
                del _mine.free


@contextmanager
def aside() -> Iterator[None]:
    """Let another thread have this one's turn, where it has one, and wait for a turn again at the end."""
    free: BoundedSemaphore | None = getattr(_mine, "free", None)
    if free is None:
        yield
        return
    free.release()
    try:
        yield
    finally:
        free.acquire()
