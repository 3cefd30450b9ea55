"""Work that a graph does only when it is asked for: nodes moved into a branch of ONNX's ``If``.

LLaRA takes most of a request's time and is silent where its gate is shut, and so is the fold-in where playlists are
short; then nothing of them should be computed.
"""

import onnx
from onnx import TensorProto, helper


def branch(model: onnx.ModelProto, result: str, condition: str, otherwise: str) -> onnx.ModelProto:
    """Return a copy of the model that computes ``result`` only where ``condition`` holds, and elsewhere ``otherwise``.

    What ``result`` alone needs moves into the branch, but for what is made of constants: ONNX Runtime works that out
    once, when it loads. A model without such a value comes back as it is.

    Args:
        model: Its nodes stand in the order of their work.
        result: Name of a float value.
        condition: Name of a boolean scalar that does not depend on ``result``.
        otherwise: Name of a float value that does not either, of the shape of ``result``: ONNX Runtime plans its memory
            by what the first branch gives, and fails where the other one gives less.
    """
    branched = onnx.ModelProto()
    branched.CopyFrom(model)
    graph = branched.graph
    if not any(result in node.output for node in graph.node):
        return branched
    outputs = [value.name for value in graph.output]
    elsewhere = _needed(graph, [*outputs, condition, otherwise], but=result)
    constant = _constant(graph)
    inside = _needed(graph, [result], but="") - elsewhere - constant
    moved = [node for index, node in enumerate(graph.node) if index in inside]
    left = [node for index, node in enumerate(graph.node) if index not in inside]
    for node in moved:
        node.output[:] = [f"{result}.asked" if name == result else name for name in node.output]
    then = helper.make_graph(moved, "asked", [], [_float(f"{result}.asked")])
    silence = helper.make_node("Identity", [otherwise], [f"{result}.silent"])
    silent = helper.make_graph([silence], "silent", [], [_float(f"{result}.silent")])
    question = helper.make_node("If", [condition], [result], f"ask {result}", then_branch=then, else_branch=silent)
    _place(graph, left, question)
    return branched


def _float(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def _needed(graph: onnx.GraphProto, names: list[str], but: str) -> set[int]:
    """Return the places of the nodes that the values ``names`` need, without those that only ``but`` needs."""
    wanted, places = set(names), set()
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if wanted.intersection(node.output) - {but}:
            places.add(index)
            wanted.update(_read(node))
    return places


def _read(node: onnx.NodeProto) -> set[str]:
    """Return what a node reads, and what the branches of an ``If`` read of the graph around them."""
    inside = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    made = {name for graph in inside for each in graph.node for name in each.output}
    return set(node.input) | {name for graph in inside for each in graph.node for name in _read(each)} - made


def _constant(graph: onnx.GraphProto) -> set[int]:
    """Return the places of the nodes that read constants alone."""
    known, places = {tensor.name for tensor in graph.initializer}, set()
    for index, node in enumerate(graph.node):
        if known.issuperset(name for name in _read(node) if name):
            places.add(index)
            known.update(node.output)
    return places


def _place(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], question: onnx.NodeProto) -> None:
    """Make the graph's nodes ``nodes`` with ``question`` before the first that reads its result."""
    at = next(index for index, node in enumerate(nodes) if question.output[0] in _read(node))
    nodes.insert(at, question)
    del graph.node[:]
    graph.node.extend(nodes)
