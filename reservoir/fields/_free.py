"""Free runs of fields: one reservoir for each patch, inputs from its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reservoir.dynamics._bounds import Departure, as_bounds, note_departures, refuse_departures
from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics.loops._choose import choose_loop
from reservoir.fields._patches import Patches
from reservoir.readout._features import Readout
from reservoir.utils.explained import explained
from reservoir.utils.types import Array


@explained
def run_fields_free(
    reservoir: Reservoir,
    readouts: Sequence[Readout],
    patches: Patches,
    n_steps: int,
    states: Array,
    fields: Array,
    *,
    output_bounds: Array | None = None,
    engine: str = "auto",
) -> Array:
    """Return forecasts of fields, patch by patch, halos exchanged at each step.

    x_p[t] = (1 - a) x_p[t-1] + a f(W x_p[t-1] + W_in v_p[t-1] + b),   y_p[t] = readout of patch p

    with v_p[t-1] what patch p saw of the field at t - 1: its own outputs and, in its halo, those
    of its neighbours. All patches of all fields are columns of the same products.

    Parameters
    ----------
    reservoir : Reservoir
        W, W_in, b, a and f; one input per column that a patch sees, no feedback weights.
    readouts : sequence of Readout
        One for all patches, or one for each; they give what a patch owns.
    patches : Patches
        What each patch sees and owns.
    n_steps : int
        Steps to run.
    states : ndarray of shape (n_fields, n_patches, n_units)
        x_p[-1].
    fields : ndarray of shape (n_fields, n_columns)
        The fields at -1.
    output_bounds : ndarray of shape (2, n_columns), optional
        Smallest and largest value that each column may take; infinity alone stops a run without.
    engine : {"auto", "numpy", "numba"}, default "auto"
        As in `reservoir.dynamics.run`.

    Returns
    -------
    ndarray of shape (n_fields, n_steps, n_columns)

    Raises
    ------
    DivergenceError
        If a forecast is not finite or beyond its bounds; `step` and `sequence` say which, and
        `outputs` holds what came before, and the other fields' whole forecasts.

    Examples
    --------
    A unit a site that holds what its left neighbour was: a pattern that travels.

    >>> import numpy as np
    >>> unit = Reservoir(recurrent=np.zeros((1, 1)), input=np.array([[1.0, 0.0, 0.0]]),
    ...                  bias=np.zeros(1), activation="identity")
    >>> readout = Readout(state=np.ones((1, 1)), intercept=np.zeros(1))
    >>> run_fields_free(unit, [readout], Patches(4, 1, 1), 2, np.zeros((1, 4, 1)),
    ...                 np.array([[5.0, 6.0, 7.0, 8.0]]))[0]
    array([[8., 5., 6., 7.],
           [7., 8., 5., 6.]])

    References
    ----------
    Pathak, Hunt, Girvan, Lu & Ott (2018), Model-free prediction of large spatiotemporally chaotic
    systems from data: a reservoir computing approach, Physical Review Letters 120, 024102.
    """
    n_fields = len(fields)
    loop = choose_loop(reservoir, engine)
    lanes = states.reshape(-1, reservoir.n_units).astype(reservoir.dtype)
    groups = [slice(first, first + loop.n_lanes) for first in range(0, len(lanes), loop.n_lanes)]
    columns = np.ones((1, patches.width + 1, len(lanes)), dtype=reservoir.dtype)
    after = np.empty((len(lanes), 1, reservoir.n_units), dtype=reservoir.dtype)
    forecasts = np.empty((n_fields, n_steps, patches.n_columns), dtype=reservoir.dtype)
    # What is outside is the last column of all, which stays 0.
    field = np.zeros((n_fields, patches.n_columns + 1), dtype=reservoir.dtype)
    field[:, :-1] = fields
    sites, order = patches.sites, patches.order
    bounds = as_bounds(output_bounds, patches.n_columns, reservoir.dtype)
    departures: list[Departure | None] = [None] * n_fields
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(n_steps):
            inputs = field[:, sites].reshape(len(lanes), -1)
            columns[0, :-1] = inputs.T
            for group in groups:
                of_group = np.ascontiguousarray(columns[:, :, group])
                loop.advance_lanes(after[group], 0, 1, lanes[group], of_group, False)
            if len(readouts) == 1:
                outputs = readouts[0](lanes, inputs)
            else:
                # The lanes of patch p are p, p + n_patches, ...: one of each field.
                outputs = np.empty((len(lanes), patches.n_owned), dtype=reservoir.dtype)
                for first, readout in enumerate(readouts):
                    of_patch = slice(first, None, patches.n_patches)
                    outputs[of_patch] = readout(lanes[of_patch], inputs[of_patch])
            field[:, order] = outputs.reshape(n_fields, -1)
            forecasts[:, step] = field[:, :-1]
            if note_departures(field[:, :-1], bounds, step, departures):
                break
    refuse_departures(list(forecasts), departures)
    return forecasts
