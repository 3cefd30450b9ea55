"""Stage ``export``: one QInt8 ONNX bundle, held against torch and against its own float graph before it is sealed."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from data_processing.dataset import Dataset
from segue.bundle import CATALOGUE, MODEL, PROMPT_TOKENIZER, QUERY_MODEL, SPELLING, TOKENIZER, Bundle, write_bundle
from segue.catalogue import write_catalogue
from segue.errors import SegueError
from segue.files import canonical_json, sha256_bytes
from segue.metrics import ndcg
from segue.query import Encoding, encode, framed
from segue.spelling import Spelling, words_of_titles, words_of_tracks
from segue.track import Track
from train.backbone import is_borrowed
from train.compact import Compact
from train.encoder import LoadedEncoder, load_encoder, seeded
from train.examples import Example, by_category
from train.graph import ServingGraph, export_float
from train.inputs import playlists_of
from train.judging import judge
from train.llara import Config as RankerConfig
from train.llara import build, encoding_of, prompt_tokenizer_of, settings_of, training_of, with_inputs
from train.llara_model import Ranker
from train.low_rank import merge_low_rank
from train.split import write_serving_form
from train.tracking import code_commit, log_folder, stage_run
from train.training import Training
from train.word_reader import Distilled, distil

_PER_CALL = 32
_TAUGHT_AT_ONCE = 8192
_FEWEST = 30


@dataclass(frozen=True)
class Config:
    """Settings of the stage; ``train/conf/export.yaml`` explains each."""

    dataset: str
    llara: str
    output: str
    word_steps: int
    playlists: int
    onnx_tolerance: float
    int8_tolerance: float
    compact: Compact
    threads: int


def run(config: Config) -> None:
    """Write the bundle to ``config.output``.

    Raises:
        SegueError: The ONNX graph or its QInt8 form ranks too differently from the model that was trained.
    """
    seeded(0, config.threads)
    dataset = Dataset.open(Path(config.dataset))
    settings = settings_of(Path(config.llara))
    loaded = load_encoder(settings.encoder)
    model = load_ranker(Path(config.llara), settings, dataset, loaded)
    training = training_of(settings, dataset, loaded, model, judged=0)
    with stage_run("export", config, dataset.digest) as track, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        distilled = distil_words(model, training, settings, loaded, config.word_steps)
        track({"word_reader_explained": distilled.explained})
        float_model = export_float(ServingGraph(model, distilled.reader, config.compact), folder / "float.onnx")
        scan = write_serving_form(float_model, folder)
        asked = held_categories(by_category(playlists_of(dataset, "validation"), config.playlists))
        figures = compare(model, training, asked, folder / "float.onnx", folder / MODEL)
        # MLflow allows no plus sign in a name.
        track({f"{form}_ndcg_{name.replace('+', '_')}": value
               for form, reached in figures.items() for name, value in reached.items()})  # fmt: skip
        hold(figures["torch"], figures["onnx"], config.onnx_tolerance, "ONNX graph")
        hold(figures["onnx"], figures["int8"], config.int8_tolerance, "QInt8 graph")
        bundle = _seal(Path(config.output), folder, scan, dataset, settings, loaded, model)
        log_folder(bundle.path, "bundle")


def load_ranker(folder: Path, settings: RankerConfig, dataset: Dataset, loaded: LoadedEncoder) -> Ranker:
    """Return the ranker that stage ``llara`` wrote to ``folder``.

    Raises:
        InputError: What it was trained with is gone.
        SegueError: Its weights do not fit its settings.
    """
    model = build(with_inputs(settings, folder), dataset, loaded)
    missing, unexpected = model.load_state_dict(load_file(folder / "ranker.safetensors"), strict=False)
    foreign = [name for name in missing if not is_borrowed(name)] + list(unexpected)
    if foreign:
        raise SegueError(f"The weights in {folder} do not fit its config.json ({foreign[0]}); run stage llara again.")
    merge_low_rank(model)
    return model.eval()


def distil_words(
    model: Ranker, training: Training, settings: RankerConfig, loaded: LoadedEncoder, steps: int
) -> Distilled:
    """Return a reader of words that places them where ``model`` places tracks that it knows by their text alone."""
    everything = torch.arange(training.tracks)
    with torch.no_grad():
        parts = [
            model.seeds(ids, torch.ones_like(ids, dtype=torch.bool)) for ids in torch.split(everything, _TAUGHT_AT_ONCE)
        ]
    words = [framed(pieces, training.encoding) for pieces in loaded.tokenise(training.playlists.words)]
    return distil(words, torch.cat(parts), loaded.pieces, steps, settings.seed)


def held_categories(asked: Mapping[str, list[Example]]) -> dict[str, list[Example]]:
    """Return the categories that an export is held by: those with 30 playlists, or as many as any has.

    In fewer, two tracks that change places by a rounding can move the mean by more than is allowed.
    """
    least = max(1, min(_FEWEST, max(map(len, asked.values()))))
    return {name: examples for name, examples in asked.items() if len(examples) >= least}


def compare(
    model: Ranker, training: Training, asked: Mapping[str, Sequence[Example]], float_path: Path, int8_path: Path
) -> dict[str, dict[str, float]]:
    """Return NDCG@500 by category, for torch, the float graph and the QInt8 graph."""
    by_torch = judge(model, replace(training, judged=dict(enumerate(asked.values()))))
    return {
        "torch": {name: by_torch[number] for number, name in enumerate(asked)},
        "onnx": judge_graph(float_path, training, asked),
        "int8": judge_graph(int8_path, training, asked),
    }


def judge_graph(path: Path, training: Training, asked: Mapping[str, Sequence[Example]]) -> dict[str, float]:
    """Return NDCG@500 of an ONNX graph by category, none of which is empty."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return {
        name: float(ndcg(_rank(session, training, examples), [set(e.targets.tolist()) for e in examples], 500).mean())
        for name, examples in asked.items()
    }


