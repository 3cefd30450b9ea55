"""What a reader hands on: playlists as they stand in a file, nothing checked and nothing repaired yet."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One place of a playlist, as read. Text is "" and numbers are None where the source says nothing.

    The types are what they should be; a reader may hand on anything else, and `checks.fault` finds it.
    """

    title: Any = ""
    artist: Any = ""
    uri: Any = ""
    album: Any = ""
    position: Any = None
    duration: Any = None


@dataclass(frozen=True, slots=True)
class RawPlaylist:
    """A playlist, or a run of entries of one.

    Attributes:
        source: Name of the file, for messages.
        source_id: The source's own identifier of the playlist.
        name: Its title as the source gives it; anything but text counts as none.
        followers: How many follow it; anything but a natural number counts as unknown.
        entries: Its entries; an element that is no `Entry` is rejected. None: there is no playlist to be read here.
        key: What tells this playlist from others where a file may come back to it, as tables of rows can;
            None for a playlist that stands in one piece.
    """

    source: str
    source_id: str
    name: Any
    followers: Any
    entries: Sequence[Entry | Any] | None
    key: Hashable | None = None
