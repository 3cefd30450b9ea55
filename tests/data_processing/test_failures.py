"""What goes wrong outside: every way ends in one sentence, exit code 1, and never in half a dataset."""

import gzip
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_processing.__main__ import main
from data_processing.dataset import Dataset
from data_processing.ingest import ingest
from tests.data_processing.made_up import playlist, write_slice


@pytest.fixture
def earlier(tmp_path: Path) -> Dataset:
    """A whole dataset that stands where the next one is to be written."""
    good = write_slice(tmp_path / "good" / "mpd.slice.0-1.json", [playlist(0, [1, 2]), playlist(1, [2, 3])])
    return ingest([good], tmp_path / "out" / "dataset")


def truncated_gzip(path: Path) -> None:
    whole = gzip.compress(json.dumps({"playlists": [playlist(i, range(20)) for i in range(200)]}).encode())
    path.with_name("mpd.slice.0-9.json.gz").write_bytes(whole[: len(whole) // 2])


def damaged_gzip(path: Path) -> None:
    whole = bytearray(gzip.compress(json.dumps({"playlists": [playlist(0, range(300))]}).encode()))
    whole[len(whole) // 2] ^= 0xFF
    path.with_name("mpd.slice.0-9.json.gz").write_bytes(bytes(whole))


def truncated_json(path: Path) -> None:
    path.write_bytes(json.dumps({"playlists": [playlist(0, range(30))]}).encode()[:-40])


def nothing(path: Path) -> None:
    """Leave the folder empty."""


def writer(text: str, name: str = "") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        (path.with_name(name) if name else path).write_text(text)

    return write


def table(path: Path, **columns: Any) -> Path:
    """Write two rows of Parquet."""
    words = {"playlist": ["1", "1"], "track": ["a", "b"], "artist": ["x", "y"]}
    pq.write_table(pa.table({**words, **columns}), path)
    return path


def text_that_is_none(path: Path) -> None:
    table(path.with_name("t.parquet"), album=pa.array([b"caf\xe9", b"b"], pa.binary()).view(pa.string()))


def a_date_beyond_all_years(path: Path) -> None:
    table(path.with_name("t.parquet"), added_at=pa.array([2**62, 0], pa.timestamp("us")))


def gzipped_parquet(path: Path) -> None:
    plain = table(path.with_name("t.parquet"))
    path.with_name("t.parquet.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (truncated_gzip, "is a truncated or damaged gzip file"),
        (damaged_gzip, "is a truncated or damaged gzip file"),
        (truncated_json, "is no whole JSON object"),
        (writer('{"tracks": []}'), 'holds no list "playlists"'),
        (writer('{"songs": []}', "list.json"), "JSON of a shape that Segue does not read"),
        (writer('{"playlist": {"track": 3}}', "list.jspf"), "is no JSPF"),
        (writer('{"playlist": {"track": [', "list.jspf"), "is no whole JSON"),
        (nothing, "holds no playlists"),
        (writer("", "mpd.slice.0-1.json"), "is no whole JSON object"),
        (writer('{"playlists": []}'), "No playlist with two usable tracks"),
        (writer("", "table.csv"), "is empty"),
        (writer("a,b\n1,2\n", "table.csv"), "has no column for the playlist"),
        (writer("playlist,artist\n1,2\n", "table.csv"), "has no column for the track"),
        (writer("PAR1 and no more", "table.parquet"), "truncated or damaged Parquet"),
        (writer(f'{{"playlists": [{{"tracks": [{{"pos": {"1" * 5000}}}]}}]}}'), "(a number is too long)"),
        (text_that_is_none, "The column 'album' of"),
        (a_date_beyond_all_years, "mend it, or write the table without it"),
        (gzipped_parquet, "is gzipped Parquet, which is read from its end; unpack it first."),
    ],
)
def test_bad_input_ends_in_one_sentence(
    damage: Callable[[Path], None],
    sentence: str,
    tmp_path: Path,
    earlier: Dataset,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 1, the file or folder named on standard error, and the earlier dataset still whole."""
    folder = tmp_path / "in"
    folder.mkdir()
    damage(folder / "mpd.slice.0-9.json")
    assert main(["ingest", str(folder), "--output", str(earlier.path)]) == 1
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    still_whole(earlier)


def still_whole(earlier: Dataset) -> None:
    assert Dataset.open(earlier.path).digest == earlier.digest
    assert [path.name for path in earlier.path.parent.iterdir()] == [earlier.path.name]


def test_a_path_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing mistake is told as one."""
    assert main(["ingest", str(tmp_path / "nowhere"), "--output", str(tmp_path / "out")]) == 1
    assert "There is nothing at" in capsys.readouterr().err


def test_an_unreadable_file(earlier: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that can be opened and not read, here this process's memory, is told by the system's own reason."""
    command = ["ingest", "/proc/self/mem", "--format", "mpd", "--output", str(earlier.path)]
    assert main(command) == 1
    assert "/proc/self/mem cannot be read (Input/output error)" in capsys.readouterr().err
    still_whole(earlier)


def a_bundle(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"schema_version": 3, "files": {"model.onnx": {}}}')
    (folder / "model.onnx").write_text("weights")


def a_manifest_of_something(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"name": "a page"}')


def a_dataset_and_a_thesis(folder: Path) -> None:
    ingest([write_slice(folder.parent / "in.json", [playlist(0, [1, 2])])], folder)
    (folder / "thesis.txt").write_text("…")


@pytest.mark.parametrize("fill", [a_bundle, a_manifest_of_something, a_dataset_and_a_thesis])
def test_it_does_not_replace_what_it_did_not_write(
    fill: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of other things as --output is refused: a manifest's name says nothing, and a file beside it counts."""
    path = write_slice(tmp_path / "music" / "mpd.slice.0-9.json", [playlist(0, [1, 2])])
    (tmp_path / "mine").mkdir()
    fill(tmp_path / "mine")
    before = {file.name: file.read_bytes() for file in (tmp_path / "mine").iterdir()}
    assert main(["ingest", str(path), "--output", str(tmp_path / "mine")]) == 1
    assert "holds something else than what this command writes; name a new or empty folder" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in (tmp_path / "mine").iterdir()} == before


def test_it_does_not_replace_what_it_reads(earlier: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds the input is refused, also where it is a dataset."""
    assert main(["ingest", str(earlier.path / "entries.parquet"), "--output", str(earlier.path)]) == 1
    assert "name another output" in capsys.readouterr().err
    still_whole(earlier)


@pytest.mark.parametrize("damage", ["a table", "the schema version"])
def test_a_dataset_that_does_not_open_is_replaced(damage: str, tmp_path: Path, earlier: Dataset) -> None:
    """Ingest again, as the sentence about the damage says."""
    if damage == "a table":
        (earlier.path / "split.parquet").unlink()
    else:
        manifest = {**earlier.manifest, "schema_version": 0}
        (earlier.path / "manifest.json").write_text(json.dumps(manifest))
    assert main(["ingest", str(tmp_path / "good"), "--output", str(earlier.path)]) == 0
    still_whole(earlier)


def run(path: Path, output: Path, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "data_processing", "ingest", str(path), "--output", str(output)]
    return subprocess.run(command, preexec_fn=before, capture_output=True, text=True, check=False, timeout=60)


def test_a_file_size_limit(tmp_path: Path, earlier: Dataset) -> None:
    """Where no file may grow beyond a few kilobytes, the write fails, is told of, and leaves nothing behind."""
    many = write_slice(tmp_path / "in" / "mpd.slice.0-99.json", [playlist(i, range(i, i + 90)) for i in range(100)])
    done = run(many, earlier.path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)))
    assert done.returncode == 1, done.stderr
    assert "The dataset cannot be written to" in done.stderr
    assert "Traceback" not in done.stderr
    still_whole(earlier)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    mounted = subprocess.run(command, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("a full disk needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up(tmp_path: Path, tiny_disk: Path) -> None:
    """The sentence names the reason, and the disk is left as empty as it was."""
    lists = [playlist(i, range(i * 9, i * 9 + 90)) for i in range(500)]
    many = write_slice(tmp_path / "in" / "mpd.slice.0-99.json", lists)
    done = run(many, tiny_disk / "dataset")
    assert done.returncode == 1, done.stderr
    assert "The dataset cannot be written to" in done.stderr
    assert "No space left on device" in done.stderr
    assert list(tiny_disk.iterdir()) == []


def test_kill_9_leaves_the_earlier_dataset(tmp_path: Path, earlier: Dataset) -> None:
    """Killed in the middle of reading, and while it writes: what stands at the output is whole."""
    many = write_slice(tmp_path / "in" / "mpd.slice.0-99.json", [playlist(i, range(i, i + 200)) for i in range(900)])
    command = [sys.executable, "-m", "data_processing", "ingest", str(many), "--output", str(earlier.path)]
    whole = set()
    for wait_for_staging in (False, True):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while wait_for_staging and len(list(earlier.path.parent.iterdir())) == 1 and process.poll() is None:
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
        process.wait()
        whole.add(Dataset.open(earlier.path).digest)
        for left in earlier.path.parent.glob(".*"):
            if (left / "manifest.json").exists():
                Dataset.open(left)
    assert earlier.digest in whole
