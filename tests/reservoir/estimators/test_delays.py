"""DelayEmbedding: which rows stand where, sequences, column names."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import DelayEmbedding, ESNRegressor, ReservoirTransformer

ROWS_ARE_EXCHANGEABLE = "rows are steps of one series: their order and their past matter"


@parametrize_with_checks(
    [DelayEmbedding()],
    expected_failed_checks=lambda estimator: {
        "check_methods_sample_order_invariance": ROWS_ARE_EXCHANGEABLE,
        "check_methods_subset_invariance": ROWS_ARE_EXCHANGEABLE,
    },
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("delays", [[0], [0, 1], [3], [5, 0, 2], (100, 1)])
def test_equals_shifted_columns(rng, delays):
    frame = pd.DataFrame(rng.normal(size=(30, 2)), columns=["a", "b"])
    expected = pd.concat([frame.shift(d, fill_value=0.0) for d in delays], axis=1)
    embedding = DelayEmbedding(delays).fit(frame)
    np.testing.assert_array_equal(embedding.transform(frame), expected.to_numpy())
    names = [f"{name}[t-{d}]" for d in delays for name in "ab"]
    assert embedding.get_feature_names_out().tolist() == names
    framed = embedding.set_output(transform="pandas").transform(frame)
    assert framed.columns.tolist() == names


def test_no_delay_reaches_into_another_sequence(rng):
    parts = [rng.normal(size=(n, 2)) for n in (6, 1, 3)]
    embedding = DelayEmbedding([0, 1, 4]).fit(parts)
    apart = [embedding.transform(part) for part in parts]
    for together, alone in zip(embedding.transform(parts), apart):
        np.testing.assert_array_equal(together, alone)
    rows = np.concatenate(parts)
    for cut in ({"lengths": [6, 1, 3]}, {"groups": list("aaaaaabccc")}):
        np.testing.assert_array_equal(embedding.transform(rows, **cut), np.concatenate(apart))
    cube = rng.normal(size=(3, 5, 2))
    assert embedding.transform(cube).shape == (3, 5, 6)
    np.testing.assert_array_equal(embedding.transform(cube)[1], embedding.transform(cube[1]))
    # The future changes nothing.
    later = rows.copy()
    later[5:] = 9
    np.testing.assert_array_equal(embedding.transform(later)[:5], embedding.transform(rows)[:5])


def test_single_precision_stays_and_files_hold_it(rng, tmp_path):
    u = rng.normal(size=(5, 1)).astype(np.float32)
    embedding = DelayEmbedding([0, 2]).fit(u)
    assert embedding.transform(u).dtype == np.float32
    embedding.save(tmp_path / "delays.npz")
    loaded = DelayEmbedding.load(tmp_path / "delays.npz")
    np.testing.assert_array_equal(loaded.transform(u), embedding.transform(u))


def test_delayed_inputs_reach_further_back_than_the_reservoir(rng):
    """A memoryless reservoir computes a product of inputs that are 30 steps apart."""
    u = rng.uniform(-1, 1, size=(1500, 1))
    y = u[:, 0] * np.roll(u[:, 0], 30)
    settings = {"n_units": 80, "spectral_radius": 0.0, "alpha": 1e-6, "random_state": 0}
    delayed = make_pipeline(DelayEmbedding([0, 30]), ESNRegressor(**settings, washout=30))
    plain = ESNRegressor(**settings, washout=30)
    scores = [
        model.fit([u[:1000]], [y[:1000]]).score([u[1000:]], [y[1000:]])
        for model in (delayed, plain)
    ]
    assert scores[0] > 0.95
    assert scores[1] < 0.1


def test_states_of_several_times(rng):
    u = rng.normal(size=(80, 1))
    states = ReservoirTransformer(10, connectivity=5, random_state=0).fit_transform(u)
    late = np.vstack([np.zeros((7, 10)), states[:-7]])
    expected = Ridge().fit(np.hstack([states, late]), u[:, 0]).predict(np.hstack([states, late]))
    model = make_pipeline(
        ReservoirTransformer(10, connectivity=5, random_state=0), DelayEmbedding([0, 7]), Ridge()
    )
    np.testing.assert_allclose(model.fit(u, u[:, 0]).predict(u), expected, atol=1e-10)


@pytest.mark.parametrize(
    ("delays", "error", "message"),
    [
        ([], ValueError, r"`delays` is \[\], but one delay or more"),
        ([1, 1], ValueError, r"`delays` is \[1, 1\], but one delay or more, no two alike"),
        ([-1], ValueError, "`delays` is -1, but an integer of 0"),
        ([0.5], TypeError, "`delays` is 0.5 of type float"),
        (3, TypeError, "`delays` is 3, but several integers"),
        ("12", TypeError, "`delays` is '12', but several integers"),
    ],
)
def test_delays_are_checked(delays, error, message):
    with pytest.raises(error, match=message):
        DelayEmbedding(delays).fit(np.ones((3, 1)))
