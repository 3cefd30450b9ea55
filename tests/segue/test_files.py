"""Files that are written whole or not at all."""

import hashlib
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.files import canonical_json, sha256_bytes, sha256_file, whole_directory, whole_file, write_whole

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def _listing(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*"))


def test_a_digest_is_the_sha256_of_all_chunks(tmp_path: Path) -> None:
    """A file larger than one chunk has the digest that hashlib gives for its bytes."""
    data = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(data)
    assert len(data) > 1 << 20
    assert sha256_file(tmp_path / "file") == sha256_bytes(data) == hashlib.sha256(data).hexdigest()


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_equal_values_have_equal_json(value: dict[str, object]) -> None:
    """The order in which keys were set leaves no trace, and the value can be read back."""
    data = canonical_json(value)
    assert data == canonical_json(dict(reversed(value.items())))
    assert json.loads(data) == value


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """The new bytes take the place of the old ones, folders are made, and nothing else is left behind."""
    write_whole(tmp_path / "a" / "file", b"old")
    write_whole(tmp_path / "a" / "file", b"new")
    assert (tmp_path / "a" / "file").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a" / "file").stat().st_mode) == 0o644
    assert _listing(tmp_path) == ["a", "a/file"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    """A folder in the place of the file is not overwritten, and the temporary file is gone."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").write_text("kept")
    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", b"data")
    assert _listing(tmp_path) == ["taken", "taken/inside"]


def _begin_and_fail(folder: Path, kind: type[BaseException]) -> None:
    with whole_directory(folder) as staging:
        (staging / "new").write_text("half")
        raise kind


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_block_leaves_the_earlier_folder(tmp_path: Path, kind: type[BaseException]) -> None:
    """Whatever ends the block early, readers find the earlier folder as it was and no trace of the new one."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(kind):
        _begin_and_fail(tmp_path / "out", kind)
    assert _listing(tmp_path) == ["out", "out/old"]
    assert (tmp_path / "out" / "old").read_text() == "old"


def test_a_folder_appears_only_at_the_end(tmp_path: Path) -> None:
    """Inside the block there is no folder; after it, the folder holds what was written, for all to read."""
    with whole_directory(tmp_path / "deep" / "out") as staging:
        (staging / "file").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert _listing(tmp_path) == ["deep", "deep/out", "deep/out/file"]
    assert stat.S_IMODE((tmp_path / "deep" / "out").stat().st_mode) == 0o755


def test_an_earlier_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Files of the earlier folder do not survive into the new one."""
    for name in ("first", "second"):
        with whole_directory(tmp_path / "out") as staging:
            (staging / name).write_text(name)
    assert _listing(tmp_path) == ["out", "out/second"]


def test_a_stream_that_fails_leaves_the_earlier_file(tmp_path: Path) -> None:
    """What was written until then is gone, and the file is as it was."""
    write_whole(tmp_path / "file", b"old")
    with pytest.raises(TypeError, match="str"), whole_file(tmp_path / "file") as stream:
        stream.writelines([b"new and ", "never"])  # type: ignore[list-item]
    assert (tmp_path / "file").read_bytes() == b"old"
    assert _listing(tmp_path) == ["file"]
