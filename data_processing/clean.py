"""From what was read to what is kept: one identity a track, one place a track in a playlist, no tiny playlists."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_processing.checks import DUPLICATE_TRACK
from data_processing.collect import Collected
from data_processing.rejections import Rejections
from segue.text import match_key

Ints = NDArray[np.int64]
FEWEST_TRACKS = 2


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The kept playlists as columns. Track numbers are still those of `Collected`; some are not used any more.

    Attributes:
        uris: Each track's URI; one that is known by its name only has a URI made from that name.
        names: Each track's name id, shape (tracks,): same normalised title and artist, same id; -1 without a name.
        playlists: Numbers in `Collected` of the kept playlists, rising, shape (playlists,).
        starts: Where each kept playlist's entries begin, shape (playlists + 1,).
        tracks: The entries' tracks, by playlist and position, shape (entries,).
        catalogue: The tracks that the catalogue is to hold, rising, shape (kept tracks,).
        counts: What cleaning did, for the report.
    """

    uris: list[str]
    names: Ints
    playlists: Ints
    starts: Ints
    tracks: Ints
    catalogue: Ints
    counts: dict[str, int] = field(default_factory=dict)


def clean(collected: Collected, rejections: Rejections) -> Cleaned:
    """Link tracks without a URI to the URI of their name, drop repeats and playlists of fewer than two tracks.

    Raises:
        InputError: A track is repeated in a playlist and the rejections are strict.
    """
    names = _name_ids(collected)
    link, by_name = _links(collected, names)
    playlist, track = _ordered(collected)
    linked = link[track] != track
    track = link[track]
    first = _first_places(playlist, track, len(collected.uris))
    _report_repeats(collected, playlist, track, first, rejections)
    playlist, track = playlist[first], track[first]
    lengths = np.bincount(playlist, minlength=len(collected.names))
    kept = np.flatnonzero(lengths >= FEWEST_TRACKS)
    long_enough = lengths[playlist] >= FEWEST_TRACKS
    counts = {
        "playlists_too_short": len(collected.names) - len(kept),
        "playlist_names_damaged": collected.damaged_names,
        "tracks_without_uri": len(by_name),
        "tracks_linked_to_uri_by_name": int((link != np.arange(len(link))).sum()),
        "entries_linked_to_uri_by_name": int(linked.sum()),
    }
    starts = np.concatenate([[0], np.cumsum(lengths[kept])])
    uris = [uri or made_uri(collected.titles[i], collected.artists[i]) for i, uri in enumerate(collected.uris)]
    track = track[long_enough]
    return Cleaned(uris, names, kept, starts, track, np.unique(track), counts)


def made_uri(title: str, artist: str) -> str:
    """Return the URI of a track that its source gives none: ``segue:track:`` and 22 hex digits of its name's sha256."""
    name = f"{match_key(title)}\n{match_key(artist)}"
    return f"segue:track:{hashlib.sha256(name.encode()).hexdigest()[:22]}"


def _name_ids(collected: Collected) -> Ints:
    artists = {artist: match_key(artist) for artist in set(collected.artists)}
    numbers: dict[tuple[str, str], int] = {}
    ids = np.full(len(collected.uris), -1, np.int64)
    for i, (title, artist) in enumerate(zip(collected.titles, collected.artists, strict=True)):
        if title and artist:
            ids[i] = numbers.setdefault((match_key(title), artists[artist]), len(numbers))
    return ids


def _links(collected: Collected, names: Ints) -> tuple[Ints, list[int]]:
    """Return each track's final number, and the tracks without a URI; one links to the most used URI of its name."""
    uses = np.bincount(_column(collected.entry_track), minlength=len(collected.uris))
    link = np.arange(len(collected.uris))
    without = [i for i, uri in enumerate(collected.uris) if not uri]
    wanted = {int(names[i]) for i in without}
    best: dict[int, int] = {}
    for i in np.flatnonzero(np.isin(names, list(wanted))).tolist():
        name, uri = int(names[i]), collected.uris[i]
        if uri and (name not in best or (-uses[i], uri) < (-uses[best[name]], collected.uris[best[name]])):
            best[name] = i
    for i in without:
        link[i] = best.get(int(names[i]), i)
    return link, without


def _column(values: ArrayLike) -> Ints:
    return np.asarray(values, np.int32).astype(np.int64)


def _ordered(collected: Collected) -> tuple[Ints, Ints]:
    """Return the entries' playlists and tracks by playlist, then position, then order of reading."""
    playlist, position = _column(collected.entry_playlist), _column(collected.entry_position)
    order = np.lexsort((position, playlist))
    return playlist[order], _column(collected.entry_track)[order]


def _first_places(playlist: Ints, track: Ints, tracks: int) -> NDArray[np.bool_]:
    """Return whether each entry is its track's first in its playlist."""
    first = np.zeros(len(playlist), bool)
    first[np.unique(playlist * max(tracks, 1) + track, return_index=True)[1]] = True
    return first


def _report_repeats(
    collected: Collected, playlist: Ints, track: Ints, first: NDArray[np.bool_], rejections: Rejections
) -> None:
    for i in np.flatnonzero(~first).tolist():
        where = f"Playlist {collected.source_ids[playlist[i]]!a}"
        number = int(track[i])
        rejections.add(DUPLICATE_TRACK, where, collected.uris[number] or collected.titles[number])
