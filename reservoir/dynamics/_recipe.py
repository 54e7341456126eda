"""The parameters that a reservoir is drawn from, and the drawing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array, eye_array, issparse

from reservoir.dynamics._reservoir import Reservoir
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_real
from reservoir.weights._draw import (
    bias_weights,
    check_input_scaling,
    check_scaling,
    input_weights,
    recurrent_weights,
)
from reservoir.weights._topologies import FIXED_TOPOLOGIES

CARRIES = ("leak", "euler", "cycle", "permutation", "orthogonal")


class Seeds(NamedTuple):
    """The independent seeds of one reservoir: of W, W_in, b, W_fb, and of the training noise."""

    recurrent: np.random.SeedSequence
    input: np.random.SeedSequence
    bias: np.random.SeedSequence
    feedback: np.random.SeedSequence
    noise: np.random.SeedSequence


def reservoir_seeds(random_state: Any) -> Seeds:
    """Return the seeds that one `random_state` is split into.

    A new kind of weights gets a seed after these: the others then stay what they are.
    """
    return Seeds(*seed_sequence(random_state).spawn(len(Seeds._fields)))


def layer_seeds(random_state: Any, n_layers: int) -> list[Seeds]:
    """Return the seeds of each layer: of the first those of a single reservoir.

    A further layer leaves the seeds of those before it as they are.
    """
    root = seed_sequence(random_state)
    n_own = len(Seeds._fields)
    further = root.spawn(n_own + n_layers - 1)[n_own:]
    return [reservoir_seeds(one) for one in (root, *further)]


@dataclass(frozen=True, eq=False, kw_only=True)
class ReservoirRecipe:
    """What the weights of a reservoir are drawn from.

    The values are checked when weights are drawn.

    Parameters
    ----------
    n_units : int
        Number of units.
    spectral_radius : float or None
        Largest absolute eigenvalue that W is scaled to; None leaves it as drawn.
    leak_rate : float or array-like of shape (n_units,)
        Fraction a of the state replaced at each step, in (0, 1].
    input_scaling : float, array-like of shape (n_inputs,) or None
        Scale of W_in, for all inputs or for each; None stands for 0.1, and
        for 0.3 / √n_inputs where there are more than nine.
    bias_scaling : float
        Scale of b.
    connectivity : int or float
        Recurrent connections per unit, or, as a float in (0, 1], the density of W.
    topology : str, array-like, sparse array or callable
        As in `recurrent_weights`.
    distribution : {"uniform", "normal", "signs"}
        What weights are drawn from before they are scaled.
    activation : str or callable
        f, as in `Reservoir`.
    dtype : {"float64", "float32"}
        Of the weights.
    feedback_scaling : float or array-like of shape (n_outputs,), default=0.0
        Scale of W_fb.
    input_connectivity : int, float or None, default=None
        Inputs per unit, or the density of W_in; None connects all inputs to all units.
    carry : {"leak", "euler", "cycle", "permutation", "orthogonal"}, default="leak"
        What goes on of the last state, as in `Reservoir`; the last three draw O.
    diffusion : float, default=0.0
        γ of W - γ I, after W is scaled.

    See Also
    --------
    reservoir.weights.recurrent_weights, reservoir.weights.input_weights

    Examples
    --------
    >>> recipe = ReservoirRecipe(
    ...     n_units=50, spectral_radius=0.9, leak_rate=1.0, input_scaling=1.0, bias_scaling=0.2,
    ...     connectivity=10, topology="random", distribution="uniform", activation="tanh",
    ...     dtype="float64")
    >>> drawn = recipe.draw(3, 0, reservoir_seeds(0))
    >>> drawn.n_units, drawn.n_inputs, drawn.n_outputs
    (50, 3, 0)
    """

    n_units: int
    spectral_radius: float | None
    leak_rate: Any
    input_scaling: Any
    bias_scaling: float
    connectivity: float
    topology: Any
    distribution: str
    activation: Any
    dtype: Any
    feedback_scaling: Any = 0.0
    input_connectivity: float | None = None
    carry: str = "leak"
    diffusion: float = 0.0

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the recipe that the parameters of an estimator describe; others are left out."""
        return cls(**{name: parameters[name] for name in cls.names() if name in parameters})

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the parameters."""
        return [field.name for field in fields(cls)]

    def draw(self, n_inputs: int, n_outputs: int, seeds: Seeds) -> Reservoir:
        """Draw the weights, each kind from a seed of its own.

        Parameters
        ----------
        n_inputs : int
            Columns of W_in.
        n_outputs : int
            Columns of W_fb; 0 for a reservoir without feedback.
        seeds : Seeds
            As of `reservoir_seeds`.

        Returns
        -------
        Reservoir

        Raises
        ------
        ValueError, TypeError
            If a parameter is not as described.
        """
        n_units = check_integer("n_units", self.n_units, minimum=1)
        dtype = np.dtype(check_choice("dtype", self.dtype, ("float32", "float64")))
        shared: dict[str, Any] = {"distribution": self.distribution, "dtype": dtype}
        input_scaling = check_input_scaling(self.input_scaling, n_inputs)
        bias_scaling = check_real("bias_scaling", self.bias_scaling, minimum=0)
        recurrent = recurrent_weights(
            n_units,
            spectral_radius=self.spectral_radius,
            connectivity=self.connectivity,
            topology=self.topology,
            random_state=seeds.recurrent,
            **shared,
        )
        diffusion = check_real("diffusion", self.diffusion, minimum=0)
        if diffusion:
            recurrent = _less_diagonal(recurrent, diffusion)
        inputs = input_weights(
            n_units,
            n_inputs,
            scaling=input_scaling,
            connectivity=self.input_connectivity,
            random_state=seeds.input,
            **shared,
        )
        bias = bias_weights(n_units, scaling=bias_scaling, random_state=seeds.bias, **shared)
        feedback = None
        if n_outputs:
            feedback = input_weights(
                n_units,
                n_outputs,
                scaling=check_scaling(self.feedback_scaling, n_outputs, name="feedback_scaling"),
                random_state=seeds.feedback,
                **shared,
            )
        return Reservoir(
            recurrent=recurrent,
            input=inputs,
            bias=bias,
            feedback=feedback,
            leak_rate=_as_leak_rate(self.leak_rate, dtype),
            activation=self.activation,
            carry=_draw_carry(self.carry, n_units, dtype, seeds.recurrent),
        )


def _less_diagonal(recurrent: Any, diffusion: float) -> Any:
    """Return W - γ I, sparse or dense as W is."""
    n_units, dtype = recurrent.shape[0], recurrent.dtype
    if not issparse(recurrent):
        return recurrent - dtype.type(diffusion) * np.eye(n_units, dtype=dtype)
    less = csr_array(recurrent - diffusion * eye_array(n_units, format="csr"), dtype=dtype)
    less.sort_indices()
    return less


def _draw_carry(
    carry: Any, n_units: int, dtype: np.dtype[Any], seed: np.random.SeedSequence
) -> Any:
    """Return what `Reservoir` takes: a name, a permutation, or an orthogonal matrix."""
    kind = check_choice("carry", carry, CARRIES)
    if kind not in FIXED_TOPOLOGIES:
        return kind
    # A child of the seed of W: another seed for all would change those of further layers.
    own = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 0))
    matrix = FIXED_TOPOLOGIES[kind](n_units, np.random.default_rng(own))
    if kind == "orthogonal":
        return matrix.astype(dtype)
    # One source a unit; a single unit is its own.
    return csr_array(matrix).indices.astype(np.int64)


def has_feedback(feedback_scaling: Any) -> bool:
    """Tell whether outputs are fed back: where some scale is not 0."""
    return bool(np.any(np.asarray(feedback_scaling) != 0))


def _as_leak_rate(leak_rate: Any, dtype: np.dtype[Any]) -> float | Array:
    """Return a number, or an array of the reservoir's dtype; their values are checked later."""
    if np.ndim(leak_rate) == 0:
        return check_real("leak_rate", leak_rate, minimum=0, maximum=1, exclusive=True)
    try:
        return np.array(leak_rate, dtype=dtype)  # a copy: later changes don't reach it
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`leak_rate` can't be read as numbers ({error}). Pass a number, or one per unit."
        ) from error
