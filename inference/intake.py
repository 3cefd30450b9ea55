"""The way of feedback to the database: what comes at the same time is committed together, and acknowledged after it.

A commit waits for the disk, some milliseconds each. One thread that takes whatever has gathered meanwhile makes a
thousand events a second of a hundred commits, and no request waits for more than two of them.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

from inference.feedback import Batch, FeedbackError, FeedbackStore, Kept, database_address
from inference.impressions import Impressions
from inference.work import Overloaded
from segue.errors import SegueError

MOST_WAITING = 1000
MOST_TOGETHER = 200
_MOST_ASKING = 100  # requests that wait to hear of a key; one question takes a millisecond
_BEAT_SECONDS = 5.0
_LOG = logging.getLogger("segue.feedback")


class Intake:
    """Takes batches of feedback in. Used from the event loop alone.

    Attributes:
        store: The database, once it is open.
    """

    def __init__(self, url: str, impressions: Impressions, on_ready: Callable[[bool], None]) -> None:
        """Keep feedback at ``url``; ``on_ready`` is told whether that is possible now.

        Raises:
            InputError: ``url`` names no database that can be used here, now or later.
        """
        database_address(url)
        self.store: FeedbackStore | None = None
        self._url, self._impressions, self._on_ready = url, impressions, on_ready
        self._waiting: list[tuple[Batch, asyncio.Future[Kept]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._asking, self._one_asks = 0, asyncio.Lock()
        self._reason = ""

    async def open(self) -> bool:
        """Open the database, unless it is, and lay this process's key down in it; return whether that went well."""
        try:
            store = await asyncio.to_thread(self._opened, self.store)
        except SegueError as error:
            if str(error) != self._reason:  # and not again every few seconds
                _LOG.warning("feedback cannot be kept", extra={"reason": str(error)})
            self._reason = str(error)
            self._on_ready(False)
            return False
        if self.store is not None and self.store is not store:  # an attempt that took long came through after all
            store.close()
        else:
            self.store = store
        self._reason = ""
        self._on_ready(True)
        return True

    async def keep_open(self) -> None:
        """Open again every few seconds, until cancelled.

        The database may start later than the service, and one that was restored from a backup lacks newer keys.
        Each time is a write, so that a disk that is full is told while nobody sends feedback, and that it is mended.
        """
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            await self.open()

    async def learn(self, keys: Collection[str]) -> None:
        """Ask the database for keys that others laid down there; those that nobody did stay unknown.

        One question at a time: made-up ids must not take the connections that feedback is written by.

        Raises:
            FeedbackError: The database cannot be used now.
            Overloaded: Too many ask already.
        """
        if self.store is None:
            raise FeedbackError("The database of feedback is not open.")
        if self._asking >= _MOST_ASKING:
            raise Overloaded(1)
        self._asking += 1
        try:
            async with self._one_asks:
                for key in await asyncio.to_thread(self.store.keys, keys):
                    self._impressions.learn(key)
        finally:
            self._asking -= 1

    async def take(self, batch: Batch) -> Kept:
        """Return what became of a batch, once it is durable.

        Raises:
            FeedbackError: The database cannot be used now.
            Overloaded: Too much waits already.
        """
        if self.store is None:
            raise FeedbackError("The database of feedback is not open.")
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded(1)
        done: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._waiting.append((batch, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(self.store))
        return await done

    async def close(self) -> None:
        """Write what waits and close the database."""
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)
        if self.store is not None:
            self.store.close()

    def _opened(self, store: FeedbackStore | None) -> FeedbackStore:
        """Return ``store``, or the database newly opened, with our key in it."""
        opened = store or FeedbackStore.open(self._url)
        try:
            opened.lay_down(self._impressions.key)
        except BaseException:
            if store is None:
                opened.close()
            raise
        return opened

    async def _write(self, store: FeedbackStore) -> None:
        while self._waiting:
            together, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
            batches = [batch for batch, _ in together]
            try:
                kept = await asyncio.to_thread(store.keep, batches)
            except FeedbackError as error:
                _LOG.warning("feedback was not kept", extra={"reason": str(error), "batches": len(batches)})
                self._tell(together, error)
            except BaseException as error:
                self._tell(together, FeedbackError("The database of feedback failed."))
                if not isinstance(error, Exception):
                    raise
                _LOG.exception("feedback was not kept")
            else:
                self._on_ready(True)
                for (_, done), result in zip(together, kept, strict=True):
                    if not done.done():
                        done.set_result(result)

    def _tell(self, together: list[tuple[Batch, "asyncio.Future[Kept]"]], error: FeedbackError) -> None:
        self._on_ready(False)
        for _, done in together:
            if not done.done():
                done.set_exception(error)
