"""From what was read to what is kept: one identity a track, one place a track in a playlist, no tiny playlists."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_processing.checks import DUPLICATE_TRACK
from data_processing.copies import runs
from data_processing.gathered import UNKEYED, Gathered
from data_processing.processes import Work
from data_processing.rejections import Rejections
from data_processing.spellings import pairs, same_names
from segue.text import match_key

Ints = NDArray[np.int64]
FEWEST_TRACKS = 2
_AT_ONCE = 1 << 22  # entries that are sorted together: what a sort needs beside them then stays below 200 MB


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The kept playlists as columns. Track numbers are still those of `Gathered`; some are not used any more.

    Attributes:
        uris: Each track's URI, strings of shape (tracks,); one that is known by its name only has a URI made from that
            name.
        names: Each track's name id, shape (tracks,): same normalised title and artist, same id; -1 without a name.
        playlists: Numbers in `Gathered` of the kept playlists, rising, shape (playlists,).
        starts: Where each kept playlist's entries begin, shape (playlists + 1,).
        tracks: The entries' tracks, by playlist and position, shape (entries,).
        catalogue: The tracks that the catalogue is to hold, rising, shape (kept tracks,).
        counts: What cleaning did, for the report.
    """

    uris: pa.Array
    names: Ints
    playlists: Ints
    starts: Ints
    tracks: NDArray[np.int32]
    catalogue: Ints
    counts: dict[str, int] = field(default_factory=dict)


def clean(gathered: Gathered, rejections: Rejections, work: Work) -> Cleaned:
    """Link tracks without a URI to the URI of their name, drop repeats and playlists of fewer than two tracks.

    Raises:
        InputError: A track is repeated in a playlist and the rejections are strict.
    """
    names = _name_ids(gathered, work)
    unkeyed = pc.starts_with(gathered.keys, UNKEYED).to_numpy(zero_copy_only=False)
    link = _links(gathered, names, unkeyed)
    tracks = link[gathered.tracks]
    linked = int((tracks != gathered.tracks).sum())
    first = _first_places(gathered, tracks, rejections)
    starts = _starts(gathered.lengths)
    lengths = np.add.reduceat(np.append(first, False), starts[:-1], dtype=np.int64) * (gathered.lengths > 0)
    long_enough = lengths >= FEWEST_TRACKS
    counts = {
        "playlists_too_short": int((~long_enough).sum()),
        "playlist_names_damaged": gathered.facts["damaged_names"],
        "tracks_without_uri": int(unkeyed.sum()),
        "tracks_linked_to_uri_by_name": int((link != np.arange(len(link))).sum()),
        "entries_linked_to_uri_by_name": linked,
    }
    tracks = tracks[first & np.repeat(long_enough, gathered.lengths)]
    return Cleaned(
        uris=_uris(gathered, unkeyed),
        names=names,
        playlists=np.flatnonzero(long_enough),
        starts=_starts(lengths[long_enough]),
        tracks=tracks,
        catalogue=np.flatnonzero(np.bincount(tracks, minlength=len(link))),
        counts=counts,
    )


def made_uri(title: str, artist: str) -> str:
    """Return the URI of a track that its source gives none: ``segue:track:`` and 22 hex digits of its name's sha256."""
    name = f"{match_key(title)}\n{match_key(artist)}"
    return f"segue:track:{hashlib.sha256(name.encode()).hexdigest()[:22]}"


def _starts(lengths: NDArray[np.integer]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _name_ids(gathered: Gathered, work: Work) -> Ints:
    ids = pairs(same_names(gathered.titles, work), same_names(gathered.artists, work))
    named = pc.and_(pc.not_equal(gathered.titles, ""), pc.not_equal(gathered.artists, ""))
    return np.where(named.to_numpy(zero_copy_only=False), ids, -1)


def _links(gathered: Gathered, names: Ints, unkeyed: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return each track's final number, shape (tracks,); one without a URI links to the most used URI of its name."""
    link = np.arange(len(names), dtype=np.int32)
    if not unkeyed.any():
        return link
    uses = np.bincount(gathered.tracks, minlength=len(names))
    namesakes = np.flatnonzero(np.isin(names, names[unkeyed]) & ~unkeyed)
    best: dict[int, tuple[int, str, int]] = {}  # name id to its URIs' least of (-uses, URI, number)
    for i, uri in zip(namesakes.tolist(), gathered.keys.take(pa.array(namesakes)).to_pylist(), strict=True):
        name, rank = int(names[i]), (-int(uses[i]), uri, i)
        best[name] = min(best.get(name, rank), rank)
    for i in np.flatnonzero(unkeyed).tolist():
        link[i] = best[int(names[i])][2] if int(names[i]) in best else i
    return link


def _first_places(gathered: Gathered, tracks: NDArray[np.int32], rejections: Rejections) -> NDArray[np.bool_]:
    """Return whether each entry is its track's first in its playlist; count those that are not as rejected."""
    first = np.zeros(len(tracks), bool)
    starts = _starts(gathered.lengths)
    for low, high in runs(starts, _AT_ONCE):
        begin, end = int(starts[low]), int(starts[high])
        playlist = np.repeat(np.arange(high - low), gathered.lengths[low:high])
        keys = playlist * len(gathered.keys) + tracks[begin:end]
        first[begin + np.unique(keys, return_index=True)[1]] = True
        for i in np.flatnonzero(~first[begin:end]).tolist():
            where = f"Playlist {gathered.source_ids[low + int(playlist[i])].as_py()!a}"
            rejections.add(DUPLICATE_TRACK, where, _shown(gathered, int(tracks[begin + i])))
    return first


def _shown(gathered: Gathered, track: int) -> str:
    key = str(gathered.keys[track].as_py())
    return str(gathered.titles[track].as_py()) if key.startswith(UNKEYED) else key


def _uris(gathered: Gathered, unkeyed: NDArray[np.bool_]) -> pa.Array:
    which = pa.array(np.flatnonzero(unkeyed))
    titles, artists = gathered.titles.take(which).to_pylist(), gathered.artists.take(which).to_pylist()
    made = [made_uri(title, artist) for title, artist in zip(titles, artists, strict=True)]
    return pc.replace_with_mask(gathered.keys, pa.array(unkeyed), pa.array(made, pa.string()))
