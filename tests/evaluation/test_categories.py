"""Measuring a bundle on slices of the Million Playlist Dataset."""

import gzip
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.__main__ import main
from evaluation.arguments import CATEGORIES
from evaluation.categories import measure
from evaluation.slices import read_slices
from segue.errors import InputError
from tests.support.tiny_bundle import tiny_tracks, write_tiny_bundle

TRACKS = tiny_tracks(600)


def _entry(number: int) -> dict[str, Any]:
    track = TRACKS[number]
    return {"track_uri": track.uri, "track_name": track.title, "artist_name": track.artist, "album_name": track.album}


def _slice(path: Path, playlists: list[dict[str, Any]]) -> Path:
    data = json.dumps({"info": {}, "playlists": playlists}).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return write_tiny_bundle(folder / "bundle", folder / "work", TRACKS).path


def test_a_known_answer_in_every_category(bundle: Path, tmp_path: Path) -> None:
    """A rock playlist of the first rock tracks is continued perfectly; a hidden track without a URI does not count."""
    tracks = [_entry(3 * i) for i in range(110)] + [{"track_name": "lost", "artist_name": "in a move"}]
    file = _slice(tmp_path / "mpd.slice.0-1.json.gz", [{"name": "rock", "tracks": tracks}])
    result = measure(bundle, [file], CATEGORIES).to_json()
    assert (result["playlists"], result["entries_without_uri"], result["unknown_tracks"]) == (1, 1, 0.0)
    rows: Any = result["categories"]
    for category in CATEGORIES:
        assert rows[category]["n"] == 1
        assert rows[category]["ndcg"]["mean"] == rows[category]["r_precision"]["mean"] == 1.0
        assert rows[category]["clicks"]["mean"] == 0.0


def test_a_hidden_track_that_the_catalogue_lacks_counts_as_missed(bundle: Path, tmp_path: Path) -> None:
    """Half of what is hidden cannot be found: R-precision is one half, whatever is ranked."""
    strange = [{"track_uri": f"elsewhere:{i}", "track_name": "x", "artist_name": "y"} for i in range(5)]
    file = _slice(tmp_path / "s.json", [{"name": "rock", "tracks": [_entry(3 * i) for i in range(5)] + strange}])
    result = measure(bundle, [file], ["title"]).to_json()
    rows: Any = result["categories"]
    assert result["unknown_tracks"] == 0.5
    assert rows["title"]["r_precision"]["mean"] == 0.5


def test_tracks_can_be_taken_out_of_the_catalogue(bundle: Path, tmp_path: Path) -> None:
    """A share of them is never ranked and counts as missed; the same seed takes the same ones; without all, nothing."""
    file = _slice(tmp_path / "s.json", [{"name": "rock", "tracks": [_entry(3 * i) for i in range(60)]}])
    some, again, none = (measure(bundle, [file], ["title", "5"], lacking=share).to_json() for share in (0.4, 0.4, 1.0))
    assert some == again
    assert 0.2 < float(str(some["unknown_tracks"])) < 0.6
    rows: Any = some["categories"]
    assert rows["title"]["r_precision"]["mean"] == pytest.approx(1 - float(str(some["unknown_tracks"])), abs=0.02)
    assert none["unknown_tracks"] == 1.0
    rows = none["categories"]
    assert rows["title"]["ndcg"]["mean"] == rows["5"]["ndcg"]["mean"] == 0.0


def test_titles_can_be_mistyped(bundle: Path, tmp_path: Path) -> None:
    """A title tells that jazz goes on as rock, and tells less with a typo; without the title nothing is lost."""
    playlists = [{"name": "rock", "tracks": [_entry(1 + 3 * i) for i in range(5)] + [_entry(3 * i) for i in range(20)]}]
    file = _slice(tmp_path / "s.json", playlists * 8)
    shares = (0.0, 1.0, 1.0)
    whole, mistyped, again = (measure(bundle, [file], ["title+5", "5"], typos=share).to_json() for share in shares)
    assert mistyped == again
    assert (whole["typos"], mistyped["typos"]) == shares[:2]
    before: Any = whole["categories"]
    after: Any = mistyped["categories"]
    assert after["title+5"]["ndcg"]["mean"] < before["title+5"]["ndcg"]["mean"] == 1.0
    assert after["5"] == before["5"]


def test_what_lists_are_like_is_told_beside_how_right_they_are(bundle: Path, tmp_path: Path) -> None:
    """Ten rock tracks in turn are by the seven artists in turn; they stand higher up than what was chosen."""
    chosen = [3 * i for i in range(5)] + [300 + 3 * i for i in range(5)]
    file = _slice(tmp_path / "s.json", [{"name": "rock", "tracks": [_entry(track) for track in chosen]}])
    rows: Any = measure(bundle, [file], ["title+5"]).to_json()["categories"]
    first = [15 + 3 * i for i in range(10)]
    unlike = np.mean([one != two for one, two in combinations([TRACKS[track].artist for track in first], 2)])
    assert rows["title+5"]["artist_diversity@10"]["mean"] == pytest.approx(unlike, abs=1e-6)
    places = [np.log2(1 + np.array(tracks)).mean() for tracks in (chosen[5:], first)]
    assert rows["title+5"]["place_bias@10"]["mean"] == pytest.approx(places[0] - places[1], abs=1e-6)


