"""The ways to find the best tracks for a vector that are compared, each behind the same door.

Exhaustive ones look at every track; for the others ``efforts`` are the settings of how much they look at. Graphs have
16 neighbours, 32 on the lowest level, weigh 100 while they are built, and go by distance (`vectors.lengthened`). Cells
are twice the root of the number of tracks.
"""

import importlib
import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.peers.vectors import Floats, Ids, asking, lengthened

_NEIGHBOURS, _BUILT_WITH, _SEED = 16, 100, 0


class Index(Protocol):
    """A catalogue that is ready to be asked."""

    @property
    def stored(self) -> int:
        """Bytes of its own form of the vectors, and of what it has beside them."""
        ...

    @property
    def scanned(self) -> int:
        """Bytes that a query reads, where it reads all there is; else 0."""
        ...

    @property
    def efforts(self) -> tuple[int, ...]:
        """Settings of how much it looks at; 0 alone where it has none."""
        ...

    def use(self, threads: int, effort: int) -> None:
        """Search with that many threads and that effort from now on."""
        ...

    def search(self, queries: Floats, k: int) -> Ids:
        """Return the best ``k`` (B, k) for each of B vectors, best first, -1 where none was found."""
        ...


class _Exhaustive:
    """What all have in common that read 32-bit vectors from the first to the last."""

    efforts: tuple[int, ...] = (0,)

    def __init__(self, vectors: Floats) -> None:
        self.stored = self.scanned = vectors.nbytes


def _blas(threads: int) -> None:
    importlib.import_module("threadpoolctl").threadpool_limits(threads)


class Numpy(_Exhaustive):
    """A product by BLAS, a partition, and a sort of what is left."""

    def __init__(self, vectors: Floats, threads: int) -> None:
        super().__init__(vectors)
        self._columns = vectors.T

    def use(self, threads: int, effort: int) -> None:
        """As `Index.use`."""
        _blas(threads)

    def search(self, queries: Floats, k: int) -> Ids:
        """As `Index.search`."""
        scores = queries @ self._columns  # (B, N)
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        return np.take_along_axis(best, order, 1)


class Segue:
    """The service's own scan: all threads take part in a query, and queries that come together share a pass."""

    efforts: tuple[int, ...] = (0,)

    def __init__(self, vectors: Floats, threads: int) -> None:
        from inference.scan import Table
        from inference.tiles import Tiles

        rows, scale = quantised(vectors)
        self._table = Table(Tiles.of(rows), scale, np.zeros((2, len(vectors)), np.float32), None)
        # A track's 8-bit numbers, its scale, and its two priors, which are read whether they are zero or not.
        self.stored = self.scanned = len(vectors) * (vectors.shape[1] + 3 * 4)

    def use(self, threads: int, effort: int) -> None:
        """As `Index.use`; a scan has its helpers from its beginning on, so that it begins anew."""
        self._scan = self._table.scan(threads)

    def search(self, queries: Floats, k: int) -> Ids:
        """As `Index.search`; no playlist has tracks that speak for others, or that are left out."""
        count = len(queries)
        nobody, silence = np.empty((count, 0), np.int64), np.empty((count, 3, 0), np.float32)
        return self._scan.best_of_each(queries, np.zeros((count, 5), np.float32), nobody, silence, nobody, k)[0]


class Implicit(_Exhaustive):
    """`MatrixFactorizationBase.recommend`, with the vectors as factors; a query is one thread's."""

    def __init__(self, vectors: Floats, threads: int) -> None:
        super().__init__(vectors)
        _blas(1)  # as implicit itself asks for: it has threads of its own
        self._model: Any = importlib.import_module("implicit.cpu.als").AlternatingLeastSquares(vectors.shape[1])
        self._model.item_factors = vectors

    def use(self, threads: int, effort: int) -> None:
        """As `Index.use`."""
        self._model.num_threads = threads

    def search(self, queries: Floats, k: int) -> Ids:
        """As `Index.search`."""
        self._model.user_factors = queries
        rows = np.arange(len(queries))
        found: Ids = self._model.recommend(rows, None, N=k, filter_already_liked_items=False)[0]
        return found


