"""Who asks: an API key of a file, or a bearer token (`inference.tokens`).

A key is random and long, so one round of SHA-256 is all that its file needs to keep it from whoever reads the file.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segue.errors import InputError, SegueError

LONGEST_NAME = 300
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64})\s+sha256:(?P<digest>[0-9a-f]{64})")
_PREFIX = "segue_"  # so that scanners for leaked secrets can know one


class Refused(Exception):  # noqa: N818 - an answer to a client, and no error of ours
    """The credentials are wrong; nothing more is told."""


class UnverifiableError(SegueError):
    """The provider of tokens cannot be asked now."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who was recognised.

    Attributes:
        name: ``key:<name>`` or ``token:<subject>``.
    """

    name: str


class ApiKeys:
    """Keys of a file: ``name sha256:<hex of the key>`` a line; ``#`` begins a comment."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """Know keys by the hex SHA-256 of each."""
        self._names = dict(names)

    @classmethod
    def read(cls, path: Path) -> "ApiKeys":
        """Return the keys of a file.

        Raises:
            InputError: It cannot be read, or a line of it is no key's.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The API keys at {path} cannot be read ({error}); see SEGUE_API_KEYS.") from error
        names = {}
        for number, line in enumerate(lines, start=1):
            if not (text := line.partition("#")[0].strip()):
                continue
            found = _LINE.fullmatch(text)
            if found is None:
                raise InputError(
                    f"Line {number} of {path} is not `name sha256:<64 hex digits>`; python -m inference key makes one."
                )
            names[found["digest"]] = found["name"]
        return cls(names)

    def recognise(self, secret: str) -> Principal | None:
        """Return whose key this is, None where it is nobody's.

        Looking a hash up tells nothing by its time: nobody can aim at a hash.
        """
        name = self._names.get(hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest())
        return None if name is None else Principal(f"key:{name}")


def new_key(name: str) -> tuple[str, str]:
    """Return a new API key, and the line that the file of keys needs for it.

    Raises:
        InputError: ``name`` cannot stand in the file.
    """
    key = _PREFIX + secrets.token_urlsafe(32)
    line = f"{name} sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    if not _LINE.fullmatch(line):
        raise InputError(f"The name {name!r} has to be 1 to 64 letters, digits, dots, dashes and underscores.")
    return key, line
