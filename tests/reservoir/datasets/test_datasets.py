"""What all data sets share: seeds, what is discarded at the front, bad lengths."""

import numpy as np
import pytest

from reservoir.datasets import (
    henon,
    kuramoto_sivashinsky,
    lorenz,
    lorenz96,
    mackey_glass,
    multiple_superimposed_oscillators,
    narma,
    sine_frequency,
)

SEEDED = [sine_frequency, mackey_glass, narma, lorenz, lorenz96, henon, kuramoto_sivashinsky]


def first_array(result):
    return result[1] if isinstance(result, tuple) else result


@pytest.mark.parametrize("dataset", SEEDED)
def test_seeding(dataset):
    series = first_array(dataset(300, random_state=3))
    assert series.dtype == np.float64
    assert len(series) == 300
    np.testing.assert_array_equal(series, first_array(dataset(300, random_state=3)))
    np.testing.assert_array_equal(
        series, first_array(dataset(300, random_state=np.random.SeedSequence(3)))
    )
    other = first_array(dataset(300, random_state=4))
    assert np.abs(series - other).max() > 0.1


@pytest.mark.parametrize(
    "dataset", [mackey_glass, narma, lorenz, lorenz96, henon, kuramoto_sivashinsky]
)
def test_discard_cuts_the_front_off(dataset):
    whole = first_array(dataset(250, discard=0, random_state=1))
    tail = first_array(dataset(150, discard=100, random_state=1))
    np.testing.assert_array_equal(whole[100:], tail)


@pytest.mark.parametrize(
    "dataset", [*SEEDED, multiple_superimposed_oscillators], ids=lambda f: f.__name__
)
def test_a_bad_length_is_refused(dataset):
    with pytest.raises(ValueError, match="`n_steps` is 0"):
        dataset(0)
    with pytest.raises(TypeError, match=r"`n_steps` is 10\.0 of type float"):
        dataset(10.0)
