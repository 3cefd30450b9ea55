"""Reads files part by part, on several processes, and keeps each part, so that a killed run need not read it again.

A part's file is named for all that it is made from: the bytes of its sources, the options and this program. So a part
that is there is the right one, and resuming is no special case.
"""

import gc
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from data_processing.collect import Collector
from data_processing.gathered import Gathered
from data_processing.processes import Work
from data_processing.readers.open_file import Progress, silent, unreadable
from data_processing.rejections import Rejections
from data_processing.sources import TABLES, Source, read_source
from segue.files import canonical_json, sha256_bytes, sha256_file

_BYTES = 1 << 22  # of files, as they lie on disk, that a part has at least: folders hold thousands of small playlists
_CODE = ("data_processing", "data_processing.readers", "segue")

Batch = tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read.

    Attributes:
        folder: Where parts are kept.
        columns: Field to column name, for tables.
        strict: Whether the first invalid entry ends it.
    """

    folder: Path
    columns: Mapping[str, str]
    strict: bool


def read_parts(
    sources: Sequence[Source], reading: Reading, work: Work, progress: Progress = silent
) -> Iterator[Gathered]:
    """Yield the parts of all sources, in reading order.

    Raises:
        InputError: A file cannot be read, or holds something invalid and the reading is strict; of several such files
            the first one is told.
        LostProcessError: A process was killed; the parts that are done stay.
        OSError: A part cannot be written or read.
    """
    reading.folder.mkdir(parents=True, exist_ok=True)
    cut = batches(sources)
    for batch, path in zip(cut, work.each(partial(read_part, reading=reading), cut), strict=True):
        yield Gathered.load(path)
        progress(sum(source.path.stat().st_size for source in batch))


def batches(sources: Sequence[Source]) -> list[Batch]:
    """Cut sources into parts, whatever the number of processes. Tables under one path stay together.

    A playlist may begin in one of them and go on in another, and no playlist may stand in two parts.
    """
    together = {source.group for source in sources if source.format in TABLES}
    cut: list[Batch] = []
    size, group = 0, 0
    for source in sources:
        if cut and (source.group == group if {source.group, group} & together else size < _BYTES):
            cut[-1] += (source,)
        else:
            cut.append((source,))
            size = 0
        size, group = size + _size(source.path), source.group
    return cut


def read_part(batch: Batch, reading: Reading) -> Path:
    """Read some sources, unless that was done before; return the part's file."""
    vouched = {source.name: _vouch(source.path) for source in batch}
    path = reading.folder / _name(batch, vouched, reading)
    if not path.exists():
        gc.disable()  # nothing here makes cycles; looking for them among millions of words takes long
        try:
            _read(batch, vouched, reading).save(path)
        finally:
            gc.enable()
    return path


def _read(batch: Batch, vouched: Mapping[str, Any], reading: Reading) -> Gathered:
    collector, synthetic = Collector(Rejections(reading.strict)), False

    def on_info(info: Mapping[str, Any]) -> None:
        nonlocal synthetic
        synthetic = synthetic or info.get("synthetic") is True

    for source in batch:
        for playlist in read_source(source, reading.columns, on_info):
            collector.add(playlist)
    return collector.gathered(synthetic, vouched)


def _vouch(path: Path) -> dict[str, Any]:
    try:
        return {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    except OSError as error:
        raise unreadable(path, error) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error


def _name(batch: Batch, vouched: Mapping[str, Any], reading: Reading) -> str:
    made_from = {
        "code": _code(),
        "columns": dict(reading.columns),
        "strict": reading.strict,
        "sources": [[source.name, source.format, vouched[source.name]] for source in batch],
    }
    return f"{sha256_bytes(canonical_json(made_from))}.arrow"


@cache
def _code() -> str:
    """Return the sha256 of the modules that parts are made by: another version of Segue reads anew."""
    digest = hashlib.sha256(json.dumps(_CODE).encode())
    for package in _CODE:
        for module in sorted(files(package).iterdir(), key=lambda file: file.name):
            if module.name.endswith(".py"):
                digest.update(module.read_bytes())
    return digest.hexdigest()
