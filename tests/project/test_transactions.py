"""A fit that raises or is interrupted, at any moment, leaves the estimator as it was."""

from __future__ import annotations

import copy
import random
import sys
import warnings

import numpy as np
import pytest
from scipy import sparse

from hessianfree import Adam, CharacterLanguageModel, LanguageModel, RNNClassifier, RNNRegressor
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
from reservoir.readout import GramAccumulator
from reservoir.search import ReservoirSearchCV
from reservoir.sequences import SequenceScaler
from reservoir.utils.transactions import transaction

RNG = np.random.default_rng(0)
X, X2 = RNG.uniform(-1, 1, size=(2, 90, 2))
Y, Y2 = X[:, :1] ** 2, np.roll(X2, 1, axis=0)[:, :1]
RING, RING2 = RNG.uniform(-1, 1, size=(2, 60, 6))
SEQUENCES, SEQUENCES2 = RNG.uniform(-1, 1, size=(2, 12, 10, 2))
LABELS, LABELS2 = np.array(["falls", "rises", "stays"] * 4), np.array(["a", "b"] * 6)
PERIODIC = np.tile([1.0, 3.0, 2.0, 5.0], 15) + RNG.normal(0, 0.2, 60)
SMALL = {"n_units": 10, "connectivity": 3, "random_state": 7, "washout": 5}
NET = {"max_iter": 2, "random_state": 0, "optimizer": Adam(0.01)}
CHARACTERS = {"sequence_length": 12, "n_scored": 8, "gradient_batch_size": 6, **NET}


def infinity_in(y):
    bad = np.array(y, copy=True)
    bad[-1] = np.inf
    return bad


def broken_stream():
    yield X2[:40], Y2[:40]
    raise OSError("the disk is gone")


