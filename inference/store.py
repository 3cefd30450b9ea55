"""Read objects of an S3 store with the standard library: a serving image needs one kind of request, not an SDK.

Requests are signed by AWS Signature Version 4
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html), in path style, which every S3 service
understands.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from segue.errors import NO_ANSWER, InputError, SegueError

_NO_BODY = hashlib.sha256(b"").hexdigest()
_TIMEOUT = 60  # seconds without a byte
_PIECE = 1 << 20  # bytes


class StoreError(SegueError):
    """The object store cannot be reached, refuses, or does not hold what was asked for."""


@dataclass(frozen=True, slots=True)
class Key:
    """Who asks: the access key of S3, with a session's token where it has one."""

    id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    region: str = "us-east-1"


class Store:
    """Objects of one bucket below a prefix."""

    def __init__(self, address: str, endpoint: str, key: Key) -> None:
        """Name it; nothing is read yet.

        Args:
            address: ``s3://bucket/prefix``.
            endpoint: Address of the S3 service; "" for Amazon's own.
            key: Who asks.

        Raises:
            InputError: The address or the endpoint is none.
        """
        parts, service = urlsplit(address), urlsplit(endpoint or f"https://s3.{key.region}.amazonaws.com")
        if parts.scheme != "s3" or not parts.netloc:
            raise InputError(f"The object store {address!r} is not s3://bucket/prefix; set SEGUE_STORE.")
        if service.scheme not in ("http", "https") or not service.netloc:
            raise InputError(f"The S3 service {endpoint!r} is not an http address; set SEGUE_S3_ENDPOINT.")
        self.address = address.rstrip("/")
        self._service = f"{service.scheme}://{service.netloc}"
        self._root = "/".join(["", parts.netloc, *filter(None, [parts.path.strip("/")])])
        self._key = key

    def read(self, name: str) -> bytes:
        """Return the bytes of an object.

        Raises:
            StoreError: There is none, or the store does not answer as it should.
        """
        return b"".join(self._pieces(name))

    def find(self, name: str) -> bytes | None:
        """Return the bytes of an object, or None where there is none.

        Amazon says 403 and not 404 to who may read and not list; so that counts as none, too.

        Raises:
            StoreError: The store does not answer as it should.
        """
        try:
            return self.read(name)
        except StoreError as error:
            if isinstance(error.__cause__, HTTPError) and error.__cause__.code in (403, 404):
                return None
            raise

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object to a file, in pieces.

        Raises:
            StoreError: There is none, or the store does not answer as it should.
        """
        with target.open("wb") as file:
            for piece in self._pieces(name):
                file.write(piece)

    def _pieces(self, name: str) -> Iterator[bytes]:
        url = f"{self._service}{quote(f'{self._root}/{name}')}"
        request = Request(url, headers=dict(signed_headers(url, self._key, datetime.now(UTC))))  # noqa: S310 - http(s) alone
        try:
            with urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                while piece := answer.read(_PIECE):
                    yield piece
                if answer.length:
                    raise IncompleteRead(b"", answer.length)  # reading in pieces, the library does not say so itself
        except HTTPError as error:
            raise StoreError(self._refusal(name, error.code)) from error
        except NO_ANSWER as error:
            reason = getattr(error, "reason", error)
            raise StoreError(
                f"The object store {self.address} at {self._service} cannot be reached or breaks off ({reason}); "
                "check SEGUE_S3_ENDPOINT."
            ) from error

    def _refusal(self, name: str, status: int) -> str:
        if status == 404:
            return f"The object store {self.address} has no {name}; publish the bundle with: segue publish --help"
        return (
            f"The object store {self.address} refuses {name} (status {status}); "
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may read."
        )


def signed_headers(url: str, key: Key, now: datetime) -> Mapping[str, str]:
    """Return the headers that make a GET of ``url`` one of ``key``'s owner; ``now`` is in UTC."""
    parts, stamp, day = urlsplit(url), f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
    headers = {"host": parts.netloc, "x-amz-content-sha256": _NO_BODY, "x-amz-date": stamp}
    if key.token:
        headers["x-amz-security-token"] = key.token
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = "\n".join(["GET", parts.path, parts.query, lines, names, _NO_BODY])
    scope = f"{day}/{key.region}/s3/aws4_request"
    wanted = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    secret = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        secret = _hmac(secret, part)
    signature = _hmac(secret, wanted).hex()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _hmac(secret: bytes, text: str) -> bytes:
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()
