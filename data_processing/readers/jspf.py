"""JSPF, the JSON form of XSPF (xspf.org/jspf): ``{"playlist": {"title": …, "track": [{…}]}}``, one playlist a file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_processing.readers.open_file import Progress, open_file, silent
from data_processing.readers.table import number
from data_processing.records import Entry, RawPlaylist
from segue.errors import InputError


def read_jspf(path: Path, source: str, progress: Progress = silent) -> Iterator[RawPlaylist]:
    """Yield the one playlist of a JSPF file; the order of its tracks is their position.

    Raises:
        InputError: The file cannot be read or has another shape.
    """
    with open_file(path, progress) as stream:
        data = stream.read()
    try:
        value = json.loads(data.decode("utf-8-sig", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is no whole JSON ({error}); export it again.") from error
    playlist = value.get("playlist") if isinstance(value, dict) else None
    tracks = playlist.get("track", []) if isinstance(playlist, dict) else None
    if not isinstance(playlist, dict) or not isinstance(tracks, list):
        raise InputError(f'{source} is no JSPF: it holds no object "playlist" with a list "track".')
    identifier = _first(playlist.get("identifier")) or source
    yield RawPlaylist(source, str(identifier), playlist.get("title"), None, [_entry(track) for track in tracks])


def _entry(track: Any) -> Entry | Any:
    if not isinstance(track, dict):
        return track
    get = track.get
    return Entry(
        get("title") or "",
        get("creator") or "",
        _first(get("identifier")) or "",
        get("album") or "",
        None,
        number(get("duration")),
    )


def _first(value: Any) -> Any:
    """Return the first identifier: the specification has a list, many writers a string."""
    return (value[0] if value else "") if isinstance(value, list) else value
