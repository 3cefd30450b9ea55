"""QInt8: every large weight of the graph as 8-bit integers, and the products that cost most in integers.

The scan of the catalogue is where time and memory go, and after it the text encoder of unknown tracks; so their
products themselves run on integers. What is multiplied is rounded row by row: a scale shared by a batch would make an
answer depend on its neighbours.

For the scan ONNX Runtime has an operator, MatMulNBits, that reads a catalogue for one row in half the time of ONNX's
own MatMulInteger. For the many rows of a text that one is faster; its weights use 7 of their 8 bits, because CPUs
without VNNI add pairs of 8-bit products in 16 bits: 255 * 63 * 2 still fits, 255 * 127 * 2 saturates.

LLaRA's products run on floats, of weights that ONNX Runtime unpacks once, when it loads: its answers are small
corrections, and rounding in every layer would blur them.
"""

from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from train.branch import needed

SCAN_LIMIT = 63
WEIGHT_LIMIT = 127
ZERO_POINT = 128
_LARGEST_BLOCK = 128
_RUNTIME = "com.microsoft"
SMALLEST = 65_536
"""Weights of fewer numbers stay float: they weigh nothing, and the fold-in is sensitive."""
FEWEST_ROWS = 16
"""So do those of fewer rows, such as all tracks' popularity and bias: one scale for a whole catalogue is too coarse."""


def quantise(model: onnx.ModelProto, scanned: Collection[str], multiplied: Collection[str] = ()) -> onnx.ModelProto:
    """Return a copy of the model with its large constants in integers.

    Args:
        model: A float model.
        scanned: Names of the constants (K, N) that a row or a few are multiplied by, and N is large.
        multiplied: Names of the constants (K, N) that many rows are multiplied by.
    """
    quantised = onnx.ModelProto()
    quantised.CopyFrom(model)
    _Rewriter(quantised.graph, scanned, multiplied).run()
    if scanned:
        quantised.opset_import.append(helper.make_opsetid(_RUNTIME, 1))
    onnx.checker.check_model(quantised, full_check=False)
    return quantised


def products_behind(model: onnx.ModelProto, value: str) -> set[str]:
    """Return the names of the large constants that a MatMul on the way to ``value`` multiplies by."""
    nodes = (model.graph.node[place] for place in needed(model.graph, [value]))
    constants = {node.input[1] for node in nodes if node.op_type == "MatMul"}
    return {tensor.name for tensor in model.graph.initializer if tensor.name in constants and _is_large(tensor)}


