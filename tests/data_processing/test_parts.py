"""Reading on several processes, and going on where a killed run stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from data_processing import parts
from data_processing.dataset import Dataset
from data_processing.ingest import Options, ingest
from data_processing.processes import LostProcessError, working
from data_processing.sources import find_sources
from segue.errors import InputError
from tests.data_processing.made_up import playlist, track, write_slice

SLICES = 6


def slices(folder: Path, playlists: int = 30) -> Path:
    """Write slices whose tracks overlap; some tracks lack words that a later slice has, some lack a URI."""
    random = np.random.default_rng(3)
    for number in range(SLICES):
        lists: list[Any] = []
        for pid in range(number * playlists, (number + 1) * playlists):
            chosen: list[Any] = random.choice(500, 20, replace=False).tolist()
            chosen[3] = track(chosen[3], album_name="", artist_name="" if number < 2 else "Late")
            chosen[4] = track(chosen[4], track_uri=None)
            chosen[5] = track(chosen[5], duration_ms=-1) if pid % 7 == 0 else chosen[4]
            lists.append(playlist(pid, chosen, name=f"mix {pid % 11}"))
        write_slice(folder / f"mpd.slice.{number}-{number}.json.gz", lists)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def one_slice_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_BYTES", 1)


def test_the_bytes_do_not_depend_on_how_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One part or one for each slice, on one process or on three: the same dataset."""
    source = slices(tmp_path / "in")
    whole = ingest([source], tmp_path / "whole", Options(processes=1))
    monkeypatch.setattr(parts, "_BYTES", 1)
    for processes in (1, 3):
        cut = ingest([source], tmp_path / f"cut-{processes}", Options(processes=processes))
        assert contents(cut.path) == contents(whole.path)
    report = json.loads((whole.path / "validation.json").read_text())
    assert report["rejected"].keys() == {"duplicate_track", "impossible_duration"}
    assert "Late" in whole.tracks()["artist"].to_pylist()


def test_tables_under_one_path_are_one_part(tmp_path: Path, one_slice_a_part: None) -> None:
    """A playlist may go on in the next table; slices, and lists that are whole in their file, are cut."""
    for name, rows in (("a.csv", "mix,1,X\nmix,2,X\nother,1,X\n"), ("b.csv", "mix,3,X\n")):
        (tmp_path / "tables").mkdir(exist_ok=True)
        (tmp_path / "tables" / name).write_text(f"playlist,track,artist\n{rows}")
    found = find_sources([slices(tmp_path / "in"), tmp_path / "tables"])
    assert [len(batch) for batch in parts.batches(found.sources)] == [1] * SLICES + [2]
    dataset = ingest([tmp_path / "tables"], tmp_path / "out")
    assert dataset.playlists()["tracks"].to_pylist() == [3]


def test_what_a_killed_run_has_read_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_slice_a_part: None
) -> None:
    """A run that ends after two slices reads the other four when it is called again; its dataset is the same."""
    source = slices(tmp_path / "in")
    undisturbed = ingest([source], tmp_path / "undisturbed")
    read: list[parts.Batch] = []
    whole = parts._read

    def counted(batch: parts.Batch, *rest: Any) -> Any:
        if len(read) == most:
            raise KeyboardInterrupt
        read.append(batch)
        return whole(batch, *rest)

    most = 2
    monkeypatch.setattr(parts, "_read", counted)
    with pytest.raises(KeyboardInterrupt):
        ingest([source], tmp_path / "out", Options(processes=1))
    assert len(list((tmp_path / ".out.parts").iterdir())) == 2
    most = SLICES
    resumed = ingest([source], tmp_path / "out", Options(processes=1))
    assert [batch[0].name for batch in read] == [f"mpd.slice.{i}-{i}.json.gz" for i in range(SLICES)]
    assert contents(resumed.path) == contents(undisturbed.path)
    assert not (tmp_path / ".out.parts").exists()


@pytest.mark.parametrize("change", ["another slice", "another option"])
def test_a_part_of_something_else_is_not_used(change: str, tmp_path: Path, one_slice_a_part: None) -> None:
    """A slice that was changed after the kill is read anew, and so is all of it with other options."""
    source = slices(tmp_path / "in")
    [first, *_] = find_sources([source]).sources
    before = parts.Reading(tmp_path / ".out.parts", {}, strict=False)
    before.folder.mkdir()
    parts.read_part((first,), before)
    strict = change == "another option"
    if strict:
        with pytest.raises(InputError, match=r"slice\.0-0\.json\.gz, playlist '0', entry 5 cannot be used"):
            ingest([source], tmp_path / "out", Options(strict=True))
        return
    write_slice(first.path, [playlist(0, [1, 2], name="changed")])
    assert ingest([source], tmp_path / "out").playlists()["name"][0].as_py() == "changed"


def test_kill_9_and_again(tmp_path: Path) -> None:
    """Killed while two processes read: they end, what they read stays, and the second run gives the same bytes."""
    for number in range(8):  # a slice of more than four megabytes is a part of its own
        lists = [playlist(i, range(i % 400, i % 400 + 220)) for i in range(number * 160, (number + 1) * 160)]
        write_slice(tmp_path / "in" / f"mpd.slice.{number}-{number}.json", lists)
    undisturbed = ingest([tmp_path / "in"], tmp_path / "undisturbed", Options(processes=1))
    output = ["--output", str(tmp_path / "out"), "--processes", "2"]
    command = [sys.executable, "-m", "data_processing", "ingest", str(tmp_path / "in"), *output]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kept = tmp_path / ".out.parts"
    while process.poll() is None and len(list(kept.glob("*.arrow"))) < 2:
        time.sleep(0.005)
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(family, timeout=60)[1]
    assert not (tmp_path / "out").exists()
    assert len(list(kept.glob("*.arrow"))) >= 2
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert contents(Dataset.open(tmp_path / "out").path) == contents(undisturbed.path)
    assert not kept.exists()


def test_the_first_bad_slice_is_told_and_nothing_stays(tmp_path: Path, one_slice_a_part: None) -> None:
    """However many processes find something wrong at once."""
    source = slices(tmp_path / "in")
    for number in (4, 2):
        (source / f"mpd.slice.{number}-{number}.json.gz").write_text('{"playlists": [')
    with pytest.raises(InputError, match=r"^mpd\.slice\.2-2\.json\.gz is no whole JSON object"):
        ingest([source], tmp_path / "out", Options(processes=2))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_process_that_is_killed_is_told_in_a_sentence() -> None:
    """As the kernel does where memory runs out."""
    with working(2) as work, pytest.raises(LostProcessError, match="run the same command again, with fewer"):
        list(work.each(os._exit, [1, 1]))


def test_a_damaged_part_ends_in_a_sentence(tmp_path: Path, one_slice_a_part: None) -> None:
    """And is gone afterwards, so that the next run reads its slice anew."""
    source = slices(tmp_path / "in")
    reading = parts.Reading(tmp_path / ".out.parts", {}, strict=False)
    reading.folder.mkdir()
    part = parts.read_part(find_sources([source]).sources[:1], reading)
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(InputError, match=r"is damaged .*; run the same command again"):
        ingest([source], tmp_path / "out")
    assert ingest([source], tmp_path / "out").counts["playlists"] == 30 * SLICES


def test_no_process_is_refused() -> None:
    """With the option's name."""
    with pytest.raises(InputError, match="--processes"):
        Options(processes=0)
