"""How titles are spelled: a word that no training title has is read as the nearest one that some have.

A typo, a sign or an accent makes another word, of which a model knows a few n-grams at best; docs/quality.md has what
mending is worth. Candidates are found by symmetric deletion (Garbe's SymSpell): two words one slip apart are alike once
a letter is taken out of one or of both, so a word of ten letters costs eleven look-ups, however many words are known.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from segue.errors import BundleError
from segue.files import canonical_json
from segue.text import normalise_title, words

FEWEST_TITLES = 3
"""A word of fewer may be the typo itself, or somebody's name."""
FEWEST_TRACKS = 20
MOST_WORDS = 20_000
"""Of titles, and of tracks: the most frequent ones."""
_SHORTEST, _LONGEST = 3, 24
"""Letters of a word that is mended: a shorter one is a slip from too many others, and a longer one costs time."""
_MOST_MENDED, _MOST_SIGNS = 16, 64
"""Words of a title, and signs of a word: a client can send 250 words, and a model reads the n-grams of 16 or so."""
_OUTSIDE = re.compile(r"^[\W_]+|[\W_]+$")
_FIRST_IDEOGRAPH = "\u2e80"
"""From here on a sign is a syllable or a word, and another one is no slip."""


def words_of_titles(titles: Iterable[str]) -> dict[str, int]:
    """Return the words of playlists' titles, as `segue.text.title_grams` reads them, and how many titles have each."""
    return _frequent((normalise_title(title).split() for title in titles), FEWEST_TITLES)


def words_of_tracks(names: Iterable[str]) -> list[str]:
    """Return the words that many names of tracks and artists have: no typos, whatever titles have."""
    return sorted(_frequent(map(words, names), FEWEST_TRACKS))


def _frequent(texts: Iterable[list[str]], least: int) -> dict[str, int]:
    counts = Counter(word for text in texts for word in dict.fromkeys(text))
    often = sorted((-count, word) for word, count in counts.items() if count >= least)
    return {word: -count for count, word in often[:MOST_WORDS]}


class Spelling:
    """The words that are known. Immutable, and safe to share between threads."""

    def __init__(self, titles: Mapping[str, int], tracks: Collection[str] = ()) -> None:
        """Take what `words_of_titles` and `words_of_tracks` returned."""
        self._titles, self._tracks = dict(titles), frozenset(tracks)
        self._alike: dict[str, str] = {}
        self._by_cut: dict[str, list[str]] = {}
        for word in sorted(titles, key=self._rank):
            self._alike.setdefault("".join(words(word)), word)
            if _is_spelled(word):
                for cut in _cuts(word):
                    self._by_cut.setdefault(cut, []).append(word)

    @classmethod
    def read(cls, path: Path) -> "Spelling":
        """Return the spelling that `to_bytes` wrote.

        Raises:
            BundleError: The file holds none.
        """
        try:
            value: Any = json.loads(path.read_bytes())
            titles = {str(word): int(count) for word, count in value["titles"].items()}
            return cls(titles, [str(word) for word in value["tracks"]])
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BundleError(f"The spelling {path} cannot be read ({error!r}); export the bundle again.") from error

    def to_bytes(self) -> bytes:
        """Return the known words as JSON: ``titles`` with their counts, and ``tracks``."""
        return canonical_json({"titles": self._titles, "tracks": sorted(self._tracks)})

    def mend(self, title: str) -> str:
        """Return ``title``, each word that no title has read as the one that it seems to mean.

        In this order: the word without signs around it ("country!!!"); its parts ("hip-hop"); for each part the word
        that differs in signs and accents alone ("beyonce"); and, unless tracks have the part, the most frequent word at
        one slip: a letter too many, too few, another, or swapped with the next ("cuontry"). What is near nothing stays.
        """
        read = normalise_title(title).split(" ")
        mended = [self._mend(word) for word in read[:_MOST_MENDED]] + read[_MOST_MENDED:]
        return title if mended == read else " ".join(mended)

    def _mend(self, word: str) -> str:
        if word in self._titles or len(word) > _MOST_SIGNS:
            return word
        bare = _OUTSIDE.sub("", word)
        if bare in self._titles:
            return bare
        parts = [self._nearest(part) for part in words(word)]
        return " ".join(parts) if any(part in self._titles for part in parts) else word

    def _nearest(self, part: str) -> str:
        if part in self._titles:
            return part
        if alike := self._alike.get(part):
            return alike
        if part in self._tracks or not _is_spelled(part):
            return part
        near = {word for cut in _cuts(part) for word in self._by_cut.get(cut, ()) if _is_slip(part, word)}
        return min(near, key=self._rank, default=part)

    def _rank(self, word: str) -> tuple[int, str]:
        """Return what sorts the most frequent word first."""
        return -self._titles[word], word


def _is_spelled(word: str) -> bool:
    """Return whether a word is of letters alone: another digit makes another year, and no typo."""
    return _SHORTEST <= len(word) <= _LONGEST and word.isalpha() and max(word) < _FIRST_IDEOGRAPH


def _cuts(word: str) -> Iterator[str]:
    """Yield the word, and the word without each of its letters."""
    yield word
    yield from {word[:i] + word[i + 1 :] for i in range(len(word))}


def _is_slip(one: str, other: str) -> bool:
    """Return whether two words differ by one letter too many, too few or another, or by two neighbours swapped."""
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    left, right = one[start:], other[start:]
    if len(left) == len(right):
        return left[1:] == right[1:] or (left[:2] == right[1::-1] and left[2:] == right[2:])
    return left[1:] == right or left == right[1:]
