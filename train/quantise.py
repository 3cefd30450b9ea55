"""QInt8: every large weight of the graph as 8-bit integers, and every product with one in integers.

The products are ONNX Runtime's own operator MatMulNBits: it reads a weight's bytes once, a quarter of what floats are,
and rounds what is multiplied block by block within a row. A scale shared by a batch would make an answer depend on its
neighbours, and one for a whole row would blur LLaRA's small corrections.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from train.constants import Model

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
_ROWS_AT_ONCE = 2**15


def quantise(model: Model) -> Model:
    """Return a float model with its large constants in integers; the model itself stays as it is."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    quantised = Model(proto, dict(model.constants))
    _Rewriter(quantised).run()
    proto.opset_import.append(helper.make_opsetid(_RUNTIME, 1))
    return quantised


def quantise_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return rows (R, C) of 8-bit integers and their scales (R, 1); their product is the table, rounded."""
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / WEIGHT_LIMIT
    return np.rint(table / scales).astype(np.int8), scales


def _quantise_blocks(table: NDArray[np.float32], block: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return rows (R, C) as blocks (R, C / block, block) of integers, filled up with zeros, and scales (R, C / block).

    Some rows at a time: a catalogue's are more than memory should hold twice as floats.
    """
    rows, length = table.shape
    blocks = -(-length // block)
    integers, scales = np.empty((rows, blocks, block), np.int8), np.empty((rows, blocks), np.float32)
    for start in range(0, rows, _ROWS_AT_ONCE):
        part = np.asarray(table[start : start + _ROWS_AT_ONCE], np.float32)
        whole = np.pad(part, ((0, 0), (0, blocks * block - length)))
        rounded, scale = quantise_rows(whole.reshape(-1, block))
        integers[start : start + len(part)] = rounded.reshape(len(part), blocks, block)
        scales[start : start + len(part)] = scale.reshape(len(part), blocks)
    return integers, scales


class _Rewriter:
    """Rewrites one model in place."""

    def __init__(self, model: Model) -> None:
        self._model, self._graph = model, model.proto.graph
        graph = self._graph
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
        if node.op_type == "Gather" and node.input[0] in self._large and _number(node, "axis") == 1:
            return self._gather_columns(node)
        return [node]

    def _multiply(self, rows: str, name: str, output: str, across: bool) -> onnx.NodeProto:
        """Return ``output = rows @ constant``, or by its transpose where it is not ``across``, in integers."""
        packed, columns, length, block = self._pack_columns(name, across)
        return helper.make_node(
            "MatMulNBits",
            [rows, f"{packed}.blocks", f"{packed}.scale"],
            [output],
            domain=_RUNTIME,
            K=length,
            N=columns,
            bits=8,
            block_size=block,
            accuracy_level=4,  # of its products: integers
        )

    def _pack_columns(self, name: str, across: bool) -> tuple[str, int, int, int]:
        """Make the integers of a product; return their name, how many columns of which length, and of which block."""
        columns = self._array(name).T if across else self._array(name)  # (N, K)
        length = columns.shape[1]
        block = _block(length, _LARGEST_ROW if _is_tall(columns) else _LARGEST_BLOCK)
        packed = f"{name}.{'columns' if across else 'rows'}"
        if packed not in self._packed:
            self._packed.add(packed)
            integers, scales = _quantise_blocks(columns, block)
            unsigned = integers.view(np.uint8)
            np.bitwise_xor(unsigned, ZERO_POINT, out=unsigned)  # which adds it, in 8 bits
            self._model.add(f"{packed}.blocks", unsigned)
            self._model.add(f"{packed}.scale", scales.ravel())
        return packed, len(columns), length, block

    def _gather_columns(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Read columns (K, I) at ids (I,) out of the integers that a product reads, so that they stand there once."""
        (name, ids), (output,) = node.input, node.output
        if self._array(name).shape[0] > _LARGEST_ROW or not _is_tall(self._array(name).T):
            return [node]  # a column has several scales
        packed, _, length, _ = self._pack_columns(name, across=True)
        self._model.add(f"{output}.zero", np.array(ZERO_POINT, np.float32))
        for part, value in (("start", 0), ("end", length), ("one", 1)):
            self._model.add(f"{output}.{part}", np.array([value]))
        steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
            ("Gather", [f"{packed}.blocks", ids], "uint8", {"axis": 0}),  # (I, 1, block)
            ("Squeeze", [f"{output}.uint8", f"{output}.one"], "whole", {}),
            ("Slice", [f"{output}.whole", f"{output}.start", f"{output}.end", f"{output}.one"], "cut", {}),  # (I, K)
            ("Cast", [f"{output}.cut"], "cast", {"to": TensorProto.FLOAT}),
            ("Sub", [f"{output}.cast", f"{output}.zero"], "signed", {}),
            ("Gather", [f"{packed}.scale", ids], "scales", {"axis": 0}),
            ("Unsqueeze", [f"{output}.scales", f"{output}.one"], "scale", {}),
            ("Mul", [f"{output}.signed", f"{output}.scale"], "rows", {}),
        ]
        nodes = [helper.make_node(kind, read, [f"{output}.{made}"], **how) for kind, read, made, how in steps]
        return [*nodes, helper.make_node("Transpose", [f"{output}.rows"], [output], perm=[1, 0])]

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
            table = self._array(name)
            integers, scales = _quantise_blocks(table, table.shape[1])
            self._model.add(f"{name}.int8", integers[:, 0])
            self._model.add(f"{name}.scale", scales)

    def _array(self, name: str) -> NDArray[Any]:
        return self._model.constant(self._floats[name])

    def _drop_unused(self) -> None:
        used = {name for node in self._graph.node for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        for name in self._model.constants.keys() - {tensor.name for tensor in kept}:
            del self._model.constants[name]


def _is_tall(table: NDArray[Any]) -> bool:
    return bool(len(table) > _TALL * table.shape[1])


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
