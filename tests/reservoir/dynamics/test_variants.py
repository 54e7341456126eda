"""Many reservoirs side by side against the same one by one."""

import numpy as np
import pytest

from reservoir.dynamics import (
    DivergenceError,
    Reservoir,
    SideBySide,
    Variants,
    run,
    run_variants,
    variant,
)
from reservoir.weights import input_weights, recurrent_weights


def make(n_variants, rng, *, dtype=np.float64, n_outputs=0, topology="random", **parameters):
    """A shared reservoir of 23 units, spectral radius 1, and scales of each variant."""
    draw = {"random_state": 3, "dtype": dtype}
    shared = Reservoir(
        recurrent_weights(23, spectral_radius=1, connectivity=4, topology=topology, **draw),
        input_weights(23, 2, **draw),
        input_weights(23, 1, **draw)[:, 0],
        feedback=input_weights(23, n_outputs, **draw) if n_outputs else None,
        **parameters,
    )
    variants = Variants(
        rng.uniform(0, 1.3, n_variants),
        rng.uniform(0.1, 1, n_variants),
        rng.uniform(0, 2, (n_variants, 3 + n_outputs)),
    )
    return shared, variants


def plain(shared, variants, index, inputs, teacher=None):
    """One variant's recurrence as it is written down, one step at a time, in float64."""
    W = shared.recurrent
    W = (W if isinstance(W, np.ndarray) else W.toarray()).astype(float)
    drive, leak = variants.drive[index], variants.leak[index] * np.asarray(shared.leak_rate)
    x, y, states = np.zeros(len(W)), np.zeros(shared.n_outputs), []
    for t, u in enumerate(inputs):
        z = variants.recurrent[index] * (W @ x) + shared.bias.astype(float) * drive[-1]
        z = z + shared.input.astype(float) @ (u * drive[:2])
        if teacher is not None:
            z = z + shared.feedback.astype(float) @ (y * drive[2:-1])
            y = teacher[t]
        x = (1 - leak) * x + leak * np.tanh(z)
        states.append(x)
    return np.array(states)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_variants", [1, 5, 37])
def test_variants_run_as_each_would_alone(rng, engine, dtype, n_variants):
    if engine == "numba":
        pytest.importorskip("numba")
    shared, variants = make(n_variants, rng, dtype=dtype)
    inputs = rng.normal(size=(150, 2))
    states = run_variants(shared, variants, inputs, engine=engine)
    assert states.dtype == dtype
    # Radii up to 1.3 amplify rounding over 150 steps, though the input keeps them in check.
    tolerance = 1e-10 if dtype == np.float64 else 1e-3
    for index in range(n_variants):
        expected = plain(shared, variants, index, inputs)
        np.testing.assert_allclose(states[index], expected, atol=tolerance)
        alone = run(variant(shared, variants, index), inputs, engine=engine)
        np.testing.assert_allclose(states[index], alone, atol=tolerance)


@pytest.mark.parametrize("topology", ["random", "orthogonal"])
def test_teacher_and_leak_rates_of_units(rng, topology):
    leak_rate = rng.uniform(0.2, 1, 23)
    shared, variants = make(12, rng, n_outputs=2, topology=topology, leak_rate=leak_rate)
    inputs, teacher = rng.normal(size=(90, 2)), rng.normal(size=(90, 2))
    states = run_variants(shared, variants, inputs, teacher=teacher)
    for index in range(12):
        expected = plain(shared, variants, index, inputs, teacher)
        np.testing.assert_allclose(states[index], expected, atol=1e-10)


def test_scale_of_one_changes_no_bit(rng):
    """Lanes that share everything are what a batch of equal sequences is."""
    shared, _ = make(1, rng)
    same = Variants(np.ones(16), np.ones(16), np.ones((16, 3)))
    inputs = rng.normal(size=(70, 2))
    states = run_variants(shared, same, inputs)
    np.testing.assert_array_equal(states, np.broadcast_to(states[0], states.shape))
    np.testing.assert_allclose(states[0], run(shared, inputs), atol=1e-12)


def test_start_elsewhere(rng):
    shared, variants = make(20, rng)
    inputs, start = rng.normal(size=(10, 2)), rng.uniform(-1, 1, 23)
    states = run_variants(shared, variants, inputs, initial_state=start)
    alone = run(variant(shared, variants, 7), inputs, initial_state=start)
    np.testing.assert_allclose(states[7], alone, atol=1e-13)


def test_unbounded_variants_that_diverge_are_reported(rng):
    shared, variants = make(8, rng, activation="identity")
    wild = Variants(np.full(8, 1e200), variants.leak, variants.drive)
    with pytest.raises(DivergenceError, match="not finite"):
        run_variants(shared, wild, rng.normal(size=(20, 2)))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"leak": np.array([0.5, 1.5])}, r"values in \(0, 1\] were expected"),
        ({"leak": np.ones(3)}, "`leak` has shape"),
        ({"recurrent": np.array([1.0, -1.0])}, "negative, infinite or NaN"),
        ({"drive": np.full((2, 3), np.nan)}, "`drive` holds"),
    ],
)
def test_refused_scales(change, match):
    good = {"recurrent": np.ones(2), "leak": np.ones(2), "drive": np.ones((2, 3))}
    with pytest.raises(ValueError, match=match):
        Variants(**(good | change))


def test_refused_number_of_columns(rng):
    shared, _ = make(1, rng)
    with pytest.raises(ValueError, match="`drive` has 2 columns, but 3"):
        SideBySide(shared, Variants(np.ones(1), np.ones(1), np.ones((1, 2))))
