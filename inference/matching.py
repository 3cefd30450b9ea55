"""Find a client's tracks in a catalogue: by URI, else by name, else kept as words that the model reads."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from segue.track import track_words

# Lists first: what stands before a comma is a name more often than what stands before an ampersand.
_SEVERAL = (re.compile(r"[,;]"), re.compile(r"\s(?:&|\+|/|and|x|with|vs\.?|feat\.?|ft\.?|featuring)\s", re.IGNORECASE))

_MOST_LACKING = 16
"""Artists are looked up for the last ones only: a model reads no more, and a client can send hundreds."""
_LONGEST_READING = 100
"""Characters of an artist that is read otherwise than as it stands: each reading costs as much as the whole again."""

How = Literal["uri", "name", "text", "none"]


class Names(Protocol):
    """What is asked of a catalogue; `segue.catalogue.Catalogue` says what each returns."""

    def find_uris(self, uris: Sequence[str]) -> list[int | None]:
        """Return the id of the track with each URI."""
        ...

    def find_names(self, names: Sequence[tuple[str, str]]) -> list[int | None]:
        """Return the id of the most popular track of each title and artist."""
        ...

    def find_artists(self, artists: Sequence[str]) -> list[list[int]]:
        """Return the ids of each artist's most popular tracks."""
        ...


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
        how: ``uri`` or ``name``: found by it; ``text``: not found, helps by its words; ``none``: not found, ignored.
        id: The catalogue's id, or None.
    """

    wanted: Wanted
    how: How
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    """A playlist in the words of a catalogue.

    Attributes:
        matches: One for each wanted track, in order.
        stand_ins: Ids of other tracks of the artists whose wanted tracks the catalogue lacks (`stand_ins`).
        artists: Where tracks stand in no order and nothing stands in: an id of any track by the artist of each wanted
            track that the catalogue lacks, if it has one. The artist is then heard as those of known tracks are.
    """

    matches: tuple[Match, ...]
    stand_ins: tuple[int, ...] = ()
    artists: tuple[int, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The known tracks' ids, in order."""
        return tuple(match.id for match in self.matches if match.id is not None)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The words of the tracks that the catalogue lacks, in order, each spelling once."""
        texts = (match.wanted for match in self.matches if match.how == "text")
        return tuple(dict.fromkeys(track_words(wanted.title, wanted.artist) for wanted in texts))


def match(catalogue: Names, wanted: Sequence[Wanted], ordered: bool = True) -> Matched:
    """Return what each of a client's tracks is in ``catalogue``; as `match_all` otherwise."""
    return match_all(catalogue, [wanted], [ordered])[0]


def match_all(catalogue: Names, playlists: Sequence[Sequence[Wanted]], ordered: Sequence[bool]) -> list[Matched]:
    """Return what each track of each playlist is in ``catalogue``; what many playlists share is looked up once.

    A URI decides where the catalogue has it. Names are compared forgivingly (`Catalogue.find_name`); a name without
    an artist means the most popular track of that title. A track that comes twice in a playlist lacks or is known once.

    Args:
        catalogue: The catalogue.
        playlists: The playlists' tracks.
        ordered: Whether each playlist's tracks stand in an order.
    """
    found = _find(catalogue, list(dict.fromkeys(track for wanted in playlists for track in wanted)))
    matches = [tuple(found[track] for track in wanted) for wanted in playlists]
    known = [{one.id for one in each if one.id is not None} for each in matches]
    lacking = [[one.wanted.artist for one in dict.fromkeys(each) if one.how == "text"] for each in matches]
    asked = (
        artist
        for new, seeds, follow in zip(lacking, known, ordered, strict=True) if not follow or len(new) >= len(seeds)
        for artist in new[-_MOST_LACKING:]
    )  # fmt: skip
    by_artist = tracks_of(catalogue, asked)
    matched = []
    for each, new, seeds, follow in zip(matches, lacking, known, ordered, strict=True):
        instead = stand_ins(by_artist, new, seeds)
        heard = (tracks[0] for artist in new[-_MOST_LACKING:] if (tracks := by_artist.get(artist)))
        matched.append(Matched(each, instead, () if follow or instead else tuple(heard)))
    return matched


def tracks_of(catalogue: Names, artists: Iterable[str]) -> dict[str, list[int]]:
    """Return the ids of each artist's most popular tracks, best first: of the first reading that the catalogue has."""
    readings = {artist: [artist, *_artists(artist)] for artist in artists if artist}
    asked = list(dict.fromkeys(reading for several in readings.values() for reading in several))
    found = dict(zip(asked, catalogue.find_artists(asked), strict=True))
    return {artist: next(filter(None, map(found.get, several)), []) for artist, several in readings.items()}


def stand_ins(tracks: Mapping[str, Sequence[int]], artists: Sequence[str], seeds: Collection[int]) -> tuple[int, ...]:
    """Return what speaks for tracks that a catalogue lacks: their artist's most popular track that is no seed.

    A new track says little by its words and much by its artist, but less than a seed does: where more tracks are known
    than lacking, nothing stands in. docs/research.md has what that is worth.

    Args:
        tracks: What `tracks_of` found.
        artists: Of the lacking tracks, in order, "" where one is not told; the last 16 count, and who comes twice once.
        seeds: The playlist's known tracks.
    """
    if len(artists) < len(seeds):
        return ()
    last = artists[-_MOST_LACKING:]
    chosen = (next((track for track in tracks.get(artist, ()) if track not in seeds), None) for artist in last)
    return tuple(dict.fromkeys(track for track in chosen if track is not None))


def _find(catalogue: Names, wanted: Sequence[Wanted]) -> dict[Wanted, Match]:
    """Return what became of each track, by URI first and then by name."""
    uris = catalogue.find_uris([track.uri for track in wanted])
    unsettled = [track for track, number in zip(wanted, uris, strict=True) if number is None and track.title]
    by_name = _find_names(catalogue, dict.fromkeys((track.title, track.artist) for track in unsettled))
    return {
        track: Match(track, "uri", number) if number is not None else _named(track, by_name)
        for track, number in zip(wanted, uris, strict=True)
    }


def _named(track: Wanted, by_name: Mapping[tuple[str, str], int | None]) -> Match:
    """Return what becomes of a track whose URI is not in the catalogue."""
    number = by_name.get((track.title, track.artist))
    if number is not None:
        return Match(track, "name", number)
    return Match(track, "text" if track.title else "none")


def _find_names(catalogue: Names, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int | None]:
    """Return for each title and artist the id of the track of the first reading that the catalogue has."""
    readings = {name: list(dict.fromkeys(_readings(*name))) for name in names}
    asked = list(dict.fromkeys(reading for several in readings.values() for reading in several))
    found = dict(zip(asked, catalogue.find_names(asked), strict=True))
    hits = {name: (found[reading] for reading in several) for name, several in readings.items()}
    return {name: next((number for number in several if number is not None), None) for name, several in hits.items()}


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
    yield from ((title, one) for one in _artists(artist))


def _artists(artist: str) -> Iterator[str]:
    """Yield an artist as people write it otherwise: five ways at most, none of a name that is too long for one."""
    for one in dict.fromkeys((artist, *(sign.split(artist, maxsplit=1)[0].strip() for sign in _SEVERAL))):
        if not one or len(one) > _LONGEST_READING:
            continue
        if one != artist:
            yield one
        yield one[4:] if one.lower().startswith("the ") else f"The {one}"
