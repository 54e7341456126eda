"""The base of all online learners: a linear map, checks of rows, and one way to update it."""

from __future__ import annotations

import functools
import importlib
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reservoir.dynamics._reservoir import DivergenceError
from reservoir.readout._rows import check_rows, raise_if_not_finite
from reservoir.utils.persistence import require_array
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_choice, check_flag, check_integer

# Rows that are learned by one call of a kernel, and copied where they are not of its kind.
_PIECE = 256


class Learner:
    """A linear map y = W s + c that learns from rows as they come.

    The protocol of all online learners: `update` with one row or a block of them, in any split,
    and `predict`. `RecursiveLeastSquares` and `LeastMeanSquares` are the two.

    Parameters
    ----------
    n_features, n_targets : int
        Features and targets per row.
    fit_intercept : bool
        Whether there is a c.
    engine : {"auto", "numpy", "numba"}
        Which code runs.

    Attributes
    ----------
    coef : ndarray of shape (n_targets, n_features)
        W.
    intercept : ndarray of shape (n_targets,)
        c.
    n_rows : int
        Rows learned from.
    """

    # Whether it comes from a pickle or a file, whose arrays may be mapped, and read-only.
    _was_read = False

    def __init__(
        self, n_features: int, n_targets: int, *, fit_intercept: bool, engine: str
    ) -> None:
        self.n_features = check_integer("n_features", n_features, minimum=1)
        self.n_targets = check_integer("n_targets", n_targets, minimum=1)
        self.fit_intercept = check_flag("fit_intercept", fit_intercept)
        self.engine = check_choice("engine", engine, ("auto", "numpy", "numba"))
        if engine == "numba":
            load_kernels(engine)
        self.n_rows = 0
        self.coef: Floats = np.zeros((self.n_targets, self.n_features))
        # The map is y = d + W (s - m): m and d are where the rows are centred.
        self._feature_mean: Floats = np.zeros(self.n_features)
        self._target_mean: Floats = np.zeros(self.n_targets)
        self._total: Floats = np.zeros(1)

    def check_loaded(self) -> None:
        """Raise ValueError unless the arrays read from a file are those that kernels expect."""
        check_integer("n_features", self.n_features, minimum=1)
        check_integer("n_targets", self.n_targets, minimum=1)
        check_integer("n_rows", self.n_rows)
        check_choice("engine", self.engine, ("auto", "numpy", "numba"))
        for name, shape in self._shapes().items():
            require_array(name, vars(self)[name], shape)
            if vars(self)[name].dtype != np.float64:
                raise ValueError(f"`{name}` is {vars(self)[name].dtype}, not float64")

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays, all of float64."""
        return {
            "coef": (self.n_targets, self.n_features),
            "_feature_mean": (self.n_features,),
            "_target_mean": (self.n_targets,),
            "_total": (1,),
        }

    @property
    def intercept(self) -> Floats:
        """c, as it is now."""
        return np.asarray(self._target_mean - self.coef @ self._feature_mean)

    def predict(self, features: ArrayLike) -> Floats:
        """Return the outputs for rows of features.

        Parameters
        ----------
        features : array-like of shape (n_rows, n_features)
            s.

        Returns
        -------
        ndarray of shape (n_rows, n_targets)
        """
        features = np.asarray(features)
        features, _, _ = check_rows(
            features, np.empty((len(features), 0)), None, self.n_features, 0
        )
        return self.map_rows(features)

    def map_rows(self, features: NDArray[Any]) -> Floats:
        """Do what `predict` does, on an array that was checked."""
        return np.asarray((features - self._feature_mean) @ self.coef.T + self._target_mean)

    def update(
        self, features: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Floats:
        """Learn from rows, one after the other; any split into calls gives the same, bit for bit.

        Parameters
        ----------
        features : array-like of shape (n_rows, n_features)
            s.
        targets : array-like of shape (n_rows, n_targets)
            y.
        sample_weight : array-like of shape (n_rows,), optional
            Weight v of each row's squared error.

        Returns
        -------
        ndarray of shape (n_rows, n_targets)
            The output for each row before it was learned from: an honest test of a model that
            goes with the time.

        Raises
        ------
        ValueError, TypeError
            If shapes do not fit, or a number is NaN, infinite or too large to be squared.
        DivergenceError
            If an output is not finite, as those of a too large learning rate become.
        """
        features, targets, sample_weight = check_rows(
            features, targets, sample_weight, self.n_features, self.n_targets
        )
        raise_if_not_finite(features=features, targets=targets)
        if sample_weight is None:
            sample_weight = np.ones(len(features))
        targets = targets.astype(np.float64, copy=False)
        outputs = np.empty(targets.shape)
        self.update_rows(features, targets, sample_weight, outputs)
        return outputs

    def update_rows(
        self, features: NDArray[Any], targets: Floats, weights: Floats, outputs: Floats
    ) -> None:
        """Do what `update` does, on arrays that were checked; the outputs are written.

        Parameters
        ----------
        features : ndarray of shape (n_rows, n_features), float32 or float64
            s.
        targets : ndarray of shape (n_rows, n_targets)
            y.
        weights : ndarray of shape (n_rows,)
            v.
        outputs : ndarray of shape (n_rows, n_targets)
            Overwritten.
        """
        if self._was_read:
            self._own_arrays()
        first = self.n_rows
        for start in range(0, len(features), _PIECE):
            rows = slice(start, start + _PIECE)
            piece = _of_one_kind(features[rows])
            learned = self._learn(
                piece, _of_one_kind(targets[rows]), _of_one_kind(weights[rows]), outputs[rows]
            )
            self.n_rows += learned
            if learned < len(piece):
                break
        done = self.n_rows - first
        if done < len(features):
            raise ValueError(
                f"`features` row {done} is too large to be squared, but numbers well below 1e150 "
                "were expected. Scale the features."
            )
        if done and not is_finite(outputs[-1]):
            step = int(np.argmin(np.isfinite(outputs).all(axis=1)))
            raise DivergenceError(
                f"The output for row {first + step} is not finite, but finite numbers were "
                "expected. Lower `learning_rate`, or scale features and targets.",
                step,
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._was_read = True

    def _own_arrays(self) -> None:
        """Put copies in the place of arrays that can't be written, since learning is in place."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and not value.flags.writeable:
                setattr(self, name, np.array(value))
        self._was_read = False

    def _learn(
        self, features: NDArray[Any], targets: Floats, weights: Floats, outputs: Floats
    ) -> int:
        """Learn the rows, write the outputs before learning, and return how many rows it took."""
        raise NotImplementedError

    def _kernel(self, name: str) -> Any:
        """Return the compiled twin, or None where it is not wanted or not there."""
        kernels = load_kernels(self.engine)
        return None if kernels is None else getattr(kernels, name)


def _of_one_kind(part: NDArray[Any]) -> Floats:
    """Return `part`, or a copy, as what kernels are compiled for: they are for each new kind."""
    if part.flags.carray and part.dtype == np.float64:
        return part
    return np.require(part, np.float64, ["C", "W"])


def is_finite(values: NDArray[np.floating]) -> bool:
    """Whether there is neither NaN nor infinity; for few values, where NumPy's call costs most."""
    return math.isfinite(sum(values.ravel().tolist())) or bool(np.isfinite(values).all())


@functools.cache
def load_kernels(engine: str) -> Any:
    """Return the module of compiled kernels, or None."""
    if engine == "numpy":
        return None
    try:
        # Here, not at the top: importing numba takes longer than many a run.
        return importlib.import_module("reservoir.online._kernels")
    except ImportError as error:
        if engine == "auto":
            return None
        raise ImportError(
            "`engine` is 'numba', but numba cannot be imported. Install the extra `fast`, or use "
            'engine="auto".'
        ) from error
