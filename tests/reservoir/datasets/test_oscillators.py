"""Sines of changing frequency and multiple oscillators against their equations."""

import numpy as np
import pytest

from reservoir.datasets import (
    multiple_superimposed_oscillators,
    sine_frequency,
)

# sine_frequency


def test_sine_is_a_sine_of_the_frequency_asked_for():
    inputs, targets = sine_frequency(20_000, hold_range=(200, 400), random_state=5)
    assert inputs.shape == (20_000, 1)
    assert targets.shape == (20_000,)
    assert np.abs(inputs).max() <= 1.0
    asked = 0.04 + 0.02 * inputs[:, 0]
    starts = np.flatnonzero(np.diff(inputs[:, 0], prepend=np.nan, append=np.nan))
    holds = np.diff(starts)
    assert holds[:-1].min() >= 200
    assert holds.max() <= 400
    # Inside a stair three values of a sine obey y[t+1] + y[t-1] = 2 cos(2 pi f) y[t], exactly.
    # The step that arrives at the first value of a stair already runs at the new speed.
    t = np.flatnonzero(asked[1:-1] == asked[2:]) + 1
    left = targets[t + 1] + targets[t - 1]
    assert t.size > 19_800
    np.testing.assert_allclose(left, 2 * np.cos(2 * np.pi * asked[t]) * targets[t], atol=1e-12)


def test_sine_frequency_from_zero_crossings():
    levels = [0.011, 0.043, 0.02]
    _, targets = sine_frequency(9000, frequencies=levels, hold_lengths=3000)
    for level, piece in zip(levels, targets.reshape(3, 3000), strict=True):
        rising = np.flatnonzero((piece[:-1] < 0) & (piece[1:] >= 0))
        # Linear interpolation of a sine at its zero: an error of about (2 pi f)^3 / 60 steps.
        crossings = rising + piece[rising] / (piece[rising] - piece[rising + 1])
        measured = (len(crossings) - 1) / (crossings[-1] - crossings[0])
        assert measured == pytest.approx(level, rel=1e-5)


def test_sine_phase_is_continuous():
    # A jump of the phase would show as a step that the fastest sine cannot make.
    _, targets = sine_frequency(50_000, frequency_range=(0.01, 0.02), random_state=0)
    assert np.abs(np.diff(targets, prepend=0.0)).max() <= 2 * np.sin(np.pi * 0.02)


def test_sine_keeps_its_digits_over_a_long_series():
    frequency = 3 / 64  # exact in binary: after 64 steps the phase is a whole number of turns
    _, targets = sine_frequency(640_000, frequencies=[frequency], hold_lengths=640_000)
    np.testing.assert_array_equal(targets[:64], targets[-64:])


def test_sine_stairs_given_by_the_caller():
    inputs, targets = sine_frequency(
        7,
        frequencies=[0.1, 0.3, 0.2],
        hold_lengths=[2, 4, 9],
        frequency_range=(0.1, 0.2),
        amplitude=2.0,
    )
    np.testing.assert_allclose(inputs[:, 0], [-1, -1, 3, 3, 3, 3, 1], atol=1e-14)
    phase = 2 * np.pi * np.array([0.1, 0.2, 0.5, 0.8, 1.1, 1.4, 1.6])
    np.testing.assert_allclose(targets, 2 * np.sin(phase), atol=1e-14)


def test_sine_levels_do_not_depend_on_the_length():
    short, _ = sine_frequency(500, random_state=2)
    long, _ = sine_frequency(700, random_state=2)
    np.testing.assert_array_equal(short, long[:500])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"frequency_range": (0.05, 0.01)}, "`frequency_range` is .* two rising"),
        ({"frequency_range": (0.1, 0.5)}, "between 0 and 0.5"),
        ({"frequency_range": (0.1,)}, "two rising"),
        ({"frequencies": [0.1, 0.5], "hold_lengths": 50}, "level outside"),
        ({"frequencies": [0.1, np.nan], "hold_lengths": 50}, "level outside"),
        ({"frequencies": [0.1, 0.2], "hold_lengths": 49}, "cover 98 steps, but `n_steps` is 100"),
        ({"frequencies": [0.1, 0.2], "hold_lengths": [100]}, "2 levels, but .* 1 lengths"),
        ({"hold_lengths": 0}, "`hold_lengths` is 0"),
        ({"hold_lengths": [100, 0]}, "`hold_lengths` has a length"),
        ({"hold_lengths": [50.0, 50.0]}, "`hold_lengths` has a length"),
        ({"hold_range": (30, 20)}, "shortest stair first"),
        ({"hold_range": (0, 20)}, "`hold_range` is 0"),
        ({"hold_range": (10, 20, 30)}, "two lengths"),
        ({"amplitude": 0.0}, "`amplitude` is 0.0"),
    ],
)
def test_sine_bad_input(arguments, match):
    with pytest.raises(ValueError, match=match):
        sine_frequency(100, **arguments)


# multiple_superimposed_oscillators


def test_oscillators_obey_their_linear_recurrence():
    # A sum of two sines is annihilated by the product of (1 - 2 cos(w) S + S^2).
    series = multiple_superimposed_oscillators(400, 2)
    assert series.shape == (400, 1)
    filters = [[1, -2 * np.cos(w), 1] for w in (0.2, 0.311)]
    assert np.abs(np.convolve(series[:, 0], np.convolve(*filters), "valid")).max() < 1e-12
    assert series[0, 0] == 0.0


def test_oscillators_at_one_step():
    published = [0.2, 0.311, 0.42, 0.51, 0.63, 0.74, 0.85, 0.97]
    for n in range(1, 9):
        series = multiple_superimposed_oscillators(60, n)
        expected = sum(np.imag(np.exp(1j * w * 59)) for w in published[:n])
        assert series[59, 0] == pytest.approx(expected, abs=1e-12)
    own = multiple_superimposed_oscillators(8, frequencies=[np.pi / 2])
    np.testing.assert_allclose(own[:, 0], [0, 1, 0, -1] * 2, atol=1e-14)


def test_oscillators_bad_input():
    with pytest.raises(ValueError, match=r"`n_oscillators` is 9.* at most 8"):
        multiple_superimposed_oscillators(10, 9)
    with pytest.raises(ValueError, match="`frequencies` is of shape"):
        multiple_superimposed_oscillators(10, frequencies=[0.1, np.inf])
