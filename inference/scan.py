"""The best tracks for playlists' vectors: a pass over the catalogue's 8-bit vectors, in a small library of C.

All who ask at the same time share one pass, which reads the vectors once for all of them; nobody's list depends on who
else asks. The library, ``_scan.c``, is built with the package where there is a C compiler. Where it is missing the
bundle's whole graph does the same work in about twice the time (`inference.graph`), and its lists differ by float
rounding alone.
"""

import ctypes
import logging
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.tiles import Tiles, shape_at
from inference.turns import aside
from segue.cpu_limit import cpu_limit
from segue.errors import BundleError

_LOG = logging.getLogger("segue.scan")
_LONGEST = 1024  # numbers of a vector, as in _scan.c
Ids = NDArray[np.int64]
Floats = NDArray[np.float32]


@cache
def library() -> ctypes.CDLL | None:
    """Return the library, or None where it was not built for this machine."""
    for file in sorted(Path(__file__).parent.glob("_scan*.so")):
        try:
            found = ctypes.CDLL(str(file))
            pointer, whole = ctypes.c_void_p, ctypes.c_int64
            found.segue_open.restype, found.segue_open.argtypes = pointer, (pointer, whole, whole)
            found.segue_best.restype, found.segue_best.argtypes = whole, (pointer, pointer, whole)
            found.segue_close.restype, found.segue_close.argtypes = None, (pointer,)
        except (OSError, AttributeError) as error:  # of another machine, or of another Segue
            _LOG.warning("The library %s cannot be loaded (%s); build it again by make setup.", file.name, error)
        else:
            return found
    return None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What tracks, and n-grams of titles, say for tracks: `train.neighbourhood`, in the form that the library reads.

    Attributes:
        row: (M,) int32 row of each of the N tracks; where there are fewer, the last one's is that of all that follow.
        title_row: (G,) int32 row of each n-gram, if they speak at all.
        ids: (R, K) int32 neighbours.
        values: (R, K) int8 how much the row's speakers speak for them, falling; 0 where there are fewer.
        scale: (R, 1) float32 what a row's values are multiplied by.
        leaders: By how many of the largest sums a playlist's votes are measured.
    """

    row: NDArray[np.int32]
    title_row: NDArray[np.int32]
    ids: NDArray[np.int32]
    values: NDArray[np.int8]
    scale: Floats
    leaders: int

    @classmethod
    def read(cls, model: Path, layout: Mapping[str, Any]) -> "Neighbours":
        """Read them out of a model's file; as `Table.read`, which checks them against the tracks.

        Raises:
            ValueError: They do not fit each other.
        """
        numbers = np.dtype(np.int32)
        titles = _array(model, numbers, layout["title_row"]) if "title_row" in layout else np.empty(0, numbers)
        found = cls(
            row=_array(model, numbers, layout["row"]).ravel(),
            title_row=titles.ravel(),
            ids=_array(model, numbers, layout["ids"]),
            values=_array(model, np.dtype(np.int8), layout["values"]),
            scale=_array(model, np.dtype(np.float32), layout["scale"]),
            leaders=int(layout["leaders"]),
        )
        rows, speakers = len(found.ids), np.concatenate([found.row, found.title_row])
        right = found.ids.ndim == 2 and found.values.shape == found.ids.shape and found.scale.shape == (rows, 1)
        if not right or not 0 <= speakers.min() <= speakers.max() < rows or found.leaders < 1:
            raise ValueError(f"{found.ids.shape} neighbours that do not fit {len(speakers)} speakers and {rows} rows")
        return found

    def check(self, tracks: int) -> None:
        """Refuse neighbours that are not of a catalogue of so many tracks.

        Raises:
            ValueError: There are more tracks that speak, or none, or a neighbour does not exist.
        """
        if not 1 <= len(self.row) <= tracks or not 0 <= self.ids.min() <= self.ids.max() < tracks:
            raise ValueError(f"{tracks} tracks have the neighbours of {len(self.row)}, or some that do not exist")


@dataclass(frozen=True, slots=True)
class Kin:
    """Which tracks are of one artist, or from one album: `train.kin`, in the form that the library reads.

    Attributes:
        of: (N,) int32 group of each track, -1 where unknown.
        first: (G + 1,) int32 where each group begins in ``tracks``, and where the last one ends.
        tracks: (M,) int32 tracks of one group after the other, rising within each.
    """

    of: NDArray[np.int32]
    first: NDArray[np.int32]
    tracks: NDArray[np.int32]

    @classmethod
    def among(cls, groups: NDArray[np.int32]) -> "Kin":
        """Return the groups of tracks (N,), numbered from 1 on; one that is of an unknown group has 0.

        Raises:
            ValueError: A group is below 0, or there are more groups than tracks.
        """
        if not 0 <= groups.min() <= groups.max() <= len(groups):
            raise ValueError(f"{len(groups)} tracks cannot be of the groups {groups.min()} to {groups.max()}")
        ends = np.cumsum(np.bincount(groups)).astype(np.int32)
        tracks = np.argsort(groups, kind="stable")[ends[0] :].astype(np.int32)
        return cls(groups - np.int32(1), ends - ends[0], tracks)


class _Kin(ctypes.Structure):
    """``struct kin`` of the library."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("of", "first", "tracks")),
        ("groups", ctypes.c_int64),
    )

    @classmethod
    def of_tracks(cls, kin: Kin | None) -> "_Kin":
        """Return where the arrays of ``kin`` stand, or that there are no groups."""
        if kin is None:
            return cls(None, None, None, 0)
        return cls(*(array.ctypes.data for array in (kin.of, kin.first, kin.tracks)), len(kin.first) - 1)


