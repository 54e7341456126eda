"""A stand-in for CuPy that needs no GPU: strict about what crosses over, and it counts.

Its arrays are NumPy's inside, but NumPy's functions refuse them, they refuse NumPy's arrays, and
they can't be pickled: a stray NumPy call, a missing transfer, or an array of the device in a
fitted state fails as it would with CuPy, or more strictly. What CuPy does not have is not here.

    def test_something(stand_in):           # a fixture of conftest.py
        xp = namespace("cuda")              # the stand-in, as `import cupy` gives it
        x = xp.asarray(numpy_array)
        ...
        stand_in.n_transfers                # host to device and back
        stand_in.n_synchronisations         # float(x), bool(x), x.item() and transfers to the host
        stand_in.n_operations               # what CuPy would launch a kernel for, or more than one
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.special

# Functions of NumPy that CuPy 14 does not have, by `set(dir(numpy)) - set(dir(cupy))`.
ABSENT = frozenset(
    [
        "asmatrix",
        "block",
        "bmat",
        "einsum_path",
        "errstate",
        "frompyfunc",
        "geomspace",
        "geterr",
        "histogram_bin_edges",
        "insert",
        "matvec",
        "nanpercentile",
        "nanquantile",
        "polyder",
        "polydiv",
        "polyint",
        "seterr",
        "spacing",
        "unstack",
        "vecdot",
        "vecmat",
        "memmap",
    ]
)
ABSENT_LINALG = frozenset(["matrix_norm", "multi_dot", "svdvals", "vecdot", "vector_norm"])

# Arguments of functions and methods that CuPy does not take.
ABSENT_SETTINGS = {
    "take": {"mode"},
    "einsum": {"out", "order", "casting"},
    "argsort": {"order", "stable"},
    **{name: {"initial", "where"} for name in ("any", "all", "max", "mean", "min", "prod", "sum")},
}

_BINARY = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
]
_UNARY = ["neg", "pos", "abs", "invert"]


class DeviceArray:
    """An array of the stand-in."""

    # NumPy's ufuncs raise TypeError, and its operators leave the word to ours.
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, values, counts):
        self._values = np.asarray(values)
        self._counts = counts

    def __array__(self, *arguments, **settings):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_function__(self, function, *arguments):
        raise TypeError(f"numpy.{function.__name__} was called on an array of the device.")

    def __reduce_ex__(self, protocol):
        raise TypeError("An array of the device is being pickled.")

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __len__(self):
        return len(self._values)

    def __iter__(self):
        return (self._wrap(row) for row in self._values)

    def __repr__(self):
        return f"DeviceArray({self._values!r})"

    def __getitem__(self, index):
        return self._wrap(self._values[unwrapped(index)])

    def __setitem__(self, index, value):
        self._counts.n_operations += 1
        self._values[unwrapped(index)] = unwrapped(value)

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        self._counts.n_synchronisations += 1
        return bool(self._values)

    def __getattr__(self, name):
        if name.startswith("__") or name in ("tofile", "newbyteorder", "byteswap", "setfield"):
            raise AttributeError(name)
        attribute = getattr(self._values, name)
        if not callable(attribute):
            return self._wrap(attribute) if isinstance(attribute, np.ndarray) else attribute
        return wrapping(attribute, self._counts)

    def item(self, *index):
        self._counts.n_synchronisations += 1
        return self._values.item(*index)

    def tolist(self):
        self._counts.n_synchronisations += 1
        return self._values.tolist()

    def get(self, *, order="C"):
        self._counts.n_synchronisations += 1
        self._counts.n_transfers += 1
        return self._values.copy(order=order)

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self._values.ctypes.data)

    def _wrap(self, values):
        return DeviceArray(values, self._counts)

    def _written(self):
        """Note that the array was written to."""


def _add_operators():
    def binary(name):
        def operate(self, other):
            self._counts.n_operations += 1
            result = getattr(self._values, name)(unwrapped(other))
            return NotImplemented if result is NotImplemented else self._wrap(result)

        return operate

    def in_place(name):
        def operate(self, other):
            self._counts.n_operations += 1
            values = getattr(self._values, name)(unwrapped(other))
            assert values is self._values
            self._written()
            return self

        return operate

    def unary(name):
        return lambda self: self._wrap(getattr(self._values, name)())

    for word in _BINARY:
        setattr(DeviceArray, f"__{word}__", binary(f"__{word}__"))
        if word not in ("lt", "le", "gt", "ge", "eq", "ne"):
            setattr(DeviceArray, f"__r{word}__", binary(f"__r{word}__"))
            setattr(DeviceArray, f"__i{word}__", in_place(f"__i{word}__"))
    for word in _UNARY:
        setattr(DeviceArray, f"__{word}__", unary(f"__{word}__"))


_add_operators()


class FusedArray(DeviceArray):
    """An array inside of a function that `fuse` makes one kernel of: as narrow as CuPy's."""

    def __setitem__(self, index, value):
        if index is not Ellipsis:
            raise ValueError("The fusion supports `[...]` or `[:]`.")
        self._values[...] = unwrapped(value)
        self._written()

    def __getattr__(self, name):
        if name in ("dtype", "ndim"):
            return getattr(self._values, name)
        raise AttributeError(f"An array of a fused function has no {name}.")

    def __getitem__(self, index):
        raise TypeError("An array of a fused function cannot be indexed.")

    def _wrap(self, values):
        return FusedArray(values, self._counts)

    def _written(self):
        self._counts.fusing.note(self._values)


