"""A picture of a training: how well each epoch continued the validation playlists."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.figure import Figure


def learning_curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Return a figure of NDCG@500 by epoch, one line for each number of seeds.

    Args:
        history: For each epoch its ``phase`` and its figures, ``ndcg_<seeds>`` among them.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    names = [name for name in history[0] if name.startswith("ndcg_")] if history else []
    epochs = range(1, len(history) + 1)
    for name in names:
        seeds = int(name.removeprefix("ndcg_"))
        axes.plot(epochs, [entry[name] for entry in history], marker="o", label=f"{seeds} seeds" if seeds else "title")
    for number, (before, after) in enumerate(pairwise(history), start=1):
        if before["phase"] != after["phase"]:
            axes.axvline(number + 0.5, color="grey", linestyle=":", label=f"{after['phase']} begins")
    axes.set(xlabel="epoch", ylabel="NDCG@500 on validation playlists", ylim=(0, None))
    if names:
        axes.legend()
    return figure
