"""Models to a file and back, without pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from reservoir.utils.files import load_arrays, save_arrays

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
        fields = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr}
        return {"csr": pack(fields, name, arrays), "shape": list(csr.shape)}
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
        return {"class": type(value).__name__, "state": pack(value.__getstate__(), name, arrays)}
    raise TypeError(
        f"`{name}` is of type {type(value).__name__}, which a model file can't hold. "
        "Pickle the model, or give a value made of numbers, strings and arrays instead."
    )


def unpack(packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Undo `pack`."""
    if not isinstance(packed, dict):
        return packed
    if "array" in packed:
        array = arrays[packed["array"]]
        return array[()] if packed["scalar"] else array
    if "objects" in packed:
        return np.array(unpack(packed["objects"], arrays), dtype=object)
    if "csr" in packed:
        fields = unpack(packed["csr"], arrays)
        parts = (fields["data"], fields["indices"], fields["indptr"])
        return sparse.csr_array(parts, shape=tuple(packed["shape"]))
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
    cls = _CLASSES[packed["class"]]
    result: Any = object.__new__(cls)
    state = unpack(packed["state"], arrays)
    if hasattr(cls, "__setstate__"):
        result.__setstate__(state)
    else:
        vars(result).update(state)
    return result


class SavableMixin:
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
            If the file holds another class, or was written by a newer version.
        """
        header, arrays = load_arrays(path)
        where = f"`path` {os.fspath(path)!r}"
        if not isinstance(header, dict) or "format" not in header:
            raise ValueError(f"{where} does not hold a model. Pass a file that `save` wrote.")
        if header["format"] > FORMAT:
            raise ValueError(
                f"{where} has format {header['format']}, but this version reads up to {FORMAT}. "
                "Upgrade reservoir-hessianfree."
            )
        if header["class"] != cls.__name__:
            raise ValueError(
                f"{where} holds a {header['class']}, but {cls.__name__}.load was called. "
                f"Call {header['class']}.load."
            )
        estimator = cls(**unpack(header["params"], arrays))
        vars(estimator).update(unpack(header["fitted"], arrays))
        return estimator
