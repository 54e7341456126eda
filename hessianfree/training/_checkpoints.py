"""Checkpoints: the whole state of a training run, and the file that stores it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hessianfree.optimize._protocols import Optimizer, OptimizerState
from hessianfree.training._history import History
from hessianfree.training._stop_reason import TrainingStop
from reservoir.utils.device import host_state
from reservoir.utils.explained import explained
from reservoir.utils.files import load_arrays, save_arrays
from reservoir.utils.persistence import refuse_unknown, require_array
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer

_FORMAT = "hessianfree-checkpoint"


# The second has its history in another file.
_VERSIONS = (1, 2)


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

    def check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file fits together."""
        check_integer("iteration", self.iteration, maximum=len(self.history))
        _check_vectors(self.optimizer_state)

    @property
    def params(self) -> Array:
        """The parameters, of shape (n_params,)."""
        return self.optimizer_state.params


@explained
def save_checkpoint(path: str | os.PathLike[str], state: TrainingState) -> None:
    """Write a state to an `.npz` file, in one piece or not at all, and without pickle.

    Parameters
    ----------
    path : path-like
        The file; the folder must exist.
    state : TrainingState
    """
    columns = state.history.head(state.iteration).arrays()
    history = {f"history/{name}": column for name, column in columns.items()}
    _write(path, state, {"version": 1}, history)


def _write(
    path: str | os.PathLike[str],
    state: TrainingState,
    about_history: dict[str, Any],
    arrays: dict[str, Array],
) -> None:
    """Write a state, and what says where its history is."""
    numbers = {}
    for name, value in host_state(_flatten(state.optimizer_state)).items():
        if isinstance(value, np.ndarray):
            arrays[f"optimizer/{name}"] = value
        else:
            numbers[name] = value
    header = {
        "format": _FORMAT,
        "optimizer_state": type(state.optimizer_state).__name__,
        "optimizer": numbers,
        "iteration": state.iteration,
        "entropy": state.seed.entropy,
        "spawn_key": list(state.seed.spawn_key),
        "stop_reason": state.stop_reason,
        **about_history,
    }
    save_arrays(path, header=header, arrays=arrays)


class CheckpointWriter:
    """Writes the checkpoints of one run, each at the same cost, however long the history is.

    While the run lasts, the history is in a file of its own beside the checkpoint,
    ``PATH.history-N.jsonl``, to which rows are appended: the checkpoint holds how many of its bytes
    belong to it, and their digest. At the end all is in one file again.

    Parameters
    ----------
    path : path-like
        The checkpoint.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(os.path.realpath(path))
        self._file: BinaryIO | None = None
        self._n_rows = self._n_bytes = 0
        self._digest = hashlib.blake2b(digest_size=16)

    def save(self, state: TrainingState) -> None:
        """Write a state in the middle of the run."""
        is_first = self._file is None
        if self._file is None:
            numbers = [int(path.stem.rpartition("-")[2]) for path in self._histories()]
            name = f"{self._path.name}.history-{max(numbers, default=0) + 1}.jsonl"
            self._file = (self._path.parent / name).open("xb")
        rows = (state.history.row(index) for index in range(self._n_rows, state.iteration))
        lines = "".join(json.dumps(row, default=np.generic.item) + "\n" for row in rows).encode()
        self._file.write(lines)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._digest.update(lines)
        self._n_rows, self._n_bytes = state.iteration, self._n_bytes + len(lines)
        history = {
            "file": Path(self._file.name).name,
            "bytes": self._n_bytes,
            "digest": self._digest.hexdigest(),
        }
        _write(self._path, state, {"version": 2, "history": history}, {})
        if is_first:
            self._remove(self._file.name)

    def finish(self, state: TrainingState) -> None:
        """Write the last state, with its history, to the one file."""
        save_checkpoint(self._path, state)
        self.close()
        self._remove()

    def close(self) -> None:
        """Write no more; what was written is that of a run which can go on."""
        if self._file is not None:
            self._file.close()

    def _histories(self) -> list[Path]:
        pattern = re.compile(re.escape(self._path.name) + r"\.history-\d+\.jsonl")
        return [path for path in self._path.parent.iterdir() if pattern.fullmatch(path.name)]

    def _remove(self, but: str = "") -> None:
        """Remove histories that no checkpoint needs any more."""
        for path in self._histories():
            if str(path) != but:
                path.unlink(missing_ok=True)


def _read_history(path: str | os.PathLike[str], history: dict[str, Any]) -> History:
    """Return the history that a checkpoint of a run in the middle needs."""
    file = Path(os.path.realpath(path)).parent / Path(history["file"]).name
    with file.open("rb") as stream:
        content = stream.read(check_integer("bytes", history["bytes"]))
    if hashlib.blake2b(content, digest_size=16).hexdigest() != history["digest"]:
        raise ValueError(f"its history {file.name!r} is not the one that belongs to it")
    whole = History()
    for line in content.splitlines():
        whole.append(json.loads(line))
    return whole


@explained
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
    where = f"`path` {os.fspath(path)!r}"
    if header.get("format") != _FORMAT or header.get("version") not in _VERSIONS:
        raise ValueError(
            f"{where} holds {header.get('format')!r} of version "
            f"{header.get('version')}, but {_FORMAT!r} of version 1 or 2 was expected. "
            "Pass a checkpoint that this version of the library wrote."
        )
    try:
        history = _read_history(path, header["history"]) if header["version"] == 2 else None
        return _restored(header, arrays, optimizer, history)
    except _OtherOptimizerError:
        raise
    # What does not fit together raises almost anything.
    except Exception as error:
        raise ValueError(
            f"{where} is damaged, or of another version: {type(error).__name__}: {error}. Go on "
            "from an older checkpoint, or begin anew."
        ) from error


class _OtherOptimizerError(ValueError):
    """The file is whole, but not that of the optimizer."""


def _restored(
    header: dict[str, Any],
    arrays: dict[str, Any],
    optimizer: Optimizer[Any],
    history: History | None,
) -> TrainingState:
    """Return the state that a file holds, or raise some error or other."""
    columns: dict[str, dict[str, Any]] = {"optimizer": dict(header["optimizer"]), "history": {}}
    for name, array in arrays.items():
        group, _, field = name.partition("/")
        columns[group][field] = array
    names = {name.rpartition(".")[2]: name for name in columns["optimizer"]}
    params = columns["optimizer"][names["params"]]
    require_array("params", params, (None,))
    blank = optimizer.init(params)
    if type(blank).__name__ != header["optimizer_state"]:
        raise _OtherOptimizerError(
            f"`optimizer` is a {type(optimizer).__name__}, but the file holds a "
            f"{header['optimizer_state']}. Pass the optimizer that the run began with."
        )
    refuse_unknown("optimizer", set(columns["optimizer"]) - set(_flatten(blank)))
    history = History(columns["history"]) if history is None else history
    history.check_loaded()
    state = TrainingState(
        _fill(blank, columns["optimizer"]),
        header["iteration"],
        np.random.SeedSequence(header["entropy"], spawn_key=header["spawn_key"]),
        history,
        TrainingStop(header["stop_reason"]),
    )
    state.check_loaded()
    return state


def _check_vectors(state: Any) -> None:
    """Raise ValueError unless a state read from a file is finite, and of the size of its params."""
    n_params = len(state.params)
    require_array("params", state.params, (n_params,))
    values = _flatten(state)
    for name, value in values.items():
        if name.rpartition(".")[2] == "carried":  # a row for each sequence
            require_array(name, value, (None, None))
        elif isinstance(value, np.ndarray) and value.ndim:
            require_array(name, value, (n_params,))


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
