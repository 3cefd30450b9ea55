"""The serving graph in two files: the whole of it, and beside it the part that ends before the catalogue.

Going through rows of the catalogue's length costs an operator of ONNX each; a service that scans the catalogue by
itself (`inference.scan`) asks only what comes before. That part's weights are those of the whole, by reference, and the
catalogue's vectors are read out of the whole's file, so that nothing stands twice.
"""

from collections.abc import Set
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from segue.bundle import MODEL, QUERY_MODEL
from train.constants import Model
from train.graph import FOLD_IN, LLARA, LOUDNESS, READER, SPEAKERS, VECTORS, WEIGHTS, served
from train.neighbourhood import LEADERS
from train.quantise import quantise


def write_serving_form(model: Model, folder: Path) -> dict[str, Any]:
    """Write what a bundle serves of a float model, and return facts for the manifest.

    The facts are ``scan``: where in `MODEL` the arrays stand that `inference.scan` reads (offset in bytes, shape). A
    catalogue too small for integers has no such facts and `MODEL` alone: its whole graph takes no time.

    Args:
        model: As `train.graph.export_float` returns it.
        folder: Where `MODEL` and `QUERY_MODEL` go.
    """
    quantised = quantise(model)
    places = Model(served(quantised.proto), quantised.constants).write(folder / MODEL)
    onnx.checker.check_model(str(folder / MODEL), full_check=False)
    tables = _tables(quantised.proto, places.keys())
    if tables is None:
        return {}
    query = served(_before_the_catalogue(quantised.proto))
    for tensor in query.graph.initializer:
        if tensor.name in places:
            _refer(tensor, places[tensor.name]["offset"], quantised.constants[tensor.name].nbytes)
    onnx.save(query, str(folder / QUERY_MODEL))
    candidates, neighbours = ({part: places[name] for part, name in each.items()} for each in tables)
    tracks, _, length = candidates["vectors"]["shape"]
    layout: dict[str, Any] = {**candidates, "vectors": {**candidates["vectors"], "shape": [tracks, length]}}
    if neighbours:
        layout["neighbours"] = {**neighbours, "leaders": LEADERS}
    kin = {"artists": "kin.artist", "albums": "kin.album"}
    return {"scan": layout | {name: places[of] for name, of in kin.items() if of in places}}


def _tables(model: onnx.ModelProto, found: Set[str]) -> tuple[dict[str, str], dict[str, str]] | None:
    """Return the names of the candidates' and of the neighbours' arrays, or None where no scan can read them.

    Args:
        model: The graph in integers.
        found: Names of the constants that stand in its file by themselves.
    """
    arrays = {tensor.name: tensor for tensor in model.graph.initializer}
    scans = [node for node in model.graph.node if node.op_type == "MatMulNBits" and node.input[0] == VECTORS]
    if len(scans) != 1 or arrays[scans[0].input[1]].dims[1] != 1:  # one scale a track
        return None
    candidates = {"vectors": scans[0].input[1], "scale": scans[0].input[2], "prior": "prior"}
    spoken = {"row": "row", "ids": "ids", "values": "values.int8", "scale": "values.scale", "title_row": "title_row"}
    neighbours = {part: f"neighbourhood.{name}" for part, name in spoken.items()}
    if neighbours["title_row"] not in arrays:
        del neighbours["title_row"]
    if neighbours["ids"] not in arrays:
        neighbours = {}
    whole = found >= {*candidates.values(), *neighbours.values()}
    return (candidates, neighbours) if whole else None


def _refer(tensor: TensorProto, offset: int, length: int) -> None:
    """Let a tensor's bytes be as many of `MODEL` from ``offset`` on."""
    place = {"location": MODEL, "offset": str(offset), "length": str(length)}
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in place.items():
        tensor.external_data.add(key=key, value=value)


def _before_the_catalogue(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the model that ends with what it knows of the playlist alone."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    graph = cut.graph
    made = {name for node in graph.node for name in node.output}
    outputs = dict.fromkeys((VECTORS, WEIGHTS, LOUDNESS), TensorProto.FLOAT) | {SPEAKERS: TensorProto.INT64}
    wanted, nodes = {*outputs, *made.intersection((*READER, *FOLD_IN, *LLARA))}, []  # `served` looks for the latter
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            nodes.append(node)
            wanted.update(node.input)
    kept = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.node[:], graph.output[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(kept)
    graph.output.extend(helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items())
    inputs = [value for value in graph.input if value.name != "k"]
    del graph.input[:]
    graph.input.extend(inputs)
    return cut
