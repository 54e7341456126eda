"""SequenceScaler: held against the wrapped transformer on stacked rows."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from reservoir import ESNClassifier, ESNRegressor, ReservoirModelSpace
from reservoir.sequences import SequenceScaler


@parametrize_with_checks([SequenceScaler(), SequenceScaler(MinMaxScaler())])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def parts(rng):
    return [10 + 5 * rng.gamma(2, size=(n, 3)) for n in (12, 12, 12)]


def panel(parts):
    index = pd.MultiIndex.from_product([list("abc"), range(12)], names=["instance", "time"])
    return pd.DataFrame(np.concatenate(parts), columns=["u", "v", "w"], index=index)


FORMS = {
    "list": (list, list),
    "array": (np.array, list),
    "rows": (np.concatenate, lambda X: np.split(X, 3)),
    "frames": (lambda parts: [pd.DataFrame(p, columns=list("uvw")) for p in parts], list),
    "polars": (lambda parts: [pl.DataFrame(p, schema=list("uvw")) for p in parts], list),
    "panel": (panel, lambda X: np.split(X.to_numpy(), 3)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("transformer", [None, MinMaxScaler(), PowerTransformer(), PCA(2)])
def test_equals_the_transformer_on_stacked_rows(parts, form, transformer):
    build, take_apart = FORMS[form]
    X, rows = build(parts), np.concatenate(parts)
    plain = clone(transformer) if transformer is not None else StandardScaler()
    expected = plain.fit_transform(rows)
    scaler = SequenceScaler(transformer)
    found = scaler.fit_transform(X)
    np.testing.assert_allclose(np.concatenate(take_apart(found)), expected, rtol=1e-12, atol=1e-12)
    back = scaler.inverse_transform(found)
    np.testing.assert_allclose(
        np.concatenate(take_apart(back)), plain.inverse_transform(expected), rtol=1e-9
    )
    names = list("uvw") if form in ("frames", "polars", "panel") else None
    assert list(scaler.get_feature_names_out()) == list(plain.get_feature_names_out(names))
    if form == "panel":
        assert found.index.equals(X.index)
        assert list(found.columns) == list(scaler.get_feature_names_out())
        assert list(back.columns) == list("uvw")


def test_univariate_series_of_unequal_lengths(rng):
    series = [rng.normal(3, 2, size=n) for n in (20, 30)]
    found = SequenceScaler().fit_transform(series)
    rows = np.concatenate(series)
    np.testing.assert_allclose(found[1][:, 0], (series[1] - rows.mean()) / rows.std(), rtol=1e-12)
    assert SequenceScaler().fit(series).transform(series[:1])[0].shape == (20, 1)


def test_in_pipelines_before_reservoirs(rng):
    y = np.tile([0, 1], 20)
    X = [1e4 + 1e3 * (label + rng.normal(size=(15, 2))) for label in y]
    model = make_pipeline(SequenceScaler(), ESNClassifier(20, random_state=0))
    assert cross_val_score(model, X, y, cv=4).mean() > 0.9
    search = GridSearchCV(model, {"sequencescaler__transformer": [None, PCA(1)]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.9
    space = make_pipeline(
        SequenceScaler(),
        ReservoirModelSpace(20, n_components=3, random_state=0),
        StandardScaler(),
        RidgeClassifier(),
    )
    assert space.fit(X, y).score(X, y) > 0.9
    scaled = SequenceScaler().fit_transform(X)
    esn = make_pipeline(SequenceScaler(), ESNRegressor(20, random_state=0))
    targets = [part[:, 0] for part in X]
    np.testing.assert_array_equal(
        esn.fit(X, targets).predict(X)[3],
        ESNRegressor(20, random_state=0).fit(scaled, targets).predict(scaled)[3],
    )


def test_gaps_pass_where_the_transformer_lets_them(parts):
    parts[1][3, 0] = np.nan
    found = SequenceScaler().fit_transform(parts)
    assert np.isnan(found[1][3, 0])
    assert np.isnan(np.concatenate(found)).sum() == 1


def test_what_it_refuses(parts):
    with pytest.raises(TypeError, match="`transformer` is of type str"):
        SequenceScaler("standard").fit(parts)
    with pytest.raises(TypeError, match="`transformer` is the class StandardScaler"):
        SequenceScaler(StandardScaler).fit(parts)
    with pytest.raises(NotFittedError):
        SequenceScaler().transform(parts)
    with pytest.raises(ValueError, match="2 features, but SequenceScaler is expecting 3"):
        SequenceScaler().fit(parts).transform([part[:, :2] for part in parts])
    frames = FORMS["frames"][0](parts)
    with pytest.raises(ValueError, match="feature names should match"):
        SequenceScaler().fit(frames).transform([frame[["v", "u", "w"]] for frame in frames])

    class Halves(StandardScaler):
        def transform(self, X):
            return super().transform(X)[::2]

    with pytest.raises(ValueError, match=r"gives \(18, 3\) for 36 steps"):
        SequenceScaler(Halves()).fit_transform(parts)
