"""Things are made once, and again when what they are made of has changed."""

from pathlib import Path

import pytest

from airgap.cache import Cache, digest_of


def test_a_thing_is_made_once(tmp_path: Path) -> None:
    """The same digest gives the folder that is there."""
    made = []

    def work(folder: Path) -> None:
        made.append(folder)
        (folder / "program").write_text("1")

    cache = Cache(tmp_path)
    first, second = cache.make("tool", "a" * 64, work), cache.make("tool", "a" * 64, work)
    assert first == second
    assert (second / "program").read_text() == "1"
    assert len(made) == 1


def test_another_digest_is_another_thing(tmp_path: Path) -> None:
    """A changed ingredient never gives what was made of the old one."""
    cache = Cache(tmp_path)
    one = cache.make("tool", "a" * 64, lambda folder: None)
    assert cache.make("tool", "b" * 64, lambda folder: None) != one


def test_what_was_broken_off_is_made_from_the_start(tmp_path: Path) -> None:
    """A half-made thing is not taken for a whole one."""

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise RuntimeError

    cache = Cache(tmp_path)
    with pytest.raises(RuntimeError):
        cache.make("tool", "a" * 64, fail)
    whole = cache.make("tool", "a" * 64, lambda folder: None)
    assert list(whole.iterdir()) == []


def test_a_digest_depends_on_where_one_part_ends(tmp_path: Path) -> None:
    """Two parts are not the same as both in one, and a file counts by its bytes."""
    (tmp_path / "one").write_text("same")
    (tmp_path / "two").write_text("same")
    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "two")
    assert digest_of("ab", "c") != digest_of("a", "bc")


def test_what_nobody_asks_for_any_more_is_removed(tmp_path: Path) -> None:
    """The cache grows with the bundle and not with time."""
    Cache(tmp_path).make("old", "0" * 64, lambda folder: None)
    cache = Cache(tmp_path)
    kept = cache.make("new", "1" * 64, lambda folder: None)
    cache.forget_unused()
    assert [*tmp_path.iterdir()] == [kept]
