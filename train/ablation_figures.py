"""What a ranker reaches on held-out playlists, one by one, so that two rankers can be held against each other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segue.files import canonical_json
from segue.metrics import ndcg
from train.examples import Example
from train.judging import rank
from train.llara_model import Ranker
from train.paired import Gain, gain
from train.training import Training

COLD_SEEDS = 5
"""With so many seeds, and the title, tracks without a past are looked for."""
COLD = "cold"
_ALPHA = 0.05
"""Chance that a part which does nothing gets a word at all."""
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of each question by name: a number of seeds, or `COLD`.

    Attributes:
        reached: For each playlist its NDCG@500, or how many of its tracks without a past are in the 500.
        asked: For each playlist 1, or how many such tracks there are to be found.
    """

    reached: Mapping[str, Values]
    asked: Mapping[str, Values]

    @classmethod
    def of(cls, model: Ranker, training: Training, questions: Mapping[int, Sequence[Example]]) -> "Figures":
        """Return what ``model`` reaches, over the whole catalogue, on ``questions`` by number of seeds."""
        lists = rank(model, training, questions)
        reached, asked = {}, {}
        for seeds, examples in questions.items():
            reached[str(seeds)] = ndcg(lists[seeds], [set(each.targets.tolist()) for each in examples], 500)
            asked[str(seeds)] = np.ones(len(examples))
        examples, ranked = questions.get(COLD_SEEDS, ()), lists.get(COLD_SEEDS, ())
        past = model.tracks.catalogue.count.numpy() > 0
        cold = [each.targets[~past[each.targets]] for each in examples]
        found = [np.isin(tracks, ids).sum() for tracks, ids in zip(cold, ranked, strict=True)]
        reached[COLD], asked[COLD] = np.array(found, float), np.array([len(tracks) for tracks in cold], float)
        return cls(reached, asked)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Figures":
        """Return what `to_bytes` wrote."""
        kept = json.loads(data)
        return cls(*({name: np.array(row) for name, row in kept[half].items()} for half in ("reached", "asked")))

    def to_bytes(self) -> bytes:
        """Return everything as JSON; floats come back as they were."""
        halves = {"reached": self.reached, "asked": self.asked}
        return canonical_json({half: {k: row.tolist() for k, row in rows.items()} for half, rows in halves.items()})

    def over(self, without: "Figures") -> dict[str, Gain]:
        """Return what this adds over ``without``, fewest seeds first; questions that no playlist fits are left out.

        All intervals of one part miss with a chance of 5 % together (Bonferroni): each is of 1 - .05 / questions.
        """
        alpha = _ALPHA / len(self.reached)
        names = [*sorted(self.reached.keys() - {COLD}, key=int), COLD]
        gains = {name: gain(self.reached[name], without.reached[name], self.asked[name], alpha) for name in names}
        return {name: each for name, each in gains.items() if each is not None}
