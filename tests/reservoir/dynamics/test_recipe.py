"""Drawing a reservoir from its parameters: seeds, layers, and agreement with the estimators."""

import numpy as np
import pytest

from reservoir import ESNRegressor, LayeredESNRegressor
from reservoir.architectures import stack_reservoirs
from reservoir.dynamics._recipe import ReservoirRecipe, layer_seeds, reservoir_seeds
from reservoir.weights import input_weights, recurrent_weights

PARAMETERS = {
    "n_units": 20,
    "spectral_radius": 0.8,
    "leak_rate": 0.5,
    "input_scaling": 0.7,
    "bias_scaling": 0.3,
    "connectivity": 5,
    "topology": "random",
    "distribution": "uniform",
    "activation": "tanh",
    "dtype": "float64",
}


def dense(reservoir):
    return reservoir.recurrent.toarray()


def test_weights_are_those_of_the_functions_that_draw_each_kind():
    seeds = np.random.SeedSequence(3).spawn(5)
    drawn = ReservoirRecipe.of(PARAMETERS | {"feedback_scaling": 2.0}).draw(
        2, 1, reservoir_seeds(3)
    )
    expected = recurrent_weights(20, spectral_radius=0.8, connectivity=5, random_state=seeds[0])
    np.testing.assert_array_equal(dense(drawn), expected.toarray())
    np.testing.assert_array_equal(
        drawn.input, input_weights(20, 2, scaling=0.7, random_state=seeds[1])
    )
    np.testing.assert_array_equal(
        drawn.feedback, input_weights(20, 1, scaling=2.0, random_state=seeds[3])
    )
    assert drawn.leak_rate == 0.5


def test_an_estimator_draws_what_its_recipe_does(rng):
    X = rng.normal(size=(60, 2))
    esn = ESNRegressor(**PARAMETERS, random_state=4).fit(X, X)
    drawn = ReservoirRecipe.of(esn.get_params()).draw(2, 0, reservoir_seeds(4))
    for name in ("input", "bias"):
        np.testing.assert_array_equal(getattr(drawn, name), getattr(esn.reservoir_, name))
    np.testing.assert_array_equal(dense(drawn), dense(esn.reservoir_))


def test_a_further_layer_leaves_those_before_it_as_they_are():
    two, three = layer_seeds(7, 2), layer_seeds(7, 3)
    states = [[one.recurrent.generate_state(2).tolist() for one in each] for each in (two, three)]
    assert states[0] == states[1][:2]
    assert states[1][0] == reservoir_seeds(7).recurrent.generate_state(2).tolist()
    assert states[1][0] != states[1][1] != states[1][2]


def test_a_deep_reservoir_is_its_layers_stacked(rng):
    X = rng.normal(size=(60, 2))
    esn = LayeredESNRegressor(
        [8, 3], n_layers=2, leak_rate=[1.0, 0.25], connectivity=3, random_state=1
    ).fit(X, X)
    seeds = layer_seeds(1, 2)
    shared = PARAMETERS | {"spectral_radius": 0.9, "input_scaling": 1.0, "bias_scaling": 0.2}
    lower = ReservoirRecipe.of(shared | {"n_units": 8, "leak_rate": 1.0, "connectivity": 3}).draw(
        2, 0, seeds[0]
    )
    upper = ReservoirRecipe.of(
        shared | {"n_units": 3, "leak_rate": 0.25, "connectivity": 3, "input_connectivity": 3}
    ).draw(8, 0, seeds[1])
    expected = stack_reservoirs([lower, upper])
    np.testing.assert_array_equal(dense(esn.reservoir_), dense(expected))
    np.testing.assert_array_equal(esn.reservoir_.leak_rate, expected.leak_rate)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("n_units", 0, ValueError),
        ("dtype", "float16", ValueError),
        ("bias_scaling", -1.0, ValueError),
        ("leak_rate", 1.5, ValueError),
        ("leak_rate", ["a"], TypeError),
    ],
)
def test_refuses_bad_parameters(name, value, error):
    with pytest.raises(error, match=name):
        ReservoirRecipe.of(PARAMETERS | {name: value}).draw(1, 0, reservoir_seeds(0))
