"""Opening what a person named: plain or gzipped, with every way to fail said in one sentence."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from tqdm.utils import CallbackIOWrapper

from segue.errors import InputError

Progress = Callable[[int], object]
"""Called with the number of bytes just read from disk."""
_GZIP_MAGIC = b"\x1f\x8b"


def silent(_: object) -> None:
    """Show no progress."""


@contextmanager
def open_file(path: Path, progress: Progress = silent) -> Iterator[BinaryIO]:
    """Yield the file's bytes, decompressed if it is gzip, which its first bytes tell and not its name.

    Raises:
        InputError: The file cannot be read, or is a damaged or truncated gzip.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.peek(2)[:2] == _GZIP_MAGIC
            counted = cast(BinaryIO, CallbackIOWrapper(progress, raw, "read"))
            if zipped:
                with gzip.GzipFile(fileobj=counted) as stream:
                    yield cast(BinaryIO, stream)
            else:
                yield counted
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is a truncated or damaged gzip file ({error}); fetch it again.") from error
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error that says why a file cannot be read."""
    return InputError(f"{path} cannot be read ({error.strerror or error}); check the path and its rights.")


def first_bytes(path: Path, size: int) -> bytes:
    """Return the first ``size`` decompressed bytes of a file, fewer if it is shorter."""
    with open_file(path) as stream:
        return stream.read(size)
