"""Trains a ranker without one of its parts, otherwise as stage ``llara`` trained it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from data_processing.dataset import Dataset
from train.ablation_parts import Retraining
from train.encoder import LoadedEncoder, load_encoder, seeded
from train.export import load_ranker
from train.llara import Config as RankerConfig
from train.llara import build, phases, print_epoch, train_in_phases, training_of
from train.llara_model import Ranker
from train.neighbourhood import Neighbourhood
from train.neighbours import NeighbourTable
from train.ranker_training import Phase, calibrate
from train.training import Training


@dataclass(frozen=True)
class Bench:
    """What rankers are trained and measured with.

    Attributes:
        dataset: The dataset.
        settings: Those of the whole ranker.
        folder: Where it stands.
    """

    dataset: Dataset
    settings: RankerConfig
    folder: Path

    def whole(self) -> tuple[Ranker, Training]:
        """Return the ranker as it was trained, and what its training shared."""
        loaded = load_encoder(self.settings.encoder)
        model = load_ranker(self.folder, self.settings, self.dataset, loaded)
        return model, self._training(self.settings, loaded, model)

    def train(self, how: Retraining, folder: Path) -> tuple[Ranker, Training]:
        """Return a ranker trained without a part, and what its training shared.

        Args:
            how: What is left out, and how.
            folder: Vectors and checkpoints stand there; a training that was killed goes on from them.
        """
        settings = replace(self.settings, seed=self.settings.seed + how.reseeded)
        if how.vectors:
            settings = self._with_vectors(how.vectors, settings, folder)
        seeded(settings.seed, settings.threads)
        loaded = load_encoder(settings.encoder)  # anew, and now: what it draws comes before what the ranker draws
        model = build(settings, self.dataset, loaded)
        if how.vectors:
            model.neighbourhood = self._neighbourhood(len(model.tracks.catalogue.count))
        if how.begin:
            how.begin(model)
        training = self._training(settings, loaded, model)
        if how.skeleton:
            calibrate(model, training)
        else:
            self._take_skeleton(model)
        train_in_phases(model, plan(how, settings, model), training, folder / "checkpoints" / "ranker", print_epoch)
        return model.eval(), training

    def _training(self, settings: RankerConfig, loaded: LoadedEncoder, model: Ranker) -> Training:
        return training_of(settings, self.dataset, loaded, model)

    def _with_vectors(self, overrides: Sequence[str], settings: RankerConfig, folder: Path) -> RankerConfig:
        """Return ``settings`` with other vectors and a projector of their own, made where they are not there yet."""
        tracks = np.load(Path(settings.lightgcn) / "tracks.npy", mmap_mode="r", allow_pickle=False)
        own = [f"dataset={self.dataset.path}", f"seed={settings.seed}", f"threads={settings.threads}"]
        grams = f"gram_buckets={settings.gram_buckets}"
        vectors, projector = folder / "lightgcn", folder / "projector"
        needs = [f"lightgcn={vectors}", f"text={settings.text}", f"hidden={settings.projector_hidden}"]
        _stage("lightgcn", vectors, [*own, f"dimension={tracks.shape[1]}", "neighbours=0", grams, *overrides])
        _stage("projector", projector, [*own, *needs])
        return replace(settings, lightgcn=str(vectors), projector=str(projector))

    def _neighbourhood(self, tracks: int) -> Neighbourhood | None:
        """Return the whole ranker's table of neighbours, which owes nothing to vectors, before it is weighed."""
        table = NeighbourTable.load(Path(self.settings.lightgcn), tracks, self.settings.gram_buckets)
        return Neighbourhood(table, self.settings.gram_buckets) if table.ids.shape[1] else None

    def _take_skeleton(self, model: Ranker) -> None:
        """Give ``model`` all that the whole ranker has beside LLaRA."""
        weights = load_file(self.folder / "ranker.safetensors")
        model.load_state_dict({n: t for n, t in weights.items() if not n.startswith("llara.")}, strict=False)


def plan(how: Retraining, settings: RankerConfig, model: Ranker) -> list[Phase]:
    """Return the phases of a training without a part."""
    return [
        replace(
            phase,
            parameters={name: each for name, each in phase.parameters.items() if name not in how.frozen},
            curriculum=phase.curriculum and how.curriculum,
        )
        for phase in phases(settings, model)
        if how.skeleton or phase.language
    ]


def _stage(verb: str, output: Path, overrides: Sequence[str]) -> None:
    """Run a stage as the command line would, unless its output is there: a stage writes whole or not at all."""
    from train.__main__ import STAGES, load_config

    if not output.exists():
        import_module(STAGES[verb][0]).run(load_config(verb, [*overrides, f"output={output}"]))
