"""Intervals over playlists."""

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics import POWER, estimate, jackknife


def test_one_question_per_playlist_is_the_ordinary_t_interval() -> None:
    """The textbook's interval is the special case without clusters."""
    values = np.random.default_rng(0).gamma(0.3, 0.2, 57) - 0.05
    low, high = estimate(values, range(57)).interval(0.05)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 56, values.mean(), stats.sem(values)))


def test_clusters_of_one_size_are_their_means() -> None:
    """Four questions on each playlist are worth as much as the playlist's mean, not four times as much."""
    values = np.random.default_rng(1).normal(size=(40, 4)) + np.random.default_rng(2).normal(size=(40, 1))
    clustered = estimate(values.ravel(), np.repeat(range(40), 4).tolist())
    plain = estimate(values.mean(axis=1), range(40))
    assert clustered.interval(0.05) == pytest.approx(plain.interval(0.05))
    assert (clustered.questions, clustered.playlists) == (160, 40)


@pytest.mark.parametrize("playlists, least", [(30, 0.91), (400, 0.935)])
def test_the_interval_covers_the_truth_as_often_as_it_says(playlists: int, least: float) -> None:
    """Skewed, clustered differences of the kind that NDCG has: about 95 of 100 intervals hold the true mean."""
    generator = np.random.default_rng(3)
    covered = 0
    for _ in range(1500):
        asked = generator.integers(1, 6, playlists)
        level = np.repeat(generator.gamma(0.5, 0.1, playlists) - 0.05, asked)
        values = level + generator.normal(0, 0.1, asked.sum())
        low, high = estimate(values, np.repeat(range(playlists), asked).tolist()).interval(0.05)
        covered += low <= 0.0 <= high
    assert least < covered / 1500 < 0.97


def test_without_playlists_nothing_is_known() -> None:
    """No value, or one playlist, leaves the mean anywhere."""
    for values, owners in (([], []), ([0.3], [7]), ([0.3, 0.4], [7, 7])):
        low, high = estimate(np.array(values), owners).interval(0.05)
        assert low == -np.inf
        assert high == np.inf
        assert estimate(np.array(values), owners).playlists_needed(0.0, 0.05) is None


def test_the_playlists_needed_settle_it_as_often_as_promised() -> None:
    """Asked again on that many playlists, about eight of ten intervals lie clear of the bar."""
    generator = np.random.default_rng(4)
    found = estimate(generator.normal(0.02, 0.2, 100), range(100))
    needed = found.playlists_needed(0.0, 0.05)
    assert needed is not None
    draws = generator.normal(found.mean, found.spread, (2000, needed))
    width = stats.t.ppf(0.975, needed - 1) * draws.std(axis=1, ddof=1) / np.sqrt(needed)
    assert np.mean(draws.mean(axis=1) - width > 0) == pytest.approx(POWER, abs=0.04)


def test_an_effect_right_on_the_bar_is_never_settled() -> None:
    """No number of playlists is promised where none would do."""
    assert estimate(np.array([0.1, -0.1] * 20), range(40)).playlists_needed(0.0, 0.05) is None
    assert estimate(np.array([0.1, -0.1] * 20) + 1e-9, range(40)).playlists_needed(0.0, 0.05) is None


def test_a_weighted_share_is_the_share_of_all_tracks() -> None:
    """One of one and none of nine is one of ten, not a half; all weights alike are no weights."""
    assert estimate(np.array([1.0, 0.0]), [0, 1], np.array([1.0, 9.0])).mean == pytest.approx(0.1)
    values = np.random.default_rng(5).random(50)
    plain, weighted = estimate(values, range(50)), estimate(values, range(50), np.full(50, 3.0))
    assert weighted.interval(0.05) == pytest.approx(plain.interval(0.05))


def test_a_weighted_interval_covers_the_truth() -> None:
    """Shares of 1 to 30 tracks each, weighted with their number: about 95 of 100 intervals hold the true share."""
    generator = np.random.default_rng(6)
    covered = 0
    for _ in range(1000):
        tracks = generator.integers(1, 31, 200)
        chance = generator.beta(1, 4, 200)
        found = estimate(generator.binomial(tracks, chance) / tracks, range(200), tracks.astype(float))
        low, high = found.interval(0.05)
        covered += low <= 0.2 <= high
    assert 0.93 < covered / 1000 < 0.97


def test_the_jackknife_of_a_mean_is_its_t_interval() -> None:
    """Where both can be had, they are the same."""
    values = np.random.default_rng(7).random(40)
    without = (values.sum() - values) / 39
    found = jackknife(float(values.mean()), without, 40)
    assert found.interval(0.05) == pytest.approx(estimate(values, range(40)).interval(0.05))
    assert jackknife(0.3, np.array([0.0]), 5).interval(0.05) == (-np.inf, np.inf)
