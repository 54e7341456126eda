"""Studies of Optuna around batches of candidates: their scores, and what a study finds."""

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from reservoir import ESNRegressor  # noqa: E402
from reservoir.search import ReservoirSearchCV, _search_cv  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def task(rng):
    """A square of what came in one to three steps ago, which needs a bias and a small scale."""
    X = rng.uniform(-1, 1, size=(500, 1))
    return X, np.convolve(X[:, 0], [0, 0.3, 0.6, 0.9])[:500] ** 2 + 0.05 * rng.normal(size=500)


def propose(trial):
    return {
        "spectral_radius": trial.suggest_float("spectral_radius", 0.1, 1.1),
        "input_scaling": trial.suggest_float("input_scaling", 0.03, 3, log=True),
        "bias_scaling": trial.suggest_float("bias_scaling", 0, 1),
        "alpha": trial.suggest_float("alpha", 1e-6, 1e2, log=True),
    }


def scores(candidates, X, y):
    esn = ESNRegressor(30, washout=30, random_state=0)
    grids = [{name: [value] for name, value in one.items()} for one in candidates]
    search = ReservoirSearchCV(esn, grids, cv=3, gap=10, refit=False).fit(X, y)
    assert search.cv_results_["params"] == candidates
    return search.cv_results_["mean_test_score"]


def run(study, n_batches, size, task):
    for _ in range(n_batches):
        trials = [study.ask() for _ in range(size)]
        for trial, value in zip(trials, scores([propose(trial) for trial in trials], *task)):
            study.tell(trial, value)
    return study


def new_study():
    sampler = optuna.samplers.TPESampler(seed=1, constant_liar=True)
    return optuna.create_study(direction="maximize", sampler=sampler)


def test_a_batch_scores_as_its_trials_one_by_one(task, monkeypatch):
    """In the order in which they were asked for, and in one pass of one reservoir."""
    passes = []
    evaluate = _search_cv.evaluate
    monkeypatch.setattr(_search_cv, "evaluate", lambda *given: passes.append(1) or evaluate(*given))
    study = run(new_study(), 1, 8, task)
    assert len(passes) == 1
    alone = [scores([trial.params], *task)[0] for trial in study.trials]
    assert len(passes) == 9
    np.testing.assert_allclose([trial.value for trial in study.trials], alone, rtol=1e-7)
    assert np.ptp(alone) > 0.1


def test_a_study_finds_more_than_its_first_batch(task):
    study = run(new_study(), 5, 12, task)
    values = [trial.value for trial in study.trials]
    assert max(values) == study.best_value > max(values[:12]) + 0.001
