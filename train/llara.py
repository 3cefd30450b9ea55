"""Stage ``llara``: train the ranker, first its linear skeleton, then LLaRA's residual."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from data_processing.dataset import Dataset
from segue.errors import InputError
from segue.files import canonical_json, sha256_bytes, sha256_file, whole_directory, write_whole
from segue.query import Encoding
from train.backbone import Backbone, EncoderBackbone, PromptTokenizer, is_borrowed
from train.candidates import CandidateSampler
from train.causal import load_causal
from train.curves import learning_curves
from train.encoder import LoadedEncoder, load_encoder, seeded, tokeniser
from train.examples import weighing
from train.inputs import catalogue_of, load_rows, playlists_of
from train.kin import Kin
from train.llara_model import Llara, Ranker
from train.neighbourhood import Neighbourhood
from train.neighbours import NeighbourTable
from train.projector import load_projector
from train.projector_model import Projector
from train.ranker_training import (
    OnEpoch,
    Phase,
    PhaseSettings,
    calibrate,
    parameters_of,
    train_phase,
)
from train.settings import CONFIG, typed
from train.skeleton import CatalogueTensors, PlaylistVector, Start, TrackVectors
from train.team import ALONE, Team
from train.tracking import log_plot, stage_run
from train.training import Training
from train.weighing import (
    open_gates,
    weigh_fold_in,
    weigh_kin,
    weigh_neighbours,
    weigh_recency,
    weigh_second,
    weigh_title_neighbours,
    weigh_titles,
)

JUDGED = 1000
"""Most validation playlists that judge: each is ranked against all tracks, often, and a million have 30,000 of them."""


@dataclass(frozen=True)
class Config:
    """Settings of the stage; ``train/conf/llara.yaml`` explains each."""

    dataset: str
    lightgcn: str
    text: str
    projector: str
    output: str
    encoder: str
    projector_hidden: int
    mix_hidden: int
    backbone: str
    backbone_model: str
    backbone_layers: int
    lora_rank: int
    behaviour_tokens: int
    gram_buckets: int
    negatives: int
    negative_power: float
    title_kept: float
    hidden: float
    hidden_least: float
    start_rms: float
    fold_in_ridge: float
    skeleton: PhaseSettings
    second: PhaseSettings
    second_dimension: int
    second_rms: float
    llara: PhaseSettings
    seed: int
    threads: int


def run(config: Config, team: Team = ALONE) -> None:
    """Write ``ranker.safetensors``, ``config.json`` and ``metrics.json`` to ``config.output``.

    Args:
        config: The settings.
        team: Who trains together; all of them call this, and the leader writes.
    """
    seeded(config.seed, config.threads)
    dataset = Dataset.open(Path(config.dataset))
    loaded = load_encoder(config.encoder)
    model = build(config, dataset, loaded)
    team.follow(own_state(model).values())
    training = replace(training_of(config, dataset, loaded, model), team=team)
    identity = training_identity(config, dataset) + team.mark
    checkpoints = Path(config.output).with_suffix(".checkpoints")
    with stage_run("llara", config, dataset.digest, team) as track:
        history: list[dict[str, float | str]] = []

        def on_epoch(phase: str, number: int, figures: Mapping[str, float]) -> None:
            if team.leads:
                print_epoch(phase, number, figures)
            track({f"{phase}_{name}": value for name, value in figures.items()}, step=number)
            history.append({"phase": phase, "epoch": number, **figures})

        calibrate(model, training)
        train_in_phases(model, phases(config, model), training, checkpoints / identity, on_epoch)
        if team.leads:
            log_plot(learning_curves(history), "learning_curves.png")
            _write(config, model, history)
    if team.size == 1:  # of several, one may still be lost; who started them clears away when all are done
        shutil.rmtree(checkpoints, ignore_errors=True)


def settings_of(folder: Path) -> Config:
    """Return the settings that stage ``llara`` kept in ``folder``.

    Raises:
        InputError: There are none, or they are of another version of Segue.
    """
    try:
        kept = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"No trained ranker can be read at {folder} ({error}); make one with python -m train llara."
        ) from error
    return typed(Config, kept, "python -m train llara")


def with_inputs(config: Config, folder: Path) -> Config:
    """Return kept settings with the folders that training read as they are found from here.

    They were written down relative to where training ran, which `segue run` does inside its work folder. So they are
    looked for from the ranker's own folder upwards, and then from here; those that are right as they stand stay.

    Args:
        config: What `settings_of` returned.
        folder: Where that stands.

    Raises:
        InputError: One of them is gone.
    """
    lightgcn, text, projector = (_found(kept, folder) for kept in (config.lightgcn, config.text, config.projector))
    return replace(config, lightgcn=lightgcn, text=text, projector=projector)


def _found(kept: str, folder: Path) -> str:
    places = (place / kept for place in (*folder.resolve().parents, Path.cwd()))
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise InputError(
            f"The ranker at {folder} was trained with the folder {kept}, which stands neither near it nor here; bring "
            "that back, or run python -m train llara again."
        )
    return kept if Path(kept).resolve() == found.resolve() else str(found)


def _write(config: Config, model: Ranker, history: list[dict[str, float | str]]) -> None:
    with whole_directory(Path(config.output)) as folder:
        save_file({name: t.contiguous() for name, t in own_state(model).items()}, folder / "ranker.safetensors")
        write_whole(folder / CONFIG, canonical_json(asdict(config)))
        write_whole(folder / "metrics.json", json.dumps(history, indent=1).encode())


def build(config: Config, dataset: Dataset, loaded: LoadedEncoder) -> Ranker:
    """Return the model before its training: LightGCN's vectors, the projector, and everything else silent."""
    catalogue = catalogue_of(dataset, Path(config.text))
    start = _start(Path(config.lightgcn), catalogue)
    dimension = start.tracks.shape[1]
    sizes = loaded.encoder.width, dimension, config.projector_hidden, catalogue.features
    projector = load_projector(Path(config.projector), *sizes)
    scale = config.start_rms / float(start.tracks[catalogue.count > 0].square().mean().sqrt())
    projector.scale_output(scale)
    start = Start(start.tracks * scale, start.artists * scale, start.albums * scale)
    fold_in = ridge_fold_in(start.seen(catalogue.count), config.fold_in_ridge)
    tracks = TrackVectors(catalogue, start, projector)
    playlist = PlaylistVector(dimension, config.gram_buckets, config.mix_hidden, fold_in)
    table = NeighbourTable.load(Path(config.lightgcn), len(catalogue.count), config.gram_buckets)
    neighbourhood = Neighbourhood(table, config.gram_buckets) if table.ids.shape[1] else None
    llara = None
    if config.backbone_layers:
        llara = Llara(backbone_of(config, loaded), dimension, config.behaviour_tokens)
    second = second_skeleton(config, catalogue, loaded) if config.second.epochs else None
    return Ranker(tracks, playlist, llara, neighbourhood, second, Kin(catalogue))


