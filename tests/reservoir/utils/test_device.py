"""Where arrays live: choosing a device, moving, refusing; and the stand-in's own strictness."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from reservoir.utils.device import (
    fused,
    host_state,
    is_on_device,
    namespace,
    namespace_of,
    naming_remedy,
    refuse_device_arrays,
    resolve_device,
    scipy_module,
    to_host,
    to_namespace,
)


@pytest.fixture
def no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # importing it raises ImportError


def test_the_host_needs_no_cupy(no_cupy):
    assert resolve_device("cpu") == "cpu"
    assert namespace("cpu") is np
    assert not is_on_device(np.zeros(3))
    assert namespace_of(X=[np.zeros(3)], y=None) is np


def test_importing_the_packages_imports_no_cupy():
    code = "import sys, reservoir, hessianfree; assert not {'cupy', 'cupyx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cuda_without_cupy_names_the_extras(no_cupy):
    with pytest.raises(ImportError, match=r"`device` is 'cuda', but .*\[cuda12x\].* or `\[cuda13x"):
        resolve_device("cuda")
    assert resolve_device("auto") == "cpu"


def test_cuda_without_a_device_is_an_error_and_auto_falls_back(stand_in):
    stand_in.n_devices = 0
    with pytest.raises(RuntimeError, match=r"finds no CUDA device \(there is none\).*nvidia-smi"):
        resolve_device("cuda")
    assert resolve_device("auto") == "cpu"

    def no_driver():
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    stand_in.cuda.runtime.getDeviceCount = no_driver
    with pytest.raises(RuntimeError, match=r"finds no CUDA device \(cudaErrorInsufficientDriver"):
        resolve_device("cuda")
    assert resolve_device("auto") == "cpu"


def test_cuda_with_a_device(stand_in):
    assert resolve_device("cuda") == resolve_device("auto") == "cuda"
    assert namespace("cuda") is stand_in


def test_other_names_are_refused():
    with pytest.raises(ValueError, match=r"`device` is 'gpu', but one of 'cpu', 'cuda', 'auto'"):
        resolve_device("gpu")


def test_one_namespace_for_all_arrays(stand_in):
    x = stand_in.zeros((3, 2))
    assert namespace_of(X=x, y=None) is namespace_of(X=[x, x]) is stand_in
    with pytest.raises(TypeError, match=r"`X` is a CuPy array, but `y` is not.*cupy.asarray\(y\)"):
        namespace_of(X=x, y=np.zeros(3))
    with pytest.raises(TypeError, match=r"`X` is a CuPy array, but `X` is not"):
        namespace_of(X=[np.zeros((3, 2)), x])


def test_what_runs_on_the_host_says_so(stand_in):
    refuse_device_arrays("NVARRegressor", X=np.zeros(3), y=[1.0])
    with pytest.raises(TypeError, match=r"`y` is a CuPy array, but NVARRegressor runs on the host"):
        refuse_device_arrays("NVARRegressor", X=np.zeros(3), y=[stand_in.zeros(3)])


def test_there_and_back(stand_in, rng):
    values = np.asfortranarray(rng.normal(size=(3, 4)))
    there = to_namespace(stand_in, values)
    assert is_on_device(there)
    assert stand_in.n_transfers == 1
    assert to_namespace(stand_in, there)._values is there._values  # no copy
    back = to_host(there)
    np.testing.assert_array_equal(back, values)
    assert back.flags.f_contiguous
    assert to_host(values) is values
    assert to_namespace(np, values) is values
    assert to_namespace(np, there, np.float32).dtype == np.float32
    assert to_namespace(stand_in, values, np.float32).dtype == np.float32


def test_states_pickle_as_host_arrays(stand_in):
    x = stand_in.arange(3.0)
    state = {"coef": x, "parts": [x, (x, None)], "name": "esn"}
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(state)
    moved = pickle.loads(pickle.dumps(host_state(state)))
    np.testing.assert_array_equal(moved["parts"][1][0], np.arange(3.0))
    assert moved["name"] == "esn"
    assert moved["parts"][1][1] is None


def test_out_of_memory_names_the_remedy():
    class OutOfMemoryError(MemoryError):
        __module__ = "cupy.cuda.memory"

    named = pytest.raises(MemoryError, match=r"out of memory \(Out of.*Lower `max_rows`")
    with named, naming_remedy("Lower `max_rows`."):
        raise OutOfMemoryError("Out of memory allocating 9 bytes")
    with pytest.raises(MemoryError, match=r"^of the host$"), naming_remedy("Lower it."):
        raise MemoryError("of the host")


def test_scipy_by_namespace(stand_in):
    x = stand_in.zeros(2)
    np.testing.assert_array_equal(to_host(scipy_module(stand_in, "special").expit(x)), 0.5)
    assert scipy_module(np, "linalg").__name__ == "scipy.linalg"


class TestTheStandIn:
    """A stray NumPy call must fail here: that is what it is for."""

    def test_numpy_functions_refuse_its_arrays(self, stand_in):
        x = stand_in.ones(3)
        for stray in (np.tanh, np.asarray, np.sum, np.isfinite, np.concatenate, np.empty_like):
            with pytest.raises(TypeError):
                stray([x] if stray is np.concatenate else x)
        with pytest.raises(TypeError):
            np.add(np.ones(3), 1.0, out=x)

    @pytest.mark.parametrize("name", ["add", "sub", "mul", "matmul", "lt"])
    def test_it_refuses_host_arrays(self, stand_in, name):
        import operator

        operate = getattr(operator, name)
        x, y = stand_in.ones(3), np.ones(3)
        with pytest.raises(TypeError):
            operate(x, y)
        with pytest.raises(TypeError):
            operate(y, x)

    def test_it_refuses_host_arrays_elsewhere(self, stand_in):
        x, y = stand_in.ones(3), np.arange(3)
        with pytest.raises(TypeError):
            x[y]
        with pytest.raises(TypeError):
            x[:] = y
        with pytest.raises(TypeError):
            x += y
        with pytest.raises(TypeError):
            stand_in.tanh(y)

    def test_it_computes_what_numpy_does(self, stand_in, rng):
        a, b = rng.normal(size=(2, 3, 3))
        x, y = stand_in.asarray(a), stand_in.asarray(b)
        out = stand_in.empty_like(x)
        assert stand_in.matmul(x, y, out=out) is out
        np.testing.assert_array_equal(to_host(out), a @ b)
        np.testing.assert_array_equal(to_host(2.0 - x @ y.T), 2.0 - a @ b.T)
        np.testing.assert_array_equal(to_host(np.float64(2.0) * x), 2.0 * a)
        np.testing.assert_array_equal(to_host(x.sum(axis=0)), a.sum(axis=0))
        view = x[1:]
        view *= 2
        np.testing.assert_array_equal(to_host(x[2]), 2 * a[2])
        np.testing.assert_array_equal(
            to_host(stand_in.linalg.eigh(x + x.T)[0]), np.linalg.eigh(to_host(x) + to_host(x).T)[0]
        )

    def test_reductions_stay_on_the_device_and_reading_them_counts(self, stand_in):
        total = stand_in.ones(3).sum()
        assert is_on_device(total)
        assert stand_in.n_synchronisations == 0
        assert float(total) == 3.0
        assert bool(total > 2)
        assert stand_in.n_synchronisations == 2

    @pytest.mark.parametrize(
        ("chain", "error"),
        [
            (lambda xp, x, row: x.sum(), "has no sum"),
            (lambda xp, x, row: x[0], "cannot be indexed"),
            (lambda xp, x, row: xp.sum(x), "cannot be fused"),
            (lambda xp, x, row: np.tanh(x), "ufunc"),
            (lambda xp, x, row: xp.tanh(x, out=x, where=True), "cannot be fused"),
            (lambda xp, x, row: xp.tanh(row, out=row), "is written to by each of"),
            (lambda xp, x, row: row.__iadd__(1), "is written to by each of"),
        ],
    )
    def test_what_cannot_be_fused_is_refused(self, stand_in, chain, error):
        chain.__name__ = "chain"
        with pytest.raises((TypeError, AttributeError), match=error):
            fused(stand_in, chain)(stand_in.ones((2, 3)), stand_in.ones(3))

    def test_threads_of_a_fused_function_do_not_see_each_other(self, stand_in):
        def move(xp, source, target):
            target[...] = source

        x = stand_in.ones((4, 2))
        fused(stand_in, move)(x[:2], x[2:])
        with pytest.raises(TypeError, match="lie across each other"):
            fused(stand_in, move)(x[:2], x[1:3])
        with pytest.raises(TypeError, match="is no argument of a fused function"):
            fused(stand_in, move)(x[:2], np.float32(1.0))

    def test_what_cupy_lacks_is_not_there(self, stand_in):
        with pytest.raises(AttributeError):
            stand_in.errstate(all="ignore")


def test_the_stand_in_has_nothing_that_cupy_lacks(stand_in):
    """Where CuPy is installed, with or without a GPU: the list of absent names is up to date."""
    code = (
        "import numpy, cupy; print(*(n for n in dir(numpy) if n[0] != '_' and not hasattr(cupy, n)"
        " and callable(getattr(numpy, n)) and not isinstance(getattr(numpy, n), type)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if ran.returncode:
        pytest.skip("CuPy is not installed")
    absent = set(ran.stdout.split())
    offered = {name for name in absent if hasattr(stand_in, name)}
    about_numpy = {
        "busday_count",
        "busday_offset",
        "datetime_as_string",
        "datetime_data",
        "test",
        "fromregex",
        "get_include",
        "getbufsize",
        "geterrcall",
        "info",
        "is_busday",
        "isnat",
        "nested_iters",
        "setbufsize",
        "seterrcall",
        "show_runtime",
    }
    assert offered <= about_numpy
