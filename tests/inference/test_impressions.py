"""The names of answers: they say whose answer it was, and nobody else can make one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.impressions import Impression, Impressions, Key

_KEY = Key(bytes(range(32)), 0)
_DIGESTS = st.binary(min_size=32, max_size=32).map(lambda data: f"sha256:{data.hex()}")
_ENVIRONMENTS = st.from_regex(r"[A-Za-z0-9._-]{1,63}", fullmatch=True)


@given(_DIGESTS, _ENVIRONMENTS, st.integers(0, 2**40 - 1))
def test_an_id_says_what_it_was_made_of(digest: str, environment: str, moment: int) -> None:
    """Another process with the same key reads it back, and it fits where ids are kept."""
    text = Impressions(_KEY, lambda: moment + 0.5).new(digest, environment)
    assert Impressions(_KEY).read(text) == Impression(text, digest, environment, moment)
    assert len(text) <= 200


def test_two_answers_never_share_a_name() -> None:
    """Also in the same second and by the same model."""
    impressions = Impressions(_KEY, lambda: 0)
    assert len({impressions.new(f"sha256:{'0' * 64}", "local") for _ in range(1000)}) == 1000


@given(st.data())
def test_a_changed_id_is_none(data: st.DataObject) -> None:
    """Whichever bit is changed, it is not ours any more."""
    text = Impressions(_KEY).new(f"sha256:{'ab' * 32}", "production")
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert Impressions(_KEY).read(base64.urlsafe_b64encode(raw).rstrip(b"=").decode()) is None


@given(st.text())
def test_any_text_is_read_without_a_fault(text: str) -> None:
    """What is no id is None and not an error."""
    assert Impressions(_KEY).read(text) is None


@pytest.mark.parametrize("change", [lambda text: text + "=", lambda text: text + "\n", lambda text: " " + text])
def test_an_id_has_one_spelling(change: object) -> None:
    """Otherwise one answer could be counted twice."""
    text = Impressions(_KEY).new(f"sha256:{'0' * 64}", "local")
    assert Impressions(_KEY).read(change(text)) is None  # type: ignore[operator]


def test_an_id_of_another_key_is_read_once_the_key_is_learnt() -> None:
    """Until then it is neither ours nor forged, and the key that it takes is told; then nothing is missing."""
    mine, other = Impressions(now=lambda: 0), Impressions(_KEY, lambda: 0)
    text = other.new(f"sha256:{'0' * 64}", "local")
    assert (mine.read(text), mine.missing_key(text), mine.may_turn_out_true(text)) == (None, _KEY.id, True)
    mine.learn(_KEY)
    assert mine.read(text) == other.read(text)
    assert mine.read(text) is not None
    assert (mine.missing_key(text), mine.may_turn_out_true(text)) == (None, False)


@pytest.mark.parametrize("seconds,waits", [(-86_400, False), (-86_399, True), (86_399, True), (86_400, False)])
def test_a_key_that_never_turns_up_is_waited_for_a_day(seconds: int, waits: bool) -> None:
    """By the time that the id tells, which a forger may choose: before and after, for clocks differ."""
    text = Impressions(now=lambda: 10**9 + seconds).new(f"sha256:{'0' * 64}", "local")
    assert Impressions(_KEY, lambda: 10**9).may_turn_out_true(text) is waits


@given(st.text() | st.binary(max_size=72).map(lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()))
def test_what_has_not_the_form_of_an_id_is_waited_for_by_nobody(text: str) -> None:
    """It misses no key."""
    assert (Impressions(_KEY).missing_key(text), Impressions(_KEY).may_turn_out_true(text)) == (None, False)


def test_what_is_no_digest_is_refused() -> None:
    """An id always names a bundle."""
    with pytest.raises(ValueError, match="is not a digest"):
        Impressions(_KEY).new("sha256:12", "local")
