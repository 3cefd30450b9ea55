"""Rows of a CSV or Parquet table, one batch in memory at a time."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from data_processing.readers.open_file import Progress, first_bytes, open_file, silent
from segue.errors import InputError

_DELIMITERS = ",;\t|"
_HEADER_BYTES = 1 << 16
_BATCH_ROWS = 1 << 14
_LONGEST_FIELD = 1 << 24  # lyrics are longer than the csv module's 128 KiB; a stray quote must still not eat the file
_PARQUET_MAGIC = b"PAR1"
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Rows:
    """An open table.

    Attributes:
        columns: Its column names.
        values: Its rows, each as long as ``columns``: text from CSV, typed values from Parquet, "" or None for nothing.
    """

    columns: Sequence[str]
    values: Iterator[Sequence[Any]]


@contextmanager
def open_rows(path: Path, progress: Progress = silent) -> Iterator[Rows]:
    """Yield the rows of a table: Parquet by its first bytes, anything else is read as CSV, plain or gzipped.

    Raises:
        InputError: The table cannot be read, is damaged, or has no header.
    """
    if first_bytes(path, 4) == _PARQUET_MAGIC:
        yield _parquet(path, progress)
    else:
        with open_file(path, progress) as stream:
            yield _csv(stream, path)


def _parquet(path: Path, progress: Progress) -> Rows:
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is a truncated or damaged Parquet file ({error}); fetch it again.") from error
    return Rows(file.schema_arrow.names, _parquet_rows(file, path, progress))


def _parquet_rows(file: pq.ParquetFile, path: Path, progress: Progress) -> Iterator[Sequence[Any]]:
    share = path.stat().st_size / max(file.metadata.num_rows, 1)
    try:
        for batch in file.iter_batches(_BATCH_ROWS):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
            progress(round(batch.num_rows * share))
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is a truncated or damaged Parquet file ({error}); fetch it again.") from error


def _csv(stream: BinaryIO, path: Path) -> Rows:
    """Read CSV in UTF-8 or UTF-16; other bytes become lone surrogates, and are found in the entry that has them."""
    head = stream.read(_HEADER_BYTES)
    encoding = next((name for mark, name in _BOMS if head.startswith(mark)), "utf-8")
    joined = io.BufferedReader(_Joined(head, stream))
    text = io.TextIOWrapper(
        joined, encoding, errors="surrogateescape" if encoding != "utf-16" else "replace", newline=""
    )
    first = head.decode(encoding, "replace").partition("\n")[0]
    reader = csv.reader(text, delimiter=delimiter(first))
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        columns = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InputError(f"{path} is no CSV ({error}); the first line must name the columns.") from error
    if not any(columns):
        raise InputError(f"{path} is empty; the first line of a CSV must name its columns.")
    return Rows(columns, _csv_rows(reader, len(columns), path))


def _csv_rows(reader: Any, width: int, path: Path) -> Iterator[Sequence[str]]:
    try:
        for row in reader:
            if row:
                yield row if len(row) == width else [*row, *[""] * (width - len(row))][:width]
    except csv.Error as error:
        raise InputError(f"Line {reader.line_num} of {path} is no CSV ({error}); look for a stray quote.") from error


def delimiter(header: str) -> str:
    """Return the sign that parts a CSV's columns: of comma, semicolon, tab and bar the most frequent in the header."""
    outside = "".join(header.split('"')[::2])
    return max(_DELIMITERS, key=outside.count)


class _Joined(io.RawIOBase):
    """The bytes that were looked at, then the rest of the stream."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)