def quantise_rows(table: NDArray[np.float32], limit: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return rows (R, C) of integers up to ``limit`` and their scales (R, 1); their product is the table, rounded."""
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / limit
    return np.rint(table / scales).astype(np.int8), scales


class _Rewriter:
    """Rewrites one graph in place."""

    def __init__(self, graph: onnx.GraphProto, scanned: Collection[str], multiplied: Collection[str]) -> None:
        self._graph, self._scanned, self._multiplied = graph, scanned, multiplied
        self._floats = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) == 2}
        self._large = {name for name, tensor in self._floats.items() if _is_large(tensor)}
        self._packed: set[str] = set()
        self._unpacked: set[str] = set()
        self._rounded: set[str] = set()

    def run(self) -> None:
        self._add("round.zero_point", np.array(ZERO_POINT, np.uint8))
        self._add("round.offset", np.array(ZERO_POINT, np.float32))
        self._add("round.limit", np.array(WEIGHT_LIMIT, np.float32))
        self._add("round.least", np.array(1e-12, np.float32))
        self._add("round.last_axis", np.array([-1], np.int64))
        nodes = [new for node in self._graph.node for new in self._rewrite(node)]
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        self._drop_unused()

    def _rewrite(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        if node.op_type == "MatMul" and node.input[1] in self._scanned:
            return [self._scan(node)]
        if node.op_type == "MatMul" and node.input[1] in self._multiplied:
            return self._multiply(node)
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in self._large:
            return [*self._unpack(node.input[1]), _with_input(node, 1, f"{node.input[1]}.float")]
        if node.op_type == "Gather" and node.input[0] in self._large and _axis(node) == 0:
            return self._gather(node)
        return [node]

    def _scan(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """Return ``output = rows @ constant`` as the runtime's own operator, which rounds rows by blocks itself."""
        rows, name = node.input
        table = self._array(name)
        block = _block(len(table))
        columns = np.pad(table, ((0, -len(table) % block), (0, 0))).T  # (N, K rounded up)
        integers, scales = quantise_rows(columns.reshape(-1, block), WEIGHT_LIMIT)
        unsigned = (integers.astype(np.int16) + ZERO_POINT).astype(np.uint8)
        self._add(f"{name}.blocks", unsigned.reshape(len(columns), -1, block))
        self._add(f"{name}.block_scale", scales.ravel())
        return helper.make_node(
            "MatMulNBits",
            [rows, f"{name}.blocks", f"{name}.block_scale"],
            [node.output[0]],
            domain=_RUNTIME,
            K=len(table),
            N=len(columns),
            bits=8,
            block_size=block,
            accuracy_level=4,  # of its products: integers
        )

    def _multiply(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return ``output = rows @ constant`` with the rows rounded to 8 bits each by its own scale."""
        rows, name = node.input
        output = node.output[0]
        if f"{name}.columns" not in self._packed:
            self._packed.add(f"{name}.columns")
            integers, scales = quantise_rows(self._array(name).T, SCAN_LIMIT)
            self._add(f"{name}.columns", integers.T)
            self._add(f"{name}.column_scale", scales.ravel())
        chain = [
            ("MatMulInteger", [f"{rows}.bytes", f"{name}.columns", "round.zero_point"], f"{output}.sum"),
            ("Mul", [f"{output}.float", f"{rows}.step"], f"{output}.by_row"),
            ("Mul", [f"{output}.by_row", f"{name}.column_scale"], output),
        ]
        product, by_row, by_column = (helper.make_node(kind, inputs, [out]) for kind, inputs, out in chain)
        cast = helper.make_node("Cast", [f"{output}.sum"], [f"{output}.float"], to=TensorProto.FLOAT)
        return [*self._round(rows), product, cast, by_row, by_column]

    def _round(self, rows: str) -> list[onnx.NodeProto]:
        """Return the nodes that make ``<rows>.bytes`` and ``<rows>.step`` of ``rows``; several products share them."""
        if rows in self._rounded:
            return []
        self._rounded.add(rows)
        chain = [
            ("Abs", [rows], "abs"),
            ("ReduceMax", [f"{rows}.abs", "round.last_axis"], "max"),
            ("Max", [f"{rows}.max", "round.least"], "top"),
            ("Div", [f"{rows}.top", "round.limit"], "step"),
            ("Div", [rows, f"{rows}.step"], "scaled"),
            ("Round", [f"{rows}.scaled"], "whole"),
            ("Add", [f"{rows}.whole", "round.offset"], "shifted"),
        ]
        nodes = [helper.make_node(kind, inputs, [f"{rows}.{output}"]) for kind, inputs, output in chain]
        return [*nodes, helper.make_node("Cast", [f"{rows}.shifted"], [f"{rows}.bytes"], to=TensorProto.UINT8)]

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


def _block(length: int) -> int:
    """Return how many of a row's numbers share a scale: a power of two from 16 on, as MatMulNBits wants it."""
    return min(_LARGEST_BLOCK, max(16, 1 << (length - 1).bit_length()))


def _is_large(tensor: onnx.TensorProto) -> bool:
    table = tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
    return table and int(np.prod(tensor.dims)) >= SMALLEST and tensor.dims[0] >= FEWEST_ROWS


def _with_input(node: onnx.NodeProto, index: int, name: str) -> onnx.NodeProto:
    changed = onnx.NodeProto()
    changed.CopyFrom(node)
    changed.input[index] = name
    return changed


def _axis(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "axis"), 0)
