"""Titles with a typo."""

import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evaluation.dataset import Playlist
from evaluation.typos import mistype, mistype_some


@given(st.text(max_size=30), st.integers(0, 99))
def test_a_typo_is_one_slip_of_a_letter(title: str, seed: int) -> None:
    """One letter more, one less, another in its place or two swapped; the same seed slips alike."""
    slipped = mistype(title, np.random.default_rng(seed))
    assert slipped == mistype(title, np.random.default_rng(seed))
    letters = sum(map(str.isalpha, title))
    assert (slipped != title) == (letters > 1)
    assert abs(len(slipped) - len(title)) <= 1
    signs = [sign for sign in title if not sign.isalpha()]
    assert [sign for sign in slipped if not sign.isalpha()] == signs


def test_each_kind_of_slip_happens() -> None:
    """Of one word: a letter left out, doubled, changed, and two of them swapped."""
    seen = {mistype("rock", np.random.default_rng(seed)) for seed in range(300)}
    assert {"rck", "rocck", "orck"} <= seen
    assert any(len(word) == 4 and sorted(word) != sorted("rock") for word in seen)
    assert unicodedata.normalize("NFC", mistype("è", np.random.default_rng(0))) == "è"


def test_a_share_of_titles_is_mistyped_whoever_else_is_there() -> None:
    """None, about a third or all; who is drawn does not depend on the other playlists, and their tracks stay."""
    playlists = [Playlist(number, "summer hits", (number, 1)) for number in range(300)]
    assert mistype_some(playlists, 0.0, seed=1) == playlists
    some = mistype_some(playlists, 1 / 3, seed=1)
    assert 60 < sum(playlist.name != "summer hits" for playlist in some) < 140
    assert mistype_some(playlists[200:], 1 / 3, seed=1) == some[200:]
    assert mistype_some(playlists, 1 / 3, seed=2) != some
    everyone = mistype_some(playlists, 1.0, seed=1)
    assert all(playlist.name != "summer hits" for playlist in everyone)
    assert [playlist.tracks for playlist in everyone] == [playlist.tracks for playlist in playlists]
