"""A factor model's exact fold-in of a playlist, unrolled: what redundant seeds say together is counted once.

The skeleton's mean of the seeds takes a hundred tracks of one kind for a hundred times the same vote. Solving for the
playlist as implicit ALS does (Hu, Koren & Volinsky 2008) weighs each seed by what the others have not said yet. With
the seeds' vectors as rows of X and the catalogue's Gramian G, the playlist is

    q = (α G + ridge + X'X)⁻¹ X' 1

which a few steps of conjugate gradients (Hestenes & Stiefel 1952) come close to. A step is two thin products, so that
the served graph needs no solver.
"""

import torch
from torch import Tensor, nn

from train.skeleton import CASES

UNOBSERVED = 0.003
"""α, weight of the cells that hold nothing; docs/decisions/0015 says how others ranked."""
RIDGE = 1e-5
"""Added to α G, as a share of G's mean eigenvalue: it only keeps the system solvable."""
STEPS = 4
"""Of conjugate gradients: exact for as many different seeds or fewer, and within a tenth for a hundred random ones."""
_SMALLEST = 1e-12


class FoldIn(nn.Module):
    """Adds to a playlist's vector what the exact fold-in of its seeds says."""

    def __init__(self, dimension: int) -> None:
        """Begin silent: the weights are chosen on validation, once the skeleton's vectors are trained.

        Args:
            dimension: D.
        """
        super().__init__()
        self.register_buffer("whitening", torch.eye(dimension))
        self.register_buffer("weight", torch.zeros(CASES))
        self.whitening: Tensor
        self.weight: Tensor

    def know(self, vectors: Tensor) -> None:
        """Take the catalogue for what ``vectors`` (N, D) are: those of tracks that a training playlist holds.

        Afterwards ``whitening`` W has W W' = (α G + ridge)⁻¹, and the system to solve is 1 + W'X'X W.
        """
        gramian = (vectors.T @ vectors).double()
        share = UNOBSERVED * gramian + RIDGE * gramian.trace() / len(gramian) * torch.eye(len(gramian))
        self.whitening.copy_(torch.linalg.cholesky(torch.linalg.inv(share)))

    def forward(self, seeds: Tensor, present: Tensor, case: Tensor) -> Tensor:
        """Return (B, D), weighed by case; zeros where there are no seeds.

        Args:
            seeds: (B, S, D) seeds' vectors.
            present: (B, S) false where there is no seed.
            case: (B,) of each playlist (`train.skeleton.case_of`).
        """
        solved = self.solve(seeds, present) @ self.whitening.T
        vector: Tensor = self.weight[case].unsqueeze(1) * solved
        return vector

    def solve(self, seeds: Tensor, present: Tensor) -> Tensor:
        """Return (B, D) the solution in whitened directions, by conjugate gradients from zero."""
        rows = (seeds @ self.whitening) * present.unsqueeze(2)  # (B, S, D)
        residual = rows.sum(1)
        solution, direction = torch.zeros_like(residual), residual
        square = _dot(residual, residual)
        for _ in range(STEPS):
            votes = rows @ direction.unsqueeze(2)  # (B, S, 1)
            image = direction + (votes * rows).sum(1)
            length = square / _dot(direction, image).clamp(min=_SMALLEST)
            solution = solution + length * direction
            residual = residual - length * image
            left = _dot(residual, residual)
            direction = residual + left / square.clamp(min=_SMALLEST) * direction
            square = left
        return solution


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Return (B, 1) products of rows (B, D)."""
    return (one * other).sum(1, keepdim=True)
