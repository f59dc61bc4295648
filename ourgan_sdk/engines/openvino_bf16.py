"""An upscaler whose body computes in bfloat16 and what carries the picture in float32, as an OpenVINO model.

A bfloat16 has eight bits of precision: around 1 its steps are one level of an 8-bit picture. Where features
carry the picture itself every rounding shows: in an RRDB from the first convolution by the long skip
connection to the last one, in a residual network in the enlargement that all the rest is added to. So does
the rounding of the picture before its first convolution. The body beside that adds details, and is nearly all
of the work: there half the bytes cost a fraction of a level.
"""

from collections import Counter
from typing import Any

import numpy as np

__all__ = ["convert_body"]

_ENLARGING = ("DepthToSpace", "Interpolate")


def convert_body(model: Any) -> bool:
    """Rewrite the model in place; its input and output stay float32.

    Returns False, and leaves it as it is, where no sum lies before the first enlargement.
    """
    from openvino import Type, opset13, passes  # noqa: PLC0415 - optional, and slow to import

    joint = _joint(model)
    if joint is None:
        return False
    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())
    folding.run_passes(model)  # leaves no conversions of stored weights among the nodes
    _fold_scales(model)
    branches = [_ancestors(operand.get_source_output().get_node()) for operand in joint.inputs()]
    skip, body = sorted(branches, key=len)
    outside = skip.keys() | _first(model)
    inside = {name: node for name, node in body.items() if name not in outside}
    for node in inside.values():
        for operand in node.inputs():
            source = operand.get_source_output()
            if source.get_element_type() == Type.f32 and source.get_node().get_name() not in inside:
                operand.replace_source_output(opset13.convert(source, "bf16").output(0))
    end = joint.input(branches.index(body))
    end.replace_source_output(opset13.convert(end.get_source_output(), "f32").output(0))
    model.validate_nodes_and_infer_types()
    folding.run_passes(model)
    return True


def _joint(model: Any) -> Any:
    """The sum that the first enlargement reads, be it by way of slices or activations; None without one."""
    node = next((node for node in model.get_ordered_ops() if node.get_type_name() in _ENLARGING), None)
    while node is not None and node.get_type_name() != "Add":
        operands = node.input_values()
        node = operands[0].get_node() if operands else None
    return node


def _first(model: Any) -> set[str]:
    """The convolutions that read the picture, by name, and the sums of their results and biases."""
    convolutions = [reader.get_node() for reader in model.input(0).get_target_inputs()]
    readers = [reader.get_node() for one in convolutions for reader in one.output(0).get_target_inputs()]
    biased = [
        node
        for node in readers
        if any(operand.get_node().get_type_name() == "Constant" for operand in node.input_values())
    ]
    return {node.get_name() for node in (*convolutions, *biased)}


def _ancestors(node: Any) -> dict[str, Any]:
    """What computes `node`, itself included, by name; without the model's inputs and constants."""
    found: dict[str, Any] = {}
    left = [node]
    while left:
        node = left.pop()
        if node.get_name() not in found and node.get_type_name() not in ("Constant", "Parameter"):
            found[node.get_name()] = node
            left += [operand.get_node() for operand in node.input_values()]
    return found


def _fold_scales(model: Any) -> None:
    """Multiply weights and bias of a convolution by the number that its result is multiplied by.

    Otherwise the number itself would be rounded, and all of its block's details scaled by what it lacks.
    """
    from openvino import opset13  # noqa: PLC0415 - optional, and slow to import

    nodes = model.get_ordered_ops()
    readers = Counter(operand.get_node().get_name() for node in nodes for operand in node.input_values())
    for scaling in nodes:
        if scaling.get_type_name() != "Multiply":
            continue
        total, factor = (operand.get_node() for operand in scaling.input_values())
        if total.get_type_name() != "Add" or factor.get_type_name() != "Constant":
            continue
        convolution = total.input_value(0).get_node()
        if (
            convolution.get_type_name() != "Convolution"
            or factor.get_data().size != 1
            or readers[total.get_name()] > 1
            or readers[convolution.get_name()] > 1
        ):
            continue
        scale = opset13.constant(np.float32(factor.get_data().item()))
        for operand in (convolution.input(1), total.input(1)):
            operand.replace_source_output(opset13.multiply(operand.get_source_output(), scale).output(0))
        for reader in scaling.output(0).get_target_inputs():
            reader.replace_source_output(total.output(0))
