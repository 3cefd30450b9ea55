"""What is no HTTP: refused in the same form as everything else, and the service goes on."""

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
from starlette.types import Receive, Scope, Send

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
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
    ids=["TLS", "version", "null", "two lengths", "endless header"],
)
def test_what_is_no_http_is_a_problem_document(service: Running, data: bytes) -> None:
    """400, the connection closes, and the next client is served."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        try:
            connection.sendall(data)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:  # of the endless header: refused before all of it was sent
            answer = b""
    if answer:
        assert answer.startswith(b"HTTP/1.1 4")
        assert b"application/problem+json" in answer
        assert b"uvicorn" not in answer.lower()
    assert answer or len(data) > 100_000
    assert service.status("/health") == 200


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
