"""What a network would do, worked out for inputs of given sizes: shapes, memory, multiplications."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .operators import OPERATORS, Call, apply
from .parsing import FLOAT, Graph, NetworkError, Node
from .values import MOST_NUMBERS, Origin, Place, Value

__all__ = ["Outline", "Size", "Work", "calls", "work"]

Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Outline:
    """A network without its weights: what its work is worked out from."""

    inputs: Mapping[str, int]
    codes: Mapping[str, tuple[int, ...]]
    output: str
    nodes: Sequence[Node]
    weights: Mapping[str, Value]
    last_uses: Mapping[str, int]
    """By which node a tensor is read last."""

    @classmethod
    def of(cls, graph: Graph) -> "Outline":
        """That of `graph`."""
        weights = {
            name: Value(
                weight.dtype,
                weight.shape,
                Origin.WEIGHTS,
                weight.values if weight.values.size <= MOST_NUMBERS else None,
            )
            for name, weight in graph.weights.items()
        }
        last_uses = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
        return cls(graph.inputs, graph.codes, graph.output, graph.nodes, weights, last_uses)


@dataclass(frozen=True)
class Work:
    """What one run takes: bytes beside inputs, output and weights, at most at once; multiplications."""

    output: Value
    peak: int
    multiplications: int
    folded: int
    """Bytes of tensors that are computed from weights alone, which runtimes do once and keep."""


def work(outline: Outline, sizes: Sequence[Size], *, tiled: bool) -> Work:
    """What a run on inputs of such sizes, (height, width) of each, takes; raises NetworkError, with the node.

    `tiled`: of an upscaler, or of coordinates.
    """
    values: dict[str, Value] = {}
    live = peak = multiplications = folded = 0
    for index, (call, result) in enumerate(calls(outline, sizes, tiled=tiled)):
        node = call.node
        values[node.output] = result
        multiplications += _multiplications(call, result)
        if result.origin is Origin.WEIGHTS:
            folded += result.bytes
            continue
        if node.output != outline.output:
            live += result.bytes
        peak = max(peak, live + _scratch(call))
        for name in {*node.inputs} & {*values}:
            if values[name].origin is not Origin.WEIGHTS and outline.last_uses[name] == index:
                live -= values[name].bytes
        if node.output not in outline.last_uses and node.output != outline.output:
            live -= result.bytes
    return Work(values[outline.output], peak, multiplications, folded)


def calls(outline: Outline, sizes: Sequence[Size], *, tiled: bool) -> Iterator[tuple[Call, Value]]:
    """Every node with what is known of its inputs, and of its output; as for `work`."""
    codes = {name: Value(FLOAT, shape, Origin.CODE) for name, shape in outline.codes.items()}
    values: dict[str, Value | None] = {"": None, **outline.weights, **codes}
    for (name, channels), size in zip(outline.inputs.items(), sizes, strict=True):
        values[name] = Value(FLOAT, (1, channels, *size), Origin.PICTURE, place=Place() if tiled else None)
    for node in outline.nodes:
        call = Call(node, [values[name] for name in node.inputs], tiled)
        try:
            result = apply(call)
        except NetworkError as error:
            raise NetworkError(f"{node}: {error}") from error
        values[node.output] = result
        yield call, result


def _multiplications(call: Call, result: Value) -> int:
    if call.node.kind == "Conv":
        return result.size * _per_output(call)
    if call.node.kind == "ConvTranspose":
        return call[0].size * (call[1].size // call[1].shape[0])
    return OPERATORS[call.node.kind].work * max(value.size for value in (result, *call.present))


def _per_output(call: Call) -> int:
    return call[1].size // call[1].shape[0]


def _scratch(call: Call) -> int:
    """Bytes that a convolution that is no usual one takes for itself."""
    if call.node.kind == "ConvTranspose":  # its result before overlaps are summed
        return 4 * call[0].size // call[0].shape[1] * (call[1].size // call[1].shape[0])
    return 0
