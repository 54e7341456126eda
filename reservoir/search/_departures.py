"""Whether the model that a search found stays within what it learned, on the data it learned."""

from __future__ import annotations

from typing import Any

import numpy as np

from reservoir.dynamics._free import FreeStart, free_run_sequences
from reservoir.dynamics._reservoir import DivergenceError
from reservoir.estimators._one_step import output_places
from reservoir.harvest._map import states_at
from reservoir.search._jobs import SearchJob
from reservoir.search._scoring import choose_starts
from reservoir.utils.device import module_of, to_host


def count_departures(model: Any, job: SearchJob) -> tuple[int, int]:
    """Return how many free runs of a fitted model diverge, and how many there were.

    Parameters
    ----------
    model : ESNRegressor
        Fitted on all that the job holds.
    job : SearchJob
        The data. Runs begin where those of its candidates began, and, where no input needs to be
        known ahead, at the end of each sequence.
    """
    reservoir = model.reservoir_
    is_fed_back = reservoir.feedback is not None
    sources = np.full_like(job.sources, -1) if is_fed_back else job.sources
    places = output_places(sources, job.targets[0].shape[1])
    horizon = job.scoring.horizon
    steps: list[list[int]] = [[] for _ in job.inputs]
    for start in choose_starts(job.plan(model.washout), job.scoring):
        steps[start.sequence].append(start.step)
    runs = []
    for inputs, targets, firsts in zip(job.inputs, job.targets, steps):
        rows = to_host(inputs)
        if (sources >= 0).all():
            firsts.append(len(rows))
        if not firsts:
            continue
        teacher = module_of(inputs).asarray(targets) if is_fed_back else None
        states = states_at(reservoir, inputs, np.array(firsts), teacher=teacher)
        for first, state in zip(firsts, states):
            # As `forecast` does: from the row that follows, or the last target.
            is_shown = not is_fed_back and first < len(rows)
            output = rows[first, places] if is_shown else targets[first - 1]
            external = rows[first : first + horizon, sources < 0]
            external = external if (sources < 0).any() else np.empty((horizon, 0))
            runs.append(FreeStart(horizon, state, output, external))
    try:
        free_run_sequences(
            reservoir,
            model.readout_,
            runs,
            output_as_input=sources,
            output_bounds=model.output_bounds_,
        )
    except DivergenceError as error:
        return sum(len(outputs) < horizon for outputs in error.outputs), len(runs)
    return 0, len(runs)
