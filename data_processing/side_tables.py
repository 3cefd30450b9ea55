"""Joins tables about tracks or artists: lyrics, genres, audio features."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_processing.collect import track_uri
from data_processing.readers.rows import open_rows
from segue.errors import InputError
from segue.text import match_key

_URI = ("uri", "track_uri", "track_id", "track uri", "spotify id")
_TITLE = ("track", "track_name", "title", "name")
_ARTIST = ("artist", "artist_name", "track_artist", "artists")
_TEXT = ("text", "lyrics")
_ARTIST_URI = "spotify:artist:"


def join_lyrics(path: Path, tracks: pa.Table) -> pa.Table:
    """Return (track, text) for the tracks that a table of lyrics knows, by URI or by title and artist.

    Raises:
        InputError: The table cannot be read or lacks a column.
    """
    with open_rows(path) as rows:
        text = _find(rows.columns, _TEXT)
        if text is None:
            raise InputError(f"The lyrics table {path} has no column {' or '.join(_TEXT)}.")
        names = _Names(rows.columns, tracks, path)
        found = {track: str(row[text]) for row in rows.values if row[text] for track in names.tracks(row)}
    order = sorted(found)
    texts = pa.array([_clean(found[i]) for i in order], pa.string())
    return pa.table({"track": pa.array(order, pa.int32()), "text": texts})


def join_features(paths: Sequence[Path], tracks: pa.Table) -> pa.Table:
    """Return (track, genres, every numeric column) for the tracks that tables of features know, in the order of tracks.

    Raises:
        InputError: A table cannot be read, names tracks in no way that is known, or has a column that one before has.
    """
    joined = pa.table({"track": pa.array([], pa.int32())})
    for path in paths:
        table = _features(path, tracks)
        if twice := sorted({*table.column_names[1:]}.intersection(joined.column_names)):
            raise InputError(f"{path} has a column {twice[0]}, as another table of features has; rename or drop one.")
        joined = joined.join(table, "track", join_type="full outer").sort_by("track")
    if "genres" in joined.column_names:
        place = joined.column_names.index("genres")
        joined = joined.set_column(place, "genres", pc.fill_null(joined["genres"], ""))
    return joined.combine_chunks()


def _features(path: Path, tracks: pa.Table) -> pa.Table:
    """Return (track, genres, every numeric column) for the tracks that a table of features knows.

    Rows may also be about artists, and then hold for all tracks of an artist's name that have no row of their own; of
    two rows about one track or artist the first counts. A column is numeric where every value is a number or missing
    (missing becomes null); ``genres`` is text, lists of names with commas between them; columns of other text are left
    out.
    """
    with open_rows(path) as rows:
        columns = list(rows.columns)
        names = _Names(columns, tracks, path, artists=True)
        own: dict[int, Sequence[Any]] = {}
        by_artist: dict[str, Sequence[Any]] = {}
        for row in rows.values:
            if artist := names.artist(row):
                by_artist.setdefault(artist, row)
            else:
                for track in names.tracks(row):
                    own.setdefault(track, row)
    artists = tracks["artist"].to_pylist() if by_artist else []
    keys = ((track, match_key(artist)) for track, artist in enumerate(artists) if artist)
    found = {track: by_artist[key] for track, key in keys if key in by_artist} | own
    order = sorted(found)
    table = {"track": pa.array(order, pa.int32())}
    for number, name in enumerate(columns):
        values = [found[i][number] for i in order]
        if name.casefold() in ("genre", "genres"):
            table["genres"] = pa.array([_listed(value) for value in values], pa.string())
        elif number not in names.columns and (numbers := _floats(values)) is not None:
            table[_clean(name)] = pa.array(numbers, pa.float32())
    return pa.table(table)


def _listed(value: Any) -> str:
    """Return names with commas between them, also where they stand as a list of Python's or of JSON."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return _clean(value)
    if isinstance(value, list | tuple):
        value = ", ".join(str(name) for name in value)
    return "" if value is None else _clean(str(value))


class _Names:
    """What the rows of a table are about."""

    def __init__(self, columns: Sequence[str], tracks: pa.Table, path: Path, artists: bool = False) -> None:
        """Look the columns up.

        Args:
            columns: Of the table.
            tracks: Of the dataset.
            path: The table's, for errors.
            artists: Whether rows may be about artists, too.

        Raises:
            InputError: No column names anything that is known.
        """
        self._uri, self._title, self._artist = self.columns = [
            _find(columns, names) for names in (_URI, _TITLE, _ARTIST)
        ]
        needed = [self._artist] if artists else [self._title, self._artist]
        if self._uri is None and None in needed:
            alone = ", or artists by a column artist alone" if artists else ""
            raise InputError(
                f"The table {path} must name its tracks by a column uri, or by columns track and artist{alone}."
            )
        self._by_uri, self._by_name = _indices(tracks)

    def tracks(self, row: Sequence[Any]) -> Sequence[int]:
        """Return the tracks that a row is about."""
        title = None if self._title is None else str(row[self._title])
        hits = self._by_uri.get(track_uri(str(row[self._uri])), []) if self._uri is not None else []
        if not hits and title is not None and self._artist is not None:
            hits = self._by_name.get((match_key(title), match_key(str(row[self._artist]))), [])
        if not hits and title is not None:
            hits = self._by_uri.get(track_uri(title), [])
        return hits

    def artist(self, row: Sequence[Any]) -> str:
        """Return the `match_key` of the artist that a row is about, "" where it is about a track."""
        if self._uri is None:
            place = self._artist if self._title is None else None
        elif str(row[self._uri]).startswith(_ARTIST_URI):  # tables of artists call their names just that: `name`
            place = self._title if self._artist is None else self._artist
        else:
            place = None
        return "" if place is None or not row[place] else match_key(str(row[place]))


def _indices(tracks: pa.Table) -> tuple[dict[str, list[int]], dict[tuple[str, str], list[int]]]:
    """Return the tracks of each URI, also by its last part, and of each name."""
    by_uri: dict[str, list[int]] = {}
    by_name: dict[tuple[str, str], list[int]] = {}
    uris, titles, artists = (tracks[name].to_pylist() for name in ("uri", "title", "artist"))
    for number, (uri, title, artist) in enumerate(zip(uris, titles, artists, strict=True)):
        by_uri[uri] = by_uri[uri.rpartition(":")[2]] = [number]
        if title and artist:
            by_name.setdefault((match_key(title), match_key(artist)), []).append(number)
    return by_uri, by_name


def _find(columns: Sequence[str], names: Sequence[str]) -> int | None:
    lower = [name.casefold() for name in columns]
    return next((lower.index(name) for name in names if name in lower), None)


def _floats(values: Sequence[Any]) -> list[float | None] | None:
    """Return the values as numbers, or None where one is none."""
    try:
        return [None if value in (None, "") else float(value) for value in values]
    except (TypeError, ValueError):
        return None


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
