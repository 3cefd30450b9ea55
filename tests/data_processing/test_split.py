from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data_processing.copies import content_keys, copy_groups, track_hashes
from data_processing.ingest import Options, ingest
from data_processing.split import split
from tests.data_processing.made_up import playlist, write_slice


def hashed(lists: list[list[int]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    universe = track_hashes([f"made:track:{i}" for i in range(4000)])
    starts = np.cumsum([0, *(len(tracks) for tracks in lists)])
    return universe[np.concatenate([np.array(tracks) for tracks in lists])], starts


def sides(tmp_path: Path, lists: list[list[int]], seed: int = 0) -> dict[str, str]:
    """Return each playlist's side, by its name, which is its number."""
    path = write_slice(tmp_path / "mpd.slice.0-9.json", [playlist(i, t, name=str(t)) for i, t in enumerate(lists)])
    dataset = ingest([path], tmp_path / "out", Options(seed=seed, validation=0.2, test=0.2))
    return dict(zip(dataset.playlists()["name"].to_pylist(), dataset.split().tolist(), strict=True))


@pytest.fixture
def lists() -> list[list[int]]:
    random = np.random.default_rng(5)
    return [random.choice(900, 15, replace=False).tolist() for _ in range(150)]


def test_a_playlist_keeps_its_side_when_others_come(tmp_path: Path, lists: list[list[int]]) -> None:
    """The side is a matter of the playlist's own tracks and the seed."""
    few, many = sides(tmp_path, lists[:100]), sides(tmp_path, lists[::-1])
    assert few.items() <= many.items()
    assert set(many.values()) == {"train", "validation", "test"}
    assert sides(tmp_path, lists, seed=1) != many


def test_copies_stand_on_one_side(tmp_path: Path, lists: list[list[int]]) -> None:
    """Equal playlists, shuffled ones and ones with a track more or less are never split."""
    random = np.random.default_rng(6)
    longer = [random.choice(900, 40, replace=False).tolist() for _ in range(60)]
    shuffled = [random.permutation(tracks).tolist() for tracks in longer]
    near = [[*tracks[1:], 950] for tracks in longer]
    found = sides(tmp_path, [*longer, *shuffled, *near, *lists])
    for trio in zip(longer, shuffled, near, strict=True):
        assert len({found[str(tracks)] for tracks in trio}) == 1


@given(st.lists(st.sets(st.integers(0, 60), min_size=2, max_size=12).map(sorted), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_groups_are_what_comparing_all_pairs_finds(lists: list[list[int]]) -> None:
    """Equal sets always share a group, and a group holds nothing that is not linked by near-copies."""
    hashes, starts = hashed(lists)
    groups = copy_groups(hashes, starts)
    sets = [set(tracks) for tracks in lists]
    linked = np.array([[len(a & b) / len(a | b) > 0.8 for b in sets] for a in sets])
    reach = linked.copy()
    for _ in sets:
        reach = reach | (reach.astype(int) @ linked.astype(int) > 0)
    for i in range(len(sets)):
        for j in range(len(sets)):
            if sets[i] == sets[j]:
                assert groups[i] == groups[j]
            if groups[i] == groups[j]:
                assert reach[i, j]


def test_nearly_all_near_copies_are_found() -> None:
    """Of pairs at Jaccard .9, at least 99 % share a group; of pairs at .5 none does."""
    random = np.random.default_rng(0)
    pairs: list[list[int]] = []
    for shared in [19] * 400 + [14] * 400:
        tracks = random.choice(4000, 40, replace=False)
        pairs += [tracks[:20].tolist(), [*tracks[:shared].tolist(), *tracks[20 : 40 - shared].tolist()]]
    groups = copy_groups(*hashed(pairs))
    together = groups[::2] == groups[1::2]
    assert together[:400].mean() > 0.99
    assert not together[400:].any()


def test_the_content_key_does_not_know_order() -> None:
    """The same tracks in another order have the same key; another track, another key."""
    hashes, starts = hashed([[1, 2, 3], [3, 1, 2], [1, 2, 4], [1, 2]])
    keys = content_keys(hashes, starts)
    assert keys[0] == keys[1]
    assert len(set(keys.tolist())) == 3


def test_the_sizes_are_as_asked_on_average() -> None:
    """Within four standard deviations of a binomial draw."""
    keys = np.arange(20_000, dtype=np.uint64)
    found = split(keys, np.arange(20_000), seed=3, validation=0.03, test=0.05)
    assert abs((found == "test").sum() - 1000) < 4 * np.sqrt(20_000 * 0.05 * 0.95)
    assert abs((found == "validation").sum() - 600) < 4 * np.sqrt(20_000 * 0.03 * 0.97)
