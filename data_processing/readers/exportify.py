"""Exportify's CSV files (watsonbox/exportify and its successors): one file a playlist, its name the playlist's.

The columns have changed over the years: "Spotify ID" or "Spotify URI" became "Track URI"; artists are joined by ", ",
with a backslash before a comma that is part of a name, and by ";" in newer files.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from data_processing.readers.open_file import Progress, silent
from data_processing.readers.rows import open_rows
from data_processing.readers.table import entry
from data_processing.records import RawPlaylist
from segue.errors import InputError

_COLUMNS = {
    "track": ("track name",),
    "artist": ("artist name(s)", "artist name"),
    "uri": ("track uri", "spotify uri", "spotify id"),
    "album": ("album name",),
    "duration": ("track duration (ms)", "duration (ms)"),
}
_RUN = 1 << 13
_ID = re.compile(r"[0-9A-Za-z]{22}")
_SUFFIX = re.compile(r"(\.csv)?(\.gz)?$", re.IGNORECASE)
_SEPARATOR = re.compile(r"(?<!\\), ")


def read_exportify(path: Path, source: str, progress: Progress = silent) -> Iterator[RawPlaylist]:
    """Yield the one playlist of an Exportify file, in runs of entries.

    Raises:
        InputError: The file cannot be read or has other columns.
    """
    with open_rows(path, progress) as rows:
        lower = [name.casefold() for name in rows.columns]
        places = {
            field: lower.index(name)
            for field, names in _COLUMNS.items()
            for name in [next((name for name in names if name in lower), None)]
            if name is not None
        }
        if not is_exportify(rows.columns):
            raise InputError(f"{source} is no Exportify file: its columns are {', '.join(rows.columns)}.")
        name = playlist_name(path)
        values = iter(rows.values)
        part = list(islice(values, _RUN))
        while part:
            entries = [entry(row, places) for row in part]
            tidy = [e._replace(artist=first_artist(e.artist), uri=_uri(e.uri)) for e in entries]
            yield RawPlaylist(source, path.name, name, None, tidy, key=("exportify", source))
            part = list(islice(values, _RUN))


def is_exportify(columns: Sequence[str]) -> bool:
    """Return whether a table's columns are Exportify's."""
    lower = {name.casefold() for name in columns}
    return "track name" in lower and bool(lower & {*_COLUMNS["uri"]}) and "playlist" not in lower


def playlist_name(path: Path) -> str:
    """Return the playlist's name from the file's: Exportify writes spaces as underscores."""
    stem = _SUFFIX.sub("", path.name)
    return stem.replace("_", " ").strip()


def first_artist(names: str) -> str:
    """Return the first of the joined artists."""
    if ";" in names:
        return names.partition(";")[0].strip()
    return _SEPARATOR.split(names, maxsplit=1)[0].replace("\\,", ",").strip()


def _uri(text: str) -> str:
    return f"spotify:track:{text}" if _ID.fullmatch(text) else text
