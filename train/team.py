"""The workers of one training: each learns from its part of every batch, and gradients are added up over all.

All of them draw the same batches and hold the same model. A loss is a mean over the whole batch, so what the parts say
of it adds up to what one worker would have said, but for the order of additions. What only one may do, such as writing
files and measuring, the leader does, and the others go by its word.

It speaks through torch.distributed alone (gloo on CPUs); who starts the processes is `train.workers`' business.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

Word = TypeVar("Word")
_NONE, _DENSE, _SPARSE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Team:
    """One worker's view of it. A team of one, `ALONE`, talks to nobody and changes nothing.

    Attributes:
        rank: Which worker this is, from 0; the leader is 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def present(cls) -> "Team":
        """Return the team of this process, whose process group stands."""
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def mark(self) -> str:
        """What tells its checkpoints from another size's, whose sums differ in their last digits."""
        return "" if self.size == 1 else f"-{self.size}-workers"

    @property
    def leads(self) -> bool:
        """Whether this worker writes, measures and logs for all."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Return which of ``count`` examples are this worker's: as many as any other's, give or take one."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def agree(self, word: Word) -> Word:
        """Return the leader's ``word``, whatever the others would have said."""
        if self.size == 1:
            return word
        told = [word if self.leads else None]
        dist.broadcast_object_list(told)
        return told[0]  # type: ignore[return-value]

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            dist.barrier()

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors by the leader's: other hardware may have come to other last digits."""
        for tensor in tensors if self.size > 1 else ():
            dist.broadcast(tensor, 0)

    def add(self, values: Sequence[float]) -> list[float]:
        """Return the sum over the workers of each value."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def mean(self, values: NDArray[np.floating]) -> float:
        """Return the mean of all workers' values (n,); n may be 0 for some of them."""
        if self.size == 1:
            return float(values.mean())
        total, count = self.add([float(values.sum()), len(values)])
        return total / count

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradient of each parameter by the sum over the workers.

        One that no worker has a gradient for keeps none, as its optimiser expects of what took no part in the loss.
        """
        if self.size == 1:
            return
        kinds = torch.tensor([_kind(each) for each in parameters], dtype=torch.uint8)
        dist.all_reduce(kinds, dist.ReduceOp.MAX)
        _add_dense([each for each, kind in zip(parameters, kinds, strict=True) if kind == _DENSE])
        _add_sparse([each for each, kind in zip(parameters, kinds, strict=True) if kind == _SPARSE])


ALONE = Team()


def _kind(parameter: nn.Parameter) -> int:
    if parameter.grad is None:
        return _NONE
    return _SPARSE if parameter.grad.is_sparse else _DENSE


def _add_dense(parameters: Sequence[nn.Parameter]) -> None:
    """Add dense gradients as one message: many small ones would wait for each other."""
    if not parameters:
        return
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
    message = torch.cat([each.reshape(-1) for each in gradients])
    dist.all_reduce(message)
    parts = torch.split(message, [each.numel() for each in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)


def _add_sparse(parameters: Sequence[nn.Parameter]) -> None:
    """Add gradients of tables, of which a batch touches few rows: only those travel."""
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            gradient = torch.sparse_coo_tensor(
                torch.zeros(1, 0, dtype=torch.int64), parameter.new_zeros(0, *parameter.shape[1:]), parameter.shape
            )
        gradient = gradient.coalesce()
        dist.all_reduce(gradient)
        parameter.grad = gradient
