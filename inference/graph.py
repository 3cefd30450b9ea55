"""A bundle's model, ready to run: from encoded playlists to the best tracks of the whole catalogue.

A bundle holds the model as one graph, `MODEL`, that ends with the ranking. Beside it stands `QUERY_MODEL`, the part of
the same graph that makes a playlist's vector, for services that scan the catalogue by themselves (`inference.scan`);
its weights are those in `MODEL`, by reference.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inference.scan import Table, library, read_vectors
from segue.bundle import MODEL, QUERY_MODEL, Bundle
from segue.errors import BundleError

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]
Inputs = Mapping[str, NDArray[np.int64]]

_PLAYLIST = {"seeds", "title_grams", "prompt_tokens", "unknown_tokens", "stand_ins", "artists", "ordered"}
_RANKED = {"ids", "scores"}
_QUERY = ["query.vectors", "query.weights", "query.speakers", "query.loudness"]


class Graph(Protocol):
    """What a ranker asks of a bundle's model."""

    kind: str
    """How it ranks, for the log and the metrics: ``graph`` or ``scan``."""

    def run(self, inputs: Inputs, k: int) -> tuple[Ids, Scores]:
        """Return the best ``k`` tracks for each of B playlists, without their own tracks.

        Args:
            inputs: As `segue.query.encode` makes them.
            k: At least 1 and at most the catalogue's tracks.

        Returns:
            Ids, int64 (B, k), best first, and scores, float32 (B, k); a score of -inf is no recommendation.
        """
        ...

    def directions(self, tracks: Ids) -> Scores | None:
        """Return (n, D) float32 vectors of tracks (n,), by whose angles they are alike; None where it has none to show.

        Such are catalogues of some hundred tracks, whose vectors are too few to be rounded, and bundles exported
        before `inference.scan` was there.
        """
        ...


def open_graph(bundle: Bundle, threads: int | None = None) -> Graph:
    """Return the bundle's model in the fastest form that this machine can run.

    Args:
        bundle: A verified bundle.
        threads: CPU threads of one run; without it all cores.

    Raises:
        BundleError: It cannot be loaded, or is of another Segue.
    """
    if QUERY_MODEL in bundle.manifest.files and library() is not None:
        return ScannedGraph(bundle, threads)
    return WholeGraph(bundle, threads)


class WholeGraph:
    """The whole model, as ONNX Runtime runs it."""

    kind = "graph"

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        """Load it; as `open_graph` otherwise."""
        self._session = _load(bundle.file(MODEL), threads, _PLAYLIST | {"k"}, _RANKED)
        self._vectors = read_vectors(bundle.file(MODEL), bundle.manifest.model.get("scan", {}))

    def run(self, inputs: Inputs, k: int) -> tuple[Ids, Scores]:
        """Run it; as `Graph.run`."""
        ids, scores = self._session.run(["ids", "scores"], {**inputs, "k": np.array([k], np.int64)})
        return ids, scores

    def directions(self, tracks: Ids) -> Scores | None:
        """See `Graph.directions`."""
        return None if self._vectors is None else self._vectors.directions(tracks)


class ScannedGraph:
    """The part of the model that makes vectors of playlists, and a scan of the catalogue that all of them share."""

    kind = "scan"

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        """Load it; as `open_graph` otherwise."""
        self._session = _load(bundle.file(QUERY_MODEL), threads, _PLAYLIST, set(_QUERY))
        self._table = Table.read(bundle.file(MODEL), bundle.manifest.model.get("scan", {}))
        self._length, self._scan = self._table.vectors.length, self._table.scan()

    def run(self, inputs: Inputs, k: int) -> tuple[Ids, Scores]:
        """Run it; as `Graph.run`."""
        vectors, weights, speakers, loudness = self._session.run(_QUERY, dict(inputs))
        # The catalogue's vectors are filled up with zeros to a power of two, as the integers of the graph want it.
        if (missing := self._length - vectors.shape[1]) > 0:
            vectors = np.concatenate([vectors, np.zeros((len(vectors), missing), vectors.dtype)], 1)
        return self._scan.best_of_each(vectors, weights, speakers, loudness, inputs["seeds"], k)

    def directions(self, tracks: Ids) -> Scores | None:
        """See `Graph.directions`."""
        return self._table.vectors.directions(tracks)


def _load(path: Path, threads: int | None, inputs: set[str], outputs: set[str]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # what it warns of is for who exports, and a failure is raised anyway
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base but this one
        raise BundleError(
            f"The model of the bundle at {path.parent} cannot be loaded ({first_line(error)}); export it again."
        ) from error
    names = {value.name for value in session.get_inputs()}, {value.name for value in session.get_outputs()}
    if names[0] != inputs or not names[1].issuperset(outputs):
        raise BundleError(
            f"The model {path.name} of the bundle at {path.parent} reads {sorted(names[0])} and gives "
            f"{sorted(names[1])}, not {sorted(inputs)} and {sorted(outputs)}; export it with this Segue."
        )
    return session


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
