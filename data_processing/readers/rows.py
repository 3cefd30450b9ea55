"""Rows of a CSV or Parquet table, one batch in memory at a time."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

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
        with path.open("rb") as raw:
            zipped = raw.read(len(_PARQUET_MAGIC)) != _PARQUET_MAGIC
        if zipped:
            raise InputError(f"{path} is gzipped Parquet, which is read from its end; unpack it first.")
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    return Rows(file.schema_arrow.names, _parquet_rows(file, path, progress))


def _parquet_rows(file: pq.ParquetFile, path: Path, progress: Progress) -> Iterator[Sequence[Any]]:
    share = path.stat().st_size / max(file.metadata.num_rows, 1)
    try:
        for batch in file.iter_batches(_BATCH_ROWS):
            yield from zip(*(_values(batch, number, path) for number in range(batch.num_columns)), strict=True)
            progress(round(batch.num_rows * share))
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _values(batch: pa.RecordBatch, number: int, path: Path) -> list[Any]:
    """Return a column's values; not all that Parquet can hold can be held by Python."""
    try:
        return list(batch.column(number).to_pylist())
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"The column {batch.schema.names[number]!r} of {path} holds text that is no UTF-8, or a date beyond the "
            f"year 9999 ({error}); mend it, or write the table without it."
        ) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is a truncated or damaged Parquet file ({error}); fetch it again.")


def _csv(stream: BinaryIO, path: Path) -> Rows:
    """Read CSV in UTF-8 or UTF-16; other bytes become lone surrogates, and are found in the entry that has them."""
    head = stream.read(_HEADER_BYTES)
    encoding = next((name for mark, name in _BOMS if head.startswith(mark)), "utf-8")
    joined = io.BufferedReader(_Joined(head, stream))
    text = io.TextIOWrapper(
        joined, encoding, errors="surrogateescape" if encoding != "utf-16" else "replace", newline=""
    )
    first = head.decode(encoding, "replace").partition("\n")[0]
    csv.field_size_limit(_LONGEST_FIELD)
    rows = _csv_rows(text, delimiter(first), path)
    columns = [name.strip() for name in next(rows, [])]
    if not any(columns):
        raise InputError(f"{path} is empty; the first line of a CSV must name its columns.")
    width = len(columns)
    return Rows(columns, (row if len(row) == width else [*row, *[""] * (width - len(row))][:width] for row in rows))


def _csv_rows(text: TextIO, sign: str, path: Path) -> Iterator[list[str]]:
    """Yield the rows that are not empty.

    A quote that nobody closes, or that another row's quote closes, has eaten the rows between. Within one line it is
    harmless: databases write names such as "Heroes" - 2017 Remaster without quoting them.
    """
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=sign, strict=True)
    ended = 0  # the line in which the row before ended
    while True:
        try:
            for row in reader:
                ended = reader.line_num
                if row:
                    yield row
            return
        except csv.Error as error:
            if reader.line_num > ended + 1:
                raise _no_csv(ended + 1, path, error) from error
            ended = reader.line_num
            yield _leniently(lines.last, sign, ended, path)


def _leniently(line: str, sign: str, number: int, path: Path) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=sign))
    except csv.Error as error:
        raise _no_csv(number, path, error) from error


def _no_csv(line: int, path: Path, error: csv.Error) -> InputError:
    return InputError(
        f"The row of {path} that begins in line {line} is no CSV ({error}); look for a stray quote there: a quote "
        "inside quotes is written twice."
    )


class _Lines:
    """The lines of a text, the last of which can be read again."""

    def __init__(self, text: TextIO) -> None:
        self._text, self.last = text, ""

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self.last = line
            yield line


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
