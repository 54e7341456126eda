"""Do two checkouts compute the same? Fit, predict, forecast, search and train in both, to the bit.

    python -m benchmarks.compare_checkouts BEFORE AFTER [CASE ...] [--times N]

BEFORE and AFTER are folders, for instance two made by `git worktree add`. Each runs the cases below
in a process of its own, on one thread, with its own packages and the cases of this file; every
parameter that has an influence is given, so that another default makes no difference. Printed is,
for each case, how many arrays are the same to the last bit, and of those that are not the largest
difference as a share of the largest value. The exit status is 1 if any is not, or if a case fails
in one of the two.

With `--times N` the cases run N times, in turn in both, and the median of the ratio of their times
is printed too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Results = dict[str, Any]
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "NUMBA", "MKL")}

RESERVOIR: dict[str, Any] = {
    "n_units": 120, "spectral_radius": 0.9, "leak_rate": 0.8, "input_scaling": 0.7,
    "bias_scaling": 0.2, "connectivity": 10, "topology": "random", "distribution": "uniform",
    "activation": "tanh", "dtype": "float64", "random_state": 3,
}  # fmt: skip
RIDGE: dict[str, Any] = {
    "washout": 50, "include_input": True, "include_squares": False, "alpha": 1e-6,
    "fit_intercept": True, "solver": "auto",
}  # fmt: skip
ESN = RESERVOIR | RIDGE | {
    "feedback_scaling": 0.0, "noise": 0.0, "feedback_noise": 0.0, "alpha_cv": None,
    "alpha_per_target": False, "missing": "raise", "n_jobs": None,
}  # fmt: skip
RNN: dict[str, Any] = {
    "n_units": 12, "n_layers": 1, "gain": "auto", "activation": "tanh",
    "learned_initial_state": True, "initialization": "sparse", "gradient_batch_size": 20,
    "curvature_batch_size": 8, "max_iter": 6, "tol": 1e-4, "n_iter_no_change": 50, "l2": 1e-4,
    "validation_fraction": 0.0, "warm_start": False, "dtype": "float64", "random_state": 4,
}  # fmt: skip
CELLS = ("vanilla", "multiplicative", "tensor", "lstm", "gru", "mut1", "mut2", "mut3")


def series(n_steps: int, n_channels: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and two targets that depend on their past."""
    inputs = np.random.default_rng(0).uniform(-1, 1, size=(n_steps, n_channels))
    past = np.roll(inputs, 3, axis=0)
    past[:3] = 0
    return inputs, np.column_stack([past[:, 0] * inputs[:, 1], past.sum(axis=1)])


