"""The body of an answer, written by hand, is what its description says."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from inference.answer import predict_answer
from inference.continuation import Continuation
from inference.matching import Match, Matched, Wanted
from inference.model import Model
from inference.wire import PredictAnswer
from segue.catalogue import Catalogue, write_catalogue
from segue.track import Track

ODD = Track("uri:“1”\\", 'Say "hi"\n\t🎷', "Beyoncé / \u2028", "An album")
PLAIN = Track("uri:2", "Two", "")
MATCHES = (
    Match(Wanted("uri:2", "", ""), "uri", 1),
    Match(Wanted("", 'Not "there"', "Nobody"), "text"),
    Match(Wanted("uri:9", "", ""), "none"),
)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    path = tmp_path_factory.mktemp("answer") / "catalogue.sqlite"
    write_catalogue(path, [ODD, PLAIN])
    return Catalogue(path)


@pytest.mark.parametrize("version", [None, "7"])
@pytest.mark.parametrize("tracks", [(), ((0, 12.25), (1, -1e-07), (0, 3.4028234663852886e38))])
def test_it_is_the_json_of_its_model(
    version: str | None, tracks: tuple[tuple[int, float], ...], catalogue: Catalogue
) -> None:
    """Whatever names hold; twice, since the text of a track is kept."""
    ranker = SimpleNamespace(catalogue=catalogue)
    model = cast(Model, SimpleNamespace(digest="sha256:abc", version=version, ranker=ranker))
    for _ in range(2):
        body = predict_answer(Continuation(tracks, Matched(MATCHES, ())), model, "an-impression")
        answer = PredictAnswer.model_validate_json(body, strict=True)
        assert json.loads(answer.model_dump_json()) == json.loads(body)
        told = [(one.track_uri, one.track_name, one.artist_name, one.score) for one in answer.recommended_tracks]
        named = [(catalogue.tracks([track])[0], score) for track, score in tracks]
        assert told == [(track.uri, track.title, track.artist, score) for track, score in named]
        requested: list[Any] = [one.requested for one in answer.matched]
        assert requested == [
            {"track_uri": "uri:2"},
            {"track_name": 'Not "there"', "artist_name": "Nobody"},
            {"track_uri": "uri:9"},
        ]
        assert [one.track and one.track.track_uri for one in answer.matched] == ["uri:2", None, None]
        assert (answer.model.digest, answer.model.version) == ("sha256:abc", version)
