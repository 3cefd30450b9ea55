"""Pairs of models by the thousand, each judged as the gate would judge it: how often is the verdict wrong?

``python -m tests.evaluation.simulated_gates`` prints the tables of docs/evaluation.md; ``--plot FILE`` draws its power
curve. NDCG by question is simulated; from there on it is `evaluation.verdict.judge` itself, against an incumbent and
six baselines, over all questions and five slices.

A question's NDCG is a draw from a zero-inflated beta distribution. Draws on questions about one playlist resemble each
other, and so do draws of all models on one question (a Gaussian copula): some playlists are harder than others. How
alike two models are differs from playlist to playlist, which gives their differences the heavy tails that real ones
have. The constants are those of 632 held-out playlists of the Million Playlist Dataset, continued by iALS, by the same
started with another seed, and by an item-kNN.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from evaluation.queries import SLICES, Question
from evaluation.statistics import estimate
from evaluation.verdict import INCUMBENT, Margins, judge

Values = NDArray[np.float64]
SHAPES = {"title": (0.20, 0.9, 3.4), "1": (0.10, 1.1, 2.7), "5": (0.07, 1.3, 2.9), "10": (0.06, 1.4, 3.0),
          "25": (0.05, 1.6, 3.4)}  # fmt: skip
"""Share of questions with NDCG 0, and beta distribution of the others: means of .17 for titles, else .26 to .30."""
TAKING_PART = (1.0, 1.0, 0.98, 0.94, 0.79)
"""Share of playlists that each slice fits; who is long enough for many seeds is long enough for fewer."""
SHARED = np.array([[1.0, 0.38, 0.38, 0.40, 0.39],
                   [0.38, 1.0, 0.83, 0.80, 0.75],
                   [0.38, 0.83, 1.0, 0.94, 0.86],
                   [0.40, 0.80, 0.94, 1.0, 0.91],
                   [0.39, 0.75, 0.86, 0.91, 1.0]])  # fmt: skip
"""Correlation of draws on two questions about one playlist, of what all models share."""
OWN = 0.5 + 0.5 * np.eye(len(SLICES))
"""The same of what a model has for itself."""
RESTARTED, ANOTHER = 0.996, 0.91
"""How alike two models answer: correlation of their draws on one question. One model started twice, and two kinds."""
BASELINES = {"popularity": 0.3, "ials": 0.9, "item_knn": 0.85, "playlist_knn": 0.85, "ease": 0.88, "title_knn": 0.5}
"""NDCG of the baselines, as a share of the incumbent's; of the best baseline's where there is no incumbent."""
STRONGEST = "ials"
LEVEL_BASELINES = dict.fromkeys(BASELINES, 1.0)
_SHARED, _OWN = (np.asarray(np.linalg.cholesky(one), np.float64) for one in (SHARED, OWN))
_KNOTS = np.linspace(-5.0, 5.0, 4001)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What kind of pair it is.

    Attributes:
        name: In the table.
        effect: How much better the candidate is than its rival, as a share of the rival's NDCG.
        incumbent: Whether the rival is what runs today; for a first model it is the best baseline.
        likeness: How alike the candidate and the incumbent answer.
        loss: Slice to NDCG that the candidate loses there beside the effect.
        baselines: NDCG of the baselines as a share of the rival's.
        margins: What the gate allows.
        playlists: How many are held out.
        wrong: The verdict that would be an error, if one would.
    """

    name: str
    effect: float
    incumbent: bool = True
    likeness: float = ANOTHER
    loss: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=lambda: BASELINES)
    margins: Margins = field(default_factory=Margins)
    playlists: int = 400
    wrong: str = ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _effects(incumbent: bool, likeness: float, kind: str) -> Iterator[Scenario]:
    baselines = BASELINES if incumbent else BASELINES | {STRONGEST: 1.0}
    for effect, wrong in ((-0.05, "pass"), (-0.02, "pass"), (-0.01, "pass"), (0.0, "fail"), (0.01, "fail"),
                          (0.02, "fail"), (0.05, "fail")):  # fmt: skip
        word = f"{'better' if effect > 0 else 'worse'} by {_percent(abs(effect))}" if effect else "equal"
        yield Scenario(f"{word}, {kind}", effect, incumbent, likeness, baselines=baselines, wrong=wrong)


