"""The largest absolute eigenvalue of a recurrent weight matrix, fast and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import cg

from reservoir.utils.explained import explained
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.sparse import product_with
from reservoir.utils.threads import with_few_threads

# Up to this size all eigenvalues cost no more than the two subspaces (measured).
_DENSE_UNITS = 60


# All eigenvalues are the last resort: some 20 s, twice over, at this size.
_FALLBACK_UNITS = 2000


# Vectors of the subspaces, until both agree. Of 108 drawn matrices (100 to 600 units, 10
# connections per unit, each distribution) 20 were enough for 58, 30 for 94, and 60 for all
# (measured). Where 160 are not enough, higher powers of W are tried.
_BASIS_SIZES = (20, 30, 40, 60, 80, 120, 160)


# Relative difference of the radii of W and of its transpose, which rounding and an unfinished
# iteration change in different ways. On those 108 matrices the largest error was 3e-9.
_AGREEMENT = 1e-8


# The same for all eigenvalues of a matrix: what `spectral_radius` promises. They agree to 3e-14
# on the 108 drawn matrices; what is refused is far from normal.
_DENSE_AGREEMENT = 1e-6


# Largest relative residual of the leading eigenpair, and of the five after it: a subspace that
# has not found the others yet may have missed one that is larger.
_RESIDUAL, _OTHER_RESIDUALS = 1e-7, 1e-3


_EPSILON = float(np.finfo(np.float64).eps)


Matrix = Any  # csr_array or ndarray of float64: scipy has no types


class ConvergenceError(RuntimeError):
    """An iteration did not reach its tolerance; the message says what to do instead."""


def check_matrix(matrix: Any, name: str, shape: tuple[int, ...] | None = None) -> Matrix:
    """Return given weights as a float64 copy: csr_array (without stored zeros) or ndarray.

    Parameters
    ----------
    matrix : array_like or sparse array
        Real and finite.
    name : str
        What the error messages call it.
    shape : tuple of int, optional
        What it has to have; without it, any square matrix will do.

    Returns
    -------
    csr_array or ndarray
        The indices of the csr_array are sorted and of 32 bits where these suffice.

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If the shape is another, or there are NaN or infinite entries.

    Examples
    --------
    >>> check_matrix([[0, 2], [1, 0]], "W")
    array([[0., 2.],
           [1., 0.]])
    """
    is_sparse = sp.issparse(matrix)
    if not is_sparse:
        try:
            matrix = np.asarray(matrix)
        except ValueError as error:  # rows of different lengths
            raise ValueError(
                f"`{name}` is not a rectangular array, but one was expected. "
                "Pass rows of equal length."
            ) from error
    if matrix.dtype.kind not in "buif":
        raise TypeError(
            f"`{name}` has dtype {matrix.dtype}, but real numbers were expected. "
            "Convert it with `astype(float)`."
        )
    if shape is not None and matrix.shape != shape:
        raise ValueError(
            f"`{name}` has shape {matrix.shape}, but {shape} was expected. "
            "Pass an array of that shape."
        )
    if shape is None and (matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]):
        raise ValueError(
            f"`{name}` has shape {matrix.shape}, but a square matrix was expected. "
            "Pass an array of shape (n_units, n_units)."
        )
    if is_sparse:
        matrix = sp.csr_array(matrix, dtype=np.float64, copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        if matrix.nnz <= np.iinfo(np.int32).max:
            matrix.indices = matrix.indices.astype(np.int32, copy=False)
            matrix.indptr = matrix.indptr.astype(np.int32, copy=False)
    else:
        matrix = np.array(matrix, dtype=np.float64, order="C")
    if not np.all(np.isfinite(matrix.data if is_sparse else matrix)):
        raise ValueError(
            f"`{name}` has NaN or infinite entries, but finite numbers were expected. "
            "Replace them first."
        )
    return matrix


@explained
@with_few_threads
def spectral_radius(matrix: Any, *, random_state: Any = 0) -> float:
    r"""Return the largest absolute eigenvalue of a real square matrix.

    .. math:: \rho(W) = \max_i |\lambda_i(W)|

    Parameters
    ----------
    matrix : array_like or sparse array of shape (n_units, n_units)
        W, real and finite.
    random_state : int, Generator, RandomState, SeedSequence or None, default 0
        Seeds the start vectors of the iteration: the same seed gives the same bits.

    Returns
    -------
    float
        ρ(W) in the unit of the weights; exactly 0.0 for a matrix without a loop of connections,
        and for one of which a power vanishes to rounding (nilpotent).

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If the matrix is not square or has NaN or infinite entries.
    ConvergenceError
        If the largest eigenvalues are too sensitive to rounding to be known to a relative 1e-6
        (a matrix far from normal), or, above 2,000 units, too many of nearly the same modulus.

    Notes
    -----
    The matrix is split into its strongly connected parts, whose eigenvalues together are those
    of W. A part without a loop has none but 0 (dense eigenvalues of a strictly triangular matrix
    of 100 units would claim a radius of the order of 0.7 by rounding), a part that is one loop
    has the geometric mean of its weights as radius, and of a part of up to 60 units all
    eigenvalues are computed.

    For a larger part V the Arnoldi method [1]_ is applied to V^p, with p from 8 to 60 by
    size. The eigenvalues of a random matrix fill a disc, of which λ^p spreads the rim: a few
    dozen vectors suffice where V itself needs hundreds or many restarts, and an error in λ^p is
    p times as large as the one in λ. Without a restart no eigenvalue can be dropped on the way.

    Everything is done twice, for V and for its transpose, which rounds differently and starts
    from another random vector. The result is returned only if the two agree: to 1e-8 with
    residuals of at most 1e-7 where they come from subspaces, to 1e-6 where from all eigenvalues.
    Otherwise V is balanced by a diagonal similarity; subspaces of up to 160 vectors are built
    for p, 4 p and 16 p; and at last all eigenvalues are computed, up to 2,000 units.

    References
    ----------
    .. [1] Saad (2011), Numerical Methods for Large Eigenvalue Problems, 2nd ed., ch. 6 and 7.

    Examples
    --------
    >>> spectral_radius([[0.0, -4.0], [1.0, 0.0]])
    2.0
    >>> spectral_radius([[0.0, 5.0], [0.0, 0.0]])
    0.0
    """
    matrix = check_matrix(matrix, "matrix")
    rng = np.random.default_rng(seed_sequence(random_state))
    largest = abs(matrix).max() if matrix.size else 0.0
    if largest == 0.0:
        return 0.0
    # Powers of the matrix are taken: entries near 1 keep them from overflow.
    matrix = matrix / largest
    if not sp.issparse(matrix) and np.count_nonzero(matrix) == matrix.size > 1:
        return float(largest * _irreducible_radius(matrix, rng))
    matrix = sp.csr_array(matrix)
    matrix.eliminate_zeros()  # entries that vanished beside the largest
    return float(largest * _radius_by_parts(matrix, rng))


def _radius_by_parts(matrix: Matrix, rng: np.random.Generator) -> float:
    """Return the largest of the spectral radii of the strongly connected parts."""
    n_parts, part = connected_components(matrix, directed=True, connection="strong")
    entries = matrix.tocoo()
    inside = part[entries.row] == part[entries.col]
    rows, columns, weights = entries.row[inside], entries.col[inside], entries.data[inside]
    size = np.bincount(part, minlength=n_parts)
    n_connections = np.bincount(part[rows], minlength=n_parts)

    # As many connections as units, strongly connected: a single loop.
    log_product = np.bincount(part[rows], weights=np.log(np.abs(weights)), minlength=n_parts)
    is_loop = n_connections == size
    radius = float(np.exp(log_product[is_loop] / size[is_loop]).max(initial=0.0))
    if n_parts == 1:
        return radius if is_loop[0] else _irreducible_radius(matrix, rng)

    # No eigenvalue exceeds the largest absolute row sum, nor the largest column sum.
    bound = np.full(n_parts, np.inf)
    for ends in (rows, columns):
        sums = np.bincount(ends, weights=np.abs(weights), minlength=part.size)
        largest = np.zeros(n_parts)
        np.maximum.at(largest, part, sums)
        np.minimum(bound, largest, out=bound)

    order = np.argsort(part, kind="stable")
    first = np.concatenate([[0], np.cumsum(size)])
    matrix = matrix[order][:, order]
    candidates = np.flatnonzero(n_connections > size)
    for index in candidates[np.argsort(-bound[candidates], kind="stable")]:
        if bound[index] <= radius:
            break
        block = slice(first[index], first[index + 1])
        radius = max(radius, _irreducible_radius(matrix[block, block], rng))
    return radius


def _irreducible_radius(matrix: Matrix, rng: np.random.Generator) -> float:
    """Return the spectral radius of a matrix that does not fall into parts."""
    n_units = matrix.shape[0]
    if sp.issparse(matrix) and matrix.nnz > n_units**2 / 4:
        matrix = matrix.toarray()  # its products are the faster ones from about here on
    radius = _dense_radius(matrix) if n_units <= _DENSE_UNITS else _krylov_radius(matrix, 1, rng)
    # Unbalanced, what looks nilpotent may only be badly scaled.
    if radius:
        return radius
    matrix = _balance(matrix)
    for factor in (1, 4, 16) if n_units > _DENSE_UNITS else ():
        radius = _krylov_radius(matrix, factor, rng)
        if radius is not None:
            return radius
    if n_units <= _FALLBACK_UNITS:
        radius = _dense_radius(matrix)
        if radius is not None:
            return radius
    raise ConvergenceError(
        f"The spectral radius of a matrix of {n_units} connected units was not found: its largest "
        "eigenvalues are too sensitive to rounding (the matrix is far from normal, perhaps "
        "nilpotent), or too many of nearly the same modulus. Scale it yourself and pass "
        "`spectral_radius=None`, or take another `topology`."
    )


def _dense_radius(matrix: Matrix) -> float | None:
    """Return the spectral radius from all eigenvalues, None where rounding decides it."""
    dense = matrix.toarray() if sp.issparse(matrix) else matrix
    # The eigenvalues computed for a nilpotent matrix of n units are of order eps^(1/n), so
    # nilpotency is told from the powers W^2, W^4, ...: one of them is nothing but rounding.
    n_units = dense.shape[0]
    power = dense / np.linalg.norm(dense)
    for _ in range(max(n_units - 1, 1).bit_length()):
        power = power @ power
        norm = np.linalg.norm(power)
        if norm <= 4 * n_units * _EPSILON:
            return 0.0
        power /= norm
    # The transpose has the same eigenvalues, but rounds in another way.
    radius = float(np.abs(np.linalg.eigvals(dense)).max())
    other = float(np.abs(np.linalg.eigvals(dense.T)).max())
    return radius if abs(radius - other) <= _DENSE_AGREEMENT * radius else None


def _balance(matrix: Matrix) -> Matrix:
    """Return D⁻¹ W D with the positive diagonal D that makes its Frobenius norm smallest.

    A forward chain with weak backward connections is far from normal, with eigenvalues that
    drown in rounding; balanced it is symmetric. The sum of squares is convex in log D, its
    Hessian a graph Laplacian: Newton's method, each step by conjugate gradients. The sweeps of
    LAPACK's `gebal` stop far from the minimum, since they move scales from unit to unit.
    """
    entries = sp.coo_array(matrix)
    entries.eliminate_zeros()
    rows, columns = entries.coords
    n_units = matrix.shape[0]

    def squares_at(log_scale: NDArray[np.float64]) -> NDArray[np.float64]:
        exponent = np.log(np.abs(entries.data)) + log_scale[columns] - log_scale[rows]
        squares: NDArray[np.float64] = np.exp(np.clip(2.0 * exponent, -600.0, 600.0))
        return squares

    # Sweeps unit by unit (damped, as they are simultaneous) remove scales that differ locally.
    log_scale = np.zeros(n_units)
    for _ in range(20):
        squares = squares_at(log_scale)
        into = np.bincount(rows, weights=squares, minlength=n_units)
        out_of = np.bincount(columns, weights=squares, minlength=n_units)
        log_scale += np.log(into / out_of) / 8.0

    squares = squares_at(log_scale)
    for _ in range(100):
        into = np.bincount(rows, weights=squares, minlength=n_units)
        out_of = np.bincount(columns, weights=squares, minlength=n_units)
        gradient = 2.0 * (out_of - into)
        if np.abs(gradient).max() <= 1e-6 * squares.max():
            break
        adjacency = sp.csr_array((squares, (rows, columns)), shape=matrix.shape)
        laplacian = 4.0 * (sp.diags_array(into + out_of) - adjacency - adjacency.T)
        step, _ = cg(laplacian, -gradient, rtol=1e-8, maxiter=4 * n_units)
        length = 1.0
        while squares_at(log_scale + length * step).sum() > squares.sum() and length > 1e-3:
            length /= 2.0
        log_scale = log_scale + length * step
        squares = squares_at(log_scale)
    scaled = entries.data * np.exp(log_scale[columns] - log_scale[rows])
    balanced = sp.csr_array((scaled, (rows, columns)), shape=matrix.shape)
    return balanced if sp.issparse(matrix) else balanced.toarray()


class _Arnoldi:
    """An orthonormal basis of span{v, B v, B² v, ...} for B = W^power, extended on demand."""

    def __init__(self, matrix: Matrix, start: NDArray[np.float64], power: int):
        self.multiply = product_with(matrix)
        self.power = power
        self.basis = np.empty((_BASIS_SIZES[-1] + 1, start.size))
        self.basis[0] = start
        self.projected = np.zeros((_BASIS_SIZES[-1] + 1, _BASIS_SIZES[-1]))
        self.size = 0
        self.is_invariant = False

    def extend(self, size: int) -> None:
        """Bring the basis to `size` vectors, fewer where it is invariant before."""
        while self.size < size and not self.is_invariant:
            image = self.basis[self.size]
            for _ in range(self.power):
                image = self.multiply(image)
            basis = self.basis[: self.size + 1]
            before = np.linalg.norm(image)
            coefficients = basis @ image
            image -= coefficients @ basis
            # Once more: a single Gram-Schmidt pass loses orthogonality.
            correction = basis @ image
            image -= correction @ basis
            norm = np.linalg.norm(image)
            self.projected[: self.size + 1, self.size] = coefficients + correction
            self.projected[self.size + 1, self.size] = norm
            self.size += 1
            self.is_invariant = bool(norm <= 10 * _EPSILON * before)
            if not self.is_invariant:
                self.basis[self.size] = image / norm

    def radius(self) -> tuple[float, float, float]:
        """Return the radius, its relative residual and the largest one of the leading six."""
        values, vectors = np.linalg.eig(self.projected[: self.size, : self.size])
        order = np.argsort(-np.abs(values), kind="stable")[:6]
        modulus = float(np.abs(values[order[0]]))
        if modulus == 0.0:
            return 0.0, 0.0, 0.0
        # An error d in λ^power is one of d / power in λ.
        residuals = self.projected[self.size, self.size - 1] * np.abs(vectors[-1, order])
        residuals /= modulus * self.power
        return modulus ** (1 / self.power), float(residuals[0]), float(residuals.max())


def _krylov_radius(matrix: Matrix, factor: int, rng: np.random.Generator) -> float | None:
    """Return the spectral radius, or None where the two subspaces do not come to agree on it."""
    n_units = matrix.shape[0]
    transposed = matrix.T.tocsr() if sp.issparse(matrix) else matrix.T
    # The gaps at the rim of the spectrum shrink like 1 / sqrt(n_units). Measured for 10 and 100
    # connections per unit and for dense matrices: half or twice as much is no faster.
    power = factor * int(max(16 if sp.issparse(matrix) else 8, np.sqrt(n_units) / 3))
    start = rng.standard_normal((2, n_units))

    # A random vector is an eigenvector of WᵀW only where WᵀW = c²I: all |λ| are c.
    image = transposed @ (matrix @ start[0])
    squared = (image @ start[0]) / (start[0] @ start[0])
    if np.linalg.norm(image - squared * start[0]) <= 1e-10 * np.linalg.norm(image):
        return float(np.sqrt(squared))

    # Twenty products bring the start vectors near the dominant subspace and tell its scale,
    # without which the powers of W could overflow.
    bound = max(abs(matrix).sum(axis=1).max(), abs(matrix).sum(axis=0).max())
    vectors = []
    scale = 0.0
    for operator, vector in zip((matrix, transposed), start, strict=True):
        multiply = product_with(operator)
        growth = np.empty(20)
        vector = vector / np.linalg.norm(vector)
        for step in range(growth.size):
            vector = multiply(vector)
            growth[step] = np.linalg.norm(vector)
            if growth[step] <= n_units * _EPSILON * bound:
                return 0.0  # a power of W takes a random vector to nothing but rounding
            vector /= growth[step]
        scale = max(scale, float(np.exp(np.log(growth[10:]).mean())))
        vectors.append(vector)

    right = _Arnoldi(matrix / scale, vectors[0], power)
    left = _Arnoldi(transposed / scale, vectors[1], power)
    for size in _BASIS_SIZES:
        right.extend(min(size, n_units))
        left.extend(min(size, n_units))
        right_radius, right_residual, right_rest = right.radius()
        left_radius, left_residual, left_rest = left.radius()
        if (
            max(right_residual, left_residual) <= _RESIDUAL
            and max(right_rest, left_rest) <= _OTHER_RESIDUALS
            and abs(right_radius - left_radius) <= _AGREEMENT * right_radius
        ):
            return scale * (right_radius if right_residual <= left_residual else left_radius)
    return None
