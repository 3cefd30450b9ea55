"""QInt8: every large weight of the graph as 8-bit integers with a scale a row, and the catalogue's scan in integers.

The scan is where time and memory go, so its product itself runs on integers: a playlist's vector is rounded row by row
(a scale shared by a batch would make an answer depend on its neighbours), and the tracks use 7 of their 8 bits, because
CPUs without VNNI add pairs of 8-bit products in 16 bits: 255 * 63 * 2 still fits, 255 * 127 * 2 saturates.

The language models' products run on floats. Rounding activations in every layer would turn the last bit of a float,
which differs between CPUs and between batches, into differences that a listener sees; ONNX Runtime unpacks the weights
once, when it loads.
"""

from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SCAN_LIMIT = 63
WEIGHT_LIMIT = 127
ZERO_POINT = 128
SMALLEST = 65_536
"""Weights of fewer numbers stay float: they weigh nothing, and the fold-in is sensitive."""
FEWEST_ROWS = 16
"""So do those of fewer rows, such as all tracks' popularity and bias: one scale for a whole catalogue is too coarse."""


def quantise(model: onnx.ModelProto, scanned: Collection[str]) -> onnx.ModelProto:
    """Return a copy of the model with its large constants in integers.

    Args:
        model: A float model.
        scanned: Names of the constants whose MatMul is to run in integers.
    """
    quantised = onnx.ModelProto()
    quantised.CopyFrom(model)
    _Rewriter(quantised.graph, scanned).run()
    onnx.checker.check_model(quantised, full_check=False)
    return quantised


def quantise_rows(table: NDArray[np.float32], limit: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return rows (R, C) of integers up to ``limit`` and their scales (R, 1); their product is the table, rounded."""
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / limit
    return np.rint(table / scales).astype(np.int8), scales


class _Rewriter:
    """Rewrites one graph in place."""

    def __init__(self, graph: onnx.GraphProto, scanned: Collection[str]) -> None:
        self._graph, self._scanned = graph, scanned
        self._floats = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) == 2}
        self._packed: set[str] = set()
        self._unpacked: set[str] = set()

    def run(self) -> None:
        self._add("scan.zero_point", np.array(ZERO_POINT, np.uint8))
        self._add("scan.offset", np.array(ZERO_POINT, np.float32))
        self._add("scan.limit", np.array(WEIGHT_LIMIT, np.float32))
        self._add("scan.least", np.array(1e-12, np.float32))
        self._add("scan.last_axis", np.array([-1], np.int64))
        nodes = [new for node in self._graph.node for new in self._rewrite(node)]
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        self._drop_unused()

    def _rewrite(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        if node.op_type == "MatMul" and node.input[1] in self._scanned:
            return self._scan(node)
        if node.op_type in ("MatMul", "Gemm") and self._is_large(node.input[1]):
            return [*self._unpack(node.input[1]), _with_input(node, 1, f"{node.input[1]}.float")]
        if node.op_type == "Gather" and self._is_large(node.input[0]) and _axis(node) == 0:
            return self._gather(node)
        return [node]

    def _is_large(self, name: str) -> bool:
        if name not in self._floats:
            return False
        dims = self._floats[name].dims
        return int(np.prod(dims)) >= SMALLEST and dims[0] >= FEWEST_ROWS

    def _scan(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return ``output = rows @ constant`` with the rows rounded to 8 bits each by its own scale."""
        rows, name = node.input
        integers, scales = quantise_rows(self._array(name).T, SCAN_LIMIT)
        self._add(f"{name}.int8", np.ascontiguousarray(integers.T))
        self._add(f"{name}.scale", scales.ravel())
        chain = [
            ("Abs", [rows], "scan.abs"),
            ("ReduceMax", ["scan.abs", "scan.last_axis"], "scan.max"),
            ("Max", ["scan.max", "scan.least"], "scan.top"),
            ("Div", ["scan.top", "scan.limit"], "scan.step"),
            ("Div", [rows, "scan.step"], "scan.scaled"),
            ("Round", ["scan.scaled"], "scan.round"),
            ("Add", ["scan.round", "scan.offset"], "scan.shifted"),
        ]
        return [
            *(helper.make_node(kind, inputs, [output]) for kind, inputs, output in chain),
            helper.make_node("Cast", ["scan.shifted"], ["scan.bytes"], to=TensorProto.UINT8),
            helper.make_node("MatMulInteger", ["scan.bytes", f"{name}.int8", "scan.zero_point"], ["scan.sum"]),
            helper.make_node("Cast", ["scan.sum"], ["scan.float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["scan.float", "scan.step"], ["scan.by_row"]),
            helper.make_node("Mul", ["scan.by_row", f"{name}.scale"], [node.output[0]]),
        ]

    def _unpack(self, name: str) -> list[onnx.NodeProto]:
        """Return the nodes that make ``<name>.float`` of integers; ONNX Runtime folds them when it loads."""
        if name in self._unpacked:
            return []
        self._unpacked.add(name)
        self._pack(name)
        return [
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.cast"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.cast", f"{name}.scale"], [f"{name}.float"]),
        ]

    def _gather(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        name, ids = node.input
        output = node.output[0]
        self._pack(name)
        return [
            helper.make_node("Gather", [f"{name}.int8", ids], [f"{output}.int8"], axis=0),
            helper.make_node("Cast", [f"{output}.int8"], [f"{output}.cast"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [f"{name}.scale", ids], [f"{output}.scale"], axis=0),
            helper.make_node("Mul", [f"{output}.cast", f"{output}.scale"], [output]),
        ]

    def _pack(self, name: str) -> None:
        if name not in self._packed:
            self._packed.add(name)
            integers, scales = quantise_rows(self._array(name), WEIGHT_LIMIT)
            self._add(f"{name}.int8", integers)
            self._add(f"{name}.scale", scales)

    def _array(self, name: str) -> NDArray[np.float32]:
        return np.asarray(numpy_helper.to_array(self._floats[name]), np.float32)

    def _add(self, name: str, value: NDArray[np.generic]) -> None:
        self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))

    def _drop_unused(self) -> None:
        used = {name for node in self._graph.node for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)


def _with_input(node: onnx.NodeProto, index: int, name: str) -> onnx.NodeProto:
    changed = onnx.NodeProto()
    changed.CopyFrom(node)
    changed.input[index] = name
    return changed


def _axis(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "axis"), 0)
