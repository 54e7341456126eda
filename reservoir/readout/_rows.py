"""Rows on their way into a readout's sums: checked, shifted, weighted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.linalg import blas

from reservoir.utils.device import module_of, namespace_of, to_host
from reservoir.utils.types import Floats


def check_rows(
    features: ArrayLike,
    targets: ArrayLike,
    sample_weight: ArrayLike | None,
    n_features: int,
    n_targets: int,
) -> tuple[NDArray[np.floating], NDArray[np.floating], Floats | None]:
    """Return features, targets and weights as arrays of fitting shapes, or raise.

    All three lie on the host, or all on the device.
    """
    xp = namespace_of(features=features, targets=targets, sample_weight=sample_weight)
    arrays = []
    for name, value, width in (("features", features, n_features), ("targets", targets, n_targets)):
        array = xp.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"`{name}` has dtype {array.dtype}, but real numbers were expected. "
                "Convert it to float64 or float32."
            )
        if array.ndim != 2 or array.shape[1] != width:
            raise ValueError(
                f"`{name}` has shape {array.shape}, but (n_rows, {width}) was expected. "
                "Pass one row a time step."
            )
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float64)
        arrays.append(array)
    if len(arrays[0]) != len(arrays[1]):
        raise ValueError(
            f"`targets` has {len(arrays[1])} rows, but `features` has {len(arrays[0])}. "
            "Pass one target row for each feature row."
        )
    if sample_weight is None:
        return arrays[0], arrays[1], None
    weight = xp.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (len(arrays[0]),):
        raise ValueError(
            f"`sample_weight` has shape {weight.shape}, but ({len(arrays[0])},) was expected. "
            "Pass one weight per row."
        )
    if not (xp.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError(
            "`sample_weight` has a negative, infinite or NaN entry, but weights of 0 or more were "
            "expected. Drop rows by weight 0."
        )
    return arrays[0], arrays[1], weight


def sum_of_squares(array: NDArray[np.floating], weight: Floats | None = None) -> float:
    """Return the (weighted) sum of squares, infinite or NaN where float64 has no number for it."""
    with np.errstate(over="ignore", invalid="ignore"):
        if weight is None and array.flags.c_contiguous:
            flat = array.reshape(-1)
            total = float(flat @ flat)
        else:
            rows = module_of(array).einsum("ij,ij->i", array, array)
            total = float(rows.sum(dtype=np.float64) if weight is None else weight @ rows)
        if not np.isfinite(total) and array.dtype == np.float32:
            return sum_of_squares(array.astype(np.float64), weight)
    return total


def raise_if_not_finite(**arrays: NDArray[np.floating]) -> None:
    """Raise for the first array that holds NaN or infinity."""
    for name, array in arrays.items():
        if not module_of(array).isfinite(array).all():
            raise ValueError(
                f"`{name}` contains NaN or infinity, but finite numbers were expected. "
                "Remove these rows, or look for what diverged."
            )


def shifted_rows(
    features: NDArray[np.floating],
    targets: NDArray[np.floating],
    weight: Floats | None,
    shift: Floats,
    n_rows: int,
    dtype: DTypeLike = np.float64,
) -> Iterator[NDArray[np.floating]]:
    """Yield [1 | S - c | Y - d], weighted by square roots, in pieces: a reused buffer."""
    xp, n_features = module_of(features), features.shape[1]
    shift = xp.asarray(shift.astype(dtype, copy=False))
    of_features = shift.copy()
    of_features[1 + n_features :] = 0.0  # targets may be of another dtype
    buffer = xp.empty((min(n_rows, len(features)), len(shift)), dtype=dtype)
    for start in range(0, len(features), n_rows):
        rows = slice(start, start + n_rows)
        piece = buffer[: len(features[rows])]
        piece[:, 0] = 1.0
        piece[:, 1 + n_features :] = 0.0
        piece[:, 1 : 1 + n_features] = features[rows]
        subtract_from_rows(of_features, piece)
        xp.subtract(targets[rows], shift[1 + n_features :], out=piece[:, 1 + n_features :])
        if weight is not None:
            piece *= xp.sqrt(weight[rows, None])
        yield piece


def subtract_from_rows(shift: NDArray[np.floating], rows: NDArray[np.floating]) -> None:
    """Subtract a row from all rows, in place; both of one dtype, the rows in C order.

    BLAS gives the same bits in a third of the time that NumPy takes for rows so short.
    """
    if module_of(rows) is not np:
        rows -= shift
        return
    ger = blas.sger if rows.dtype == np.float32 else blas.dger
    ger(-1.0, shift, np.ones(len(rows), rows.dtype), a=rows.T, overwrite_a=1)


def first_shift(features: NDArray[np.floating], targets: NDArray[np.floating]) -> Floats:
    """Return [0 | mean of the features | mean of the targets], on the host."""
    means = [to_host(array.mean(axis=0, dtype=np.float64)) for array in (features, targets)]
    return np.concatenate([[0.0], *means])
