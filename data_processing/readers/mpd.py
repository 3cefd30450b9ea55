"""Slices of the Million Playlist Dataset (Chen et al. 2018): ``{"info": …, "playlists": [{…, "tracks": […]}]}``."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data_processing.readers.json_stream import JsonStream
from data_processing.readers.open_file import Progress, open_file, silent
from data_processing.records import Entry, RawPlaylist

OnInfo = Callable[[dict[str, Any]], object]


def read_mpd(path: Path, source: str, on_info: OnInfo = silent, progress: Progress = silent) -> Iterator[RawPlaylist]:
    """Yield the playlists of a slice, one in memory at a time.

    Args:
        path: The slice, plain or gzipped.
        source: Its name in messages.
        on_info: Called with the slice's ``info`` object once the slice is read.
        progress: Called with the number of bytes read.

    Raises:
        InputError: The slice cannot be read, is truncated or has another shape.
    """
    with open_file(path, progress) as stream:
        document = JsonStream(stream, source)
        for number, playlist in enumerate(document.elements("playlists")):
            yield _playlist(playlist, source, number)
        info = document.fields.get("info")
        on_info(info if isinstance(info, dict) else {})


def _playlist(value: Any, source: str, number: int) -> RawPlaylist:
    tracks = value.get("tracks") if isinstance(value, dict) else None
    if not isinstance(tracks, list):
        return RawPlaylist(source, str(number), "", None, None)
    return RawPlaylist(
        source,
        str(value.get("pid", number)),
        value.get("name"),
        value.get("num_followers"),
        [_entry(track) for track in tracks],
    )


def _entry(track: Any) -> Entry | Any:
    if not isinstance(track, dict):
        return track
    get = track.get
    return Entry(
        get("track_name") or "",
        get("artist_name") or "",
        get("track_uri") or "",
        get("album_name") or "",
        get("pos"),
        get("duration_ms"),
    )
