from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_processing import checks
from data_processing.checks import damaged, fault
from data_processing.records import Entry

GOOD = Entry("Song", "Artist", "made:track:1", "Album", 0, 1000)


@pytest.mark.parametrize(
    "entry",
    [
        GOOD,
        GOOD._replace(uri=""),
        Entry(uri="made:track:1"),
        GOOD._replace(duration=None, position=None, album=""),
        GOOD._replace(duration=0),
        GOOD._replace(title="Ævintýri\tá gönguför"),
        GOOD._replace(title="夜に駆ける", artist="별빛 👩‍🎤"),
        GOOD._replace(title="Å Ã Â ÃO ÂMBAR"),
    ],
)
def test_a_usable_entry_has_no_fault(entry: Entry) -> None:
    """Names of all scripts, unknown numbers, a URI alone or a name alone: all of these can be used."""
    assert fault(entry) is None


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("a string", checks.NOT_AN_ENTRY),
        (None, checks.NOT_AN_ENTRY),
        (GOOD._replace(title=7), checks.WRONG_TYPE),
        (GOOD._replace(artist=["A", "B"]), checks.WRONG_TYPE),
        (Entry("Song", "", "", "Album"), checks.MISSING_IDENTITY),
        (Entry("  ", "Artist", " "), checks.MISSING_IDENTITY),
        (GOOD._replace(position=-1), checks.IMPOSSIBLE_POSITION),
        (GOOD._replace(position="first"), checks.IMPOSSIBLE_POSITION),
        (GOOD._replace(position=2**31), checks.IMPOSSIBLE_POSITION),
        (GOOD._replace(position=True), checks.IMPOSSIBLE_POSITION),
        (GOOD._replace(duration=-3), checks.IMPOSSIBLE_DURATION),
        (GOOD._replace(duration=float("nan")), checks.IMPOSSIBLE_DURATION),
        (GOOD._replace(duration="3:45"), checks.IMPOSSIBLE_DURATION),
        (GOOD._replace(title="Caf\ufffd"), checks.ENCODING_DAMAGE),
        (GOOD._replace(artist="BjÃ¶rk"), checks.ENCODING_DAMAGE),
        (GOOD._replace(title="Itâ€™s"), checks.ENCODING_DAMAGE),
        (GOOD._replace(album="Can\x92t"), checks.ENCODING_DAMAGE),
        (GOOD._replace(title="caf\udce9"), checks.ENCODING_DAMAGE),
        (GOOD._replace(uri="made:\x00"), checks.ENCODING_DAMAGE),
    ],
)
def test_an_unusable_entry_is_told_by_its_reason(entry: Any, reason: str) -> None:
    """Each kind of fault has its own name, and each name a sentence."""
    assert fault(entry) == reason
    assert checks.REASONS[reason]


@given(st.text(st.characters(codec="utf-8", min_codepoint=0xA0, exclude_categories=("Cc", "Cs")), min_size=1))
def test_utf8_read_as_latin_is_found(text: str) -> None:
    """Any text beyond ASCII that was decoded with the wrong codec is damaged."""
    assert damaged(text.encode().decode("latin-1"))


@given(st.text("abcdefgh ABC àéîõüñçæø ßÿ -'&()", max_size=30))
def test_honest_western_names_are_not(text: str) -> None:
    """Accented letters among plain ones are no damage."""
    assert not damaged(text)
