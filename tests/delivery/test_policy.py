"""The policy in Git: read with mistrust, and written down."""

import re
from pathlib import Path

import pytest
import yaml

from delivery.policy import Policy
from segue.errors import PromotionError

PAGE = (Path(__file__).parents[2] / "docs" / "promotion.md").read_text()


def test_without_a_file_the_defaults_hold() -> None:
    """And a file that says one thing leaves the others."""
    assert Policy.from_yaml(None) == Policy.from_yaml(b"# nothing yet\n") == Policy()
    found = Policy.from_yaml(b"weights: [100]\nguards: {errors: {margin: 0.02}}\n")
    assert (found.weights, found.deadline_seconds, set(found.guards)) == ((100,), 14400, {"errors"})


@pytest.mark.parametrize(
    "text, problem",
    [
        (b"weights: [5, 1]", "weights rise"),
        (b"weights: [50, 101]", "weights rise"),
        (b"weights: []", "weights rise"),
        (b"weight: [1]", "weight: Extra inputs"),
        (b"alpha: 0.9", "alpha"),
        (b"guards: {errors: {margin: 2}}", "guards.errors.margin"),
        (b"a: [", "is no YAML"),
        (b"- 1", "the whole"),
        (b"[]", "the whole"),
        (b"false", "the whole"),
    ],
)
def test_a_rule_that_cannot_be_read_is_none(text: bytes, problem: str) -> None:
    """Nothing is promoted by a guess."""
    with pytest.raises(PromotionError, match=re.escape(problem)):
        Policy.from_yaml(text)


def test_one_share_after_another() -> None:
    """From whatever stands there, also a share that somebody set by hand; then production."""
    assert [Policy().after(weight) for weight in (0, 1, 10, 25, 50, 100)] == [1, 5, 25, 50, None, None]


def test_every_field_is_written_down_with_its_default() -> None:
    """The page and the code say the same."""
    told = dict(
        re.findall(r"^\| `(\w+)` \| ([^|]*) \|", PAGE.split("| field | default |")[1].split("\n\n")[0], re.MULTILINE)
    )
    assert set(told) == set(Policy.model_fields)
    for name, text in told.items():
        if name != "guards":
            assert yaml.safe_load(text.strip(" `") or "''") == yaml.safe_load(Policy().model_dump_json())[name], name
    guards = re.findall(r"^\| `(\w+)` \| [^|]+ \| \w+ \| ([\d.]+) \| ([\d.]*) ?\|", PAGE, re.MULTILINE)
    assert {name: (float(margin), float(limit) if limit else None) for name, margin, limit in guards} == {
        name: (rule.margin, rule.limit) for name, rule in Policy().guards.items()
    }


def test_the_example_of_the_page_is_a_policy() -> None:
    """As it is."""
    lines = PAGE.split("in a hurry\n")[1].split("\n\n")[0]
    assert Policy.from_yaml(lines.encode()).look_seconds == 15
