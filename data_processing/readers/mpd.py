"""Slices of the Million Playlist Dataset (Chen et al. 2018): ``{"info": …, "playlists": [{…, "tracks": […]}]}``."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from data_processing.readers.json_stream import JsonStream
from data_processing.readers.open_file import Progress, open_file, silent
from data_processing.records import Entry, RawPlaylist

OnInfo = Callable[[dict[str, Any]], object]
_MOST_AT_ONCE = 1 << 27  # bytes; a slice of the real set has 33 million, and becomes some 100 MB of objects


class _Track(msgspec.Struct, gc=False):
    """The fields of a track that are read; the others cost nothing."""

    track_name: Any = None
    artist_name: Any = None
    track_uri: Any = None
    album_name: Any = None
    pos: Any = None
    duration_ms: Any = None


class _Playlist(msgspec.Struct):
    tracks: list[_Track]
    pid: Any = msgspec.UNSET
    name: Any = None
    num_followers: Any = None


class _Slice(msgspec.Struct):
    playlists: list[_Playlist]
    info: Any = None


def read_mpd(path: Path, source: str, on_info: OnInfo = silent, progress: Progress = silent) -> Iterator[RawPlaylist]:
    """Yield the playlists of a slice.

    A slice of the set's own size and shape is parsed at once, four times as fast as by the standard library. Any other,
    larger or with something in it that is not as it should be, is read again with one playlist in memory at a time.

    Args:
        path: The slice, plain or gzipped.
        source: Its name in messages.
        on_info: Called with the slice's ``info`` object once the slice is read.
        progress: Called with the number of bytes read.

    Raises:
        InputError: The slice cannot be read, is truncated or has another shape.
    """
    with open_file(path, progress) as stream:
        whole = _parsed(stream)
    if whole is None:
        yield from _streamed(path, source, on_info)
        return
    for number, playlist in enumerate(whole.playlists):
        yield RawPlaylist(
            source,
            str(number if playlist.pid is msgspec.UNSET else playlist.pid),
            playlist.name,
            playlist.num_followers,
            [
                Entry(
                    track.track_name or "",
                    track.artist_name or "",
                    track.track_uri or "",
                    track.album_name or "",
                    track.pos,
                    track.duration_ms,
                )
                for track in playlist.tracks
            ],
        )
    on_info(whole.info if isinstance(whole.info, dict) else {})


def _parsed(stream: BinaryIO) -> _Slice | None:
    """Return a whole slice, None where it is too large or not just as it should be."""
    data = stream.read(_MOST_AT_ONCE)
    if len(data) == _MOST_AT_ONCE:
        return None
    try:
        return msgspec.json.decode(data, type=_Slice)
    except (ValueError, RecursionError):
        return None


def _streamed(path: Path, source: str, on_info: OnInfo) -> Iterator[RawPlaylist]:
    with open_file(path) as stream:
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
