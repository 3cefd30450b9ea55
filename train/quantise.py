"""QInt8: the graph's weights as 8-bit integers of which 7 bits are used, its activations as 8 bits row by row.

Seven bits, because CPUs without VNNI add pairs of 8-bit products in 16 bits and saturate: 255 * 64 * 2 is the most
that still fits. Row by row, because a scale shared by a batch would make a playlist's answer depend on its neighbours.
"""

from collections import Counter

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WEIGHT_LIMIT = 63
ACTIVATION_LIMIT = 127
ZERO_POINT = 128
SMALLEST = 65_536
"""Weights of fewer numbers stay float: they weigh nothing, and fold-ins are sensitive."""


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the model with its large constant MatMuls, Gemms and Gathers in integers."""
    quantised = onnx.ModelProto()
    quantised.CopyFrom(model)
    _Rewriter(quantised).run()
    onnx.checker.check_model(quantised, full_check=False)
    return quantised


def quantise_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return 7-bit rows (R, C) and their scales (R, 1): ``rows * scales`` is the table, to half a step."""
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / WEIGHT_LIMIT
    return np.rint(table / scales).astype(np.int8), scales


class _Rewriter:
    """Rewrites one model in place; holds the names that it gives."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._uses = Counter(name for node in model.graph.node for name in node.input)
        self._made: dict[str, tuple[str, str]] = {}

    def run(self) -> None:
        self._add("q.zero_point", np.array(ZERO_POINT, np.uint8))
        self._add("q.offset", np.array(ZERO_POINT, np.float32))
        self._add("q.limit", np.array(ACTIVATION_LIMIT, np.float32))
        self._add("q.least", np.array(1e-12, np.float32))
        self._add("q.last_axis", np.array([-1], np.int64))
        nodes = [new for node in self._graph.node for new in self._rewrite(node)]
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        self._drop_unused()

    def _rewrite(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        if node.op_type == "MatMul" and self._is_large(node.input[1]):
            return self._matmul(node.input[0], node.input[1], False, node.output[0])
        if node.op_type == "Gemm" and self._is_large(node.input[1]) and _plain(node):
            return self._gemm(node)
        if node.op_type == "Gather" and self._is_large(node.input[0]) and _axis(node) == 0:
            return self._gather(node)
        return [node]

    def _is_large(self, name: str) -> bool:
        tensor = self._constants.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != 2:
            return False
        return int(np.prod(tensor.dims)) >= SMALLEST

    def _gemm(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        product = f"{node.output[0]}.product"
        if len(node.input) == 2 or not node.input[2]:
            return self._matmul(node.input[0], node.input[1], bool(attributes.get("transB", 0)), node.output[0])
        nodes = self._matmul(node.input[0], node.input[1], bool(attributes.get("transB", 0)), product)
        return [*nodes, helper.make_node("Add", [product, node.input[2]], [node.output[0]])]

    def _matmul(self, rows: str, weight: str, transposed: bool, output: str) -> list[onnx.NodeProto]:
        """Return ``output = rows @ weight`` in integers; ``transposed``: the constant holds the weight's transpose."""
        columns, scales = self._columns(weight, transposed)
        name = output
        names = {
            part: f"{name}.{part}"
            for part in ("abs", "max", "top", "step", "scaled", "round", "shifted", "bytes", "sum", "float", "by_row")
        }
        return [
            helper.make_node("Abs", [rows], [names["abs"]]),
            helper.make_node("ReduceMax", [names["abs"], "q.last_axis"], [names["max"]], keepdims=1),
            helper.make_node("Max", [names["max"], "q.least"], [names["top"]]),
            helper.make_node("Div", [names["top"], "q.limit"], [names["step"]]),
            helper.make_node("Div", [rows, names["step"]], [names["scaled"]]),
            helper.make_node("Round", [names["scaled"]], [names["round"]]),
            helper.make_node("Add", [names["round"], "q.offset"], [names["shifted"]]),
            helper.make_node("Cast", [names["shifted"]], [names["bytes"]], to=TensorProto.UINT8),
            helper.make_node("MatMulInteger", [names["bytes"], columns, "q.zero_point"], [names["sum"]]),
            helper.make_node("Cast", [names["sum"]], [names["float"]], to=TensorProto.FLOAT),
            helper.make_node("Mul", [names["float"], names["step"]], [names["by_row"]]),
            helper.make_node("Mul", [names["by_row"], scales], [output]),
        ]

    def _gather(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        rows, scales = self._rows(node.input[0])
        ids, output = node.input[1], node.output[0]
        names = [f"{output}.{part}" for part in ("bytes", "float", "scale")]
        return [
            helper.make_node("Gather", [rows, ids], [names[0]], axis=0),
            helper.make_node("Cast", [names[0]], [names[1]], to=TensorProto.FLOAT),
            helper.make_node("Gather", [scales, ids], [names[2]], axis=0),
            helper.make_node("Mul", [names[1], names[2]], [output]),
        ]

    def _rows(self, name: str) -> tuple[str, str]:
        return self._integers(name, f"{name}.rows", numpy_helper.to_array(self._constants[name]), transpose=False)

    def _columns(self, name: str, transposed: bool) -> tuple[str, str]:
        weight = numpy_helper.to_array(self._constants[name])
        columns = weight if transposed else weight.T
        return self._integers(name, f"{name}.columns", columns, transpose=True)

    def _integers(self, name: str, new: str, rows: NDArray[np.float32], transpose: bool) -> tuple[str, str]:
        if new not in self._made:
            integers, scales = quantise_rows(np.ascontiguousarray(rows))
            self._add(f"{new}.int8", np.ascontiguousarray(integers.T) if transpose else integers)
            self._add(f"{new}.scale", scales.ravel() if transpose else scales)
            self._made[new] = (f"{new}.int8", f"{new}.scale")
        return self._made[new]

    def _add(self, name: str, value: NDArray[np.generic]) -> None:
        self._graph.initializer.append(numpy_helper.from_array(value, name))

    def _drop_unused(self) -> None:
        used = {name for node in self._graph.node for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)


def _axis(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "axis"), 0)


def _plain(node: onnx.NodeProto) -> bool:
    """Return whether a Gemm is ``A @ B + C`` without scaling or a transposed A."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return (
        attributes.get("alpha", 1.0) == 1.0 and attributes.get("beta", 1.0) == 1.0 and not attributes.get("transA", 0)
    )
