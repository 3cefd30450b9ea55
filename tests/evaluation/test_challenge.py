"""Submissions to the RecSys Challenge 2018."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from evaluation import challenge
from evaluation.__main__ import main
from segue.errors import InputError
from segue.track import Track
from tests.support.tiny_bundle import GENRES, tiny_tracks, write_tiny_bundle

TEAM = challenge.Team("main", "Sixteen Tracks", "team@example.org")
TRACKS = tiny_tracks(2000)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return write_tiny_bundle(folder / "bundle", folder / "work", TRACKS).path


def _track(number: int, **changes: Any) -> dict[str, Any]:
    track = TRACKS[number]
    entry = {"pos": 0, "track_uri": track.uri, "track_name": track.title, "artist_name": track.artist}
    return {key: value for key, value in (entry | changes).items() if value is not None}


def _write(path: Path, playlists: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"date": "2018-01-16", "version": "v1", "name": "set", "playlists": playlists}))
    return path


def _read(path: Path) -> list[list[str]]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return [line.split(", ") for line in text.splitlines()]


HARD: list[dict[str, Any]] = [
    {"pid": 1, "num_samples": 0, "num_tracks": 40, "num_holdouts": 40, "name": "jazz", "tracks": []},
    {"pid": 2, "num_samples": 0, "name": "🎷🔥"},
    {"pid": 3, "num_samples": 1, "tracks": [_track(1)]},
    {"pid": 4, "num_samples": 2, "tracks": [_track(1), _track(1)]},
    {
        "pid": 5,
        "num_samples": 1,
        "tracks": [_track(1, track_uri="elsewhere:1", track_name="Techno Song", artist_name="X")],
    },
    {"pid": 6, "num_samples": 1, "tracks": [_track(2, track_uri=None)]},
    {"pid": 7, "num_samples": 1, "tracks": [{"pos": 0}], "name": None},
    {"pid": 8, "num_samples": 400, "name": "rock", "tracks": [_track(i * 3) for i in range(400)]},
    {"pid": 9},
    {"pid": 10, "name": "half \ud83c a flag", "tracks": [_track(0, artist_name="\ud83c", track_uri="\udfff")]},
]


@pytest.mark.parametrize(
    ("places", "ordered"),
    [
        ([0, 1, 2, 3], True),
        ([4, 5, 6, 7], True),
        ([0, 2, 9, 14], False),
        ([14, 0, 9, 2], False),
        ([*range(12), 13, 14], True),  # one entry without a URI was dropped
        ([0, None, 9, 14], True),
        ([None] * 3, True),
        ([7], True),
        ([], True),
    ],
)
def test_places_tell_whether_tracks_follow_one_another(tmp_path: Path, places: list[int | None], ordered: bool) -> None:
    """Any tracks of a playlist leave most of its places out; who says nothing of places shows the first ones."""
    tracks = [_track(number, pos=place) for number, place in enumerate(places)]
    (read,) = challenge.read_challenge(_write(tmp_path / "challenge.json", [{"pid": 1, "name": "x", "tracks": tracks}]))
    assert read.ordered == ordered


def test_tracks_without_an_order_are_continued_as_such(bundle: Path, tmp_path: Path) -> None:
    """The tiny model believes them twice as much: six of jazz lose to the title rock in order, and win without one."""
    seeds = [_track(1 + 3 * number) for number in range(6)]
    asked = [
        {"pid": pid, "name": "rock", "tracks": [{**seed, "pos": step * at} for at, seed in enumerate(seeds)]}
        for pid, step in ((1, 1), (2, 10))
    ]
    challenge.submit(bundle, _write(tmp_path / "challenge.json", asked), tmp_path / "out.csv", TEAM)
    _, *rows = _read(tmp_path / "out.csv")
    assert [row[1] for row in rows] == [TRACKS[0].uri, TRACKS[19].uri]


def test_without_an_order_the_artist_of_a_new_track_is_heard(bundle: Path, tmp_path: Path) -> None:
    """One track of rock and one of jazz bring both, and jazz alone where a new one's artist, who makes jazz, counts."""
    new = {"track_name": "Brand New", "artist_name": TRACKS[4].artist}
    seeds = [_track(0), _track(1), new]
    asked = [
        {"pid": pid, "tracks": [{**seed, "pos": step * at} for at, seed in enumerate(seeds)]}
        for pid, step in ((1, 1), (2, 10))
    ]
    challenge.submit(bundle, _write(tmp_path / "challenge.json", asked), tmp_path / "out.csv", TEAM)
    _, *rows = _read(tmp_path / "out.csv")
    genres = [{GENRES[int(uri.removeprefix("tiny:track:")) % 3] for uri in uris[:10]} for _, *uris in rows]
    assert genres == [{"rock", "jazz"}, {"jazz"}]


