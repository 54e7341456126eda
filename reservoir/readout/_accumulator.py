"""RidgeAccumulator: sums of products while they are accurate enough, then a factor."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import blas

from reservoir.readout._resolution import resolves_best_alpha
from reservoir.readout._rows import check_rows, raise_if_not_finite, sum_of_squares
from reservoir.readout._sums import EPS, GRAM_MARGIN, GramAccumulator, QRAccumulator, Solver
from reservoir.utils.device import to_host
from reservoir.utils.explained import explained
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_choice, check_real

# Growth of the rows after which sums are asked again whether they resolve the best alpha.
_ASKED_AGAIN = 4


# Smaller sums of squares lose digits to the end of the float64 range.
_LEAST_SQUARES = float(np.finfo(np.float64).tiny) / EPS


@explained
class RidgeAccumulator:
    """Accumulate rows the cheap way for as long as the smallest alpha allows it.

    With ``solver="auto"`` rows go into a `GramAccumulator` while

        100 eps trace(SᵀS) < smallest_alpha,

    and into a `QRAccumulator` from the first chunk on with which this fails; the sums so far are
    turned into a factor, so that no second pass is needed. As the bound is tested before a chunk is
    added, rounding in the sums that are turned is at most about a hundredth of `smallest_alpha`.

    Parameters
    ----------
    n_features : int
        Columns of the features S.
    n_targets : int
        Columns of the targets Y.
    solver : {"auto", "gram", "qr"}, default="auto"
        How to accumulate.
    smallest_alpha : float
        The least ridge penalty that will be asked of these rows; 0 for least squares.
    allow_single : bool, default=False
        Whether, for "auto", products of float32 rows may be made in float32 (and summed in
        float64) while `smallest_alpha` is far above their rounding: twice as fast, good for the
        readout, and too coarse to tell small residuals from the sums alone.
    keeps_few : bool, default=False
        Whether, for "auto", the rows themselves are kept beside their sums for as long as they
        are fewer than the columns. Generalised cross-validation asks for that: the residuals are
        then so small that they are lost in the sums.
    path : ndarray of shape (n_alphas,), optional
        The penalties among which one will be chosen.
    fit_intercept : bool, default=False
        Whether the readout will have an intercept: then SᵀS above is that of centred features.

    Attributes
    ----------
    sums : GramAccumulator or QRAccumulator
        What has been accumulated.

    Examples
    --------
    >>> import numpy as np
    >>> s, y = np.eye(3), np.ones((3, 1))
    >>> RidgeAccumulator(3, 1, smallest_alpha=1e-6).update(s, y).solver_used
    'gram'
    >>> RidgeAccumulator(3, 1, smallest_alpha=1e-20).update(s, y).solver_used
    'qr'
    """

    # What came while there were fewer rows than columns; None once there were not, and in files
    # of versions that kept none.
    _few: list[tuple[Any, Any, Any]] | None = None

    # What files of earlier versions do not hold.
    fit_intercept: bool = False
    _path: Floats | None = None
    _n_decided = 0  # rows up to which sums of products are known to do

    def __init__(
        self,
        n_features: int,
        n_targets: int,
        *,
        solver: Literal["auto", "gram", "qr"] = "auto",
        smallest_alpha: float,
        allow_single: bool = False,
        keeps_few: bool = False,
        path: Floats | None = None,
        fit_intercept: bool = False,
    ) -> None:
        self.solver = check_choice("solver", solver, ("auto", "gram", "qr"))
        self.smallest_alpha = check_real("smallest_alpha", smallest_alpha, minimum=0)
        self.allow_single = allow_single
        self.fit_intercept = fit_intercept
        self._path = path
        self.sums: GramAccumulator | QRAccumulator = (
            QRAccumulator(n_features, n_targets)
            if solver == "qr"
            else GramAccumulator(n_features, n_targets)
        )
        if keeps_few and solver == "auto":
            self._few = []

    def check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file is that of an accumulator."""
        if not isinstance(self.sums, GramAccumulator | QRAccumulator):
            raise ValueError("`sums` are none")
        check_real("smallest_alpha", self.smallest_alpha, minimum=0)

    @property
    def solver_used(self) -> Solver:
        """The way in which rows are accumulated now: "gram" or "qr"."""
        return self.sums.solver

    @property
    def n_rows(self) -> int:
        """Rows with a positive weight so far."""
        return self.sums.n_rows

    @property
    def total_weight(self) -> float:
        """Sum of the weights of all rows."""
        return self.sums.total_weight

    @property
    def n_features(self) -> int:
        """Columns of the features."""
        return self.sums.n_features

    @property
    def n_targets(self) -> int:
        """Columns of the targets."""
        return self.sums.n_targets

    @with_few_threads
    def update(
        self, features: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add rows; arguments and errors as in `GramAccumulator.update`; return itself."""
        sums = self.sums
        if self.solver != "auto" or isinstance(sums, QRAccumulator):
            sums.update(features, targets, sample_weight)
            return self
        s, y, weight = check_rows(features, targets, sample_weight, self.n_features, self.n_targets)
        squares, target_squares = sum_of_squares(s, weight), sum_of_squares(y, weight)
        # Targets too large or too small to be squared are left to the factor, which does not.
        representable = np.isfinite(squares + target_squares)
        representable &= target_squares > _LEAST_SQUARES or not y.any()
        if not representable:
            raise_if_not_finite(features=s, targets=y)
        if not representable or (
            self._passes_bound(sums, s, squares, weight)
            and not self._gram_will_do(sums, len(s), lambda: (s, y, weight))
        ):
            self.sums = sums.to_factor(fit_intercept=self.fit_intercept)
            self.sums.fold(s, y, weight)
        else:
            sums.fold(s, y, weight, single_above=self.smallest_alpha if self.allow_single else None)
        if self._few is not None and len(s):
            # Copies: what comes may be a buffer.
            self._keep_few([(_copied(s), _copied(y), None if weight is None else _copied(weight))])
        return self

    @property
    def shift(self) -> Floats | None:
        """What `update_shifted` takes rows about, [0; c; d]; None where it takes none.

        That is as long as there are no rows yet, or rows are to be kept, or lie on a GPU.
        """
        if self._few is not None or not self.n_rows:
            return None
        sums = self.sums
        return None if sums.lies_on_device else sums.shift

    @with_few_threads
    def update_shifted(self, rows: Floats, squares: float) -> Self:
        """Add rows that are shifted already: to the same sums as `update`, without copies of them.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, 1 + n_features + n_targets)
            [1 | S − c | Y − d] about `shift`, in C order, each row times the square root of its
            weight. May be overwritten.
        squares : float
            The sum of their squares, by `sum_of_squares`.

        Returns
        -------
        RidgeAccumulator
            Itself.

        Raises
        ------
        ValueError
            As `update`.
        """
        features, targets = slice(1, 1 + self.n_features), slice(1 + self.n_features, None)
        if not np.isfinite(squares):
            raise_if_not_finite(features=rows[:, features], targets=rows[:, targets])
        sums = self.sums
        if isinstance(sums, GramAccumulator):
            if self.solver == "gram":
                sums.check_squares(squares)
            elif not np.isfinite(squares) or (
                self._shifted_pass_bound(sums, rows, squares)
                and not self._gram_will_do(sums, len(rows), lambda: _unshifted(rows, sums))
            ):
                self.sums = sums.to_factor(fit_intercept=self.fit_intercept)
        self.sums.fold_shifted(rows)
        return self

    @with_few_threads
    def merge(self, other: RidgeAccumulator) -> Self:
        """Add the rows of another accumulator of the same shape; return itself."""
        if not isinstance(other, RidgeAccumulator):
            raise TypeError(
                f"`other` is of type {type(other).__name__}, but RidgeAccumulator was expected. "
                "Accumulate both parts the same way."
            )
        self.smallest_alpha = min(self.smallest_alpha, other.smallest_alpha)
        self._keep_few(other._few)
        self._n_decided = max(self._n_decided, other._n_decided)
        own, theirs = self.sums, other.sums
        if isinstance(own, GramAccumulator) and isinstance(theirs, GramAccumulator):
            bound = own.noise_trace() + _shifted_bound(
                theirs.noise_trace(),
                theirs.total_weight,
                (own.shift - theirs.shift)[1 : 1 + self.n_features],
            )
            if self.solver != "auto" or self._is_resolved(bound):
                own.merge(theirs)
                return self
            both = own.copy().merge(theirs)
            trace = both.noise_trace(fit_intercept=self.fit_intercept)
            if self._is_resolved(trace) or self._gram_will_do(both):
                self.sums = both
                return self
        ours, others = (
            sums
            if isinstance(sums, QRAccumulator)
            else sums.to_factor(fit_intercept=self.fit_intercept)
            for sums in (own, theirs)
        )
        self.sums = ours.merge(others)
        return self

    def copy(self) -> RidgeAccumulator:
        """Return an independent accumulator with the same sums."""
        return copy.deepcopy(self)

    def factor_of_few(self) -> QRAccumulator | None:
        """Return the factor of the rows where they are fewer than the columns and were kept."""
        if not self._few or isinstance(self.sums, QRAccumulator) or self.n_rows < 2:
            return None
        weights = None
        if any(weight is not None for _, _, weight in self._few):
            weights = np.concatenate(
                [np.ones(len(s)) if weight is None else weight for s, _, weight in self._few]
            )
        s, y = (np.concatenate([chunk[part] for chunk in self._few]) for part in (0, 1))
        return QRAccumulator.of_few(s, y, weights)

    def _keep_few(self, chunks: list[tuple[Any, Any, Any]] | None) -> None:
        """Keep more rows, or, once they are as many as the columns, none."""
        if self._few is None or chunks is None:
            self._few = None
            return
        self._few = [*self._few, *chunks]
        if sum(len(s) for s, _, _ in self._few) >= self.sums.n_columns:
            self._few = None

    def _is_resolved(self, trace: float) -> bool:
        """Tell whether sums with that trace resolve the smallest alpha."""
        return self.smallest_alpha > GRAM_MARGIN * EPS * trace

    def _passes_bound(
        self, sums: GramAccumulator, s: Any, squares: float, weight: Floats | None
    ) -> bool:
        """Tell whether sums with these rows will not resolve the smallest alpha any more."""
        total_weight = float(len(s) if weight is None else weight.sum())
        features = slice(1, 1 + self.n_features)
        bound = sums.noise_trace() + _shifted_bound(squares, total_weight, sums.shift[features])
        if self._is_resolved(bound):
            return False
        if not self.fit_intercept or not total_weight:
            return True
        totals = to_host(s.sum(axis=0, dtype=np.float64) if weight is None else weight @ s)
        shift = sums.shift[features] if sums.n_rows else totals / total_weight
        centred = squares - shift @ (2.0 * totals - total_weight * shift)
        return not self._is_resolved(sums.noise_trace(fit_intercept=True) + float(centred))

    def _shifted_pass_bound(self, sums: GramAccumulator, rows: Floats, squares: float) -> bool:
        """Tell what `_passes_bound` does, of rows that are shifted."""
        features = slice(1, 1 + self.n_features)
        weight, c = float(rows[:, 0] @ rows[:, 0]), sums.shift[features]
        trace = sums.noise_trace(fit_intercept=self.fit_intercept)
        offset = 0.0 if self.fit_intercept else 2.0 * np.sqrt(weight) * blas.dnrm2(c)
        if self._is_resolved(trace + (np.sqrt(squares) + offset) ** 2):
            return False
        # What the targets have in those squares does not count.
        own = float(np.einsum("ij,ij->", rows[:, features], rows[:, features]))
        if not self.fit_intercept:
            totals = rows[:, 0] @ rows[:, features]
            own = _shifted_bound(own + float(c @ (2.0 * totals + weight * c)), weight, c)
        return not self._is_resolved(trace + own)

    def _gram_will_do(
        self,
        sums: GramAccumulator,
        n_new: int = 0,
        new_rows: Callable[[], tuple[Any, Any, Floats | None]] | None = None,
    ) -> bool:
        """Tell whether the best alpha of the path is one that sums resolve, with more rows too."""
        if self._path is None:
            return False
        n_rows = sums.n_rows + n_new
        if n_rows > self._n_decided:
            rows = None if new_rows is None else new_rows()
            if not resolves_best_alpha(sums, rows, self._path, fit_intercept=self.fit_intercept):
                return False
            self._n_decided = _ASKED_AGAIN * n_rows
        return True


def _unshifted(rows: Floats, sums: GramAccumulator) -> tuple[Floats, Floats, Floats]:
    """Return features, targets and weights of rows about the shift of some sums.

    Without those of weight 0, of which nothing is left.
    """
    rows = rows[rows[:, 0] > 0.0]
    roots = rows[:, 0]
    plain = rows / roots[:, np.newaxis] + sums.shift
    return plain[:, 1 : 1 + sums.n_features], plain[:, 1 + sums.n_features :], roots**2


def _copied(array: Any) -> Any:
    return np.array(to_host(array))


def _shifted_bound(squares: float, weight: float, shift: Floats) -> float:
    """Bound Σ w ‖s − c‖² by the norms of s and c."""
    return float((np.sqrt(squares) + np.sqrt(weight) * blas.dnrm2(shift)) ** 2)


def as_factor(sums: GramAccumulator | QRAccumulator) -> QRAccumulator:
    """Return the triangular factor of any sums (itself where it is one)."""
    return sums if isinstance(sums, QRAccumulator) else sums.to_factor()


@explained
def leave_one_out(
    blocks: Sequence[GramAccumulator | QRAccumulator],
) -> Iterator[GramAccumulator | QRAccumulator]:
    """Give, for each block in turn, the merged rows of all the others.

    Sums of products are subtracted from the total. A factor cannot lose rows without losing digits,
    so factors are merged from those before and those after: about three merges a block.

    Parameters
    ----------
    blocks : sequence of GramAccumulator, or of QRAccumulator
        Blocks of rows, each accumulated apart.

    Returns
    -------
    iterator of GramAccumulator or QRAccumulator
        An accumulator of its own each time.

    Raises
    ------
    TypeError
        If the blocks are of both kinds.

    Examples
    --------
    >>> import numpy as np
    >>> blocks = [GramAccumulator(1, 1).update(np.ones((n, 1)), np.ones((n, 1))) for n in (1, 2, 4)]
    >>> [rest.n_rows for rest in leave_one_out(blocks)]
    [6, 5, 3]
    """
    if len(blocks) == 0:
        raise ValueError("`blocks` is empty, but one block or more was expected. Pass some.")
    if all(isinstance(block, GramAccumulator) for block in blocks):
        return _others_by_subtraction([b for b in blocks if isinstance(b, GramAccumulator)])
    if all(isinstance(block, QRAccumulator) for block in blocks):
        return _others_by_merging([b for b in blocks if isinstance(b, QRAccumulator)])
    raise TypeError(
        "`blocks` are of several kinds, but only GramAccumulator or only QRAccumulator was "
        "expected. Accumulate all blocks the same way."
    )


def _others_by_subtraction(blocks: list[GramAccumulator]) -> Iterator[GramAccumulator]:
    total = GramAccumulator(blocks[0].n_features, blocks[0].n_targets)
    for block in blocks:
        total.merge(block)
    for block in blocks:
        yield total.copy().subtract(block)


def _others_by_merging(blocks: list[QRAccumulator]) -> Iterator[QRAccumulator]:
    before = QRAccumulator(blocks[0].n_features, blocks[0].n_targets)
    after = [before.copy()]
    for block in blocks[:0:-1]:
        after.append(after[-1].copy().merge(block))
    for block in blocks:
        yield before.copy().merge(after.pop())
        before.merge(block)
