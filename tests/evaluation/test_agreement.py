"""How much two continuations agree, against values worked out by hand."""

import pytest

from evaluation.agreement import overlap, rank_biased_overlap


def test_the_same_list_agrees_wholly_and_strangers_not_at_all() -> None:
    """At any persistence."""
    assert rank_biased_overlap("abcde", "abcde", 0.7) == pytest.approx(1.0)
    assert rank_biased_overlap("abcde", "vwxyz", 0.7) == 0.0
    assert overlap("abcde", "abcde", 5) == 1.0


def test_known_values() -> None:
    """abc and bac with p 1/2: agreements 0, 1, 1, so 0/2 + 1/4 + 1/8, and 1/8 for all that follows."""
    assert rank_biased_overlap("abc", "bac", 0.5) == pytest.approx(0.5)
    # Agreements 1, 1/2, 2/3 by depth; .9: .1 * (1 + .45 + .54) + .729 * 2/3.
    assert rank_biased_overlap("abc", "acx", 0.9) == pytest.approx(0.1 * (1 + 0.45 + 0.54) + 0.729 * 2 / 3)


def test_the_top_weighs_more() -> None:
    """A change of the first place costs more than one of the last."""
    whole = list(range(10))
    assert rank_biased_overlap(whole, [99, *whole[1:]]) < rank_biased_overlap(whole, [*whole[:-1], 99])


def test_short_lists_lack_the_rest() -> None:
    """Of ten wanted, three are there, two of them shared."""
    assert overlap("abc", "bcd", 10) == 0.2
    assert rank_biased_overlap("", "abc") == 0.0


def test_a_persistence_is_a_chance() -> None:
    """Between 0 and 1."""
    with pytest.raises(ValueError, match="not between 0 and 1"):
        rank_biased_overlap("a", "a", 1.0)