def sequences() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 40 sequences, a target at every step, and a label of each."""
    X = np.random.default_rng(1).uniform(-1, 1, size=(40, 15, 2))
    return X, X.cumsum(axis=1)[..., :1] / 4, (X.sum(axis=(1, 2)) > 0).astype(int)


# ------------------------------------------------------------------------------- reservoirs


def datasets() -> Results:
    """Return the benchmark series."""
    from reservoir import datasets

    found = {
        "mackey_glass": datasets.mackey_glass(500, tau=17, random_state=1),
        "lorenz": datasets.lorenz(300, random_state=1),
        "lorenz96": datasets.lorenz96(200, random_state=1),
        "henon": datasets.henon(300, random_state=1),
        "kuramoto_sivashinsky": datasets.kuramoto_sivashinsky(60, random_state=1),
        "narma": datasets.narma(300, order=10, random_state=1)[1],
        "sines": datasets.multiple_superimposed_oscillators(300),
    }
    return {name: np.asarray(value) for name, value in found.items()}


def weights() -> Results:
    """Return matrices of each topology, of a given spectral radius."""
    from reservoir.weights import bias_weights, input_weights, recurrent_weights

    topologies = ("random", "small_world", "cycle", "delay_line", "permutation", "orthogonal")
    results: Results = {}
    for name in topologies:
        matrix = recurrent_weights(
            200, topology=name, spectral_radius=None if name == "delay_line" else 0.8,
            connectivity=6, distribution="normal", random_state=5,
        )  # fmt: skip
        results[name] = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    results["input"] = input_weights(200, 3, scaling=0.5, distribution="uniform", random_state=6)
    results["bias"] = bias_weights(200, scaling=0.5, distribution="uniform", random_state=7)
    return results


def fit_and_predict() -> Results:
    """Return readouts and predictions of one series, for the choices that a readout has."""
    from reservoir import ESNRegressor

    X, y = series(1500)
    choices: dict[str, dict[str, Any]] = {
        "plain": {},
        "float32": {"dtype": "float32", "alpha": 1e-3},
        "qr": {"solver": "qr"},
        "gram": {"solver": "gram", "alpha": 1e-4},
        "tiny alpha": {"alpha": 1e-14},
        "squares": {"include_squares": True, "include_input": False},
        "folds": {"alpha": np.logspace(-6, 0, 5), "alpha_cv": 4, "alpha_per_target": True},
        "dense": {"n_units": 30, "connectivity": 30},
        "relu": {"activation": "relu", "spectral_radius": 0.4},
        "noise": {"noise": 1e-3, "leak_rate": np.linspace(0.2, 1, 120)},
    }
    results: Results = {}
    for name, changed in choices.items():
        esn = ESNRegressor(**(ESN | changed)).fit(X[:1000], y[:1000])
        results[f"{name}: coef"] = esn.coef_
        results[f"{name}: predicted"] = esn.predict(X[1000:])
        results[f"{name}: from last"] = esn.predict(X[1000:], initial_state="last")
    parts = ESNRegressor(**ESN).partial_fit(X[:700], y[:700]).partial_fit(X[700:], y[700:])
    results["in parts: coef"] = parts.coef_
    return results


def many_sequences() -> Results:
    """Return predictions for sequences of various lengths."""
    from reservoir import ESNRegressor

    rng = np.random.default_rng(2)
    X = [rng.uniform(-1, 1, size=(n, 2)) for n in (60, 150, 90, 300, 75)]
    y = [np.roll(x[:, 0], 2) for x in X]
    esn = ESNRegressor(**ESN | {"washout": 20}).fit(X, y)
    predicted = esn.predict(X)
    return {"coef": esn.coef_} | {str(i): value for i, value in enumerate(predicted)}


def forecasts() -> Results:
    """Return forecasts in closed loop, with and without feedback."""
    from reservoir import ESNRegressor
    from reservoir.datasets import mackey_glass

    values = mackey_glass(1500, tau=17, random_state=2)
    esn = ESNRegressor(**ESN).fit(values[:1199], values[1:1200])
    taught = ESNRegressor(**ESN | {"feedback_scaling": 0.5, "alpha": 1e-4}).fit(
        values[:1199], values[1:1200]
    )
    return {
        "forecast": esn.forecast(100),
        "from a context": esn.forecast(50, values[1200:1300]),
        "feedback": taught.predict(values[1200:1300], initial_state="last"),
    }


def other_estimators() -> Results:
    """Return what layers, local reservoirs, NVAR, online learning and conceptors answer."""
    from reservoir import (
        ConceptorMemory,
        LayeredESNRegressor,
        LocalESNRegressor,
        NVARRegressor,
        OnlineESNRegressor,
        ReservoirTransformer,
    )

    X, y = series(900)
    ring = np.random.default_rng(3).uniform(-1, 1, size=(500, 8))
    layered_choices = ESN | {"n_units": 50, "n_layers": 3, "arrangement": "deep"}
    layered = LayeredESNRegressor(**layered_choices).fit(X, y)
    grouped = LayeredESNRegressor(**layered_choices | {"arrangement": "grouped"}).fit(X, y)
    local = LocalESNRegressor(
        **RESERVOIR, **RIDGE, patch_size=2, overlap=1, shared=True, n_jobs=None
    ).fit(ring[:-1], ring[1:])
    nvar = NVARRegressor(
        n_delays=2, stride=1, order=2, predict_increment=False, alpha=1e-3, solver="auto",
        fit_intercept=True, dtype="float64",
    ).fit(ring[:-1, :3], ring[1:, :3])  # fmt: skip
    online = OnlineESNRegressor(
        **RESERVOIR, washout=50, include_input=True, include_squares=False, feedback_scaling=0.0,
        teacher_forcing=True, noise=0.0, feedback_noise=0.0, learner="rls", alpha=1e-4,
        forgetting=0.999, fit_intercept=True,
    ).fit(X, y)  # fmt: skip
    transformer = ReservoirTransformer(**RESERVOIR, missing="raise").fit(X)
    conceptors = ConceptorMemory(
        60, spectral_radius=1.5, input_scaling=1.5, bias_scaling=0.2, connectivity=10,
        topology="random", distribution="normal", activation="tanh", aperture=10.0, washout=50,
        alpha=1e-4, readout_alpha=0.01, dtype="float64", random_state=3,
    ).fit([np.sin(np.arange(300.0))[:, None], np.cos(np.arange(300.0) / 2)[:, None]])  # fmt: skip
    return {
        "layered": layered.predict(X),
        "grouped": grouped.predict(X),
        "local": local.predict(ring),
        "local forecast": local.forecast(20),
        "nvar": nvar.predict(ring[:, :3]),
        "online": online.predict(X),
        "states": transformer.transform(X),
        "recalled": conceptors.recall(1, 40),
    }


def classifiers() -> Results:
    """Return scores of classes, and models of sequences as features."""
    from reservoir import ESNClassifier, ReservoirModelSpace

    X, _, labels = sequences()
    common = {
        "class_weight": None, "cv": 4, "washout": 0, "include_input": True,
        "include_squares": False, "solver": "auto", "missing": "raise", "label_per": "sequence",
    }  # fmt: skip
    ridge = ESNClassifier(
        **RESERVOIR, **common, bidirectional=False, pooling="mean", readout="ridge",
        alpha=(1e-4, 1e-2, 1.0),
    ).fit(X, labels)  # fmt: skip
    logistic = ESNClassifier(
        **RESERVOIR, **common, bidirectional=True, pooling="last", readout="logistic", alpha=1.0
    ).fit(X, labels)
    space = ReservoirModelSpace(
        **RESERVOIR, bidirectional=False, n_components=5, target="state", alpha=1.0, pooling=None,
        washout=0, missing="raise",
    ).fit(X)  # fmt: skip
    return {
        "ridge": ridge.decision_function(X),
        "ridge probabilities": ridge.predict_proba(X),
        "logistic": logistic.decision_function(X),
        "model space": space.transform(X),
    }


def searches() -> Results:
    """Return scores of candidates, one step ahead and in free runs, and with halving."""
    from reservoir import ESNRegressor
    from reservoir.datasets import mackey_glass
    from reservoir.search import ReservoirSearchCV

    space = {
        "leak_rate": [0.4, 0.9],
        "spectral_radius": [0.6, 0.95],
        "alpha": [1e-6, 1e-3],
        "input_scaling": [0.5, 1.0],
    }
    X, y = series(900)
    settings: dict[str, Any] = {"factor": 3, "threshold": 0.4, "gap": 0, "random_state": 0}
    values = mackey_glass(900, tau=17, random_state=2)
    base = ESNRegressor(**ESN | {"n_units": 60})
    found = {
        "steps": ReservoirSearchCV(
            base, space, scoring="r2", cv=3, refit=True, n_starts=1, horizon=100, **settings
        ).fit(X, y),
        "halving": ReservoirSearchCV(
            base, space, scoring="r2", cv=3, halving="n_steps", refit=True, n_starts=1,
            horizon=100, **settings,
        ).fit(X, y),
        "free runs": ReservoirSearchCV(
            base, space, scoring="neg_forecast_nrmse", cv=3, horizon=40, n_starts=1, refit=True,
            **settings,
        ).fit(values[:-1], values[1:]),
    }  # fmt: skip
    return {
        f"{name}: {kind}": value
        for name, search in found.items()
        for kind, value in (
            ("scores", np.asarray(search.cv_results_["mean_test_score"], dtype=float)),
            ("coef", search.best_estimator_.coef_),
        )
    }


# ------------------------------------------------------------------------------- recurrent nets


def optimizers() -> dict[str, Any]:
    """Return one of each kind."""
    from hessianfree import SGD, Adagrad, Adam, HessianFree, LevenbergMarquardt, Momentum, RMSprop

    return {
        "hessian-free": HessianFree(
            damping=LevenbergMarquardt(initial=0.1), structural_damping=0.1,
            max_cg_iterations=20, warm_start=0.95,
        ),
        "sgd": SGD(0.1),
        "momentum": Momentum(0.05, momentum=0.9, nesterov=True),
        "adagrad": Adagrad(0.05),
        "rmsprop": RMSprop(0.01),
        "adam": Adam(0.01),
    }  # fmt: skip


def recurrent_estimators() -> Results:
    """Return losses and predictions after training each cell, and one cell by each optimizer."""
    from hessianfree import RNNClassifier, RNNRegressor

    X, y, labels = sequences()
    kinds = optimizers()
    runs = [(cell, "hessian-free") for cell in CELLS] + [("vanilla", name) for name in kinds]
    results: Results = {}
    for cell, name in runs:
        rnn = RNNRegressor(cell=cell, n_factors=None, optimizer=kinds[name], **RNN).fit(X, y)
        results[f"{cell}, {name}: losses"] = rnn.loss_curve_
        results[f"{cell}, {name}: predicted"] = rnn.predict(X)
    single = RNNRegressor(cell="vanilla", optimizer=kinds["hessian-free"],
                          **RNN | {"dtype": "float32", "n_layers": 2}).fit(X, y)  # fmt: skip
    results["float32, two layers: predicted"] = single.predict(X)
    classes = RNNClassifier(cell="gru", optimizer=kinds["hessian-free"], **RNN).fit(X, labels)
    results["classes: probabilities"] = classes.predict_proba(X)
    return results


def products() -> Results:
    """Return gradients, Gauss-Newton products and damped ones of each cell."""
    import hessianfree as hf

    X, y, _ = sequences()
    batch = hf.Batch(X.transpose(1, 0, 2), y.transpose(1, 0, 2))
    rng = np.random.default_rng(9)
    results: Results = {}
    for name in ("Elman", "Multiplicative", "Tensor", "LSTM", "GRU", "MUT1", "MUT2", "MUT3"):
        network = hf.SequenceNetwork(getattr(hf, f"{name}Cell")(2, 9), n_outputs=1, l2=1e-3)
        params = rng.uniform(-0.5, 0.5, network.n_params)
        at = network.linearize(params, batch)
        results[f"{name}: value"] = np.array(at.value)
        results[f"{name}: gradient"] = at.gradient()
        results[f"{name}: product"] = at.gauss_newton_product(params)
        results[f"{name}: damped"] = at.gauss_newton_product(params, 0.5)
    return results


def training_loops() -> Results:
    """Return parameters after runs of `train`, in minibatches, in chunks and by SciPy."""
    import hessianfree as hf

    X, y, _ = sequences()
    batch = hf.Batch(X.transpose(1, 0, 2), y.transpose(1, 0, 2))
    network = hf.SequenceNetwork(hf.ElmanCell(2, 8), n_outputs=1)
    params = np.random.default_rng(6).uniform(-0.5, 0.5, network.n_params)
    results: Results = {}
    for name, optimizer in optimizers().items():
        data = hf.Minibatches(batch, 20, 8)
        state = hf.start(optimizer, params, random_state=8)
        results[name] = hf.train(network, optimizer, data, state, n_iterations=8).params
    truncated = hf.TruncatedBackpropagation(hf.Adam(0.01))
    state = hf.start(truncated, params, random_state=8)
    chunks = hf.Chunks(batch, chunk_length=5)
    results["truncated"] = hf.train(network, truncated, chunks, state, n_iterations=9).params
    for method in ("L-BFGS-B", "trust-ncg"):
        results[method] = hf.train_scipy(
            network, params, batch, method=method, n_iterations=8
        ).params
    return results


def characters() -> Results:
    """Return what a model of characters makes of a text."""
    from hessianfree import CharacterLanguageModel

    text = "the cat sat on the mat, and the rat sat on the cat. " * 6
    model = CharacterLanguageModel(
        12, cell="multiplicative", n_factors=12, initialization="sparse", input_scale=0.5,
        optimizer=optimizers()["hessian-free"], sequence_length=20, n_scored=15,
        gradient_batch_size=20, curvature_batch_size=8, batch_growth=1.0, max_iter=4,
        averaging=True, l2=0.0, min_count=1, end_of_text=False, dtype="float32", random_state=2,
    ).fit(text)  # fmt: skip
    return {
        "bits": model.character_bits(text[:80]),
        "sample": np.array(model.sample(40, prime="the ", temperature=0.7, seed=3)),
    }


CASES: dict[str, Callable[[], Results]] = {
    case.__name__: case
    for case in (
        datasets, weights, fit_and_predict, many_sequences, forecasts, other_estimators,
        classifiers, searches, products, recurrent_estimators, training_loops, characters,
    )
}  # fmt: skip


# ------------------------------------------------------------------------------- comparing


def work(names: list[str], file: Path) -> None:
    """Run cases with the packages at hand and write their results."""
    import hessianfree
    import reservoir

    for package in (reservoir, hessianfree):
        if not Path(package.__file__).is_relative_to(Path.cwd()):
            raise SystemExit(f"{package.__name__} was imported from {package.__file__}")
    arrays: Results = {}
    for name in names:
        began = time.perf_counter()
        try:
            results = CASES[name]()
        except Exception as error:  # whatever it is, it is reported
            arrays[f"{name}/error"] = np.array(f"{type(error).__name__}: {error}")
        else:
            arrays |= {f"{name}/{key}": np.asarray(value) for key, value in results.items()}
        arrays[f"{name}/seconds"] = np.array(time.perf_counter() - began)
    np.savez(file, **arrays)


def results_of(checkout: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Return what a checkout computes, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.npz"
        subprocess.run(
            # -P: the folder of this file holds modules of its own names.
            [sys.executable, "-P", "-W", "ignore", __file__, "--worker", str(file), *names],
            cwd=checkout,
            env=os.environ | THREADS | {"PYTHONPATH": str(checkout)},
            check=True,
        )
        with np.load(file) as stored:
            return {name: stored[name] for name in stored.files}


def differences(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> Iterator[str]:
    """Yield what is not the same, a line each."""
    for key in before.keys() | after.keys():
        if key not in before or key not in after:
            yield f"{key}: only {'after' if key in after else 'before'}"
            continue
        old, new = before[key], after[key]
        if old.dtype != new.dtype or old.shape != new.shape:
            yield f"{key}: {old.dtype} {old.shape} became {new.dtype} {new.shape}"
        elif old.tobytes() != new.tobytes():
            if old.dtype.kind == "f":
                share = np.nanmax(np.abs(old - new)) / np.nanmax(np.abs(old))
                yield f"{key}: differs by {share:.1e} of the largest value"
            else:
                yield f"{key}: {old} became {new}"


def report(name: str, before: Results, after: Results, ratios: list[float]) -> bool:
    """Print what became of a case; return whether all of it is the same."""
    one, two = (
        {
            key: value
            for key, value in results.items()
            if key.partition("/")[0] == name and not key.endswith("/seconds")
        }
        for results in (before, after)
    )
    changed = sorted(differences(one, two))
    failed = [f"{key}: fails in both: {one[key]}" for key in one if key.endswith("/error")]
    speed = f", {statistics.median(ratios):.2f} times the time" if len(ratios) > 1 else ""
    print(f"{name}: {len(one) - len(changed)} of {len(one)} arrays the same{speed}")
    for line in changed or failed:
        print(f"  {line}")
    return not (changed or failed)


def main(arguments: list[str] | None = None) -> int:
    """Compare, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--times", type=int, default=1, help="how often, in turn (default 1)")
    chosen = parser.parse_intermixed_args(arguments)
    names = chosen.cases or list(CASES)
    unknown = set(names) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(chosen.times):
        before, after = (
            results_of(path.resolve(), names) for path in (chosen.before, chosen.after)
        )
        for name in names:
            ratios[name].append(float(after[f"{name}/seconds"]) / float(before[f"{name}/seconds"]))
    same = [report(name, before, after, ratios[name]) for name in names]
    return 0 if all(same) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[3:], Path(sys.argv[2]))
    else:
        sys.exit(main())
