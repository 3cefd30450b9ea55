"""The projector: an MLP from text and features to the behaviour space, which gives a track without a past its place."""

import math

import torch
from torch import Tensor, nn


class Projector(nn.Module):
    """Words and context vectors and features, (…, 2H + F), to behaviour vectors (…, D)."""

    def __init__(self, text: int, dimension: int, hidden: int, features: int = 0) -> None:
        """Build the MLP.

        Args:
            text: H, the width of a text vector.
            dimension: D.
            hidden: Width of the MLP.
            features: F, numbers beside the text, of a spread near 1.
        """
        super().__init__()
        self.text = text
        self.layers = nn.Sequential(
            *(nn.Linear(2 * text + features, hidden), nn.GELU()),
            *(nn.Linear(hidden, hidden), nn.GELU()),
            nn.Linear(hidden, dimension),
        )

    def forward(self, text: Tensor) -> Tensor:
        """Return behaviour vectors (…, D) of words, context and features side by side (…, 2H + F)."""
        words_and_context, features = text[..., : 2 * self.text], text[..., 2 * self.text :]
        # Unit vectors of width H have entries near H^-.5; the MLP wants them near 1, where features are.
        projected: Tensor = self.layers(torch.cat([words_and_context * math.sqrt(self.text), features], -1))
        return projected

    def scale_output(self, factor: float) -> None:
        """Multiply everything that the projector returns by ``factor``."""
        with torch.no_grad():
            for parameter in self.layers[-1].parameters():
                parameter.mul_(factor)
