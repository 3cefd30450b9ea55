"""The encoding that training and serving share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.query import Encoding, Query, encode

SMALL = Encoding(
    cls_id=1,
    sep_id=2,
    gram_buckets=64,
    gram_limit=8,
    title_pieces=3,
    track_pieces=2,
    prompt_tracks=2,
    seed_limit=4,
    unknown_limit=2,
    unknown_pieces=2,
)
FILL = {
    "seeds": -1,
    "title_grams": -1,
    "prompt_tokens": 0,
    "unknown_tokens": 0,
    "stand_ins": -1,
    "artists": -1,
    "ordered": 0,
}

names = st.text("abc def", max_size=12)
queries = st.builds(
    Query,
    seeds=st.lists(st.integers(0, 99), max_size=6).map(tuple),
    title=names,
    unknown=st.lists(names, max_size=4).map(tuple),
    words=st.lists(names, max_size=6).map(tuple),
    stand_ins=st.lists(st.integers(0, 99), max_size=4).map(tuple),
    ordered=st.booleans(),
    artists=st.lists(st.integers(0, 99), max_size=4).map(tuple),
)


def spell(texts: Sequence[str]) -> list[list[int]]:
    """Return one piece for each letter: its code point, so that results can be read."""
    return [[ord(letter) for letter in text] for text in texts]


def test_an_empty_query_has_no_seeds_and_an_empty_prompt() -> None:
    """A playlist of nothing is a valid query: the graph gets its fixed frame and nothing else."""
    arrays = encode([Query()], SMALL, spell)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "seeds": [[]],
        "title_grams": [[-1]],
        "prompt_tokens": [[1, 2]],
        "unknown_tokens": [[[0]]],
        "stand_ins": [[]],
        "artists": [[]],
        "ordered": [1],
    }
    assert arrays["unknown_tokens"].shape == (1, 1, 1)


def test_a_prompt_spells_the_title_and_then_the_last_tracks_last_one_first() -> None:
    """Title and tracks are cut to their sizes and each is closed by a separator; unknown tracks come after known."""
    query = Query(seeds=(7, 8), title="abcd", unknown=("uvw",), words=("first", "second"))
    arrays = encode([query], SMALL, spell)
    prompt = [1, *b"abc", 2, *b"uv", 2, *b"se", 2]
    assert arrays["prompt_tokens"].tolist() == [prompt]
    assert arrays["seeds"].tolist() == [[8, 7]]
    assert arrays["unknown_tokens"].tolist() == [[[1, *b"uv", 2]]]


def test_the_last_of_a_long_playlist_are_read() -> None:
    """Beyond the limits the end of the playlist counts: that is where a listener is."""
    query = Query(seeds=tuple(range(10)), unknown=("a", "b", "c"), stand_ins=(20, 21, 22), artists=(3, 3, 4))
    arrays = encode([query], SMALL, spell)
    assert arrays["seeds"].tolist() == [[9, 8, 7, 6]]
    assert arrays["unknown_tokens"].tolist() == [[[1, *b"c", 2], [1, *b"b", 2]]]
    assert arrays["stand_ins"].tolist() == [[22, 21]]
    assert arrays["artists"].tolist() == [[4, 3]]


def test_what_has_no_order_says_so() -> None:
    """Its tracks keep the places that they were given; what order would tell of them is the graph's to leave out."""
    arrays = encode([Query(seeds=(7, 8), ordered=False), Query(seeds=(7, 8))], SMALL, spell)
    assert arrays["ordered"].tolist() == [0, 1]
    assert arrays["seeds"].tolist() == [[8, 7]] * 2


@pytest.mark.parametrize("limit", ["seed_limit", "unknown_limit", "prompt_tracks"])
def test_a_limit_of_zero_reads_nothing(limit: str) -> None:
    """Zero turns a part off."""
    query = Query(seeds=(1, 2), unknown=("a",), words=("b", "c"))
    off = encode([query], replace(SMALL, **{limit: 0}), spell)
    name = {"seed_limit": "seeds", "unknown_limit": "unknown_tokens", "prompt_tracks": "prompt_tokens"}[limit]
    nothing = encode([Query()], SMALL, spell)
    assert np.array_equal(off[name], nothing[name])


@given(st.lists(queries, min_size=1, max_size=5))
def test_a_batch_holds_what_its_queries_hold_one_by_one(batch: list[Query]) -> None:
    """Apart from padding, row i of a batch is the encoding of query i alone."""
    together = encode(batch, SMALL, spell)
    for row, query in enumerate(batch):
        for name, alone in encode([query], SMALL, spell).items():
            inside = tuple(slice(size) for size in alone.shape[1:])
            assert np.array_equal(together[name][row][inside], alone[0])
            padding = np.array(together[name][row])
            padding[inside] = FILL[name]
            assert (padding == FILL[name]).all()


@given(queries)
def test_sizes_stay_within_the_encoding(query: Query) -> None:
    """The graph is never handed more than its encoding promises, and every array holds 64-bit integers."""
    arrays = encode([query], SMALL, spell)
    assert all(array.dtype == np.int64 for array in arrays.values())
    assert arrays["seeds"].shape[1] <= SMALL.seed_limit
    assert arrays["title_grams"].shape[1] <= SMALL.gram_limit
    longest = 1 + SMALL.title_pieces + 1 + SMALL.prompt_tracks * (SMALL.track_pieces + 1)
    assert arrays["prompt_tokens"].shape[1] <= longest
    assert arrays["unknown_tokens"].shape[1] <= SMALL.unknown_limit
    assert arrays["stand_ins"].shape[1] <= SMALL.unknown_limit
    assert arrays["unknown_tokens"].shape[2] <= SMALL.unknown_pieces + 2


def test_each_distinct_text_is_tokenised_once() -> None:
    """A batch of the same titles costs one tokenisation."""
    seen: list[str] = []

    def recording(texts: Sequence[str]) -> list[list[int]]:
        seen.extend(texts)
        return spell(texts)

    encode([Query(title="gym", unknown=("gym",))] * 3, SMALL, recording)
    assert seen == ["gym"]


def test_sizes_survive_the_manifest() -> None:
    """What training writes into a manifest is what serving reads out of it."""
    assert Encoding.from_json(SMALL.to_json()) == SMALL
