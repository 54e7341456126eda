"""Echo state networks of several reservoirs: stacked (deep) or side by side (grouped)."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from reservoir.architectures import group_reservoirs, stack_reservoirs
from reservoir.dynamics._bounds import OUTPUT_LIMIT
from reservoir.dynamics._recipe import ReservoirRecipe, layer_seeds
from reservoir.dynamics._reservoir import Reservoir
from reservoir.estimators._esn import ESNRegressor
from reservoir.plasticity import IntrinsicPlasticity
from reservoir.readout._solve import USUAL_ALPHAS
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer

# What each layer may have of its own.
_PER_LAYER = ("n_units", "spectral_radius", "leak_rate", "input_scaling", "bias_scaling")


_USUAL_LAYERS = 3


class LayeredESNRegressor(ESNRegressor):
    r"""Echo state network of several reservoirs, stacked or side by side, with one readout.

    With ``arrangement="deep"`` the input drives the first layer, and the states of the layer
    below every other one, one step later,

    .. math:: x_l[t] = (1 - a_l)\, x_l[t-1] + a_l f(W_l x_l[t-1] + V_l x_{l-1}[t-1] + b_l),

    while with ``"grouped"`` the input u[t] drives all of them [1]_. The readout
    y[t] = W_out [u[t]; x₁[t]; x₂[t]; ...] + c sees all layers. Together they are one reservoir
    with a W of blocks, so that everything an `ESNRegressor` does goes on as before.

    Read more in the guide: :doc:`/guide/architectures`.

    Parameters
    ----------
    n_units : int or list of int of length n_layers, default=100
        Units of each layer. This, and what else may be a list, is one for all layers, or one per
        layer.
    n_layers : int or None, default=None
        Layers on top of each other, or side by side; None stands for as many as a list has
        entries, and for 3 where there is no list.
    arrangement : {"deep", "grouped"}, default="deep"
        Whether the layer below drives a layer, or the input.
    spectral_radius : float, None or list of these of length n_layers, default=0.9
        Of each W_l.
    leak_rate : float or list of float of length n_layers, default=1.0
        a_l. An entry of the list may itself be an array with one rate for each unit.
    input_scaling : float, None or list of these of length n_layers, default=None
        Scale of the weights V_l of what drives a layer: the input, or the layer below. None stands
        for the default of `ESNRegressor` where that is the input, and for 1 where it is the layer
        below. An entry of the list may itself be an array with one scale per channel.
    bias_scaling : float or list of float of length n_layers, default=0.2
        Scale of b_l.
    connectivity : int or float, default=10
        Incoming connections of a unit, or their density: as many from its own layer as, in the
        deep arrangement, from the layer below (there, all at most). The input reaches all units.
    topology, distribution, activation, plasticity
        Of each layer, as in `ESNRegressor`.
    feedback_scaling : float or array-like of shape (n_outputs,), default=0.0
        As in `ESNRegressor`; the output is fed back to all layers.
    noise, feedback_noise, washout, include_input, include_squares
        As in `ESNRegressor`.
    alpha, alpha_cv, alpha_per_target, fit_intercept, solver, missing, output_limit
        As in `ESNRegressor`.
    target_per, pooling
        As in `ESNRegressor`.
    dtype, device, random_state, n_jobs, verbose
        As in `ESNRegressor`. The first layer is the reservoir that `ESNRegressor` draws, and a
        further layer leaves those before it as they are.

    Attributes
    ----------
    reservoir_ : Reservoir
        All layers as one reservoir.
    layers_ : list of slice
        Where the units of each layer stand in a state of `reservoir_`.
    coef_, intercept_, alpha_, alpha_scores_, solver_
        As in `ESNRegressor`.
    last_state_, last_output_, output_range_, output_bounds_
        As in `ESNRegressor`.
    n_outputs_, n_sequences_seen_, device_
        As in `ESNRegressor`.
    n_features_in_, feature_names_in_
        As in `ESNRegressor`.

    See Also
    --------
    reservoir.architectures.stack_reservoirs : How a deep reservoir becomes one.
    ESNRegressor : With one reservoir.

    Notes
    -----
    In the usual definition of a deep reservoir, the state x_{l-1}[t] of the same step drives
    a layer. Here a signal takes one step per layer: layer l goes through the same states, l - 1
    steps later; see `stack_reservoirs`.

    References
    ----------
    .. [1] Gallicchio, Micheli & Pedrelli (2017), Deep reservoir computing: a critical experimental
       analysis, Neurocomputing 268, section 3.

    Examples
    --------
    Three layers, each slower than the one below:

    >>> import numpy as np
    >>> from reservoir import LayeredESNRegressor
    >>> series = np.sin(0.2 * np.arange(1001))[:, None]
    >>> esn = LayeredESNRegressor(50, leak_rate=[1.0, 0.5, 0.2], washout=50, random_state=0)
    >>> esn = esn.fit(series[:-1], series[1:])
    >>> future = np.sin(0.2 * np.arange(1001, 1101))[:, None]
    >>> bool(abs(esn.forecast(100) - future).max() < 0.01)
    True
    >>> esn.layers_
    [slice(0, 50, None), slice(50, 100, None), slice(100, 150, None)]
    """

    def __init__(
        self,
        n_units: Any = 100,
        *,
        n_layers: int | None = None,
        arrangement: Literal["deep", "grouped"] = "deep",
        spectral_radius: Any = 0.9,
        leak_rate: Any = 1.0,
        input_scaling: Any = None,
        bias_scaling: Any = 0.2,
        connectivity: float = 10,
        topology: Any = "random",
        distribution: str = "uniform",
        activation: str | Callable[[Array], Array] = "tanh",
        plasticity: IntrinsicPlasticity | None = None,
        feedback_scaling: float | ArrayLike = 0.0,
        noise: float = 0.0,
        feedback_noise: float = 0.0,
        washout: int = 0,
        include_input: bool = True,
        include_squares: bool = False,
        alpha: float | ArrayLike = USUAL_ALPHAS,
        alpha_cv: int | Literal["auto"] | None = "auto",
        alpha_per_target: bool = False,
        fit_intercept: bool = True,
        solver: Literal["auto", "gram", "qr"] = "auto",
        missing: Literal["raise", "hold"] = "raise",
        output_limit: float | None = OUTPUT_LIMIT,
        target_per: Literal["auto", "step", "sequence"] = "auto",
        pooling: Literal["mean", "last"] | int = "mean",
        dtype: Literal["float64", "float32"] = "float64",
        device: Literal["cpu", "cuda", "auto"] = "cpu",
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            n_units,
            spectral_radius=spectral_radius,
            leak_rate=leak_rate,
            input_scaling=input_scaling,
            bias_scaling=bias_scaling,
            connectivity=connectivity,
            topology=topology,
            distribution=distribution,
            activation=activation,
            plasticity=plasticity,
            feedback_scaling=feedback_scaling,
            noise=noise,
            feedback_noise=feedback_noise,
            washout=washout,
            include_input=include_input,
            include_squares=include_squares,
            alpha=alpha,
            alpha_cv=alpha_cv,
            alpha_per_target=alpha_per_target,
            fit_intercept=fit_intercept,
            solver=solver,
            missing=missing,
            output_limit=output_limit,
            target_per=target_per,
            pooling=pooling,
            dtype=dtype,
            device=device,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.n_layers = n_layers
        self.arrangement = arrangement

    _layer_sizes: list[int]

    def _draw_reservoir(self, n_inputs: int, n_outputs: int = 0) -> Reservoir:
        """Draw each layer from a recipe of its own, and make one reservoir of them."""
        n_layers = self._n_layers()
        is_deep = check_choice("arrangement", self.arrangement, ("deep", "grouped")) == "deep"
        recipes = self._recipes(n_layers)
        seeds = layer_seeds(self.random_state, n_layers)
        layers: list[Reservoir] = []
        for recipe, own_seeds in zip(recipes, seeds, strict=True):
            n_columns = n_inputs
            if is_deep and layers:
                n_columns = layers[-1].n_units
                recipe = replace(recipe, input_connectivity=_at_most(self.connectivity, n_columns))
                if recipe.input_scaling is None:
                    recipe = replace(recipe, input_scaling=1.0)
            layers.append(recipe.draw(n_columns, n_outputs, own_seeds))
        self._noise_seed = seeds[0].noise
        self._layer_sizes = [layer.n_units for layer in layers]
        return stack_reservoirs(layers) if is_deep else group_reservoirs(layers)

    def _n_layers(self) -> int:
        """Return `n_layers`, or what the parameters with an entry for each layer say."""
        if self.n_layers is not None:
            return check_integer("n_layers", self.n_layers, minimum=1)
        counts = [len(value) for name in _PER_LAYER if _is_list(value := getattr(self, name))]
        return counts[0] if counts else _USUAL_LAYERS

    def _recipes(self, n_layers: int) -> list[ReservoirRecipe]:
        """Return the recipe of each layer."""
        own = {name: _per_layer(name, getattr(self, name), n_layers) for name in _PER_LAYER}
        return [
            replace(self._recipe(), **{name: values[index] for name, values in own.items()})
            for index in range(n_layers)
        ]

    @property
    def layers_(self) -> list[slice]:
        """Where the units of each layer stand in a state of `reservoir_`."""
        bounds = itertools.accumulate(self._layer_sizes, initial=0)
        return list(itertools.starmap(slice, itertools.pairwise(bounds)))


def _at_most(connectivity: Any, n_columns: int) -> Any:
    """Return a number of connections that so many columns allow; a density stays as it is."""
    is_number = isinstance(connectivity, numbers.Integral)
    return min(connectivity, n_columns) if is_number else connectivity


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or np.ndim(value) > 0


def _per_layer(name: str, value: Any, n_layers: int) -> list[Any]:
    """Return one value for each layer, given that or one for all."""
    if not _is_list(value):
        return [value] * n_layers
    if len(value) != n_layers or not n_layers:
        raise ValueError(
            f"`{name}` has {len(value)} entries, but there are {n_layers} layers, by `n_layers` or "
            "by another list. Pass one entry for each layer, or a single one for all."
        )
    return list(value)
