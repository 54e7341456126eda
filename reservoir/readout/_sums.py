"""Sums of products, or a triangular factor, from which a ridge regression is solved."""

from __future__ import annotations

import copy
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh, qr

from reservoir.readout._algebra import algebra_of, host_sums
from reservoir.readout._rows import (
    check_rows,
    first_shift,
    raise_if_not_finite,
    shifted_rows,
    sum_of_squares,
)
from reservoir.readout._whitened import WhitenedRows, factor_of
from reservoir.utils.device import host_state, is_on_device, module_of, to_host
from reservoir.utils.explained import explained
from reservoir.utils.persistence import require_array
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_integer

Solver = Literal["gram", "qr"]


EPS = float(np.finfo(np.float64).eps)


# The computed Gram is off by 0.1 to 1 times eps * trace (2-norm; measured on reservoir states of
# 100 to 600 units against long double), so an alpha of 100 eps * trace is known to about 1 %.
GRAM_MARGIN = 100.0


# A sum of squared residuals taken from the sums alone, yᵀy − vᵀ(…), is off by up to 0.2 times
# eps (trace ‖v‖² + yᵀy) (measured on states of 100 and 500 units driven by sines, Lorenz and noise,
# against residuals of a QR factor): ten times that is known to about 2 %.
RESIDUAL_MARGIN = 10.0


# Products of float32 rows in float32, summed in float64, are off by 0.03 to 0.4 times that eps
# times the trace (measured as above, with pieces of 256 to 2,048 rows): at most 1.3 % of alpha.
_SINGLE_MARGIN = 32.0 * float(np.finfo(np.float32).eps)


_SINGLE_ROWS = 2048


# Sizes of targets whose squares float32 can hold and sum.
_SINGLE_RANGE = (1e-15, 1e15)


# Columns from which whitening rows costs less than reflections, and rows, in columns, from which
# a factor tells how rows to come will be spread.
_LEAST_WHITENED = 200
_WHITENED_FROM = 1.1