class Fusing:
    """A call of a fused function: one thread an element, each from the first line to the last."""

    def __init__(self, arrays):
        self.arrays = arrays
        self.shape = np.broadcast_shapes(*(array.shape for array in arrays))

    def note(self, written):
        """Raise if another thread may read or write what was written."""
        if written.shape != self.shape:
            raise TypeError(f"{written.shape} is written to by each of {self.shape}.")
        for other in self.arrays:
            same = (other.ctypes.data, other.strides) == (written.ctypes.data, written.strides)
            if not same and np.shares_memory(other, written):
                raise TypeError("Two arrays of a fused function lie across each other.")


def unwrapped(value):
    """Return what NumPy is to work on; arrays of the host are refused."""
    if isinstance(value, DeviceArray):
        return value._values
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, tuple | list):
        return type(value)(unwrapped(part) for part in value)
    if isinstance(value, dict):
        return {name: unwrapped(part) for name, part in value.items()}
    return value


def wrapping(function, counts):
    """Return a function of arrays of the device; reductions give arrays without axes."""

    def wrapped(*arguments, **settings):
        refused = ABSENT_SETTINGS.get(function.__name__, set()) & settings.keys()
        if refused:
            raise TypeError(f"{function.__name__} has no argument {refused} in CuPy.")
        if counts.fusing is not None and not (
            isinstance(function, np.ufunc) and settings.keys() <= {"out"}
        ):
            raise TypeError(f"{function.__name__} with {[*settings]} cannot be fused.")
        values = function(*unwrapped(arguments), **unwrapped(settings))
        out = settings.get("out")
        if out is not None:
            counts.n_operations += 1
            out._written()
            return out
        if not is_view(values, getattr(function, "__self__", None), *unwrapped(arguments)):
            counts.n_operations += 1
        return wrap(values, counts)

    return wrapped


def is_view(values, *sources):
    """Tell a reshaped or transposed array, which costs nothing, from a computed one."""
    return isinstance(values, np.ndarray) and any(
        isinstance(source, np.ndarray) and np.may_share_memory(values, source) for source in sources
    )


def wrap(values, counts):
    if isinstance(values, np.ndarray | np.generic):
        return (DeviceArray if counts.fusing is None else FusedArray)(values, counts)
    if isinstance(values, tuple) and hasattr(values, "_fields"):
        return type(values)(*(wrap(part, counts) for part in values))
    if isinstance(values, tuple | list):
        return type(values)(wrap(part, counts) for part in values)
    return values


class _Functions(types.ModuleType):
    """A module of NumPy or SciPy whose functions take arrays of the device."""

    def __init__(self, name, source, counts, absent=frozenset()):
        super().__init__(name)
        self._source, self._counts, self._absent = source, counts, absent
        self.names_used = set()

    def __getattr__(self, name):
        if name.startswith("__") or name in self._absent or not hasattr(self._source, name):
            raise AttributeError(f"{self.__name__} has no {name}.")
        attribute = getattr(self._source, name)
        if isinstance(attribute, type) or not callable(attribute):
            return attribute
        self.names_used.add(name)
        return wrapping(attribute, self._counts)


