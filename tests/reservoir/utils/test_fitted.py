"""What `fit` saw is what the other methods use: parameters set, or arrays changed, afterwards."""

import copy
from itertools import pairwise

import joblib
import numpy as np
import pytest

from hessianfree import CharacterLanguageModel, LanguageModel, RNNClassifier, RNNRegressor
from reservoir import (
    ConceptorMemory,
    DelayEmbedding,
    ESNClassifier,
    ESNRegressor,
    LayeredESNRegressor,
    LocalESNRegressor,
    NVARRegressor,
    OnlineESNRegressor,
    ReservoirForecaster,
    ReservoirModelSpace,
    ReservoirTransformer,
)

_T = np.arange(121)
SERIES = np.sin(0.3 * _T)[:, None]
X, Y = SERIES[:-1], SERIES[1:]
FIELD = np.sin(0.3 * _T[:, None] + np.arange(8))
PANEL = [np.sin(0.2 * (1 + i % 2) * np.arange(20 + i))[:, None] for i in range(12)]
LABELS = np.arange(12) % 2
RNN = {"max_iter": 2, "random_state": 0}
ESN = {"n_units": 20, "random_state": 0}
OTHER = {"washout": 7, "include_input": False, "include_squares": True, "dtype": "float32"}

CASES = {
    "ESNRegressor": (
        ESNRegressor(**ESN),
        lambda e: e.fit(X, Y),
        lambda e: [e.predict(X), e.score(X, Y), e.forecast(3, X)],
        OTHER | {"missing": "hold", "pooling": "last", "output_limit": 1e-9},
    ),
    "pooled ESNRegressor": (
        ESNRegressor(**ESN),
        lambda e: e.fit(PANEL, LABELS),
        lambda e: [e.predict(PANEL), e.score(PANEL, LABELS)],
        OTHER | {"pooling": "last", "target_per": "step"},
    ),
    "LayeredESNRegressor": (
        LayeredESNRegressor(**ESN, n_layers=2),
        lambda e: e.fit(X, Y),
        lambda e: [e.predict(X), e.forecast(5, X)],
        OTHER | {"n_layers": 3, "arrangement": "grouped"},
    ),
    "OnlineESNRegressor": (
        OnlineESNRegressor(**ESN),
        lambda e: e.fit(X, Y),
        lambda e: [e.predict(X), e.forecast(5, X), copy.deepcopy(e).step(X[0], Y[0])],
        OTHER | {"teacher_forcing": False, "learner": "lms", "alpha": 3.0},
    ),
    "NVARRegressor": (
        NVARRegressor(2),
        lambda e: e.fit(X, Y),
        lambda e: [e.predict(X), e.forecast(5, X)],
        {"stride": 3, "n_delays": 3, "predict_increment": True, "order": 3, "dtype": "float32"},
    ),
    "LocalESNRegressor": (
        LocalESNRegressor(**ESN, patch_size=2, overlap=1),
        lambda e: e.fit(FIELD[:-1], FIELD[1:]),
        lambda e: [e.predict(FIELD[:-1]), e.forecast(5)],
        OTHER | {"shared": False, "patch_size": 4, "overlap": 2},
    ),
    "ReservoirTransformer": (
        ReservoirTransformer(**ESN),
        lambda e: e.fit(X),
        lambda e: [e.transform(X), e.get_feature_names_out()],
        {"dtype": "float32", "missing": "hold", "n_units": 7},
    ),
    "DelayEmbedding": (
        DelayEmbedding([0, 2]),
        lambda e: e.fit(X),
        lambda e: [e.transform(X)],
        {"delays": [1]},
    ),
    "ESNClassifier": (
        ESNClassifier(**ESN),
        lambda e: e.fit(PANEL, LABELS),
        lambda e: [e.predict(PANEL), e.predict_proba(PANEL)],
        OTHER | {"pooling": "last", "bidirectional": True, "label_per": "step"},
    ),
    "ReservoirModelSpace": (
        ReservoirModelSpace(**ESN),
        lambda e: e.fit(PANEL),
        lambda e: [e.transform(PANEL), e.get_feature_names_out()],
        {"pooling": 2, "bidirectional": True, "target": "input", "washout": 3, "alpha": 9.0},
    ),
    "ConceptorMemory": (
        ConceptorMemory(**ESN, washout=20),
        lambda e: e.fit([X, X**2]),
        lambda e: [e.recall(0, 5)],
        {"washout": 3, "aperture": 2.0, "output_limit": 1e-9, "dtype": "float32"},
    ),
    "ReservoirForecaster": (
        ReservoirForecaster(n_units=20, random_state=0, seasons=[7], horizon=4),
        lambda e: e.fit(SERIES[:, 0] + 3),
        lambda e: [e.forecast(5).mean],
        {"seasons": [5], "members": "ar", "transform": "none", "horizon": 2, "weight_power": 3.0},
    ),
    "RNNRegressor": (
        RNNRegressor(n_units=4, **RNN),
        lambda e: e.fit(X, Y),
        lambda e: [e.predict(X)],
        {"dtype": "float32", "n_units": 9, "cell": "gru", "target": "sequence"},
    ),
    "RNNClassifier": (
        RNNClassifier(n_units=4, **RNN),
        lambda e: e.fit(PANEL, LABELS),
        lambda e: [e.predict_proba(PANEL)],
        {"dtype": "float32", "n_units": 9, "cell": "gru", "target": "step"},
    ),
    "CharacterLanguageModel": (
        CharacterLanguageModel(n_units=4, sequence_length=10, n_scored=5, **RNN),
        lambda e: e.fit("abcab " * 40),
        lambda e: [e.character_bits("abc ab" * 5, mode="windows"), e.score("abc abca" * 5)],
        {"sequence_length": 8, "n_scored": 3, "dtype": "float64", "n_units": 9},
    ),
    "LanguageModel": (
        LanguageModel(4, tokens="words", sequence_length=10, n_scored=5, **RNN),
        lambda e: e.fit("a cat sat\non a mat\n" * 10),
        lambda e: [[e.log_probability("a cat\non a")], [e.bits_per_character("a cat sat")]],
        {"sentences": "texts", "tokens": "characters", "n_layers": 2, "max_vocabulary": 3},
    ),
}


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(params=CASES)
def case(request):
    prototype, fit, results, changes = CASES[request.param]
    estimator = copy.deepcopy(prototype)
    fit(estimator)
    return estimator, fit, results, changes


