"""Which files to read, and as what: the formats that people bring, told apart by name and by their first bytes."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from data_processing.readers.exportify import is_exportify, read_exportify
from data_processing.readers.jspf import read_jspf
from data_processing.readers.mpd import OnInfo, read_mpd
from data_processing.readers.open_file import Progress, first_bytes, silent
from data_processing.readers.rows import open_rows
from data_processing.readers.table import read_table
from data_processing.records import RawPlaylist
from segue.errors import InputError

FORMATS = ("mpd", "csv", "parquet", "exportify", "jspf")
TABLES = ("csv", "parquet")
"""Formats whose playlists need not stand in one file."""
_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "mpd": (".json",),
    "csv": (".csv", ".tsv", ".txt"),
    "parquet": (".parquet",),
    "exportify": (".csv",),
    "jspf": (".jspf", ".json"),
}
_ANY = tuple(dict.fromkeys(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes if suffix != ".txt"))
_SLICE = re.compile(r"mpd\.slice\..*\.json(\.gz)?", re.IGNORECASE)
_MPD_SHAPE = re.compile(rb'"playlists"\s*:\s*\[')
_JSPF_SHAPE = re.compile(rb'"playlist"\s*:\s*\{')
_PEEK = 1 << 16


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read.

    Attributes:
        path: The file.
        name: Its name in the manifest and in messages; unique, and relative to what the person named.
        format: One of `FORMATS`.
        group: Number of the path that the person named; tables under one path share their playlists' identifiers.
    """

    path: Path
    name: str
    format: str
    group: int


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to read.

    Attributes:
        sources: The files to read, in reading order.
        left_out: Names of what lies beside them and is not read: files of other kinds, folders behind links.
    """

    sources: tuple[Source, ...]
    left_out: tuple[str, ...]


def find_sources(paths: Sequence[Path], form: str = "auto") -> Found:
    """Return the files to read under ``paths``; in a folder with ``mpd.slice.*`` files only those.

    Raises:
        InputError: A path does not exist, a folder holds nothing of the format, or a file has none that is known.
    """
    sources: dict[str, Source] = {}
    left_out: list[str] = []
    for group, path in enumerate(paths, start=1):
        files, beside = _files(path, form)
        for file in files:
            name = _shown(file.relative_to(path)) if path.is_dir() else _shown(Path(file.name))
            while name in sources:
                name = f"{group}/{name}"
            sources[name] = Source(file, name, _format(file) if form == "auto" else form, group)
        left_out += [_shown(file.relative_to(path)) for file in beside]
    return Found(tuple(sources.values()), tuple(left_out))


def read_source(
    source: Source, columns: Mapping[str, str], on_info: OnInfo = silent, progress: Progress = silent
) -> Iterator[RawPlaylist]:
    """Yield the playlists of one source; see the readers for what they raise."""
    if source.format == "mpd":
        return read_mpd(source.path, source.name, on_info, progress)
    if source.format == "jspf":
        return read_jspf(source.path, source.name, progress)
    if source.format == "exportify":
        return read_exportify(source.path, source.name, progress)
    return read_table(source.path, source.name, source.group, columns, progress)


def _files(path: Path, form: str) -> tuple[list[Path], list[Path]]:
    if not path.exists():
        raise InputError(f"There is nothing at {path}; name a file or a folder of playlists.")
    if not path.is_dir():
        return [path], []
    suffixes = _ANY if form == "auto" else _SUFFIXES[form]
    try:
        inside = sorted(_visible(path), key=lambda file: (_natural(file), file.as_posix()))
        files = [file for file in inside if _plain_name(file).endswith(suffixes) and file.is_file()]
    except OSError as error:
        named = error.filename or path
        raise InputError(f"The folder {named} cannot be read ({error.strerror}); check its rights.") from error
    if not files:
        raise InputError(
            f"The folder {path} holds no playlists: no file in it, or in a folder of it that is no link, ends in "
            f"{', '.join(suffixes)} (or .gz)."
        )
    slices = [file for file in files if _SLICE.fullmatch(file.name)] if form in ("auto", "mpd") else []
    chosen = set(slices or files)
    return slices or files, [file for file in inside if file not in chosen]


def _visible(path: Path) -> Iterator[Path]:
    """Yield the files of a folder and its sub-folders, and links to folders, which are not followed: not into loops."""
    for folder, folders, files in os.walk(path, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        yield from (Path(folder) / name for name in [*files, *links] if not name.startswith("."))


def _raise(error: OSError) -> NoReturn:
    raise error


def _plain_name(path: Path) -> str:
    return path.name.casefold().removesuffix(".gz")


def _shown(path: Path) -> str:
    """Return a name as text; an old archive may hold names whose bytes are no UTF-8."""
    return path.as_posix().encode("utf-8", "replace").decode()


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that reads numbers as numbers: slice 1000 stands after slice 0, not between 0 and 10000."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _format(path: Path) -> str:
    """Return the format of one file."""
    plain = _plain_name(path)
    if plain.endswith((".json", ".jspf")):
        return _json_format(path)
    if plain.endswith(".parquet"):
        return "parquet"
    if plain.endswith((".csv", ".tsv", ".txt")):
        with open_rows(path) as rows:
            return "exportify" if is_exportify(rows.columns) else "csv"
    raise InputError(f"The format of {path} cannot be told from its name; say it with --format {'|'.join(FORMATS)}.")


def _json_format(path: Path) -> str:
    head = first_bytes(path, _PEEK)
    if _JSPF_SHAPE.search(head):
        return "jspf"
    if _MPD_SHAPE.search(head) or path.name.startswith("mpd."):
        return "mpd"
    raise InputError(
        f'{path} is JSON of a shape that Segue does not read: neither "playlists": [ (Million Playlist Dataset) nor '
        '"playlist": { (JSPF) stands at its beginning.'
    )
