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
            table: Of tracks and n-grams. Where it has fewer tracks than the catalogue, its last one speaks for all
                that follow.
            grams: How many of the table's speakers are n-grams of titles; they are the last ones.
        """
        super().__init__()
        # The table is kept by the stage that made it, not with the weights.
        # Rows are (V, 1), so that they are looked up as embeddings: these export as plain Gathers of the tables, which
        # stay 32-bit integers in the graph.
        row, title_row = torch.from_numpy(table.row)[:, None].tensor_split([len(table.row) - grams])
        self.register_buffer("row", row.clone(), persistent=False)
        self.register_buffer("title_row", title_row.clone(), persistent=False)
        self.register_buffer("ids", torch.from_numpy(table.ids), persistent=False)
        self.register_buffer("values", torch.from_numpy(table.values), persistent=False)
        self.register_buffer("weight", torch.zeros(CASES))
        self.register_buffer("title_weight", torch.zeros(CASES))
        self.row: Tensor
        self.title_row: Tensor
        self.ids: Tensor
        self.values: Tensor
        self.weight: Tensor
        self.title_weight: Tensor

    @property
    def is_heard(self) -> bool:
        """Whether any weight lets it add something."""
        return bool(self.weight.any() or self.title_weight.any())

    def heard(self, title_grams: Tensor, case: Tensor) -> Tensor:
        """Return n-grams (B, G) of titles, -1 where there is none or the playlist's case makes it silent.

        Args:
            title_grams: (B, G) hashed n-grams, padded with -1.
            case: (B,) of each playlist (`train.skeleton.case_of`), of all of its tracks.
        """
        listened = (title_grams >= 0) & (self.title_weight[case] != 0).unsqueeze(1)
        return torch.where(listened, title_grams, -1)

    def forward(self, logits: Tensor, seeds: Tensor, loudness: Tensor, heard: Tensor, case: Tensor) -> Tensor:
        """Return logits (B, N) with what each track's score gains.

        Args:
            logits: (B, N) scores so far.
            seeds: (B, S) catalogue ids, padded with -1; S >= 1.
            loudness: (B, S) how much each counts, 0 where there is none.
            heard: (B, G) n-grams as `heard` returns them.
            case: (B,) of each playlist, as there.
        """
        last = None if len(self.row) == logits.shape[1] else len(self.row) - 1  # stands for all tracks after it
        logits = self._gain(logits, self.row, seeds.clamp(0, last), loudness, self.weight[case])
        if not len(self.title_row):
            return logits
        return self._gain(logits, self.title_row, heard.clamp(min=0), (heard >= 0).float(), self.title_weight[case])

    def _gain(self, logits: Tensor, row: Tensor, speakers: Tensor, loudness: Tensor, weight: Tensor) -> Tensor:
        """Return logits (B, N) with what speakers (B, P) of a table's rows, as loud as (B, P), give; weight is (B,)."""
        rows = nn.functional.embedding(speakers, row).squeeze(2).long()  # (B, P)
        ids = nn.functional.embedding(rows, self.ids).flatten(1).long()  # (B, P * K)
        values = (nn.functional.embedding(rows, self.values) * loudness.unsqueeze(2)).flatten(1)
        summed = torch.zeros_like(logits).scatter_add(1, ids, values)
        leaders = summed.topk(min(LEADERS, logits.shape[1]), dim=1).values.mean(1, keepdim=True)
        # Scattered once more: a row of the catalogue's length is long, and P * K numbers are few.
        return logits.scatter_add(1, ids, values * (weight.unsqueeze(1) / leaders.clamp(min=1e-9)))
