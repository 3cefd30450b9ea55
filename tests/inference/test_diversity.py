"""Lists that share their places among a playlist's moods: by HTTP over the tiny bundle, and against the paper."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.diversity import calibrate
from inference.ranker import Ranker
from segue import metrics
from segue.bundle import Bundle
from segue.errors import BundleError, InputError
from tests.support.tiny_bundle import write_tiny_bundle

GENRES = {"Rock": 0, "Jazz": 1, "Techno": 2}
TWO_MOODS = {"tracks": [{"track_uri": f"tiny:track:{i}"} for i in (0, 3, 1, 4)], "name": "rock"}
"""Two tracks of rock and two of jazz; the title leaves the tiny model in no doubt that rock fits better."""
STEPS = [step / 20 for step in range(21)]


def genres(client: httpx.Client, **body: Any) -> list[str]:
    """Return the genres of what is recommended, in the order of the list."""
    response = client.post("/predict", json=body)
    assert response.status_code == 200, response.text
    return [track["track_name"].split()[0] for track in response.json()["recommended_tracks"]]


def unnamed(client: httpx.Client, body: dict[str, Any]) -> bytes:
    """Return an answer's bytes without its name, which no two answers share."""
    response = client.post("/predict", json=body)
    name: str = response.json()["impression_id"]
    return response.content.replace(name.encode(), b"")


def test_without_it_nothing_changes(client: httpx.Client) -> None:
    """Left out, 0, 0.0 and -0.0 are one: every byte of the answer by score alone."""
    plain = unnamed(client, TWO_MOODS)
    for nothing in (0, 0.0, -0.0):
        assert unnamed(client, {**TWO_MOODS, "diversity": nothing}) == plain


@pytest.mark.parametrize("k", range(2, 13))
def test_a_playlist_of_two_moods_gets_results_from_both(client: httpx.Client, k: int) -> None:
    """By score all are of one mood; at 1 each has half of the places, within one."""
    assert set(genres(client, **TWO_MOODS, k=min(k, 8))) == {"Rock"}
    found = genres(client, **TWO_MOODS, k=k, diversity=1)
    assert len(found) == k
    assert abs(found.count("Rock") - k / 2) <= 1
    assert abs(found.count("Jazz") - k / 2) <= 1


def test_each_mood_gets_the_share_that_the_playlist_has_of_it(client: httpx.Client) -> None:
    """Three tracks of rock to one of jazz: six places of eight, and the best of each first."""
    tracks = [{"track_uri": f"tiny:track:{i}"} for i in (0, 3, 6, 1)]
    answer = client.post("/predict", json={"tracks": tracks, "name": "rock", "k": 8, "diversity": 1}).json()
    numbers = [int(track["track_uri"].split(":")[2]) for track in answer["recommended_tracks"]]
    assert [number for number in numbers if number % 3 == 1] == [4, 7]
    assert [number for number in numbers if number % 3 == 0] == [9, 12, 15, 18, 21, 24]


def test_a_title_alone_is_shared_out_by_what_may_follow_it(client: httpx.Client) -> None:
    """Nothing but candidates tells its moods: of all thirty tracks a third are of each genre."""
    assert genres(client, name="rock", k=6) == ["Rock"] * 6
    assert sorted(genres(client, name="rock", k=6, diversity=1)) == ["Jazz"] * 2 + ["Rock"] * 2 + ["Techno"] * 2


def test_more_of_it_never_makes_a_list_more_alike(client: httpx.Client) -> None:
    """From step to step the genres of two of ten tracks differ as often or more often, and in the end more often."""
    found = []
    for step in STEPS:
        labels = [{genre} for genre in genres(client, **TWO_MOODS, k=10, diversity=step)]
        found.append(float(metrics.dissimilarity(np.arange(10)[None], labels, 10)[0]))
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_the_same_request_is_answered_by_the_same_bytes(client: httpx.Client) -> None:
    """Nothing is drawn by lot."""
    body = {**TWO_MOODS, "k": 20, "diversity": 0.5}
    assert len({unnamed(client, body) for _ in range(5)}) == 1


def test_a_shorter_list_begins_a_longer_one(ranker: Ranker) -> None:
    """Who asks for more keeps what was there, up to all that the catalogue has."""
    query = ranker.query([0, 3, 1], "rock")
    whole, scores = ranker.rank([query], 40, 0.6)
    assert sorted(whole[0, :27].tolist()) == sorted(set(range(30)) - {0, 1, 3})
    assert (whole[0, 27:] == -1).all()
    assert np.isinf(scores[0, 27:]).all()
    for k in (1, 2, 7, 27):
        assert ranker.rank([query], k, 0.6)[0].tolist() == whole[:, :k].tolist()


