"""Least mean squares: one gradient step per row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reservoir.online._learner import Learner
from reservoir.utils.explained import explained
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_real


@explained
class LeastMeanSquares(Learner):
    """A linear map that follows the gradient of each row's squared error.

    W ← W + η v e sᵀ,   c ← c + η v e,   with e = y - W s - c   [1]_

    Normalised, η is divided by ‖s‖² (plus 1 for the intercept): then η = 1 takes the whole error
    of the row away, whatever its scale, and 0 < η < 2 is stable. A row costs O(n_features), but
    rows learned from until the error is small are many where features are alike, as the states
    of a reservoir are: the slowest direction learns as slowly as its share of ‖s‖² is small.

    Parameters
    ----------
    n_features : int
        Features per row.
    n_targets : int
        Targets per row.
    learning_rate : float, default=0.5
        η > 0. Not normalised, it must stay below 2 / ‖s‖².
    normalized : bool, default=True
        Whether η is divided by ‖s‖².
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

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.

    References
    ----------
    .. [1] Widrow & Hoff (1960), Adaptive switching circuits, IRE WESCON Convention Record 4,
       96-104; normalised: Haykin (2002), Adaptive Filter Theory, 4th edition, chapters 5 and 6.

    Examples
    --------
    >>> import numpy as np
    >>> lms = LeastMeanSquares(2, 1, learning_rate=1.0, fit_intercept=False)
    >>> lms.update([[3.0, 4.0]], [[50.0]])
    array([[0.]])
    >>> lms.coef, lms.predict([[3.0, 4.0]])
    (array([[6., 8.]]), array([[50.]]))
    """

    def __init__(
        self,
        n_features: int,
        n_targets: int,
        *,
        learning_rate: float = 0.5,
        normalized: bool = True,
        fit_intercept: bool = True,
        engine: str = "auto",
    ) -> None:
        super().__init__(n_features, n_targets, fit_intercept=fit_intercept, engine=engine)
        self.normalized = bool(normalized)
        self.learning_rate = check_real(
            "learning_rate",
            learning_rate,
            minimum=0,
            maximum=2 if self.normalized else np.inf,
            exclusive=True,
        )

    def _learn(
        self, features: NDArray[Any], targets: Floats, weights: Floats, outputs: Floats
    ) -> int:
        learn = self._kernel("learn_mean_squares") or _learn_rows
        done: int = learn(
            features,
            targets,
            weights,
            outputs,
            self.coef,
            self._target_mean,
            self.learning_rate,
            self.normalized,
            self.fit_intercept,
        )
        return done


@np.errstate(over="ignore", invalid="ignore")
def _learn_rows(
    features: NDArray[Any],
    targets: Floats,
    weights: Floats,
    outputs: Floats,
    coef: Floats,
    intercept: Floats,
    learning_rate: float,
    normalized: bool,
    fit_intercept: bool,
) -> int:
    """Learn row by row, in place; return how many rows there were before one was out of range."""
    for t, (row, target, weight) in enumerate(zip(features.astype(np.float64), targets, weights)):
        power = row @ row + fit_intercept
        if not np.isfinite(power):
            return t
        outputs[t] = intercept + coef @ row
        error = target - outputs[t]
        rate = weight * learning_rate
        if normalized:
            # A row of zeros has nothing to say.
            rate = rate / power if power else 0.0
        coef += np.outer(rate * error, row)
        if fit_intercept:
            intercept += rate * error
    return len(features)