def second_skeleton(config: Config, catalogue: CatalogueTensors, loaded: LoadedEncoder) -> Ranker:
    """Return a skeleton that knows nothing of the graph yet: its vectors begin at random."""
    sizes = len(catalogue.count), catalogue.artists, catalogue.albums
    start = Start(*(config.second_rms * torch.randn(size, config.second_dimension) for size in sizes))
    width, features = loaded.encoder.width, catalogue.features
    projector = Projector(width, config.second_dimension, config.projector_hidden, features)
    projector.scale_output(0.0)
    fold_in = ridge_fold_in(start.seen(catalogue.count), config.fold_in_ridge)
    playlist = PlaylistVector(config.second_dimension, config.gram_buckets, config.mix_hidden, fold_in)
    return Ranker(TrackVectors(catalogue, start, projector), playlist, None)


def backbone_of(config: Config, loaded: LoadedEncoder) -> Backbone:
    """Return LLaRA's language model.

    Raises:
        InputError: There is no such kind of backbone, or its model cannot be loaded.
    """
    if config.backbone == "encoder":
        return EncoderBackbone(loaded, config.backbone_layers)
    if config.backbone == "causal":
        return load_causal(config.backbone_model, config.backbone_layers, config.lora_rank)
    raise InputError(f"LLaRA has no backbone {config.backbone!r}; choose backbone=encoder or backbone=causal.")


def prompt_tokenizer_of(model: Ranker) -> PromptTokenizer | None:
    """Return the tokenizer that prompts are spelled with, where it is not the text encoder's."""
    return None if model.llara is None else model.llara.backbone.prompt_tokenizer


def _start(lightgcn: Path, catalogue: CatalogueTensors) -> Start:
    """Return the vectors of stage ``lightgcn``; artists and albums get a last row of zeros, for the unknown one."""
    tracks = load_rows(lightgcn / "tracks.npy", len(catalogue.count))
    artists = load_rows(lightgcn / "artists.npy", catalogue.artists - 1, "artists")
    albums = load_rows(lightgcn / "albums.npy", catalogue.albums - 1, "albums")
    groups = (torch.from_numpy(np.pad(each, ((0, 1), (0, 0)))) for each in (artists, albums))
    return Start(torch.from_numpy(tracks), *groups)


