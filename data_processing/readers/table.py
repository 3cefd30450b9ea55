"""Playlists in a table, one row an entry: CSV or Parquet with columns for playlist, position, track and artist."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from data_processing.readers.open_file import Progress, silent
from data_processing.readers.rows import open_rows
from data_processing.records import Entry, RawPlaylist
from segue.errors import InputError

ALIASES: Mapping[str, tuple[str, ...]] = {
    "playlist": ("playlist", "playlist_id", "pid", "playlist id", "playlist_uri", "playlist_name", "playlist name"),
    "name": ("playlist_name", "playlist name", "playlist_title", "playlist title"),
    "position": ("position", "pos", "track_position", "index"),
    "track": ("track", "track_name", "track name", "title", "song", "song_title"),
    "artist": ("artist", "artist_name", "artist name", "artist name(s)", "artists", "creator", "track_artist"),
    "uri": ("uri", "track_uri", "track uri", "spotify_uri", "spotify uri", "track_id", "spotify id", "isrc"),
    "album": ("album", "album_name", "album name", "track_album_name"),
    "duration": ("duration_ms", "duration (ms)", "track duration (ms)", "duration"),
    "followers": ("followers", "num_followers"),
}
"""Field to the column names that are recognised without ``--columns``, in any case, the first found."""
FIELDS = tuple(ALIASES)
_RUN = 1 << 13


def read_table(
    path: Path, source: str, group: int, columns: Mapping[str, str], progress: Progress = silent
) -> Iterator[RawPlaylist]:
    """Yield the playlists of a table in runs of entries; a playlist's rows need not stand together.

    Args:
        path: The CSV or Parquet file.
        source: Its name in messages.
        group: Tables of one group share their playlists' identifiers.
        columns: Field (one of `FIELDS`) to column name, where `ALIASES` do not fit.
        progress: Called with the number of bytes read.

    Raises:
        InputError: The table cannot be read or lacks a column that is needed.
    """
    with open_rows(path, progress) as rows:
        places = find_columns(rows.columns, columns, source)
        for identifier, run in groupby(rows.values, key=lambda row: _text(row[places["playlist"]])):
            while part := list(islice(run, _RUN)):
                yield _playlist(part, source, str(identifier), (group, str(identifier)), places)


def find_columns(names: Sequence[str], wanted: Mapping[str, str], source: str) -> dict[str, int]:
    """Return field to column number for all fields that the table has.

    Raises:
        InputError: A named column is missing, or there is no column for the playlist, or none for the track.
    """
    lower = {name.casefold(): number for number, name in reversed(list(enumerate(names)))}
    places = {}
    for field, aliases in ALIASES.items():
        for name in (wanted[field],) if field in wanted else aliases:
            if name.casefold() in lower:
                places[field] = lower[name.casefold()]
                break
        else:
            if field in wanted:
                raise InputError(f"{source} has no column {wanted[field]!r}; its columns are {', '.join(names)}.")
    missing = [] if "playlist" in places else ["playlist"]
    missing += [] if places.keys() & {"track", "uri"} else ["track"]
    if missing:
        raise InputError(
            f"{source} has no column for the {missing[0]}; name it with --columns {missing[0]}=COLUMN "
            f"(its columns are {', '.join(names)})."
        )
    return places


def _playlist(
    rows: Sequence[Sequence[Any]], source: str, identifier: str, key: tuple[int, str], places: Mapping[str, int]
) -> RawPlaylist:
    first = rows[0]
    named = places.get("name", places["playlist"])
    name = _text(first[named])
    if named == places["playlist"] and (str(name).isdigit() or ":" in str(name)):
        name = ""  # an identifier is no title
    followers = number(first[places["followers"]]) if "followers" in places else None
    return RawPlaylist(source, identifier, name, followers, [entry(row, places) for row in rows], key)


def entry(row: Sequence[Any], places: Mapping[str, int]) -> Entry:
    """Return a row's entry; ``places`` tells each field's column."""

    def value(field: str) -> Any:
        return row[places[field]] if field in places else ""

    title, uri = _text(value("track")), _text(value("uri"))
    if not uri and isinstance(title, str) and title.startswith("spotify:track:"):
        title, uri = "", title
    return Entry(
        title, _text(value("artist")), uri, _text(value("album")), number(value("position")), number(value("duration"))
    )


def _text(value: Any) -> Any:
    """Return text; numbers become theirs, since a column of titles like "1999" may have been read as numbers."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def number(value: Any) -> Any:
    """Return a whole number where the value is one, None for nothing, and the value itself where it is neither."""
    if value is None or value == "":
        return None
    try:
        parsed = float(value)
    except (TypeError, ValueError, OverflowError):
        return value
    return int(parsed) if parsed.is_integer() else parsed