class _Faiss(ABC):
    """What all of faiss's have in common."""

    efforts: tuple[int, ...] = (0,)
    scanned = 0

    def __init__(self, vectors: Floats, threads: int) -> None:
        self._faiss: Any = importlib.import_module("faiss")
        self._faiss.omp_set_num_threads(threads)
        self._index = self._make(len(vectors), vectors.shape[1])
        self._index.train(vectors)
        self._index.add(vectors)

    @property
    def stored(self) -> int:
        """As `Index.stored`."""
        with tempfile.TemporaryDirectory() as folder:
            self._faiss.write_index(self._index, str(Path(folder) / "index"))
            return (Path(folder) / "index").stat().st_size

    def use(self, threads: int, effort: int) -> None:
        """As `Index.use`."""
        self._faiss.omp_set_num_threads(threads)
        self._effort = effort

    def search(self, queries: Floats, k: int) -> Ids:
        """As `Index.search`."""
        found: Ids = self._index.search(queries, k)[1]
        return found

    @abstractmethod
    def _make(self, tracks: int, dimension: int) -> Any:
        """Return faiss's index, empty."""


class FaissFlat(_Faiss):
    """32-bit vectors, from the first to the last."""

    def _make(self, tracks: int, dimension: int) -> Any:
        self.scanned = 4 * tracks * dimension
        return self._faiss.IndexFlatIP(dimension)


class FaissSq8(_Faiss):
    """8-bit vectors, from the first to the last; each is decoded to floats as it is read."""

    def _make(self, tracks: int, dimension: int) -> Any:
        self.scanned = tracks * dimension
        eight_bits = self._faiss.ScalarQuantizer.QT_8bit
        return self._faiss.IndexScalarQuantizer(dimension, eight_bits, self._faiss.METRIC_INNER_PRODUCT)


class FaissHnsw(_Faiss):
    """A graph over 32-bit vectors."""

    efforts = (64, 1024)

    def __init__(self, vectors: Floats, threads: int) -> None:
        super().__init__(lengthened(vectors), threads)

    def _make(self, tracks: int, dimension: int) -> Any:
        index = self._faiss.IndexHNSWFlat(dimension, _NEIGHBOURS)
        index.hnsw.efConstruction = _BUILT_WITH
        return index

    def search(self, queries: Floats, k: int) -> Ids:
        """As `Index.search`."""
        self._index.hnsw.efSearch = max(self._effort, k)
        return super().search(asking(queries), k)


class FaissIvf(_Faiss):
    """Cells of 32-bit vectors, of which the nearest are read."""

    efforts = (16, 64)

    def _make(self, tracks: int, dimension: int) -> Any:
        self._cells = self._faiss.IndexFlatIP(dimension)
        product = self._faiss.METRIC_INNER_PRODUCT
        return self._faiss.IndexIVFFlat(self._cells, dimension, _cells(tracks), product)

    def use(self, threads: int, effort: int) -> None:
        """As `Index.use`."""
        super().use(threads, effort)
        self._index.nprobe = effort


class Hnswlib:
    """A graph over 32-bit vectors."""

    efforts = (64, 1024)
    scanned = 0

    def __init__(self, vectors: Floats, threads: int) -> None:
        self._index: Any = importlib.import_module("hnswlib").Index("l2", vectors.shape[1] + 1)
        self._index.init_index(len(vectors), M=_NEIGHBOURS, ef_construction=_BUILT_WITH, random_seed=_SEED)
        self._index.add_items(lengthened(vectors), num_threads=threads)

    @property
    def stored(self) -> int:
        """As `Index.stored`."""
        return int(self._index.index_file_size())

    def use(self, threads: int, effort: int) -> None:
        """As `Index.use`."""
        self._threads, self._effort = threads, effort

    def search(self, queries: Floats, k: int) -> Ids:
        """As `Index.search`."""
        self._index.set_ef(max(self._effort, k))
        found: Ids = self._index.knn_query(asking(queries), k, num_threads=self._threads)[0].astype(np.int64)
        return found