def ridge_fold_in(seen: Tensor, ridge: float) -> Tensor:
    """Return the (D, D) matrix that whitens vectors (N, D), scaled so that logits of single ones have a spread of 2.

    It is what a factor model's fold-in does to the mean of a few seeds when the catalogue's Gramian dominates.
    """
    gramian = seen.T @ seen / len(seen)
    matrix = torch.linalg.inv(gramian + ridge * gramian.trace() / len(gramian) * torch.eye(len(gramian)))
    some = seen[:: max(1, len(seen) // 2000)]
    scaled: Tensor = matrix * (2.0 / float((some @ matrix @ some.T).std()))
    return scaled


def encoding_of(config: Config, loaded: LoadedEncoder, model: Ranker) -> Encoding:
    """Return the sizes of the graph's inputs."""
    encoding = Encoding(loaded.cls_id, loaded.sep_id, gram_buckets=config.gram_buckets)
    own = prompt_tokenizer_of(model)
    return encoding if own is None else replace(encoding, prompt_cls_id=own.begin_id, prompt_sep_id=own.separator_id)


def training_of(
    config: Config, dataset: Dataset, loaded: LoadedEncoder, model: Ranker, judged: int | None = None
) -> Training:
    """Return what both phases share; ``judged`` bounds the validation playlists."""
    playlists, own = playlists_of(dataset, "train"), prompt_tokenizer_of(model)
    counts = model.tracks.catalogue.count.numpy().astype(np.float64)
    return Training(
        playlists=playlists,
        judged=weighing(playlists_of(dataset, "validation", JUDGED), most=judged),
        sampler=CandidateSampler(counts, len(playlists), config.negatives, config.negative_power),
        encoding=encoding_of(config, loaded, model),
        tokenise=tokeniser(loaded.tokenizer),
        tokenise_prompt=None if own is None else tokeniser(own.tokenizer),
        title_kept=config.title_kept,
        hidden=config.hidden,
        hidden_least=config.hidden_least,
        seed=config.seed,
    )


def phases(config: Config, model: Ranker) -> list[Phase]:
    """Return what is trained in which order: the skeletons, each by itself, then LLaRA over skeletons that stay."""
    names = ("tracks.", "playlist.", "popularity")
    skeleton = parameters_of(model, names)
    plan = [Phase("skeleton", config.skeleton, skeleton, language=False, curriculum=False)]
    if model.second is not None:
        own = parameters_of(model.second, names)
        plan.append(Phase("second", config.second, own, language=False, curriculum=False, second=True))
    if model.llara is not None:
        own = parameters_of(model, ("llara.",))
        plan.append(Phase("llara", config.llara, own, language=True, curriculum=True))
    return plan


def train_in_phases(model: Ranker, plan: Sequence[Phase], training: Training, stem: Path, on_epoch: OnEpoch) -> None:
    """Train one phase after the other in place, and choose on validation what each leaves to choose.

    Args:
        model: The ranker.
        plan: The phases.
        training: What they share.
        stem: Where checkpoints stand: ``<stem>-<phase>.pt``.
        on_epoch: Told of each epoch.
    """
    skeletons = [phase for phase in plan if not phase.language]
    for phase in plan:
        moved = {id(parameter) for parameter in phase.parameters.values()}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) in moved)
        part = model.second if phase.second and model.second is not None else model
        train_phase(part, phase, training, stem.with_name(f"{stem.name}-{phase.name}.pt"), on_epoch)
        if phase.language:
            open_gates(model, training)
        else:
            weigh_titles(part, training)
        if skeletons and phase is skeletons[-1]:
            model.level_second()
            weigh_second(model, training)
            weigh_recency(model, training)
            weigh_fold_in(model, training)
            weigh_neighbours(model, training)
            weigh_title_neighbours(model, training)
            weigh_kin(model, training)
    model.asks_second = True


def own_state(model: Ranker) -> dict[str, Tensor]:
    """Return the weights to keep; what a language model brought and nothing trained stays where it came from."""
    return {name: tensor for name, tensor in model.state_dict().items() if not is_borrowed(name)}


def training_identity(config: Config, dataset: Dataset) -> str:
    """Return a short digest of all that training begins from; a checkpoint of anything else is never found."""
    folders = (Path(folder) for folder in (config.lightgcn, config.text, config.projector))
    files = sorted(file for folder in folders for file in folder.iterdir() if file.suffix in (".npy", ".safetensors"))
    inputs = [sha256_file(file) for file in files]
    described = {**asdict(config), "digest": dataset.digest, "inputs": inputs, "output": "", "threads": 0}
    return sha256_bytes(canonical_json(described))[:16]


def print_epoch(phase: str, number: int, figures: Mapping[str, float]) -> None:
    """Say on standard error how an epoch went."""
    told = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
    tqdm.write(f"{phase} epoch {number + 1}: {told}", file=sys.stderr)
