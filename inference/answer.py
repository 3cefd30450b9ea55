"""The body of an answer of `POST /predict`, as `inference.wire.PredictAnswer` describes it.

Written from plain values: a model object for each of 500 tracks takes as long as ranking them.
"""

import json
from typing import Any

from inference.continuation import Continuation
from inference.matching import Match
from inference.model import Model
from segue.track import Track


def predict_answer(found: Continuation, model: Model, impression: str) -> bytes:
    """Return the JSON of a continuation.

    Args:
        found: The continuation.
        model: Who found it.
        impression: The answer's name.
    """
    answer = {
        "impression_id": impression,
        "recommended_tracks": [{**_track(track), "score": score} for track, score in found.tracks],
        "matched": [_matched(match) for match in found.matched.matches],
        "model": {"digest": model.digest, "version": model.version},
    }
    return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _matched(match: Match) -> dict[str, Any]:
    wanted = match.wanted
    named = {"track_uri": wanted.uri, "track_name": wanted.title, "artist_name": wanted.artist}
    requested = {name: text for name, text in named.items() if text}
    return {"requested": requested, "track": _track(match.track) if match.track else None, "how": match.how}


def _track(track: Track) -> dict[str, str]:
    return {"track_name": track.title, "artist_name": track.artist, "track_uri": track.uri}
