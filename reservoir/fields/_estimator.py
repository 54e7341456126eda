"""Local reservoirs for a field: small patches, each with a halo of its neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from reservoir.dynamics._bounds import OUTPUT_LIMIT
from reservoir.estimators._base import ReservoirEstimator
from reservoir.estimators._one_step import input_sources
from reservoir.estimators._sequence_regressor import SequenceRegressor
from reservoir.fields._fold import fold_patches, solve_patches
from reservoir.fields._free import run_fields_free
from reservoir.fields._patches import Patches
from reservoir.harvest._map import final_states, map_sequences
from reservoir.readout._accumulator import RidgeAccumulator
from reservoir.readout._features import FeatureMap, Readout
from reservoir.readout._solve import RidgeSolution, check_alphas, solve_ridge
from reservoir.sequences._names import column_names
from reservoir.sequences._reading import SequenceReader
from reservoir.utils.persistence import register
from reservoir.utils.threads import with_few_threads
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Array, Floats
from reservoir.utils.validation import check_choice, check_integer

register(Patches)


# Patches whose sums are held at a time by one worker: as many as the compiled loop takes side by
# side in float64.
_PATCHES_PER_JOB = 16


def _as_tuple(value: Any) -> Any:
    """Return a value that does not change with a list that was passed."""
    return tuple(value) if isinstance(value, list) else value


class LocalESNRegressor(SequenceRegressor, ReservoirEstimator):
    r"""Echo state networks side by side, each for a patch of a field on a ring or a grid.

    A large field is not one reservoir's work: what happens at a site depends, for a step, on its
    neighbourhood only. So the field is cut into patches, and the reservoir of each is driven by
    the patch and a halo on both of its sides, or all round it [1]_:

    .. math::

        x_p[t] &= (1 - a)\, x_p[t-1] + a\, f(W x_p[t-1] + W_\mathrm{in} v_p[t] + b) \\
        y_p[t] &= W_{\mathrm{out}, p}\, [v_p[t]; x_p[t]; x_p[t]^2] + c_p

    with v_p[t] the sites of patch p and of its halo. In `forecast` all patches advance by one
    step, then the halos are exchanged. The random weights W, W_in and b are the same for all
    patches; so is the learned readout where `shared`.

    Columns of `X` are the sites in their order round the ring, those of a grid row by row, and
    of each site its variables, where it has several: ``values.reshape(n_steps, -1)`` of values
    (n_steps, n_rows, n_columns, n_channels). Rows of `X` are steps, in time order; several
    sequences come as in `ESNRegressor`. `y` is another field on the same sites: for forecasts
    that of the next step, as in ``fit(field[:-1], field[1:])``.

    Read more in the guide: :doc:`/guide/fields`.

    Parameters
    ----------
    n_units : int, default=500
        Units of the reservoir of a patch.
    patch_size : int or (int, int), default=8
        Sites whose next values a patch learns; a divisor of the number of sites. On a grid its
        rows and columns, one number for both or two.
    overlap : int or (int, int), default=6
        Sites that a patch sees beyond its own, on each side; about as far as anything travels
        in a few steps. On a grid above and below, and left and right; the corners are seen, too.
    grid_shape : (int, int) or None, default=None
        Rows and columns of the grid that the sites lie on; without it, they are a ring.
    periodic : bool or (bool, bool), default=True
        Whether the last site is the neighbour of the first; on a grid one for the rows, whether
        the lowest is above the first, and one for the columns. Where not, patches at the edge see
        zeros beyond it: with a shared readout, which can hardly tell an edge from a field of
        zeros, the law should hold there, too, with zeros outside.
    n_channels : int, default=1
        Variables of each site.
    shared : bool, default=True
        Whether all patches have one readout, learned from the rows of all of them: for a law
        that is the same everywhere, it needs so many times fewer steps. Otherwise each patch
        learns its own, for laws that differ from place to place.
    spectral_radius, leak_rate, input_scaling, bias_scaling, connectivity, topology
        As in `ESNRegressor`; the input channels are the `patch_size` + 2 `overlap` sites that a
        patch sees, or all variables of such a rectangle.
    distribution, activation, washout, include_input, include_squares
        As in `ESNRegressor`.
    alpha : float or array-like of shape (n_alphas,), default=1e-6
        Ridge penalty α ‖W_out‖² beside the summed squared error; of several, the one with the
        lowest generalised cross-validation score is taken, by each readout for itself.
    fit_intercept, solver, output_limit, dtype, random_state
        As in `ESNRegressor`.
    n_jobs : int or None, default=None
        Workers among which the patches are spread while learning, as in joblib.
    verbose : bool, default=False
        Whether learning shows a progress bar, which counts the steps of each patch.

    Attributes
    ----------
    reservoir_ : Reservoir
        The weights and what else defines the recurrence of each patch.
    patches_ : Patches
        What each patch sees and owns.
    coef_ : ndarray of shape (n_owned, n_columns) or (n_patches, n_owned, n_columns)
        W_out, for the columns [v; x; x²] as far as they are included; one per patch unless shared.
        A patch owns `patch_size` sites, or all variables of a rectangle of them.
    intercept_ : ndarray of shape (n_owned,) or (n_patches, n_owned)
        c.
    alpha_ : float or ndarray of shape (n_patches,)
        The penalty taken.
    alpha_scores_ : ndarray of shape (n_alphas,) or (n_patches, n_alphas)
        Mean squared error estimated for each alpha; only where there were several.
    solver_ : {"gram", "qr"} or list of these
        What the readout, or that of each patch, was solved from.
    last_state_ : ndarray of shape (n_patches, n_units)
        States after the last training step.
    last_output_ : ndarray of shape (n_features,)
        Target of the last training step.
    output_range_, output_bounds_ : ndarray of shape (2, n_features)
        Smallest and largest target of each column, and what a forecast may take.
    n_outputs_, n_features_in_ : int
        Number of columns: sites times `n_channels`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had string column names.

    See Also
    --------
    ESNRegressor : One reservoir for all channels.
    reservoir.datasets.kuramoto_sivashinsky : A field on a ring.

    Notes
    -----
    In [1]_ each patch has random weights of its own; sharing them costs nothing that was seen
    here, and lets all patches be columns of the same products, with or without a shared readout.

    References
    ----------
    .. [1] Pathak, Hunt, Girvan, Lu & Ott (2018), Model-free prediction of large spatiotemporally
       chaotic systems from data: a reservoir computing approach, Phys. Rev. Lett. 120, 024102.

    Examples
    --------
    A bump that travels round a ring of 12 sites, forecast for one round:

    >>> import numpy as np
    >>> from reservoir import LocalESNRegressor
    >>> sites, steps = np.arange(12), np.arange(200)[:, None]
    >>> field = np.exp(np.cos(2 * np.pi * (sites - steps / 2) / 12))
    >>> esn = LocalESNRegressor(n_units=30, patch_size=3, overlap=2, washout=20, random_state=0)
    >>> esn = esn.fit(field[:150], field[1:151])
    >>> bool(abs(esn.forecast(24) - field[151:175]).max() < 0.01)
    True
    """

    def __init__(
        self,
        n_units: int = 500,
        *,
        patch_size: int | tuple[int, int] = 8,
        overlap: int | tuple[int, int] = 6,
        grid_shape: tuple[int, int] | None = None,
        periodic: bool | tuple[bool, bool] = True,
        n_channels: int = 1,
        shared: bool = True,
        spectral_radius: float | None = 0.9,
        leak_rate: float | ArrayLike = 1.0,
        input_scaling: float | ArrayLike = 1.0,
        bias_scaling: float = 0.2,
        connectivity: float = 10,
        topology: Any = "random",
        distribution: str = "uniform",
        activation: str | Callable[[Array], Array] = "tanh",
        washout: int = 0,
        include_input: bool = True,
        include_squares: bool = False,
        alpha: float | ArrayLike = 1e-6,
        fit_intercept: bool = True,
        solver: Literal["auto", "gram", "qr"] = "auto",
        output_limit: float | None = OUTPUT_LIMIT,
        dtype: Literal["float64", "float32"] = "float64",
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_units = n_units
        self.patch_size = patch_size
        self.overlap = overlap
        self.grid_shape = grid_shape
        self.periodic = periodic
        self.n_channels = n_channels
        self.shared = shared
        self.spectral_radius = spectral_radius
        self.leak_rate = leak_rate
        self.input_scaling = input_scaling
        self.bias_scaling = bias_scaling
        self.connectivity = connectivity
        self.topology = topology
        self.distribution = distribution
        self.activation = activation
        self.washout = washout
        self.include_input = include_input
        self.include_squares = include_squares
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.output_limit = output_limit
        self.dtype = dtype
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    patches_: Patches
    last_output_: Array

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = False
        return tags

    @transaction()
    @with_few_threads
    def fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Draw a reservoir, drive it with each patch of `X`, and learn the readouts of `y`.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_features), list of such, 3-D array, or panel
            Fields; see the class for their columns and for several sequences.
        y : array-like of shape (n_steps, n_features), or as `X` several of them
            Targets, one field a step.
        groups : array-like of shape (n_steps,), optional
            Label of the sequence that each row of a 2-D `X` belongs to; contiguous.
        lengths : array-like of int of shape (n_sequences,), optional
            Steps of each sequence of a 2-D `X`; not for cross-validation, which does not cut it.

        Returns
        -------
        LocalESNRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument is not as described; the message says which.
        """
        inputs, targets, _, layout, self._y_is_1d = self._reader().training(
            X, y, groups, lengths, None
        )
        self._check_washout(layout.lengths)
        alphas = check_alphas(self.alpha, name="alpha")
        check_choice("solver", self.solver, ("auto", "gram", "qr"))
        n_features = inputs[0].shape[1]
        if targets[0].shape[1] != n_features or self._y_is_1d:
            columns = "sites" if self.n_channels == 1 else "columns"
            shape = "(n_steps,)" if self._y_is_1d else f"(n_steps, {targets[0].shape[1]})"
            raise ValueError(
                f"`y` has shape {shape}, but `X` has {n_features} {columns}, and `y` is a field "
                f"on the same. Pass one column per {columns[:-1]}, in the order of those of `X`."
            )
        names = column_names(y) or ()
        places = input_sources(
            getattr(self, "feature_names_in_", ()), names, n_features, n_features
        )
        if not np.array_equal(places, np.arange(n_features)):
            raise ValueError(
                "`y` has the columns of `X` in another order, but they are sites in order, and "
                "`y` is a field on the same. Pass them in the order of those of `X`."
            )
        self.patches_ = self._cut(n_features)
        self.reservoir_ = self._draw_reservoir(self.patches_.width)
        self.n_outputs_ = n_features
        self.last_output_ = targets[-1][-1].astype(self.reservoir_.dtype)
        self._begin_range(n_features)
        self._ends_panel = len(inputs) > 1
        self._take_range(targets)
        self._learn(inputs, targets, alphas)
        return self

    def _cut(self, n_features: int) -> Patches:
        """Return the patches that the parameters describe."""
        n_channels = check_integer("n_channels", self.n_channels, minimum=1)
        if n_features % n_channels:
            raise ValueError(
                f"`n_channels` is {n_channels}, but `X` has {n_features} columns, which are not as "
                "many for each site. Pass the number of variables of a site."
            )
        return Patches(
            n_features // n_channels,
            _as_tuple(self.patch_size),
            _as_tuple(self.overlap),
            grid_shape=_as_tuple(self.grid_shape),
            periodic=_as_tuple(self.periodic),
            n_channels=n_channels,
        )

    def _reader(self) -> SequenceReader:
        return replace(super()._reader(), has_many_columns=True)

    @with_few_threads
    def predict(
        self, X: Any, groups: ArrayLike | None = None, lengths: ArrayLike | None = None
    ) -> Any:
        """Return the output field for each step of `X`, from the zero state on.

        Parameters
        ----------
        X, groups, lengths
            As in `fit`.

        Returns
        -------
        ndarray or list of ndarray
            In the form of `X`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what the model was fitted with.
        """
        check_is_fitted(self, "coef_")
        inputs, layout = self._reader().inputs(X, groups, lengths)
        readouts = self._readouts()
        if len(readouts) == 1:
            readouts = readouts * self.patches_.n_patches
        outputs = []
        for field in inputs:
            seen = self.patches_.seen(field)
            outputs.append(self.patches_.joined(map_sequences(self.reservoir_, readouts, seen)))
        return layout.restore(np.concatenate(outputs), getattr(self, "feature_names_in_", None))

    @with_few_threads
    def forecast(self, n_steps: int, X: Any = None) -> Any:
        """Continue a field by feeding the forecasts of all patches back to all patches.

        For models trained one step ahead, on `fit(field[:-1], field[1:])`.

        Parameters
        ----------
        n_steps : int
            Steps to forecast.
        X : array-like of shape (n_context, n_features), list of such, or 3-D array, optional
            Context that is to be continued: it drives the reservoirs, from the zero state, and
            the forecast begins at the step after its last row. Without it, the forecast goes on
            from the last training target.

        Returns
        -------
        ndarray of shape (n_steps, n_features), or one per sequence in the form of `X`

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `X` does not match what the model was fitted with.
        DivergenceError
            If a forecast leaves the range of the training targets by more than `output_limit`.
            The error names sequence and step, and its `outputs` holds what came before and the
            whole forecasts of other sequences.
        """
        check_is_fitted(self, "coef_")
        n_steps = check_integer("n_steps", n_steps, minimum=1)
        if X is None:
            self._warn_of_panel()
            with self._shaping_outputs():
                return self._run_free(n_steps, self.last_state_[None], self.last_output_[None])[0]
        contexts, layout = self._reader().inputs(X, None, None)
        seen = [part for context in contexts for part in self.patches_.seen(context[:-1])]
        states = final_states(self.reservoir_, seen)
        states = states.reshape(len(contexts), self.patches_.n_patches, -1)
        fields = np.stack([context[-1] for context in contexts])
        with self._shaping_outputs(X, layout):
            forecasts = list(self._run_free(n_steps, states, fields))
        return self._restore_forecasts(forecasts, layout)

    def _check_lengths(self, lengths: Sequence[int]) -> None:
        self._check_washout(lengths)

    def _learn(self, inputs: list[Array], targets: list[Array], alphas: Floats) -> None:
        """Fold what all patches see, in parallel where asked, and solve for the readouts."""
        # By patch, and of each patch the sequences in order.
        seen = list(zip(*(self.patches_.seen(field) for field in inputs), strict=True))
        owned = list(zip(*(self.patches_.owned(field) for field in targets), strict=True))
        n_patches = self.patches_.n_patches
        n_workers = min(effective_n_jobs(self.n_jobs), n_patches)
        n_jobs = n_workers if self.shared else max(n_workers, -(-n_patches // _PATCHES_PER_JOB))
        edges = np.linspace(0, n_patches, n_jobs + 1).astype(int)
        settings: dict[str, Any] = {
            "washout": int(self.washout),
            "progress": bool(self.verbose),
        }
        feature_map = self._feature_map()
        new_accumulator = partial(
            RidgeAccumulator,
            feature_map.n_columns(self.reservoir_.n_units, self.reservoir_.n_inputs),
            self.patches_.n_owned,
            solver=self.solver,
            smallest_alpha=float(alphas.min()),
            keeps_few=alphas.ndim > 0,
        )
        learn: Callable[..., Any] = fold_patches
        if not self.shared:
            learn = solve_patches
            settings |= {"alphas": alphas, "fit_intercept": bool(self.fit_intercept)}
        learned = Parallel(n_jobs=n_workers)(
            delayed(learn)(
                self.reservoir_, feature_map, seen[a:b], owned[a:b], new_accumulator, **settings
            )
            for a, b in itertools.pairwise(edges)
        )
        self.last_state_ = np.concatenate([last_states for _, last_states in learned])
        found = [item for items, _ in learned for item in items]
        if self.shared:
            total = found[0]
            for part in found[1:]:
                total.merge(part)
            found = [solve_ridge(total, alphas, fit_intercept=bool(self.fit_intercept))]
        self._keep_all(found)

    def _keep_all(self, solutions: list[RidgeSolution]) -> None:
        """Make the solution of all patches, or those of each, the readouts."""

        def together(values: list[Any]) -> Any:
            return values[0] if self.shared else np.array(values)

        self.coef_ = together([solution.coef for solution in solutions])
        self.intercept_ = together([solution.intercept for solution in solutions])
        self.alpha_ = together([solution.alpha for solution in solutions])
        solvers = [solution.solver for solution in solutions]
        self.solver_ = solvers[0] if self.shared else solvers
        if solutions[0].scores is not None:
            self.alpha_scores_ = together([solution.scores for solution in solutions])

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if hasattr(self, "reservoir_") and (
            self.reservoir_.n_inputs != self.patches_.width
            or self.patches_.n_columns != self.n_features_in_
        ):
            raise ValueError("`reservoir_` and `patches_` do not fit together")

    def _shape_of_readout(self) -> tuple[int, int | None]:
        drawn = self.reservoir_
        n_columns = self._feature_map().n_columns(drawn.n_units, drawn.n_inputs)
        return self.patches_.n_owned, n_columns

    def _feature_map(self) -> FeatureMap:
        return FeatureMap(bool(self.include_input), bool(self.include_squares))

    def _readouts(self) -> list[Readout]:
        """Return the readout of all patches, or that of each."""
        coef, intercept = self._readout_arrays()
        n_units, width = self.reservoir_.n_units, coef.shape[-1]
        return [
            self._feature_map().split(*arrays, n_units)
            for arrays in zip(
                coef.reshape(-1, self.patches_.n_owned, width),
                intercept.reshape(-1, self.patches_.n_owned),
                strict=True,
            )
        ]

    def _run_free(self, n_steps: int, states: Array, fields: Array) -> Array:
        return run_fields_free(
            self.reservoir_,
            self._readouts(),
            self.patches_,
            n_steps,
            states,
            fields,
            output_bounds=self._bounds,
        )
