"""The blocks of a net's parameters, drawn one by one: what all starts share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from hessianfree.cells.bidirectional import DIRECTIONS
from hessianfree.network._network import SequenceNetwork
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_real

# Blocks of weights that carry states on to states end in one of these.
RECURRENT = ("recurrent", "state_to_factor", "factor_to_state")
# What stands before the names of blocks in the lowest layer.
_LOWEST = ("", "layer1", *DIRECTIONS)

Draw = Callable[[tuple[int, int], np.random.Generator], Array]
DrawBias = Callable[[int, np.random.Generator], Array]


class Scales(TypedDict, total=False):
    """The arguments of a start that are not about recurrent weights; see `sparse_parameters`."""

    input_scale: float
    n_input_connections: int | None
    gain_scale: float
    output_scale: float
    output_bias: ArrayLike | None


def sparse_matrix(
    shape: tuple[int, int], n_connections: int, scale: float, rng: np.random.Generator
) -> Array:
    """Return a matrix with `n_connections` entries scale · N(0, 1) in each row."""
    n_connections = min(n_connections, shape[1])
    matrix = np.zeros(shape)
    columns = np.argsort(rng.random(shape), axis=1)[:, :n_connections]
    np.put_along_axis(
        matrix, columns, scale * rng.standard_normal((shape[0], n_connections)), axis=1
    )
    return matrix


@dataclass(frozen=True)
class OtherWeights:
    """How all but the recurrent weights are drawn; see `sparse_parameters`."""

    input_scale: float = 0.1
    n_input_connections: int | None = None
    gain_scale: float = 1.0
    output_scale: float = 0.1
    output_bias: ArrayLike | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.n_input_connections is not None:
            check_integer("n_input_connections", self.n_input_connections, minimum=1)
        for name in ("input_scale", "gain_scale", "output_scale"):
            check_real(name, getattr(self, name), minimum=0)

    def bias(self, shape: tuple[int, ...]) -> Array:
        """Return the output bias, after a check of its shape."""
        bias = np.asarray(self.output_bias, dtype=float)
        if bias.shape != shape:
            raise ValueError(
                f"`output_bias` has shape {bias.shape}, but {shape} was expected. Pass one number "
                "per output."
            )
        return bias


def draw_blocks(
    network: SequenceNetwork,
    recurrent: Draw,
    between: Draw,
    others: OtherWeights,
    random_state: Any,
    biases: Mapping[str, DrawBias] | None = None,
) -> dict[str, Array]:
    """Return all blocks, the recurrent ones by `recurrent(shape, rng)`.

    Those from the states of a layer to the next are drawn by `between(shape, rng)`, and biases by
    `biases[name of the block](n_units, rng)` where there is such an item.
    """
    scales = {"input_to_factor": others.gain_scale, "output": others.output_scale}
    shapes = network.layout.shapes
    blocks: dict[str, Array] = {name: np.zeros(shape) for name, shape in shapes.items()}
    seeds = seed_sequence(random_state).spawn(len(shapes))
    for (name, shape), seed in zip(shapes.items(), seeds):
        rng = np.random.default_rng(seed)
        layer, _, block = name.rpartition(".")
        if biases is not None and name in biases:
            blocks[name] = biases[name](shape[0], rng)
        elif block.endswith(RECURRENT):
            matrices = blocks[name].reshape(-1, *shape[-2:])
            for matrix in matrices:
                matrix[...] = recurrent((shape[-2], shape[-1]), rng)
        elif layer.split(".")[0] not in _LOWEST and block.endswith(("input", "input_to_factor")):
            blocks[name] = between((shape[0], shape[1]), rng)
        elif block == "initial_input":
            blocks[name] = sparse_matrix((shape[0], shape[1]), shape[1], others.input_scale, rng)
        elif block.endswith("input"):
            n_connections = others.n_input_connections or shape[1]
            blocks[name] = sparse_matrix(
                (shape[0], shape[1]), n_connections, others.input_scale, rng
            )
        elif block in scales:
            blocks[name] = sparse_matrix((shape[0], shape[1]), shape[1], scales[block], rng)
        elif name in network.cell.initial_biases:
            blocks[name][...] = network.cell.initial_biases[name]
    if others.output_bias is not None:
        blocks["output_bias"] = others.bias(shapes["output_bias"])
    return blocks
