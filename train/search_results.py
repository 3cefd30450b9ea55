"""What a search leaves: a table, a plot, and the settings of the best trial in the words that the stage takes."""

import csv
import io
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm import tqdm

from segue.files import canonical_json, write_whole
from train.search_space import Interval, Space, words_of
from train.search_trials import Trial

_TRIALS, _BEST, _SO_FAR = "#4477aa", "#ee6677", "#bbbbbb"


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return the finished trials, the best first; of equals, the one with the first settings."""
    finished = [trial for trial in trials if trial.ndcg is not None]
    return sorted(finished, key=lambda trial: (-(trial.ndcg or 0.0), canonical_json(trial.settings)))


def write_results(folder: Path, best_first: Sequence[Trial], space: Space) -> None:
    """Write ``trials.csv``, ``search.png`` and ``best.txt``, and show the table.

    Args:
        folder: Where to.
        best_first: What `ranked` returned, at least one trial.
        space: What was drawn from, in the order of its columns.
    """
    rows = [["trial", "ndcg", "seconds", *space]]
    for t in best_first:
        drawn = [_short(t.settings[name]) for name in space]
        rows.append([str(t.number), f"{t.ndcg:.4f}", f"{t.seconds:.1f}", *drawn])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_whole(folder / "trials.csv", text.getvalue().encode())
    best = " ".join(words_of({name: best_first[0].settings[name] for name in space}))
    write_whole(folder / "best.txt", f"{best}\n".encode())
    image = io.BytesIO()
    plot(best_first, space).savefig(image, format="png", metadata={"Software": None})
    write_whole(folder / "search.png", image.getvalue())
    tqdm.write("\n".join("  ".join(f"{word:>12}" for word in row) for row in rows))
    tqdm.write(f"best: {best}")


def plot(best_first: Sequence[Trial], space: Space) -> Figure:
    """Return NDCG in the order of the trials, with the best so far, and over each setting; the best trial is red."""
    figure = Figure(figsize=(3.2 * (len(space) + 1), 3), layout="constrained")
    order, *others = figure.subplots(1, len(space) + 1, sharey=True, squeeze=False)[0]
    in_order = sorted(best_first, key=lambda trial: trial.number)
    so_far = list(accumulate((trial.ndcg or 0.0 for trial in in_order), max))
    order.step([trial.number for trial in in_order], so_far, where="post", color=_SO_FAR)
    _points(order, [trial.number for trial in best_first], best_first, "trial")
    for axes, (name, drawn) in zip(others, space.items(), strict=True):
        values: list[Any] = [trial.settings[name] for trial in best_first]
        if isinstance(drawn, Interval):
            if drawn.log:
                axes.set_xscale("log")
                ticks = [drawn.low, (drawn.low * drawn.high) ** 0.5, drawn.high]
                axes.set_xticks(ticks, [f"{tick:.4g}" for tick in ticks])
                axes.set_xticks([], minor=True)
            axes.axvspan(drawn.low, drawn.high, alpha=0)  # all of it is shown, whatever was drawn
        else:
            values = [str(value) for value in values]
            axes.plot(
                [str(value) for value in drawn.values], [so_far[-1]] * len(drawn.values), alpha=0
            )  # in their order
        _points(axes, values, best_first, name)
    order.set_ylabel("validation NDCG@500")
    return figure


def _points(axes: Axes, values: Sequence[Any], best_first: Sequence[Trial], label: str) -> None:
    figures: list[Any] = [trial.ndcg for trial in best_first]
    axes.plot(values, figures, "o", color=_TRIALS)
    axes.plot(values[:1], figures[:1], "o", color=_BEST)
    axes.set_xlabel(label)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
