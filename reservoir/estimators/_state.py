"""Where a run ended, so that another may go on from there."""

from __future__ import annotations

from dataclasses import dataclass

from reservoir.utils.types import Array


@dataclass(frozen=True, eq=False)
class ReservoirState:
    """Where the runs of one sequence, or several, ended: all that another needs to go on.

    What `advance` returns, and `predict` and `forecast` with `return_state`; it is passed on as
    their `initial_state`.

    Attributes
    ----------
    state : ndarray of shape (n_sequences, n_units)
        x after the last step.
    output : ndarray of shape (n_sequences, n_outputs)
        The output of the last step: observed, where it was passed, or the model's own. It is what
        is fed back next.
    input : ndarray of shape (n_sequences, n_features)
        The last value of each input, which goes on where `missing` is "hold".
    is_ahead : bool
        Whether `output` is the model's own for a step that was not observed: a forecast then
        begins with it. After a forecast it is False, since what it returned goes on after it.
    """

    state: Array
    output: Array
    input: Array
    is_ahead: bool
