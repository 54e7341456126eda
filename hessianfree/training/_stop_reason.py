"""Why a training run ended."""

from __future__ import annotations

from enum import StrEnum


class TrainingStop(StrEnum):
    """Why a training run ended; each member equals its string.

    Examples
    --------
    >>> TrainingStop.N_ITERATIONS == "n_iterations"
    True
    """

    #: Before the first call of `train`.
    NOT_STARTED = ""
    #: All iterations that were asked for have been made.
    N_ITERATIONS = "n_iterations"
    #: The loss no longer falls, or the gradient has vanished.
    CONVERGED = "converged"
    #: The callback asked for it.
    CALLBACK = "callback"
    #: Ctrl-C.
    INTERRUPTED = "interrupted"
    #: SciPy found no further step.
    FAILED = "failed"
