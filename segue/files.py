"""Files that are written whole or not at all, and their digests."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_CHUNK = 1 << 20


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits, reading it in 1 MiB chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Return the sha256 of bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return JSON with sorted keys and a final newline, so that equal values have equal bytes."""
    return (json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1) + "\n").encode()


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``; as `whole_file`."""
    with whole_file(path) as stream:
        stream.write(data)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream to a temporary sibling that takes the place of ``path`` only when the block ends without an error.

    It is on the disk by then (fsync, rename): readers see old or new, never half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield an empty sibling folder that takes the place of ``path`` only when the block ends without an error.

    An earlier ``path`` stays as it was until then. A crash between the two renames at the very end leaves the
    earlier folder beside it under a name that starts with a dot.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield staging
        staging.chmod(0o755)  # mkdtemp's 0700 would keep other users, such as a serving container's, from reading it
        if path.exists():
            retired = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.replace(retired / path.name)
            staging.replace(path)
            shutil.rmtree(retired, ignore_errors=True)
        else:
            staging.replace(path)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
