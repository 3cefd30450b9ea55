"""Words of titles that no training title has."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.errors import BundleError
from segue.spelling import FEWEST_TRACKS, MOST_WORDS, Spelling, words_of_titles, words_of_tracks
from segue.text import normalise_title

KNOWN = {"country": 90, "rock": 80, "chill": 50, "chili": 2, "beyoncé": 9, "don't": 8, "r&b": 7, "hip": 6, "hop": 6,
         "summer": 40, "2017": 30, "❤️": 5, "夏の歌": 4, "рок": 3, "летний": 4}  # fmt: skip
SPELLING = Spelling(KNOWN, ["moon", "rook", "dont", "clock"])
anything = st.text(st.characters(exclude_categories=()), max_size=60)


@pytest.mark.parametrize(
    "title, mended",
    [
        ("cuontry", "country"),
        ("contry", "country"),
        ("countrry rcok", "country rock"),
        ("Kountry", "country"),
        ("country!!!", "country"),
        ("#Country", "country"),
        ("country🔥", "country"),
        ("Cóuntry", "country"),
        ("beyonce", "beyoncé"),
        ("dont chill", "don't chill"),
        ("(R&B)", "r&b"),
        ("hip-hop", "hip hop"),
        ("❤", "❤️"),
        ("летнй", "летний"),
        ("chilk", "chill"),
    ],
)
def test_an_unknown_word_is_read_as_the_nearest_known_one(title: str, mended: str) -> None:
    """Signs, accents and one slip are mended; of two words as near the more frequent one is meant."""
    assert SPELLING.mend(title) == mended


@pytest.mark.parametrize(
    "title",
    ["Country", "  CHILL  ", "chili", "2018", "cntr", "夏の声", "🔥", "", "!!!", "zzzz rock", "☀️", "rook", "#zzzz"],
)
def test_what_is_known_or_near_nothing_stays(title: str) -> None:
    """As it was given: another year, another ideograph, two slips and a word of tracks are no typo."""
    assert SPELLING.mend(title) is title


@given(anything)
def test_a_mended_title_stays_as_it_is(title: str) -> None:
    """Mending twice is mending once, and a title that shows anything still does."""
    mended = SPELLING.mend(title)
    assert SPELLING.mend(mended) == mended
    assert bool(normalise_title(mended)) == bool(normalise_title(title))


@given(st.lists(st.sampled_from(sorted(KNOWN)), min_size=1, max_size=5))
def test_a_title_of_known_words_is_left_alone(known: list[str]) -> None:
    title = " ".join(known)
    assert SPELLING.mend(title) is title


@given(st.sampled_from(["country", "summer"]), st.integers(0, 7), st.sampled_from("abcdefghijklmnopqrstuvwxyzé"))
def test_every_slip_is_found(word: str, place: int, letter: str) -> None:
    """A letter too many, too few, another, or two swapped, wherever in the word."""
    place = min(place, len(word) - 1)
    before, after = word[:place], word[place:]
    for slip in (
        before + letter + after,
        before + after[1:],
        before + letter + after[1:],
        before + after[1::-1] + after[2:],
    ):
        assert SPELLING.mend(slip) == word


def test_words_count_once_a_title_and_rare_ones_are_left_out() -> None:
    """A word of few titles may be the typo, or somebody's name."""
    assert words_of_titles(["Rock rock", "ROCK on", "on", "Rock", "Anna", "  "]) == {"rock": 3}
    many = [f"w{number}" for number in range(MOST_WORDS + 5)]
    assert len(words_of_titles([*many, *many, *many, "w7"])) == MOST_WORDS


def test_words_of_tracks_are_those_that_many_have() -> None:
    """As search reads them, since that is how a title's parts are compared with them."""
    assert words_of_tracks(["Don't Stop"] * FEWEST_TRACKS + ["Rare"] * (FEWEST_TRACKS - 1)) == ["dont", "stop"]


@pytest.mark.parametrize("title", ["abcdefgh " * 55, "a" * 500, "-a" * 250, "!a" * 250, "abcd-" * 100, "é" * 500])
def test_a_crafted_title_costs_no_time(title: str) -> None:
    """A hundred titles of 500 characters, made to be searched, take less than a second."""
    started = time.process_time()
    for _ in range(100):
        SPELLING.mend(title)
    assert time.process_time() - started < 1


def test_a_spelling_is_written_and_read(tmp_path: Path) -> None:
    """The same words give the same bytes, in whatever order."""
    file = tmp_path / "spelling.json"
    file.write_bytes(SPELLING.to_bytes())
    read = Spelling.read(file)
    assert [read.mend(title) for title in ("cuontry", "rook")] == ["country", "rook"]
    assert Spelling(dict(sorted(KNOWN.items())), ["rook", "moon", "clock", "dont"]).to_bytes() == SPELLING.to_bytes()


@pytest.mark.parametrize(
    "text",
    ["[]", "{", "{}", '{"titles": {"rock": null}, "tracks": []}', '{"titles": {}}', '{"titles": [], "tracks": 1}'],
)
def test_what_is_no_spelling_is_named(tmp_path: Path, text: str) -> None:
    """The sentence says which file."""
    (tmp_path / "spelling.json").write_text(text)
    with pytest.raises(BundleError, match=r"spelling\.json cannot be read"):
        Spelling.read(tmp_path / "spelling.json")
