"""The array namespace (NumPy or CuPy), to and from the device.

What runs on either device takes its namespace once, from the arrays among the arguments or from a
`device` argument, and hands it on. CuPy is optional: it is imported when a GPU is asked for, and
nothing else here needs it. Single precision stays single: CuPy leaves TF32 off unless the
environment variable CUPY_TF32 asks for it, and nothing here touches that.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from reservoir.utils.validation import check_choice

State = TypeVar("State")


def move_state(xp: Any, state: State) -> State:
    """Return a dataclass, those in its fields too, with its arrays in a namespace.

    Examples
    --------
    >>> from hessianfree.optimize import DescentState
    >>> move_state(np, DescentState(np.zeros(1), 0))
    DescentState(params=array([0.]), n_steps=0)
    """
    moved: dict[str, Any] = {}
    for field in dataclasses.fields(state):  # type: ignore[arg-type]
        value = getattr(state, field.name)
        if dataclasses.is_dataclass(value):
            moved[field.name] = move_state(xp, value)
        elif isinstance(value, np.ndarray) or is_on_device(value):
            moved[field.name] = to_namespace(xp, value)
    return dataclasses.replace(state, **moved)  # type: ignore[type-var]


Device = Literal["cpu", "cuda"]


DEVICES = ("cpu", "cuda", "auto")


# What helps a model that does not fit the memory of a GPU.
MEMORY_REMEDY = (
    "Pass fewer steps or sequences at a time, lower `n_units`, or set `device` to 'cpu'."
)


_EXTRAS = (
    "Install CuPy with the extra of your CUDA version, `pip install reservoir-hessianfree[cuda12x]`"
    " or `[cuda13x]`, or set `device` to 'cpu'"
)


def resolve_device(device: str) -> Device:
    """Return where to compute.

    Parameters
    ----------
    device : {"cpu", "cuda", "auto"}
        "auto" stands for "cuda" where CuPy is installed and finds a device, else for "cpu".

    Returns
    -------
    {"cpu", "cuda"}

    Raises
    ------
    ValueError
        If `device` is something else.
    ImportError
        If it is "cuda" and CuPy cannot be imported.
    RuntimeError
        If it is "cuda" and CuPy finds no device.

    Examples
    --------
    >>> resolve_device("cpu")
    'cpu'
    """
    check_choice("device", device, DEVICES)
    if device == "cpu":
        return "cpu"
    try:
        _find_device()
    except (ImportError, RuntimeError):
        if device == "auto":
            return "cpu"
        raise
    return "cuda"


def namespace(device: Device) -> Any:
    """Return the module whose functions work on the arrays of a device: numpy or cupy."""
    return np if device == "cpu" else importlib.import_module("cupy")


def is_on_device(value: Any) -> bool:
    """Tell a CuPy array from anything else, without importing CuPy.

    Examples
    --------
    >>> is_on_device(np.zeros(3))
    False
    """
    # Not `cupy is not None` alone: a module that is just being imported has no `ndarray` yet.
    kind = getattr(sys.modules.get("cupy"), "ndarray", None)
    return kind is not None and isinstance(value, kind)


def namespace_of(**arrays: Any) -> Any:
    """Return the namespace that all of some arrays belong to: numpy or cupy.

    Parameters
    ----------
    **arrays : array-like, list of arrays, or None
        By the names of the arguments that they came as; None does not count, and a list counts by
        what it holds.

    Raises
    ------
    TypeError
        If some are on the GPU and others are not.

    Examples
    --------
    >>> namespace_of(X=np.zeros(3), y=None).__name__
    'numpy'
    """
    if "cupy" not in sys.modules:
        return np
    places: dict[bool, str] = {}
    for name, value in arrays.items():
        if value is None:
            continue
        for part in value if isinstance(value, list | tuple) and len(value) else [value]:
            places.setdefault(is_on_device(part), name)
    if len(places) == 2:
        raise TypeError(
            f"`{places[True]}` is a CuPy array, but `{places[False]}` is not, and all were "
            f"expected on one device. Move one of them: cupy.asarray({places[False]}), or "
            f"cupy.asnumpy({places[True]})."
        )
    return namespace("cuda" if True in places else "cpu")


def module_of(array: Any) -> Any:
    """Return the namespace of one array."""
    return np if isinstance(array, np.ndarray) else namespace_of(array=array)


def in_kind(values: Any, like: Any) -> Any:
    """Return values where `like`, an array or a list of arrays, lies."""
    first = like[0] if isinstance(like, list | tuple) and len(like) else like
    return to_namespace(namespace_of(like=first), values)


def door_namespace(owner: str, device: str, **arrays: Any) -> Any:
    """Return the namespace to compute in, once arrays are known to be where they may be.

    Parameters
    ----------
    owner : str
        Whose `device` it is, for the error.
    device : {"cpu", "cuda", "auto"}
    **arrays : array-like, list of arrays, or None
        By the names of the arguments that they came as.

    Raises
    ------
    TypeError
        If some are on the GPU and others are not, or they are and `device` is the host.
    """
    came = namespace_of(**arrays)
    settled = resolve_device(device)
    if came is not np and settled == "cpu":
        given = next(name for name, value in arrays.items() if value is not None)
        raise TypeError(
            f"`{given}` is a CuPy array, but this {owner} has `device` {device!r}. Set "
            f"`device` to 'cuda', or pass cupy.asnumpy({given})."
        )
    return namespace(settled)


def refuse_device_arrays(what: str, **arrays: Any) -> None:
    """Raise TypeError if an array is on the GPU, for code that runs on the host only.

    Parameters
    ----------
    what : str
        Who runs on the host, for the error.
    **arrays : array-like, list of arrays, or None
        By the names of the arguments that they came as.
    """
    if "cupy" not in sys.modules:
        return
    for name, value in arrays.items():
        parts = value if isinstance(value, list | tuple) else [value]
        if any(is_on_device(part) for part in parts):
            raise TypeError(
                f"`{name}` is a CuPy array, but {what} runs on the host. Pass cupy.asnumpy({name})."
            )


def to_host(value: Any) -> Any:
    """Return a CuPy array as a NumPy array of the same order, and anything else as it is."""
    return value.get(order="A") if is_on_device(value) else value


def to_namespace(xp: Any, value: Any, dtype: DTypeLike | None = None) -> Any:
    """Return an array of a namespace, moved or converted where needed and not copied otherwise.

    Parameters
    ----------
    xp : module
        numpy or cupy.
    value : array-like
        On either device.
    dtype : dtype, optional
        Of the result; that of `value` if left out.

    Examples
    --------
    >>> to_namespace(np, [1, 2], np.float32)
    array([1., 2.], dtype=float32)
    """
    return xp.asarray(to_host(value) if xp is np else value, dtype=dtype)


def host_state(state: Any) -> Any:
    """Return what an object would pickle with every array on the host.

    Looks into dicts, lists and tuples (named ones too); other objects look after themselves.

    Examples
    --------
    >>> host_state({"a": [1, (np.zeros(1),)]})
    {'a': [1, (array([0.]),)]}
    """
    if "cupy" not in sys.modules:
        return state
    if isinstance(state, Mapping):
        return {name: host_state(value) for name, value in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(host_state(value) for value in state))
    if isinstance(state, list | tuple):
        return type(state)(host_state(value) for value in state)
    return to_host(state)


def scipy_module(xp: Any, name: str) -> Any:
    """Return a part of SciPy for a namespace, or CuPy's counterpart.

    Parameters
    ----------
    xp : module
        numpy or cupy.
    name : str
        "linalg", "special" or "sparse".

    Examples
    --------
    >>> scipy_module(np, "special").expit(0.0)
    np.float64(0.5)
    """
    return importlib.import_module(f"scipy.{name}" if xp is np else f"cupyx.scipy.{name}")


@cache
def fused(xp: Any, chain: Callable[..., None], *choices: Hashable) -> Callable[..., None]:
    """Return a chain of elementwise operations as a function of its arrays, on a GPU one kernel.

    Parameters
    ----------
    xp : module
        numpy or cupy.
    chain : callable
        Takes a namespace, the choices, then arrays, floats and None; writes by `out=`, augmented
        assignment and `array[...] =`, to arrays of the shape that all of them broadcast to, and
        returns nothing. One that writes to a smaller array would race with itself on a GPU.
    *choices : hashable
        What the chain may branch on; each choice is a kernel of its own.

    Examples
    --------
    >>> def double_and_add(xp, array, number):
    ...     xp.multiply(array, 2, out=array)
    ...     array += number
    >>> values = np.arange(3.0)
    >>> fused(np, double_and_add)(values, 1)
    >>> values
    array([1., 3., 5.])
    """
    bound: Callable[..., None] = partial(chain, xp, *choices)
    if xp is np:
        return bound
    kernel: Callable[..., None] = xp.fuse(kernel_name=chain.__name__.strip("_"))(bound)
    return kernel


@contextmanager
def naming_remedy(remedy: str) -> Iterator[None]:
    """Turn the GPU's bare "out of memory" into an error that says what to do.

    Parameters
    ----------
    remedy : str
        A sentence: "Lower `max_rows`."
    """
    try:
        yield
    except MemoryError as error:  # CuPy's OutOfMemoryError is one
        if "cupy" not in type(error).__module__:
            raise
        raise MemoryError(
            f"The GPU is out of memory ({error}), but more was needed. {remedy}"
        ) from error


def _find_device() -> None:
    """Raise unless CuPy is there and finds a device."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise ImportError(
            f"`device` is 'cuda', but CuPy cannot be imported ({error}). {_EXTRAS}."
        ) from error
    try:
        n_devices = cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:  # CuPy's CUDARuntimeError is one
        reason = str(error)
    else:
        if n_devices:
            return
        reason = "there is none"
    raise RuntimeError(
        f"`device` is 'cuda', but CuPy finds no CUDA device ({reason}). Look at what `nvidia-smi` "
        "says, or set `device` to 'cpu', of a fitted model too."
    )
