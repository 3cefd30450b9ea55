"""Where LightGCN may begin: the factors of iALS on the same graph, in seconds instead of many epochs.

Implicit-feedback alternating least squares, Hu, Koren & Volinsky 2008, by the library ``implicit``.
"""

import implicit.als
import scipy.sparse as sp
import torch
from torch import Tensor

from train.interactions import Interactions

_SWEEPS = 6
_CONFIDENCE = 50.0
_REGULARISATION = 1.0
_RMS = 0.1
"""Size of the vectors: a step of Adam at rate .002 turns them by about two percent."""


def ials_start(interactions: Interactions, dimension: int, seed: int) -> Tensor:
    """Return vectors (users + items, D); users' and items' are each scaled to a root mean square of 0.1.

    The measured reason for the scaling: the factors of users come out twenty times as long as those of items, and
    unscaled ones would drown the items' own vectors once they are passed along the graph.
    """
    model = implicit.als.AlternatingLeastSquares(
        factors=dimension,
        regularization=_REGULARISATION,
        alpha=_CONFIDENCE,
        iterations=_SWEEPS,
        random_state=seed,
        num_threads=torch.get_num_threads(),
    )
    model.fit(sp.csr_matrix(interactions.matrix()), show_progress=False)
    return torch.cat([_scaled(torch.from_numpy(part)) for part in (model.user_factors, model.item_factors)])


def _scaled(factors: Tensor) -> Tensor:
    return factors * (_RMS / factors.square().mean().sqrt().clamp_min(1e-12))
