"""A bundle of given vectors: the service ranks for the mean of a playlist's tracks, by its scan.

What training exports has a title, a text encoder and neighbours beside that; `benchmarks.serving` measures those.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models

from benchmarks.peers.indexes import quantised
from benchmarks.peers.vectors import Floats
from segue.bundle import CATALOGUE, MODEL, QUERY_MODEL, TOKENIZER, Bundle, write_bundle
from segue.catalogue import write_catalogue
from segue.query import Encoding
from segue.track import Track

_GRAPH = """
<ir_version: 10, opset_import: ["" : 18]>
mean (int64[B, S] seeds, int64[B, G] title_grams, int64[B, T] prompt_tokens, int64[B, U, L] unknown_tokens,
      int64[B, P] stand_ins, int64[B, A] artists, int64[B] ordered)
    => (float[B, D] query_vectors, float[B, W] query_weights, int64[B, S] query_speakers, float[B, V, S] query_loudness)
{
    zero = Constant <value: tensor = int64 {0}> ()
    first_axis = Constant <value: tensor = int64[1] {1}> ()
    last_axis = Constant <value: tensor = int64[1] {-1}> ()
    zero_point = Constant <value: tensor = float {128}> ()
    one = Constant <value: tensor = float {1}> ()
    none = Constant <value: tensor = float[1, 5] {0, 0, 0, 0, 0}> ()
    known = GreaterOrEqual(seeds, zero)
    counted = Cast <to = 1> (known)
    safe = Max(seeds, zero)
    rows = Gather(vectors, safe)
    floats = Cast <to = 1> (rows)
    centred = Sub(floats, zero_point)
    scales = Gather(scale, safe)
    weights = Mul(scales, counted)
    column = Unsqueeze(weights, last_axis)
    weighted = Mul(centred, column)
    sums = ReduceSum <keepdims = 0> (weighted, first_axis)
    counts = ReduceSum <keepdims = 1> (counted, first_axis)
    safe_counts = Max(counts, one)
    query_vectors = Div(sums, safe_counts)
    no_weights = Mul(counts, none)
    query_weights = Identity(no_weights)
    query_speakers = Identity(seeds)
    loud = Unsqueeze(counted, first_axis)
    query_loudness = Concat <axis = 1> (loud, loud, loud)
}
"""
_OUTPUTS = {
    "query_vectors": ("query.vectors", TensorProto.FLOAT),
    "query_weights": ("query.weights", TensorProto.FLOAT),
    "query_speakers": ("query.speakers", TensorProto.INT64),
    "query_loudness": ("query.loudness", TensorProto.FLOAT),
}


def uri(track: int) -> str:
    """Return a made-up track's URI."""
    return f"made:track:{track}"


def write_mean_bundle(path: Path, vectors: Floats) -> Bundle:
    """Write a bundle of ``vectors`` (N, D) to ``path`` and return it.

    `MODEL` holds the arrays alone, so it is ranked by the scan or not at all.
    """
    integers, scale = quantised(vectors)
    arrays = {"vectors": integers, "scale": scale, "prior": np.zeros((2, len(vectors)), np.float32)}
    tracks = (Track(uri(i), f"Song {i}", f"Artist {i // 7}", f"Album {i // 11}") for i in range(len(vectors)))
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        folder = Path(scratch)
        places = _write_arrays(folder / MODEL, arrays)
        onnx.save(_query(arrays, places), str(folder / QUERY_MODEL))
        write_catalogue(folder / CATALOGUE, tracks)
        words = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3}
        Tokenizer(models.WordLevel(words, unk_token="[UNK]")).save(str(folder / TOKENIZER))  # noqa: S106
        encoding = Encoding(cls_id=1, sep_id=2, gram_buckets=4096).to_json()
        facts = {"encoding": encoding, "tracks": len(vectors), "inputs": [], "outputs": [], "scan": places}
        return write_bundle(
            path,
            {name: folder / name for name in (MODEL, QUERY_MODEL, CATALOGUE, TOKENIZER)},
            model=facts,
            lineage={"dataset": f"sha256:{'0' * 64}", "commit": "", "run": "made-up vectors", "seed": 0},
            synthetic=True,
        )


def _write_arrays(file: Path, arrays: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Write arrays one after another, and return where each stands and its shape."""
    places: dict[str, dict[str, Any]] = {}
    with file.open("wb") as stream:
        for name, array in arrays.items():
            places[name] = {"offset": stream.tell(), "shape": list(array.shape)}
            array.tofile(stream)
    return places


def _query(arrays: dict[str, Any], places: dict[str, dict[str, Any]]) -> onnx.ModelProto:
    """Return the mean as a graph, whose weights are `MODEL`'s by reference."""
    model = onnx.parser.parse_model(_GRAPH)
    for name, kind in (("vectors", TensorProto.UINT8), ("scale", TensorProto.FLOAT)):
        tensor = TensorProto(name=name, data_type=kind, dims=arrays[name].shape, data_location=TensorProto.EXTERNAL)
        place = {"location": MODEL, "offset": places[name]["offset"], "length": arrays[name].nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        model.graph.initializer.append(tensor)
    for node in model.graph.node:  # the parser takes no dots in names
        node.output[:] = [_OUTPUTS.get(name, (name,))[0] for name in node.output]
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(*output, None) for output in _OUTPUTS.values())
    return model
