"""The Gauss-Newton matrix at one point as a SciPy linear operator."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from scipy.sparse.linalg import LinearOperator

from reservoir.utils.explained import explained
from reservoir.utils.types import Array
from reservoir.utils.validation import check_real


class HasGaussNewtonProduct(Protocol):
    """What the operator needs of a linearization."""

    def gauss_newton_product(
        self, v: Array, structural_damping: float = 0.0, *, out: Array | None = None
    ) -> Array:
        """Return (G + μ S) v."""
        ...


@explained
class GaussNewtonOperator(LinearOperator):
    r"""The Gauss-Newton matrix of a linearization, damped or bare, without forming it.

    .. math:: A = G + \lambda I + \mu S

    A is symmetric and, with μ and λ of 0 or more, positive semi-definite: `eigsh`, `cg`, `svds` and
    the like of `scipy.sparse.linalg` take it as it is. A product costs a forward and a backward
    sweep against the stored forward pass.

    Parameters
    ----------
    linearization : Linearization
    n_params : int
        Rows and columns of A.
    dtype : dtype
        That of the parameters; vectors are converted to it.
    damping : float, default=0.0
        λ of 0 or more.
    structural_damping : float, default=0.0
        μ of 0 or more, as in `gauss_newton_product`. The matrix that `HessianFree` solves with has
        its damping times its `structural_damping` here.

    Raises
    ------
    ValueError
        If `damping` or `structural_damping` is negative or not finite.

    See Also
    --------
    SequenceNetwork.linearize : its answer has `as_linear_operator`, which makes one of these.

    Notes
    -----
    Vectors are NumPy arrays, also where a network computes on a GPU.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse.linalg import eigsh
    >>> from hessianfree.optimize import FunctionObjective
    >>> A = np.diag([1.0, 2.0, 3.0, 4.0])
    >>> quadratic = FunctionObjective(
    ...     value=lambda x: 0.5 * x @ A @ x, gradient=lambda x: A @ x, product=lambda x, v: A @ v)
    >>> operator = quadratic.linearize(np.ones(4)).as_linear_operator(damping=0.5)
    >>> eigsh(operator, k=2, return_eigenvectors=False).round(9)
    array([3.5, 4.5])

    References
    ----------
    Schraudolph (2002), Fast curvature matrix-vector products for second-order gradient descent,
    Neural Computation 14.
    """

    def __init__(
        self,
        linearization: HasGaussNewtonProduct,
        n_params: int,
        dtype: Any,
        *,
        damping: float = 0.0,
        structural_damping: float = 0.0,
    ) -> None:
        self.linearization = linearization
        self.damping = check_real("damping", damping, minimum=0)
        self.structural_damping = check_real("structural_damping", structural_damping, minimum=0)
        super().__init__(np.dtype(dtype), (n_params, n_params))

    def _matvec(self, x: Array) -> Array:
        if np.iscomplexobj(x):
            raise TypeError(
                f"`x` is of dtype {x.dtype}, but real numbers were expected. Multiply the real and "
                "the imaginary part one after the other."
            )
        v = np.asarray(x, dtype=self.dtype).ravel()
        product = self.linearization.gauss_newton_product(v, self.structural_damping)
        if self.damping:
            product += self.dtype.type(self.damping) * v
        return product

    def _adjoint(self) -> GaussNewtonOperator:
        return self
