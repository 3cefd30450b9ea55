"""Variants of a trained bundle: as good as it is, or with a fault that shows only when listeners ask."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from segue.bundle import MODEL, QUERY_MODEL, Bundle, write_bundle
from tests.cluster.listeners import LONG

_FAULTS = ("alike", "errs", "slow")
_SLOW_SECONDS = 0.3
"""A little over the budget of promotion.yaml. The mirror brings staging a tenth of the long playlists: much slower, and
on a busy machine it is caught up in them, so that the fault shows there, before any listener could meet it."""


def variant(bundle: Bundle, fault: str, folder: Path) -> Bundle:
    """Write a bundle like another one at `folder` and return it.

    Args:
        bundle: What it is made of.
        fault: `errs`: the graph fails at long playlists; `slow`: it computes for .3 seconds there, on a machine as
            fast as this one; `alike`: neither, so that only its digest is another one.
        folder: Where it shall be.
    """
    assert fault in _FAULTS
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    facts = dict(bundle.manifest.model)
    if fault != "alike":
        model = onnx.load(bundle.file(MODEL))
        _add_fault(model.graph, _failing() if fault == "errs" else _computing())
        files[MODEL] = folder.with_suffix(".onnx")
        onnx.save(model, files[MODEL])
        # The fault stands in the whole graph, so that is what has to rank.
        files.pop(QUERY_MODEL, None)
        facts.pop("scan", None)
    lineage = {**bundle.manifest.lineage, "variant": folder.name}
    return write_bundle(folder, files, facts, lineage, bundle.manifest.synthetic)


def _add_fault(graph: onnx.GraphProto, fault: onnx.GraphProto) -> None:
    """Add what a branch gives, a zero, to the ids, and take that branch only where a playlist is long."""
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == "ids":
                node.output[place] = "variant_ids"
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(0, np.int64), "variant_zero"),
            numpy_helper.from_array(np.array([1], np.int64), "variant_axis"),
            numpy_helper.from_array(np.array(LONG - 1, np.int64), "variant_limit"),
        ]
    )
    nothing = helper.make_graph(
        [helper.make_node("Identity", ["variant_zero"], ["variant_nothing"])], "short", [], [_whole("variant_nothing")]
    )
    graph.node.extend(
        [
            helper.make_node("GreaterOrEqual", ["seeds", "variant_zero"], ["variant_known"]),
            helper.make_node("Cast", ["variant_known"], ["variant_ones"], to=TensorProto.INT64),
            helper.make_node("ReduceSum", ["variant_ones", "variant_axis"], ["variant_counts"], keepdims=0),
            helper.make_node("ReduceMax", ["variant_counts"], ["variant_most"], keepdims=0),
            helper.make_node("Greater", ["variant_most", "variant_limit"], ["variant_long"]),
            helper.make_node("If", ["variant_long"], ["variant_fault"], then_branch=fault, else_branch=nothing),
            helper.make_node("Add", ["variant_ids", "variant_fault"], ["ids"]),
        ]
    )


def _failing() -> onnx.GraphProto:
    """Return a branch that reads beyond the end of a list of one."""
    return helper.make_graph(
        [
            helper.make_node("Constant", [], ["variant_list"], value=numpy_helper.from_array(np.zeros(1, np.int64))),
            helper.make_node("Gather", ["variant_list", "variant_most"], ["variant_beyond"]),
        ],
        "fails",
        [],
        [_whole("variant_beyond")],
    )


def _computing() -> onnx.GraphProto:
    """Return a branch that multiplies matrices for `_SLOW_SECONDS`, and gives zero."""
    trial = 20
    model = helper.make_model(_multiplying(trial), opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    took = []
    for _ in range(5):
        began = time.perf_counter()
        session.run(None, {})
        took.append(time.perf_counter() - began)
    return _multiplying(math.ceil(_SLOW_SECONDS * trial / min(took)))


def _multiplying(times: int) -> onnx.GraphProto:
    """Return a branch that multiplies two matrices so many times, and gives zero."""
    size = 512
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["variant_matrix", "variant_matrix"], ["variant_product"]),
            helper.make_node("Identity", ["variant_goes_on"], ["variant_still"]),
        ],
        "multiplies",
        [
            helper.make_tensor_value_info("variant_turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("variant_goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("variant_matrix", TensorProto.FLOAT, [size, size]),
        ],
        [
            helper.make_tensor_value_info("variant_still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("variant_product", TensorProto.FLOAT, [size, size]),
        ],
    )
    constants: dict[str, np.ndarray[Any, Any]] = {
        "variant_start": np.zeros((size, size), np.float32),
        "variant_times": np.array(times, np.int64),
        "variant_yes": np.array(True),
    }
    return helper.make_graph(
        [
            *(
                helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
                for name, value in constants.items()
            ),
            helper.make_node("Loop", ["variant_times", "variant_yes", "variant_start"], ["variant_end"], body=body),
            helper.make_node("ReduceMax", ["variant_end"], ["variant_largest"], keepdims=0),
            helper.make_node("Cast", ["variant_largest"], ["variant_late"], to=TensorProto.INT64),
        ],
        "computes",
        [],
        [_whole("variant_late")],
    )


def _whole(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, None)
