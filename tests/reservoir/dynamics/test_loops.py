"""The loops of NumPy and numba: tiles, tanh, NaN, the cache, and what is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

import reservoir
from reservoir.dynamics import Reservoir, run
from reservoir.dynamics.loops import _numpy as _loops
from reservoir.dynamics.loops._choose import choose_loop
from tests.support.plain_reservoirs import (
    DTYPES,
    ENGINES,
    HAS_NUMBA,
    collect,
    draw_reservoir,
    needs_numba,
    plain_run,
)


@needs_numba
@pytest.mark.parametrize("n_units", [1, 2, 63, 64, 65, 130])
@pytest.mark.parametrize("n_connections", [0, 1, 4, 5, 6, 11])
def test_tiles_and_groups_of_rows_leave_nothing_over(rng, n_units, n_connections):
    k = min(n_connections, n_units)
    sources = rng.random((n_units, n_units)).argsort(axis=1)[:, :k]
    values = rng.uniform(-1, 1, (n_units, k)) / max(k, 1)
    bounds = np.arange(0, n_units * k + 1, k) if k else np.zeros(n_units + 1, int)
    recurrent = csr_array((values.ravel(), sources.ravel(), bounds), shape=(n_units, n_units))
    res = Reservoir(recurrent, np.ones((n_units, 1)), np.zeros(n_units), leak_rate=0.7)
    inputs = [rng.normal(size=(20, 1)) for _ in range(11)]
    expected = [plain_run(res, part) for part in inputs]
    np.testing.assert_allclose(run(res, inputs[0], engine="numba"), expected[0], atol=1e-14)
    for states, want in zip(collect(res, inputs, engine="numba"), expected):
        np.testing.assert_allclose(states, want, atol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_differ_a_little(rng, engine):
    # A delay line: one connection for each unit but the first.
    line = csr_array(np.diag(rng.uniform(0.5, 0.9, 69), k=-1))
    res = Reservoir(line, np.eye(70, 1), np.zeros(70), leak_rate=0.9)
    inputs = [rng.normal(size=(90, 1)) for _ in range(12)]
    expected = [plain_run(res, part) for part in inputs]
    np.testing.assert_allclose(run(res, inputs[0], engine=engine), expected[0], atol=1e-14)
    for states, want in zip(collect(res, inputs, engine=engine), expected):
        np.testing.assert_allclose(states, want, atol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_auto_is_one_of_the_engines(rng, engine):
    res = draw_reservoir(rng)
    inputs = rng.normal(size=(30, 2))
    auto = run(res, inputs)
    if engine == ("numba" if HAS_NUMBA else "numpy"):
        np.testing.assert_array_equal(auto, run(res, inputs, engine=engine))
    else:
        np.testing.assert_allclose(auto, run(res, inputs, engine=engine), atol=1e-14)


def test_without_the_private_routines_of_scipy(rng, monkeypatch):
    res = draw_reservoir(rng, leak_rate=0.5)
    sequences = [rng.normal(size=(40, 2)) for _ in range(8)]
    expected = collect(res, sequences, engine="numpy")
    monkeypatch.setattr(_loops, "csr_matvec", None)
    for states, want in zip(collect(res, sequences, engine="numpy"), expected):
        np.testing.assert_allclose(states, want, atol=1e-14)
    np.testing.assert_allclose(run(res, sequences[0], engine="numpy"), expected[0], atol=1e-14)


@pytest.fixture(scope="module")
def vector_tanh():
    numba = pytest.importorskip("numba")
    from reservoir.dynamics.loops import _numba_kernels as _kernels

    def build(function):
        @numba.njit(fastmath={"contract"}, error_model="numpy")
        def apply(z, out):
            for i in range(np.uint64(len(z))):
                out[i] = function(z[i])

        return lambda z: (out := np.empty_like(z), apply(z, out))[0]

    return build(_kernels.tanh)


@needs_numba
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-15), (np.float32, 4e-7)])
def test_tanh_to_a_few_units_in_the_last_place(rng, vector_tanh, dtype, tolerance):
    z = np.concatenate(
        [
            rng.uniform(-2, 2, 200_000),
            rng.uniform(-25, 25, 100_000),
            # Where n, the nearest multiple of (ln 2)/2, changes.
            *(np.log(2) / 4 * (2 * n + 1) * (1 + rng.normal(size=2000) * 1e-6) for n in range(9)),
            10 ** rng.uniform(-30, 1, 100_000),
        ]
    ).astype(dtype)
    exact = np.tanh(z.astype(np.longdouble))
    error = np.abs((vector_tanh(z) - exact) / np.where(exact == 0, 1, exact))
    assert error.max() < tolerance


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_at_the_edges(vector_tanh, dtype):
    tiny, smallest = np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal
    small = [0.0, -0.0, tiny, -tiny, smallest, -smallest, 3 * smallest, 1e-9]
    large = [9.99, 19.06154746, 22.0, 30, -30, np.finfo(dtype).max, np.inf, -np.inf, np.nan]
    z = np.array([*small, *large], dtype=dtype)
    got = vector_tanh(np.tile(z, 8))  # long enough for the vector body
    want = np.tile(np.tanh(z.astype(np.float64)).astype(dtype), 8)
    np.testing.assert_array_almost_equal_nulp(got[np.isfinite(got)], want[np.isfinite(want)], 3)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(
        np.signbit(got[~np.isnan(got)]), np.signbit(want[~np.isnan(want)])
    )
    assert np.all(np.abs(got[~np.isnan(got)]) <= 1)


@needs_numba
@pytest.mark.parametrize("n_sequences", [1, 20])
def test_nan_stays_where_it_came_in(rng, n_sequences):
    res = draw_reservoir(rng, 40)
    clean = [rng.normal(size=(20, 2)) for _ in range(n_sequences)]
    dirty = [part.copy() for part in clean]
    dirty[0][10] = np.nan
    for engine in ("numpy", "numba"):
        before = collect(res, clean, engine=engine)
        after = collect(res, dirty, engine=engine)
        assert np.isnan(after[0][10:]).all()
        np.testing.assert_array_equal(after[0][:10], before[0][:10])
        for one, other in zip(before[1:], after[1:]):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_units", [24, 29])
def test_lanes_are_written_wherever_they_lie(rng, engine, dtype, n_units):
    res = draw_reservoir(rng, n_units, dtype=dtype)
    columns = rng.normal(size=(5, 3, 13)).astype(dtype)
    # Rows as a run writes them, the bias last; then columns far apart in memory.
    blocks = [
        np.empty((13, 6, n_units + 1), dtype=dtype)[:, :, 1:],
        np.empty((13, 6, n_units), dtype=dtype, order="F"),
    ]
    for block in blocks:
        lanes = np.zeros((13, n_units), dtype=dtype)
        choose_loop(res, engine).advance_lanes(block, 0, 5, lanes, columns, False)
        np.testing.assert_array_equal(lanes, block[:, 4])
    np.testing.assert_array_equal(blocks[0][:, :5], blocks[1][:, :5])
    for lane, states in enumerate(blocks[0]):
        alone = np.empty((5, n_units), dtype=dtype)
        start = np.zeros(n_units, dtype=dtype)
        choose_loop(res, "numpy").advance(alone, start, columns[:, :, lane], None)
        np.testing.assert_allclose(states[:5], alone, atol=20 * np.finfo(dtype).eps)


@needs_numba
def test_compiles_without_a_cache_where_none_can_be_written(tmp_path):
    package = tmp_path / "reservoir"
    shutil.copytree(
        Path(reservoir.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    blocked = tmp_path / "blocked"
    blocked.touch()  # A file where a folder would have to be: not even root can write below it.
    (package / "dynamics" / "loops" / "__pycache__").touch()
    script = (
        "import numpy as np\n"
        "from reservoir.dynamics import Reservoir, run\n"
        "one = Reservoir(np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1))\n"
        "print(run(one, [[1.0]], engine='numba')[0, 0])"
    )
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), str(blocked / "here"))
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **places, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stderr == ""
    assert float(result.stdout) == pytest.approx(np.tanh(1))


def test_without_numba(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "reservoir.dynamics.loops._numba", None)
    res = draw_reservoir(rng)
    inputs = rng.normal(size=(10, 2))
    np.testing.assert_array_equal(run(res, inputs), run(res, inputs, engine="numpy"))
    with pytest.raises(ImportError, match=r"numba cannot be imported\. Install the extra `fast`"):
        run(res, inputs, engine="numba")
