"""The projector: an MLP from text vectors to the behaviour space, so that a track without a past has a place in it."""

import math

import torch
from torch import Tensor, nn


class Projector(nn.Module):
    """Words and context vectors, (…, 2H), to behaviour vectors (…, D)."""

    def __init__(self, text: int, dimension: int, hidden: int) -> None:
        """Build the MLP for text vectors of ``text`` numbers each and behaviour vectors of ``dimension``."""
        super().__init__()
        self.text = text
        self.layers = nn.Sequential(
            nn.Linear(2 * text, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, dimension)
        )

    def forward(self, text: Tensor) -> Tensor:
        """Return behaviour vectors (…, D) of words and context side by side (…, 2H)."""
        # Unit vectors of width H have entries near H^-.5; the MLP wants them near 1.
        projected: Tensor = self.layers(text * math.sqrt(self.text))
        return projected

    def scale_output(self, factor: float) -> None:
        """Multiply everything that the projector returns by ``factor``."""
        with torch.no_grad():
            for parameter in self.layers[-1].parameters():
                parameter.mul_(factor)
