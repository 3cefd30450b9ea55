"""The one spelling of a digest: ``sha256:`` and 64 hex digits."""

import re
from typing import Annotated

from pydantic import StringConstraints

from segue.errors import InputError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
Digest = Annotated[str, StringConstraints(pattern=f"^{_DIGEST.pattern}$")]
_SHORT = 12


def is_digest(text: str) -> bool:
    """Return whether ``text`` is a digest."""
    return _DIGEST.fullmatch(text) is not None


def hex_of(digest: str) -> str:
    """Return the 64 hex digits of ``sha256:…``, which may then stand in a path.

    Raises:
        InputError: It is no digest.
    """
    if not is_digest(digest):
        raise InputError(f"{digest!r} is not a digest; one is written sha256: and 64 hex digits.")
    return digest.removeprefix("sha256:")


def short(digest: str) -> str:
    """Return enough of a digest for a person to tell it from others."""
    return digest.removeprefix("sha256:")[:_SHORT]
