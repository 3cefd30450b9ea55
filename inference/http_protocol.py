"""HTTP/1.1 as uvicorn reads it, but that what is no HTTP is refused by a problem document, and nobody waits for ever.

Uvicorn itself gives up on a connection only between two requests. One that sends nothing, or half of a request, would
stay as long as its client likes, and a thousand of them take every file that the process may open.
"""

import asyncio
import resource
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from inference.problems import problem

_REFUSAL = problem(HTTPStatus.BAD_REQUEST, "This is no HTTP/1.1 request.", headers={"Connection": "close"})
_MOST_OPEN = 4096
"""Connections, or half of the files that the process may open: the other half is for those that come in one moment."""


class HttpProtocol(H11Protocol):
    """One connection; it ends where the client makes us wait for longer than uvicorn's ``timeout_keep_alive``.

    That is the time to the first byte of a request, from there to its last one, and to take a long answer.
    """

    _deadline: asyncio.TimerHandle | None = None
    """Ends the connection; None while it is us who are waited for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, and give up on another client's where too many wait."""
        super().connection_made(transport)
        self._wait()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if len(self.connections) > min(_MOST_OPEN, soft // 2):
            waiting = [one for one in self.connections if isinstance(one, HttpProtocol) and one._deadline is not None]
            min(waiting, key=HttpProtocol._ends).give_up()

    def data_received(self, data: bytes) -> None:
        """Read on; where a request begins with it, its time does."""
        lacked = self._lacks_a_request()
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._wait()
        super().data_received(data)
        if lacked and not self._lacks_a_request():
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of one that was answered before it was whole."""
        super().on_response_complete()
        if self._lacks_a_request():
            self._wait()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        """Go on answering."""
        super().resume_writing()
        if not self._lacks_a_request():
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Close without a word, and without waiting for a client that does not read."""
        self._stop_waiting()
        self.connections.discard(self)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read; no application is asked, so that no middleware sees it either."""
        refusal = h11.Response(status_code=_REFUSAL.status_code, headers=_REFUSAL.raw_headers, reason=b"Bad Request")
        for event in (refusal, h11.Data(data=bytes(_REFUSAL.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _lacks_a_request(self) -> bool:
        """Return whether the client has to send something, the first or the last byte of a request."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _ends(self) -> float:
        return self._deadline.when() if self._deadline else float("inf")

    def _wait(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self.give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
