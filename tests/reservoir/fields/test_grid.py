"""Local reservoirs on a grid: frames, edges and several variables, against plain loops."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge

from reservoir import LocalESNRegressor
from reservoir.fields import Patches

ROWS, COLUMNS = 4, 6
SMALL = {
    "n_units": 12,
    "connectivity": 4,
    "patch_size": (2, 3),
    "overlap": 1,
    "grid_shape": (ROWS, COLUMNS),
    "n_channels": 2,
    "include_squares": True,
    "alpha": 1e-2,
    "washout": 5,
    "random_state": 1,
}
CUTS = [
    {},
    {"periodic": False},
    {"periodic": (True, False), "overlap": (1, 2)},
    {"periodic": [False, True], "patch_size": 2, "overlap": [2, 1]},
    {"patch_size": (1, 6), "overlap": (1, 0)},
]


def small(**parameters):
    return LocalESNRegressor(**{**SMALL, **parameters})


def pair(value):
    return tuple(value) if isinstance(value, list | tuple) else (value, value)


@pytest.fixture
def values(rng):
    """Two variables on the grid, (n_steps, n_rows, n_columns, n_channels), and their next step."""
    values = rng.normal(size=(60, ROWS, COLUMNS, 2))
    u, v = values[..., 0], values[..., 1]
    around = np.roll(np.roll(u, 1, axis=1), -1, axis=2) * v + np.roll(v, 1, axis=2)
    return values, np.stack([around, u - v], axis=-1)


def flat(values):
    return values.reshape(len(values), -1)


def neighbourhood(values, row, column, esn):
    """What the patch with this first site sees, looked up one by one."""
    (height, width), (above, beside) = pair(esn.patch_size), pair(esn.overlap)
    wraps_rows, wraps_columns = pair(esn.periodic)
    seen = []
    for r in range(row - above, row + height + above):
        for c in range(column - beside, column + width + beside):
            is_outside = (not wraps_rows and not 0 <= r < ROWS) or (
                not wraps_columns and not 0 <= c < COLUMNS
            )
            for channel in range(values.shape[3]):
                value = values[:, r % ROWS, c % COLUMNS, channel]
                seen.append(np.zeros(len(values)) if is_outside else value)
    return np.stack(seen, axis=1)


def plain_features(esn, values):
    """For each patch its first site and what its readout sees, by the recurrence as written."""
    W, features = esn.reservoir_.recurrent.toarray(), {}
    height, width = pair(esn.patch_size)
    for row in range(0, ROWS, height):
        for column in range(0, COLUMNS, width):
            seen = neighbourhood(values, row, column, esn)
            x, states = np.zeros(len(W)), []
            for v in seen:
                x = np.tanh(W @ x + esn.reservoir_.input @ v + esn.reservoir_.bias)
                states.append(x)
            states = np.array(states)
            features[row, column] = np.hstack([seen, states, states**2])
    return features


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("cut", CUTS)
def test_equals_ridge_on_states_of_a_loop_over_patches(values, cut, shared):
    now, following = values
    esn = small(**cut, shared=shared).fit(flat(now), flat(following))
    features = plain_features(esn, now)
    height, width = pair(esn.patch_size)
    goals = {
        (r, c): following[:, r : r + height, c : c + width].reshape(len(following), -1)
        for r, c in features
    }
    together = Ridge(alpha=1e-2, solver="svd").fit(
        np.concatenate([states[5:] for states in features.values()]),
        np.concatenate([goals[place][5:] for place in features]),
    )
    expected = np.empty_like(following)
    for (r, c), states in features.items():
        ridge = together
        if not shared:
            ridge = Ridge(alpha=1e-2, solver="svd").fit(states[5:], goals[r, c][5:])
        owned = ridge.predict(states).reshape(-1, height, width, 2)
        expected[:, r : r + height, c : c + width] = owned
    np.testing.assert_allclose(esn.predict(flat(now)), flat(expected), atol=1e-8)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("cut", CUTS)
def test_forecast_is_predict_on_its_own_outputs(values, cut, shared):
    now = flat(values[0])
    esn = small(**cut, shared=shared, output_limit=None, alpha=10.0).fit(now[:-1], now[1:])
    context = now[20:40]
    forecast = esn.forecast(6, context)
    again = esn.predict(np.concatenate([context, forecast]))[len(context) - 1 : -1]
    np.testing.assert_allclose(again, forecast, atol=1e-8)
    np.testing.assert_allclose(esn.forecast(6), esn.forecast(6, now), atol=1e-8)
    several = esn.forecast(6, [context, now[:3], now[:1]])
    np.testing.assert_allclose(several[0], forecast, atol=1e-8)
    np.testing.assert_allclose(several[2], esn.forecast(6, now[:1]), atol=1e-8)


def test_corners_of_the_halo_are_seen_and_what_is_beyond_is_not(values):
    now, following = values
    esn = small(patch_size=1, periodic=False).fit(flat(now), flat(following))
    for place in np.ndindex(ROWS, COLUMNS):
        other = now.copy()
        other[(30, *place, 0)] += 1.0
        changed = esn.predict(flat(other)) != esn.predict(flat(now))
        changed = changed.reshape(-1, ROWS, COLUMNS, 2)[30].any(axis=-1)
        near = np.abs(np.indices((ROWS, COLUMNS)) - np.reshape(place, (2, 1, 1))).max(axis=0) <= 1
        np.testing.assert_array_equal(changed, near)


def test_a_shared_model_turns_with_a_field_without_edges(values):
    now, following = values
    esn = small().fit(flat(now), flat(following))
    turned = np.roll(now, (2, 3), axis=(1, 2))
    expected = np.roll(esn.predict(flat(now)).reshape(now.shape), (2, 3), axis=(1, 2))
    np.testing.assert_allclose(esn.predict(flat(turned)), flat(expected), atol=1e-12)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("shape", [(1, 12), (12, 1)])
def test_a_grid_of_one_row_is_a_ring(rng, shape, shared):
    u = rng.normal(size=(50, 12))
    y = np.roll(u, 1, axis=1) * u
    settings = {**SMALL, "n_channels": 1, "shared": shared}
    ring = LocalESNRegressor(**{**settings, "grid_shape": None, "patch_size": 3, "overlap": 2})
    cut = {True: {"patch_size": (1, 3), "overlap": (0, 2)}}.get(
        shape[0] == 1, {"patch_size": (3, 1), "overlap": (2, 0)}
    )
    grid = LocalESNRegressor(**{**settings, "grid_shape": shape, **cut})
    ring.fit(u, y)
    grid.fit(u, y)
    np.testing.assert_array_equal(grid.coef_, ring.coef_)
    np.testing.assert_array_equal(grid.predict(u), ring.predict(u))
    np.testing.assert_array_equal(grid.forecast(3), ring.forecast(3))


@pytest.mark.parametrize("periodic", [True, False])
def test_a_ring_or_row_of_several_variables(rng, periodic):
    now = rng.normal(size=(50, 6, 2))
    patches = Patches(6, 2, 3 if not periodic else 2, periodic=periodic, n_channels=2)
    for patch, seen in enumerate(patches.seen(flat(now))):
        for place, site in enumerate(range(2 * patch - patches.axes[0].overlap, 2 * patch + 2)):
            expected = now[:, site % 6] if periodic or 0 <= site < 6 else np.zeros((50, 2))
            np.testing.assert_array_equal(seen[:, 2 * place : 2 * place + 2], expected)
        padded = np.column_stack([flat(now), np.zeros(50)])
        np.testing.assert_array_equal(padded[:, patches.sites[patch]], seen)
    np.testing.assert_array_equal(patches.joined(patches.owned(flat(now))), flat(now))
    esn = small(
        grid_shape=None, patch_size=2, overlap=1, periodic=periodic, output_limit=None, alpha=10.0
    )
    esn.fit(flat(now)[:-1], flat(now)[1:])
    assert esn.coef_.shape == (4, 8 + 2 * 12)
    forecast = esn.forecast(4, flat(now)[:20])
    again = esn.predict(np.concatenate([flat(now)[:20], forecast]))[19:-1]
    np.testing.assert_allclose(again, forecast, atol=1e-8)


def test_what_is_owned_is_joined_again(rng):
    patches = Patches(24, (2, 3), 1, grid_shape=(4, 6), n_channels=2)
    field = rng.normal(size=(5, 48))
    np.testing.assert_array_equal(patches.joined(patches.owned(field)), field)
    np.testing.assert_array_equal(field[:, patches.order], np.hstack(patches.owned(field)))
    assert (patches.n_patches, patches.width, patches.n_owned) == (4, 40, 12)


@pytest.mark.parametrize("shared", [True, False])
def test_files_pickles_and_clones(values, tmp_path, shared):
    now, following = (flat(part) for part in values)
    esn = small(periodic=(True, False), shared=shared, output_limit=None).fit(now, following)
    esn.save(tmp_path / "model.npz")
    loaded = LocalESNRegressor.load(tmp_path / "model.npz")
    for other in (loaded, pickle.loads(pickle.dumps(esn)), clone(esn).fit(now, following)):
        assert other.get_params() == esn.get_params()
        np.testing.assert_array_equal(other.predict(now), esn.predict(now))
        np.testing.assert_array_equal(other.forecast(3), esn.forecast(3))


def test_what_is_set_after_a_fit_waits_for_the_next(values):
    now, following = (flat(part) for part in values)
    size, periodic = [2, 3], [True, False]
    esn = small(patch_size=size, periodic=periodic).fit(now, following)
    before = esn.predict(now)
    size[:], periodic[:] = [1, 1], [False, False]
    esn.set_params(grid_shape=None, overlap=2, n_channels=1)
    np.testing.assert_array_equal(esn.predict(now), before)


BAD_PARAMETERS = [
    ({"patch_size": (2, 4)}, ValueError, "`patch_size` is 4, but a divisor of the 6 sites from le"),
    ({"patch_size": 3}, ValueError, "`patch_size` is 3, but a divisor of the 4 sites from top"),
    ({"patch_size": (2, 3, 1)}, ValueError, r"`patch_size` is \(2, 3, 1\), but an integer or two"),
    ({"patch_size": (2, 0)}, ValueError, "`patch_size` is 0"),
    ({"overlap": (1, 2)}, ValueError, "would see 7 sites, but `X` has only 6"),
    ({"overlap": (3, 1), "periodic": False}, ValueError, "`overlap` is 3, .* at most 2 others"),
    ({"overlap": (1, 1.5)}, TypeError, "`overlap` is 1.5"),
    ({"grid_shape": (4, 5)}, ValueError, r"`grid_shape` is \(4, 5\), which are 20 sites, but `X`"),
    ({"grid_shape": 24}, TypeError, "`grid_shape` is 24, but None or two integers"),
    ({"grid_shape": (4.0, 6)}, TypeError, r"`grid_shape` is 4\.0"),
    ({"periodic": "no"}, TypeError, "`periodic` is 'no'"),
    ({"periodic": (True, 2)}, TypeError, "`periodic` is 2"),
    ({"n_channels": 5}, ValueError, "`n_channels` is 5, but `X` has 48 columns"),
    ({"n_channels": 0}, ValueError, "`n_channels` is 0"),
    ({"grid_shape": None}, TypeError, r"`patch_size` is \(2, 3\), .* two are for a grid"),
]


@pytest.mark.parametrize(("parameters", "error", "match"), BAD_PARAMETERS)
def test_bad_parameters(values, parameters, error, match):
    with pytest.raises(error, match=match):
        small(**parameters).fit(*(flat(part) for part in values))
