"""Takes playlists as they are read, checks each entry, and keeps what is good as compact columns."""

import re
from array import array
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from data_processing.checks import NOT_A_PLAYLIST, damaged, fault, numbers_fault
from data_processing.gathered import UNKEYED, Gathered
from data_processing.records import Entry, RawPlaylist
from data_processing.rejections import Rejections
from segue.text import match_key

_WORDS = 4  # an entry's title, artist, URI and album come first
_MOST_SEEN = 1 << 18
_SPOTIFY_LINK = re.compile(r"https?://open\.spotify\.com/(?:intl-[a-z]+/)?track/([0-9A-Za-z]+)")
_key = lru_cache(maxsize=1 << 16)(match_key)


class Collector:
    """Takes playlists; `gathered` tells what came of them."""

    def __init__(self, rejections: Rejections) -> None:
        """Count what is unusable in ``rejections``."""
        self._rejections = rejections
        self._read_playlists = self._read_entries = self._damaged_names = 0
        self._tracks: dict[str, int] = {}
        self._words: tuple[list[str], list[str], list[str]] = ([], [], [])  # each track's title, artist, album
        self._seen: dict[tuple[Any, ...], int] = {}  # words that were found to be good, and their track
        self._playlists: dict[Hashable, int] = {}
        self._source_ids: list[str] = []
        self._names: list[str] = []
        self._followers, self._lengths = array("i"), array("i")
        self._playlist, self._position, self._track = array("i"), array("i"), array("i")  # of each entry

    def add(self, playlist: RawPlaylist) -> None:
        """Take one playlist, or the next run of entries of one.

        Raises:
            InputError: Something is unusable and the rejections are strict.
        """
        if playlist.entries is None:
            self._read_playlists += 1
            self._rejections.add(NOT_A_PLAYLIST, f"{playlist.source}, playlist {playlist.source_id}", None)
            return
        number = self._number(playlist)
        length = self._lengths[number]
        for place, entry in enumerate(playlist.entries, start=length):
            track = self._known(entry)
            if track is None:
                if reason := fault(entry):
                    self._rejections.add(reason, _where(playlist, place), entry)
                    continue
                if len(self._seen) == _MOST_SEEN:
                    self._seen.clear()
                track = self._seen[entry[:_WORDS]] = self._number_of(entry)
            self._playlist.append(number)
            self._position.append(place if entry.position is None else entry.position)
            self._track.append(track)
        self._lengths[number] = length + len(playlist.entries)
        self._read_entries += len(playlist.entries)

    def gathered(self, synthetic: bool, sources: Mapping[str, Mapping[str, Any]]) -> Gathered:
        """Return everything that was taken.

        Args:
            synthetic: Whether some of it was generated.
            sources: Name of each file that it came from to its sha256 and size.
        """
        playlist, position, track = (np.asarray(c, np.int32) for c in (self._playlist, self._position, self._track))
        order = np.lexsort((position, playlist))  # stable: entries of one position stay as they were read
        titles, artists, albums = self._words
        return Gathered(
            keys=pa.array(list(self._tracks), pa.string()),
            titles=pa.array(titles, pa.string()),
            artists=pa.array(artists, pa.string()),
            albums=pa.array(albums, pa.string()),
            source_ids=pa.array(self._source_ids, pa.string()),
            names=pa.array(self._names, pa.string()),
            followers=np.asarray(self._followers, np.int32),
            lengths=np.bincount(playlist, minlength=len(self._names)).astype(np.int32),
            tracks=track[order],
            facts={
                "read_playlists": self._read_playlists,
                "read_entries": self._read_entries,
                "damaged_names": self._damaged_names,
                "synthetic": synthetic,
                "rejections": self._rejections.counts,
                "examples": self._rejections.examples,
                "sources": sources,
            },
        )

    def _known(self, entry: Any) -> int | None:
        """Return the track of an entry whose words were met before and whose numbers are good."""
        if type(entry) is not Entry:
            return None
        try:
            track = self._seen.get(entry[:_WORDS])
        except TypeError:  # a list in the place of a name
            return None
        return None if track is None or numbers_fault(entry) else track

    def _number(self, playlist: RawPlaylist) -> int:
        known = self._playlists.get(playlist.key) if playlist.key is not None else None
        if known is not None:
            return known
        number = len(self._names)
        if playlist.key is not None:
            self._playlists[playlist.key] = number
        broken = isinstance(playlist.name, str) and damaged(playlist.name)
        self._damaged_names += broken
        self._read_playlists += 1
        self._names.append(playlist.name if isinstance(playlist.name, str) and not broken else "")
        self._source_ids.append(playlist.source_id.encode("utf-8", "replace").decode())
        self._followers.append(_followers(playlist.followers))
        self._lengths.append(0)
        return number

    def _number_of(self, entry: Entry) -> int:
        """Return the track of an entry; what a track lacked so far, a later entry may tell."""
        key = track_uri(entry.uri) or f"{UNKEYED}{_key(entry.title)}\n{_key(entry.artist)}"
        number = self._tracks.setdefault(key, len(self._tracks))
        for column, word in zip(self._words, (entry.title, entry.artist, entry.album), strict=True):
            if number == len(column):
                column.append(word.strip())
            elif not column[number]:
                column[number] = word.strip()
        return number


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
