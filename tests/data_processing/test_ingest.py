import json
import os
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from data_processing.__main__ import main
from data_processing.dataset import Dataset
from data_processing.ingest import Options, ingest
from segue.errors import InputError
from tests.data_processing.made_up import playlist, track, write_slice


def written(tmp_path: Path, playlists: list[object], **options: object) -> Dataset:
    write_slice(tmp_path / "in" / "mpd.slice.0-999.json", playlists)
    return ingest([tmp_path / "in"], tmp_path / "out", Options(**options))  # type: ignore[arg-type]


def report(dataset: Dataset) -> dict[str, dict[str, object]]:
    value: dict[str, dict[str, object]] = json.loads((dataset.path / "validation.json").read_text())
    return value


def rejected(dataset: Dataset) -> dict[str, int]:
    return {reason: entry["count"] for reason, entry in report(dataset)["rejected"].items()}  # type: ignore[index]


def test_the_contract_on_playlists_small_enough_to_check_by_hand(tmp_path: Path) -> None:
    """Tracks by falling training count then URI; ids dense; entries in order without gaps; titles normalised."""
    dataset = written(
        tmp_path,
        [
            playlist(7, [3, 1, 2], name="Summer  JAZZ 🌞"),
            playlist(9, [1, 2], name="ジャズ", num_followers=None),
            playlist(4, [2, 8]),
        ],
        validation=0.0,
        test=0.0,
    )
    tracks = dataset.tracks().to_pydict()
    assert tracks["track"] == [0, 1, 2, 3]
    assert tracks["uri"] == ["made:track:2", "made:track:1", "made:track:3", "made:track:8"]
    assert tracks["train_count"] == [3, 2, 1, 1]
    assert tracks["artist"] == ["Artist 2", "Artist 1", "Artist 3", "Artist 3"]
    assert tracks["artist_id"] == [0, 1, 2, 2]
    assert tracks["album_id"] == [0, 1, 2, 3]
    assert tracks["song"] == [0, 1, 2, 3]
    assert dataset.playlists().to_pydict() == {
        "playlist": [0, 1, 2],
        "source_id": ["7", "9", "4"],
        "name": ["Summer  JAZZ 🌞", "ジャズ", "Mix"],
        "title": ["summer jazz 🌞", "ジャズ", "mix"],
        "followers": [1, -1, 1],
        "tracks": [3, 2, 2],
    }
    assert dataset.entries().to_pydict() == {
        "playlist": [0, 0, 0, 1, 1, 2, 2],
        "position": [0, 1, 2, 0, 1, 0, 1],
        "track": [2, 1, 0, 1, 0, 0, 3],
    }
    assert dataset.split().tolist() == ["train"] * 3
    types = {field.name: str(field.type) for field in dataset.tracks().schema}
    assert {types[name] for name in ("track", "artist_id", "album_id", "song", "train_count")} == {"int32"}
    assert {types[name] for name in ("uri", "title", "artist", "album")} == {"string"}


def test_every_invalid_entry_is_counted_by_reason_with_an_example(tmp_path: Path) -> None:
    """What cannot be used is left out and told of; the rest stays, in order, without gaps."""
    dataset = written(
        tmp_path,
        [
            playlist(
                0,
                [
                    1,
                    track(2, duration_ms=-5),
                    track(3, artist_name="BjÃ¶rk"),
                    "not a track",
                    track(4, track_uri=None, artist_name=""),
                    track(5, pos=-1),
                    track(6, track_name=6),
                    1,
                    7,
                ],
            ),
            {"pid": 1, "name": "no tracks"},
            "not a playlist",
        ],
    )
    assert rejected(dataset) == {
        "duplicate_track": 1,
        "encoding_damage": 1,
        "impossible_duration": 1,
        "impossible_position": 1,
        "missing_identity": 1,
        "not_a_playlist": 2,
        "not_an_entry": 1,
        "wrong_type": 1,
    }
    assert [row["position"] for row in dataset.entries().to_pylist()] == [0, 1]
    examples = report(dataset)["rejected"]["encoding_damage"]["examples"]  # type: ignore[index]
    assert examples[0]["where"] == "mpd.slice.0-999.json, playlist '0', entry 2"
    assert "Bj\\xc3\\xb6rk" in examples[0]["value"]


