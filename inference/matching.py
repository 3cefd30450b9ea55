"""Find a client's tracks in a catalogue: by URI, else by name, else kept as words that the model reads."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from segue.catalogue import Catalogue
from segue.track import Track, track_words

# Lists first: what stands before a comma is a name more often than what stands before an ampersand.
_SEVERAL = (re.compile(r"[,;]"), re.compile(r"\s(?:&|\+|/|and|x|with|vs\.?|feat\.?|ft\.?|featuring)\s", re.IGNORECASE))

How = Literal["uri", "name", "text", "none"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A track as a client names it; "" is what the client does not say."""

    uri: str = ""
    title: str = ""
    artist: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """What became of one wanted track.

    Attributes:
        wanted: The track as the client named it.
        track: The catalogue's track, or None.
        how: ``uri`` or ``name``: found by it; ``text``: not found, helps by its words; ``none``: not found, ignored.
        id: The catalogue's id, or None.
    """

    wanted: Wanted
    track: Track | None
    how: How
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    """A playlist in the words of a catalogue: one `Match` for each wanted track, in order."""

    matches: tuple[Match, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The known tracks' ids, in order."""
        return tuple(match.id for match in self.matches if match.id is not None)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The words of the tracks that the catalogue lacks, in order, each spelling once."""
        texts = (match.wanted for match in self.matches if match.how == "text")
        return tuple(dict.fromkeys(track_words(wanted.title, wanted.artist) for wanted in texts))


def match(catalogue: Catalogue, wanted: Sequence[Wanted]) -> Matched:
    """Return what each of a client's tracks is in ``catalogue``.

    A URI decides where the catalogue has it. Names are compared forgivingly (`Catalogue.find_name`); a name without
    an artist means the most popular track of that title.
    """
    return Matched(tuple(_match_one(catalogue, track) for track in wanted))


def _match_one(catalogue: Catalogue, wanted: Wanted) -> Match:
    number = catalogue.find_uri(wanted.uri) if wanted.uri else None
    if number is not None:
        return Match(wanted, catalogue.tracks([number])[0], "uri", number)
    if not wanted.title:
        return Match(wanted, None, "none")
    number = _find_name(catalogue, wanted)
    if number is None:
        return Match(wanted, None, "text")
    return Match(wanted, catalogue.tracks([number])[0], "name", number)


def _find_name(catalogue: Catalogue, wanted: Wanted) -> int | None:
    """Return the id of the track of the first reading of a name that the catalogue has."""
    found = (catalogue.find_name(title, artist) for title, artist in _readings(wanted.title, wanted.artist))
    return next((number for number in found if number is not None), None)


def _readings(title: str, artist: str) -> Iterator[tuple[str, str]]:
    """Yield a name as it stands, then as people write it otherwise: each a title and an artist.

    Catalogues credit a track to one artist, so of several the first one counts; that is tried after the whole, since
    "Earth, Wind & Fire" are one. "The" comes and goes. A title alone may be "Artist - Title", as files are named.
    """
    yield title, artist
    if not artist:
        left, dash, right = title.partition(" - ")
        if dash and left.strip() and right.strip():
            yield right.strip(), left.strip()
        return
    for one in dict.fromkeys((artist, *(sign.split(artist, maxsplit=1)[0].strip() for sign in _SEVERAL))):
        if one and one != artist:
            yield title, one
        if one:
            yield title, one[4:] if one.lower().startswith("the ") else f"The {one}"
