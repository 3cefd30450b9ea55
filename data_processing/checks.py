"""What makes an entry unusable. Each reason has a name, and a sentence for people."""

import re
import unicodedata
from typing import Any

from data_processing.records import Entry

NOT_AN_ENTRY = "not_an_entry"
WRONG_TYPE = "wrong_type"
MISSING_IDENTITY = "missing_identity"
IMPOSSIBLE_POSITION = "impossible_position"
IMPOSSIBLE_DURATION = "impossible_duration"
ENCODING_DAMAGE = "encoding_damage"
DUPLICATE_TRACK = "duplicate_track"
NOT_A_PLAYLIST = "not_a_playlist"

REASONS = {
    NOT_A_PLAYLIST: "the playlist is no object with a list of tracks",
    NOT_AN_ENTRY: "the entry is no object",
    WRONG_TYPE: "a title, artist, album or URI is not text",
    MISSING_IDENTITY: "neither a URI nor both a title and an artist",
    IMPOSSIBLE_POSITION: "the position is negative or no whole number",
    IMPOSSIBLE_DURATION: "the duration is negative, longer than a week or no number",
    ENCODING_DAMAGE: "a name holds broken characters: U+FFFD, control characters, or UTF-8 that was read as Latin-1",
    DUPLICATE_TRACK: "the track stands in this playlist already",
}

_MOST_POSITION = 2**31 - 1
_LONGEST_MS = 7 * 24 * 3600 * 1000  # radio recordings last for days; a week of one track is a mistake
_HARMLESS = str.maketrans("", "", "\t\n\r")
# A UTF-8 sequence read as Windows-1252: a lead byte's letter, then a continuation byte's sign. Only strings that hold
# such a pair are worth the exact test.
_SUSPECT = re.compile("[Â-ô][^\\x00-\\x7fà-öø-ÿ]")


def fault(entry: Any) -> str | None:
    """Return the reason why an entry cannot be used, one of `REASONS`, or None for a good one."""
    if not isinstance(entry, Entry):
        return NOT_AN_ENTRY
    title, artist, uri, album, _, _ = entry
    if not (isinstance(title, str) and isinstance(artist, str) and isinstance(uri, str) and isinstance(album, str)):
        return WRONG_TYPE
    if not uri.strip() and not (title.strip() and artist.strip()):
        return MISSING_IDENTITY
    if reason := numbers_fault(entry):
        return reason
    if not _sound(f"{title} {artist} {album} {uri}") and any(map(damaged, (title, artist, album, uri))):
        return ENCODING_DAMAGE
    return None


def numbers_fault(entry: Entry) -> str | None:
    """Return what is wrong with an entry's position or duration, None if nothing is."""
    position, duration = entry.position, entry.duration
    if position is not None and not _whole(position):
        return IMPOSSIBLE_POSITION
    if duration is not None and not _plausible(duration):
        return IMPOSSIBLE_DURATION
    return None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_POSITION


def _plausible(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LONGEST_MS


def damaged(text: str) -> bool:
    """Return whether a text shows that its encoding was broken on the way here.

    Broken are U+FFFD, lone surrogates, control characters other than tabs and line ends, and UTF-8 that was read as
    Windows-1252 or Latin-1 ("BjÃ¶rk"): the last only where turning it back gives valid UTF-8, which honest text
    hardly ever does.
    """
    if _sound(text):
        return False
    if "\ufffd" in text or any(unicodedata.category(c) in ("Cc", "Cs") for c in text.translate(_HARMLESS)):
        return True
    return _read_as_latin(text)


def _sound(text: str) -> bool:
    """Return whether nothing in a text is even suspect, which is quickly told; then nothing is in any part of it."""
    return text.isprintable() and (text.isascii() or not (_SUSPECT.search(text) or "\ufffd" in text))


def _read_as_latin(text: str) -> bool:
    for codec in ("cp1252", "latin-1"):
        try:
            return text.encode(codec).decode("utf-8") != text
        except UnicodeError:
            continue
    return False
