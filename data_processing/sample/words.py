"""Made-up names: words of several languages and scripts, and how artists, albums and tracks put them together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

import numpy as np
import yaml

_CAPITALISED = ("en", "la")  # every word, as on record sleeves; other languages capitalise the first


@dataclass(frozen=True, slots=True)
class Language:
    """The words that names of one language are made of.

    Attributes:
        first: Given names.
        syllables: Of made-up family names.
        nouns: Things that songs are about.
        adjectives: How they are.
        bands: Shapes of band names, with ``{noun}``, ``{other}``, ``{adjective}`` and ``{name}``.
        songs: Shapes of song titles, with ``{noun}``, ``{other}`` and ``{adjective}``.
    """

    first: Sequence[str]
    syllables: Sequence[str]
    nouns: Sequence[str]
    adjectives: Sequence[str]
    bands: Sequence[str]
    songs: Sequence[str]


def _languages() -> dict[str, Language]:
    rows = yaml.safe_load(files("data_processing.sample").joinpath("words.yaml").read_text(encoding="utf-8"))
    return {
        code: Language(**{name: text.split() if isinstance(text, str) else text for name, text in row.items()})
        for code, row in rows.items()
    }


LANGUAGES = _languages()


class Draws(Protocol):
    """What names are drawn with: a `numpy.random.Generator`, or `Buffered`."""

    def integers(self, below: int, /) -> Any:
        """Return a whole number from 0 to below ``below``."""

    def random(self) -> float:
        """Return a number of [0, 1)."""


class Buffered:
    """Draws from a generator by the thousand: numpy takes 2 µs for one number, and millions of names take ten each."""

    def __init__(self, random: np.random.Generator) -> None:
        """Draw from ``random``."""
        self._draw = random.random
        self._ready: Iterator[float] = iter(())

    def random(self) -> float:
        """Return a number of [0, 1)."""
        for number in self._ready:
            return number
        self._ready = iter(self._draw(1 << 16).tolist())
        return self.random()

    def integers(self, below: int, /) -> int:
        """Return a whole number from 0 to below ``below``."""
        return int(self.random() * below)


class Names:
    """Draws names; no two artists share one, and no two titles of one artist are the same."""

    def __init__(self, random: Draws, patience: int = 20) -> None:
        """Draw from ``random``; after ``patience`` names that are taken, names are numbered."""
        self._random, self._patience = random, patience
        self._artists: set[str] = set()

    def artist(self, language: str) -> str:
        """Return a new artist's name."""
        number = 1
        while True:
            name = self._fill(self._one(LANGUAGES[language].bands), language)
            name = name if number < self._patience else f"{name} {number}"
            number += 1
            if name.casefold() not in self._artists:
                self._artists.add(name.casefold())
                return name

    def title(self, language: str, taken: set[str]) -> str:
        """Return a song's or album's title that is not in ``taken``, and add it there."""
        number = 1
        while True:
            title = self._fill(self._one(LANGUAGES[language].songs), language)
            title = title if number < self._patience else f"{title}, pt. {number}"
            number += 1
            if title not in taken:
                taken.add(title)
                return title

    def _one(self, values: Sequence[str]) -> str:
        return values[int(self._random.integers(len(values)))]

    def _fill(self, shape: str, language: str) -> str:
        words = LANGUAGES[language]
        text = shape.format(
            noun=self._one(words.nouns),
            other=self._one(words.nouns),
            adjective=self._one(words.adjectives),
            name=self._name(language),
        )
        if language in _CAPITALISED:
            return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))
        return text[:1].upper() + text[1:]

    def _name(self, language: str) -> str:
        words = LANGUAGES[language]
        if language in ("ja", "ko"):
            return "".join(self._one(words.syllables) for _ in range(1 + (language == "ja"))) + self._one(words.first)
        family = "".join(self._one(words.syllables) for _ in range(2 + int(self._random.random() < 0.4)))
        return f"{self._one(words.first)} {family[:1].upper()}{family[1:]}"