def test_at_most_five_examples_of_a_reason(tmp_path: Path) -> None:
    """A report of a file that is wrong throughout stays small."""
    dataset = written(tmp_path, [playlist(0, [1, 2, *(track(i, duration_ms=-1) for i in range(10, 40))])])
    entry = report(dataset)["rejected"]["impossible_duration"]
    assert entry["count"] == 30  # type: ignore[index]
    assert len(entry["examples"]) == 5  # type: ignore[index]


@pytest.mark.parametrize("bad", [track(2, duration_ms=-5), 1, track(3, track_name="Caf\ufffd")])
def test_raise_stops_at_the_first_invalid_entry(tmp_path: Path, bad: object) -> None:
    """With --on-invalid raise nothing is written, and the sentence names the playlist and the cure."""
    with pytest.raises(InputError, match=r"laylist '0'.* cannot be used: .*--on-invalid warn"):
        written(tmp_path, [playlist(0, [1, bad, 9])], strict=True)
    assert not (tmp_path / "out").exists()


def test_the_position_decides_and_not_the_order_in_the_file(tmp_path: Path) -> None:
    """Entries are sorted by their position; without one they stay as they come."""
    shuffled = [track(1, pos=2), track(2, pos=0), track(3, pos=1)]
    plain = [track(i) for i in (3, 1, 2)]
    dataset = written(tmp_path, [playlist(0, shuffled), {"pid": 1, "tracks": plain}])
    uris = dataset.tracks()["uri"].to_pylist()
    order = [uris[row["track"]][-1] for row in dataset.entries().to_pylist()]
    assert order == ["2", "3", "1", "3", "1", "2"]


def test_a_track_without_uri_is_the_uri_track_of_its_name(tmp_path: Path) -> None:
    """It links to the most used URI of its normalised title and artist; without one it gets a URI from its name."""
    named = track(0, track_uri=None, track_name="SONG 1 - Remastered 2011", artist_name="Ärtist 1")
    twin = track(0, track_uri="made:track:1b", track_name="Song 1", artist_name="Artist 1")
    alone = track(0, track_uri=None, track_name="Unheard", artist_name="Nobody")
    again = track(0, track_uri=None, track_name="unheard", artist_name="NOBODY")
    dataset = written(
        tmp_path,
        [playlist(0, [1, 2]), playlist(1, [1, twin]), playlist(2, [named, 2]), playlist(3, [alone, 2]),
         playlist(4, [again, 3]), playlist(5, [1, named, 3])],
    )  # fmt: skip
    uris = dataset.tracks()["uri"].to_pylist()
    starts, tracks = dataset.sequences()
    named_lists = [{uris[t] for t in tracks[starts[p] : starts[p + 1]]} for p in range(6)]
    assert named_lists[2] == {"made:track:1", "made:track:2"}
    made = next(iter(named_lists[3] - {"made:track:2"}))
    assert made.startswith("segue:track:")
    assert made in named_lists[4]
    assert named_lists[5] == {"made:track:1", "made:track:3"}
    assert rejected(dataset) == {"duplicate_track": 1}
    assert report(dataset)["cleaned"]["entries_linked_to_uri_by_name"] == 2


def test_variants_of_a_song_share_the_lowest_track(tmp_path: Path) -> None:
    """A remaster and a single edit by the same artist are the same song; the same title by another is not."""
    remaster = track(90, track_name="Song 1 (Remastered 2011)", artist_name="Artist 1")
    other = track(91, track_name="Song 1", artist_name="Somebody Else")
    dataset = written(tmp_path, [playlist(0, [1, 2]), playlist(1, [1, remaster, other])], validation=0.0, test=0.0)
    table = dataset.tracks().to_pydict()
    song = dict(zip(table["uri"], table["song"], strict=True))
    assert song["made:track:1"] == song["made:track:90"] == table["uri"].index("made:track:1")
    assert song["made:track:91"] == table["uri"].index("made:track:91")


