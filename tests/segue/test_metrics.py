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

from segue.metrics import clicks, hits, ndcg, precision, r_precision, recall, reciprocal_rank

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


def test_metrics_agree_with_an_independent_library() -> None:
    """On 200 random rankings of 20 out of 40 tracks, with 1 to 15 wanted, ranx computes the same values."""
    random = np.random.default_rng(0)
    ranked = np.array([random.permutation(40)[:20] for _ in range(200)])
    wanted = [set(random.choice(40, random.integers(1, 16), replace=False).tolist()) for _ in range(200)]
    ours = {"r-precision": r_precision(ranked, wanted)}
    for k in (1, 5, 10, 25):
        ours |= {f"recall@{k}": recall(ranked, wanted, k), f"precision@{k}": precision(ranked, wanted, k)}
        ours |= {f"mrr@{k}": reciprocal_rank(ranked, wanted, k), f"ndcg@{k}": ndcg(ranked, wanted, k)}
    theirs = ranx(ranked, wanted, list(ours))
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], atol=1e-12, err_msg=name)


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
