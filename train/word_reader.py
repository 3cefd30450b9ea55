"""What reads an unknown track in a request: a table of word pieces, taught what the large models would say.

The text encoder and the projector take a millisecond for each track; a playlist of twenty strangers has no time for
them. So they teach a student once, at export, on the words of the whole catalogue (knowledge distillation, Hinton et
al. 2015): pieces and pairs of neighbouring pieces as rows of two tables, summed, and a small MLP. Pairs are hashed
(Weinberger et al. 2009), as fastText does with its n-grams (Joulin et al. 2017).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import trange

_WIDTH = 128
_HIDDEN = 512
MOST_PAIRS = 2**16
"""Rows for hashed pairs, however large the catalogue."""
_LEAST_PAIRS = 2**8
_BATCH = 512
_RATE = 2e-3
_HELD_OUT = 0.02
_FACTORS = (31_337, 7_919)
"""Primes that spread pairs of ids over the rows."""


class WordReader(nn.Module):
    """Word pieces (B, L), framed and padded with 0, to behaviour vectors (B, D)."""

    def __init__(self, pieces: Tensor, dimension: int, pairs: int) -> None:
        """Begin with what the encoder's own table says of single pieces.

        Args:
            pieces: (V, H) the text encoder's word embeddings.
            dimension: D.
            pairs: Rows for hashed pairs.
        """
        super().__init__()
        width = min(_WIDTH, pieces.shape[1])
        self.pairs = pairs
        self.piece = nn.Embedding(len(pieces), width, padding_idx=0, sparse=True)
        self.pair = nn.Embedding(pairs + 1, width, padding_idx=pairs, sparse=True)  # the last row: no pair
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, dimension)
        )
        with torch.no_grad():
            nn.init.normal_(self.pair.weight, std=0.02)[pairs] = 0
            self.piece.weight.copy_(_principal(pieces, width))[0] = 0

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, D); the order of words counts as far as pairs tell it."""
        following = nn.functional.pad(tokens[:, 1:], (0, 1))
        hashed = (tokens * _FACTORS[0] + following * _FACTORS[1]) % self.pairs
        hashed = torch.where(following > 0, hashed, self.pairs)
        summed = self.piece(tokens).sum(1) + self.pair(hashed).sum(1)
        vectors: Tensor = self.layers(summed)  # which sets the length to 1 first: long names weigh as short ones do
        return vectors


@dataclass(frozen=True, slots=True)
class Distilled:
    """A student and its mark.

    Attributes:
        reader: The student, in evaluation mode.
        explained: Share of its teachers' variance that it gives back on words it did not learn from (R squared); NaN
            where none were left out.
    """

    reader: WordReader
    explained: float


def distil(words: Sequence[Sequence[int]], taught: Tensor, pieces: Tensor, steps: int, seed: int) -> Distilled:
    """Teach a reader to say of words what its teachers say.

    Args:
        words: N texts as framed word pieces (`segue.query.framed`).
        taught: (N, D) the teachers' vectors of them.
        pieces: (V, H) the text encoder's word embeddings.
        steps: Batches of 512 texts.
        seed: Draws the batches, and the texts that are held out.
    """
    torch.manual_seed(seed)
    tokens = nn.utils.rnn.pad_sequence([torch.tensor(text) for text in words], batch_first=True)
    rows = min(MOST_PAIRS, max(_LEAST_PAIRS, 1 << (len(tokens) - 1).bit_length()))
    reader = WordReader(pieces, taught.shape[1], rows)
    held = torch.rand(len(tokens)) < _HELD_OUT
    held[0] = False  # of a single text nothing is left out
    learn = torch.arange(len(tokens))[~held]
    spread = (taught - taught.mean(0)).square().mean().clamp(min=1e-12)
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.SparseAdam([reader.piece.weight, reader.pair.weight], lr=_RATE),
        torch.optim.Adam(reader.layers.parameters(), lr=_RATE),
    ]
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(part, steps) for part in optimisers]
    for _ in trange(steps, desc="words", unit="batch"):
        ids = learn[torch.randint(len(learn), (_BATCH,))]
        loss = (reader(tokens[ids]) - taught[ids]).square().mean() / spread
        reader.zero_grad(set_to_none=True)
        loss.backward()
        for part in optimisers:
            part.step()
        for schedule in schedules:
            schedule.step()
    reader.eval()
    with torch.no_grad():
        error = (reader(tokens[held]) - taught[held]).square().mean() / spread
    return Distilled(reader, 1 - float(error))


def _principal(pieces: Tensor, width: int) -> Tensor:
    """Return the table (V, width) along its main directions, of spread 0.1."""
    centred = pieces.detach().double() - pieces.detach().double().mean(0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    turned = centred @ directions[:, -width:]
    principal: Tensor = (turned * (0.1 / turned.std())).float()
    return principal