def test_parameters_set_after_fit_change_nothing_but_the_next_fit(case):
    estimator, _, results, changes = case
    expected = results(estimator)
    for name, value in changes.items():
        if name in estimator.get_params():
            estimator.set_params(**{name: value})
            assert estimator.get_params()[name] == value
            assert_same(results(estimator), expected)


def test_files_and_copies_keep_what_fit_saw(case, tmp_path):
    estimator, _, results, changes = case
    expected = results(estimator)
    names = estimator.get_params()
    estimator.set_params(**{name: value for name, value in changes.items() if name in names})
    estimator.save(tmp_path / "model.npz")
    assert_same(results(type(estimator).load(tmp_path / "model.npz")), expected)
    assert_same(results(copy.deepcopy(estimator)), expected)


def test_memory_mapped_and_learning_on(case, tmp_path):
    estimator, fit, results, _ = case
    expected = results(estimator)
    joblib.dump(estimator, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert_same(results(mapped), expected)
    fit(mapped)
    if hasattr(mapped, "partial_fit"):
        mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
        data = {"pooled": (PANEL, LABELS), "field": (FIELD[:-1], FIELD[1:])}
        kind = "pooled" if getattr(mapped, "target_per_", "") == "sequence" else "series"
        mapped.partial_fit(*data.get(kind, (X, Y)))
        estimator.partial_fit(*data.get(kind, (X, Y)))
        assert_same(results(mapped), results(estimator))


def test_a_refused_fit_keeps_the_record():
    esn = ESNRegressor(**ESN).fit(X, Y)
    expected = esn.predict(X)
    esn.set_params(include_input=False, alpha=-1.0)
    with pytest.raises(ValueError, match="`alpha`"):
        esn.fit(X, Y)
    np.testing.assert_array_equal(esn.predict(X), expected)


def test_what_another_method_learns_or_moves_is_taken_over():
    changed, plain = ESNRegressor(**ESN).fit(X, Y), ESNRegressor(**ESN).fit(X, Y)
    changed.set_params(washout=50, include_input=False)
    for esn in (changed, plain):
        esn.advance(X[:30])
        assert esn.partial_fit(X, Y) is esn
    assert_same([changed.last_state_, changed.coef_], [plain.last_state_, plain.coef_])


def test_a_first_partial_fit_is_a_fit():
    for kind in (ESNRegressor, OnlineESNRegressor):
        esn = kind(**ESN)
        esn.partial_fit(X[:60], Y[:60])
        expected = kind(**ESN).partial_fit(X[:60], Y[:60]).partial_fit(X[60:], Y[60:]).predict(X)
        esn.set_params(include_squares=True)
        esn.partial_fit(X[60:], Y[60:])
        np.testing.assert_array_equal(esn.predict(X), expected)


def test_a_first_step_is_a_fit():
    esn, plain = OnlineESNRegressor(**ESN), OnlineESNRegressor(**ESN)
    esn.step(X[0], Y[0])
    esn.set_params(washout=1000, dtype="float32", teacher_forcing=False)
    plain.step(X[0], Y[0])
    for u, y in zip(X[1:], Y[1:]):
        np.testing.assert_array_equal(esn.step(u, y), plain.step(u, y))


@pytest.mark.parametrize("kind", [ESNRegressor, OnlineESNRegressor, ReservoirTransformer])
def test_arrays_of_parameters_and_data_are_not_aliased(kind):
    given = {
        "leak_rate": np.full(20, 0.5),
        "input_scaling": np.ones(1),
        "topology": np.random.default_rng(0).normal(size=(20, 20)),
    }
    inputs, targets = X.copy(), Y.copy()
    estimator = kind(**ESN, **given).fit(inputs, targets)
    use = estimator.predict if hasattr(estimator, "predict") else estimator.transform
    assert_same([inputs, targets], [X, Y])
    forecast = getattr(estimator, "forecast", lambda n: n)
    expected = [use(X), forecast(5)]
    for array in (*given.values(), inputs, targets):
        array[...] = 0.25
    assert_same([use(X), forecast(5)], expected)


def test_read_only_arrays_are_enough():
    def read_only(array):
        array = array.copy()
        array.flags.writeable = False
        return array

    for kind in (ESNRegressor, OnlineESNRegressor, NVARRegressor):
        settings = {} if kind is NVARRegressor else ESN | {"leak_rate": read_only(np.full(20, 0.5))}
        expected = kind(**settings).fit(X, Y).predict(X)
        found = kind(**settings).fit(read_only(X), read_only(Y)).predict(read_only(X))
        np.testing.assert_array_equal(found, expected)


def _learned_on(esn, edges):
    for start, stop in pairwise(edges):
        esn.partial_fit(X[start:stop], Y[start:stop])
    return esn.predict(X)


@pytest.mark.parametrize("kind", [ESNRegressor, OnlineESNRegressor])
def test_learns_on_in_a_worker(kind):
    esn = kind(60, random_state=0).fit(X, Y)
    workers = joblib.Parallel(n_jobs=2, max_nbytes=100)
    for found in workers(joblib.delayed(_learned_on)(esn, edges) for edges in 2 * [(0, 60, 120)]):
        np.testing.assert_allclose(found, _learned_on(copy.deepcopy(esn), (0, 60, 120)), rtol=1e-9)