SCENARIOS = (
    *_effects(True, RESTARTED, "the incumbent started anew"),
    *_effects(True, ANOTHER, "another kind than the incumbent"),
    *_effects(False, ANOTHER, "a first model against the best baseline"),
    Scenario("equal to the incumbent and to every baseline", 0.0, baselines=LEVEL_BASELINES, wrong="fail"),
    Scenario("better by 5 %, but .03 worse in one slice", 0.05, likeness=RESTARTED, loss={"25": 0.046}, wrong="pass"),
    Scenario("with a margin of .01: worse by .01", 0.0, loss=dict.fromkeys(SLICES, 0.01), margins=Margins(0.01),
             wrong="pass"),
    Scenario("with a margin of .01: equal, started anew", 0.0, likeness=RESTARTED, margins=Margins(0.01), wrong="fail"),
    Scenario("equal, on 30 playlists", 0.0, playlists=30, wrong="pass"),
    Scenario("worse by 5 %, on 30 playlists", -0.05, playlists=30, wrong="pass"),
    Scenario("better by 50 %, on 29 playlists", 0.5, playlists=29, wrong="pass"),
    Scenario("better by 50 %, on 5 playlists", 0.5, playlists=5, wrong="pass"),
    Scenario("better by 50 %, on none", 0.5, playlists=0, wrong="pass"),
)  # fmt: skip
EFFECTS = (0.01, 0.02, 0.03, 0.05, 0.10)
SIZES = (50, 100, 200, 400, 1000, 2000, 5000, 10000)
KINDS = {"started anew": RESTARTED, "another kind": ANOTHER}


class Pairs:
    """Draws of NDCG by question, of a candidate, an incumbent and baselines that are equally good."""

    def __init__(self, playlists: int, likeness: float, seed: int) -> None:
        """Set the questions up; ``playlists`` long and short ones, as real ones are."""
        self._draw = np.random.default_rng(seed)
        self._likeness = likeness
        places = (np.arange(playlists) + 0.5) / max(playlists, 1)
        self._asked = [int((places < share).sum()) for share in TAKING_PART]
        self.questions = [
            Question(playlist, name, (), "", (1,))
            for name, asked in zip(SLICES, self._asked, strict=True)
            for playlist in range(asked)
        ]
        self._playlists = playlists
        chances = special.ndtr(_KNOTS)
        self._quantiles = [_quantiles(chances, *SHAPES[name]) for name in SLICES]

    def draw(self, models: Sequence[str]) -> dict[str, Values]:
        """Return NDCG per question, (n,), of each model; candidate and incumbent are as alike as was asked for."""
        shared = self._normal(_SHARED)
        # (playlists, 1): how much a model has for itself on each playlist, in the mean what its likeness leaves
        own = np.minimum((1 - ANOTHER) * self._draw.gamma(0.5, 2.0, (self._playlists, 1)), 1.0)
        kin = self._normal(_OWN)
        alike = max(self._likeness - ANOTHER, 0.0) / (1 - ANOTHER)
        found = {}
        for model in models:
            alone = self._normal(_OWN)
            if model in ("candidate", INCUMBENT):
                alone = np.sqrt(alike) * kin + np.sqrt(1 - alike) * alone
            found[model] = self._ndcg(np.sqrt(1 - own) * shared + np.sqrt(own) * alone)
        return found

    def _normal(self, root: Values) -> Values:
        """Return (playlists, slices) standard normal draws, correlated between slices as ``root @ root.T``."""
        return np.asarray(self._draw.standard_normal((self._playlists, len(SLICES))) @ root.T)

    def _ndcg(self, normal: Values) -> Values:
        columns = [np.interp(normal[:asked, i], _KNOTS, self._quantiles[i]) for i, asked in enumerate(self._asked)]
        return np.concatenate(columns)


def _quantiles(chances: Values, nothing: float, a: float, b: float) -> Values:
    """Return the quantiles of the zero-inflated beta distribution."""
    return np.asarray(stats.beta.ppf(np.clip((chances - nothing) / (1 - nothing), 0, 1), a, b))


def words(scenario: Scenario, pairs: int, seed: int) -> Counter[str]:
    """Return how often each verdict was given; the same seed, the same verdicts."""
    world = Pairs(scenario.playlists, scenario.likeness, seed)
    lost = np.array([scenario.loss.get(question.slice, 0.0) for question in world.questions])
    models = ["candidate", *([INCUMBENT] if scenario.incumbent else []), *scenario.baselines]
    found: Counter[str] = Counter()
    for _ in range(pairs):
        ndcg = world.draw(models)
        for model, share in scenario.baselines.items():
            ndcg[model] = share * ndcg[model]
        ndcg["candidate"] = (1 + scenario.effect) * ndcg["candidate"] - lost
        found[judge(ndcg, "candidate", world.questions, scenario.margins).word] += 1
    return found


