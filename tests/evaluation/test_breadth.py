"""What a ranking is like beside being right, on answers small enough to count by hand."""

from pathlib import Path

import numpy as np
import pytest

from evaluation import breadth
from evaluation.breadth import ARTISTS, BIAS, COLD_HIT, GENRES, UNSEEN_HIT, Facts
from evaluation.dataset import Dataset
from evaluation.figures import describe, interval, intervals_json
from evaluation.measure import score
from evaluation.queries import ALL, Question
from evaluation.statistics import estimate
from tests.evaluation.tiny_dataset import write_dataset
from tests.support.tiny_bundle import tiny_tracks

FACTS = Facts(
    counts=np.array([7, 3, 1, 0, 0, 2]),
    artists=[(0,), (0,), (1,), (2,), (), (1,)],
    genres=[{"pop"}, {"pop", "rock"}, {"rock"}, set(), set(), {"folk"}],
)
QUESTIONS = [
    Question(0, "title", (), "", (0, 3)),
    Question(0, "1", (1,), "", (2, 3, 4)),
    Question(1, "1", (1,), "", (0,)),
]
RANKED = np.array([[0, 1, -1], [0, 2, 3], [2, 5, 1]])


def test_facts_are_those_of_the_dataset(tmp_path: Path) -> None:
    """Counts are of training playlists, an artist is an id, and genres are read as people write them."""
    playlists = [("", [0, 1]), ("", [0]), ("", [0, 2])]
    genres = {0: "['dance pop', 'Pop']", 1: "rock; Pop ,", 2: ""}
    write_dataset(tmp_path, tiny_tracks(9), playlists, ["train", "train", "test"], genres=genres)
    facts = Facts.of(Dataset.open(tmp_path))
    assert facts.counts.tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0]
    assert facts.artists[1] == facts.artists[8] != facts.artists[2]
    assert facts.genres is not None
    assert facts.genres[:4] == [{"dance pop", "pop"}, {"rock", "pop"}, set(), set()]


def test_a_dataset_without_genres_has_no_genre_diversity(tmp_path: Path) -> None:
    """Artists stand in for it."""
    write_dataset(tmp_path, tiny_tracks(9), [("", [0, 1])], ["train"])
    facts = Facts.of(Dataset.open(tmp_path))
    assert facts.genres is None
    assert {ARTISTS, GENRES} & set(breadth.score(RANKED, QUESTIONS, facts)) == {ARTISTS}


def test_each_figure_by_hand() -> None:
    """Doublings of popularity, unlike pairs, and hits among tracks that few or no training playlists hold."""
    found = breadth.score(RANKED, QUESTIONS, FACTS)
    assert found[BIAS].tolist() == pytest.approx([2.5 - 1.5, 4 / 3 - 1 / 3, (1 + np.log2(3) + 2) / 3 - 3])
    assert found[ARTISTS].tolist() == pytest.approx([0.0, 1.0, 2 / 3])
    assert found[GENRES].tolist() == pytest.approx([0.5, 1.0, (1 + 0.5 + 1) / 3])
    np.testing.assert_array_equal(found[UNSEEN_HIT], [0.0, 0.5, np.nan])
    np.testing.assert_array_equal(found[COLD_HIT], [0.0, 2 / 3, np.nan])


def test_hit_rates_are_shares_of_tracks() -> None:
    """None of one and two of three cold tracks are two of four; a question without any does not count."""
    figures = describe(RANKED, score(RANKED, QUESTIONS), QUESTIONS, FACTS)
    assert figures[ALL][COLD_HIT].mean == pytest.approx(0.5)
    assert figures[ALL][COLD_HIT].questions == 2
    assert figures["1"][COLD_HIT].mean == pytest.approx(2 / 3)
    assert figures["title"]["ndcg"].mean == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_coverage_is_of_all_answers_together() -> None:
    """Tracks 0, 1, 2, 3 and 5 of six; an interval needs two playlists."""
    covered = breadth.cover(RANKED, QUESTIONS, ("title", "1", "25", ALL), 6)
    assert covered[ALL]["coverage@500"].mean == pytest.approx(5 / 6)
    assert covered["title"]["coverage@10"].mean == pytest.approx(2 / 6)
    assert covered["25"]["coverage@10"].questions == 0
    assert interval("coverage@10", covered["title"]["coverage@10"]) is None
    # playlist 0 alone shows 0 and 3, playlist 1 alone shows 5: without them 3/6 and 4/6 are left
    assert covered[ALL]["coverage@500"].spread == pytest.approx(np.sqrt(2 * 0.5 * 2 * (1 / 12) ** 2))


def test_the_interval_of_coverage_is_not_too_narrow() -> None:
    """Asked again with other playlists, coverage wavers by no more than the jackknife says (Efron and Stein 1981)."""
    generator = np.random.default_rng(0)
    likely = np.arange(1, 401) ** -1.0
    questions = [Question(playlist, "1", (), "", (0,)) for playlist in range(60)]
    found = []
    for _ in range(100):
        ranked = np.array([generator.choice(400, 10, replace=False, p=likely / likely.sum()) for _ in range(60)])
        found.append(breadth.cover(ranked, questions, ("1",), 400)["1"]["coverage@10"])
    wavers = np.std([one.mean for one in found])
    assert 0.9 < np.mean([one.spread / np.sqrt(60) for one in found]) / wavers < 1.6


def test_intervals_stay_where_their_metric_lies() -> None:
    """A share is not below 0 or above 1, clicks not above 51; a bias may be anywhere; no playlists, no interval."""
    half = estimate(np.array([0.0, 1.0]), [0, 1])
    assert interval("ndcg", half) == (0.0, 1.0)
    assert interval("clicks", estimate(np.array([0.0, 51.0]), [0, 1])) == (0.0, 51.0)
    assert (interval(BIAS, half) or (0.0, 0.0))[0] < -1
    nothing = describe(RANKED[:0], score(RANKED[:0], []), [], FACTS)
    assert intervals_json(nothing)[ALL]["ndcg"] is None