# Name: an estimator that has learned, the call that is broken off, and the same with bad data.
CASES = {
    "esn.fit": (
        lambda: ESNRegressor(**SMALL).fit(X, Y),
        lambda e: e.set_params(n_units=12).fit(X2, Y2),
        lambda e: e.fit(X2, infinity_in(Y2)),
    ),
    "esn.fit generator": (
        lambda: ESNRegressor(**{**SMALL, "random_state": np.random.default_rng(1)}).fit(X, Y),
        lambda e: e.fit(X2, Y2),
        lambda e: e.set_params(washout=100).fit(X2, Y2),
    ),
    "esn.fit_stream": (
        lambda: ESNRegressor(**SMALL).fit(X, Y),
        lambda e: e.fit_stream([(X2[:40], Y2[:40]), (X2[40:], Y2[40:])]),
        lambda e: e.fit_stream(broken_stream()),
    ),
    "esn.partial_fit": (
        lambda: ESNRegressor(**SMALL, noise=1e-3).partial_fit(X, Y),
        lambda e: e.partial_fit(X2, Y2),
        lambda e: e.partial_fit(X2, infinity_in(Y2)),
    ),
    "esn.partial_fit qr": (
        lambda: ESNRegressor(**SMALL, solver="qr").partial_fit(X, Y),
        lambda e: e.partial_fit(X2, Y2, initial_state="last"),
        lambda e: e.partial_fit(X2[:3], Y2[:3]),
    ),
    "esn.partial_fit first": (
        lambda: ESNRegressor(**SMALL),
        lambda e: e.partial_fit(X2, Y2),
        lambda e: e.partial_fit(X2, infinity_in(Y2)),
    ),
    "layered.fit": (
        lambda: LayeredESNRegressor(**SMALL, n_layers=2).fit(X, Y),
        lambda e: e.fit(X2, Y2),
        lambda e: e.fit(X2, infinity_in(Y2)),
    ),
    "local.fit": (
        lambda: LocalESNRegressor(**SMALL, patch_size=2, overlap=1).fit(RING[:-1], RING[1:]),
        lambda e: e.fit(RING2[:-1], RING2[1:]),
        lambda e: e.set_params(patch_size=4).fit(RING2[:-1], RING2[1:]),
    ),
    "nvar.fit": (
        lambda: NVARRegressor().fit(X[:-1], X[1:]),
        lambda e: e.set_params(n_delays=3).fit(X2[:-1], X2[1:]),
        lambda e: e.fit(X2[:-1], infinity_in(X2[1:])),
    ),
    "nvar.partial_fit": (
        lambda: NVARRegressor().partial_fit(X[:-1], X[1:]),
        lambda e: e.partial_fit(X2[:-1], X2[1:]),
        lambda e: e.partial_fit(X2[:-1], X2[1:, :1]),
    ),
    "online.fit": (
        lambda: OnlineESNRegressor(**SMALL).fit(X, Y),
        lambda e: e.fit(X2, Y2),
        lambda e: e.fit(X2, infinity_in(Y2)),
    ),
    "online.partial_fit": (
        lambda: OnlineESNRegressor(**SMALL, forgetting=0.98).partial_fit(X, Y),
        lambda e: e.partial_fit(X2, Y2, initial_state="last"),
        lambda e: e.partial_fit(X2, np.where(np.arange(90)[:, None] < 80, Y2, 1e308)),
    ),
    "online.partial_fit nlms": (
        lambda: OnlineESNRegressor(**SMALL, learner="nlms").partial_fit(X, Y),
        lambda e: e.partial_fit(X2, Y2),
        lambda e: e.partial_fit(X2[:, :1], Y2),
    ),
    "classifier.fit": (
        lambda: ESNClassifier(**{**SMALL, "washout": 1}).fit(SEQUENCES, LABELS),
        lambda e: e.fit(SEQUENCES2, LABELS2),
        lambda e: e.fit(SEQUENCES2, LABELS2[:-1]),
    ),
    "model_space.fit": (
        lambda: ReservoirModelSpace(**{**SMALL, "washout": 1}, n_components=4).fit(SEQUENCES),
        lambda e: e.fit(SEQUENCES2),
        lambda e: e.set_params(washout=50).fit(SEQUENCES2),
    ),
    "transformer.fit": (
        lambda: ReservoirTransformer(10, random_state=7).fit(X),
        lambda e: e.fit(RING),
        lambda e: e.set_params(connectivity=-1).fit(RING),
    ),
    "delays.fit": (
        lambda: DelayEmbedding((0, 2)).fit(X),
        lambda e: e.fit(RING),
        lambda e: e.set_params(delays=(-1,)).fit(RING),
    ),
    "scaler.fit": (
        lambda: SequenceScaler().fit(X),
        lambda e: e.fit(RING),
        lambda e: e.fit(infinity_in(RING)[:, :, None, None]),
    ),
    "conceptors.fit": (
        lambda: ConceptorMemory(12, washout=5, random_state=7).fit([RING[:, :1], RING[:, 1:2]]),
        lambda e: e.fit([RING2[:, :1]]),
        lambda e: e.fit([RING2[:, :1], RING2[:, :2]]),
    ),
    "search.fit": (
        lambda: ReservoirSearchCV(ESNRegressor(**SMALL), {"leak_rate": [0.5]}, cv=2).fit(X, Y),
        lambda e: e.fit(X2, Y2),
        lambda e: e.fit(X2, infinity_in(Y2)),
    ),
    "forecaster.fit": (
        lambda: ReservoirForecaster(n_units=10, seasons=(4,), horizon=3).fit(PERIODIC),
        lambda e: e.fit(PERIODIC[::-1]),
        lambda e: e.set_params(n_units=-1).fit(PERIODIC[::-1]),
    ),
    "forecaster.update": (
        lambda: ReservoirForecaster(n_units=10, seasons=(4,), horizon=3).fit(PERIODIC),
        lambda e: e.update(PERIODIC[:8], learn=True),
        lambda e: e.update(PERIODIC[:8].reshape(4, 2)),
    ),
    "rnn.fit": (
        lambda: RNNRegressor(4, **NET).fit(SEQUENCES, SEQUENCES[..., :1]),
        lambda e: e.fit(SEQUENCES2, SEQUENCES2[..., :1]),
        lambda e: e.fit(SEQUENCES2, infinity_in(SEQUENCES2[..., :1])),
    ),
    "rnn classifier.fit": (
        lambda: RNNClassifier(4, **NET).fit(SEQUENCES, LABELS),
        lambda e: e.set_params(n_units=5).fit(SEQUENCES2, LABELS2),
        lambda e: e.fit(SEQUENCES2, LABELS2[:-1]),
    ),
    "language.fit": (
        lambda: CharacterLanguageModel(5, **CHARACTERS).fit("a cat sat on a mat. " * 8),
        lambda e: e.fit("which rat ate my hat? " * 8),
        lambda e: e.fit("x"),
    ),
    "language.fit words": (
        lambda: LanguageModel(
            5, tokens="words", validation_fraction=0.2, warm_start=True, **CHARACTERS
        ).fit("a cat sat\non a mat\n" * 8),
        lambda e: e.set_params(warm_start=False).fit("which rat\nate my hat\n" * 8),
        lambda e: e.set_params(tokens="characters").fit("a cat sat\n" * 8),
    ),
}


