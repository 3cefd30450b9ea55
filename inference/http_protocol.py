"""HTTP/1.1 as uvicorn reads it, but that what is no HTTP is refused by a problem document, and nobody waits for ever.

Uvicorn itself gives up on a connection only between two requests. One that sends nothing, or half of a request, would
stay as long as its client likes, and a thousand of them take every file that the process may open. And it would read a
head of any length.

It is httptools that parses, nodejs's parser in C: with h11, in Python, a refusal took twice as long, and a service that
has too much to do does little else.
"""

import asyncio
import resource
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from inference.problems import problem

_MOST_OPEN = 4096
"""Connections, or half of the files that the process may open: the other half is for those that come in one moment."""
_LONGEST_HEAD = 1 << 16  # bytes


def _written(status: HTTPStatus, detail: str) -> bytes:
    answer = problem(status, detail, headers={"Connection": "close"})
    headers = (name + b": " + value + b"\r\n" for name, value in answer.raw_headers)
    return b"".join([STATUS_LINE[status], *headers, b"\r\n", answer.body])


_REFUSAL = _written(HTTPStatus.BAD_REQUEST, "This is no HTTP/1.1 request of a known method.")


class HttpProtocol(HttpToolsProtocol):
    """One connection; it ends where the client makes us wait for longer than uvicorn's ``timeout_keep_alive``.

    That is the time to the first byte of a request, from there to its last one, and to take a long answer.
    """

    _sender: "_Sender"
    _deadline: float | None = None
    """When the connection ends; None while it is us who are waited for."""
    _timer: asyncio.TimerHandle | None = None
    """Looks whether that has come. There is one at a time: to put another in its place at each turn costs more."""
    _head: int | None = None
    """Bytes of a head that is not whole yet."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, and give up on another client's where too many wait."""
        self._sender = _Sender(transport, self.loop)
        super().connection_made(cast(asyncio.Transport, self._sender))
        self._wait()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if len(self.connections) > min(_MOST_OPEN, soft // 2):
            waiting = [one for one in self.connections if isinstance(one, HttpProtocol) and one._deadline is not None]
            min(waiting, key=lambda one: one._deadline or 0.0).give_up()

    def data_received(self, data: bytes) -> None:
        """Read on, unless a head goes on and on."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offered:
            self._decline(data[offered.args[0] :])
            return
        except httptools.HttpParserError:
            self.send_400_response("")
        if self._head is not None and not self.transport.is_closing():
            self._head += len(data)
            if self._head > _LONGEST_HEAD:
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin with a request: its time does."""
        super().on_message_begin()
        self._head = 0
        if self._lacks_a_request():
            self._wait()

    def on_headers_complete(self) -> None:
        """Begin to answer, or to read again, where another protocol is offered."""
        self._head = None
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait no more: it is us who are waited for."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        if not self._lacks_a_request():
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of one that was answered before it was whole."""
        self._sender.flush()
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
        self._let_go()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Close without a word, and without waiting for a client that does not read."""
        self._let_go()
        self.connections.discard(self)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read; no application is asked, so that no middleware sees it either.

        Where an answer has begun, nothing can be said any more: the connection ends without the rest of it.
        """
        newest = self._newest
        if newest is not None and newest.response_started and not newest.response_complete:
            self.give_up()
            return
        self.transport.write(_REFUSAL)
        self.transport.close()

    def _decline(self, rest: bytes) -> None:
        """Read a request again without its offer of another protocol: the parser takes its body for that one's.

        Java's client offers HTTP/2 with its first request (RFC 7540, 3.2); a server may ignore it.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("")
            return
        headers = [name + b": " + value + b"\r\n" for name, value in self.headers if name != b"upgrade"]
        head = b"%s %s HTTP/1.1\r\n%s\r\n" % (method, self.url, b"".join(headers))
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    @property
    def _newest(self) -> RequestResponseCycle | None:
        return cast(RequestResponseCycle | None, self.cycle)  # uvicorn's type has none before the first request

    def _lacks_a_request(self) -> bool:
        """Return whether the client has to send something, the first or the last byte of a request."""
        if self.pipeline:  # the one that is answered is whole, or none would have come after it
            return False
        newest = self._newest
        return newest is None or newest.response_complete or newest.more_body

    def _wait(self) -> None:
        self._deadline = self.loop.time() + self.timeout_keep_alive
        if self._timer is None:
            self._timer = self.loop.call_at(self._deadline, self._look)

    def _stop_waiting(self) -> None:
        self._deadline = None

    def _let_go(self) -> None:
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self.loop.time()
        if self._deadline is not None and self._deadline <= now:
            self.give_up()
        else:  # nobody began to wait so early that it would be noticed late
            self._timer = self.loop.call_at(self._deadline or now + self.timeout_keep_alive, self._look)


class _Sender:
    """A transport that sends the parts of an answer together.

    Uvicorn writes an answer's head and its body one after the other. Each would be a call of the system and a packet of
    its own, and wake the client up for itself.
    """

    _MOST = 1 << 16  # bytes that wait; what is longer is the transport's to hold back

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Send it with what comes in the same step of the event loop."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._MOST:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            self._transport.write(data)

    def close(self) -> None:
        """Close, once all is sent."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
