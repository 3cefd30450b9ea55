"""What listeners send, through HTTP: typos, emoji, all scripts, strangers, repetitions, one artist, two moods."""

import math
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.spelling import Spelling
from tests.support.running_service import running
from tests.support.tiny_bundle import GENRES, tiny_tracks, write_tiny_bundle

TRACKS = tiny_tracks(600)
K = 500


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over 600 tracks that knows how the names of genres are spelled."""
    folder = tmp_path_factory.mktemp("robust")
    spelling = Spelling(dict.fromkeys(GENRES, 10), ["rook"])
    bundle = write_tiny_bundle(folder / "bundle", folder / "work", TRACKS, spelling=spelling)
    with (
        running(bundle.path, folder / "log", SEGUE_PATIENCE="10") as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        yield client


def continued(client: httpx.Client, tracks: list[dict[str, str]], name: str = "") -> list[tuple[int, float]]:
    """Return the numbers and scores of a continuation, after checking what each one promises."""
    body: dict[str, Any] = {"tracks": tracks, "name": name, "k": K}
    answer, again = (client.post("/predict", json=body).json() for _ in range(2))
    found, own = answer["recommended_tracks"], {m["track"]["track_uri"] for m in answer["matched"] if m["track"]}
    uris, scores = [track["track_uri"] for track in found], [track["score"] for track in found]
    assert len(uris) == len(set(uris)) == min(K, len(TRACKS) - len(own))
    assert not own & set(uris)
    assert all(map(math.isfinite, scores))
    assert scores == sorted(scores, reverse=True)
    assert again["recommended_tracks"] == found
    return [(int(uri.rpartition(":")[2]), score) for uri, score in zip(uris, scores, strict=True)]


def named(*numbers: int) -> list[dict[str, str]]:
    return [{"track_uri": TRACKS[number].uri} for number in numbers]


STRANGER = {"track_name": "Nothing of the Kind", "artist_name": "Nobody at All"}


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60), st.lists(st.integers(0, 599), max_size=5))
def test_any_title_is_answered_in_full(client: httpx.Client, title: str, seeds: list[int]) -> None:
    """500 tracks, each once, none of them a seed, in an order that is the same when asked again."""
    continued(client, named(*seeds) or [STRANGER], title)


@pytest.mark.parametrize(
    "title", ["日本の歌", "أغاني حزينة", "русский рок", "ไทย", "한국 노래", "🔥", "💔🎶", "???", "…", "\u202e"]
)
def test_a_title_in_any_script_is_answered(client: httpx.Client, title: str) -> None:
    """In full, as any other; the tiny model was taught none of these."""
    continued(client, [], title)


@pytest.mark.parametrize(
    "title",
    [
        "JAZZ",
        "  jazz ",
        "ｊａｚｚ",
        "jazz!!!",
        "#jazz",
        "jazz🎷",
        "jázz",
        "jaz",
        "jzaz",
        "jazzz",
        "jaxz",
        "(jazz)",
    ],
)
def test_a_title_is_understood_however_it_is_written(client: httpx.Client, title: str) -> None:
    """Case, width, spaces, signs, emoji, accents and one slip do not change what a title brings."""
    assert continued(client, [], title) == continued(client, [], "jazz")


def test_an_emoji_beside_a_word_leaves_it_what_it_is(client: httpx.Client) -> None:
    """The same tracks in the same order; only the scores know of the emoji."""
    beside, alone = (continued(client, [], title) for title in ("🎷 jazz", "jazz"))
    assert [number for number, _ in beside] == [number for number, _ in alone]


def test_a_word_of_tracks_is_no_typo(client: httpx.Client) -> None:
    """A rook is not rock, however near, and a roock is."""
    assert continued(client, [], "rook") != continued(client, [], "rock") == continued(client, [], "roock")


@pytest.mark.parametrize("track", [*named(4), STRANGER])
def test_a_track_that_is_sent_a_hundred_times_counts_once(client: httpx.Client, track: dict[str, str]) -> None:
    """Known or not, a repeated track tells no more than one, and each is told what it was."""
    assert continued(client, [track] * 100) == continued(client, [track])
    assert len(client.post("/predict", json={"tracks": [track] * 100}).json()["matched"]) == 100


def test_a_repetition_in_a_longer_playlist_changes_nothing(client: httpx.Client) -> None:
    """It stands where it first stood."""
    assert continued(client, named(4, 9, 4, 9, 9)) == continued(client, named(4, 9))


def test_tracks_that_are_all_unknown_are_answered_by_what_is_told(client: httpx.Client) -> None:
    """URIs that mean nothing leave what is popular, or the title; names are read."""
    nameless = [{"track_uri": f"elsewhere:{i}"} for i in range(100)]
    assert [number for number, _ in continued(client, nameless)][:3] == [0, 1, 2]
    assert [number for number, _ in continued(client, nameless, "techno")][:3] == [2, 5, 8]
    read = [{"track_name": f"Techno of tomorrow {i}", "artist_name": f"Nobody {i}"} for i in range(100)]
    assert [number for number, _ in continued(client, read)][:3] == [2, 5, 8]


def test_an_artists_tracks_bring_the_others_and_then_others(client: httpx.Client) -> None:
    """Of 86 tracks of one artist 80 are sent: the rest is among the answer, and so are other artists."""
    own = [number for number, track in enumerate(TRACKS) if track.artist == "Artist 1"]
    found = {number for number, _ in continued(client, named(*own[:80]))}
    assert set(own[80:]) & found
    assert {TRACKS[number].artist for number in found} > {"Artist 1"}


def test_two_moods_bring_both(client: httpx.Client) -> None:
    """Half rock and half jazz is continued by rock and jazz, and not by techno."""
    first = [number for number, _ in continued(client, named(0, 3, 6, 1, 4, 7))[:20]]
    assert {number % 3 for number in first} == {0, 1}
    assert 6 <= sum(number % 3 == 0 for number in first) <= 14
