"""LoRA (Hu et al. 2022): a frozen weight W is used as W + B A, and only the thin A and B learn.

It is a parametrisation in torch's own sense (`torch.nn.utils.parametrize`): modules keep their forward pass, merging is
torch's own, and no library that wraps the model is needed.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers.pytorch_utils import Conv1D

MARK = ".parametrizations.weight.0."
"""Stands in the name of every parameter that LoRA adds."""
_ATTENTION = ("attn", "attention")


class LowRank(nn.Module):
    """Adds a product of rank ``rank`` to a matrix (R, C); it begins as nothing, because B begins at zero."""

    def __init__(self, rows: int, columns: int, rank: int) -> None:
        """Draw A at random, as the paper does; its scale alpha / rank is 1 here and lies in the learning rate."""
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, columns) * columns**-0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return (R, C), the matrix with what was learned."""
        return weight + self.up @ self.down


def add_low_rank(model: nn.Module, rank: int) -> int:
    """Freeze ``model``, add a `LowRank` to every projection of its attention, and return to how many."""
    model.requires_grad_(False)
    chosen = [module for name, module in model.named_modules() if _is_attention(name) and _is_projection(module)]
    for module in chosen:
        rows, columns = module.weight.shape
        parametrize.register_parametrization(module, "weight", LowRank(rows, columns, rank))
    return len(chosen)


def merge_low_rank(model: nn.Module) -> None:
    """Put every `LowRank` of ``model`` into its weight for good: serving pays nothing for having been trained so."""
    for module in list(model.modules()):
        if isinstance(module, nn.Linear | Conv1D) and parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def _is_attention(name: str) -> bool:
    return any(part.endswith(_ATTENTION) for part in name.split("."))


def _is_projection(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | Conv1D)