def test_a_question_whose_hidden_tracks_are_all_unknown_has_no_bias(bundle: Path, tmp_path: Path) -> None:
    """It still counts in the rest."""
    strange = [{"track_uri": f"elsewhere:{i}", "track_name": "x", "artist_name": "y"} for i in range(5)]
    file = _slice(tmp_path / "s.json", [{"name": "rock", "tracks": [_entry(0), *strange]}])
    rows: Any = measure(bundle, [file], ["title+1"]).to_json()["categories"]
    assert rows["title+1"]["n"] == 1
    assert rows["title+1"]["place_bias@10"]["mean"] is None
    assert rows["title+1"]["artist_diversity@10"]["mean"] > 0


def test_lists_are_asked_for_as_a_request_asks(bundle: Path, tmp_path: Path) -> None:
    """Rock and jazz in turn under the title rock: with diversity jazz is found, too."""
    mixed = [_entry(track) for i in range(20) for track in (3 * i, 3 * i + 1)]
    file = _slice(tmp_path / "s.json", [{"name": "rock", "tracks": mixed}])
    plain, shared = (measure(bundle, [file], ["title+10"], diversity=step).to_json() for step in (0.0, 1.0))
    assert (plain["diversity"], shared["diversity"]) == (0.0, 1.0)
    rows: list[Any] = [one["categories"] for one in (plain, shared)]
    before, after = (one["title+10"]["r_precision"]["mean"] for one in rows)
    assert before == 0.5 < after


def test_half_characters_are_read_as_question_marks(bundle: Path, tmp_path: Path) -> None:
    """A title cut in the middle of an emoji is measured like any other."""
    broken = [{"track_uri": f"elsewhere:{i}", "track_name": "x \udfff", "artist_name": "\ud83c"} for i in range(3)]
    tracks = broken + [_entry(3 * i) for i in range(9)]
    file = _slice(tmp_path / "s.json", [{"name": "cut \ud83c", "tracks": tracks}])
    assert read_slices([file])[0][0].name == "cut ?"
    assert measure(bundle, [file], ["title+5"]).rows[0].means["ndcg"].questions == 1


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    """Repeated tracks of a playlist count once; the same URI is the same track in every file."""
    _slice(tmp_path / "b.json", [{"name": None, "tracks": [_entry(1), _entry(0), _entry(1)]}])
    _slice(tmp_path / "a.json.gz", [{"name": "a", "tracks": [_entry(0)]}, {"tracks": []}])
    playlists, tracks, left_out = read_slices([tmp_path])
    assert [(playlist.name, playlist.tracks) for playlist in playlists] == [("a", (0,)), ("", ()), ("", (1, 0))]
    assert tracks == {0: TRACKS[0], 1: TRACKS[1]}
    assert left_out == 0


def test_the_command_prints_a_table_or_json(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A person reads a table, a program JSON; both hold the same figures, with intervals where there are playlists."""
    playlists = [{"name": "jazz", "tracks": [_entry(i + j) for j in range(40)]} for i in range(12)]
    file = _slice(tmp_path / "s.json", playlists)
    command = ["measure", "--bundle", str(bundle), "--playlists", str(file), "--categories", "title+5", "title+100"]
    assert main([*command, "--format", "json"]) == 0
    row = json.loads(capsys.readouterr().out)["categories"]["title+5"]
    assert row["n"] == 12
    assert row["ndcg"]["low"] < row["ndcg"]["mean"] < row["ndcg"]["high"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-2:] == ["artists", "bias"]
    assert lines[1].split()[-2] == f"{row['artist_diversity@10']['mean']:.4f}"
    assert lines[1].split()[:3] == ["title+5", "12", f"{row['ndcg']['mean']:.4f}"]
    assert lines[2].split() == ["title+100", "0", "–"]


@pytest.mark.parametrize(
    "text", ["[]", '{"playlists": 1}', '{"playlists": [1]}', '{"playlists": [{"tracks": 5}]}', "no"]
)
def test_a_file_that_is_no_slice_is_named(tmp_path: Path, text: str) -> None:
    """The sentence says which file."""
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(InputError, match=r"broken\.json is no"):
        read_slices([tmp_path / "broken.json"])


def test_a_seed_below_zero_is_refused(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a wrong usage, before anything is read."""
    with pytest.raises(SystemExit) as stop:
        main(["measure", "--bundle", str(bundle), "--playlists", str(tmp_path), "--seed", "-1"])
    assert stop.value.code == 2
    assert "argument --seed: -1 is not 0 or more" in capsys.readouterr().err


def test_nothing_to_measure_is_said(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 and a sentence for an empty folder and for playlists that are too short."""
    command = ["measure", "--bundle", str(bundle), "--playlists", str(tmp_path)]
    assert main(command) == 1
    assert "holds no *.json" in capsys.readouterr().err
    _slice(tmp_path / "s.json", [{"name": "x", "tracks": [_entry(0)]}])
    assert main(command) == 1
    assert "No playlist" in capsys.readouterr().err