class Kernel:
    """A kernel of recurrence.cu, compiled for the host; see cuda_shim.h."""

    def __init__(self, stand_in, library, name):
        self._stand_in, self._library, self._name = stand_in, library, name
        self.max_dynamic_shared_size_bytes = 48 * 1024

    def __call__(self, grid, block, arguments, *, shared_mem=0):
        # CUDA passes the bytes that an argument begins with.
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        held = [np.atleast_1d(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(held))(*(each.ctypes.data for each in held))
        grid = (ctypes.c_uint * 2)(*(*grid, 1)[:2])

        def launch():
            name = self._name.encode()
            assert not self._library.launch(name, grid, block[0], shared_mem, pointers), name

        launch.held = held
        self._stand_in.n_launches += 1
        if self._stand_in.capturing is None:
            launch()
        else:
            self._stand_in.capturing.append(launch)


class Stream:
    """A stream that can capture launches as a graph."""

    def __init__(self, stand_in):
        self._stand_in = stand_in

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def begin_capture(self):
        self._stand_in.capturing = []

    def end_capture(self):
        captured, self._stand_in.capturing = self._stand_in.capturing, None
        self._stand_in.n_graphs += 1
        return types.SimpleNamespace(launch=lambda: [launch() for launch in captured])


@functools.cache
def compiled(code, options):
    """Return CUDA source as a library for the host, or skip the test that needs it."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("No C++ compiler (g++) to stand in for the GPU's.")
    here = pathlib.Path(__file__).parent
    folder = pathlib.Path(tempfile.mkdtemp(prefix="stand_in_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "kernels.cu").write_text(code)
    library = folder / "kernels.so"
    options = [*options, f"-I{here}", f'-DKERNELS="{folder / "kernels.cu"}"']
    source = here / "cuda_shim.cpp"
    subprocess.run(
        [compiler, "-std=c++17", "-O1", "-shared", "-fPIC", *options, source, "-o", library],
        check=True,
    )
    found = ctypes.CDLL(str(library))
    found.launch.argtypes = [
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.c_uint,
        ctypes.c_size_t,
        ctypes.c_void_p,
    ]
    return found


class StandIn(_Functions):
    """What `import cupy` gives while the fixture is in use."""

    def __init__(self):
        super().__init__("cupy", np, self, ABSENT)
        self.n_transfers = self.n_synchronisations = self.n_operations = 0
        self.fusing = None
        self.ndarray = DeviceArray
        self.linalg = _Functions("cupy.linalg", np.linalg, self, ABSENT_LINALG)
        self.n_devices = 1
        # Of an A100; a test may lower it, as if reservoirs were too large for a block.
        self.attributes = {"MaxSharedMemoryPerBlockOptin": 163 * 1024}
        self.n_launches = self.n_graphs = 0
        self.capturing = None
        self.cuda = types.SimpleNamespace(
            runtime=types.SimpleNamespace(getDeviceCount=lambda: self.n_devices),
            Device=lambda: types.SimpleNamespace(attributes=self.attributes),
            Stream=lambda: Stream(self),
        )

    def RawModule(self, *, code, options=()):
        library = compiled(code, options)
        return types.SimpleNamespace(get_function=lambda name: Kernel(self, library, name))

    def fuse(self, *, kernel_name):
        def decorate(function):
            def fused(*arguments):
                arrays = [each._values for each in arguments if isinstance(each, DeviceArray)]
                n_operations = self.n_operations
                self.fusing = Fusing(arrays)
                try:
                    result = function(*(self._fused_argument(each) for each in arguments))
                finally:
                    self.fusing = None
                assert result is None, kernel_name
                self.n_operations = n_operations + 1

            return fused

        return decorate

    def _fused_argument(self, value):
        if isinstance(value, DeviceArray):
            return FusedArray(value._values, self)
        if value is None or type(value) is float:
            return value
        raise TypeError(f"{type(value)} is no argument of a fused function.")

    def asarray(self, values, dtype=None, order=None):
        if isinstance(values, DeviceArray):
            return DeviceArray(np.asarray(values._values, dtype=dtype, order=order), self)
        self.n_transfers += 1
        return DeviceArray(np.array(values, dtype=dtype, order=order or "K"), self)

    def array(self, values, dtype=None, order="K"):
        if isinstance(values, DeviceArray):
            return DeviceArray(np.array(values._values, dtype=dtype, order=order), self)
        return self.asarray(values, dtype=dtype, order=None if order == "K" else order)

    def ascontiguousarray(self, values, dtype=None):
        return self.asarray(values, dtype=dtype, order="C")

    def asnumpy(self, values, order="C"):
        return values.get(order=order) if isinstance(values, DeviceArray) else np.asarray(values)

    def modules(self):
        """Return what stands in for CuPy in `sys.modules`."""
        scipy_part = types.ModuleType("cupyx.scipy")
        parts = {
            name: _Functions(f"cupyx.scipy.{name}", source, self)
            for name, source in (
                ("linalg", scipy.linalg),
                ("special", scipy.special),
                ("sparse", scipy.sparse),
            )
        }
        named = {f"cupyx.scipy.{name}": part for name, part in parts.items()}
        for name, part in parts.items():
            setattr(scipy_part, name, part)
        cupyx = types.ModuleType("cupyx")
        cupyx.scipy = scipy_part
        cupyx.errstate = lambda linalg: contextlib.nullcontext()
        return {"cupy": self, "cupyx": cupyx, "cupyx.scipy": scipy_part, **named}


def install(monkeypatch):
    """Make `import cupy` give a new stand-in, and return that."""
    stand_in = StandIn()
    for name, module in stand_in.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return stand_in
