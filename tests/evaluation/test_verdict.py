"""From paired differences to a verdict."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.queries import SLICES, Question
from evaluation.verdict import LEAST_PLAYLISTS, Margins, Verdict, judge

Values = NDArray[np.float64]
ROUNDS = 200


def _questions(playlists: int, slices: tuple[str, ...] = SLICES) -> list[Question]:
    return [Question(playlist, name, (), "", (1,)) for name in slices for playlist in range(playlists)]


def _simulate(questions: list[Question], gain: float, seed: int, noise: float = 0.08) -> tuple[Values, Values]:
    """Return the NDCG of a candidate and of a rival that differ by ``gain`` on average, playlist by playlist."""
    generator = np.random.default_rng(seed)
    level = generator.beta(1.2, 4, 1 + max(question.playlist for question in questions))
    owners = np.array([question.playlist for question in questions])
    rival = level[owners] + generator.normal(0, 0.02, len(owners))
    taste = generator.normal(gain, noise, len(level))[owners]
    return rival + taste + generator.normal(0, noise, len(owners)), rival


def _verdicts(gain: float, playlists: int, against: str = "ials", margins: Margins | None = None) -> Counter[str]:
    questions = _questions(playlists)
    words: Counter[str] = Counter()
    for seed in range(ROUNDS):
        candidate, rival = _simulate(questions, gain, seed)
        words[judge({"candidate": candidate, against: rival}, "candidate", questions, margins or Margins()).word] += 1
    return words


def test_a_candidate_that_is_no_better_rarely_passes() -> None:
    """The chance of a false pass is at most 2.5 %, and so is that of a false fail."""
    words = _verdicts(gain=0.0, playlists=150)
    assert words["pass"] <= 0.055 * ROUNDS  # 2.5 %, and nearly three standard errors of 200 rounds
    assert words["fail"] <= 0.055 * ROUNDS


def test_a_candidate_at_the_incumbents_margin_rarely_passes() -> None:
    """Non-inferiority keeps its level where it matters: at the margin itself."""
    words = _verdicts(gain=-0.01, playlists=150, against="incumbent", margins=Margins(incumbent=0.01))
    assert words["pass"] <= 0.055 * ROUNDS


def test_a_better_candidate_passes_and_a_worse_one_fails() -> None:
    """A real difference is found."""
    assert _verdicts(gain=0.04, playlists=150)["pass"] > 0.9 * ROUNDS
    assert _verdicts(gain=-0.06, playlists=150)["fail"] > 0.9 * ROUNDS


def test_an_equal_candidate_passes_against_the_incumbent_only_with_a_margin() -> None:
    """What runs today is left in place by a model that is no better, unless somebody asked for no more than that."""
    questions = _questions(60)
    candidate, rival = _simulate(questions, 0.2, seed=0)
    scores = {"candidate": candidate, "incumbent": candidate.copy(), "ials": rival}
    verdict = judge(scores, "candidate", questions, Margins())
    assert verdict.word == "inconclusive"
    assert "Not proven: +0.0000 NDCG against incumbent" in verdict.reason
    verdict = judge(scores, "candidate", questions, Margins(incumbent=0.01))
    assert verdict.word == "pass"
    assert "not worse than what runs today" in verdict.reason
    words = _verdicts(gain=0.0, playlists=700, against="incumbent", margins=Margins(incumbent=0.01))
    assert words["pass"] > 0.75 * ROUNDS  # .85 by the normal approximation


def test_a_candidate_better_than_the_incumbent_passes() -> None:
    """And the sentence says better, not just not worse; the best baseline is the one that ranks best."""
    questions = _questions(60)
    candidate, rival = _simulate(questions, 0.2, seed=0)
    scores = {"candidate": candidate, "popularity": rival - 0.1, "incumbent": rival, "ials": rival - 0.05}
    verdict = judge(scores, "candidate", questions, Margins())
    assert verdict.word == "pass"
    assert "better than the best baseline: +0.2" in verdict.reason
    assert "against ials" in verdict.reason
    assert "; better than what runs today" in verdict.reason


@pytest.mark.parametrize("playlists", [1, 2, 5, LEAST_PLAYLISTS - 1])
def test_few_playlists_are_never_a_pass(playlists: int) -> None:
    """However good the candidate looks; and the verdict says how many playlists it takes."""
    questions = _questions(playlists)
    verdict = judge(
        {"candidate": np.ones(len(questions)), "ials": np.zeros(len(questions))}, "candidate", questions, Margins()
    )
    assert verdict.word == "inconclusive"
    assert "held-out playlists" in verdict.reason


def test_no_playlists_are_never_a_pass() -> None:
    """Nothing measured, nothing proven."""
    empty = np.zeros(0)
    assert judge({"candidate": empty, "ials": empty}, "candidate", [], Margins()).word == "inconclusive"
    alone = judge({"candidate": np.ones(300)}, "candidate", _questions(60), Margins())
    assert alone.word == "inconclusive"
    assert "nothing to compare" in alone.reason


def _sliced(verdict: Verdict) -> dict[str, str]:
    return {one.slice: one.verdict for one in verdict.comparisons}


def test_a_slice_that_got_worse_stops_a_candidate_that_is_better_on_the_whole() -> None:
    """One seed is lost by .2 where all the others gain: a fail that names the slice."""
    questions = _questions(200)
    candidate, rival = _simulate(questions, 0.1, seed=1)
    candidate -= np.array([0.3 if question.slice == "1" else 0.0 for question in questions])
    verdict = judge({"candidate": candidate, "ials": rival}, "candidate", questions, Margins())
    assert verdict.word == "fail"
    assert "against ials on slice 1 " in verdict.reason
    assert {name for name, word in _sliced(verdict).items() if word == "fail"} == {"1"}
    assert _sliced(verdict)["all"] == "pass"


def test_an_unsettled_slice_holds_a_candidate_up() -> None:
    """Better on the whole, but one seed may have lost more than is allowed: not a pass, not a fail."""
    questions = _questions(100)
    candidate, rival = _simulate(questions, 0.1, seed=1)
    candidate -= np.array([0.12 if question.slice == "1" else 0.0 for question in questions])
    verdict = judge({"candidate": candidate, "ials": rival}, "candidate", questions, Margins())
    assert _sliced(verdict)["all"] == "pass"
    assert _sliced(verdict)["1"] == verdict.word == "inconclusive"
    assert "on slice 1 " in verdict.reason


def test_a_coincidence_of_few_playlists_is_no_proof_of_harm() -> None:
    """Three playlists that happen to lose the same have no spread; that does not make them sure."""
    questions = _questions(3)
    lost = np.full(len(questions), 0.1)
    assert judge({"candidate": lost, "ials": lost + 0.2}, "candidate", questions, Margins()).word == "inconclusive"


def test_a_thin_slice_cannot_hold_a_good_candidate_up() -> None:
    """Seven playlists of 25 seeds settle nothing; the verdict says so and rests on the rest."""
    questions = _questions(200, ("title", "1", "5", "10")) + _questions(7, ("25",))
    candidate, rival = _simulate(questions, 0.1, seed=1)
    verdict = judge({"candidate": candidate, "ials": rival}, "candidate", questions, Margins())
    assert verdict.word == "pass"
    assert "too few playlists to judge slice 25" in verdict.reason


def test_a_thin_slice_can_still_stop_a_bad_candidate() -> None:
    """Twenty playlists that lose nearly everything are proof enough of harm."""
    questions = _questions(200, ("title", "1", "5", "10")) + _questions(20, ("25",))
    candidate, rival = _simulate(questions, 0.1, seed=1)
    candidate -= np.array([0.6 if question.slice == "25" else 0.0 for question in questions])
    verdict = judge({"candidate": candidate, "ials": rival}, "candidate", questions, Margins())
    assert verdict.word == "fail"


def test_every_baseline_has_to_be_beaten() -> None:
    """Far better than popularity and level with iALS is not a pass."""
    questions = _questions(100)
    candidate, rival = _simulate(questions, 0.0, seed=2)
    scores = {"candidate": candidate, "popularity": rival - 0.2, "ials": rival}
    verdict = judge(scores, "candidate", questions, Margins())
    assert verdict.word == "inconclusive"
    overall = {one.against: one for one in verdict.comparisons if one.slice == "all"}
    assert overall["popularity"].verdict == "pass"
    assert overall["ials"].verdict == "inconclusive"
    assert overall["popularity"].playlists_needed is None
    assert (overall["ials"].playlists_needed or 0) > 100


def test_what_it_takes_to_prove_harm_counts_all_comparisons() -> None:
    """A candidate that seems worse needs more playlists to be failed than one comparison by itself would."""
    questions = _questions(100)
    candidate, rival = _simulate(questions, -0.01, seed=3)
    scores = {"candidate": candidate, "ials": rival}
    few = judge(scores, "candidate", questions, Margins())
    many = judge(scores | dict.fromkeys("abcdef", rival), "candidate", questions, Margins())
    needed = [verdict.comparisons[0].playlists_needed or 0 for verdict in (few, many)]
    assert 0 < needed[0] < needed[1]


def test_a_comparison_reads_as_the_report_promises() -> None:
    """Effect, interval, margin and n are those of the question asked; plain numbers, no NaN and no infinity."""
    questions = [Question(0, "title", (), "", (1,)), Question(0, "1", (2,), "", (1,))]
    scores = {"candidate": np.array([0.5, 0.25]), "incumbent": np.array([0.25, 0.25])}
    verdict = judge(scores, "candidate", questions, Margins(incumbent=0.02, slice=0.04))
    overall, title, one = (comparison.to_json() for comparison in verdict.comparisons)
    assert overall == {
        "against": "incumbent", "slice": "all", "metric": "ndcg", "n": 2, "playlists": 1, "effect": 0.125,
        "low": -1.0, "high": 1.0, "margin": 0.02, "verdict": "inconclusive", "playlists_needed": None,
    }  # fmt: skip
    assert (title["slice"], title["n"], title["effect"], title["margin"]) == ("title", 1, 0.25, 0.04)
    assert (one["slice"], one["n"], one["effect"]) == ("1", 1, 0.0)
