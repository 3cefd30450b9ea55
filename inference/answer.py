"""The body of an answer of `POST /predict`, as `inference.wire.PredictAnswer` describes it.

Written by hand from the catalogue's own JSON: a model object for each of 500 tracks takes as long as ranking them.
"""

import json

from inference.continuation import Continuation
from inference.matching import Match
from inference.model import Model

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def predict_answer(found: Continuation, model: Model, impression: str) -> bytes:
    """Return the JSON of a continuation.

    Args:
        found: The continuation.
        model: Who found it.
        impression: The answer's name.
    """
    known = [match.id for match in found.matched.matches if match.id is not None]
    names = model.ranker.catalogue.spelled([*(track for track, _ in found.tracks), *known])
    recommended = ",".join(
        # The score goes into the catalogue's object, before its last brace.
        f'{name[:-1]},"score":{score}}}'
        for name, (_, score) in zip(names, found.tracks, strict=False)
    )
    track_of = dict(zip(known, names[len(found.tracks) :], strict=True))
    matched = ",".join(_matched(match, track_of) for match in found.matched.matches)
    named = _json({"digest": model.digest, "version": model.version})
    return (
        f'{{"impression_id":{_json(impression)},"recommended_tracks":[{recommended}],"matched":[{matched}],'
        f'"model":{named}}}'
    ).encode()


def _matched(match: Match, track_of: dict[int, str]) -> str:
    wanted = match.wanted
    named = {"track_uri": wanted.uri, "track_name": wanted.title, "artist_name": wanted.artist}
    requested = ",".join(f'"{name}":{_json(text)}' for name, text in named.items() if text)
    track = "null" if match.id is None else track_of[match.id]
    return f'{{"requested":{{{requested}}},"track":{track},"how":"{match.how}"}}'
