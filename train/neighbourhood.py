"""What the neighbours of a playlist's tracks, and of its title, add to its scores: `train.neighbours` as a module."""

import torch
from torch import Tensor, nn

from train.neighbours import NeighbourTable
from train.skeleton import CASES

LEADERS = 100
"""Scores are measured by the mean of so many best ones: one seed's sum is small, and that of fifty large."""


class Neighbourhood(nn.Module):
    """Adds to the scores of tracks that a playlist's seeds speak for, and beside them the n-grams of its title.

    Who has no past says nothing.
    """

    def __init__(self, table: NeighbourTable, grams: int = 0) -> None:
        """Begin silent: the weights are chosen on validation after training (`train.weighing`).

        A playlist that is trained on stands in the table itself, so training would trust it far too much.

        Args:
            table: Of tracks and n-grams.
            grams: How many of the table's speakers are n-grams of titles; they are the last ones.
        """
        super().__init__()
        # The table is kept by the stage that made it, not with the weights.
        self.register_buffer("row", torch.from_numpy(table.row), persistent=False)
        self.register_buffer("ids", torch.from_numpy(table.ids), persistent=False)
        self.register_buffer("values", torch.from_numpy(table.values), persistent=False)
        self.register_buffer("weight", torch.zeros(CASES))
        self.register_buffer("title_weight", torch.zeros(CASES))
        self.row: Tensor
        self.ids: Tensor
        self.values: Tensor
        self.weight: Tensor
        self.title_weight: Tensor
        self.grams = grams

    @property
    def is_heard(self) -> bool:
        """Whether any weight lets it add something."""
        return bool(self.weight.any() or self.title_weight.any())

    def heard(self, title_grams: Tensor, case: Tensor) -> Tensor:
        """Return n-grams (B, G) as speakers, -1 where there is none or the playlist's case makes it silent.

        Args:
            title_grams: (B, G) hashed n-grams, padded with -1.
            case: (B,) of each playlist (`train.skeleton.case_of`), of all of its tracks.
        """
        listened = (title_grams >= 0) & (self.title_weight[case] != 0).unsqueeze(1)
        return torch.where(listened, title_grams + (len(self.row) - self.grams), -1)

    def forward(self, logits: Tensor, seeds: Tensor, loudness: Tensor, heard: Tensor, case: Tensor) -> Tensor:
        """Return logits (B, N) with what each track's score gains.

        Args:
            logits: (B, N) scores so far.
            seeds: (B, S) catalogue ids, padded with -1; S >= 1.
            loudness: (B, S) how much each counts, 0 where there is none.
            heard: (B, G) n-grams as `heard` returns them.
            case: (B,) of each playlist, as there.
        """
        logits = self._gain(logits, seeds, loudness, self.weight[case])
        if not self.grams:
            return logits
        return self._gain(logits, heard, (heard >= 0).float(), self.title_weight[case])

    def _gain(self, logits: Tensor, speakers: Tensor, loudness: Tensor, weight: Tensor) -> Tensor:
        """Return logits (B, N) with what speakers (B, P), each as loud as (B, P), give in all, of a weight (B,)."""
        # Looked up as embeddings, which export as plain Gathers; the tables stay 32-bit integers in the graph.
        rows = nn.functional.embedding(speakers.clamp(min=0), self.row.unsqueeze(1)).squeeze(2).long()  # (B, P)
        ids = nn.functional.embedding(rows, self.ids).flatten(1).long()  # (B, P * K)
        values = (nn.functional.embedding(rows, self.values) * loudness.unsqueeze(2)).flatten(1)
        summed = torch.zeros_like(logits).scatter_add(1, ids, values)
        leaders = summed.topk(min(LEADERS, logits.shape[1]), dim=1).values.mean(1, keepdim=True)
        # Scattered once more: a row of the catalogue's length is long, and P * K numbers are few.
        return logits.scatter_add(1, ids, values * (weight.unsqueeze(1) / leaders.clamp(min=1e-9)))