def _rank(session: Any, training: Training, examples: Sequence[Example]) -> NDArray[np.int64]:
    k = min(500, training.tracks)
    parts = []
    for start in range(0, len(examples), _PER_CALL):
        queries = [example.query for example in examples[start : start + _PER_CALL]]
        inputs: dict[str, NDArray[np.int64]] = encode(
            queries, training.encoding, training.tokenise, training.tokenise_prompt
        )
        parts.append(session.run(["ids"], {**inputs, "k": np.array([k])})[0])
    return np.concatenate(parts)


def hold(reference: Mapping[str, float], measured: Mapping[str, float], tolerance: float, name: str) -> None:
    """Refuse an export that ranks worse than its source by more than the share ``tolerance``, in any category.

    Args:
        reference: NDCG of the source, by category.
        measured: NDCG of the export, as ``reference``.
        tolerance: Most that may be lost, as a share.
        name: Of the export, for the error.

    Raises:
        SegueError: It does.
    """
    for category, before in reference.items():
        after = measured[category]
        if not after >= before * (1 - tolerance):
            raise SegueError(
                f"In the category {category} the {name} reaches NDCG {after:.4f}, and its source {before:.4f}: over "
                f"{tolerance:.1%} less; nothing was exported. Retrain, or report this with the settings of the run."
            )


def _seal(
    output: Path,
    folder: Path,
    scan: Mapping[str, Any],
    dataset: Dataset,
    settings: RankerConfig,
    loaded: LoadedEncoder,
    model: Ranker,
) -> Bundle:
    names = dataset.tracks(["uri", "title", "artist", "album"]).to_pylist()
    write_catalogue(folder / CATALOGUE, (Track(**name) for name in names))
    (folder / SPELLING).write_bytes(spelling_of(dataset).to_bytes())
    loaded.tokenizer.save(str(folder / TOKENIZER))
    run_identity = sha256_bytes(canonical_json({**asdict(settings), "dataset": dataset.digest}))[:16]
    lineage = {"dataset": dataset.digest, "commit": code_commit(), "run": run_identity, "seed": settings.seed}
    files = {name: folder / name for name in (MODEL, CATALOGUE, TOKENIZER, SPELLING)}
    if scan:
        files[QUERY_MODEL] = folder / QUERY_MODEL
    if own := prompt_tokenizer_of(model):
        own.tokenizer.save(str(folder / PROMPT_TOKENIZER))
        files[PROMPT_TOKENIZER] = folder / PROMPT_TOKENIZER
    encoding = heard_encoding(encoding_of(settings, loaded, model), model)
    facts = {**_signature(folder / MODEL), "encoding": encoding.to_json(), "tracks": len(names), **scan}
    return write_bundle(output, files, facts, lineage, dataset.synthetic)


def spelling_of(dataset: Dataset) -> Spelling:
    """Return the words of the training playlists' titles, which are what the model learnt, and those of all tracks."""
    titles = dataset.playlists(["title"])["title"].to_pylist()
    names = dataset.tracks(["title", "artist"])
    return Spelling(
        words_of_titles(titles[row] for row in dataset.side("train")),
        words_of_tracks(f"{name['title']} {name['artist']}" for name in names.to_pylist()),
    )


def heard_encoding(encoding: Encoding, model: Ranker) -> Encoding:
    """Return the encoding without the parts of a prompt that nobody hears: where LLaRA's gate is shut."""
    heard = model.llara.gate != 0 if model.llara is not None else torch.zeros(1, dtype=torch.bool)
    if heard[1:].any():
        return encoding
    return replace(encoding, prompt_tracks=0, title_pieces=encoding.title_pieces if heard[0] else 0)


def _signature(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the names, shapes and types of the graph's inputs and outputs."""
    graph = onnx.load(str(path), load_external_data=False).graph

    def describe(value: onnx.ValueInfoProto) -> dict[str, Any]:
        tensor = value.type.tensor_type
        shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
        return {
            "name": value.name,
            "shape": shape,
            "dtype": onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name,
        }

    return {"inputs": [describe(value) for value in graph.input], "outputs": [describe(v) for v in graph.output]}