def frozen(value):
    """Return what can be compared bit for bit, of anything an estimator holds."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if sparse.issparse(value):
        return tuple(frozen(part) for part in (value.data, value.indices, value.indptr))
    if isinstance(value, np.random.Generator):
        return frozen(value.bit_generator.state)
    if isinstance(value, dict):
        return tuple((key, frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    if hasattr(value, "__dict__") and not isinstance(value, type) and not callable(value):
        return type(value).__name__, frozen(vars(value))
    return value if isinstance(value, int | float | str | None) else repr(value)


class InterruptAt:
    """Raises KeyboardInterrupt at the nth line or call of our own code."""

    def __init__(self, n):
        self.n, self.count = n, 0

    def __call__(self, frame, event, arg):
        path = frame.f_code.co_filename
        ours = "/reservoir/" in path or "/hessianfree/" in path
        if not ours or path.endswith("transactions.py"):
            return None
        self.count += 1
        if self.count == self.n:
            sys.settrace(None)
            raise KeyboardInterrupt
        return self

    def run(self, function):
        sys.settrace(self)
        try:
            function()
        finally:
            sys.settrace(None)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", CASES)
def test_a_fit_that_raises_changes_nothing(name):
    make, _, bad = CASES[name]
    estimator = make()
    params = estimator.get_params(deep=False)
    before = frozen({k: v for k, v in vars(estimator).items() if k not in params})
    with pytest.raises((ValueError, TypeError, OSError, FloatingPointError)):
        bad(estimator)
    after = frozen({k: v for k, v in vars(estimator).items() if k not in params})
    assert after == before


@pytest.mark.parametrize("name", CASES)
def test_a_fit_interrupted_at_any_moment_changes_nothing(name):
    make, call, _ = CASES[name]
    estimator = make()
    count = InterruptAt(0)
    call(make())  # what is compiled or imported at the first call
    count.run(lambda: call(copy.deepcopy(estimator)))
    rng = random.Random(name)
    n_kept = 0
    moments = [count.count - 1, *(rng.randrange(1, count.count) for _ in range(14))]
    for moment in moments:
        victim = copy.deepcopy(estimator)
        before = None
        try:
            params = victim.get_params(deep=False)
            before = frozen({k: v for k, v in vars(victim).items() if k not in params})
            InterruptAt(moment).run(lambda victim=victim: call(victim))
        except KeyboardInterrupt:
            after = frozen({k: v for k, v in vars(victim).items() if k not in params})
            assert after == before, moment
            n_kept += 1
    # Nets end early, and well, where they are interrupted in training.
    assert n_kept >= (1 if "rnn" in name or "language" in name else 12)


@pytest.mark.parametrize("solver", ["gram", "qr", "auto"])
def test_a_repeated_partial_fit_counts_rows_once(solver):
    parameters = {**SMALL, "solver": solver}
    once = ESNRegressor(**parameters).partial_fit(X, Y).partial_fit(X2, Y2)
    twice = ESNRegressor(**parameters).partial_fit(X, Y)
    for moment in (1_500, 3_000, 10**9):
        try:
            InterruptAt(moment).run(lambda: twice.partial_fit(X2, Y2))
        except KeyboardInterrupt:
            continue
        break
    np.testing.assert_array_equal(twice.coef_, once.coef_)
    assert twice.n_sequences_seen_ == 2


def test_a_transaction_inside_another_copies_nothing_again(monkeypatch):
    copies = []
    real = GramAccumulator.copy
    monkeypatch.setattr(GramAccumulator, "copy", lambda self: copies.append(1) or real(self))

    class Twice(ESNRegressor):
        @transaction("_accumulator")
        def partial_fit(self, X, y):
            super().partial_fit(X, y)
            return super().partial_fit(X, y)

    model = Twice(**SMALL).fit(X, Y)
    copies.clear()
    model.partial_fit(X2, Y2)
    assert len(copies) == 1
