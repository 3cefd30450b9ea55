"""Ranking metrics against answers worked out by hand and against an independent library."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segue.metrics import (
    clicks,
    coverage,
    dissimilarity,
    hits,
    ndcg,
    popularity,
    precision,
    r_precision,
    recall,
    reciprocal_rank,
)

RANKED = np.array([[5, 3, 9, 1, 7, 2]])
WANTED = [{3, 1, 8}]


@pytest.mark.parametrize(
    "value, expected",
    [
        (recall(RANKED, WANTED, 2), 1 / 3),
        (recall(RANKED, WANTED, 4), 2 / 3),
        (precision(RANKED, WANTED, 4), 2 / 4),
        (precision(RANKED, WANTED, 10), 2 / 10),
        (reciprocal_rank(RANKED, WANTED, 6), 1 / 2),
        (reciprocal_rank(RANKED, WANTED, 1), 0.0),
        (ndcg(RANKED, WANTED, 2), (1 / math.log2(3)) / (1 + 1 / math.log2(3))),
        (ndcg(RANKED, WANTED, 6), (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3) + 1 / 2)),
        (r_precision(RANKED, WANTED), 1 / 3),
        (clicks(RANKED, WANTED), 0.0),
    ],
)
def test_known_answers(value: NDArray[np.float64], expected: float) -> None:
    """Hits at ranks 2 and 4 of three wanted tracks."""
    assert value.tolist() == pytest.approx([expected])


@pytest.mark.parametrize("rank, expected", [(1, 0), (10, 0), (11, 1), (20, 1), (500, 49), (501, 51)])
def test_clicks_count_pages_of_ten(rank: int, expected: int) -> None:
    """The first page costs no click, the fiftieth 49, and nothing within 500 costs 51."""
    ranked = np.arange(600)[None, :]
    assert clicks(ranked, [{rank - 1}]).tolist() == [expected]


def test_a_perfect_list_is_one_everywhere() -> None:
    """Every wanted track first, in any order."""
    ranked, wanted = np.array([[4, 2, 6, 1, 3]]), [{2, 4, 6}]
    for value in (recall(ranked, wanted, 3), precision(ranked, wanted, 3), reciprocal_rank(ranked, wanted, 3)):
        assert value.tolist() == [1.0]
    assert ndcg(ranked, wanted, 5).tolist() == [1.0]
    assert r_precision(ranked, wanted).tolist() == [1.0]


def test_a_playlist_that_holds_out_nothing_is_not_measured() -> None:
    """Nothing to find is neither right nor wrong: every metric is NaN there, and only there."""
    ranked, wanted = np.array([[1, 2], [1, 2]]), [set[int](), {2}]
    values = [metric(ranked, wanted, 2) for metric in (recall, precision, reciprocal_rank, ndcg)]
    values += [r_precision(ranked, wanted), clicks(ranked, wanted)]
    for value in values:
        assert np.isnan(value).tolist() == [True, False]


def test_an_empty_list_finds_nothing() -> None:
    """A ranker that returns nothing scores nothing, and pays the most clicks."""
    ranked, wanted = np.empty((1, 0), np.int64), [{1}]
    for value in (recall(ranked, wanted, 5), precision(ranked, wanted, 5), ndcg(ranked, wanted, 5)):
        assert value.tolist() == [0.0]
    assert reciprocal_rank(ranked, wanted, 5).tolist() == [0.0]
    assert r_precision(ranked, wanted).tolist() == [0.0]
    assert clicks(ranked, wanted).tolist() == [51.0]


def test_empty_places_never_count() -> None:
    """-1 fills a list that is too short, and is no track."""
    assert hits(np.array([[-1, 3, -1]]), [{3, 4}]).tolist() == [[False, True, False]]


def test_a_repeated_track_counts_once() -> None:
    """Saying the right track twice finds it once."""
    ranked = np.array([[1, 1, 1]])
    assert hits(ranked, [{1, 2}]).tolist() == [[True, False, False]]
    assert recall(ranked, [[1, 2, 2]], 3).tolist() == [0.5]


_RANX = """
import json, sys
from ranx import Qrels, Run, evaluate
lists, names = json.load(sys.stdin)
qrels = Qrels({f"{i:03}": {str(t): 1 for t in wanted} for i, (_, wanted) in enumerate(lists)})
run = Run({f"{i:03}": {str(t): 1 / (r + 1) for r, t in enumerate(ids)} for i, (ids, _) in enumerate(lists)})
print(json.dumps({name: list(values) for name, values in evaluate(qrels, run, names, return_mean=False).items()}))
"""


def ranx(ranked: NDArray[np.int64], wanted: list[set[int]], names: list[str]) -> dict[str, list[float]]:
    """Return ranx's values, from a process where its loops are interpreted: compiling them takes a minute."""
    lists = [(ids, sorted(tracks)) for ids, tracks in zip(ranked.tolist(), wanted, strict=True)]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "ignore", "-c", _RANX]
    printed = subprocess.run(
        command, input=json.dumps([lists, names]), env=environment, check=True, capture_output=True, text=True
    )
    values: dict[str, list[float]] = json.loads(printed.stdout)
    return values