class Scann:
    """Cells of vectors in 4 bits a pair of numbers; the best of those are looked at again in 32 bits."""

    efforts = (16, 64)
    scanned = 0
    _AGAIN = 2  # times k

    def __init__(self, vectors: Floats, threads: int) -> None:
        door: Any = importlib.import_module("scann").scann_ops_pybind
        builder = door.builder(vectors, 10, "dot_product").set_n_training_threads(threads)
        cells = _cells(len(vectors))
        builder = builder.tree(cells, min(cells, 64), training_sample_size=min(len(vectors), 250_000))
        self._searcher = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(1000).build()

    @property
    def stored(self) -> int:
        """As `Index.stored`."""
        with tempfile.TemporaryDirectory() as folder:
            self._searcher.serialize(folder)
            return sum(file.stat().st_size for file in Path(folder).iterdir())

    def use(self, threads: int, effort: int) -> None:
        """As `Index.use`."""
        self._effort, self._parallel = effort, threads > 1
        self._searcher.set_num_threads(threads)

    def search(self, queries: Floats, k: int) -> Ids:
        """As `Index.search`."""
        again = max(100, self._AGAIN * k)
        if len(queries) == 1:
            best = self._searcher.search(queries[0], k, again, self._effort)[0]
            return _filled(best[None].astype(np.int64), k)
        many = self._searcher.search_batched_parallel if self._parallel else self._searcher.search_batched
        return _filled(many(queries, k, again, self._effort)[0].astype(np.int64), k)


@dataclass(frozen=True, slots=True)
class Peer:
    """One that is compared.

    Attributes:
        needs: The modules that it cannot do without; they are imported before its memory is counted.
        open: From vectors (N, D) and threads to an index.
        what: What it is, for the report.
        effort: What its efforts are called.
    """

    needs: tuple[str, ...]
    open: Callable[[Floats, int], Index]
    what: str
    effort: str = ""


_ONE_THREAD = "one query is one thread's"
_GRAPH = "over distances, M = 16, efConstruction = 100; ef is at least k"
PEERS: dict[str, Peer] = {
    "numpy": Peer(("numpy",), Numpy, "`queries @ vectors.T` in 32 bits, `argpartition`, a sort of what is left"),
    "segue": Peer(
        ("inference.scan", "train.quantise"),
        Segue,
        "our scan of 8-bit vectors (`inference/_scan.c`) with its exact top k; queries that come together share a pass",
    ),
    "implicit": Peer(
        ("implicit.cpu.als",),
        Implicit,
        f"`MatrixFactorizationBase.recommend` with the vectors as factors; {_ONE_THREAD}",
    ),
    "faiss Flat": Peer(("faiss",), FaissFlat, "`IndexFlatIP`"),
    "faiss SQ8": Peer(("faiss",), FaissSq8, "`IndexScalarQuantizer`, `QT_8bit`"),
    "faiss IVF": Peer(("faiss",), FaissIvf, "`IndexIVFFlat`, cells twice the root of the number of tracks", "nprobe"),
    "faiss HNSW": Peer(("faiss",), FaissHnsw, f"`IndexHNSWFlat` {_GRAPH}", "ef"),
    "hnswlib": Peer(("hnswlib",), Hnswlib, f"`Index` {_GRAPH}", "ef"),
    "ScaNN": Peer(
        ("scann",),
        Scann,
        f"tree, 4-bit asymmetric hashing, twice k (at least 100) scored again in 32 bits; {_ONE_THREAD}",
        "leaves",
    ),
}


def quantised(vectors: Floats) -> tuple[Any, Floats]:
    """Return the vectors as a bundle has them: uint8 (N, D), 128 added, and scales (N,)."""
    from train.quantise import quantise_rows

    integers, scale = np.empty(vectors.shape, np.uint8), np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), 65_536):  # what rounding needs beside the result is a part's
        part = slice(start, start + 65_536)
        rounded, scales = quantise_rows(np.asarray(vectors[part]))
        integers[part], scale[part] = rounded.view(np.uint8) ^ 128, scales[:, 0]
    return integers, scale


def _cells(tracks: int) -> int:
    return 2 * math.isqrt(tracks)


def _filled(ids: Ids, k: int) -> Ids:
    return np.pad(ids, ((0, 0), (0, k - ids.shape[1])), constant_values=-1)
