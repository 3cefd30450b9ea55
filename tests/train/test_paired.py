"""How sure a part's gain is, held against the statistics of the gate, and against parts that do nothing."""

import math

import numpy as np
import pytest

from evaluation.statistics import estimate
from train.ablation_figures import Figures
from train.paired import gain

SEEDS = ("0", "1", "5", "10", "25")
COLD = {"cold": np.empty(0)}


@pytest.mark.parametrize("share", [False, True])
def test_a_gain_and_its_interval_are_those_of_the_gate(share: bool) -> None:
    """For a mean over playlists, and for a share of tracks; playlists without such a track take no part."""
    rng = np.random.default_rng(0)
    asked = rng.integers(0, 6, 80).astype(float) if share else np.ones(80)
    whole, without = rng.random(80) * asked, rng.random(80) * asked
    measured = gain(whole, without, asked, 0.05)
    kept = np.flatnonzero(asked)
    expected = estimate((whole - without)[kept] / asked[kept], np.arange(len(kept)), asked[kept])
    assert measured is not None
    assert measured.playlists == len(kept)
    assert measured.mean == pytest.approx(expected.mean)
    assert (measured.low, measured.high) == pytest.approx(expected.interval(0.05))


def test_the_sign_of_an_interval_is_the_word() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 100)
    words = [gain(noise + shift, np.zeros(100), np.ones(100), 0.05) for shift in (0.2, 0.0, -0.2)]
    assert [each.verdict for each in words if each] == ["adds", "adds nothing that shows", "costs"]


def test_too_few_playlists_say_nothing() -> None:
    """One playlist has no interval, and none has no figure."""
    one = gain(np.array([0.9]), np.array([0.1]), np.ones(1), 0.05)
    assert one is not None
    assert one.verdict == "adds nothing that shows"
    assert (one.low, one.high) == (-math.inf, math.inf)
    assert one.to_json()["low"] is None
    assert gain(np.zeros(3), np.zeros(3), np.zeros(3), 0.05) is None


def test_a_part_that_does_nothing_rarely_gets_a_word() -> None:
    """Of a thousand parts without an effect, one in twenty gets a word anywhere, all numbers of seeds together."""
    rng, told = np.random.default_rng(0), 0
    asked = {name: np.ones(120) for name in SEEDS} | COLD
    for _ in range(1000):
        ease = rng.random(120)
        whole, without = (Figures({n: ease + rng.normal(0, 0.1, 120) for n in SEEDS} | COLD, asked) for _ in range(2))
        told += any(each.verdict != "adds nothing that shows" for each in whole.over(without).values())
    assert 20 <= told <= 70


def test_figures_come_back_from_their_bytes() -> None:
    values = np.random.default_rng(0).random(7)
    nobody, ones = np.empty(0), np.ones(7)
    figures = Figures({"5": values, "10": values, "cold": nobody}, {"5": ones, "10": ones, "cold": nobody})
    again = Figures.from_bytes(figures.to_bytes())
    assert np.array_equal(again.reached["5"], values)
    assert list(again.over(figures)) == ["5", "10"]
