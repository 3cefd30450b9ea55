"""What is no HTTP: refused in the same form as everything else, and the service goes on."""

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from inference.http_protocol import HttpProtocol
from tests.support.running_service import Running, running

_LONG = 20 << 20  # bytes, which no buffer of the system holds
_POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n",
        b"GET / HTTPS\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 2_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["TLS", "version", "method", "null", "two lengths", "length and chunks", "endless header", "endless path"],
)
def test_what_is_no_http_is_a_problem_document(service: Running, data: bytes) -> None:
    """400, the connection closes, and the next client is served."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        try:
            connection.sendall(data)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:  # of the endless ones: refused before all of them was sent
            answer = b""
    if answer:
        assert answer.startswith(b"HTTP/1.1 4")
        assert b"application/problem+json" in answer
        assert b"uvicorn" not in answer.lower()
    assert answer or len(data) > 100_000
    assert service.status("/health") == 200


def test_a_request_that_offers_http_2_is_answered_by_http_1(service: Running) -> None:
    """As some clients' first one does (RFC 7540, 3.2); its body is read, and the connection goes on."""
    host, port = service.url.removeprefix("http://").split(":")
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 14\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        for extra in (offer, b"", offer):
            connection.sendall(head + extra + b"\r\n" + b'{"name": "ab"}')
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK"), answer


class Recorder(asyncio.Transport):
    """Remembers what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def recorded(app: ASGIApp, *received: bytes) -> Recorder:
    """Return what was written, within a tenth of a second each, to a connection that received this."""

    async def scenario() -> Recorder:
        config, transport = uvicorn.Config(app, lifespan="off", log_config=None), Recorder()
        protocol = HttpProtocol(config, uvicorn.Server(config).server_state, {})
        protocol.connection_made(transport)
        for data in received:
            protocol.data_received(data)
            await asyncio.sleep(0.1)
        protocol.connection_lost(ConnectionError())
        return transport

    return asyncio.run(scenario())


def test_an_answer_is_sent_as_one_piece() -> None:
    """Head and body in one write, and one for each answer of requests that came together."""
    written = recorded(Response(b"all of it"), _GET + _GET, _GET).written
    assert len(written) == 3
    assert all(data.startswith(b"HTTP/1.1 200") and data.endswith(b"\r\n\r\nall of it") for data in written)


def test_garbage_does_not_get_into_an_answer_that_has_begun() -> None:
    """The connection can only be cut then; after a whole answer it is refused."""

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        await asyncio.sleep(9)

    begun = recorded(endless, _GET, b"\x00 garbage\r\n\r\n")
    assert (b"".join(begun.written).endswith(b"\r\n4\r\nsome\r\n"), begun.aborted) == (True, True)
    whole = recorded(Response(b"all of it"), _GET, b"\x00 garbage\r\n\r\n")
    assert [data[:12] for data in whole.written] == [b"HTTP/1.1 200", b"HTTP/1.1 400"]
    assert (whole.closing, whole.aborted) == (True, False)


def test_a_head_that_never_ends_is_refused_while_it_comes() -> None:
    """Nobody keeps more of it than 64 KB and what came with it."""
    came = recorded(Response(b""), _GET[:-2] + b"X: ", *[b"a" * 30_000] * 3)
    assert [data[:12] for data in came.written] == [b"HTTP/1.1 400"]
    assert came.closing


class Impatient(NamedTuple):
    """A server that waits for a second, and answers at length."""

    address: tuple[str, int]
    connections: Collection[object]


@pytest.fixture(scope="module")
def impatient() -> Iterator[Impatient]:

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await Request(scope, receive).body()
            await Response(bytes(_LONG))(scope, receive, send)
        except ClientDisconnect:
            return

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=HttpProtocol, log_config=None, lifespan="off", timeout_keep_alive=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=[[listener]])
    thread.start()
    yield Impatient(listener.getsockname(), server.server_state.connections)
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(
    "data",
    [b"", _GET[:9], _POST, _POST + b"half", _GET + _GET[:9]],
    ids=["silent", "half a head", "no body", "half a body", "half a second one"],
)
def test_who_never_finishes_a_request_is_not_waited_for(impatient: Impatient, data: bytes) -> None:
    """The connection ends, after an answer to what was whole."""
    with socket.create_connection(impatient.address, timeout=60) as connection:
        connection.sendall(data)
        answer = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == data.startswith(_GET)


def test_a_byte_now_and_then_does_not_hold_a_connection(impatient: Impatient) -> None:
    """The time of a request begins with its first byte, and not with each."""
    with socket.create_connection(impatient.address, timeout=0.2) as connection:
        connection.sendall(_GET[:-2] + b"X: ")
        deadline, ended = time.monotonic() + 60, False
        while not ended and time.monotonic() < deadline:
            try:
                connection.sendall(b"a")
                ended = connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
    assert ended


def test_who_does_not_read_an_answer_is_not_waited_for(impatient: Impatient) -> None:
    """It ends without the rest, once the system's buffers are full for long enough."""
    with socket.create_connection(impatient.address, timeout=60) as connection:
        connection.sendall(_GET)
        read = len(connection.recv(1))
        deadline = time.monotonic() + 60
        while impatient.connections:
            assert time.monotonic() < deadline, "The connection stayed."
            time.sleep(0.02)
        with suppress(ConnectionResetError):
            while data := connection.recv(1 << 20):
                read += len(data)
    assert read < _LONG


def test_connections_beyond_the_files_that_may_be_open_take_the_place_of_others(
    bundle_path: Path, tmp_path: Path
) -> None:
    """Of clients that send nothing the one that waits longest goes; who asks is answered all the time."""
    with running(bundle_path, tmp_path / "log") as service:
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (256, 256))
        host, port = service.url.removeprefix("http://").split(":")
        silent = []
        try:
            for number in range(1, 401):
                silent.append(socket.create_connection((host, int(port)), timeout=30))
                if number % 20 == 0:
                    assert service.status("/health") == 200
            assert silent[0].recv(1) == b""
        finally:
            for one in silent:
                one.close()
        assert service.stop() == 0
        assert not [line for line in service.lines() if line["level"] in ("error", "critical")]
