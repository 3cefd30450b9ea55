"""What the neighbours of a playlist's tracks add to its scores: the table of `train.neighbours` as a module."""

import torch
from torch import Tensor, nn

from train.neighbours import NeighbourTable
from train.skeleton import BUCKETS, bucket_of

LEADERS = 100
"""Scores are measured by the mean of so many best ones: one seed's sum is small, and that of fifty large."""


class Neighbourhood(nn.Module):
    """Adds to the scores of tracks that the seeds speak for; a seed without a past says nothing."""

    def __init__(self, table: NeighbourTable) -> None:
        """Begin silent: the weights are chosen on validation after training (`train.llara`).

        A playlist that is trained on stands in the table itself, so training would trust it far too much.
        """
        super().__init__()
        # The table is kept by the stage that made it, not with the weights.
        self.register_buffer("row", torch.from_numpy(table.row), persistent=False)
        self.register_buffer("ids", torch.from_numpy(table.ids), persistent=False)
        self.register_buffer("values", torch.from_numpy(table.values), persistent=False)
        self.register_buffer("weight", torch.zeros(len(BUCKETS)))
        self.row: Tensor
        self.ids: Tensor
        self.values: Tensor
        self.weight: Tensor

    def forward(self, logits: Tensor, seeds: Tensor, count: Tensor) -> Tensor:
        """Return logits (B, N) with what each track's score gains.

        Args:
            logits: (B, N) scores so far.
            seeds: (B, S) catalogue ids, padded with -1; S >= 1.
            count: (B,) tracks of each playlist, those that the catalogue lacks included.
        """
        # Looked up as embeddings, which export as plain Gathers; the tables stay 32-bit integers in the graph.
        rows = nn.functional.embedding(seeds.clamp(min=0), self.row.unsqueeze(1)).squeeze(2).long()  # (B, S)
        ids = nn.functional.embedding(rows, self.ids).flatten(1).long()  # (B, S * K)
        values = (nn.functional.embedding(rows, self.values) * (seeds >= 0).unsqueeze(2)).flatten(1)
        summed = torch.zeros_like(logits).scatter_add(1, ids, values)
        leaders = summed.topk(min(LEADERS, self.row.shape[0]), dim=1).values.mean(1, keepdim=True)
        weight = self.weight[bucket_of(count)].unsqueeze(1) / leaders.clamp(min=1e-9)
        # Scattered once more: a row of the catalogue's length is long, and S * K numbers are few.
        return logits.scatter_add(1, ids, values * weight)
