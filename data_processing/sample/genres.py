"""Genres of the made-up world, with the words that people use for them."""

from dataclasses import dataclass
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class Genre:
    """A genre.

    Attributes:
        words: What people call it in titles.
        scenes: Words for its four scenes.
        family: Genres of one family share listeners.
        language: Key of `words.LANGUAGES` that its names are made of.
        weight: How much it is listened to.
        year: The middle of its heyday.
        energy: From -2, to sleep, to 2, to run.
        emoji: What people put in titles for it.
    """

    words: tuple[str, ...]
    scenes: tuple[str, ...]
    family: str
    language: str
    weight: float
    year: int
    energy: float
    emoji: str


def _genres() -> tuple[Genre, ...]:
    rows = yaml.safe_load(files("data_processing.sample").joinpath("genres.yaml").read_text(encoding="utf-8"))
    return tuple(Genre(tuple(row.pop("words")), tuple(row.pop("scenes")), **row) for row in rows)


GENRES = _genres()
