"""The way of feedback to the database: what comes at the same time is committed together, and acknowledged after it.

A commit waits for the disk, some milliseconds each. One thread that takes whatever has gathered meanwhile makes a
thousand events a second of a hundred commits, and no request waits for more than two of them.
"""

import asyncio
import logging
from collections.abc import Callable

from inference.feedback import Batch, FeedbackError, FeedbackStore, Kept
from inference.impressions import Impressions
from inference.work import Overloaded
from segue.errors import SegueError

MOST_WAITING = 1000
MOST_TOGETHER = 200
_RETRY_SECONDS = 5.0
_LOG = logging.getLogger("segue.feedback")


class Intake:
    """Takes batches of feedback in. Used from the event loop alone.

    Attributes:
        store: The database, once it is open.
    """

    def __init__(self, url: str, impressions: Impressions, on_ready: Callable[[bool], None]) -> None:
        """Keep feedback at ``url``; ``on_ready`` is told whether that is possible now."""
        self.store: FeedbackStore | None = None
        self._url, self._impressions, self._on_ready = url, impressions, on_ready
        self._waiting: list[tuple[Batch, asyncio.Future[Kept]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._reason = ""

    async def open(self) -> bool:
        """Open the database and take over its signing key; return whether that went well."""
        try:
            store = await asyncio.to_thread(FeedbackStore.open, self._url)
            self._impressions.adopt(await asyncio.to_thread(store.signing_key))
        except SegueError as error:
            if str(error) != self._reason:  # and not again every few seconds
                _LOG.warning("feedback cannot be kept", extra={"reason": str(error)})
            self._reason = str(error)
            self._on_ready(False)
            return False
        if self.store is None:
            self.store = store
        else:  # an attempt that took long came through after all
            store.close()
        self._on_ready(True)
        return True

    async def keep_open(self) -> None:
        """Try again until the database is open: it may start later than the service."""
        while self.store is None:
            await asyncio.sleep(_RETRY_SECONDS)
            await self.open()

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