def test_playlists_of_fewer_than_two_tracks_are_left_out(tmp_path: Path) -> None:
    """They teach nothing; they and tracks that only they hold are gone, and counted."""
    dataset = written(tmp_path, [playlist(0, [1]), playlist(1, []), playlist(2, [5, 5]), playlist(3, [2, 3])])
    assert dataset.counts["playlists"] == 1
    assert dataset.tracks()["uri"].to_pylist() == ["made:track:2", "made:track:3"]
    assert report(dataset)["cleaned"]["playlists_too_short"] == 3


def test_a_broken_name_is_dropped_and_the_playlist_kept(tmp_path: Path) -> None:
    """A playlist's tracks are good even where its title is not."""
    dataset = written(tmp_path, [playlist(0, [1, 2], name="m\x00ix"), playlist(1, [1, 2], name="mi\ud800x")])
    assert dataset.playlists()["name"].to_pylist() == ["", ""]
    assert report(dataset)["cleaned"]["playlist_names_damaged"] == 2


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """The digest depends on the files, their names and the seed, and not on where or when it was made."""
    random = np.random.default_rng(0)
    lists = [playlist(i, random.choice(60, 12, replace=False).tolist()) for i in range(80)]
    digests = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_slice(tmp_path / place / "mpd.slice.0-79.json.gz", lists)
        digests.append(ingest([tmp_path / place], tmp_path / f"{place}-out", Options(seed=seed)).digest)
    assert digests[0] == digests[1] != digests[2]


