"""A playlist to continue, and its encoding into the arrays that a bundle's graph reads.

Training and serving build their inputs here and nowhere else, so that the two cannot drift apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segue.text import title_grams

_Item = TypeVar("_Item")
Tokenise = Callable[[Sequence[str]], list[list[int]]]
"""Texts to word-piece ids, without special tokens."""


GRAM_LIMIT = 96
"""Most n-grams of one title."""


@dataclass(frozen=True, slots=True)
class Query:
    """A playlist to continue.

    Attributes:
        seeds: Catalogue ids of the tracks that it holds, in order where it has one.
        title: Its title in any spelling, or "".
        unknown: Tracks that the catalogue lacks, each as words (`segue.track.track_words`).
        words: The last known seeds as words, in the order of ``seeds``; a language model reads the last few.
        stand_ins: Catalogue ids that are read beside ``unknown``, such as other tracks of their artists; like any track
            that the playlist does not hold they can be recommended.
        ordered: Whether its tracks stand in the order in which they were added. Those of a collection do not, nor does
            a sample of a playlist; the last ones then say no more than the others.
        artists: Catalogue ids of tracks whose artists speak as those of ``seeds`` do, and nothing else of them: one for
            each of ``unknown`` whose artist is to be heard.
    """

    seeds: tuple[int, ...] = ()
    title: str = ""
    unknown: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    stand_ins: tuple[int, ...] = ()
    ordered: bool = True
    artists: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Encoding:
    """Sizes of a graph's inputs; written to a bundle's manifest by training, read by serving.

    Attributes:
        cls_id: Word-piece id that begins a text.
        sep_id: Word-piece id that ends a text, and each part of a prompt.
        gram_buckets: Hash buckets of title n-grams.
        gram_limit: Most n-grams of one title.
        title_pieces: Most word pieces of a title in the prompt.
        track_pieces: Most word pieces of one track in the prompt.
        prompt_tracks: Most tracks that the prompt spells out; the last ones of the playlist.
        seed_limit: Most known seeds that are read; the last ones of the playlist.
        unknown_limit: Most unknown tracks that are read, most stand-ins, and most artists of such; the last ones.
        unknown_pieces: Most word pieces of one unknown track.
        prompt_cls_id: As ``cls_id``, for a prompt that has a tokenizer of its own; None where it has not.
        prompt_sep_id: As ``sep_id``, for such a prompt.
    """

    cls_id: int
    sep_id: int
    gram_buckets: int = 32768
    gram_limit: int = GRAM_LIMIT
    title_pieces: int = 12
    track_pieces: int = 12
    prompt_tracks: int = 4
    seed_limit: int = 256
    unknown_limit: int = 16
    unknown_pieces: int = 24
    prompt_cls_id: int | None = None
    prompt_sep_id: int | None = None

    def __post_init__(self) -> None:
        """Refuse one of the prompt's two ids without the other.

        Raises:
            ValueError: One is missing.
        """
        if (self.prompt_cls_id is None) != (self.prompt_sep_id is None):
            raise ValueError("prompt_cls_id and prompt_sep_id go together")

    @property
    def own_prompt(self) -> bool:
        """Whether prompts are spelled with a tokenizer of their own."""
        return self.prompt_cls_id is not None

    def to_json(self) -> dict[str, int]:
        """Return the sizes as a JSON object; what is None is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Encoding":
        """Return the sizes that `to_json` wrote."""
        return cls(**{name: int(number) for name, number in value.items()})


