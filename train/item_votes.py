"""Item-kNN by powers: what the items of a user say of all others, counted through the users that share them.

It is a classic with a formula and nothing to train, and knows what vectors of a few dozen numbers blur: which two items
keep meeting. `train.reproduce` adds it to LightGCN.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from segue.errors import InputError
from train.interactions import Interactions

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class VoteSettings:
    """How items speak for each other; all but ``sharpen`` are powers, by which is divided.

    Attributes:
        user_power: Of a user's number of items, for what that user says.
        owned_power: Of an item's number of users, where a user has it.
        ranked_power: The same, where it is ranked. With 1, .5 and .5 this is the filter R~'R~ of GF-CF (Shen et al.
            2021).
        sharpen: How much is taken off of what the votes, read as a user's items, would vote for in turn, both brought
            to length 1: the step that Choi et al. 2023 (arXiv:2211.09324) call sharpening. 0 leaves votes as they are.
    """

    user_power: float
    owned_power: float
    ranked_power: float
    sharpen: float

    def checked(self) -> "VoteSettings":
        """Return these settings.

        Raises:
            InputError: A value makes no sense.
        """
        for name in ("user_power", "owned_power", "ranked_power"):
            if not 0 <= getattr(self, name) <= 2:
                value = getattr(self, name)
                raise InputError(f"votes.{name} is a power from 0 to 2, and not {value}; set votes.{name}=0.5.")
        if not 0 <= self.sharpen <= 1:
            raise InputError(f"votes.sharpen is a share from 0 to 1, and not {self.sharpen}; set votes.sharpen=0.")
        return self


class ItemVotes:
    """Learns nothing but counts; see `VoteSettings` for the formula."""

    def __init__(self, interactions: Interactions, settings: VoteSettings) -> None:
        """Count users and items.

        Raises:
            InputError: A setting makes no sense.
        """
        self.settings = settings.checked()
        self.held = interactions.matrix()  # (users, items)
        lengths, counts = (np.maximum(np.asarray(self.held.sum(axis)).ravel(), 1) for axis in (1, 0))
        self._owned = (counts**-settings.owned_power).astype(np.float32)
        self._ranked = (counts**-settings.ranked_power).astype(np.float32)
        self._said = _single(sp.diags_array(lengths**-settings.user_power) @ self.held)
        even = sp.diags_array(lengths**-0.5) @ self.held @ sp.diags_array(counts**-0.5)
        self._even, self._even_back = _single(even), _single(even.T)

    def scores(self, users: NDArray[np.int64]) -> Floats:
        """Return what the items of users (n,) say of all items: (n, items), 0 for a user without items."""
        owned = self.held[users] @ sp.diags_array(self._owned)
        votes = ((owned @ self.held.T) @ self._said).toarray() * self._ranked
        votes = _of_length_one(votes)
        if self.settings.sharpen:
            again = (self._even_back @ (self._even @ votes.T)).T
            votes -= np.float32(self.settings.sharpen) * _of_length_one(again)
        return votes


def _single(matrix: sp.sparray) -> sp.csr_array:
    return sp.csr_array(matrix, dtype=np.float32)


def _of_length_one(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)
