"""Joins tables about tracks: lyrics, genres, audio features."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_processing.collect import track_uri
from data_processing.readers.rows import open_rows
from segue.errors import InputError
from segue.text import match_key

_URI = ("uri", "track_uri", "track_id", "track uri", "spotify id")
_TITLE = ("track", "track_name", "title", "name")
_ARTIST = ("artist", "artist_name", "track_artist", "artists")
_TEXT = ("text", "lyrics")


def join_lyrics(path: Path, tracks: pa.Table) -> pa.Table:
    """Return (track, text) for the tracks that a table of lyrics knows, by URI or by title and artist.

    Raises:
        InputError: The table cannot be read or lacks a column.
    """
    with open_rows(path) as rows:
        text = _find(rows.columns, _TEXT)
        if text is None:
            raise InputError(f"The lyrics table {path} has no column {' or '.join(_TEXT)}.")
        found = {track: str(row[text]) for track, row in _matched(rows.columns, rows.values, tracks, path) if row[text]}
    order = sorted(found)
    texts = pa.array([_clean(found[i]) for i in order], pa.string())
    return pa.table({"track": pa.array(order, pa.int32()), "text": texts})


def join_features(path: Path, tracks: pa.Table) -> pa.Table:
    """Return (track, genres, every numeric column) for the tracks that a table of features knows.

    A column is numeric where every value is a number or missing (missing becomes null); ``genres`` is text; columns of
    other text are left out.

    Raises:
        InputError: The table cannot be read, or names tracks in no way that is known.
    """
    with open_rows(path) as rows:
        columns = list(rows.columns)
        found: dict[int, Sequence[Any]] = {}
        for track, row in _matched(columns, rows.values, tracks, path):
            found.setdefault(track, row)
    order = sorted(found)
    table = {"track": pa.array(order, pa.int32())}
    keys = {_find(columns, names) for names in (_URI, _TITLE, _ARTIST)}
    for number, name in enumerate(columns):
        values = [found[i][number] for i in order]
        if name.casefold() in ("genre", "genres"):
            table["genres"] = pa.array(["" if value is None else _clean(str(value)) for value in values], pa.string())
        elif number not in keys and (numbers := _floats(values)) is not None:
            table[name] = pa.array(numbers, pa.float32())
    return pa.table(table)


def _matched(
    columns: Sequence[str], rows: Iterator[Sequence[Any]], tracks: pa.Table, path: Path
) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield each row once for every track that it is about."""
    uri, title, artist = (_find(columns, names) for names in (_URI, _TITLE, _ARTIST))
    if uri is None and (title is None or artist is None):
        raise InputError(f"The table {path} must name its tracks by a column uri, or by columns track and artist.")
    by_uri, by_name = _indices(tracks)
    for row in rows:
        hits = by_uri.get(track_uri(str(row[uri])), []) if uri is not None else []
        if not hits and title is not None and artist is not None:
            hits = by_name.get((match_key(str(row[title])), match_key(str(row[artist]))), [])
        if not hits and title is not None:
            hits = by_uri.get(track_uri(str(row[title])), [])
        yield from ((track, row) for track in hits)


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