def encode(
    queries: Sequence[Query], encoding: Encoding, tokenise: Tokenise, tokenise_prompt: Tokenise | None = None
) -> dict[str, NDArray[np.int64]]:
    """Return the graph's inputs for a batch of B queries.

    Tracks stand last one first, so that a graph that reads only some of them reads the end of the playlist.

    Args:
        queries: The playlists.
        encoding: Sizes of the inputs.
        tokenise: Of the text encoder.
        tokenise_prompt: Of a language model with a tokenizer of its own; ``encoding`` then has its ``prompt_`` ids.

    Returns:
        ``seeds`` (B, S) catalogue ids, padded with -1; ``title_grams`` (B, G), padded with -1;
        ``prompt_tokens`` (B, T), padded with 0; ``unknown_tokens`` (B, U, L), padded with 0; ``stand_ins`` (B, P)
        catalogue ids, padded with -1; ``artists`` (B, A) likewise; ``ordered`` (B,), 0 where the tracks stand in no
        order, else 1. S, G, T, U, L, P and A are the largest of the batch; S, P and A can be 0, the others not.
    """
    seeds = [_last_first(query.seeds, encoding.seed_limit) for query in queries]
    grams = [title_grams(query.title, encoding.gram_buckets, encoding.gram_limit) for query in queries]
    unknown = [_last_first(query.unknown, encoding.unknown_limit) for query in queries]
    spelled = [_last_first(query.words + query.unknown, encoding.prompt_tracks) for query in queries]
    read, named = [q.title for q in queries] + _flat(spelled), _flat(unknown)
    if tokenise_prompt is None:
        pieces = prompt_pieces = _pieces(read + named, tokenise)
    else:
        pieces, prompt_pieces = _pieces(named, tokenise), _pieces(read, tokenise_prompt)
    begin, end = _prompt_frame(encoding)
    prompts = [
        [begin, *prompt_pieces[query.title][: encoding.title_pieces], end]
        + [piece for text in texts for piece in (*prompt_pieces[text][: encoding.track_pieces], end)]
        for query, texts in zip(queries, spelled, strict=True)
    ]
    return {
        "seeds": _pad(seeds, -1, 0),
        "title_grams": _pad(grams, -1, 1),
        "prompt_tokens": _pad(prompts, 0, 1),
        "unknown_tokens": _pad_twice([[framed(pieces[text], encoding) for text in texts] for texts in unknown]),
        "stand_ins": _pad([_last_first(query.stand_ins, encoding.unknown_limit) for query in queries], -1, 0),
        "artists": _pad([_last_first(query.artists, encoding.unknown_limit) for query in queries], -1, 0),
        "ordered": np.array([query.ordered for query in queries], np.int64),
    }


def framed(pieces: Sequence[int], encoding: Encoding) -> list[int]:
    """Return the word pieces of an unknown track as a graph reads them: cut, with a begin and an end."""
    return [encoding.cls_id, *pieces[: encoding.unknown_pieces], encoding.sep_id]


def _prompt_frame(encoding: Encoding) -> tuple[int, int]:
    """Return the ids that begin a prompt and end its parts."""
    if encoding.prompt_cls_id is None or encoding.prompt_sep_id is None:
        return encoding.cls_id, encoding.sep_id
    return encoding.prompt_cls_id, encoding.prompt_sep_id


def _flat(rows: Sequence[Sequence[str]]) -> list[str]:
    return [text for texts in rows for text in texts]


def _last_first(items: tuple[_Item, ...], limit: int) -> tuple[_Item, ...]:
    return items[::-1][:limit]


def _pieces(texts: Sequence[str], tokenise: Tokenise) -> dict[str, list[int]]:
    distinct = list(dict.fromkeys(texts))
    return dict(zip(distinct, tokenise(distinct), strict=True)) if distinct else {}


def _pad(rows: Sequence[Sequence[int] | NDArray[np.int64]], fill: int, least: int) -> NDArray[np.int64]:
    width = max([least, *(len(row) for row in rows)])
    padded = np.full((len(rows), width), fill, np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded


def _pad_twice(rows: Sequence[Sequence[Sequence[int]]]) -> NDArray[np.int64]:
    count = max([1, *(len(row) for row in rows)])
    length = max([1, *(len(tokens) for row in rows for tokens in row)])
    padded = np.zeros((len(rows), count, length), np.int64)
    for i, row in enumerate(rows):
        for j, tokens in enumerate(row):
            padded[i, j, : len(tokens)] = tokens
    return padded
