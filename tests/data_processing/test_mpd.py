"""Slices are parsed at once where they are as they should be, and piece by piece else: with the same result."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_processing.readers import mpd
from data_processing.records import RawPlaylist

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.just([])
)
TRACK = st.dictionaries(
    st.sampled_from(["track_name", "artist_name", "track_uri", "album_name", "pos", "duration_ms", "album_uri"]), ODD
)
PLAYLIST = st.fixed_dictionaries(
    {"tracks": st.lists(TRACK | ODD, max_size=4) | ODD}, optional={"pid": ODD, "name": ODD, "num_followers": ODD}
)


def both(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[RawPlaylist], list[Any]]]:
    found = []
    for most in (1 << 27, 1):
        with monkeypatch.context() as patch:
            patch.setattr(mpd, "_MOST_AT_ONCE", most)
            infos: list[Any] = []
            found.append((list(mpd.read_mpd(path, "a slice", infos.append)), infos))
    return found


@given(playlists=st.lists(PLAYLIST | ODD, max_size=4), info=st.none() | ODD)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_read_the_same(
    playlists: list[Any], info: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in the place of a playlist, a track, a name or a number."""
    path = tmp_path / "mpd.slice.0-9.json"
    path.write_text(json.dumps({"info": info, "playlists": playlists}))
    at_once, streamed = both(path, monkeypatch)
    assert at_once == streamed


@pytest.mark.parametrize("text", [b'"caf\xe9"', b'"\\ud800"', b"NaN", b"100000000000000000000000", b'"\xc3\xa9"'])
def test_what_only_one_parser_takes_is_read_all_the_same(
    text: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are no UTF-8, half surrogate pairs and NaN damage the entry that holds them, and not the file."""
    path = tmp_path / "mpd.slice.0-9.json"
    path.write_bytes(b'{"playlists": [{"pid": 1, "tracks": [{"track_name": %s, "pos": %s}]}]}' % (text, text))
    at_once, streamed = both(path, monkeypatch)
    assert repr(at_once) == repr(streamed)
    assert len(at_once[0]) == 1
