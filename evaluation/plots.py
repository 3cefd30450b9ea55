"""The report's plots, as SVG text: narrow enough to read on a phone, the same bytes for the same figures."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.breadth import BIAS
from evaluation.figures import Figures, interval
from evaluation.queries import shown
from evaluation.verdict import Comparison

COLOURS = ("#0b6e4f", "#3566b8", "#c4661f")
"""The candidate, and what it has to prove itself against."""
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


def slices_plot(figures: Mapping[str, Figures], chief: Sequence[str]) -> str:
    """Return a plot of NDCG by slice: the chief models with 95 % intervals, the others as grey marks.

    Args:
        figures: Model to slice to metric to its estimate.
        chief: Which models matter most, the candidate first.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        names = _asked(figures[chief[0]])
        others = [model for model in figures if model not in chief]
        for place, model in enumerate(others):
            heights = [figures[model][name]["ndcg"].mean for name in names]
            label = "other baselines" if place == 0 else None
            axes.plot(range(len(names)), heights, "_", color="#b5b5b5", markersize=14, label=label)
        _draw(axes, figures, chief, names, "ndcg")
        axes.set_ylabel("NDCG@500")
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside upper center", ncols=4, frameon=False, handletextpad=0.1, columnspacing=1)
        return _svg(figure)


def metric_plot(figures: Mapping[str, Figures], chief: Sequence[str], metric: str) -> str:
    """Return a plot of another metric by slice, of the chief models, with 95 % intervals."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 2.4), layout="constrained")
        axes = figure.subplots()
        _draw(axes, figures, chief, _asked(figures[chief[0]]), metric)
        axes.set_ylabel(metric)
        if metric == BIAS:
            axes.axhline(0, color="#555555", linewidth=0.8)
        else:
            axes.set_ylim(bottom=0)
        return _svg(figure)


def _asked(figures: Figures) -> list[str]:
    """Return the slices that there were questions for."""
    return [name for name, row in figures.items() if row["ndcg"].questions]


def _draw(axes: Axes, figures: Mapping[str, Figures], models: Sequence[str], names: Sequence[str], metric: str) -> None:
    for place, model in enumerate(models):
        told = [(i, figures[model][name][metric]) for i, name in enumerate(names)]
        told = [(i, one) for i, one in told if one.questions]
        heights = [one.mean for _, one in told]
        ends = [interval(metric, one) or (one.mean, one.mean) for _, one in told]
        widths = [[height - low for height, (low, _) in zip(heights, ends, strict=True)],
                  [high - height for height, (_, high) in zip(heights, ends, strict=True)]]  # fmt: skip
        places = [i + (place - (len(models) - 1) / 2) * 0.16 for i, _ in told]
        axes.errorbar(places, heights, yerr=widths, fmt="o", markersize=4.5, color=COLOURS[place], label=model)
    axes.set_xticks(range(len(names)), [shown(name) for name in names])
    axes.grid(visible=False, axis="x")


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
        labels = [f"{one.against} · {shown(one.slice)}" for one in comparisons]
        axes.set_yticks(range(len(comparisons)), labels)
        axes.set_ylim(len(comparisons) - 0.4, -0.6)
        axes.set_xlabel("NDCG gained over it (ticks: the bar)")
        axes.grid(visible=False, axis="y")
        return _svg(figure)


def _svg(figure: Figure) -> str:
    """Return the figure as an ``<svg>`` element, without the prologue, clock and fixed size that a file would have."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = stream.getvalue()
    return text[text.index("<svg") :]
