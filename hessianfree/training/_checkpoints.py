"""Checkpoints: the whole state of a training run, and the file that stores it."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from hessianfree.optimize._protocols import Optimizer, OptimizerState
from hessianfree.training._history import History
from hessianfree.training._stop_reason import TrainingStop
from reservoir.utils.device import host_state
from reservoir.utils.files import load_arrays, save_arrays
from reservoir.utils.types import Array

_FORMAT = "hessianfree-checkpoint"


_VERSION = 1


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All that decides how a training run goes on.

    Attributes
    ----------
    optimizer_state : OptimizerState
        Parameters, damping, the start of conjugate gradients, ...
    iteration : int
        Iterations made. With `seed` it is the data cursor: the batches of an iteration depend on
        nothing else, and no generator has a state of its own.
    seed : numpy.random.SeedSequence
        The seed of all data.
    history : History
        One row per iteration: the `info` of the optimizer, and `seconds`, the wall time.
    stop_reason : TrainingStop
        Why the last call of `train` ended; equal to "" before the first.
    """

    optimizer_state: OptimizerState
    iteration: int
    seed: np.random.SeedSequence
    history: History
    stop_reason: TrainingStop = TrainingStop.NOT_STARTED

    @property
    def params(self) -> Array:
        """The parameters, of shape (n_params,)."""
        return self.optimizer_state.params


def save_checkpoint(path: str | os.PathLike[str], state: TrainingState) -> None:
    """Write a state to an `.npz` file, in one piece or not at all, and without pickle.

    Parameters
    ----------
    path : path-like
        The file; the folder must exist.
    state : TrainingState
    """
    numbers, arrays = {}, {}
    for name, value in host_state(_flatten(state.optimizer_state)).items():
        if isinstance(value, np.ndarray):
            arrays[f"optimizer/{name}"] = value
        else:
            numbers[name] = value
    header = {
        "format": _FORMAT,
        "version": _VERSION,
        "optimizer_state": type(state.optimizer_state).__name__,
        "optimizer": numbers,
        "iteration": state.iteration,
        "entropy": state.seed.entropy,
        "spawn_key": list(state.seed.spawn_key),
        "stop_reason": state.stop_reason,
    }
    for name, column in state.history.head(state.iteration).arrays().items():
        arrays[f"history/{name}"] = column
    save_arrays(path, header=header, arrays=arrays)


def load_checkpoint(path: str | os.PathLike[str], optimizer: Optimizer[Any]) -> TrainingState:
    """Read a state that `save_checkpoint` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    optimizer : Optimizer
        The one that the run began with; the kind of the state follows from it.

    Returns
    -------
    TrainingState

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is no checkpoint, or belongs to another kind of optimizer.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np
    >>> from hessianfree.optimize import HessianFree
    >>> from hessianfree.training import start
    >>> optimizer = HessianFree()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "run.npz"
    ...     save_checkpoint(file, start(optimizer, np.ones(2), random_state=0))
    ...     load_checkpoint(file, optimizer).params
    array([1., 1.])
    """
    header, arrays = load_arrays(path)
    if header.get("format") != _FORMAT or header.get("version") != _VERSION:
        raise ValueError(
            f"`path` {os.fspath(path)!r} holds {header.get('format')!r} of version "
            f"{header.get('version')}, but {_FORMAT!r} of version {_VERSION} was expected. "
            "Pass a checkpoint that this version of the library wrote."
        )
    columns: dict[str, dict[str, Any]] = {"optimizer": dict(header["optimizer"]), "history": {}}
    for name, array in arrays.items():
        group, _, field = name.partition("/")
        columns[group][field] = array
    names = {name.rpartition(".")[2]: name for name in columns["optimizer"]}
    blank = optimizer.init(columns["optimizer"][names["params"]])
    if type(blank).__name__ != header["optimizer_state"]:
        raise ValueError(
            f"`optimizer` is a {type(optimizer).__name__}, but the file holds a "
            f"{header['optimizer_state']}. Pass the optimizer that the run began with."
        )
    return TrainingState(
        _fill(blank, columns["optimizer"]),
        header["iteration"],
        np.random.SeedSequence(header["entropy"], spawn_key=header["spawn_key"]),
        History(columns["history"]),
        TrainingStop(header["stop_reason"]),
    )


def _flatten(state: Any, prefix: str = "") -> dict[str, Any]:
    """Return the fields of a state, those of a state inside it under `outer.inner`."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(state):
        value = getattr(state, field.name)
        if dataclasses.is_dataclass(value):
            values |= _flatten(value, f"{prefix}{field.name}.")
        else:
            values[prefix + field.name] = value
    return values


def _fill(blank: Any, values: dict[str, Any], prefix: str = "") -> Any:
    """Return a state of the kind of `blank` with the fields that `_flatten` returned."""
    fields = {}
    for field in dataclasses.fields(blank):
        value = getattr(blank, field.name)
        if dataclasses.is_dataclass(value):
            fields[field.name] = _fill(value, values, f"{prefix}{field.name}.")
        else:
            fields[field.name] = values[prefix + field.name]
    return dataclasses.replace(blank, **fields)
