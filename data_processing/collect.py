"""Takes playlists as they are read, checks each entry, and keeps what is good as compact columns.

An entry costs twelve bytes, a track its strings once; a million playlists fit in a few gigabytes.
"""

import re
from array import array
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from data_processing.checks import NOT_A_PLAYLIST, damaged, fault
from data_processing.records import Entry, RawPlaylist
from data_processing.rejections import Rejections
from segue.text import match_key

_SPOTIFY_LINK = re.compile(r"https?://open\.spotify\.com/(?:intl-[a-z]+/)?track/([0-9A-Za-z]+)")
_key = lru_cache(maxsize=1 << 16)(match_key)


@dataclass(slots=True)
class Collected:
    """Everything that was read and is usable, in reading order.

    Attributes:
        uris: Each track's URI, "" for one that is known by its name only. The four lists have one length.
        titles: Each track's title, the first that is not "".
        artists: Each track's artist.
        albums: Each track's album.
        source_ids: Each playlist's identifier at its source.
        names: Each playlist's title as given, "" where there is none.
        followers: How many follow each playlist, -1 where unknown.
        entry_playlist: Each entry's playlist, by number.
        entry_position: Each entry's position as the source gives it, else its place among the playlist's entries.
        entry_track: Each entry's track, by number.
        read_playlists: How many playlists were read, rejected ones included.
        read_entries: How many entries were read, rejected ones included.
        damaged_names: How many playlists' names were broken and are left out.
    """

    uris: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    artists: list[str] = field(default_factory=list)
    albums: list[str] = field(default_factory=list)
    source_ids: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    followers: "array[int]" = field(default_factory=lambda: array("i"))
    entry_playlist: "array[int]" = field(default_factory=lambda: array("i"))
    entry_position: "array[int]" = field(default_factory=lambda: array("i"))
    entry_track: "array[int]" = field(default_factory=lambda: array("i"))
    read_playlists: int = 0
    read_entries: int = 0
    damaged_names: int = 0


class Collector:
    """Feeds `Collected`."""

    def __init__(self, rejections: Rejections) -> None:
        """Count what is unusable in ``rejections``."""
        self.collected = Collected()
        self._rejections = rejections
        self._tracks: dict[str, int] = {}
        self._names: dict[str, str] = {}  # artists and albums are stored once, however many tracks share them
        self._playlists: dict[Hashable, int] = {}
        self._lengths = array("i")

    def add(self, playlist: RawPlaylist) -> None:
        """Take one playlist, or the next run of entries of one.

        Raises:
            InputError: Something is unusable and the rejections are strict.
        """
        if playlist.entries is None:
            self.collected.read_playlists += 1
            self._rejections.add(NOT_A_PLAYLIST, f"{playlist.source}, playlist {playlist.source_id}", None)
            return
        number = self._number(playlist)
        into, length = self.collected, self._lengths[number]
        for place, entry in enumerate(playlist.entries, start=length):
            if reason := fault(entry):
                self._rejections.add(reason, _where(playlist, place), entry)
                continue
            into.entry_playlist.append(number)
            into.entry_position.append(place if entry.position is None else entry.position)
            into.entry_track.append(self._track(entry))
        self._lengths[number] = length + len(playlist.entries)
        into.read_entries += len(playlist.entries)

    def _number(self, playlist: RawPlaylist) -> int:
        known = self._playlists.get(playlist.key) if playlist.key is not None else None
        if known is not None:
            return known
        into = self.collected
        number = len(into.names)
        if playlist.key is not None:
            self._playlists[playlist.key] = number
        broken = isinstance(playlist.name, str) and damaged(playlist.name)
        into.damaged_names += broken
        into.read_playlists += 1
        into.names.append(playlist.name if isinstance(playlist.name, str) and not broken else "")
        into.source_ids.append(playlist.source_id.encode("utf-8", "replace").decode())
        into.followers.append(_followers(playlist.followers))
        self._lengths.append(0)
        return number

    def _track(self, entry: Entry) -> int:
        uri = track_uri(entry.uri)
        key = uri or f"\0{_key(entry.title)}\n{_key(entry.artist)}"
        number = self._tracks.get(key)
        if number is None:
            return self._new_track(key, uri, entry)
        into = self.collected
        if entry.title and not into.titles[number]:
            into.titles[number] = entry.title.strip()
        if entry.artist and not into.artists[number]:
            into.artists[number] = self._shared(entry.artist)
        if entry.album and not into.albums[number]:
            into.albums[number] = self._shared(entry.album)
        return number

    def _new_track(self, key: str, uri: str, entry: Entry) -> int:
        into = self.collected
        number = self._tracks[key] = len(into.uris)
        into.uris.append(uri)
        into.titles.append(entry.title.strip())
        into.artists.append(self._shared(entry.artist))
        into.albums.append(self._shared(entry.album))
        return number

    def _shared(self, text: str) -> str:
        return self._names.setdefault(text := text.strip(), text)


def track_uri(text: str) -> str:
    """Return a track's URI in one spelling: a link to Spotify's web player is its ``spotify:track:`` URI."""
    text = text.strip()
    if text.startswith("http") and (found := _SPOTIFY_LINK.match(text)):
        return f"spotify:track:{found[1]}"
    return text


def _followers(value: Any) -> int:
    natural = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if natural else -1


def _where(playlist: RawPlaylist, place: int) -> str:
    return f"{playlist.source}, playlist {playlist.source_id!a}, entry {place}"
