"""QInt8: every large weight of the graph as 8-bit integers, and every product with one in integers.

The products are ONNX Runtime's own operator MatMulNBits: it reads a weight's bytes once, a quarter of what floats are,
and rounds what is multiplied block by block within a row. A scale shared by a batch would make an answer depend on its
neighbours, and one for a whole row would blur LLaRA's small corrections.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WEIGHT_LIMIT = 127
ZERO_POINT = 128
_LARGEST_BLOCK = 128
_TALL = 4
"""Rows for each number of a row from which on a table is a catalogue: its rows have one scale each, so that a scan
of it needs no other, and may have `_LARGEST_ROW` numbers."""
_LARGEST_ROW = 256
_RUNTIME = "com.microsoft"
SMALLEST = 65_536
"""Weights of fewer numbers stay float: they weigh nothing, and the fold-in is sensitive."""
FEWEST_ROWS = 16
"""So do those of fewer rows, such as all tracks' popularity and bias: one scale for a whole catalogue is too coarse."""


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a float model with its large constants in integers."""
    quantised = onnx.ModelProto()
    quantised.CopyFrom(model)
    _Rewriter(quantised.graph).run()
    quantised.opset_import.append(helper.make_opsetid(_RUNTIME, 1))
    onnx.checker.check_model(quantised, full_check=False)
    return quantised


def quantise_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return rows (R, C) of 8-bit integers and their scales (R, 1); their product is the table, rounded."""
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / WEIGHT_LIMIT
    return np.rint(table / scales).astype(np.int8), scales


class _Rewriter:
    """Rewrites one graph in place."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._floats = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) == 2}
        self._large = {name for name, tensor in self._floats.items() if _is_large(tensor)}
        self._packed: set[str] = set()

    def run(self) -> None:
        nodes = [new for node in self._graph.node for new in self._rewrite(node)]
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        self._drop_unused()

    def _rewrite(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        if node.op_type == "MatMul" and node.input[1] in self._large:
            return [self._multiply(node.input[0], node.input[1], node.output[0], across=True)]
        if node.op_type == "Gemm" and node.input[1] in self._large and not _scaled(node):
            rows, name, *bias = node.input
            product = f"{node.output[0]}.product" if bias else node.output[0]
            made = self._multiply(rows, name, product, across=not _number(node, "transB"))
            return [made, *(helper.make_node("Add", [product, each], [node.output[0]]) for each in bias)]
        if node.op_type == "Gather" and node.input[0] in self._large and not _number(node, "axis"):
            return self._gather(node)
        return [node]

    def _multiply(self, rows: str, name: str, output: str, across: bool) -> onnx.NodeProto:
        """Return ``output = rows @ constant``, or by its transpose where it is not ``across``, in integers."""
        table = self._array(name)
        columns = table.T if across else table  # (N, K)
        length = columns.shape[1]
        block = _block(length, _LARGEST_ROW if len(columns) > _TALL * length else _LARGEST_BLOCK)
        packed = f"{name}.{'columns' if across else 'rows'}"
        if packed not in self._packed:
            self._packed.add(packed)
            whole = np.pad(columns, ((0, 0), (0, -length % block)))
            integers, scales = quantise_rows(whole.reshape(-1, block))
            unsigned = (integers.astype(np.int16) + ZERO_POINT).astype(np.uint8)
            self._add(f"{packed}.blocks", unsigned.reshape(len(columns), -1, block))
            self._add(f"{packed}.scale", scales.ravel())
        return helper.make_node(
            "MatMulNBits",
            [rows, f"{packed}.blocks", f"{packed}.scale"],
            [output],
            domain=_RUNTIME,
            K=length,
            N=len(columns),
            bits=8,
            block_size=block,
            accuracy_level=4,  # of its products: integers
        )

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
            integers, scales = quantise_rows(self._array(name))
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


def _block(length: int, most: int) -> int:
    """Return how many of a row's numbers share a scale: a power of two from 16 on, as MatMulNBits wants it."""
    return min(most, max(16, 1 << (length - 1).bit_length()))


def _is_large(tensor: onnx.TensorProto) -> bool:
    table = tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
    return table and int(np.prod(tensor.dims)) >= SMALLEST and tensor.dims[0] >= FEWEST_ROWS


def _scaled(node: onnx.NodeProto) -> bool:
    """Return whether a Gemm does more than multiply by a constant and add one."""
    plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    return any(
        helper.get_attribute_value(each) != plain.get(each.name) for each in node.attribute if each.name in plain
    )


def _number(node: onnx.NodeProto, name: str) -> int:
    return next((int(each.i) for each in node.attribute if each.name == name), 0)
