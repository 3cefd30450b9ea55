"""Draws a run: what speed costs in recall, and how far each is from the memory's own speed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_MARKS = "osD^vP*X<>"


def draw(run: dict[str, Any], path: Path) -> None:
    """Draw a run's figures of one query alone, k = 10, one thread, as an SVG; the same run gives the same bytes."""
    # Text stays text: it can be searched, and letters as outlines would be most of the file.
    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "segue", "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        trade, roof = figure.subplots(1, 2)
        _trade(trade, run)
        _roof(roof, run)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def alone(run: dict[str, Any], k: int = 10, threads: int = 1) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield each peer that was measured with its figures and a row of that k and number of threads for each effort."""
    for name, peer in run["peers"].items():
        for row in peer.get("rows", ()):
            if "effort" in row and (row["k"], row["threads"]) == (k, threads):
                yield name, peer, row


def _trade(axes: Axes, run: dict[str, Any]) -> None:
    places: dict[str, list[tuple[float, float]]] = {}
    for name, _, row in alone(run):
        places.setdefault(name, []).append((row["recall"], 1e3 / row["ms"]))
    for mark, (name, points) in zip(_MARKS, places.items(), strict=False):
        axes.plot(*zip(*points, strict=True), mark, linestyle="-", linewidth=0.8, markersize=5, label=name)
    axes.set_yscale("log")
    axes.set_title("one query alone, one thread, k = 10", fontsize=9, loc="left")
    axes.set_xlabel("recall@10")
    axes.set_ylabel("queries a second")
    axes.grid(color="#e5e5e5")
    if places:
        axes.legend(frameon=False, fontsize=8)


def _roof(axes: Axes, run: dict[str, Any]) -> None:
    """Plot milliseconds over bytes read, where all are read; the line is what reading them took."""
    rows = [(name, peer["scanned"] / 1e6, row) for name, peer, row in alone(run) if peer["scanned"]]
    for mark, (name, megabytes, row) in zip(_MARKS, rows, strict=False):
        axes.plot([megabytes], [row["ms"]], mark, markersize=5, label=f"{name}: {row['over_read']:.2f} times reading")
    line = sorted({(megabytes, row["read_ms"]) for _, megabytes, row in rows})
    if line:
        axes.plot(*zip(*line, strict=True), "k--", linewidth=0.8, label="reading the same bytes")
        axes.legend(frameon=False, fontsize=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title("the roofline: what looks at every track", fontsize=9, loc="left")
    axes.set_xlabel("MB that a query reads")
    axes.set_ylabel("milliseconds")
    axes.grid(color="#e5e5e5", which="both")
