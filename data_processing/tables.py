"""The tables of the dataset contract (docs/architecture.md), from cleaned playlists and their split."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_processing.clean import Cleaned
from data_processing.gathered import Gathered
from data_processing.processes import Work
from data_processing.spellings import in_order, pairs, same_names
from data_processing.split import TRAIN
from segue.text import normalise_title

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tables:
    """The four tables, ready to be written.

    Attributes:
        tracks: See the contract, as are the next three.
        playlists: One row a playlist.
        entries: One row a place.
        split: One row a playlist.
        numbers: Each row of ``tracks``' number in `Gathered`, shape (tracks,).
    """

    tracks: pa.Table
    playlists: pa.Table
    entries: pa.Table
    split: pa.Table
    numbers: Ints


def build_tables(gathered: Gathered, cleaned: Cleaned, sides: NDArray[np.str_], work: Work) -> Tables:
    """Number the tracks by falling number of training playlists, then URI, and lay out the tables."""
    lengths = np.diff(cleaned.starts).astype(np.int32)
    training = np.repeat(sides == TRAIN, lengths)
    train_counts = np.bincount(cleaned.tracks[training], minlength=len(cleaned.uris))
    numbers = _by_popularity(cleaned, train_counts)
    new = np.full(len(cleaned.uris), -1, np.int32)
    new[numbers] = np.arange(len(numbers), dtype=np.int32)
    dense = np.arange(len(lengths), dtype=np.int32)
    position = np.arange(cleaned.starts[-1], dtype=np.int32)
    position -= np.repeat(cleaned.starts[:-1].astype(np.int32), lengths)
    return Tables(
        tracks=_tracks(gathered, cleaned, numbers, train_counts[numbers], work),
        playlists=_playlists(gathered, cleaned.playlists, lengths),
        entries=pa.table({"playlist": np.repeat(dense, lengths), "position": position, "track": new[cleaned.tracks]}),
        split=pa.table({"playlist": dense, "split": pa.array(sides, pa.string())}),
        numbers=numbers,
    )


def _by_popularity(cleaned: Cleaned, train_counts: Ints) -> Ints:
    used = cleaned.catalogue
    keys = pa.table({"count": train_counts[used], "uri": cleaned.uris.take(pa.array(used))})
    order = pc.sort_indices(keys, sort_keys=[("count", "descending"), ("uri", "ascending")])
    return np.asarray(used[order.to_numpy()], np.int64)


def _tracks(gathered: Gathered, cleaned: Cleaned, numbers: Ints, train_counts: Ints, work: Work) -> pa.Table:
    which = pa.array(numbers)
    artists, albums = gathered.artists.take(which), gathered.albums.take(which)
    same_artist, same_album = same_names(artists, work), same_names(albums, work)
    return pa.table(
        {
            "track": np.arange(len(numbers), dtype=np.int32),
            "uri": cleaned.uris.take(which),
            "title": gathered.titles.take(which),
            "artist": artists,
            "album": albums,
            "artist_id": in_order(same_artist, same_artist > 0),
            "album_id": in_order(pairs(same_album, same_artist), same_album > 0),
            "song": _songs(cleaned.names[numbers]),
            "train_count": train_counts.astype(np.int32),
        }
    )


def _songs(names: Ints) -> NDArray[np.int32]:
    """Return for each track the lowest track of its name id; a track without a name is its own song."""
    own = np.arange(len(names))
    _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    return np.where(names < 0, own, first[inverse]).astype(np.int32)


def _playlists(gathered: Gathered, kept: Ints, lengths: NDArray[np.int32]) -> pa.Table:
    which = pa.array(kept)
    names = gathered.names.take(which)
    distinct = names.dictionary_encode()  # half a million of a million are called "chill", "country" or "workout"
    titles = pa.array([normalise_title(name) for name in distinct.dictionary.to_pylist()], pa.string())
    return pa.table(
        {
            "playlist": np.arange(len(kept), dtype=np.int32),
            "source_id": gathered.source_ids.take(which),
            "name": names,
            "title": titles.take(distinct.indices),
            "followers": gathered.followers[kept],
            "tracks": lengths,
        }
    )