@pytest.mark.parametrize("suffix", ["submission.csv", "submission.csv.gz"])
def test_every_playlist_gets_500_distinct_tracks_and_none_of_its_seeds(
    bundle: Path, tmp_path: Path, suffix: str
) -> None:
    """Titles without tracks, tracks without titles, unknown, repeated or nameless seeds: all get their line."""
    source, output = _write(tmp_path / "challenge.json", HARD), tmp_path / suffix
    assert challenge.submit(bundle, source, output, TEAM) == len(HARD)
    first, *rows = _read(output)
    assert first == ["team_info,main,Sixteen Tracks,team@example.org"]
    assert [int(row[0]) for row in rows] == [playlist["pid"] for playlist in HARD]
    catalogue = {track.uri for track in TRACKS}
    for playlist, (_, *uris) in zip(HARD, rows, strict=True):
        seeds = {track.get("track_uri") for track in playlist.get("tracks") or []}
        assert len(uris) == len(set(uris)) == 500
        assert set(uris) <= catalogue - seeds
    assert challenge.verify(source, output) == len(HARD)


def test_titles_known_and_unknown_seeds_all_steer(bundle: Path, tmp_path: Path) -> None:
    """A jazz title, a jazz seed, an unknown techno seed's text and a seed without a URI bring their own genre first."""
    source, output = _write(tmp_path / "challenge.json", HARD), tmp_path / "submission.csv"
    challenge.submit(bundle, source, output, TEAM)
    best = {int(row[0]): int(row[1].removeprefix("tiny:track:")) for row in _read(output)[1:]}
    assert {pid: GENRES[best[pid] % 3] for pid in (1, 3, 5, 6, 8)} == {
        1: "jazz", 3: "jazz", 5: "techno", 6: "techno", 8: "rock",
    }  # fmt: skip
    assert best[2] == best[9] == 0  # nothing known: the most popular track


def test_a_new_track_is_continued_by_its_artist(bundle: Path, tmp_path: Path) -> None:
    """Its words say nothing; its artist's most popular track brings its genre, itself too, although it is no seed."""
    new = {"track_uri": "elsewhere:1", "track_name": "Brand New", "artist_name": TRACKS[4].artist.upper()}
    source, output = _write(tmp_path / "challenge.json", [{"pid": 1, "tracks": [new]}]), tmp_path / "submission.csv"
    challenge.submit(bundle, source, output, TEAM)
    assert [int(uri.removeprefix("tiny:track:")) for uri in _read(output)[1][1:4]] == [1, 4, 7]


def test_names_are_read_as_the_service_reads_them(bundle: Path, tmp_path: Path) -> None:
    """A guest beside the artist and an article before it do not make a known song new: it is a seed, not an answer."""
    seeds = [
        _track(4, track_uri="elsewhere:1", artist_name=f"{TRACKS[4].artist} feat. Guest"),
        _track(7, track_uri="elsewhere:2", artist_name=f"The {TRACKS[7].artist}"),
    ]
    source, output = _write(tmp_path / "challenge.json", [{"pid": 1, "tracks": seeds}]), tmp_path / "submission.csv"
    challenge.submit(bundle, source, output, TEAM)
    assert [int(uri.removeprefix("tiny:track:")) for uri in _read(output)[1][1:4]] == [1, 10, 13]


def test_a_playlist_of_the_longest_kind_still_gets_its_500(bundle: Path, tmp_path: Path) -> None:
    """More seeds than the graph reads are excluded all the same."""
    source = _write(tmp_path / "challenge.json", [{"pid": 1, "tracks": [_track(i) for i in range(1500)]}])
    challenge.submit(bundle, source, tmp_path / "s.csv", TEAM)
    assert challenge.verify(source, tmp_path / "s.csv") == 1


