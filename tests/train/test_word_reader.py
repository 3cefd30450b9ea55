"""What reads unknown tracks: taught once, it says of new words what its teachers would."""

import numpy as np
import pytest
import torch
from torch import Tensor

from train.word_reader import WordReader, distil

VOCABULARY, WIDTH, DIMENSION = 60, 24, 8
BEGIN, END = 1, 2


def _world(texts: int = 3000, seed: int = 0) -> tuple[list[list[int]], Tensor, Tensor]:
    """Return texts of two to five pieces, what a teacher says of each, and the pieces' vectors.

    The teacher adds up what single pieces mean, and means something else by the pair (5, 6).
    """
    rng = np.random.default_rng(seed)
    meaning = torch.from_numpy(rng.normal(size=(VOCABULARY, DIMENSION)).astype(np.float32))
    words = [rng.integers(5, VOCABULARY, rng.integers(2, 6)).tolist() for _ in range(texts)]
    taught = torch.stack([meaning[text].mean(0) for text in words])
    for row in range(0, texts, 3):
        words[row] += [5, 6]
        taught[row] = meaning[0] + 0.1 * taught[row]
    pieces = torch.from_numpy(rng.normal(size=(VOCABULARY, WIDTH)).astype(np.float32))
    return [[BEGIN, *text, END] for text in words], taught, pieces


def test_it_says_of_new_words_what_its_teachers_say() -> None:
    """Of texts that it was not taught it explains most of the variance; untaught it explains nothing."""
    words, taught, pieces = _world()
    assert distil(words, taught, pieces, steps=400, seed=0).explained > 0.9
    assert distil(words, taught, pieces, steps=1, seed=0).explained < 0.1


def test_pairs_of_words_tell_their_order() -> None:
    """The same pieces the other way round are another text."""
    reader = distil(*_world(), steps=200, seed=0).reader
    with torch.no_grad():
        right, wrong = reader(torch.tensor([[BEGIN, 9, 5, 6, END], [BEGIN, 9, 6, 5, END]]))
    assert float((right - wrong).norm() / right.norm()) > 0.3


@pytest.mark.parametrize("padding", [1, 7])
def test_padding_moves_nothing(padding: int) -> None:
    """A short text among long ones is read as it is alone."""
    words, taught, pieces = _world(300)
    reader = distil(words, taught, pieces, steps=5, seed=0).reader
    text = torch.tensor([words[0]])
    with torch.no_grad():
        torch.testing.assert_close(reader(text), reader(torch.nn.functional.pad(text, (0, padding))))
        assert bool(reader(torch.zeros(1, padding, dtype=torch.long)).isfinite().all())


def test_the_same_seed_gives_the_same_reader() -> None:
    """Another seed gives another one."""
    first, again, other = (distil(*_world(300), steps=5, seed=seed).reader.state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["pair.weight"], other["pair.weight"])


def test_a_catalogue_of_one_track_is_enough() -> None:
    """Nothing to hold out, nothing to tell apart, and still a reader."""
    distilled = distil([[BEGIN, 7, END]], torch.ones(1, DIMENSION), torch.randn(VOCABULARY, WIDTH), steps=2, seed=0)
    with torch.no_grad():
        assert bool(distilled.reader(torch.tensor([[BEGIN, 7, END]])).isfinite().all())


def test_a_short_table_of_pieces_is_taken_whole() -> None:
    """An encoder narrower than the reader's rows gives them its own width."""
    assert WordReader(torch.randn(VOCABULARY, WIDTH), DIMENSION, 16).piece.weight.shape == (VOCABULARY, WIDTH)
