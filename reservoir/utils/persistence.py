"""Models to a file and back, without pickle."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator

from reservoir.utils.files import load_arrays, save_arrays
from reservoir.utils.fitted import FittedParameters

FORMAT = 1


_CLASSES: dict[str, type] = {}


def register(cls: type) -> type:
    """Let model files hold instances of `cls`: what it would pickle, stored as plain data.

    Parameters
    ----------
    cls : type
        A class whose `__getstate__` gives a dict of what `pack` takes, as the default one does.

    Returns
    -------
    type
        `cls`, so that this serves as a decorator.
    """
    _CLASSES[cls.__name__] = cls
    return cls


def pack(value: Any, name: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return `value` as something JSON can write, its arrays put aside into `arrays`.

    Parameters
    ----------
    value : object
        None, bool, int, float, str, array, sparse array, dtype, seed sequence, a registered
        class, or a list, tuple or dict with string keys of these.
    name : str
        Where the value stands, for the errors and as the key of its arrays.
    arrays : dict
        Filled.

    Raises
    ------
    TypeError
        If `value`, or something in it, is of another kind.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) in (int, float):
        return value
    if isinstance(value, np.ndarray) and value.dtype == object:
        # Column names of a data frame are such arrays.
        return {"objects": pack(value.tolist(), name, arrays)}
    if isinstance(value, np.ndarray | np.generic):
        arrays[name] = np.asarray(value)
        return {"array": name, "scalar": isinstance(value, np.generic)}
    if sparse.issparse(value):
        csr = sparse.csr_array(value)
        parts = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr}
        return {"csr": pack(parts, name, arrays), "shape": list(csr.shape)}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [pack(item, f"{name}.{i}", arrays) for i, item in enumerate(value)]}
    if isinstance(value, Mapping):
        return {"dict": {key: pack(item, f"{name}.{key}", arrays) for key, item in value.items()}}
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if isinstance(value, np.random.SeedSequence):
        return {"seed": value.entropy, "spawn_key": list(value.spawn_key)}
    if isinstance(value, np.random.Generator):
        return {"generator": value.bit_generator.state}
    if _CLASSES.get(type(value).__name__) is type(value):
        # An object without attributes has no state to Python.
        state = pack(value.__getstate__() or {}, name, arrays)
        return {"class": type(value).__name__, "state": state}
    raise TypeError(
        f"`{name}` is of type {type(value).__name__}, which a model file can't hold. "
        "Pickle the model, or give a value made of numbers, strings and arrays instead."
    )


def unpack(packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Undo `pack`, and check each part as far as it can be checked alone.

    Raises
    ------
    ValueError
        If indices of a sparse matrix are out of range, a class or a field of it is unknown, or
        what a class checks of itself (`__post_init__`, `check_loaded`) is not so.
    """
    if not isinstance(packed, dict):
        if packed is not None and not isinstance(packed, bool | int | float | str):
            raise ValueError(f"a {type(packed).__name__} stands where a value was expected")
        return packed
    if "array" in packed:
        array = arrays[packed["array"]]
        return array[()] if packed["scalar"] else array
    if "objects" in packed:
        return np.array(unpack(packed["objects"], arrays), dtype=object)
    if "csr" in packed:
        return _unpack_csr(unpack(packed["csr"], arrays), packed["shape"])
    if "list" in packed:
        return [unpack(item, arrays) for item in packed["list"]]
    if "tuple" in packed:
        return tuple(unpack(item, arrays) for item in packed["tuple"])
    if "dict" in packed:
        return {key: unpack(item, arrays) for key, item in packed["dict"].items()}
    if "dtype" in packed:
        return np.dtype(packed["dtype"])
    if "seed" in packed:
        return np.random.SeedSequence(packed["seed"], spawn_key=tuple(packed["spawn_key"]))
    if "generator" in packed:
        generator = np.random.default_rng()
        generator.bit_generator.state = packed["generator"]
        return generator
    return _unpack_instance(packed["class"], unpack(packed["state"], arrays))


def _unpack_csr(parts: dict[str, NDArray[Any]], shape: list[int]) -> sparse.csr_array:
    """Return a sparse matrix whose indices are those of rows and columns that it has."""
    data, indices, indptr = (parts[name] for name in ("data", "indices", "indptr"))
    require_array("indptr", indptr, (shape[0] + 1,), kinds="i")
    require_array("indices", indices, (len(data),), kinds="i")
    require_array("data", data, (None,), kinds="fiub", finite=False)
    ends = indptr[0] == 0 and indptr[-1] == len(indices) and bool(np.all(np.diff(indptr) >= 0))
    if not ends or (len(indices) and not 0 <= indices.min() <= indices.max() < shape[1]):
        raise ValueError("the indices of a sparse matrix are out of range")
    return sparse.csr_array((data, indices, indptr), shape=tuple(shape))


