"""The verdict on a canary: what passes, what fails, and what is never a pass."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation.online import Guard, Levels, Watched, judge
from evaluation.sequential import Blocks
from tests.evaluation.simulated_canaries import SCENARIOS, Scenario, simulate

ERRORS = Guard("errors", 0.01, 0.01)


def counted(control: float, canary: float, rates: tuple[float, float], blocks: int = 40) -> Blocks:
    """Return even counts: as many answers in every block, bad ones as near to the rate as whole numbers come."""
    steps = np.arange(blocks + 1)
    made = [np.full(blocks, float(count)) for count in (control, canary)]
    bad = [np.diff(np.floor(steps * count * rate)) for count, rate in zip((control, canary), rates, strict=True)]
    return Blocks(made[0], bad[0], made[1], bad[1])


def watched(blocks: Blocks, **more: object) -> Watched:
    draws = (float(blocks.control.sum()), float(blocks.canary.sum()))
    return Watched({"errors": blocks}, draws, **more)  # type: ignore[arg-type]


def test_an_equal_canary_passes() -> None:
    """With n, effect and interval for the commit."""
    found = judge(watched(counted(100, 100, (0.002, 0.002))), 50, [ERRORS], Levels())
    assert found.word == "pass"
    assert found.comparisons[0].to_text().startswith("pass n=4000/4000 effect=+0.0000 interval=-0.0")
    assert found.comparisons[0].high < 0.01 == found.comparisons[0].margin


def test_a_canary_that_errs_fails() -> None:
    """A fifth of forty answers at 1 % of the traffic is enough."""
    found = judge(watched(counted(99, 1, (0.002, 0.2))), 1, [ERRORS], Levels())
    assert (found.word, found.comparisons[0].verdict) == ("fail", "fail")
    assert "proven worse: errors +0.1" in found.reason


def test_with_fewer_listeners_the_same_harm_to_all_is_allowed() -> None:
    """A margin of 1 point at a half is one of 10 at a twentieth, and never more than everything."""
    assert [ERRORS.margin_at(weight) for weight in (100, 50, 25, 5)] == pytest.approx([0.01, 0.01, 0.02, 0.1])
    assert Guard("x", 0.5).margin_at(1) == 0.99


@pytest.mark.parametrize(
    "seen, reason",
    [
        (Watched({}), "Nothing is known of errors"),
        (watched(counted(100, 0, (0.0, 0.0))), "Nothing is known of errors"),
        (watched(counted(100, 100, (0.0, 0.0)), trouble="No scrape for 90 s."), "No scrape for 90 s"),
        (
            replace(watched(counted(100, 100, (0.0, 0.0))), draws=(6000.0, 2000.0)),
            "The canary had 25.00% of 8000 draws",
        ),
        (watched(counted(2, 2, (0.0, 0.0), 15)), "Not proven yet"),
    ],
    ids=["nothing", "no canary", "gap", "mismatch", "few"],
)
def test_what_cannot_be_trusted_is_no_pass(seen: Watched, reason: str) -> None:
    """It is no fail either: it waits."""
    found = judge(seen, 50, [ERRORS], Levels())
    assert (found.word, reason in found.reason) == ("inconclusive", True)


def test_a_proven_harm_fails_even_with_gaps() -> None:
    """It has listeners."""
    seen = watched(counted(50, 50, (0.0, 0.3)), trouble="No scrape for 90 s.")
    assert judge(seen, 50, [ERRORS], Levels()).word == "fail"


def test_what_looks_worse_does_not_go_on() -> None:
    """Nine of ten answers skipped, and three of ten elsewhere: at 1 % that would be allowed, and is not proven yet."""
    guard = Guard("errors", 0.2)
    words = [judge(watched(counted(20, 1, (0.3, 0.9), n)), 1, [guard], Levels(least=7)).word for n in range(4, 30)]
    assert "pass" not in words
    assert words[-1] == "fail"


def test_a_canary_that_answers_nobody_fails() -> None:
    """However good its answers were before."""
    seen = replace(watched(counted(5000, 5000, (0.0, 0.0))), gone="No pod of the canary has answered for 90 s.")
    verdict = judge(seen, 50, [ERRORS], Levels())
    assert (verdict.word, verdict.reason) == ("fail", "No pod of the canary has answered for 90 s.")


def test_each_restart_asks_for_more() -> None:
    """The levels of all windows together are the level of one."""
    blocks = counted(100, 100, (0.0, 0.0), 6)
    words = [judge(watched(blocks, restarts=restarts), 50, [ERRORS], Levels()).word for restarts in (0, 1, 2)]
    assert words == ["pass", "inconclusive", "inconclusive"]


def test_answers_of_one_listener_count_less() -> None:
    """What would pass if each answer stood for itself does not if ten resemble each other."""
    seen = watched(counted(100, 100, (0.0, 0.0), 10))
    words = [judge(seen, 50, [ERRORS], Levels(clustering=clustering)).word for clustering in (1, 10)]
    assert words == ["pass", "inconclusive"]


def test_without_a_control_limits_decide() -> None:
    """At 100 %; a guard without a limit says nothing there."""
    guards = [ERRORS, Guard("skipped", 0.05)]
    for rates, word in (((0.0, 0.0), "pass"), ((0.0, 0.05), "fail"), ((0.0, 0.01), "inconclusive")):
        assert judge(watched(counted(0, 100, rates)), 100, guards, Levels()).word == word
    assert judge(Watched({}), 100, guards[1:], Levels()).word == "inconclusive"


def by_name(start: str) -> Scenario:
    return next(one for one in SCENARIOS if one.name.startswith(start))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_few_canaries_of_a_thousand_meet_the_wrong_fate(scenario: Scenario) -> None:
    """The table of docs/promotion.md, at 200 of each: its promises hold for all of them."""
    fates = simulate(scenario, 200, seed=11, deadline=1200)
    if scenario.worst:
        assert fates.promoted.mean() <= 0.05
    elif scenario.requests:
        assert fates.failed.mean() <= 0.05
    else:
        assert not fates.promoted.any()
    if scenario.name.startswith(("errs", "slow", "skipped: 40")):
        assert fates.promoted.sum() == 0
        assert (fates.weight <= 5).mean() > 0.95
