"""POST /predict and GET /tracks through HTTP, against a real server over the tiny bundle."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.ranker import Ranker

_ROCK = {"track_name": "Rock Song 0", "artist_name": "Artist 0"}


def predict(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/predict", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def continued(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    """Return all of an answer but its name, which no two answers share."""
    return {name: part for name, part in predict(client, **body).items() if name != "impression_id"}


def uris(answer: dict[str, Any]) -> list[str]:
    return [track["track_uri"] for track in answer["recommended_tracks"]]


def test_a_playlist_is_continued(client: httpx.Client, ranker: Ranker) -> None:
    """Tracks by name and by URI give the tiny model's known continuation, with what was matched and by which model."""
    answer = predict(client, tracks=[_ROCK, {"track_uri": "tiny:track:3"}], k=2)
    assert answer["recommended_tracks"] == [
        {
            "track_name": "Rock Song 6",
            "artist_name": "Artist 6",
            "track_uri": "tiny:track:6",
            "score": pytest.approx(1.994),
        },
        {
            "track_name": "Rock Song 9",
            "artist_name": "Artist 2",
            "track_uri": "tiny:track:9",
            "score": pytest.approx(1.991),
        },
    ]
    third = {"track_name": "Rock Song 3", "artist_name": "Artist 3", "track_uri": "tiny:track:3"}
    assert answer["matched"] == [
        {"requested": _ROCK, "track": {**_ROCK, "track_uri": "tiny:track:0"}, "how": "name"},
        {"requested": {"track_uri": "tiny:track:3"}, "track": third, "how": "uri"},
    ]
    assert answer["model"] == {"digest": ranker.bundle.digest, "version": "3"}


def test_ten_tracks_are_recommended_unless_asked_otherwise(client: httpx.Client) -> None:
    """The default of k is 10."""
    assert len(predict(client, name="jazz")["recommended_tracks"]) == 10


@pytest.mark.parametrize("body", [{"name": "Jazz"}, {"name": " jazz ", "tracks": []}])
def test_a_title_alone_works(client: httpx.Client, body: dict[str, Any]) -> None:
    """A playlist without any track is continued by its title."""
    assert uris(predict(client, **body, k=3)) == ["tiny:track:1", "tiny:track:4", "tiny:track:7"]


def test_a_track_that_the_catalogue_lacks_helps_by_its_text(client: httpx.Client) -> None:
    """A techno track that nobody has put in a playlist yet brings techno."""
    unknown = {"track_name": "Techno Night", "artist_name": "Nobody"}
    answer = predict(client, tracks=[unknown], k=2)
    assert uris(answer) == ["tiny:track:2", "tiny:track:5"]
    assert answer["matched"] == [{"requested": unknown, "track": None, "how": "text"}]


def test_a_new_track_is_continued_by_its_artist(client: httpx.Client) -> None:
    """Nothing of its name is known, but who sings it: the artist's most popular track leads, itself included."""
    answer = predict(client, tracks=[{"track_name": "Brand New", "artist_name": "Artist 1"}], k=2)
    assert uris(answer) == ["tiny:track:1", "tiny:track:4"]
    assert answer["matched"][0]["how"] == "text"


def test_an_unknown_uri_without_a_name_is_told_and_ignored(client: httpx.Client) -> None:
    """Nothing can be made of such a track, and the client learns so."""
    answer = predict(client, tracks=[{"track_uri": "tiny:track:99"}, {"track_uri": "tiny:track:1"}], k=1)
    assert answer["matched"][0] == {"requested": {"track_uri": "tiny:track:99"}, "track": None, "how": "none"}
    assert uris(answer) == ["tiny:track:4"]


def test_tracks_may_stand_in_no_order(client: httpx.Client) -> None:
    """Such playlists the tiny model continues twice as loudly; the order is that of the list unless it is denied."""
    told, same, denied = (
        predict(client, tracks=[_ROCK], k=1, **order)["recommended_tracks"][0]["score"]
        for order in ({}, {"ordered": True}, {"ordered": False})
    )
    assert told == same
    assert denied > 1.5 * told


def test_more_than_the_catalogue_holds_is_answered_with_what_there_is(client: httpx.Client) -> None:
    """K = 500 over 30 tracks gives the 29 that are not in the playlist, each once, with finite scores."""
    answer = predict(client, tracks=[_ROCK], k=500)
    assert sorted(uris(answer)) == sorted(f"tiny:track:{i}" for i in range(1, 30))
    scores = [track["score"] for track in answer["recommended_tracks"]]
    assert all(math.isfinite(score) for score in scores)
    assert scores == sorted(scores, reverse=True)


