"""The id of an answer: says by itself which model gave it, and where, and nobody else can make one.

Feedback comes back with it, to another pod or after a restart, and still counts for the right model, although nothing
was written down when the answer was given. Without the signature anybody could praise or blame a model.
"""

import base64
import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

KEY_BYTES = 32
_RANDOM, _TIME, _DIGEST, _SIGNATURE = 12, 5, 32, 16
_HEAD = _RANDOM + _TIME + _DIGEST
_DIGEST_FORM = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Impression:
    """What an id says.

    Attributes:
        id: The id itself.
        digest: The bundle that answered.
        environment: Where.
        at: When, in whole seconds since 1970.
    """

    id: str
    digest: str
    environment: str
    at: int


class Impressions:
    """Makes ids and reads them."""

    def __init__(self, key: bytes | None = None, now: Callable[[], float] = time.time) -> None:
        """Sign with ``key``, or with a random one that `adopt` replaces."""
        self._keys: tuple[bytes, ...] = (key or os.urandom(KEY_BYTES),)
        self._now = now

    def adopt(self, key: bytes) -> None:
        """Sign with ``key`` from now on; ids of the key before are still read."""
        self._keys = tuple(dict.fromkeys((key, *self._keys)))[:2]

    def new(self, digest: str, environment: str) -> str:
        """Return a new id of an answer by the bundle ``digest`` in ``environment``.

        Raises:
            ValueError: ``digest`` is no digest.
        """
        if not _DIGEST_FORM.fullmatch(digest):
            raise ValueError(f"{digest!r} is not a digest")
        moment = int(self._now()).to_bytes(_TIME, "big")
        told = os.urandom(_RANDOM) + moment + bytes.fromhex(digest[7:]) + environment.encode()
        return _text(told + _sign(self._keys[0], told))

    def read(self, text: str) -> Impression | None:
        """Return what an id says, or None where we did not make it."""
        data = _bytes(text)
        if data is None or len(data) < _HEAD + _SIGNATURE or _text(data) != text:
            return None
        told, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
        if not any(hmac.compare_digest(_sign(key, told), signature) for key in self._keys):
            return None
        moment, digest = told[_RANDOM : _RANDOM + _TIME], told[_RANDOM + _TIME : _HEAD]
        return Impression(text, f"sha256:{digest.hex()}", told[_HEAD:].decode(), int.from_bytes(moment, "big"))


def _sign(key: bytes, told: bytes) -> bytes:
    return hmac.digest(key, told, hashlib.sha256)[:_SIGNATURE]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:  # of which UnicodeEncodeError and binascii.Error are
        return None
