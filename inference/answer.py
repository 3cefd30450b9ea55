"""The body of an answer of `POST /predict`, as `inference.wire.PredictAnswer` describes it.

Written from plain values: a model object for each of 500 tracks takes as long as ranking them. Popular tracks are in
many answers, and the text of each is kept.
"""

import json
from functools import lru_cache
from typing import Any

from inference.continuation import Continuation
from inference.matching import Match
from inference.model import Model
from segue.track import Track

_MOST_KEPT = 20_000


def predict_answer(found: Continuation, model: Model, impression: str) -> bytes:
    """Return the JSON of a continuation.

    Args:
        found: The continuation.
        model: Who found it.
        impression: The answer's name.
    """
    recommended = ",".join(f'{_begun(track)},"score":{score}}}' for track, score in found.tracks)
    matched = _json([_matched(match) for match in found.matched.matches])
    named = _json({"digest": model.digest, "version": model.version})
    return (
        f'{{"impression_id":{_json(impression)},"recommended_tracks":[{recommended}],"matched":{matched},"model":{named}}}'
    ).encode()


@lru_cache(_MOST_KEPT)
def _begun(track: Track) -> str:
    """Return a track's JSON without its closing brace."""
    return _json(_track(track))[:-1]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _matched(match: Match) -> dict[str, Any]:
    wanted = match.wanted
    named = {"track_uri": wanted.uri, "track_name": wanted.title, "artist_name": wanted.artist}
    requested = {name: text for name, text in named.items() if text}
    return {"requested": requested, "track": _track(match.track) if match.track else None, "how": match.how}


def _track(track: Track) -> dict[str, str]:
    return {"track_name": track.title, "artist_name": track.artist, "track_uri": track.uri}
