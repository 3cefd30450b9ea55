"""Measure how fast words become vectors, by PyTorch and by ONNX Runtime: `python -m benchmarks.text …`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic

from data_processing.dataset import Dataset
from train.encoder import LoadedEncoder, load_encoder
from train.inputs import words_of
from train.text import batches_of, encode_batch

Floats = NDArray[np.float32]
Way = Callable[[Sequence[list[int]]], Floats]
"""From word pieces of texts, with a begin and an end, to their vectors (B, H)."""


def ways(loaded: LoadedEncoder, threads: int, folder: Path) -> dict[str, Way]:
    """Return the ways to encode; ONNX models are written to ``folder``.

    ``onnx_int8`` multiplies integers: weights with a scale for each column, activations with one for each batch.
    """
    whole, integers = folder / "encoder.onnx", folder / "integers.onnx"
    sizes = {"tokens": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}
    example = torch.tensor([[101, 2000, 2001, 102], [101, 2002, 102, 0]])
    torch.onnx.export(
        loaded.encoder, (example,), whole, dynamo=True, dynamic_shapes=sizes, input_names=["tokens"], verbose=False
    )
    quantize_dynamic(whole, integers, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
    return {
        "torch_float32": lambda rows: np.float32(encode_batch(rows, loaded, "float32")),
        "torch_bfloat16": lambda rows: np.float32(encode_batch(rows, loaded, "bfloat16")),
        "onnx_float32": _by_onnx(whole, threads),
        "onnx_int8": _by_onnx(integers, threads),
    }


def _by_onnx(model: Path, threads: int) -> Way:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def encode(rows: Sequence[list[int]]) -> Floats:
        tokens = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for target, row in zip(tokens, rows, strict=True):
            target[: len(row)] = row
        vectors: Floats = session.run(None, {"tokens": tokens})[0]
        return vectors

    return encode


def measured(texts: Sequence[str], loaded: LoadedEncoder, by: dict[str, Way], batch_pieces: int) -> dict[str, Any]:
    """Return what each way takes for the texts, batch by batch in turns, and how near its vectors are to the first's.

    Args:
        texts: What is encoded.
        loaded: The encoder.
        by: The ways; the first is what the others are held against.
        batch_pieces: As in stage ``text``.
    """
    seconds, vectors = dict.fromkeys(by, 0.0), {name: list[Floats]() for name in by}
    for number, batch in enumerate(batches_of(texts, loaded, batch_pieces)):
        rows = [pieces for _, pieces in batch]
        for name, encode in by.items():
            if not number:
                encode(rows)  # warms up
            began = perf_counter()
            vectors[name].append(encode(rows))
            seconds[name] += perf_counter() - began
    whole = {name: np.concatenate(each) for name, each in vectors.items()}
    first = next(iter(whole.values()))
    found = {}
    for name, each in whole.items():
        lengths = np.linalg.norm(each, axis=1) * np.linalg.norm(first, axis=1)
        cosine = (each * first).sum(1) / lengths
        found[name] = {
            "texts_a_second": round(len(texts) / seconds[name], 1),
            "cosine_mean": round(float(cosine.mean()), 4),
            "cosine_least": round(float(cosine.min()), 4),
        }
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Encode some tracks' words of a dataset in each way and print what it took as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text", description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="whose tracks' words to encode")
    parser.add_argument("--texts", type=int, default=2000, metavar="N", help="how many, drawn (default: 2000)")
    parser.add_argument("--encoder", default="", help="as in train/conf/text.yaml")
    parser.add_argument("--batch-pieces", type=int, default=4096, metavar="N", help="likewise (default: 4096)")
    parser.add_argument("--threads", type=int, default=1, help="of each way (default: 1)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    words = sorted(set(words_of(Dataset.open(options.dataset))) - {""})
    drawn = np.random.default_rng(0).choice(len(words), min(options.texts, len(words)), replace=False)
    loaded = load_encoder(options.encoder)
    with TemporaryDirectory() as folder:
        by = ways(loaded, options.threads, Path(folder))
        found = measured([words[i] for i in drawn], loaded, by, options.batch_pieces)
    json.dump({"texts": len(drawn), "of": len(words), "threads": options.threads, "ways": found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