class _Catalogue(ctypes.Structure):
    """``struct catalogue`` of the library."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("vectors", "scale", "popularity", "bias")),
        *((name, ctypes.c_void_p) for name in ("row", "title_row", "neighbours", "said", "said_scale")),
        *((name, _Kin) for name in ("artists", "albums")),
        *((name, ctypes.c_int64) for name in ("tracks", "length", "listed", "titles", "kept", "leaders")),
    )


class _Playlist(ctypes.Structure):
    """``struct playlist`` of the library."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("vector", "heard", "own")),
        *((name, ctypes.c_void_p) for name in ("loudness", "artist_loudness", "album_loudness")),
        *((name, ctypes.c_void_p) for name in ("best", "best_scores")),
        *((name, ctypes.c_int64) for name in ("heard_count", "own_count", "k", "found")),
        *((name, ctypes.c_float) for name in ("popularity", "neighbours", "titles", "artists", "albums")),
    )


@dataclass(frozen=True, slots=True)
class Table:
    """The tracks of a catalogue as candidates.

    Attributes:
        vectors: Their 8-bit vectors.
        scale: (N,) float32 what a track's numbers are multiplied by.
        prior: (2, N) float32 popularity, which a playlist weighs, and bias.
        neighbours: What tracks say for others, or None.
        artists: Who is of which artist, or None…
        albums: …and from which album.
    """

    vectors: Tiles
    scale: Floats
    prior: Floats
    neighbours: Neighbours | None
    artists: Kin | None = None
    albums: Kin | None = None

    @classmethod
    def read(cls, model: Path, layout: Mapping[str, Any]) -> "Table":
        """Read the table out of a model's file, where ``layout`` says that it stands.

        Args:
            model: The bundle's ``model.onnx``.
            layout: ``vectors``, ``scale`` and ``prior``, each with its ``offset`` in bytes and its ``shape``, and
                ``neighbours``: the same of the arrays of `Neighbours`, and ``leaders``; or without it. Likewise
                ``artists`` and ``albums``: which each track is of, from 1 on.

        Raises:
            BundleError: The layout does not fit the file or itself.
        """
        try:
            vectors = Tiles.read(model, layout["vectors"])
            scale, prior = (_array(model, np.dtype(np.float32), layout[name]) for name in ("scale", "prior"))
            neighbours = Neighbours.read(model, layout["neighbours"]) if "neighbours" in layout else None
            artists, albums = (
                Kin.among(_array(model, np.dtype(np.int32), layout[name])) if name in layout else None
                for name in ("artists", "albums")
            )
            if vectors.length > _LONGEST:
                raise ValueError(f"vectors of {vectors.length} numbers cannot be scanned")
            if scale.shape != (len(vectors),) or prior.shape != (2, len(vectors)):
                raise ValueError(f"{len(vectors)} vectors have scales {scale.shape} and a prior {prior.shape}")
            if neighbours is not None:
                neighbours.check(len(vectors))
            if any(kin is not None and kin.of.shape != scale.shape for kin in (artists, albums)):
                raise ValueError(f"artists or albums are not of {len(vectors)} tracks")
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(
                f"The manifest beside {model} says wrongly where its tracks stand ({error!r}); export the bundle again."
            ) from error
        return cls(vectors, scale, prior, neighbours, artists, albums)

    def scan(self, threads: int | None = None, way: int | None = None) -> "Scan":
        """Return the table, ready to be scanned; as `Scan` otherwise.

        Raises:
            ValueError: The library is not built, or this CPU does not know the way.
        """
        native = library()
        if native is None:
            raise ValueError("the library is not built")
        return Scan(self, native, threads or max(1, round(cpu_limit())), -1 if way is None else way)


