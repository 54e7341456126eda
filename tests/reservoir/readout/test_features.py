"""The map from what a readout sees to its outputs."""

import numpy as np
import pytest

from reservoir.readout import FeatureMap, Readout


def test_a_readout_of_plain_features_needs_no_inputs(rng):
    features, coef, intercept = rng.normal(size=(5, 4)), rng.normal(size=(2, 4)), rng.normal(size=2)
    np.testing.assert_allclose(Readout(coef, intercept)(features), features @ coef.T + intercept)
    with pytest.raises(ValueError, match="`inputs` are missing"):
        Readout(coef, intercept, input=np.ones((2, 1)))(features)


@pytest.mark.parametrize("include_input", [False, True])
@pytest.mark.parametrize("include_squares", [False, True])
def test_parts_of_coefficients_give_what_all_columns_do(rng, include_input, include_squares):
    feature_map = FeatureMap(include_input, include_squares)
    states, inputs = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    parts = [inputs] * include_input + [states] + [states**2] * include_squares
    columns = np.hstack(parts)
    coef, intercept = rng.normal(size=(2, columns.shape[1])), rng.normal(size=2)
    readout = feature_map.split(coef, intercept, 3)
    np.testing.assert_allclose(feature_map.stack(states, inputs), columns)
    np.testing.assert_allclose(readout(states, inputs), columns @ coef.T + intercept)