def _unpack_instance(name: str, state: dict[str, Any]) -> Any:
    """Return an instance of a registered class with that state."""
    if name not in _CLASSES:
        raise ValueError(f"it holds a {name}, which this version does not know")
    cls = _CLASSES[name]
    # What follows from the rest is computed from it.
    state = {
        key: value
        for key, value in state.items()
        if not isinstance(getattr(cls, key, None), functools.cached_property)
    }
    known: set[str] = set()
    if is_dataclass(cls):
        known = {field.name for field in fields(cls)}
    elif issubclass(cls, BaseEstimator):
        known = set(inspect.signature(cls).parameters)
    if known:
        # What an estimator has learned is called so.
        learned = {key for key in state if key.endswith("_") or key.startswith("_")}
        refuse_unknown(name, set(state) - known - (set() if is_dataclass(cls) else learned))
    result: Any = object.__new__(cls)
    if hasattr(cls, "__setstate__"):
        result.__setstate__(state)
    else:
        vars(result).update(state)
    if is_dataclass(cls):
        for field in known:
            getattr(result, field)  # those without a default must be there
    for check in ("__post_init__", "check_loaded", "_check_fitted_state"):
        if hasattr(result, check):
            getattr(result, check)()
    return result


def refuse_unknown(owner: str, names: set[str]) -> None:
    """Raise ValueError if there are names that this version does not know."""
    if names:
        raise ValueError(
            f"its {owner} has {', '.join(map(repr, sorted(names)))}, which this version does not "
            "know"
        )


def require_array(
    name: str,
    value: Any,
    shape: tuple[int | None, ...],
    *,
    kinds: str = "f",
    finite: bool = True,
) -> None:
    """Raise ValueError unless something read from a file is an array as it was saved.

    Parameters
    ----------
    name : str
        What the error calls it.
    value : object
        What was read.
    shape : tuple of int or None
        None stands for any length.
    kinds : str, default="f"
        Kinds of dtype that will do, as in `numpy.dtype.kind`.
    finite : bool, default=True
        Whether NaN and infinity are refused.

    Examples
    --------
    >>> require_array("coef_", np.zeros((2, 3)), (None, 3))
    >>> require_array("coef_", np.zeros((2, 3)), (2,))
    Traceback (most recent call last):
    ValueError: `coef_` is a float64 array of shape (2, 3), but one of shape (2,) was expected
    """
    array = np.asarray(value)
    fits = len(shape) == array.ndim and all(
        wanted is None or wanted == found for wanted, found in zip(shape, array.shape)
    )
    if not fits or array.dtype.kind not in kinds:
        expected = tuple("any" if length is None else length for length in shape)
        raise ValueError(
            f"`{name}` is a {array.dtype} array of shape {array.shape}, but one of shape "
            f"{expected} was expected"
        )
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"`{name}` holds NaN or infinity")


class SavableMixin(FittedParameters):
    """Gives a scikit-learn estimator `save` and `load`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and fitted state to one `.npz` file, atomically and without pickle.

        Parameters
        ----------
        path : path-like
            File to write, under just that name.

        Raises
        ------
        TypeError
            If a parameter is something that a file can't hold, such as a function.
        """
        arrays: dict[str, NDArray[Any]] = {}
        params = self.get_params(deep=False)  # type: ignore[attr-defined]
        state: Any = self.__getstate__()
        fitted = {name: value for name, value in state.items() if name not in params}
        header = {
            "format": FORMAT,
            "class": type(self).__name__,
            "params": pack(params, "params", arrays),
            "fitted": pack(fitted, "fitted", arrays),
        }
        save_arrays(path, header=header, arrays=arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        estimator
            With the same parameters, and fitted if the saved one was.

        Raises
        ------
        ValueError
            If the file is damaged, holds another class, or was written by a newer version: it is
            checked whole before any of it is used.
        """
        header, arrays = load_arrays(path)
        where = f"`path` {os.fspath(path)!r}"
        if not isinstance(header, dict) or "format" not in header:
            raise ValueError(f"{where} does not hold a model. Pass a file that `save` wrote.")
        version, name = header["format"], header.get("class")
        if not isinstance(version, int) or version > FORMAT:
            raise ValueError(
                f"{where} has format {version!r}, but this version reads up to {FORMAT}. "
                "Upgrade reservoir-hessianfree."
            )
        if name != cls.__name__:
            raise ValueError(
                f"{where} holds a {name}, but {cls.__name__}.load was called. Call {name}.load."
            )
        try:
            params, fitted = (unpack(header[part], arrays) for part in ("params", "fitted"))
            refuse_unknown(cls.__name__, set(params) - set(inspect.signature(cls).parameters))
            estimator = cls(**params)
            vars(estimator).update(fitted)
            estimator._check_fitted_state()
        # What does not fit together raises almost anything.
        except Exception as error:
            reason = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise ValueError(
                f"{where} is damaged, or of another version: {str(reason).rstrip('.')}. Save the "
                "model again, or upgrade reservoir-hessianfree."
            ) from error
        return estimator

    def _check_fitted_state(self) -> None:
        """Raise ValueError unless what was read fits together, as it was fitted."""
        record = dict(vars(self).get("_fitted_with", {}))
        known = set(inspect.signature(type(self)).parameters)
        refuse_unknown("record of parameters", set(record) - known)
        # Of its own kind: the twin that sees the parameters of its fit.
        self._as_fitted(record)._check_loaded()  # noqa: SLF001

    def _check_loaded(self) -> None:
        """Raise ValueError unless what was read from a file fits together."""
