"""Rows that are shifted as they are gathered: the sums of rows as they come, bit for bit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from reservoir.harvest import _buffer
from reservoir.harvest._buffer import RowBuffer
from reservoir.readout import FeatureMap, RidgeAccumulator


class AsTheyAre:
    """Hides what an accumulator does with shifted rows."""

    def __init__(self, accumulator):
        self.update = accumulator.update


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(_buffer, "ROWS_PER_FOLD", 64)


def gather(buffer, feature_map, states, inputs, targets, weights, n_rows=50):
    for start in range(0, len(states), n_rows):
        rows = slice(start, start + n_rows)
        own = None if weights is None else weights[rows]
        buffer.append(feature_map, states[rows], inputs[rows], targets[rows], own)
    buffer.flush()
    buffer.wait()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"smallest_alpha": 1e-2},
        {"smallest_alpha": 1e-2, "fit_intercept": True},
        {"smallest_alpha": 8e-11},  # goes over to a factor on the way
        {"smallest_alpha": 1e-3, "solver": "qr"},
        {"smallest_alpha": 1e-13, "path": np.logspace(-13, 1, 5), "keeps_few": True},
    ],
    ids=["gram", "centred", "over", "qr", "path"],
)
def test_shifted_rows_make_the_same_sums(rng, short, settings, weighted, dtype):
    states = np.tanh(rng.normal(size=(500, 6))).astype(dtype) + dtype(2.0)
    inputs, targets = rng.normal(size=(500, 2)), rng.normal(size=(500, 3)) + 5.0
    targets[100:120] = np.nan
    weights = rng.uniform(size=500) * (rng.random(500) < 0.9) if weighted else None
    feature_map = FeatureMap(include_squares=True)
    plain = RidgeAccumulator(14, 3, **settings)
    gather(RowBuffer(AsTheyAre(plain)), feature_map, states, inputs, targets, weights)
    shifted = RidgeAccumulator(14, 3, **settings)
    buffer = RowBuffer(shifted)
    gather(buffer, feature_map, states, inputs, targets, weights)
    assert isinstance(buffer._block, _buffer._ShiftedRows)
    with ThreadPoolExecutor(1) as worker:
        other = RidgeAccumulator(14, 3, **settings)
        gather(RowBuffer(other, worker), feature_map, states, inputs, targets, weights)
    for sums in (shifted, other):
        assert sums.solver_used == plain.solver_used
        assert sums.n_rows == plain.n_rows
        for name in ("shift", "moments" if plain.solver_used == "gram" else "factor"):
            np.testing.assert_array_equal(getattr(sums.sums, name), getattr(plain.sums, name))


def test_sums_that_have_rows_take_shifted_ones_at_once(rng, short):
    states, targets = rng.normal(size=(200, 3)), rng.normal(size=(200, 1))
    sums = RidgeAccumulator(3, 1, smallest_alpha=1e-3).update(states[:20], targets[:20])
    buffer = RowBuffer(sums)
    alone = FeatureMap(include_input=False)
    gather(buffer, alone, states[20:], states[20:, :0], targets[20:], None)
    whole = np.column_stack([np.ones(200), states, targets]) - sums.sums.shift
    np.testing.assert_allclose(np.tril(sums.sums.moments), np.tril(whole.T @ whole), atol=1e-11)


@pytest.mark.parametrize("solver", ["auto", "gram", "qr"])
def test_what_is_not_finite_is_told(rng, short, solver):
    states, targets = rng.normal(size=(200, 3)), rng.normal(size=(200, 1))
    states[150, 1] = np.inf
    buffer = RowBuffer(RidgeAccumulator(3, 1, solver=solver, smallest_alpha=1e-3))
    with pytest.raises(ValueError, match="`features` contains NaN or infinity"):
        gather(buffer, FeatureMap(include_input=False), states, states[:, :0], targets, None)


@pytest.mark.parametrize("size", [1e160, 1e200])
def test_squares_out_of_range_go_to_a_factor(rng, short, size):
    states, targets = rng.normal(size=(200, 3)), rng.normal(size=(200, 1))
    states[150] *= size
    alone = FeatureMap(include_input=False)
    sums = RidgeAccumulator(3, 1, smallest_alpha=1e-3)
    gather(RowBuffer(sums), alone, states, states[:, :0], targets, None)
    assert sums.solver_used == "qr"
    assert np.isfinite(sums.sums.factor).all()
    with pytest.raises(ValueError, match="squares exceed"):
        gather(
            RowBuffer(RidgeAccumulator(3, 1, solver="gram", smallest_alpha=1e-3)),
            alone, states, states[:, :0], targets, None,
        )  # fmt: skip


def test_an_offset_counts_without_an_intercept(rng, short):
    # trace(SᵀS) is 1e6 times that of centred features: only the latter leaves alpha resolved.
    states, targets = rng.normal(size=(500, 3)) + 1e3, rng.normal(size=(500, 1))
    alone = FeatureMap(include_input=False)
    for fit_intercept, expected in ((True, "gram"), (False, "qr")):
        sums = RidgeAccumulator(3, 1, smallest_alpha=1e-9, fit_intercept=fit_intercept)
        sums.update(states[:1], targets[:1])
        gather(RowBuffer(sums), alone, states[1:], states[1:, :0], targets[1:], None)
        assert sums.solver_used == expected