class Scan:
    """Scans a table; safe to share between threads, and meant to be: who asks at the same time shares one pass."""

    def __init__(self, table: Table, native: ctypes.CDLL, threads: int, way: int = -1) -> None:
        """Scan ``table`` with the library.

        Args:
            table: What is scanned.
            native: The library.
            threads: Of all that ask, how many work at the same time.
            way: How to multiply: 0 in plain C, 1 with AVX2, 2 with VNNI; -1 as this CPU does it best. All give the
                same integers.

        Raises:
            ValueError: This CPU does not know the way.
        """
        self._table, self._native = table, native
        tracks, length = len(table.vectors), table.vectors.length
        arrays, numbers = [table.vectors.tiles, table.scale, table.prior[0], table.prior[1]], [tracks, length]
        if (others := table.neighbours) is not None:
            arrays += [others.row, others.title_row, others.ids, others.values, others.scale]
            numbers += [len(others.row), len(others.title_row), others.ids.shape[1], min(others.leaders, tracks)]
        places = [array.ctypes.data for array in arrays]
        kin = map(_Kin.of_tracks, (table.artists, table.albums))
        catalogue = _Catalogue(*places, *[None] * (9 - len(places)), *kin, *numbers)
        self._pass = native.segue_open(ctypes.byref(catalogue), threads, way)
        if not self._pass:
            raise ValueError(f"{tracks} tracks by {length} cannot be scanned by {threads} threads in the way {way}")
        weakref.finalize(self, native.segue_close, self._pass).atexit = False

    def best(
        self, vector: Floats, weights: Floats, heard: Ids, loudness: Floats, own: Ids, k: int
    ) -> tuple[Ids, Floats]:
        """Return the best ``k`` tracks for one playlist, or fewer where there are no more; as `best_of_each` otherwise.

        Args:
            vector: (D,) float32 of the playlist.
            weights: (5,) how much popularity counts, what the means of the largest votes become, of the tracks'
                neighbours and of the title's, and what who shares an artist or an album with a track gains.
            heard: (P,) int64 speakers whose neighbours gain: tracks, and N and more for n-grams, padded with -1.
            loudness: (3, P) how much each of them counts, for its neighbours, its artist and its album.
            own: (S,) int64 tracks that are left out, padded with -1.
            k: Most tracks that are wanted.
        """
        ids, scores = self.best_of_each(vector[None], weights[None], heard[None], loudness[None], own[None], k)
        found = int((scores[0] > -np.inf).sum())
        return ids[0, :found], scores[0, :found]

    def best_of_each(
        self, vectors: Floats, weights: Floats, heard: Ids, loudness: Floats, own: Ids, k: int
    ) -> tuple[Ids, Floats]:
        """Return ids, int64 (B, k), best first and equal ones by id, and their scores, float32 (B, k).

        Where no track is left, an id is 0 and its score -inf.

        Args:
            vectors: (B, D) float32, one of each playlist.
            weights: (B, 5) how much popularity counts, what the means of the largest votes become, of the tracks'
                neighbours and of the title's, and what who shares an artist or an album with a track gains.
            heard: (B, P) int64 speakers whose neighbours gain: tracks, and N and more for n-grams, padded with -1.
            loudness: (B, 3, P) how much each of them counts, for its neighbours, its artist and its album.
            own: (B, S) int64 tracks that are left out, padded with -1.
            k: Most tracks that are wanted.

        Raises:
            ValueError: A playlist is not of this catalogue.
        """
        tracks, length = len(self._table.vectors), self._table.vectors.length
        batch, wanted = len(vectors), min(k, tracks)
        ids, scores = np.zeros((batch, k), np.int64), np.full((batch, k), -np.inf, np.float32)
        vectors, loudness = (np.ascontiguousarray(array, np.float32) for array in (vectors, loudness))
        heard, own = np.ascontiguousarray(heard, np.int64), np.ascontiguousarray(own, np.int64)
        right = vectors.shape == (batch, length) and weights.shape == (batch, 5)
        right = right and loudness.shape == (batch, 3, *heard.shape[1:]) and len(heard) == len(own) == batch
        playlists = (_Playlist * batch)()
        for row, one in enumerate(playlists if right else ()):
            one.vector, one.heard, one.own = (array[row].ctypes.data for array in (vectors, heard, own))
            one.loudness, one.artist_loudness, one.album_loudness = (part.ctypes.data for part in loudness[row])
            one.best, one.best_scores = ids[row].ctypes.data, scores[row].ctypes.data
            one.heard_count, one.own_count, one.k = heard.shape[1], own.shape[1], wanted
            one.popularity, one.neighbours, one.titles, one.artists, one.albums = weights[row]
        with aside():
            done = right and self._native.segue_best(self._pass, playlists, batch) == 0
        if not done:
            raise ValueError(
                f"Playlists of {vectors.shape} numbers cannot be ranked among {tracks} tracks by {length}; they have "
                "to be of that length and finite, with five weights each, and their tracks of that catalogue."
            )
        return ids, scores


def read_vectors(model: Path, layout: Mapping[str, Any]) -> Tiles | None:
    """Read the vectors of a table alone; None where ``layout`` has none. Otherwise as `Table.read`.

    Raises:
        BundleError: The layout does not fit the file.
    """
    if "vectors" not in layout:
        return None
    try:
        return Tiles.read(model, layout["vectors"])
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"The manifest beside {model} says wrongly where its tracks stand ({error!r}); export the bundle again."
        ) from error


def _array(file: Path, kind: np.dtype[Any], place: Mapping[str, Any]) -> NDArray[Any]:
    shape = shape_at(place)
    # Read and not mapped: a copy has large pages, and nobody can change it under the service.
    return np.fromfile(file, kind, int(np.prod(shape)), offset=int(place["offset"])).reshape(shape)
