"""The gate's error rates, on simulated pairs of models, and what docs/evaluation.md says of them."""

from pathlib import Path

import pytest

from tests.evaluation.simulated_gates import (
    ANOTHER,
    EFFECTS,
    KINDS,
    SCENARIOS,
    SIZES,
    Scenario,
    needed,
    passes,
    row,
    words,
)

DOCS = Path(__file__).parents[2] / "docs"
PAIRS = 120
MOST = 0.05
"""Share of wrong verdicts that is allowed. The levels are half of it, so 120 pairs leave room for chance."""


def _rows(start: str) -> list[list[str]]:
    lines = (DOCS / "evaluation.md").read_text().splitlines()
    return [
        [cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines if line.startswith(f"| {start}")
    ]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_the_docs_tell_of_a_thousand_pairs_of_each_kind(scenario: Scenario) -> None:
    """Each row is there, of 1,000 pairs, with no more errors than promised, and no pass without data."""
    (cells,) = [cells for cells in _rows(scenario.name) if len(cells) == 4]
    found = dict(zip(("pass", "fail", "inconclusive"), map(int, cells[1:]), strict=True))
    assert sum(found.values()) == 1000
    assert found[scenario.wrong] <= 1000 * MOST
    if scenario.effect <= 0 and scenario.margins.incumbent == 0:
        assert found["pass"] <= 1000 * MOST
    if scenario.playlists < 30:
        assert found["pass"] == 0


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.playlists == 0], ids=lambda one: one.name)
def test_a_row_of_the_docs_is_what_is_simulated(scenario: Scenario) -> None:
    """The same bytes, where it takes no time."""
    assert row(scenario) in (DOCS / "evaluation.md").read_text()


@pytest.mark.parametrize(
    "name",
    [
        "worse by 1 %, the incumbent started anew",
        "equal, the incumbent started anew",
        "equal, a first model against the best baseline",
        "equal to the incumbent and to every baseline",
        "better by 5 %, but .03 worse in one slice",
        "equal, on 30 playlists",
        "better by 50 %, on 29 playlists",
    ],
)
def test_the_gate_is_wrong_no_oftener_than_promised(name: str) -> None:
    """Judged anew, on fewer pairs than the docs' and other draws."""
    (scenario,) = [one for one in SCENARIOS if one.name == name]
    found = words(scenario, PAIRS, seed=7)
    assert found[scenario.wrong] <= MOST * PAIRS
    if scenario.effect <= 0:
        assert found["pass"] <= MOST * PAIRS


def test_better_models_pass_as_often_as_the_power_curve_says() -> None:
    """A tenth of gain by another kind of model on 200 playlists: within chance of the docs' row."""
    (cells,) = [cells for cells in _rows("another kind | 200 ") if len(cells) == 2 + len(EFFECTS)]
    assert passes(ANOTHER, 200, 60, seed=8)[0.10] == pytest.approx(float(cells[-1]) / 100, abs=0.15)


def test_what_it_takes_falls_with_the_square_of_the_gain() -> None:
    """Twice the gain takes a quarter of the playlists, and the docs say how many."""
    (cells,) = [cells for cells in _rows("another kind") if len(cells) == 1 + len(EFFECTS)]
    assert int(cells[1]) / int(cells[2]) == pytest.approx(4, rel=0.05)
    assert needed(ANOTHER, EFFECTS[-1]) == int(cells[-1])


def test_the_docs_show_the_power_curve() -> None:
    """A row for each kind and number of playlists, and the plot."""
    for kind in KINDS:
        assert [cells[1] for cells in _rows(kind) if len(cells) == 2 + len(EFFECTS)] == [str(size) for size in SIZES]
    assert "images/gate_power.svg" in (DOCS / "evaluation.md").read_text()
    drawn = (DOCS / "images" / "gate_power.svg").read_text()
    assert all(label in drawn for label in (*KINDS, *(f"better by {100 * effect:.0f} %" for effect in EFFECTS)))