def _by_scores(scores: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Return the first ``k`` by falling score; the lower number goes first where scores are tied."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def test_metrics_agree_with_an_independent_library() -> None:
    """On 200 random rankings of 20 out of 40 tracks, half of them by scores with many ties, ranx finds the same.

    Of wanted tracks there are from 1 to 40: fewer than are ranked, all that there are, and just those that are ranked.
    The library says 0 where nothing is wanted, and we that nothing can be said.
    """
    random = np.random.default_rng(0)
    free = np.array([random.permutation(40)[:20] for _ in range(100)])
    tied = _by_scores(random.integers(0, 4, (100, 40)).astype(float), 20)
    ranked = np.concatenate([free, tied])
    wanted = [set(random.choice(40, random.integers(1, 16), replace=False).tolist()) for _ in range(197)]
    wanted += [set(range(40)), set(ranked[198].tolist()), set()]
    ours = {"r-precision": r_precision(ranked, wanted)}
    for k in (1, 5, 10, 20):
        ours |= {f"recall@{k}": recall(ranked, wanted, k), f"precision@{k}": precision(ranked, wanted, k)}
        ours |= {f"mrr@{k}": reciprocal_rank(ranked, wanted, k), f"ndcg@{k}": ndcg(ranked, wanted, k)}
    theirs = ranx(ranked, wanted, list(ours))
    for name, values in ours.items():
        np.testing.assert_allclose(values[:-1], theirs[name][:-1], atol=1e-12, err_msg=name)
        assert np.isnan(values[-1])
        assert theirs[name][-1] == 0


def test_clicks_agree_with_a_listener_who_turns_pages() -> None:
    """On random rankings of 600 tracks with few wanted: pages of ten are turned until one holds a wanted track."""
    random = np.random.default_rng(1)
    ranked = np.array([random.permutation(2000)[:600] for _ in range(100)])
    wanted = [set(random.choice(2000, random.integers(1, 8), replace=False).tolist()) for _ in range(100)]
    turned = [next((page for page in range(50) if tracks & set(row[10 * page : 10 * page + 10].tolist())), 51)
              for row, tracks in zip(ranked, wanted, strict=True)]  # fmt: skip
    assert clicks(ranked, wanted).tolist() == turned
    assert 51 in turned


def test_popularity_counts_doublings() -> None:
    """A track that 7 playlists hold is at 3; empty places do not count, and an empty list has no popularity."""
    ranked = np.array([[0, 1, 2], [2, -1, -1], [-1, -1, -1]])
    found = popularity(ranked, np.array([7, 1, 0]), 2)
    assert found[:2].tolist() == [2.0, 0.0]
    assert np.isnan(found[2])


def test_dissimilarity_by_hand() -> None:
    """Two of three labels shared is half alike; the same is 0, nothing shared 1; one labelled track tells nothing."""
    labels = [{"a", "b"}, {"a", "b", "c", "d"}, {"e"}, {"e"}, set[str]()]
    ranked = np.array([[0, 1, 4], [2, 3, 4], [0, 2, -1], [0, 1, 2], [4, 0, -1]])
    assert dissimilarity(ranked, labels, 3)[:4].tolist() == pytest.approx([0.5, 0.0, 1.0, 2.5 / 3])
    assert np.isnan(dissimilarity(ranked, labels, 3)[4])
    assert dissimilarity(ranked, labels, 2)[3] == 0.5


def test_coverage_counts_each_track_once() -> None:
    """Three different tracks of ten in the first two places; empty places are no track."""
    ranked = np.array([[0, 1, 5], [1, 2, 6], [-1, -1, -1]])
    assert coverage(ranked, 2, 10) == pytest.approx(0.3)
    assert coverage(ranked, 3, 10) == pytest.approx(0.5)
    assert coverage(np.empty((0, 3), np.int64), 3, 10) == 0.0


@given(st.permutations(range(8)), st.sets(st.integers(0, 7), min_size=1), st.integers(1, 8))
def test_moving_a_wanted_track_up_never_costs(order: list[int], wanted: set[int], k: int) -> None:
    """Swapping a wanted track with an unwanted one before it lowers no metric and adds no click."""
    ranked = np.array([order])
    better = ranked.copy()
    pairs = [(i, j) for i in range(8) for j in range(i + 1, 8) if order[i] not in wanted and order[j] in wanted]
    for i, j in pairs[:1]:
        better[0, [i, j]] = better[0, [j, i]]
    for metric in (recall, precision, reciprocal_rank, ndcg):
        assert metric(better, [wanted], k) >= metric(ranked, [wanted], k)
    assert r_precision(better, [wanted]) >= r_precision(ranked, [wanted])
    assert clicks(better, [wanted]) <= clicks(ranked, [wanted])