def test_a_catalogue_that_is_too_small_is_said_and_nothing_is_written(bundle: Path, tmp_path: Path) -> None:
    """1,501 of 2,000 tracks as seeds leave 499: no submission, not even for the other playlists."""
    seeds = [_track(i) for i in range(1501)]
    source = _write(tmp_path / "challenge.json", [{"pid": 5}, {"pid": 6, "tracks": seeds}])
    with pytest.raises(InputError, match=r"2000 tracks has only 499 left for playlist 6 .* needs 500"):
        challenge.submit(bundle, source, tmp_path / "s.csv", TEAM)
    assert [file.name for file in tmp_path.iterdir()] == ["challenge.json"]


def test_a_uri_that_would_break_a_line_is_refused(tmp_path: Path) -> None:
    """Tracks of other sources may have commas in their URIs; the format cannot hold them."""
    tracks = [Track(f"by name:{i}, live", track.title) for i, track in enumerate(TRACKS[:600])]
    path = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work", tracks).path
    with pytest.raises(InputError, match="'by name:0, live' cannot stand in a submission"):
        challenge.submit(path, _write(tmp_path / "challenge.json", HARD[:1]), tmp_path / "s.csv", TEAM)


def test_more_playlists_than_are_ranked_together_keep_their_order(bundle: Path, tmp_path: Path) -> None:
    """Threads share the work; each playlist still stands in its place with what it gets alone."""
    genres = [number % len(GENRES) for number in range(2 * challenge._TOGETHER + 3)]
    playlists = [{"pid": 7 * number, "name": GENRES[genre]} for number, genre in enumerate(genres)]
    challenge.submit(bundle, _write(tmp_path / "challenge.json", playlists), tmp_path / "s.csv", TEAM)
    _, *rows = _read(tmp_path / "s.csv")
    assert [int(row[0]) for row in rows] == [playlist["pid"] for playlist in playlists]
    assert [int(row[1].rpartition(":")[2]) for row in rows] == genres  # the first track of a genre bears its number


def test_the_same_set_gives_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    """A compressed submission holds no clock and no name of its file."""
    source = _write(tmp_path / "challenge.json", HARD)
    for name in ("one.csv.gz", "two.csv.gz"):
        challenge.submit(bundle, source, tmp_path / name, TEAM)
    data = (tmp_path / "one.csv.gz").read_bytes()
    assert data == (tmp_path / "two.csv.gz").read_bytes()
    assert data[3:8] == bytes(5)  # RFC 1952: no name among the flags, and no time


