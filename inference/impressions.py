"""The id of an answer: says by itself which model gave it, and where, and nobody else can make one.

Feedback comes back with it, to another pod or after a restart, and still counts for the right model, although nothing
was written down when the answer was given. Without the signature anybody could praise or blame a model.

Each process signs with a key of its own, and an id names its key; `inference.feedback` keeps the keys of all, so that
whoever shares the database reads what any of them signed. docs/decisions/0012-a-key-for-each-process.md says why.
"""

import base64
import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

_KEY_BYTES = 32
_RANDOM, _KEY_ID, _TIME, _DIGEST, _SIGNATURE = 12, 8, 5, 32, 16
_TIME_AT = _RANDOM + _KEY_ID
_DIGEST_AT = _TIME_AT + _TIME
_HEAD = _DIGEST_AT + _DIGEST
_DIGEST_FORM = re.compile(r"sha256:[0-9a-f]{64}")
_PATIENCE = 86_400  # seconds for which the key of an answer may still turn up


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


@dataclass(frozen=True, slots=True)
class Key:
    """What one process signs with.

    Attributes:
        secret: Known to whoever may sign and read ids.
        made: When, in whole seconds since 1970.
    """

    secret: bytes
    made: int

    @classmethod
    def new(cls, now: float) -> "Key":
        """Return a random key that is made ``now``, in seconds since 1970."""
        return cls(os.urandom(_KEY_BYTES), int(now))

    @property
    def id(self) -> str:
        """Its name, 16 hexadecimal digits, which tells nothing of the secret."""
        return hashlib.sha256(self.secret).hexdigest()[: 2 * _KEY_ID]


class Impressions:
    """Makes ids and reads them."""

    def __init__(self, key: Key | None = None, now: Callable[[], float] = time.time) -> None:
        """Sign with ``key``, or with a new one; ids of other keys are read once they are learnt."""
        self.key = key or Key.new(now())
        self._secrets = {self.key.id: self.key.secret}
        self._now = now

    def learn(self, key: Key) -> None:
        """Read ids of ``key``, too."""
        self._secrets[key.id] = key.secret

    def new(self, digest: str, environment: str) -> str:
        """Return a new id of an answer by the bundle ``digest`` in ``environment``.

        Raises:
            ValueError: ``digest`` is no digest.
        """
        if not _DIGEST_FORM.fullmatch(digest):
            raise ValueError(f"{digest!r} is not a digest")
        moment = int(self._now()).to_bytes(_TIME, "big")
        head = os.urandom(_RANDOM) + bytes.fromhex(self.key.id) + moment + bytes.fromhex(digest[7:])
        told = head + environment.encode()
        return _text(told + _sign(self.key.secret, told))

    def read(self, text: str) -> Impression | None:
        """Return what an id says, or None where no key that is known here made it."""
        data = _bytes(text)
        secret = self._secrets.get(_key_id(data)) if data else None
        if data is None or secret is None:
            return None
        told, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
        if not hmac.compare_digest(_sign(secret, told), signature):
            return None
        return Impression(text, f"sha256:{told[_DIGEST_AT:_HEAD].hex()}", told[_HEAD:].decode(), _moment(data))

    def missing_key(self, text: str) -> str | None:
        """Return the id of the key without which ``text`` can neither be read nor called forged; None where it can."""
        data = _bytes(text)
        return None if data is None or _key_id(data) in self._secrets else _key_id(data)

    def may_turn_out_true(self, text: str) -> bool:
        """Return whether ``text`` may be read later: its key is not known, and it is said to be at most a day old.

        The limit is for keys that nobody can lay down any more, as of a pod that ended while the database was away:
        who asks about its answers is told to come again for a day, and not for ever.
        """
        data = _bytes(text)
        return data is not None and bool(self.missing_key(text)) and abs(self._now() - _moment(data)) < _PATIENCE


def _sign(secret: bytes, told: bytes) -> bytes:
    return hmac.digest(secret, told, hashlib.sha256)[:_SIGNATURE]


def _key_id(data: bytes) -> str:
    return data[_RANDOM:_TIME_AT].hex()


def _moment(data: bytes) -> int:
    return int.from_bytes(data[_TIME_AT:_DIGEST_AT], "big")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    """Return the bytes that an id is spelled from, or None where it has not the form of one."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:  # of which UnicodeEncodeError and binascii.Error are
        return None
    return data if len(data) >= _HEAD + _SIGNATURE and _text(data) == text else None
