"""Recursive least squares: a ridge readout kept up to date row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from reservoir.online._learner import Learner
from reservoir.utils.explained import explained
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_integer, check_real

# How far a coefficient's penalty may fade before it is topped up: two decades, so that one top-up
# a row will do while the memory 1 / (1 - forgetting) is no shorter than a fifth of the columns.
_FADED = 0.01


@explained
class RecursiveLeastSquares(Learner):
    r"""Ridge regression that learns row by row, and may forget.

    After t rows its coefficients W and intercept c are those that minimise

    .. math::

        \sum_i \lambda^{t-i} v_i \lVert y_i - W s_i - c \rVert^2 + \sum_k p_k \lVert W_k \rVert^2,

    with W_k the coefficients of feature k. Without forgetting (λ = 1) every p_k is α: this is
    ridge regression, the intercept not penalised. With λ < 1 the past counts less and less, and
    with the past a penalty on it would fade too, after which whatever the input does not excite
    grows beyond bounds (wind-up). So each p_k, once faded, is set back to α, the coefficients
    taking turns [1]_: α/100 <= p_k <= α.

    What is kept is not the inverse P of the normal equations but a square root of it, P = R Rᵀ,
    updated in Potter's form [2]_ [3]_: P is symmetric and positive definite whatever the
    rounding. The intercept is kept by the running means, each row being taken relative to the
    mean of those before it. A row costs O(n_features²).

    Parameters
    ----------
    n_features : int
        Features per row.
    n_targets : int
        Targets per row.
    alpha : float, default=1e-6
        α > 0, in units of the features squared.
    forgetting : float in (0, 1], default=1.0
        λ; the memory is about 1 / (1 - λ) rows.
    fit_intercept : bool, default=True
        Whether there is a c; without it, c = 0.
    engine : {"auto", "numpy", "numba"}, default="auto"
        "auto" takes the compiled kernel where numba is installed. Both give the same to rounding.

    Attributes
    ----------
    coef : ndarray of shape (n_targets, n_features)
        W, as it is now; a view.
    intercept : ndarray of shape (n_targets,)
        c, as it is now.
    n_rows : int
        Rows learned from.
    penalties : ndarray of shape (n_features,)
        p_k, as they are now.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.

    References
    ----------
    .. [1] Gunnarsson (1996), Combining tracking and regularization in recursive least squares
       identification, Proc. 35th IEEE Conference on Decision and Control, 2551-2552.
    .. [2] Bierman (1977), Factorization Methods for Discrete Sequential Estimation, section II.6
       (Potter's algorithm).
    .. [3] Haykin (2002), Adaptive Filter Theory, 4th edition, chapters 9 and 11.

    Examples
    --------
    >>> import numpy as np
    >>> rls = RecursiveLeastSquares(1, 1, alpha=2.0)
    >>> before = rls.update([[0.0], [1.0], [2.0]], [[5.0], [8.0], [11.0]])
    >>> rls.coef.round(12), rls.intercept.round(12)  # Ridge(alpha=2) on y = 3 s + 5
    (array([[1.5]]), array([6.5]))
    """

    def __init__(
        self,
        n_features: int,
        n_targets: int,
        *,
        alpha: float = 1e-6,
        forgetting: float = 1.0,
        fit_intercept: bool = True,
        engine: str = "auto",
    ) -> None:
        super().__init__(n_features, n_targets, fit_intercept=fit_intercept, engine=engine)
        self.alpha = check_real("alpha", alpha, minimum=0, exclusive=True)
        self.forgetting = check_real("forgetting", forgetting, minimum=0, maximum=1, exclusive=True)
        self.penalties: Floats = np.full(self.n_features, self.alpha)
        self._root: Floats = np.eye(self.n_features) / math.sqrt(self.alpha)
        # What all features taking turns at so many per row leave of a penalty in one round.
        fading = -self.n_features * math.log(self.forgetting)
        turns = math.ceil(fading / -math.log(_FADED))
        self._n_turns = min(turns, self.n_features)

    def check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file is as the kernels expect."""
        super().check_loaded()
        check_real("forgetting", self.forgetting, minimum=0, maximum=1, exclusive=True)
        check_integer("n_turns", self._n_turns, maximum=self.n_features)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n = self.n_features
        return super()._shapes() | {"penalties": (n,), "_root": (n, n)}

    def inverse(self) -> Floats:
        """Return P, the inverse of the penalised, weighted scatter matrix of the features.

        Times the variance of the noise, it is the covariance of the coefficients.

        Returns
        -------
        ndarray of shape (n_features, n_features)
        """
        return np.asarray(self._root @ self._root.T)

    def _learn(
        self, features: NDArray[Any], targets: Floats, weights: Floats, outputs: Floats
    ) -> int:
        learn = self._kernel("learn_least_squares") or _learn_rows
        done: int = learn(
            features,
            targets,
            weights,
            outputs,
            self._root,
            self.penalties,
            self.coef,
            self._feature_mean,
            self._target_mean,
            self._total,
            self.alpha,
            self.forgetting,
            self._n_turns or None,
            self.n_rows * self._n_turns % self.n_features,
            self.fit_intercept,
        )
        return done


@np.errstate(over="ignore", invalid="ignore")
def _learn_rows(
    features: NDArray[Any],
    targets: Floats,
    weights: Floats,
    outputs: Floats,
    root: Floats,
    penalties: Floats,
    coef: Floats,
    feature_mean: Floats,
    target_mean: Floats,
    total: Floats,
    alpha: float,
    forgetting: float,
    n_turns: int | None,
    turn: int,
    fit_intercept: bool,
) -> int:
    """Learn row by row, in place; return how many rows there were before one was out of range.

    `outputs` are those before learning from the row. `total` holds the sum of the weights, faded.
    """
    for t, (row, target, weight) in enumerate(zip(features, targets, weights)):
        difference = row - feature_mean
        outputs[t] = target_mean + coef @ difference
        error = target - outputs[t]
        share = weight
        if fit_intercept:
            # The scatter about the mean grows by that much of the row's, seen from the old mean.
            before = forgetting * total[0]
            share = weight * before / (before + weight) if weight else 0.0
        if not _fold_in(root, coef, difference, error, share, forgetting):
            return t
        if fit_intercept and weight:
            target_mean += weight / (before + weight) * (target - target_mean)
            feature_mean += weight / (before + weight) * difference
            total[0] = before + weight
        elif fit_intercept:
            total[0] = before
        penalties *= forgetting
        for _ in range(n_turns or 0):
            unit = np.zeros(len(row))
            unit[turn] = 1.0
            _fold_in(root, coef, unit, -coef[:, turn], alpha - penalties[turn], 1.0)
            penalties[turn] = alpha
            turn = (turn + 1) % len(row)
    return len(features)


def _fold_in(
    root: Floats, coef: Floats, row: Floats, error: Floats, weight: float, forgetting: float
) -> bool:
    """Add a weighted row to the problem whose root and solution these are; False if too large."""
    # R is stored by rows; BLAS reads it as its transpose, by columns, and updates that in place.
    phi = blas.dgemv(1.0, root.T, row)
    scale = forgetting + weight * (phi @ phi)
    if not np.isfinite(scale):
        return False
    gain = blas.dgemv(1.0, root.T, phi, trans=1)
    coef += np.outer(error, gain) * (weight / scale)
    factor = weight / (scale + np.sqrt(forgetting * scale))
    blas.dger(-factor, phi, gain, a=root.T, overwrite_a=1)
    if forgetting != 1:
        root /= np.sqrt(forgetting)
    return True