def test_an_mpd_folder_is_read_by_its_slices_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other JSON beside the slices, such as a holdout, is left out and named; without slices all JSON is read."""
    write_slice(tmp_path / "mpd" / "mpd.slice.1000-1999.json", [playlist(1000, [3, 4])])
    write_slice(tmp_path / "mpd" / "mpd.slice.0-999.json.gz", [playlist(0, [1, 2])])
    write_slice(tmp_path / "mpd" / "holdout.slice.0-9.json", [playlist(5, [5, 6])])
    assert main(["ingest", str(tmp_path / "mpd"), "--output", str(tmp_path / "out")]) == 0
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.playlists()["source_id"].to_pylist() == ["0", "1000"]
    assert "holdout.slice.0-9.json" in capsys.readouterr().err
    assert report(dataset)["read"]["left_out_files"] == ["holdout.slice.0-9.json"]
    assert sorted(dataset.manifest["sources"]) == ["mpd.slice.0-999.json.gz", "mpd.slice.1000-1999.json"]
    (tmp_path / "holdouts").mkdir()
    (tmp_path / "mpd" / "holdout.slice.0-9.json").rename(tmp_path / "holdouts" / "holdout.json")
    assert ingest([tmp_path / "holdouts"], tmp_path / "out").counts["playlists"] == 1


def test_what_is_not_read_of_a_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Suffixes count in any case; what has others, and what links lead to, is told of; what is hidden is not."""
    rows = "Track URI,Track Name,Artist Name(s)\nmade:1,One,A\nmade:2,Two,B\n"
    for name in (
        "in/Road_trip.CSV",
        "in/deep/later.csv",
        "in/cover.jpg",
        "in/.hidden/x.csv",
        "in/.DS_Store",
        "far/y.csv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(rows)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "in" / "deep" / "loop").symlink_to(tmp_path / "in")
    assert main(["ingest", str(tmp_path / "in"), "--output", str(tmp_path / "out")]) == 0
    assert "Left out: cover.jpg, deep/loop, link; the report names all." in capsys.readouterr().err
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.playlists()["name"].to_pylist() == ["Road trip", "later"]
    assert report(dataset)["read"]["left_out_files"] == ["cover.jpg", "deep/loop", "link"]
    assert "<code>deep/loop</code>" in (dataset.path / "validation.html").read_text()


def test_a_folder_of_links_alone_holds_no_playlists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the sentence says why."""
    write_slice(tmp_path / "far" / "mpd.slice.0-9.json", [playlist(0, [1, 2])])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "far")
    assert main(["ingest", str(tmp_path / "in"), "--output", str(tmp_path / "out")]) == 1
    assert "no file in it, or in a folder of it that is no link, ends in .json" in capsys.readouterr().err


def test_files_of_one_name_are_all_read(tmp_path: Path) -> None:
    """However their names meet: a folder's number before a name may be a folder's name as well."""
    files = [tmp_path / name for name in ("c1/a.json", "c1/2/a.json", "c2/a.json", "c3/a.json")]
    for number, file in enumerate(files):
        write_slice(file, [playlist(number, [number, number + 1])])
    dataset = ingest([tmp_path / "c1", files[2], files[3]], tmp_path / "out")
    assert dataset.playlists()["source_id"].to_pylist() == ["1", "0", "2", "3"]
    assert sorted(dataset.manifest["sources"]) == ["2/2/a.json", "2/a.json", "3/a.json", "a.json"]


@pytest.mark.parametrize("name", ["1²3.json", os.fsdecode(b"caf\xe9.json")], ids=["a raised digit", "no UTF-8"])
def test_odd_names_of_files(tmp_path: Path, name: str) -> None:
    """What an old archive unpacked is read, and named in the manifest as far as that is text."""
    write_slice(tmp_path / "in" / name, [playlist(0, [1, 2])])
    write_slice(tmp_path / "in" / f"{name}.gz", [playlist(1, [1, 2])])
    (tmp_path / "in" / f"{name}.jpg").write_text("…")
    dataset = ingest([tmp_path / "in"], tmp_path / "out")
    assert dataset.counts["playlists"] == 2
    assert name.encode("utf-8", "replace").decode() in dataset.manifest["sources"]


def test_synthetic_slices_make_a_synthetic_dataset(tmp_path: Path) -> None:
    """One generated slice among real ones is enough: what was mixed cannot be told apart later."""
    real = write_slice(tmp_path / "a" / "mpd.slice.0-0.json", [playlist(0, [1, 2])])
    made = write_slice(tmp_path / "b" / "mpd.slice.1-1.json", [playlist(1, [1, 2])], synthetic=True)
    assert not ingest([real], tmp_path / "out").synthetic
    dataset = ingest([real, made], tmp_path / "out")
    assert dataset.synthetic
    assert "Synthetic" in (dataset.path / "validation.html").read_text()


def test_counts_of_the_manifest_are_those_of_the_tables(tmp_path: Path) -> None:
    """Each count can be trusted without opening a table; cold tracks are in the catalogue with a count of zero."""
    random = np.random.default_rng(3)
    dataset = written(
        tmp_path, [playlist(i, random.choice(400, 9, replace=False).tolist()) for i in range(120)], test=0.3
    )
    counts = dataset.counts
    assert counts["playlists"] == dataset.playlists().num_rows == 120
    assert counts["entries"] == dataset.entries().num_rows == 120 * 9
    assert counts["tracks"] == dataset.tracks().num_rows
    assert [counts[side] for side in ("train", "validation", "test")] == [
        len(dataset.side(side)) for side in ("train", "validation", "test")
    ]
    starts, tracks = dataset.sequences()
    in_training = np.zeros(counts["tracks"], int)
    for number in dataset.side("train"):
        in_training[tracks[starts[number] : starts[number + 1]]] += 1
    assert dataset.tracks()["train_count"].to_pylist() == in_training.tolist()
    assert 0 in in_training
    assert pc.all(pc.greater_equal(dataset.entries()["track"], 0)).as_py()


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.1)])
def test_impossible_shares_are_refused(validation: float, test: float) -> None:
    """Some playlists must be left to learn from."""
    with pytest.raises(InputError, match="shares of the playlists"):
        Options(validation=validation, test=test)
