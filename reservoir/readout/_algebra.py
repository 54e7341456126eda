"""The linear algebra of a ridge readout where its sums lie: LAPACK on the host, CuPy on a GPU.

Both offer the same few operations on symmetric sums and triangular factors, so that what is built
of them is written once. The host's keep lower triangles in Fortran order and write in place; the
device's, made of matrix products and of `cupy.linalg`, keep whole symmetric matrices. They serve as
each other's twin in the tests.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from scipy.linalg import blas, eigh, lapack, svd

from reservoir.utils.blas import add_symmetric_products
from reservoir.utils.device import is_on_device, namespace_of, scipy_module, to_host
from reservoir.utils.threads import large_call
from reservoir.utils.types import Floats

# Columns of a tpqrt panel: 32 to 64 are within the noise of one another, 16 costs a third more.
_PANEL = 48
# Columns added at a time, so that little is added above the diagonal.
_COLUMNS = 128


class HostAlgebra:
    """By SciPy's BLAS and LAPACK, in float64; matrices come and go in Fortran order.

    Attributes
    ----------
    gram_rows, piece_rows, factor_rows, qr_rows : int
        Rows folded at a time, measured with 300, 1,000 and 3,000 features. More rows gain nothing
        and cost memory. Those of a factor are stored by columns, a power of two apart being 8 to
        11 % slower; they are shifted in smaller pieces, in cache, before they are transposed.
    """

    xp: Any = np
    gram_rows = 1024
    piece_rows = 172
    factor_rows = 4 * piece_rows
    qr_rows = 2 * factor_rows

    def asarray(self, values: Any) -> Any:
        """Return an array where the sums lie; not copied where it is there."""
        return values

    def zeros(self, shape: tuple[int, int]) -> Any:
        """Return a matrix of zeros."""
        return np.zeros(shape, order="F")

    def copy(self, matrix: Any) -> Any:
        """Return a matrix to be overwritten."""
        return np.array(matrix, order="F")

    def own_sums(self, sums: Any) -> Any:
        """Return symmetric sums from anywhere as what may be added to in place."""
        # BLAS crashes on what joblib maps read-only.
        return np.require(host_sums(sums), requirements=["F", "W"])

    def own_factor(self, factor: Any) -> Any:
        """Return a triangular factor from anywhere as what may be overwritten."""
        return np.require(to_host(factor), requirements=["F", "W"])

    def add_products(self, sums: Any, rows: Any) -> Any:
        """Return sums + rowsᵀ rows, in place."""
        with large_call(0.5 * len(rows) * len(sums) ** 2):
            return add_symmetric_products(sums, rows)

    def single_products(self, rows: Any) -> Any:
        """Return rowsᵀ rows of float32 rows, in float32."""
        with large_call(0.25 * rows.size * rows.shape[1]):  # twice as fast as in float64
            sums = np.zeros((rows.shape[1], rows.shape[1]), dtype=np.float32, order="F")
            return add_symmetric_products(sums, rows)

    def add_sums(self, sums: Any, others: Any) -> Any:
        """Return sums + other sums, of float32 perhaps, in place."""
        for start in range(0, len(sums), _COLUMNS):
            below = (slice(start, None), slice(start, start + _COLUMNS))
            sums[below] += others[below]
        return sums

    def add_outer(self, sums: Any, factor: float, x: Floats) -> Any:
        """Return sums + factor x xᵀ, in place."""
        return blas.dsyr(factor, x, lower=1, a=sums, overwrite_a=1)

    def add_outer_pair(self, sums: Any, factor: float, x: Floats, y: Floats) -> Any:
        """Return sums + factor (x yᵀ + y xᵀ), in place."""
        return blas.dsyr2(factor, x, y, lower=1, a=sums, overwrite_a=1)

    def add_to_diagonal(self, matrix: Any, value: float) -> None:
        """Add a number to the diagonal, in place."""
        np.einsum("ii->i", matrix[: matrix.shape[1], : matrix.shape[0]])[...] += value

    def multiply(self, sums: Any, columns: Any) -> Any:
        """Return sums · columns."""
        return blas.dsymm(1.0, sums, columns, lower=1)

    def cholesky(self, matrix: Any, *, clean: bool = True) -> Any:
        """Return the lower factor, None where there is none; `clean` puts zeros above it."""
        with large_call(len(matrix) ** 3 / 6):
            lower, info = lapack.dpotrf(matrix, lower=1, clean=int(clean), overwrite_a=1)
        return None if info else lower

    def solve_cholesky(self, lower: Any, columns: Any) -> Any:
        """Return (L Lᵀ)⁻¹ columns."""
        return lapack.dpotrs(lower, columns, lower=1)[0]

    def solve_triangular(self, matrix: Any, columns: Any, *, lower: bool) -> Any:
        """Return the solution of a triangular system, None where a diagonal element is 0."""
        solved, info = lapack.dtrtrs(matrix, columns, lower=int(lower))
        return None if info else solved

    def eigh(self, matrix: Any) -> Any:
        """Return eigenvalues, rising, and eigenvectors of symmetric sums."""
        return eigh(matrix, lower=True, overwrite_a=True)

    def svd(self, matrix: Any) -> Any:
        """Return U, σ, Vᵀ, of a wide matrix only the rows of Vᵀ that belong to some σ."""
        return svd(matrix, full_matrices=False, overwrite_a=True, check_finite=False)

    def frobenius(self, matrix: Any) -> float:
        """Return √Σ a², also where squares leave the float64 range."""
        return float(lapack.dlange("F", matrix))

    def fold_rows(self, factor: Any, rows: Any, *, triangular: bool = False) -> Any:
        """Return the triangular factor of [factor; rows], overwriting both.

        LAPACK's tpqrt leaves the zeros of `factor` alone; for 300 to 3,000 columns that took 0.6 to
        0.9 of the time of geqrf on the stacked rows. `triangular` says that `rows` are upper
        trapezoidal.
        """
        width = factor.shape[1]
        depth = min(rows.shape) if triangular else 0
        factor, _, _, info = lapack.dtpqrt(
            depth, min(_PANEL, width), factor, rows, overwrite_a=1, overwrite_b=1
        )
        if info:
            raise np.linalg.LinAlgError(f"tpqrt returned {info} for a factor of {width} columns.")
        return factor


class DeviceAlgebra(HostAlgebra):
    """By matrix products and `linalg` of a namespace; members as those of `HostAlgebra`.

    Parameters
    ----------
    xp : module
        cupy; numpy serves to test it.
    """

    gram_rows = piece_rows = factor_rows = qr_rows = 16384

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self._linalg = scipy_module(xp, "linalg")

    def asarray(self, values: Any) -> Any:
        return self.xp.asarray(values)

    def zeros(self, shape: tuple[int, int]) -> Any:
        return self.xp.zeros(shape)

    def copy(self, matrix: Any) -> Any:
        return self.xp.array(matrix)

    def own_sums(self, sums: Any) -> Any:
        if is_on_device(sums):
            return sums
        lower = np.tril(sums)
        return self.asarray(lower + np.tril(lower, -1).T)

    def own_factor(self, factor: Any) -> Any:
        return self.asarray(factor)

    def add_products(self, sums: Any, rows: Any) -> Any:
        sums += rows.T @ rows
        return sums

    def single_products(self, rows: Any) -> Any:
        return rows.T @ rows

    def add_sums(self, sums: Any, others: Any) -> Any:
        sums += others
        return sums

    def add_outer(self, sums: Any, factor: float, x: Floats) -> Any:
        column = self.asarray(x)
        sums += self.xp.outer(factor * column, column)
        return sums

    def add_outer_pair(self, sums: Any, factor: float, x: Floats, y: Floats) -> Any:
        product = self.xp.outer(factor * self.asarray(x), self.asarray(y))
        sums += product
        sums += product.T
        return sums

    def add_to_diagonal(self, matrix: Any, value: float) -> None:
        places = self.xp.arange(min(matrix.shape))
        matrix[places, places] += value

    def multiply(self, sums: Any, columns: Any) -> Any:
        return sums @ columns

    def cholesky(self, matrix: Any, *, clean: bool = True) -> Any:
        try:
            with _raising_errors(self.xp):
                return self.xp.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:  # CuPy raises NumPy's
            return None

    def solve_cholesky(self, lower: Any, columns: Any) -> Any:
        half = self._linalg.solve_triangular(lower, columns, lower=True)
        return self._linalg.solve_triangular(lower, half, lower=True, trans="T")

    def solve_triangular(self, matrix: Any, columns: Any, *, lower: bool) -> Any:
        if not matrix.diagonal().all():
            return None
        return self._linalg.solve_triangular(matrix, columns, lower=lower)

    def eigh(self, matrix: Any) -> Any:
        return self.xp.linalg.eigh(matrix)

    def svd(self, matrix: Any) -> Any:
        return self.xp.linalg.svd(matrix, full_matrices=False)

    def frobenius(self, matrix: Any) -> float:
        size = float(abs(matrix).max())
        return size * float(self.xp.sqrt(self.xp.square(matrix / size).sum())) if size else 0.0

    def fold_rows(self, factor: Any, rows: Any, *, triangular: bool = False) -> Any:
        return self.xp.linalg.qr(self.xp.concatenate([factor, rows]), mode="r")


_HOST = HostAlgebra()


def algebra_of(array: Any) -> HostAlgebra:
    """Return the algebra for the place where an array lies."""
    return DeviceAlgebra(namespace_of(array=array)) if is_on_device(array) else _HOST


def host_sums(sums: Any) -> Any:
    """Return symmetric sums as the host keeps them: their lower triangle, in Fortran order."""
    return np.asfortranarray(np.tril(to_host(sums))) if is_on_device(sums) else sums


def _raising_errors(xp: Any) -> Any:
    """Return a context in which a factorization that fails raises: CuPy's go on in silence."""
    name, settings = ("numpy", {}) if xp is np else ("cupyx", {"linalg": "raise"})
    return importlib.import_module(name).errstate(**settings)
