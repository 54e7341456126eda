"""When a sequence counts as wrong: by numbers, bits or classes; NaN is never right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hessianfree.batch import Batch
from reservoir.utils.explained import explained
from reservoir.utils.types import Array


@explained
def wrong_numbers(predictions: Array, batch: Batch, tolerance: float = 0.04) -> NDArray[np.bool_]:
    """Say which sequences have an error of more than 0.04 at a scored step.

    Parameters
    ----------
    predictions : ndarray of shape (n_steps, n_sequences, n_outputs)
    batch : Batch
    tolerance : float, default=0.04
        That of Hochreiter & Schmidhuber (1997).

    Returns
    -------
    ndarray of bool, shape (n_sequences,)

    Examples
    --------
    >>> import numpy as np
    >>> batch = Batch(np.zeros((1, 2, 1)), np.zeros((1, 2, 1)))
    >>> wrong_numbers(np.array([[[0.03], [-0.05]]]), batch)
    array([False,  True])
    """
    _check_shape(predictions, batch)
    # Written so that a comparison with NaN, which is False, makes the sequence wrong.
    right = np.all(np.abs(predictions - batch.targets) <= tolerance, axis=2)
    return _any_scored(~right, batch)


@explained
def wrong_bits(predictions: Array, batch: Batch) -> NDArray[np.bool_]:
    """Say which sequences have a wrong bit at a scored step, a prediction above 1/2 being a 1.

    Parameters
    ----------
    predictions : ndarray of shape (n_steps, n_sequences, n_outputs)
    batch : Batch

    Returns
    -------
    ndarray of bool, shape (n_sequences,)
    """
    _check_shape(predictions, batch)
    right = np.where(batch.targets > 0.5, predictions > 0.5, predictions <= 0.5)
    return _any_scored(~np.all(right, axis=2), batch)


@explained
def wrong_classes(predictions: Array, batch: Batch) -> NDArray[np.bool_]:
    """Say which sequences have a wrong class at a scored step.

    Parameters
    ----------
    predictions : ndarray of shape (n_steps, n_sequences, n_outputs)
    batch : Batch

    Returns
    -------
    ndarray of bool, shape (n_sequences,)
    """
    _check_shape(predictions, batch)
    # The largest of several numbers one of which is NaN is, to argmax, the NaN.
    right = (np.argmax(predictions, axis=2) == batch.targets) & ~np.isnan(predictions).any(axis=2)
    return _any_scored(~right, batch)


@explained
def wrong_at_the_end(predictions: Array, batch: Batch) -> NDArray[np.bool_]:
    """Say which sequences have a wrong class at the last of their scored steps.

    Where every step is predicted, and all but the last can only be guessed.

    Parameters
    ----------
    predictions : ndarray of shape (n_steps, n_sequences, n_outputs)
    batch : Batch

    Returns
    -------
    ndarray of bool, shape (n_sequences,)

    Examples
    --------
    >>> import numpy as np
    >>> batch = Batch(np.zeros((2, 2, 1)), np.array([[0, 1], [1, 1]]))
    >>> wrong_at_the_end(np.eye(2)[[[1, 0], [1, 0]]], batch)
    array([False,  True])
    """
    _check_shape(predictions, batch)
    n_steps, n_sequences = batch.targets.shape[:2]
    scored = np.ones((n_steps, n_sequences)) if batch.mask is None else batch.mask
    last = np.zeros((n_steps, n_sequences), dtype=bool)
    last[n_steps - 1 - np.argmax(scored[::-1] > 0, axis=0), np.arange(n_sequences)] = True
    return wrong_classes(predictions, Batch(batch.inputs, batch.targets, last & (scored > 0)))


def _check_shape(predictions: Array, batch: Batch) -> None:
    """Raise unless there is a prediction for each target, or one for all steps."""
    shape = getattr(predictions, "shape", None)
    wanted = batch.targets.shape
    fits = shape is not None and len(shape) == 3
    if not fits or any(n not in (1, size) for n, size in zip(shape or (), wanted)):
        came = f"of type {type(predictions).__name__}" if shape is None else f"of shape {shape}"
        raise ValueError(
            f"`predictions` is {came}, but (n_steps, n_sequences, n_outputs) was expected, for "
            f"targets of shape {wanted} in `batch`. Pass what the net puts out for that batch."
        )


def _any_scored(wrong: NDArray[np.bool_], batch: Batch) -> NDArray[np.bool_]:
    """Return which sequences have a wrong step among those that are scored."""
    scored = np.True_ if batch.mask is None else batch.mask > 0
    anywhere: NDArray[np.bool_] = np.any(wrong & scored, axis=0)
    return anywhere
