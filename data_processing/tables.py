"""The tables of the dataset contract (docs/architecture.md), from cleaned playlists and their split."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_processing.clean import Cleaned
from data_processing.collect import Collected
from data_processing.split import TRAIN
from segue.text import match_key, normalise_title

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tables:
    """The four tables, ready to be written.

    Attributes:
        tracks: See the contract, as are the next three.
        playlists: One row a playlist.
        entries: One row a place.
        split: One row a playlist.
        numbers: Each row of ``tracks``' number in `Collected`, shape (tracks,).
    """

    tracks: pa.Table
    playlists: pa.Table
    entries: pa.Table
    split: pa.Table
    numbers: Ints


def build_tables(collected: Collected, cleaned: Cleaned, sides: NDArray[np.str_]) -> Tables:
    """Number the tracks by falling number of training playlists, then URI, and lay out the tables."""
    lengths = np.diff(cleaned.starts)
    training = np.repeat(sides == TRAIN, lengths)
    train_counts = np.bincount(cleaned.tracks[training], minlength=len(cleaned.uris))
    numbers = _by_popularity(cleaned, train_counts)
    new = np.full(len(cleaned.uris), -1, np.int64)
    new[numbers] = np.arange(len(numbers))
    dense = pa.array(np.arange(len(lengths)), pa.int32())
    position = np.arange(cleaned.starts[-1]) - np.repeat(cleaned.starts[:-1], lengths)
    return Tables(
        tracks=_tracks(collected, cleaned, numbers, train_counts[numbers]),
        playlists=_playlists(collected, cleaned.playlists.tolist(), lengths),
        entries=pa.table(
            {
                "playlist": pa.array(np.repeat(np.arange(len(lengths)), lengths), pa.int32()),
                "position": pa.array(position, pa.int32()),
                "track": pa.array(new[cleaned.tracks], pa.int32()),
            }
        ),
        split=pa.table({"playlist": dense, "split": pa.array(sides.tolist(), pa.string())}),
        numbers=numbers,
    )


def _by_popularity(cleaned: Cleaned, train_counts: Ints) -> Ints:
    used = cleaned.catalogue
    keys = pa.table({"count": train_counts[used], "uri": pa.array([cleaned.uris[i] for i in used], pa.string())})
    order = pc.sort_indices(keys, sort_keys=[("count", "descending"), ("uri", "ascending")])
    return np.asarray(used[order.to_numpy()], np.int64)


def _tracks(collected: Collected, cleaned: Cleaned, numbers: Ints, train_counts: Ints) -> pa.Table:
    titles = [collected.titles[i] for i in numbers]
    artists = [collected.artists[i] for i in numbers]
    albums = [collected.albums[i] for i in numbers]
    spelled = {name: match_key(name) for name in {*artists, *albums}}
    artist_keys = [spelled[name] or None for name in artists]
    album_keys = [(spelled[b], spelled[a]) if spelled[b] else None for b, a in zip(albums, artists, strict=True)]
    return pa.table(
        {
            "track": pa.array(np.arange(len(numbers)), pa.int32()),
            "uri": pa.array([cleaned.uris[i] for i in numbers], pa.string()),
            "title": pa.array(titles, pa.string()),
            "artist": pa.array(artists, pa.string()),
            "album": pa.array(albums, pa.string()),
            "artist_id": pa.array(_dense(artist_keys), pa.int32()),
            "album_id": pa.array(_dense(album_keys), pa.int32()),
            "song": pa.array(_songs(cleaned.names[numbers]), pa.int32()),
            "train_count": pa.array(train_counts, pa.int32()),
        }
    )


def _dense(keys: Sequence[Hashable | None]) -> list[int]:
    """Return ids from 0 in the order of first sight, -1 for None."""
    ids: dict[Hashable, int] = {}
    return [-1 if key is None else ids.setdefault(key, len(ids)) for key in keys]


def _songs(names: Ints) -> Ints:
    """Return for each track the lowest track of its name id; a track without a name is its own song."""
    own = np.arange(len(names))
    _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    return np.where(names < 0, own, first[inverse]) if len(names) else own


def _playlists(collected: Collected, kept: list[int], lengths: Ints) -> pa.Table:
    names = [collected.names[i] for i in kept]
    return pa.table(
        {
            "playlist": pa.array(np.arange(len(kept)), pa.int32()),
            "source_id": pa.array([collected.source_ids[i] for i in kept], pa.string()),
            "name": pa.array(names, pa.string()),
            "title": pa.array([normalise_title(name) for name in names], pa.string()),
            "followers": pa.array([collected.followers[i] for i in kept], pa.int32()),
            "tracks": pa.array(lengths, pa.int32()),
        }
    )
