"""Candidates of a search: drawn from a space of parameters, and grouped by the W they share."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid, ParameterSampler

from reservoir.dynamics._variants import Variants
from reservoir.utils.types import Array
from reservoir.utils.validation import check_real
from reservoir.weights._draw import check_input_scaling, check_scaling

Parameters = dict[str, Any]

# In these alone variants of one reservoir differ.
_SCALES = ("spectral_radius", "leak_rate", "input_scaling", "bias_scaling", "feedback_scaling")
# Nothing that is scored depends on these.
_IDLE = ("n_jobs", "verbose")


def describe(candidate: Parameters) -> str:
    """Return a candidate as text, with scalars of NumPy written as numbers."""
    return ", ".join(
        f"{name}={value.item() if isinstance(value, np.generic) else value!r}"
        for name, value in candidate.items()
    )


def expand(space: Any, n_iter: int | None, seed: int, names: set[str]) -> list[Parameters]:
    """Return the candidates of a grid, or `n_iter` draws from a space of distributions."""
    spaces = [space] if isinstance(space, Mapping) else list(space)
    for one in spaces:
        if not isinstance(one, Mapping):
            raise TypeError(
                f"`param_space` holds a {type(one).__name__}, but a dict from parameter names to "
                "values was expected. Pass one dict or a list of them."
            )
        unknown = sorted(set(one) - names)
        if unknown:
            raise ValueError(
                f"`param_space` names {unknown[0]!r}, but the estimator has no such parameter. "
                f"It has {', '.join(sorted(names))}."
            )
    if n_iter is not None:
        sampler = ParameterSampler(spaces, n_iter, random_state=seed % 2**32)
        return [dict(candidate) for candidate in sampler]
    for one in spaces:
        for name, values in one.items():
            if hasattr(values, "rvs"):
                raise ValueError(
                    f"`param_space[{name!r}]` is a distribution, but `n_iter` is None, which "
                    "tries all combinations of lists. Say in `n_iter` how many to draw."
                )
    return [dict(candidate) for candidate in ParameterGrid(spaces)]


@dataclass
class Lane:
    """One recurrence among several that are stepped side by side, and the candidates it serves.

    Candidates that differ in alpha alone have the same states, and share a lane.

    Attributes
    ----------
    parameters : dict
        All that they share.
    members : list of (int, float or array-like)
        Index and alpha of each candidate.
    """

    parameters: Parameters
    members: list[tuple[int, Any]] = field(default_factory=list)


def group(candidates: Sequence[Parameters], defaults: Parameters) -> list[list[Lane]]:
    """Return the lanes of each W."""
    groups: dict[Any, dict[Any, Lane]] = {}
    for index, candidate in enumerate(candidates):
        parameters = {**defaults, **candidate}
        alpha = parameters.pop("alpha")
        for name in _IDLE:
            parameters.pop(name)
        key = tuple((name, _identity(name, value)) for name, value in parameters.items())
        if parameters.get("diffusion", 0.0):
            # W - γ I of one spectral radius is no multiple of that of another.
            key += (parameters["spectral_radius"],)
        scales = tuple(_identity("", parameters[name]) for name in _SCALES)
        lanes = groups.setdefault(key, {})
        lane = lanes.setdefault(scales, Lane(parameters))
        lane.members.append((index, alpha))
    return [list(lanes.values()) for lanes in groups.values()]


def _identity(name: str, value: Any) -> Any:
    """Return what two candidates must have in common to share W; scales say what kind they are."""
    if name in _SCALES:
        if name == "spectral_radius":
            return value is None
        if name == "leak_rate":
            return None if np.ndim(value) == 0 else id(value)
        return bool(np.any(np.asarray(value) != 0)) if name == "feedback_scaling" else None
    if value is None or isinstance(value, str | numbers.Number):
        # 1 connection is not a density of 1.0.
        return type(value), value
    return id(value)


def shared_parameters(lanes: Sequence[Lane]) -> Parameters:
    """Return the parameters of the reservoir that all lanes are variants of."""
    parameters = dict(lanes[0].parameters)
    parameters.update(input_scaling=1.0, bias_scaling=1.0)
    if _identity("feedback_scaling", parameters["feedback_scaling"]):
        parameters["feedback_scaling"] = 1.0
    if np.ndim(parameters["leak_rate"]) == 0:
        parameters["leak_rate"] = 1.0
    if parameters["spectral_radius"] is not None:
        parameters["spectral_radius"] = max(_radius(lane) for lane in lanes)
    return parameters


def scales_of(
    lanes: Sequence[Lane], radius: float | None, n_inputs: int, n_outputs: int
) -> Variants:
    """Return what some lanes are to the reservoir drawn from `shared_parameters`.

    `radius` is its spectral radius, `n_outputs` the number of outputs fed back.
    """
    recurrent, leak = np.ones(len(lanes)), np.ones(len(lanes))
    if radius is not None:
        recurrent[:] = [_radius(lane) / radius if radius else 1.0 for lane in lanes]
    if np.ndim(lanes[0].parameters["leak_rate"]) == 0:
        leak[:] = [
            check_real(
                "leak_rate", lane.parameters["leak_rate"], minimum=0, maximum=1, exclusive=True
            )
            for lane in lanes
        ]
    drive: Array = np.empty((len(lanes), n_inputs + n_outputs + 1))
    for row, lane in zip(drive, lanes):
        row[:n_inputs] = check_input_scaling(lane.parameters["input_scaling"], n_inputs)
        if n_outputs:
            row[n_inputs:-1] = check_scaling(lane.parameters["feedback_scaling"], n_outputs)
        row[-1] = check_real("bias_scaling", lane.parameters["bias_scaling"], minimum=0)
    return Variants(recurrent, leak, drive)


def _radius(lane: Lane) -> float:
    return check_real("spectral_radius", lane.parameters["spectral_radius"], minimum=0)
