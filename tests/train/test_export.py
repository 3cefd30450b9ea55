"""What an export has to hold before it becomes a bundle."""

import numpy as np
import pytest

from segue.errors import SegueError
from train.examples import CATEGORIES, Example, Playlists, by_category
from train.export import held_categories, hold

SOURCE = {"title": 0.1, "title+1": 0.2, "5": 0.4}


@pytest.mark.parametrize(
    "measured", [SOURCE, {"title": 0.0995, "title+1": 0.199, "5": 0.4}, dict.fromkeys(SOURCE, 0.5)]
)
def test_an_export_that_loses_no_more_than_was_allowed_is_held(measured: dict[str, float]) -> None:
    """Better than its source it may always be."""
    hold(SOURCE, measured, 0.01, "QInt8 graph")


@pytest.mark.parametrize("measured", [SOURCE | {"title": 0.0989, "5": 0.5}, SOURCE | {"5": float("nan")}])
def test_a_loss_in_one_category_is_refused(measured: dict[str, float]) -> None:
    """However much better it is elsewhere; what cannot be measured is a loss."""
    with pytest.raises(SegueError, match=r"In the category (title|5) the QInt8 graph reaches"):
        hold(SOURCE, measured, 0.01, "QInt8 graph")


def test_every_category_of_the_challenge_is_compared() -> None:
    """With and without the title, the first tracks and any 25 of them; playlists take part that are long enough."""
    long, short = np.arange(120), np.arange(200, 207)
    asked = by_category(Playlists([long, short, short], ["mix", "calm", ""], ["a song"] * 207))
    assert tuple(asked) == CATEGORIES
    assert {name: len(examples) for name, examples in asked.items()} == {
        "title": 2, "title+1": 3, "title+5": 3, "5": 3, "title+10": 1, "10": 1, "title+25": 1, "title+25random": 1,
        "title+100": 1,
    }  # fmt: skip
    assert [one.query.title for one in (asked["title+5"][0], asked["5"][0])] == ["mix", ""]
    assert asked["5"][0].query.seeds == (0, 1, 2, 3, 4)
    (drawn,) = asked["title+25random"]
    seeds = drawn.query.seeds
    assert len(seeds) == 25
    assert list(seeds) == sorted(seeds) != list(range(25))
    assert sorted((*seeds, *drawn.targets.tolist())) == long.tolist()
    assert len(by_category(Playlists([long, short], ["mix", "calm"], ["a song"] * 207), most=1)["title"]) == 1


@pytest.mark.parametrize(("sizes", "held"), [((90, 30, 29, 0), 2), ((20, 20, 19, 0), 2), ((31, 30, 1, 1), 2)])
def test_a_category_of_a_few_playlists_stops_no_export(sizes: tuple[int, ...], held: int) -> None:
    """Thirty decide, or as many as there are."""
    asked: dict[str, list[Example]] = {
        name: list(by_category(Playlists([np.arange(2)] * size, ["x"] * size, ["a"] * 2))["title"])
        for name, size in zip("abcd", sizes, strict=True)
    }
    assert list(held_categories(asked)) == list(asked)[:held]