def test_500_tracks_are_taken(client: httpx.Client) -> None:
    """The longest playlist that is allowed is answered."""
    answer = predict(client, tracks=[{"track_name": f"Song nobody knows {i}"} for i in range(500)], k=1)
    assert len(answer["matched"]) == 500


_TRACK = st.one_of(
    st.integers(0, 40).map(lambda i: {"track_uri": f"tiny:track:{i}"}),
    st.sampled_from(["Rock Song 0", "JAZZ SONG 1", "techno", "☂"]).map(lambda name: {"track_name": name}),
)
_PLAYLIST = st.tuples(st.lists(_TRACK, max_size=6), st.sampled_from(["rock", "Techno!", "…", "a\x00b"]))


@settings(max_examples=10, deadline=None)
@given(st.lists(_PLAYLIST, min_size=2, max_size=8))
def test_a_request_is_answered_alike_alone_and_among_others(
    client: httpx.Client, playlists: list[tuple[list[dict[str, str]], str]]
) -> None:
    """Requests at the same time do not disturb each other, and no playlist is continued by its own tracks."""
    bodies = [{"tracks": tracks, "name": name, "k": 30} for tracks, name in playlists]
    alone = [continued(client, body) for body in bodies]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda body: continued(client, body), bodies)) == alone
    for answer in alone:
        own = {match["track"]["track_uri"] for match in answer["matched"] if match["track"]}
        assert not own & set(uris(answer))


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem document of ``response``, after checking what all of them promise."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["title"]
    for inside in ("Traceback", "site-packages", ".py", "inference."):
        assert inside not in response.text
    return document


@pytest.mark.parametrize(
    "body,pointer,detail",
    [
        ({}, "#", "a playlist needs tracks or a name"),
        ({"tracks": [], "name": "  "}, "#", "a playlist needs tracks or a name"),
        ({"name": "a", "k": 0}, "#/k", "k: Input should be greater than or equal to 1"),
        ({"name": "a", "k": 501}, "#/k", "k: Input should be less than or equal to 500"),
        ({"name": "a", "k": 10**100}, "#/k", "k: "),
        ({"name": "a", "k": "5"}, "#/k", "k: Input should be a valid integer"),
        ({"name": "a", "k": True}, "#/k", "k: Input should be a valid integer"),
        ({"name": "a", "k": 1.5}, "#/k", "k: Input should be a valid integer"),
        ({"name": "a", "diversity": 1.01}, "#/diversity", "diversity: Input should be less than or equal to 1"),
        ({"name": "a", "diversity": -0.01}, "#/diversity", "diversity: Input should be greater than or equal to 0"),
        ({"name": "a", "diversity": "0.5"}, "#/diversity", "diversity: Input should be a valid number"),
        ({"name": "a", "diversity": True}, "#/diversity", "diversity: Input should be a valid number"),
        ({"name": "a", "diversity": None}, "#/diversity", "diversity: Input should be a valid number"),
        ({"name": "a", "ordered": "no"}, "#/ordered", "ordered: Input should be a valid boolean"),
        ({"name": "a", "ordered": None}, "#/ordered", "ordered: Input should be a valid boolean"),
        ({"name": "a" * 501}, "#/name", "name: String should have at most 500 characters"),
        ({"name": 5}, "#/name", "name: Input should be a valid string"),
        ({"tracks": [_ROCK] * 501}, "#/tracks", "tracks: List should have at most 500 items"),
        ({"tracks": "Africa"}, "#/tracks", "tracks: Input should be a valid list"),
        ({"tracks": [_ROCK, {"artist_name": "Toto"}]}, "#/tracks/1", "tracks[1]: a track needs a track_uri or a"),
        ({"tracks": [{"track_name": ["x"]}]}, "#/tracks/0/track_name", "tracks[0].track_name: Input should be a"),
        ({"tracks": [{"track_uri": "x" * 501}]}, "#/tracks/0/track_uri", "tracks[0].track_uri: String should have"),
        ({"tracks": [None]}, "#/tracks/0", "tracks[0]: Input should be"),
        ({"name": "a", "tracls": []}, "#/tracls", "tracls: Extra inputs are not permitted"),
        ({"name": "a", "x/~y" * 200: 1}, "#/x~1~0y", "x/~yx/~y"),
        ([], "#", "body: Input should be a valid dictionary"),
    ],
)
def test_a_problem_names_the_field(client: httpx.Client, body: Any, pointer: str, detail: str) -> None:
    """Wrong input is answered with 422 and says where it is wrong, in words and as a JSON pointer."""
    document = problem(client.post("/predict", json=body), 422)
    assert detail in document["detail"]
    assert document["errors"][0]["pointer"].startswith(pointer)
    assert len(json.dumps(document)) < 2000


_JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "content,status,detail",
    [
        (b"", 422, "body: Field required"),
        (b"null", 422, "body: Input should be a valid dictionary"),
        (b"{", 422, "body: not JSON at character 1"),
        (b'{"name": "\xff"}', 400, "body: it cannot be read as JSON in UTF-8"),
        (b"[" * 100_000, 400, "body: it cannot be read"),
        (b'{"tracks":' * 90_000, 400, "body: it cannot be read"),
        (b'{"name": "a", "k": ' + b"9" * 5000 + b"}", 400, "body: it cannot be read"),
        (b'{"name": "\\ud800"}', 422, "name: Input should be a valid string"),
        (b'{"name": "a", "\\udfff": 1}', 422, "body: "),
        (b'{"name": NaN}', 422, "name: Input should be a valid string"),
        (b'{"name": "a", "k": NaN}', 422, "k: Input should be a valid integer"),
        (b'{"name": "a", "k": -Infinity}', 422, "k: Input should be a valid integer"),
        (b'{"name": "a", "diversity": NaN}', 422, "diversity: Input should be a finite number"),
        (b'{"name": "a", "diversity": Infinity}', 422, "diversity: Input should be a finite number"),
        (b'{"name": "a", "k": 1e400}', 422, "k: Input should be a valid integer"),
        (b'{"name": "' + b"a" * (1 << 20) + b'"}', 413, "body: it is larger than 1048576 bytes"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_bytes_that_are_no_request_get_a_4xx(client: httpx.Client, content: bytes, status: int, detail: str) -> None:
    """Damaged encodings, deep nests, endless numbers and huge bodies are the client's fault and end in its 4xx."""
    document = problem(client.post("/predict", content=content, headers=_JSON), status)
    assert document["detail"].startswith(detail)


def test_a_long_body_of_unsaid_length_is_cut(client: httpx.Client) -> None:
    """Who sends in chunks cannot get past the limit."""
    chunks = iter([b'{"name": "'] + [b"a" * 65536] * 20)
    assert "larger than" in problem(client.post("/predict", content=chunks, headers=_JSON), 413)["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json", "application/jsonx"])
def test_a_body_that_does_not_say_that_it_is_json_is_refused(client: httpx.Client, kind: str) -> None:
    """The problem names the header."""
    response = client.post("/predict", content=b'{"name": "a"}', headers={"Content-Type": kind})
    assert problem(response, 415)["detail"].startswith("Content-Type: ")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"])
def test_json_goes_by_many_names(client: httpx.Client, kind: str) -> None:
    """Parameters, case and structured suffixes of the media type are understood."""
    assert client.post("/predict", content=b'{"name": "a"}', headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize(
    "method,path,status",
    [
        ("GET", "/predict", 405),
        ("PROPFIND", "/", 405),
        ("GET", "/wp-login", 404),
        ("GET", "/model/", 404),
        ("GET", "/page/%00", 404),
    ],
)
def test_wrong_paths_and_methods_are_problems_too(client: httpx.Client, method: str, path: str, status: int) -> None:
    """Whatever is asked, the answer has the same form."""
    problem(client.request(method, path), status)


def test_search_finds_as_one_types(client: httpx.Client) -> None:
    """The last word may be begun; popular tracks come first."""
    tracks = client.get("/tracks", params={"q": "JAZZ so", "limit": 2}).json()["tracks"]
    assert tracks[0] == {"track_name": "Jazz Song 1", "artist_name": "Artist 1", "track_uri": "tiny:track:1"}
    assert [track["track_uri"] for track in tracks] == ["tiny:track:1", "tiny:track:4"]


def test_search_without_words_shows_what_is_popular(client: httpx.Client) -> None:
    """An empty search box has something to offer, and never more than there is."""
    popular = client.get("/tracks", params={"limit": 50}).json()["tracks"]
    assert [track["track_uri"] for track in popular] == [f"tiny:track:{i}" for i in range(30)]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_can_be_searched(client: httpx.Client, text: str) -> None:
    """No word is taken for an operator of the search engine."""
    assert client.get("/tracks", params={"q": text}).status_code == 200


@pytest.mark.parametrize("query,name", [("limit=0", "limit"), ("limit=51", "limit"), ("q=" + "a" * 201, "q")])
def test_a_problem_names_the_parameter(client: httpx.Client, query: str, name: str) -> None:
    """Wrong parameters of a query are named as parameters."""
    document = problem(client.get(f"/tracks?{query}"), 422)
    assert document["errors"][0]["parameter"] == name
    assert document["detail"].startswith(f"{name}: ")
