"""Architectures and LayeredESNRegressor: layers and groups against reservoirs run one by one."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ESNRegressor, LayeredESNRegressor
from reservoir.architectures import group_reservoirs, stack_reservoirs
from reservoir.dynamics import Reservoir, run
from reservoir.search import ReservoirSearchCV
from reservoir.weights import bias_weights, input_weights, recurrent_weights

ROWS_ARE_EXCHANGEABLE = "rows are steps of one series: their order and their past matter"
EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": ROWS_ARE_EXCHANGEABLE,
    "check_methods_subset_invariance": ROWS_ARE_EXCHANGEABLE,
}


def part(n_units, n_inputs, seed, *, bias=0.3, leak_rate=1.0, n_outputs=0, **settings):
    settings = {"topology": "random", "dtype": np.float64, **settings}
    dtype = settings["dtype"]
    return Reservoir(
        recurrent=recurrent_weights(n_units, connectivity=5, random_state=seed, **settings),
        input=input_weights(n_units, n_inputs, scaling=0.7, random_state=seed + 50, dtype=dtype),
        bias=bias_weights(n_units, scaling=bias, random_state=seed + 100, dtype=dtype),
        feedback=input_weights(n_units, n_outputs, random_state=seed + 150, dtype=dtype)
        if n_outputs
        else None,
        leak_rate=leak_rate,
    )


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def plain_layers(layers, inputs, *, deep, same_step=False, teacher=None):
    """Each layer by itself, one step at a time; `same_step`: it hears the new state below."""
    x = [np.zeros(layer.n_units) for layer in layers]
    rows = []
    for t, u in enumerate(inputs):
        before = [state.copy() for state in x]
        for index, layer in enumerate(layers):
            heard = u
            if deep and index:
                heard = x[index - 1] if same_step else before[index - 1]
            z = dense(layer.recurrent) @ before[index] + layer.input @ heard + layer.bias
            if teacher is not None and t:
                z = z + layer.feedback @ teacher[t - 1]
            x[index] = (1 - layer.leak_rate) * before[index] + layer.leak_rate * np.tanh(z)
        rows.append(np.concatenate(x))
    return np.array(rows)


LAYERS = [
    lambda below: part(20, below, 1, n_outputs=2),
    lambda below: part(15, below, 2, n_outputs=2, leak_rate=np.linspace(0.2, 0.9, 15)),
    lambda below: part(12, below, 3, n_outputs=2, leak_rate=0.3, topology="orthogonal"),
]


def build(deep):
    layers = []
    for make in LAYERS:
        layers.append(make(layers[-1].n_units if deep and layers else 3))
    return layers


# -- one reservoir of several --------------------------------------------------------------------


@pytest.mark.parametrize("deep", [True, False])
def test_equals_each_layer_by_itself(rng, deep):
    layers, u, y = build(deep), rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    whole = (stack_reservoirs if deep else group_reservoirs)(layers)
    states = run(whole, u, teacher=y)
    np.testing.assert_allclose(states, plain_layers(layers, u, deep=deep, teacher=y), atol=1e-12)
    assert whole.recurrent.has_sorted_indices
    assert whole.recurrent.indices.dtype == np.int32


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_a_layer_is_the_usual_one_delayed_by_a_step_for_each_layer_below(rng, bias):
    sizes = (20, 15, 10)
    layers = [part(n, k, i, bias=bias) for i, (n, k) in enumerate(zip(sizes, (2, *sizes)))]
    u = rng.normal(size=(300, 2))
    states = run(stack_reservoirs(layers), u)
    usual = plain_layers(layers, u, deep=True, same_step=True)
    first = 0 if bias == 0 else 200  # with a bias, once the start is forgotten
    for depth, columns in enumerate((slice(0, 20), slice(20, 35), slice(35, 45))):
        late = states[first + depth :, columns]
        np.testing.assert_allclose(late, usual[first : 300 - depth, columns], atol=1e-10)
    assert abs(states[first + 1 :, 20:] - usual[first + 1 :, 20:]).max() > 0.1


def test_architectures_nest(rng):
    u = rng.normal(size=(40, 2))
    a, b, c = part(10, 2, 0), part(8, 10, 1), part(6, 2, 2)
    both = group_reservoirs([stack_reservoirs([a, b]), c])
    states = run(both, u)
    np.testing.assert_allclose(states[:, :18], run(stack_reservoirs([a, b]), u), atol=1e-13)
    np.testing.assert_allclose(states[:, 18:], run(c, u), atol=1e-13)


def test_one_layer_is_the_reservoir_itself(rng):
    u, one = rng.normal(size=(40, 2)), part(10, 2, 0, leak_rate=0.4)
    for make in (stack_reservoirs, group_reservoirs):
        np.testing.assert_allclose(run(make([one]), u), run(one, u), rtol=1e-13)


def test_single_precision_stays(rng):
    layers = [part(10, 2, 0, dtype=np.float32, leak_rate=0.5), part(8, 10, 1, dtype=np.float32)]
    whole = stack_reservoirs(layers)
    for array in (whole.recurrent, whole.input, whole.bias, whole.leak_rate):
        assert array.dtype == np.float32
    assert run(whole, rng.normal(size=(5, 2))).dtype == np.float32


def test_layers_must_fit():
    a = part(10, 2, 0)
    for make, name in ((stack_reservoirs, "layers"), (group_reservoirs, "members")):
        with pytest.raises(ValueError, match=f"`{name}` is empty"):
            make([])
        with pytest.raises(ValueError, match=rf"dtype of `{name}\[1\]` is float32"):
            make([a, part(10, 10, 0, dtype=np.float32)])
        with pytest.raises(ValueError, match=rf"outputs fed back of `{name}\[1\]` is 1"):
            make([a, part(10, 10, 0, n_outputs=1)])
        with pytest.raises(ValueError, match=rf"activation of `{name}\[1\]` is relu"):
            make([a, Reservoir(a.recurrent, a.input, a.bias, activation="relu")])
    with pytest.raises(ValueError, match=r"`layers\[1\]` has 2 inputs, but .* 10 units"):
        stack_reservoirs([a, part(10, 2, 1)])
    with pytest.raises(ValueError, match=r"`members\[1\]` has 3 inputs, but .* has 2"):
        group_reservoirs([a, part(10, 3, 1)])


# -- the estimator -------------------------------------------------------------------------------


def small(arrangement="deep", **parameters):
    settings = {"n_units": [14, 12, 10], "connectivity": 4, "random_state": 1, "alpha": 1e-3}
    settings |= {"leak_rate": [1.0, 0.6, 0.3], "spectral_radius": [0.9, 0.7, 0.5]}
    return LayeredESNRegressor(arrangement=arrangement, **{**settings, **parameters})


@pytest.fixture
def memory_task(rng):
    u = rng.uniform(-1, 1, size=(240, 2))
    return u, np.roll(u, 2, axis=0) + 0.01 * rng.normal(size=(240, 2))


@parametrize_with_checks(
    [
        LayeredESNRegressor(20, n_layers=2, random_state=0),
        LayeredESNRegressor(20, n_layers=2, arrangement="grouped", random_state=0),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("arrangement", ["deep", "grouped"])
def test_each_layer_has_its_own_scales(memory_task, arrangement):
    u, y = memory_task
    esn = small(arrangement, input_scaling=[1.0, 0.25, 2.0], bias_scaling=[0.0, 0.1, 1.0])
    reservoir = esn.fit(u, y).reservoir_
    W, layers = reservoir.recurrent.toarray(), esn.layers_
    assert layers == [slice(0, 14), slice(14, 26), slice(26, 36)]
    for rows, radius, rate in zip(layers, (0.9, 0.7, 0.5), (1.0, 0.6, 0.3)):
        assert abs(np.linalg.eigvals(W[rows, rows])).max() == pytest.approx(radius, rel=1e-6)
        assert (reservoir.leak_rate[rows] == rate).all()
        assert (np.count_nonzero(W[rows, rows], axis=1) == 4).all()
    for index, scale in enumerate((0.0, 0.1, 1.0)):
        heights = abs(reservoir.bias[layers[index]])
        assert heights.max() <= scale
        assert heights.max() >= 0.5 * scale
    for index, scale in enumerate((1.0, 0.25, 2.0)):
        rows = layers[index]
        if arrangement == "deep" and index:
            heard = W[rows, layers[index - 1]]
            assert (np.count_nonzero(heard, axis=1) == 4).all()
            assert not reservoir.input[rows].any()
        else:
            heard = reservoir.input[rows]
        assert 0.7 * scale < abs(heard).max() <= scale
        # Nothing else is connected.
        W[rows, rows] = 0
        if arrangement == "deep" and index:
            W[rows, layers[index - 1]] = 0
    assert not W.any()


@pytest.mark.parametrize("arrangement", ["deep", "grouped"])
def test_equals_ridge_on_plain_states(memory_task, arrangement):
    u, y = memory_task
    esn = small(arrangement, washout=20).fit(u, y)
    whole, rows = esn.reservoir_, esn.layers_
    layers = []
    for index, own in enumerate(rows):
        heard = whole.input[own]
        if arrangement == "deep" and index:
            heard = whole.recurrent[own, rows[index - 1]].toarray()
        W = whole.recurrent[own, own].toarray()
        layers.append(Reservoir(W, heard, whole.bias[own], leak_rate=whole.leak_rate[own]))
    features = np.hstack([u, plain_layers(layers, u, deep=arrangement == "deep")])
    ridge = Ridge(alpha=1e-3, solver="svd").fit(features[20:], y[20:])
    np.testing.assert_allclose(esn.coef_, ridge.coef_, atol=1e-7)
    np.testing.assert_allclose(esn.predict(u), ridge.predict(features), atol=1e-8)


@pytest.mark.parametrize("arrangement", ["deep", "grouped"])
def test_one_layer_is_an_esn_regressor(memory_task, arrangement):
    u, y = memory_task
    shared = {"n_units": 20, "leak_rate": 0.5, "feedback_scaling": 0.2, "random_state": 3}
    shared |= {"noise": 1e-3, "alpha": 1e-2}
    layered = LayeredESNRegressor(n_layers=1, arrangement=arrangement, **shared).fit(u, y)
    np.testing.assert_array_equal(
        layered.predict(u[:50]), ESNRegressor(**shared).fit(u, y).predict(u[:50])
    )


@pytest.mark.parametrize("arrangement", ["deep", "grouped"])
def test_a_further_layer_leaves_the_others_as_they_are(memory_task, arrangement):
    u, y = memory_task
    two, three = (
        LayeredESNRegressor(15, n_layers=n, arrangement=arrangement, random_state=5).fit(u, y)
        for n in (2, 3)
    )
    W = three.reservoir_.recurrent.toarray()
    np.testing.assert_array_equal(W[:30, :30], two.reservoir_.recurrent.toarray())
    np.testing.assert_array_equal(three.reservoir_.bias[:30], two.reservoir_.bias)
    # No layer is a copy of another.
    for i, j in ((0, 1), (0, 2), (1, 2)):
        own = [W[rows, rows] for rows in (three.layers_[i], three.layers_[j])]
        assert not np.array_equal(*own)


@pytest.mark.parametrize("arrangement", ["deep", "grouped"])
def test_partial_fit_and_forms_of_sequences(memory_task, arrangement):
    u, y = memory_task
    parts = [(u[:70], y[:70]), (u[70:150], y[70:150]), (u[150:], y[150:])]
    together = small(arrangement, washout=5).fit([a for a, _ in parts], [b for _, b in parts])
    in_parts = small(arrangement, washout=5)
    for inputs, targets in parts:
        in_parts.partial_fit(inputs, targets)
    np.testing.assert_allclose(in_parts.coef_, together.coef_, atol=1e-9)
    by_groups = together.predict(u, groups=np.repeat([0, 1, 2], [70, 80, 90]))
    for rows, inputs in zip(
        np.split(by_groups, [70, 150]), together.predict([a for a, _ in parts])
    ):
        np.testing.assert_allclose(rows, inputs, atol=1e-12)
    cube = together.predict(u.reshape(4, 60, 2))
    np.testing.assert_allclose(cube[2], together.predict(u[120:180]), atol=1e-12)


@pytest.mark.parametrize("arrangement", ["deep", "grouped"])
def test_forecast_closes_the_loop(memory_task, arrangement):
    u, _ = memory_task
    series = np.cumsum(u, axis=0) * 0.1
    esn = small(arrangement, alpha=1e-2).fit(series[:-1], series[1:])
    forecast = esn.forecast(20, series[:50])
    context = series[:50]
    for row in forecast:
        np.testing.assert_allclose(esn.predict(context)[-1], row, atol=1e-8)
        context = np.vstack([context, row])


@pytest.mark.parametrize("arrangement", ["deep", "grouped"])
def test_files_clones_and_seeds(memory_task, arrangement, tmp_path):
    u, y = memory_task
    esn = small(arrangement).fit(u, y)
    esn.save(tmp_path / "model.npz")
    loaded = LayeredESNRegressor.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict(u), esn.predict(u))
    assert loaded.layers_ == esn.layers_
    assert loaded.get_params() == esn.get_params()
    loaded.partial_fit(u, y)
    np.testing.assert_array_equal(clone(esn).fit(u, y).predict(u), esn.predict(u))
    single = small(arrangement, dtype="float32").fit(u, y)
    assert single.predict(u).dtype == np.float32
    np.testing.assert_allclose(single.predict(u), esn.predict(u), atol=2e-3)


def test_a_grid_search_tries_arrangements(memory_task):
    u, y = memory_task
    grid = {"arrangement": ["deep", "grouped"], "leak_rate": [0.5, [1.0, 0.5, 0.2]]}
    search = GridSearchCV(small(), grid, cv=TimeSeriesSplit(2)).fit(u, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    with pytest.raises(TypeError, match="type LayeredESNRegressor, but an ESNRegressor"):
        ReservoirSearchCV(small(), {"alpha": [1.0]}).fit(u, y)


def test_entries_of_a_list_may_be_arrays(memory_task):
    u, y = memory_task
    rates = [np.linspace(0.1, 1, 14), 0.5, 0.2]
    esn = small(leak_rate=rates, input_scaling=[[0.0, 1.0], 1.0, 1.0]).fit(u, y)
    np.testing.assert_allclose(esn.reservoir_.leak_rate[:14], rates[0])
    assert not esn.reservoir_.input[:, 0].any()
    assert esn.reservoir_.input[:14, 1].all()


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_layers": 3, "leak_rate": [1.0, 0.5]}, ValueError, "`leak_rate` has 2 entries"),
        ({"n_units": (5, 5)}, ValueError, "`spectral_radius` has 3 entries"),
        ({"n_units": []}, ValueError, "`n_units` has 0 entries"),
        ({"n_layers": 0}, ValueError, "`n_layers` is 0"),
        ({"n_layers": 1.5}, TypeError, "`n_layers` is 1.5"),
        ({"arrangement": "wide"}, ValueError, "`arrangement` is 'wide'"),
        ({"leak_rate": [1.0, 0.0, 1.0]}, ValueError, "`leak_rate` is 0.0"),
        ({"n_units": [10, 0, 10]}, ValueError, "`n_units` is 0"),
        ({"spectral_radius": [1, -1, 1]}, ValueError, "`spectral_radius` is -1"),
    ],
)
def test_parameters_are_checked(memory_task, parameters, error, message):
    with pytest.raises(error, match=message):
        small(**parameters).fit(*memory_task)


def test_lists_say_how_many_layers_there_are(memory_task):
    u, y = memory_task
    by_lists = LayeredESNRegressor([30, 20], random_state=0).fit(u, y)
    told = LayeredESNRegressor([30, 20], n_layers=2, random_state=0).fit(u, y)
    assert len(by_lists.layers_) == 2
    np.testing.assert_array_equal(by_lists.coef_, told.coef_)
    assert len(LayeredESNRegressor(20, random_state=0).fit(u, y).layers_) == 3
