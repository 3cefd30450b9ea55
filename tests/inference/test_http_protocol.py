"""What is no HTTP: refused in the same form as everything else, and the service goes on."""

import socket

import pytest

from tests.support.running_service import Running


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
