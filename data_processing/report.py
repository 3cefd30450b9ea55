"""The validation report: what was read, rejected and cleaned, as JSON for machines and as a page for people."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_processing.clean import Cleaned
from data_processing.gathered import Gathered
from data_processing.rejections import Rejections
from data_processing.report_page import page
from data_processing.sources import Found
from data_processing.split import SIDES
from data_processing.tables import Tables

__all__ = ["page", "summary"]
_QUANTILES = (0, 10, 25, 50, 75, 90, 99, 100)
_LENGTH_EDGES = (2, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 250, 500, 1000)
_CURVE_POINTS = 60


def summary(
    gathered: Gathered,
    cleaned: Cleaned,
    tables: Tables,
    rejections: Rejections,
    copies: int,
    found: Found,
) -> dict[str, Any]:
    """Return ``validation.json`` but for ``joined``: counts only, with a few examples of what was rejected."""
    lengths = tables.playlists["tracks"].to_numpy()
    counts = np.bincount(tables.entries["track"].to_numpy())
    counts = counts[counts > 0]  # a hidden track may be in no playlist at all
    return {
        "schema_version": 1,
        "synthetic": gathered.facts["synthetic"],
        "read": {
            "files": len(found.sources),
            "formats": sorted({source.format for source in found.sources}),
            "left_out_files": list(found.left_out),
            "playlists": gathered.facts["read_playlists"],
            "entries": gathered.facts["read_entries"],
        },
        "rejected": rejections.to_json(),
        "cleaned": {**cleaned.counts, "playlists_copies_of_another": copies},
        "kept": {
            "playlists": len(lengths),
            "playlists_with_title": len(lengths) - _empty(tables.playlists["title"]),
            "entries": tables.entries.num_rows,
            "tracks": tables.tracks.num_rows,
            "tracks_seen_once": int((counts == 1).sum()),
            "tracks_without_title": _empty(tables.tracks["title"]),
            "artists": int(tables.tracks["artist_id"].to_numpy().max()) + 1,
            "albums": int(tables.tracks["album_id"].to_numpy().max()) + 1,
            "songs": len(np.unique(tables.tracks["song"].to_numpy())),
            "cold_tracks": int((tables.tracks["train_count"].to_numpy() == 0).sum()),
            "split": sizes(tables.split),
        },
        "lengths": {"quantiles": _quantiles(lengths), "histogram": _histogram(lengths)},
        "popularity": {"quantiles": _quantiles(counts), "curve": _curve(np.sort(counts)[::-1])},
    }


def sizes(split: pa.Table) -> dict[str, int]:
    """Return how many playlists stand on each side of ``split.parquet``."""
    counts = {row["values"]: row["counts"] for row in split["split"].value_counts().to_pylist()}
    return {side: counts.get(side, 0) for side in SIDES}


def _empty(texts: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.equal(texts, "")).as_py() or 0)


def _quantiles(values: "np.typing.NDArray[Any]") -> dict[str, int]:
    return {f"p{q}": int(np.percentile(values, q, method="lower")) for q in _QUANTILES}


def _histogram(lengths: "np.typing.NDArray[Any]") -> list[dict[str, int]]:
    """Return how many playlists have a length in ``[from, to)``; the last bin has no end and says to -1."""
    edges = [*_LENGTH_EDGES, np.iinfo(np.int64).max]
    counts, _ = np.histogram(lengths, bins=edges)
    return [
        {"from": int(low), "to": int(high) if high < 2**31 else -1, "playlists": int(count)}
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]


def _curve(counts: "np.typing.NDArray[Any]") -> list[list[int]]:
    """Return [rank, playlists] of some sixty tracks, evenly spaced on a logarithmic scale: the long tail."""
    ranks = np.unique(np.geomspace(1, len(counts), _CURVE_POINTS).round().astype(np.int64))
    return [[int(rank), int(counts[rank - 1])] for rank in ranks]
