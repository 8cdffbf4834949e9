"""Names of the nodes of an exported model: each after the module that it comes from, so that a report can say which.

`network.backbone.stages.0.1.first.conv/Conv` is the convolution of that module; `pre/Div.2` is the third division of
what prepares the image, `post/Min` a node of what brings detections back into the image's pixels.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import onnx

Part = Literal["pre", "network", "post"]
NETWORK = "network"
"""The pipeline's attribute that holds the network: the scope of all its nodes begins with it."""
_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the exporter notes the modules around a node, outermost first, and the node's own name last."""


def name_layers(model: onnx.ModelProto) -> None:
    """Name the nodes of the main graph, in place, by what the exporter noted at them; names are unique.

    Nodes that belong to no module, since the exporter itself put them in, count to the network where they lie between
    nodes of it, before it to `pre`, behind it to `post`.
    """
    scopes = [_scope(node) for node in model.graph.node]
    inside = [scope == NETWORK or scope.startswith(f"{NETWORK}.") for scope in scopes]
    behind = _reach(model.graph.node, inside)
    before = _reach(list(reversed(model.graph.node)), inside[::-1], upwards=True)[::-1]
    taken: Counter[str] = Counter()
    for node, scope, own, after, ahead in zip(model.graph.node, scopes, inside, behind, before, strict=True):
        where = scope if own else NETWORK if after and ahead else "post" if after else "pre"
        name = f"{where}/{node.op_type}"
        node.name = f"{name}.{taken[name]}" if taken[name] else name
        taken[name] += 1


def part_of(name: str) -> Part:
    """Part of the pipeline that a named node belongs to."""
    if name.startswith((f"{NETWORK}.", f"{NETWORK}/")):
        return "network"
    return "pre" if name.startswith("pre/") else "post"


def network_boundary(model: onnx.ModelProto) -> tuple[list[str], list[str]]:
    """Values that the network of a named model reads from what is before it, and those that others read from it."""
    made: dict[str, Part] = {output: part_of(node.name) for node in model.graph.node for output in node.output}
    given, read = dict[str, None](), dict[str, None]()
    for node in model.graph.node:
        part = part_of(node.name)
        for name in node.input:
            if part == "network" and made.get(name) == "pre":
                given[name] = None
            elif part != "network" and made.get(name) == "network":
                read[name] = None
    read |= {output.name: None for output in model.graph.output if made.get(output.name) == "network"}
    return list(given), list(read)


def _scope(node: onnx.NodeProto) -> str:
    """Innermost module around a node; empty where the exporter noted none."""
    notes: Mapping[str, str] = {item.key: item.value for item in node.metadata_props}
    try:
        scopes = ast.literal_eval(notes.get(_SCOPES, "[]"))
    except (ValueError, SyntaxError):
        return ""
    return str(scopes[-2]) if len(scopes) > 1 else ""


def _reach(nodes: Sequence[onnx.NodeProto], start: Sequence[bool], *, upwards: bool = False) -> list[bool]:
    """Which nodes lead, over any number of steps, from those of `start`; nodes are in the order of the steps."""
    reached: set[str] = set()
    found = []
    for node, begins in zip(nodes, start, strict=True):
        reads, writes = (node.output, node.input) if upwards else (node.input, node.output)
        hit = begins or any(name in reached for name in reads)
        if hit:
            reached.update(name for name in writes if name)
        found.append(hit)
    return found