def passes(likeness: float, playlists: int, pairs: int, seed: int) -> dict[float, float]:
    """Return, for each of `EFFECTS`, the share of pairs in which the better candidate passed."""
    world = Pairs(playlists, likeness, seed)
    passed: Counter[float] = Counter()
    for _ in range(pairs):
        ndcg = world.draw(["candidate", INCUMBENT, STRONGEST])
        ndcg[STRONGEST] = BASELINES[STRONGEST] * ndcg[STRONGEST]
        for effect in EFFECTS:
            better = ndcg | {"candidate": (1 + effect) * ndcg["candidate"]}
            passed[effect] += judge(better, "candidate", world.questions, Margins()).word == "pass"
    return {effect: passed[effect] / pairs for effect in EFFECTS}


def row(scenario: Scenario, pairs: int = 1000, seed: int = 0) -> str:
    """Return the scenario's row of the docs' table."""
    found = words(scenario, pairs, seed)
    cells = [f"**{found[word]}**" if word == scenario.wrong else str(found[word])
             for word in ("pass", "fail", "inconclusive")]  # fmt: skip
    return f"| {scenario.name} | {' | '.join(cells)} |"


def needed(likeness: float, effect: float) -> int:
    """Return how many playlists prove with a chance of 80 % that a candidate is better by ``effect``, all slices."""
    world = Pairs(20_000, likeness, 0)
    ndcg = world.draw(["candidate", INCUMBENT])
    owners = np.array([question.playlist for question in world.questions])
    difference = estimate((1 + effect) * ndcg["candidate"] - ndcg[INCUMBENT], owners)
    mean = effect * float(ndcg[INCUMBENT].mean())
    quantiles = special.ndtri(0.975) + special.ndtri(0.8)
    return int(np.ceil((quantiles * difference.spread / mean) ** 2))


def power_rows(pairs: int = 400) -> Iterator[str]:
    """Yield the rows of the power curve: of 100 better candidates, how many pass; fewer pairs where each is long."""
    for kind, likeness in KINDS.items():
        for size in SIZES:
            shares = passes(likeness, size, max(pairs * 400 // max(size, 400), 40), 1)
            yield f"| {kind} | {size} | {' | '.join(f'{100 * share:.0f}' for share in shares.values())} |"


def needed_rows() -> Iterator[str]:
    """Yield, for each kind, how many held-out playlists each effect needs."""
    for kind, likeness in KINDS.items():
        yield f"| {kind} | {' | '.join(str(max(needed(likeness, effect), 30)) for effect in EFFECTS)} |"


def table() -> Iterator[str]:
    """Yield the tables of the docs, line by line."""
    effects = " | ".join(map(_percent, EFFECTS))
    rule = "|---" * len(EFFECTS)
    yield from ("| 1,000 pairs each | pass | fail | inconclusive |", "|---|---|---|---|")
    yield from (row(scenario) for scenario in SCENARIOS)
    yield from ("", f"| better than the incumbent by | {effects} |", f"|---{rule}|")
    yield from needed_rows()
    yield from ("", f"| candidate | playlists | {effects} |", f"|---|---{rule}|")
    yield from power_rows()


def plot(lines: Sequence[str], path: Path) -> None:
    """Draw the power curve from the rows that `power_rows` gave, in the colours of the report."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "segue", "svg.fonttype": "path"}):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        for axes, kind in zip(figure.subplots(1, len(KINDS), sharey=True), KINDS, strict=True):
            mine = [row for row in cells if row[0] == kind]
            for column, effect in enumerate(EFFECTS, start=2):
                axes.plot([int(row[1]) for row in mine], [float(row[column]) for row in mine], "o-", markersize=3,
                          label=f"better by {_percent(effect)}")  # fmt: skip
            axes.set_xscale("log")
            axes.set_title(kind, fontsize=9, loc="left")
            axes.set_xlabel("held-out playlists")
            axes.grid(color="#e5e5e5")
        figure.axes[0].set_ylabel("passes of 100")
        figure.axes[0].legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and draw the plot where asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.evaluation.simulated_gates", description=__doc__)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where to draw the power curve, an SVG")
    options = parser.parse_args(arguments)
    lines = []
    for line in table():
        print(line, flush=True)
        lines.append(line)
    if options.plot:
        plot(lines[-len(KINDS) * len(SIZES) :], options.plot)


if __name__ == "__main__":
    main(sys.argv[1:])
