"""An ablation as JSON, as a table for a terminal, and as a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from train.ablation_figures import COLD, COLD_SEEDS
from train.paired import ADDS, COSTS, NOTHING, Gain

_COLOURS = {ADDS: "#0b6e4f", COSTS: "#b3261e", NOTHING: "#8a8a8a"}


@dataclass(frozen=True, slots=True)
class Row:
    """What one part adds.

    Attributes:
        part: Its name.
        way: How it was left out.
        without: What was there instead.
        gains: What it adds, by number of seeds, and to the tracks without a past.
    """

    part: str
    way: str
    without: str
    gains: Mapping[str, Gain]

    @property
    def verdict(self) -> str:
        """Return in words what the part adds, and where."""
        told = []
        for word in (ADDS, COSTS):
            places = [place(name) for name, each in self.gains.items() if each.verdict == word]
            if places:
                told.append(f"{word} at {', '.join(places)}")
        return "; ".join(told) or NOTHING

    def to_json(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        gains = {name: each.to_json() for name, each in self.gains.items()}
        return {"part": self.part, "way": self.way, "without": self.without, "verdict": self.verdict, "gains": gains}

    def to_text(self) -> str:
        """Return the part as lines of the table: one a number of seeds, and one for the tracks without a past."""
        lines = [f"{self.part}, {self.way}: {self.without}"]
        for name, each in self.gains.items():
            figures = f"{each.playlists:>9} {each.whole:>8.4f} {each.whole - each.mean:>8.4f} {each.mean:>+8.4f}"
            ends = f"{each.low:+.4f} to {each.high:+.4f}" if each.playlists > 1 else "unknown of one"
            lines.append(f"  {_label(name):<16}{figures}  {ends:<18}  {each.verdict}")
        return "\n".join([*lines, f"  {self.part} {self.verdict}."])


def place(name: str) -> str:
    """Return where a gain is, as a word of a sentence."""
    if name == COLD:
        return "tracks without a past"
    return {"0": "titles alone", "1": "1 seed"}.get(name, f"{name} seeds")


def _label(name: str) -> str:
    return f"cold, {COLD_SEEDS} seeds" if name == COLD else {"0": "title"}.get(name, name)


def to_text(rows: Sequence[Row], missing: Sequence[str]) -> str:
    """Return the table: every part with its lines, and which parts are not measured."""
    head = f"{'':<18}{'playlists':>9} {'with':>8} {'without':>8} {'adds':>8}  interval"
    foot = [
        "NDCG@500 by number of seeds; of tracks without a past, the share in the 500. All intervals of a part hold",
        "together with 95 %, over playlists. They know nothing of training's luck: hold a part trained without against",
        "the control.",
    ]
    if missing:
        foot.append(f"Not measured, since nothing but a training without them could tell: {', '.join(missing)}.")
    return "\n".join([head, *(row.to_text() for row in rows), *foot]) + "\n"


def plot(rows: Sequence[Row]) -> Figure:
    """Return a picture of what each part adds to NDCG by number of seeds, with intervals."""
    figure = Figure(figsize=(1.9 * len(rows) + 1, 3), layout="constrained")
    for axes, row in zip(figure.subplots(1, len(rows), sharey=True, squeeze=False)[0], rows, strict=True):
        gains = {name: each for name, each in row.gains.items() if name != COLD}
        for x, each in enumerate(gains.values()):
            axes.plot([x, x], [max(each.low, -1), min(each.high, 1)], color=_COLOURS[each.verdict])
            axes.plot([x], [each.mean], "o", color=_COLOURS[each.verdict], markersize=4)
        axes.axhline(0, color="#555555", linewidth=0.8)
        axes.set_xticks(range(len(gains)), [_label(name) for name in gains], rotation=45)
        axes.set_title(f"{row.part}\n{row.way}", fontsize=9)
    figure.axes[0].set_ylabel("adds to NDCG@500")
    return figure
