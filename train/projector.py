"""Stage ``projector``: learn where the graph would put a track, from its text and features alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import trange

from data_processing.dataset import Dataset
from segue.errors import InputError
from segue.files import whole_directory
from train.encoder import seeded
from train.inputs import catalogue_of, load_rows
from train.projector_model import Projector
from train.skeleton import CatalogueTensors
from train.tracking import stage_run


@dataclass(frozen=True)
class Config:
    """Settings of the stage; ``train/conf/projector.yaml`` explains each."""

    dataset: str
    lightgcn: str
    text: str
    output: str
    hidden: int
    epochs: int
    batch: int
    rate: float
    context_kept: float
    held_out: float
    seed: int
    threads: int


def run(config: Config) -> None:
    """Write ``projector.safetensors`` and, in ``metrics.json``, how well tracks it never saw are placed."""
    seeded(config.seed, config.threads)
    dataset = Dataset.open(Path(config.dataset))
    catalogue = catalogue_of(dataset, Path(config.text))
    vectors = torch.from_numpy(load_rows(Path(config.lightgcn) / "tracks.npy", dataset.counts["tracks"]))
    with stage_run("projector", config, dataset.digest) as track:
        width = (catalogue.text.shape[1] - catalogue.features) // 2
        projector = Projector(width, vectors.shape[1], config.hidden, catalogue.features)
        rng = np.random.default_rng(config.seed)
        learn, held = _halves(catalogue.count, config.held_out, rng)
        _fit(projector, catalogue, vectors, learn, config)
        cosine = float(_cosine(projector, catalogue, vectors, held))
        track({"held_out_cosine": cosine})
        with whole_directory(Path(config.output)) as folder:
            save_file(projector.state_dict(), folder / "projector.safetensors")


def load_projector(folder: Path, text: int, dimension: int, hidden: int, features: int) -> Projector:
    """Return the projector that the stage wrote to ``folder``; the sizes are those of `Projector`.

    Raises:
        InputError: It has other sizes.
    """
    projector = Projector(text, dimension, hidden, features)
    try:
        projector.load_state_dict(load_file(folder / "projector.safetensors"))
    except RuntimeError as error:
        raise InputError(
            f"The projector in {folder} was made for other text, features or vectors, or of another width; run stage "
            "projector again."
        ) from error
    return projector


def _halves(count: Tensor, held_out: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return the tracks with a playlist to learn from, and those held out to measure on."""
    seen = np.flatnonzero(count.numpy() > 0)
    held = rng.random(len(seen)) < held_out
    return torch.from_numpy(seen[~held]), torch.from_numpy(seen[held])


def _fit(projector: Projector, catalogue: CatalogueTensors, vectors: Tensor, learn: Tensor, config: Config) -> None:
    """Minimise the squared distance, scaled to a mean square of 1; tracks of many playlists weigh more."""
    scale = vectors[learn].square().mean().sqrt()
    weights = (1 + catalogue.count).log()
    optimiser = torch.optim.AdamW(projector.parameters(), lr=config.rate)
    generator = torch.Generator().manual_seed(config.seed)
    steps = max(1, len(learn) // config.batch) * config.epochs
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in trange(steps, desc="projector"):
        ids = learn[torch.randint(len(learn), (config.batch,), generator=generator)]
        text = _context_dropped(catalogue.text[ids].float(), projector.text, config.context_kept, generator)
        error = (projector(text) - vectors[ids]).square().mean(1) / scale**2
        loss = (error * weights[ids]).sum() / weights[ids].sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()


def _context_dropped(text: Tensor, width: int, kept: float, generator: torch.Generator) -> Tensor:
    """Return what follows the words, ``width`` numbers, withheld at times: a request can give words alone."""
    keep = torch.rand(len(text), 1, generator=generator) < kept
    return torch.cat([text[:, :width], text[:, width:] * keep], 1)


def _cosine(projector: Projector, catalogue: CatalogueTensors, vectors: Tensor, held: Tensor) -> Tensor:
    with torch.no_grad():
        placed = projector(catalogue.text[held].float())
        return torch.nn.functional.cosine_similarity(placed, vectors[held]).mean() if len(held) else torch.tensor(0.0)
