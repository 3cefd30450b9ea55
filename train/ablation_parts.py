"""What each part of the model is, by what stands there without it.

A part that the others never learn to work with is *switched off* in the trained ranker, which is then what training
without it would have made. Any other has to be *trained without*: the rest of the model would have learnt to do some of
its work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from train.llara_model import Ranker

Change = Callable[[Ranker], None]
"""Changes a ranker in place."""


@dataclass(frozen=True, slots=True)
class Retraining:
    """How a ranker is trained without a part; everything else is as the trained one's settings say.

    Attributes:
        begin: Changes the ranker before its training, if it has to.
        frozen: Names of parameters that then stay as they are.
        vectors: Overrides of stage ``lightgcn`` that make other vectors; the projector is learnt anew on them. Without
            any, both stay.
        skeleton: Whether the skeleton is trained anew, or taken over as it is.
        curriculum: Whether LLaRA's prompts begin with words alone.
        reseeded: Whether another seed draws everything.
    """

    begin: Change | None = None
    frozen: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()
    skeleton: bool = True
    curriculum: bool = True
    reseeded: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the model.

    Attributes:
        without: What is there instead, as a phrase.
        switch: Takes it out of a trained ranker; None where nothing could.
        training: How a ranker is trained without it; None where switching it off comes to the same.
    """

    without: str
    switch: Change | None = None
    training: Retraining | None = None

    def way(self, retrain: bool) -> str:
        """Return how it is left out, where training anew is allowed or not; "" where there is no way."""
        if self.training and retrain:
            return TRAINED
        return OFF if self.switch else ""


OFF, TRAINED = "switched off", "trained without"


@torch.no_grad()
def _one_text(model: Ranker) -> None:
    """Give all tracks the mean text and features: words of zeros are like none that the projector has learnt from."""
    catalogue = model.tracks.catalogue
    mean = catalogue.text.mean(0, keepdim=True, dtype=torch.float32).half()
    model.tracks.catalogue = replace(catalogue, text=mean.expand_as(catalogue.text))
    if model.second is not None:
        model.second.tracks.catalogue = model.tracks.catalogue


@torch.no_grad()
def _silent_projector(model: Ranker) -> None:
    model.tracks.projector.scale_output(0.0)


@torch.no_grad()
def _no_llara(model: Ranker) -> None:
    model.llara = None


@torch.no_grad()
def _no_fold_in(model: Ranker) -> None:
    model.fold_in.weight.zero_()


@torch.no_grad()
def _no_second(model: Ranker) -> None:
    model.second = None


@torch.no_grad()
def _no_neighbours(model: Ranker) -> None:
    if model.neighbourhood is not None:
        model.neighbourhood.weight.zero_()


@torch.no_grad()
def _no_title_neighbours(model: Ranker) -> None:
    if model.neighbourhood is not None:
        model.neighbourhood.title_weight.zero_()


@torch.no_grad()
def _no_recency(model: Ranker) -> None:
    model.recency.fade.fill_(1.0)


@torch.no_grad()
def _no_kin(model: Ranker) -> None:
    model.kin = None


@torch.no_grad()
def _no_prior(model: Ranker) -> None:
    model.popularity.zero_()
    if model.second is not None:
        model.second.popularity.zero_()


PARTS: Mapping[str, Part] = {
    "lightgcn": Part(
        "the factors of iALS, neither passed along the graph nor trained on it",
        training=Retraining(vectors=("layers=0", "epochs=0")),
    ),
    "text": Part(
        "no words of tracks but in LLaRA's prompt: all share the mean text, and are told apart by artist and album",
        switch=_one_text,
        training=Retraining(begin=_one_text),
    ),
    "projector": Part(
        "a projector that begins silent, without its own stage; the ranker's training alone teaches it",
        training=Retraining(begin=_silent_projector),
    ),
    "llara": Part("the skeleton alone, which LLaRA's training leaves as it is", switch=_no_llara),
    "curriculum": Part(
        "hybrid prompts from the first step of LLaRA's training, over the same skeleton",
        training=Retraining(skeleton=False, curriculum=False),
    ),
    "second": Part("the first skeleton alone, which is trained without the second", switch=_no_second),
    "fold_in": Part("the mean of the seeds alone, which is all that training sees", switch=_no_fold_in),
    "neighbours": Part("no neighbours of tracks, which no training sees", switch=_no_neighbours),
    "title_neighbours": Part("no neighbours of titles, which no training sees", switch=_no_title_neighbours),
    "recency": Part("all tracks of a playlist as loud as the last, as training sees them", switch=_no_recency),
    "kin": Part("no votes of artists and albums, which no training sees", switch=_no_kin),
    "prior": Part(
        "no weight of popularity; each track's own bias stays",
        switch=_no_prior,
        training=Retraining(begin=_no_prior, frozen=("popularity",)),
    ),
    "control": Part(
        "nothing left out, the ranker trained again with another seed: what training's luck alone is worth",
        training=Retraining(reseeded=True),
    ),
}
