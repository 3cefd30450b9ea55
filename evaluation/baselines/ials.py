"""iALS, implicit matrix factorisation, by the library `implicit`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from tqdm import tqdm

from evaluation.baselines.popularity import Popularity
from evaluation.models import NOTHING
from evaluation.queries import Question

_BATCH = 256


@dataclass(frozen=True, slots=True)
class IalsSetting:
    """How iALS weighs: ``alpha``, what an observed pair counts against an unobserved one, and its ``penalty``."""

    alpha: float = 100
    penalty: float = 0.01


class ImplicitALS:
    """Alternating least squares for implicit feedback (Hu, Koren and Volinsky 2008), folded in for unseen playlists.

    Weights and regularisation follow Rendle et al. 2022, "Revisiting the Performance of iALS on Item Recommendation
    Benchmarks": an unobserved pair weighs 1 / ``alpha`` of an observed one, and the penalty grows with the size of the
    matrix. The library has one penalty for both sides; their product is what matters (a factor can be moved from one
    side to the other), so the geometric mean of the paper's two penalties stands for both. A playlist without a known
    seed gets the popular tracks.
    """

    def __init__(
        self,
        user_items: csr_matrix,
        seed: int,
        setting: IalsSetting = IalsSetting(),
        factors: int = 128,
        iterations: int = 12,
        label: str = "iALS",
    ) -> None:
        """Fit to ``user_items`` (playlists, tracks), a matrix of ones; ``label`` names progress, "" shows none."""
        self._label = label
        self._popularity = Popularity(user_items)
        self._known = np.asarray(user_items.sum(axis=0)).ravel() > 0
        bar = tqdm(total=iterations, desc=f"fitting {label}", file=sys.stderr, disable=not label)
        with threadpool_limits(1, "blas"), bar:
            self._als = AlternatingLeastSquares(
                factors=factors,
                alpha=setting.alpha,
                regularization=setting.penalty * _scale(user_items, setting.alpha),
                iterations=iterations,
                random_state=seed,
            )
            self._als.fit(user_items, show_progress=False, callback=lambda *_: bar.update())

    def rank(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        """See `evaluation.models.Model.rank`."""
        found = self._popularity.rank(questions, k)
        seeded = [i for i, question in enumerate(questions) if any(self._known[list(question.seeds)])]
        bar = tqdm(total=len(seeded), desc=f"ranking {self._label}", file=sys.stderr, disable=not self._label)
        with threadpool_limits(1, "blas"), bar:
            for start in range(0, len(seeded), _BATCH):
                part = seeded[start : start + _BATCH]
                found[part] = self._fold_in([questions[i] for i in part], k)
                bar.update(len(part))
        return found

    def _fold_in(self, questions: Sequence[Question], k: int) -> NDArray[np.int64]:
        lengths = [len(question.seeds) for question in questions]
        tracks = np.concatenate([question.seeds for question in questions]).astype(np.int32)
        pointers = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        shape = (len(questions), len(self._known))
        shown = csr_matrix((np.ones(len(tracks), np.float32), tracks, pointers), shape=shape)
        most = min(k, len(self._known))
        ids, scores = self._als.recommend(np.arange(len(questions)), shown, N=most, recalculate_user=True)
        found = np.full((len(questions), k), NOTHING, np.int64)
        found[:, :most] = np.where(scores > np.finfo(np.float32).min, ids, NOTHING)  # the library's mark for a seed
        return found


def _scale(user_items: csr_matrix, alpha: float) -> float:
    """Return what one unit of penalty stands for: Rendle et al.'s ``n + unobserved / alpha``, mean of both sides."""
    users, items = user_items.shape
    entries = float(user_items.nnz)
    of_users = entries / max(users, 1) + items / alpha
    of_items = entries / max(items, 1) + users / alpha
    return alpha * float(np.sqrt(of_users * of_items))