def test_the_command_submits_and_verifies(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both verbs say what they did; a submission to another set ends with 1 and a sentence."""
    source, output = _write(tmp_path / "challenge.json", HARD), tmp_path / "s.csv.gz"
    asked = ["--challenge", str(source)]
    assert main(["submission", "--bundle", str(bundle), *asked, "--output", str(output), "--team", "Us"]) == 0
    assert main(["verify-submission", *asked, "--submission", str(output)]) == 0
    assert "10 playlists, 500 tracks each" in capsys.readouterr().out
    _write(source, [{"pid": 77}])
    assert main(["verify-submission", *asked, "--submission", str(output)]) == 1
    assert "which is no pid still to answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "is no whole JSON file"),
        ("[1]", "needs an object with a list named playlists"),
        ('{"playlists": {}}', "needs an object with a list named playlists"),
        ('{"playlists": []}', "has no playlists"),
        ('{"playlists": [1]}', "Playlist number 0 .* has no whole number as its pid"),
        ('{"playlists": [{"pid": "1"}]}', "Playlist number 0 .* has no whole number as its pid"),
        ('{"playlists": [{"pid": 1}, {"pid": 1}]}', "two playlists with pid 1"),
        ('{"playlists": [{"pid": 4, "tracks": [3]}]}', "tracks of playlist 4 .* no list of objects"),
        ('{"playlists": [{"pid": 4, "tracks": "abc"}]}', "tracks of playlist 4 .* no list of objects"),
        ("[" * 100_000, "is no whole JSON file"),
    ],
)
def test_a_damaged_challenge_set_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    """Each kind of damage ends in a sentence that says where it is."""
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        challenge.read_challenge(tmp_path / "set.json")


def test_a_truncated_gzip_is_named(tmp_path: Path) -> None:
    """Half a download is not half a challenge set."""
    data = gzip.compress(json.dumps({"playlists": HARD}).encode())
    (tmp_path / "set.json.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="is no whole JSON file"):
        challenge.read_challenge(tmp_path / "set.json.gz")


@pytest.mark.parametrize("name", ["a,b", "a\nb", "", "  ", 'say "hi"', "#1"])
def test_a_team_that_would_break_the_first_line_is_refused(name: str) -> None:
    """The format has no quoting."""
    with pytest.raises(InputError, match="leave out commas"):
        _ = challenge.Team("main", name, "team@example.org").line


def _good(pid: int) -> list[str]:
    return [str(pid), *(track.uri for track in TRACKS[10:510])]


@pytest.mark.parametrize(
    "lines, sentence",
    [
        ([["team_info", "main", "a", "b"], _good(1), _good(2)], None),
        ([["# made by hand"], [""], ["team_info", "creative", "a", "b"], _good(2), _good(1)], None),
        ([_good(1), _good(2)], "Line 1 .* is not team_info"),
        ([["team_info", "a", "b"], _good(1), _good(2)], "Line 1 .* is not team_info"),
        ([], "Line 1 .* is not team_info"),
        ([["team_info", "main", "a", "b"], _good(1)], "lacks 1 playlists, the first with pid 2"),
        ([["team_info", "main", "a", "b"], _good(1), _good(1)], "Line 3 .* starts with '1', which is no pid still"),
        ([["team_info", "main", "a", "b"], _good(1), _good(3)], "Line 3 .* starts with '3'"),
        ([["team_info", "main", "a", "b"], _good(1)[:-1], _good(2)], r"Line 2 .* \(pid 1\) has 499 tracks"),
        ([["team_info", "main", "a", "b"], [*_good(1), "tiny:track:1"], _good(2)], "has 501 tracks"),
        ([["team_info", "main", "a", "b"], [*_good(1)[:-1], "tiny:track:10"], _good(2)], "repeats a track"),
        ([["team_info", "main", "a", "b"], [*_good(1)[:-1], ""], _good(2)], "leaves one empty"),
        ([["team_info", "main", "a", "b"], [*_good(1)[:-1], "tiny:track:0"], _good(2)], "own seed tiny:track:0"),
    ],
)
def test_the_verifier_knows_every_rule(tmp_path: Path, lines: list[list[str]], sentence: str | None) -> None:
    """Each broken rule is found and its line named; what keeps them passes, comments and order aside."""
    source = _write(tmp_path / "set.json", [{"pid": 1, "tracks": [_track(0)]}, {"pid": 2}])
    (tmp_path / "s.csv").write_text("\n".join(", ".join(line) for line in lines))
    if sentence is None:
        assert challenge.verify(source, tmp_path / "s.csv") == 2
    else:
        with pytest.raises(InputError, match=sentence):
            challenge.verify(source, tmp_path / "s.csv")


def test_a_damaged_submission_is_named(tmp_path: Path) -> None:
    """Who checks other people's files meets anything: a flipped byte, a number of 5,000 digits, a line without end."""
    source = _write(tmp_path / "set.json", [{"pid": 1}])
    first = "team_info,main,a,b\n"
    zipped = bytearray(gzip.compress(first.encode() * 500))
    zipped[15] ^= 0xFF
    zipped[20] ^= 0x55
    (tmp_path / "s.csv.gz").write_bytes(bytes(zipped))
    with pytest.raises(InputError, match=r"The submission .*s\.csv\.gz cannot be read .*; fetch or write it again"):
        challenge.verify(source, tmp_path / "s.csv.gz")
    (tmp_path / "s.csv").write_text(f"{first}{'1' * 5000}, x\n")
    with pytest.raises(InputError, match=r"Line 2 .* starts with '1{40}', which is no pid still to answer"):
        challenge.verify(source, tmp_path / "s.csv")
    (tmp_path / "s.csv").write_text(f"{first}1, {'x' * (csv.field_size_limit() + 1)}\n")
    with pytest.raises(InputError, match=r"Line 2 .* is no list of URIs .*; write it again"):
        challenge.verify(source, tmp_path / "s.csv")
