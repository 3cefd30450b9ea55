"""The report's two plots, as SVG text: narrow enough to read on a phone, the same bytes for the same figures."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.statistics import Estimate
from evaluation.verdict import LEVEL, Comparison

COLOURS = {
    "candidate": "#0b6e4f", "incumbent": "#3566b8", "ials": "#c4661f", "ease": "#8e44ad", "playlist_knn": "#b8860b",
    "item_knn": "#5dade2", "title_knn": "#d87093", "popularity": "#888888",
}  # fmt: skip
VERDICT_COLOURS = {"pass": "#0b6e4f", "fail": "#b3261e", "inconclusive": "#a67c00"}
_WIDTH = 4.8  # inches: text of 9 points keeps its size on a phone
_STYLE: Any = {
    "font.size": 9,
    "svg.hashsalt": "segue",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "axes.axisbelow": True,
}


def slices_plot(means: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Return a plot of NDCG by slice for each model, with 95 % intervals.

    Args:
        means: Model to slice to its mean NDCG.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        for place, (model, by_slice) in enumerate(means.items()):
            _draw_means(axes, model, by_slice, offset=(place - (len(means) - 1) / 2) * 0.8 / len(means))
        names = list(dict.fromkeys(name for by_slice in means.values() for name in by_slice))
        axes.set_xticks(range(len(names)), [_shown(name) for name in names])
        axes.set_ylabel("NDCG@500")
        axes.set_ylim(bottom=0)
        axes.grid(visible=False, axis="x")
        figure.legend(loc="outside upper center", ncols=4, frameon=False, handletextpad=0.1, columnspacing=1)
        return _svg(figure)


def _draw_means(axes: Axes, model: str, by_slice: Mapping[str, Estimate], offset: float) -> None:
    places = [i + offset for i in range(len(by_slice))]
    heights = [mean.mean for mean in by_slice.values()]
    ends = [_ends(mean) for mean in by_slice.values()]
    widths = [[height - low for height, (low, _) in zip(heights, ends, strict=True)],
              [high - height for height, (_, high) in zip(heights, ends, strict=True)]]  # fmt: skip
    axes.errorbar(places, heights, yerr=widths, fmt="o", markersize=4.5, color=COLOURS[model], label=model)


def _ends(mean: Estimate) -> tuple[float, float]:
    """Return the interval, cut to where NDCG lies."""
    low, high = mean.interval(LEVEL)
    return max(low, 0.0), min(high, 1.0)


def differences_plot(comparisons: Sequence[Comparison]) -> str:
    """Return a forest plot: what the candidate gains over each model, interval by interval, with the bar to pass."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 0.7 + 0.24 * len(comparisons)), layout="constrained")
        axes = figure.subplots()
        for place, one in enumerate(comparisons):
            colour = VERDICT_COLOURS[one.verdict]
            axes.plot([one.low, one.high], [place, place], color=colour, linewidth=1.6)
            axes.plot([one.difference.mean], [place], "o", color=colour, markersize=4.5)
            axes.plot([one.bar], [place], "|", color="black", markersize=9)
        axes.axvline(0, color="#555555", linewidth=0.8)
        labels = [f"{one.against} · {_shown(one.slice)}" for one in comparisons]
        axes.set_yticks(range(len(comparisons)), labels)
        axes.set_ylim(len(comparisons) - 0.4, -0.6)
        axes.set_xlabel("NDCG gained over it (ticks: the bar)")
        axes.grid(visible=False, axis="y")
        return _svg(figure)


def _shown(name: str) -> str:
    return name if name in ("title", "all") else f"{name} seed{'s' if name != '1' else ''}"


def _svg(figure: Figure) -> str:
    """Return the figure as an ``<svg>`` element, without the prologue, clock and fixed size that a file would have."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = stream.getvalue()
    return text[text.index("<svg") :]