def test_every_playlist_of_a_pass_is_ranked_as_it_is_alone(ranker: Ranker) -> None:
    """Among others, longer or without a track."""
    queries = [ranker.query([0, 1, 2]), ranker.query([], "jazz"), ranker.query([4, 5], "rock"), ranker.query([])]
    together, scores = ranker.rank(queries, 9, 0.8)
    for row, query in enumerate(queries):
        ids, alone = ranker.rank([query], 9, 0.8)
        assert ids[0].tolist() == together[row].tolist()
        assert alone[0].tobytes() == scores[row].tobytes()


@pytest.mark.parametrize("diversity", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(ranker: Ranker, diversity: float) -> None:
    """The sentence says what there is to ask for."""
    with pytest.raises(InputError, match="goes from 0 to 1"):
        ranker.rank([ranker.query([0])], 2, diversity)


def test_a_bundle_without_vectors_ranks_by_score(ranker: Ranker) -> None:
    """One that was exported before does not say where they stand; a rollback to it breaks no request."""
    bundle = ranker.bundle
    facts = {name: value for name, value in bundle.manifest.model.items() if name != "scan"}
    older = Ranker.load(replace(bundle, manifest=replace(bundle.manifest, model=facts)), threads=1)
    query = older.query([0, 3, 1, 4], "rock")
    assert older.rank([query], 9, 1)[0].tolist() == older.rank([query], 9)[0].tolist()


def test_a_bundle_that_says_wrongly_where_its_vectors_stand_is_refused(tmp_path: Path) -> None:
    """Before it is served, and not at the first request that asks."""
    bundle: Bundle = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work")
    layout = {"vectors": {"offset": 10**9, "shape": [30, 3]}}
    wrong = replace(bundle.manifest, model={**bundle.manifest.model, "scan": layout})
    with pytest.raises(BundleError, match="says wrongly where its tracks stand"):
        Ranker.load(replace(bundle, manifest=wrong), threads=1)


# ---- against the paper ----


def divergence(shares: NDArray[np.float64], chosen: list[int], groups: list[int]) -> float:
    """Return Steck's equation 6: KL of the profile's shares against the list's, those smoothed by a hundredth."""
    counts = np.bincount([groups[one] for one in chosen], minlength=len(shares)) / len(chosen)
    smooth = 0.99 * counts + 0.01 * shares
    told = shares > 0
    return float((shares[told] * np.log(shares[told] / smooth[told])).sum())


@given(
    groups=st.lists(st.integers(0, 3), min_size=1, max_size=25),
    profile=st.lists(st.integers(0, 3), min_size=1, max_size=9),
    diversity=st.sampled_from([0.05, 0.3, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 99),
)
def test_each_place_goes_to_whom_the_paper_gives_it(
    groups: list[int], profile: list[int], diversity: float, seed: int
) -> None:
    """No other candidate would have brought more, written down as the paper has it and not as the code does."""
    scores = -np.sort(-np.random.default_rng(seed).random(len(groups), np.float32))
    axes = np.eye(4, dtype=np.float32)
    order = calibrate(axes[profile], axes[groups], scores, diversity, len(groups)).tolist()
    assert sorted(order) == list(range(len(groups)))
    kinds = list(dict.fromkeys(profile))
    shares = np.array([profile.count(kind) for kind in kinds]) / len(profile)
    # A candidate of no kind of the profile's is as near to all of them, and counts with the first.
    of = [kinds.index(group) if group in kinds else 0 for group in groups]
    low, span = float(scores[-1]), float(scores[0]) - float(scores[-1]) or 1.0

    def objective(chosen: list[int]) -> float:
        relevance = sum((float(scores[one]) - low) / span for one in chosen)
        return (1 - diversity) * relevance - diversity * divergence(shares, chosen, of)

    for place, chosen in enumerate(order):
        best = max(objective([*order[:place], one]) for one in order[place:])
        assert objective([*order[:place], chosen]) >= best - 1e-6


def test_of_equals_the_one_that_ranks_higher_comes_first() -> None:
    """Equal scores, equal shares, equal vectors: the candidates' own order, group by group in turn."""
    axes = np.eye(3, dtype=np.float32)
    groups = [2, 0, 1, 1, 2, 0]
    scores = np.full(6, 0.25, np.float32)
    for profile in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        assert calibrate(axes[profile], axes[groups], scores, 1, 6).tolist() == [0, 1, 2, 3, 4, 5]
    same = np.ones((6, 3), np.float32)
    assert calibrate(same, same, scores, 0.5, 6).tolist() == [0, 1, 2, 3, 4, 5]


def test_tracks_without_a_vector_are_ranked_too() -> None:
    """One of length 0 points nowhere, and disturbs nothing."""
    nowhere = np.zeros((4, 3), np.float32)
    scores = np.array([4, 3, 2, 1], np.float32)
    assert calibrate(nowhere, nowhere, scores, 1, 4).tolist() == [0, 1, 2, 3]
    assert sorted(calibrate(np.eye(3, dtype=np.float32), nowhere, scores, 1, 4).tolist()) == [0, 1, 2, 3]