class _Accumulator:
    """What both ways of accumulating share: shapes, counts, the provisional shift.

    All sums are taken of [1 | S - c | Y - d], with (c, d) the mean of the first rows that came:
    a mean far from zero would otherwise eat the digits in which the rows differ. The sums lie where
    the last rows came from, the shift on the host.
    """

    solver: Solver

    def __init__(self, n_features: int, n_targets: int) -> None:
        self.n_features = check_integer("n_features", n_features, minimum=1)
        self.n_targets = check_integer("n_targets", n_targets, minimum=1)
        self.n_rows = 0
        # The smallest alpha that the history of these sums allows (a subtraction or a conversion
        # leaves the rounding of what it came from).
        self.resolution_floor = 0.0
        self.shift: Floats = np.zeros(1 + self.n_features + self.n_targets)

    @property
    def n_columns(self) -> int:
        """Columns of [1 | S | Y]."""
        return 1 + self.n_features + self.n_targets

    def copy(self) -> Self:
        """Return an independent accumulator with the same sums."""
        twin = object.__new__(type(self))
        vars(twin).update({name: copy.deepcopy(value) for name, value in vars(self).items()})
        return twin

    @property
    def lies_on_device(self) -> bool:
        """Whether the sums are on a GPU."""
        return any(is_on_device(vars(self).get(name)) for name in ("moments", "factor"))

    def __deepcopy__(self, memo: Any) -> Self:
        """Return a copy that stays where it is: the default goes by way of the pickled state."""
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled and saved: on the host, wherever the rows were."""
        state: dict[str, Any] = host_state(vars(self))
        return state

    def check_loaded(self) -> None:
        """Raise ValueError unless the sums read from a file are as large as they should be."""
        check_integer("n_features", self.n_features, minimum=1)
        check_integer("n_targets", self.n_targets, minimum=1)
        check_integer("n_rows", self.n_rows)
        require_array("shift", self.shift, (self.n_columns,))
        for name in ("moments", "factor"):
            if name in vars(self):
                require_array(name, vars(self)[name], (self.n_columns,) * 2)

    def _check_mate(self, other: Any) -> None:
        if type(other) is not type(self):
            raise TypeError(
                f"`other` is of type {type(other).__name__}, but {type(self).__name__} was "
                "expected. Accumulate both parts the same way."
            )
        wanted, found = (self.n_features, self.n_targets), (other.n_features, other.n_targets)
        if wanted != found:
            raise ValueError(
                f"`other` has {found[0]} features and {found[1]} targets, but {wanted[0]} and "
                f"{wanted[1]} were expected. Accumulate columns of the same meaning."
            )


@explained
class GramAccumulator(_Accumulator):
    """Sums of products of rows: the normal equations, in float64 whatever comes in.

    M = Σ_t w[t] z[t] z[t]ᵀ,   z[t] = [1; s[t] − c; y[t] − d]

    Half the arithmetic of a `QRAccumulator`; but the condition number is squared, so that an alpha
    below about 100 eps trace(SᵀS) is lost in rounding.

    Parameters
    ----------
    n_features : int
        Columns of the features S.
    n_targets : int
        Columns of the targets Y.

    Attributes
    ----------
    moments : ndarray of shape (1 + n_features + n_targets, 1 + n_features + n_targets)
        M; only its lower triangle is kept, in Fortran order.
    shift : ndarray of shape (1 + n_features + n_targets,)
        [0; c; d], the mean of the first rows that came.
    n_rows : int
        Rows with a positive weight so far.

    Examples
    --------
    >>> import numpy as np
    >>> sums = GramAccumulator(1, 1).update(np.array([[1.0], [3.0]]), np.array([[2.0], [6.0]]))
    >>> sums.n_rows, sums.shift
    (2, array([0., 2., 4.]))
    >>> np.tril(sums.moments)
    array([[2., 0., 0.],
           [0., 2., 0.],
           [0., 4., 8.]])
    """

    solver = "gram"

    def __init__(self, n_features: int, n_targets: int) -> None:
        super().__init__(n_features, n_targets)
        self.moments: Floats = np.zeros((self.n_columns, self.n_columns), order="F")

    def update(
        self, features: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add rows.

        Parameters
        ----------
        features : array-like of shape (n_rows, n_features)
            Readout features S, float64 or float32.
        targets : array-like of shape (n_rows, n_targets)
            Targets Y.
        sample_weight : array-like of shape (n_rows,), optional
            Weights w of the squared errors, 0 or more; 1 where not given.

        Returns
        -------
        GramAccumulator
            Itself.

        Raises
        ------
        ValueError
            If a shape does not fit, a weight is negative, or a number is NaN, infinite or too large
            to be squared. The sums are then as before.
        TypeError
            If an array does not hold real numbers.
        """
        s, y, weight = check_rows(features, targets, sample_weight, self.n_features, self.n_targets)
        squares = sum_of_squares(s) + sum_of_squares(y)
        if not np.isfinite(squares):
            raise_if_not_finite(features=s, targets=y)
        self.check_squares(squares)
        self.fold(s, y, weight)
        return self

    @staticmethod
    def check_squares(squares: float) -> None:
        """Raise unless a sum of the squares of finite numbers is finite."""
        if not np.isfinite(squares):
            raise ValueError(
                "`features` or `targets` hold numbers whose squares exceed the float64 range. "
                'Rescale them, or take solver="qr", which does not square.'
            )

    def fold(
        self,
        s: NDArray[np.floating],
        y: NDArray[np.floating],
        weight: Floats | None,
        *,
        single_above: float | None = None,
    ) -> None:
        """Add rows that have been checked.

        Products of float32 rows are made in float32 for as long as a ridge of `single_above`
        drowns their rounding.
        """
        if not len(s):
            return
        if not self.n_rows:
            self.shift = first_shift(s, y)
        algebra = algebra_of(s)
        self.moments = algebra.own_sums(self.moments)
        self.n_rows += _n_positive(len(s), weight)
        if single_above is not None and s.dtype == np.float32:
            n_done = self._fold_single(s, y, weight, single_above)
            s, y, weight = s[n_done:], y[n_done:], None if weight is None else weight[n_done:]
        for piece in shifted_rows(s, y, weight, self.shift, algebra.gram_rows):
            self.moments = algebra.add_products(self.moments, piece)

    def fold_shifted(self, rows: Floats) -> None:
        """Add checked rows [1 | S − c | Y − d] about `shift`, weighted by square roots."""
        algebra = algebra_of(rows)
        self.moments = algebra.own_sums(self.moments)
        self.n_rows += int(np.count_nonzero(rows[:, 0]))
        for start in range(0, len(rows), algebra.gram_rows):
            piece = rows[start : start + algebra.gram_rows]
            self.moments = algebra.add_products(self.moments, piece)

    def _fold_single(
        self,
        s: NDArray[np.floating],
        y: NDArray[np.floating],
        weight: Floats | None,
        alpha: float,
    ) -> int:
        """Add products made in float32 until their rounding nears alpha; return the rows added."""
        n_done, features, algebra = 0, self._parts()[0], algebra_of(s)
        size = float(module_of(y).abs(y).max())
        if not _SINGLE_RANGE[0] < size < _SINGLE_RANGE[1]:
            return 0
        pieces = shifted_rows(s, y, weight, self.shift, _SINGLE_ROWS, np.float32)
        floor = _SINGLE_MARGIN * self.noise_trace(fit_intercept=True)
        while floor < alpha and (piece := next(pieces, None)) is not None:
            products = algebra.single_products(piece)
            floor += _SINGLE_MARGIN * float(products.diagonal()[features].sum(dtype=np.float64))
            if floor < alpha:
                self.moments = algebra.add_sums(self.moments, products)
                self.resolution_floor = max(self.resolution_floor, floor)
                n_done += len(piece)
        return n_done

    def merge(self, other: GramAccumulator) -> Self:
        """Add the rows of another accumulator of the same shape; return itself."""
        self._check_mate(other)
        if not self.n_rows:
            self.shift = other.shift.copy()
        self._add(other, 1.0)
        self.n_rows += other.n_rows
        self.resolution_floor = max(self.resolution_floor, other.resolution_floor)
        return self

    def subtract(self, other: GramAccumulator) -> Self:
        """Take back the rows of another accumulator; return itself.

        What remains carries the rounding of what there was: the smallest alpha that it resolves is
        that of the sum before the subtraction.

        Raises
        ------
        ValueError
            If `other` has more rows than this accumulator, or other columns.
        TypeError
            If `other` is not a GramAccumulator.
        """
        self._check_mate(other)
        if other.n_rows > self.n_rows:
            raise ValueError(
                f"`other` has {other.n_rows} rows, but only {self.n_rows} were accumulated here. "
                "Subtract what has been added before."
            )
        self.resolution_floor = max(self.resolution_floor, GRAM_MARGIN * EPS * self.noise_trace())
        self._add(other, -1.0)
        self.n_rows -= other.n_rows
        return self

    def _add(self, other: GramAccumulator, sign: float) -> None:
        # z about my shift is z about theirs plus 1 δᵀ, so M becomes M + δ tᵀ + t δᵀ.
        algebra = algebra_of(other.moments)
        self.moments = algebra.own_sums(self.moments)
        delta = other.shift - self.shift
        t = to_host(other.moments[:, 0]) + 0.5 * other.total_weight * delta
        if sign > 0:
            self.moments += other.moments
        else:
            self.moments -= other.moments
        self.moments = algebra.add_outer_pair(self.moments, sign, delta, t)

    @property
    def total_weight(self) -> float:
        """Sum of the weights of all rows."""
        return float(self.moments[0, 0])

    def noise_trace(self, *, fit_intercept: bool = False) -> float:
        """Return the trace whose rounding the sums carry.

        trace((S − c)ᵀW(S − c)) where only centred sums are asked for; otherwise that or
        trace(SᵀWS), whichever is larger.
        """
        features, _ = self._parts()
        own = float(self.moments.diagonal()[features].sum())
        if fit_intercept:
            return own
        c, sums = self.shift[features], to_host(self.moments[features, 0])
        return max(own, own + float(c @ (2.0 * sums + self.total_weight * c)))

    def to_factor(self, *, fit_intercept: bool = False) -> QRAccumulator:
        """Return the triangular factor of the same sums.

        RᵀR = M + δI on the features, by Cholesky; δ is the least multiple of eps trace(SᵀS) with
        which the factorization succeeds. S is centred where only that is asked for.

        Returns
        -------
        QRAccumulator
            With a `resolution_floor` of 100 eps trace(SᵀS): M was not known any better.
        """
        factor = QRAccumulator(self.n_features, self.n_targets)
        factor.shift = self.shift.copy()
        factor.n_rows = self.n_rows
        if not self.n_rows or not self.total_weight > 0:
            return factor
        algebra = algebra_of(self.moments)
        trace = self.noise_trace(fit_intercept=fit_intercept)
        factor.resolution_floor = max(self.resolution_floor, GRAM_MARGIN * EPS * trace)
        features, targets = self._parts()
        first_row = to_host(self.moments[:, 0]) / np.sqrt(self.total_weight)
        # The constant column leaves first, exactly, so that what the rest is compared with is the
        # centred trace. A Cholesky factor of M + δI serves a ridge of alpha as M would serve one of
        # alpha + δ: with δ of the order of the rounding in M, which is at most alpha / 100 where
        # this is called in time, nothing that alpha lets through is lost. Clipping eigenvalues
        # instead would cost twenty times as much and change M by as much.
        # Where all features are zero, tiny keeps the factor regular.
        ridge = max(EPS * trace / 16.0, float(np.finfo(np.float64).tiny))
        lower = None
        while lower is None:
            gram = algebra.copy(self.moments[features, features])
            gram = algebra.add_outer(gram, -1.0, first_row[features])
            algebra.add_to_diagonal(gram, ridge)
            lower = algebra.cholesky(gram)
            ridge *= 4.0
        cross = to_host(self.moments[targets, features]).T
        cross = cross - np.outer(first_row[features], first_row[targets])
        q = to_host(algebra.solve_triangular(lower, algebra.asarray(cross), lower=True))
        rest = np.tril(to_host(self.moments[targets, targets]))
        rest = rest + np.tril(rest, -1).T
        rest = rest - np.outer(first_row[targets], first_row[targets]) - q.T @ q
        # What rounding leaves negative here is a residual of zero.
        values, vectors = eigh(rest)
        root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        factor.factor = r = algebra.own_factor(factor.factor)
        r[0] = algebra.asarray(first_row)
        r[features, features] = lower.T
        r[features, targets] = algebra.asarray(q)
        r[targets, targets] = algebra.asarray(qr(root, mode="r")[0])
        return factor

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled and saved: as the host keeps it."""
        return super().__getstate__() | {"moments": host_sums(self.moments)}

    def _parts(self) -> tuple[slice, slice]:
        return slice(1, 1 + self.n_features), slice(1 + self.n_features, None)


@explained
class QRAccumulator(_Accumulator):
    """Triangular factor of the rows (TSQR): the condition number is not squared.

    [1 | S − c | Y − d] = Q R, rows weighted by √w; chunk by chunk, R ← R of [R; chunk]   [1]_

    The first row of R holds the sums; the rest is the factor of centred data.

    Parameters
    ----------
    n_features : int
        Columns of the features S.
    n_targets : int
        Columns of the targets Y.

    Attributes
    ----------
    factor : ndarray of shape (1 + n_features + n_targets, 1 + n_features + n_targets)
        R, upper triangular, in Fortran order; signs of its rows are arbitrary. Of fewer rows than
        columns (`of_few`) it has as many rows as these.
    shift : ndarray of shape (1 + n_features + n_targets,)
        [0; c; d], the mean of the first rows that came.
    n_rows : int
        Rows with a positive weight so far.

    References
    ----------
    .. [1] Demmel, Grigori, Hoemmen & Langou (2012), Communication-optimal parallel and sequential
       QR and LU factorizations, SIAM J. Sci. Comput. 34, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> sums = QRAccumulator(1, 1).update(np.array([[1.0], [3.0]]), np.array([[2.0], [6.0]]))
    >>> np.abs(sums.factor).round(12)
    array([[1.41421356, 0.        , 0.        ],
           [0.        , 1.41421356, 2.82842712],
           [0.        , 0.        , 0.        ]])
    """

    solver = "qr"

    # Rows on their way into the factor, which they are part of once it is asked for: the first
    # ones, which wait to be reflected together, and those that are whitened.
    _waiting: tuple[Floats, ...] = ()
    _whitened: WhitenedRows | None = None

    def __init__(self, n_features: int, n_targets: int) -> None:
        super().__init__(n_features, n_targets)
        self.factor = np.zeros((self.n_columns, self.n_columns), order="F")

    @property
    def factor(self) -> Floats:
        """R of all rows so far."""
        if self._waiting:
            self.factor = factor_of(self._waiting)
        if self._whitened is not None:
            self.factor = self._whitened.factor()
        factor: Floats = vars(self)["factor"]
        return factor

    @factor.setter
    def factor(self, factor: Floats) -> None:
        vars(self)["factor"] = factor
        self._waiting, self._whitened = (), None

    def copy(self) -> Self:
        """Return an independent accumulator with the same factor."""
        self.factor = self.factor
        return super().copy()

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled and saved: the factor of all rows."""
        self.factor = self.factor
        state = super().__getstate__()
        for name in ("_waiting", "_whitened"):
            state.pop(name, None)
        return state

    @property
    def total_weight(self) -> float:
        """Sum of the weights of all rows."""
        return float(self.factor[0, 0] ** 2)

    def update(
        self, features: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add rows.

        Parameters
        ----------
        features : array-like of shape (n_rows, n_features)
            Readout features S, float64 or float32.
        targets : array-like of shape (n_rows, n_targets)
            Targets Y.
        sample_weight : array-like of shape (n_rows,), optional
            Weights w of the squared errors, 0 or more; 1 where not given.

        Returns
        -------
        QRAccumulator
            Itself.

        Raises
        ------
        ValueError
            If a shape does not fit, a weight is negative, or a number is NaN or infinite. The
            factor is then as before.
        TypeError
            If an array does not hold real numbers.
        """
        s, y, weight = check_rows(features, targets, sample_weight, self.n_features, self.n_targets)
        raise_if_not_finite(features=s, targets=y)
        self.fold(s, y, weight)
        return self

    def fold(self, s: NDArray[np.floating], y: NDArray[np.floating], weight: Floats | None) -> None:
        """Add rows that have been checked."""
        if not len(s):
            return
        if not self.n_rows:
            self.shift = first_shift(s, y)
        algebra, n_done = algebra_of(s), 0
        for piece in shifted_rows(s, y, weight, self.shift, algebra.qr_rows):
            self._fold_piece(piece, self.n_rows + n_done, len(s))
            n_done += len(piece)
        self.n_rows += _n_positive(len(s), weight)

    def fold_shifted(self, rows: Floats) -> None:
        """Add checked rows [1 | S − c | Y − d] about `shift`, weighted by square roots."""
        n_rows = algebra_of(rows).qr_rows
        for start in range(0, len(rows), n_rows):
            self._fold_piece(rows[start : start + n_rows], self.n_rows + start, len(rows))
        self.n_rows += int(np.count_nonzero(rows[:, 0]))

    def _fold_piece(self, rows: Any, n_before: int, n_at_once: int) -> None:
        """Add some of `n_at_once` rows, where `n_before` are in the factor.

        The first ones by reflections of all of them at once. Then by whitening where that pays:
        once the factor knows all directions, and for rows that are many enough for the price of its
        end. Others, and rows unlike those before, by reflections block by block.
        """
        n, algebra = self.n_columns, algebra_of(rows)
        may_whiten = n >= _LEAST_WHITENED and 4 * n_at_once >= n and algebra.xp is np
        n_needed = _WHITENED_FROM * n
        if self._waiting or (may_whiten and not n_before):
            self._waiting = (*self._waiting, rows.copy())
            if sum(len(part) for part in self._waiting) >= n_needed:
                self.factor = factor_of(self._waiting)
            return
        if self._whitened is not None or (may_whiten and n_before >= n_needed):
            if self._whitened is not None and self._whitened.add(rows):
                return
            whitened = WhitenedRows(np.asfortranarray(self.factor))
            if whitened.add(rows):
                self._whitened = whitened
                return
        factor = algebra.own_factor(self.factor)
        for start in range(0, len(rows), algebra.factor_rows):
            part = rows[start : start + algebra.factor_rows]
            # Small pieces are transposed in cache.
            block = algebra.xp.empty(part.shape, order="F")
            for first in range(0, len(part), algebra.piece_rows):
                few = slice(first, first + algebra.piece_rows)
                block[few] = part[few]
            factor = algebra.fold_rows(factor, block)
        self.factor = factor

    @classmethod
    def of_few(cls, s: NDArray[np.floating], y: NDArray[np.floating], weight: Any) -> Self:
        """Return the trapezoidal factor of rows fewer than columns, which is not added to."""
        sums = cls(s.shape[1], y.shape[1])
        sums.shift = first_shift(s, y)
        sums.n_rows = _n_positive(len(s), weight)
        (rows,) = shifted_rows(s, y, weight, sums.shift, len(s))
        sums.factor = np.asfortranarray(qr(rows, mode="r", check_finite=False)[0])
        return sums

    def merge(self, other: QRAccumulator) -> Self:
        """Add the rows of another accumulator of the same shape; return itself."""
        self._check_mate(other)
        if not self.n_rows:
            self.shift = other.shift.copy()
        algebra = algebra_of(other.factor)
        theirs = algebra.copy(other.factor)
        theirs[0] += theirs[0, 0] * algebra.asarray(other.shift - self.shift)
        self.factor = algebra.fold_rows(algebra.own_factor(self.factor), theirs, triangular=True)
        self.n_rows += other.n_rows
        self.resolution_floor = max(self.resolution_floor, other.resolution_floor)
        return self


def _n_positive(n_rows: int, weight: Any) -> int:
    """Return how many rows have a positive weight."""
    return n_rows if weight is None else int(module_of(weight).count_nonzero(weight))
