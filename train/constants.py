"""A graph whose large constants stand beside it: in a file or in memory, and written into its own file one by one.

Protobuf holds two gigabytes at most, and copies what it holds whenever a graph is copied or written; the vectors of
two million tracks are more than that as floats.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from segue.errors import SegueError

_SMALLEST = 1024  # bytes of a constant that stands beside its graph
_MOST = 2**31 - 1  # bytes of a protobuf message
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # fields of ModelProto, GraphProto and TensorProto in onnx.proto


@dataclass(frozen=True, slots=True)
class Model:
    """A graph and its constants.

    Attributes:
        proto: The graph; its initializers that ``constants`` has by their names are empty.
        constants: The large ones; what stood beside a file that `read` opened is memory-mapped.
    """

    proto: onnx.ModelProto
    constants: dict[str, NDArray[Any]]

    @classmethod
    def read(cls, path: Path) -> "Model":
        """Open a model whose largest constants are external data, by ONNX's own convention; none of these is loaded."""
        proto = onnx.load(str(path), load_external_data=False)
        constants = {}
        for tensor in proto.graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                constants[tensor.name] = _mapped(tensor, path.parent)
                tensor.ClearField("external_data")
                tensor.ClearField("data_location")
            elif len(tensor.raw_data) >= _SMALLEST:
                constants[tensor.name] = numpy_helper.to_array(tensor)
                tensor.ClearField("raw_data")
        return cls(proto, constants)

    def constant(self, tensor: TensorProto) -> NDArray[Any]:
        """Return an initializer's numbers."""
        found = self.constants.get(tensor.name)
        return numpy_helper.to_array(tensor) if found is None else found

    def add(self, name: str, value: NDArray[Any]) -> None:
        """Give the graph another initializer."""
        if value.nbytes < _SMALLEST:
            self.proto.graph.initializer.append(numpy_helper.from_array(value, name))
            return
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        self.proto.graph.initializer.append(TensorProto(name=name, data_type=kind, dims=value.shape))
        self.constants[name] = np.ascontiguousarray(value)

    def write(self, path: Path) -> dict[str, dict[str, Any]]:
        """Write graph and constants into one file, and return where each large constant stands: offset and shape.

        It is what protobuf writes, but that no two large constants are in memory for it.

        Raises:
            SegueError: The file would be larger than protobuf allows.
        """
        graph, outside = onnx.GraphProto(), onnx.ModelProto()
        graph.CopyFrom(self.proto.graph)
        del graph.initializer[:]
        outside.CopyFrom(self.proto)
        outside.ClearField("graph")
        tensors = list(self._tensors())
        inside = graph.ByteSize() + sum(len(head) + size for _, head, size in tensors)
        if inside > _MOST:
            raise SegueError(
                f"The model has {inside / 1e9:.1f} GB and ONNX allows 2; export it as a compact one, by compact.above "
                "below the number of its tracks."
            )
        places = {}
        with path.open("wb") as stream:
            stream.write(outside.SerializeToString(deterministic=True) + _key(_GRAPH) + _varint(inside))
            stream.write(graph.SerializeToString(deterministic=True))
            for name, head, size in tensors:
                stream.write(head)
                if size:
                    places[name] = {"offset": stream.tell(), "shape": list(self.constants[name].shape)}
                    self.constants[name].tofile(stream)
        return places

    def _tensors(self) -> Iterator[tuple[str, bytes, int]]:
        """Yield each initializer's name, what stands before its large constant, and bytes of that."""
        for tensor in self.proto.graph.initializer:
            size = self.constants[tensor.name].nbytes if tensor.name in self.constants else 0
            head = tensor.SerializeToString(deterministic=True)
            head += _key(_RAW_DATA) + _varint(size) if size else b""
            yield tensor.name, _key(_INITIALIZER) + _varint(len(head) + size) + head, size


def _mapped(tensor: TensorProto, folder: Path) -> NDArray[Any]:
    place = {entry.key: entry.value for entry in tensor.external_data}
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return np.memmap(
        folder / place["location"], kind, "r", offset=int(place.get("offset", 0)), shape=tuple(tensor.dims)
    )


def _key(field: int) -> bytes:
    """Return what stands before a field of so many bytes (protobuf's wire type 2)."""
    return _varint(field << 3 | 2)


def _varint(number: int) -> bytes:
    """Return a number in protobuf's way: seven bits a byte, the lowest first."""
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
