"""How much of the past does each kind of model remember?

The yardsticks of recurrent nets over the size of their memory: autoregression on delay taps, a
feed-forward net on the same taps, a linear dynamical system (statsmodels) and a hidden Markov model
(hmmlearn), beside a reservoir and a net trained by Hessian-free optimization. All learn from the
same data, choose settings on its last quarter, and are tested once. A series: Mackey-Glass with
noise of a tenth of its standard deviation, 10 steps ahead. Sequences: one of 16 symbols, 8 symbols
of noise, and the first once more; what is remembered is what forecasts spare of the 4 bits, 4 +
mean log2 P(symbol). Of a hidden Markov model of N states that is log2 N at most: P(s) is a mean
over N states of P(s | state), so that over all s it adds up to N at most, and its mean logarithm,
with the 16 alike, is at most log2(N / 16). One written down by hand attains it; those that are
trained, from two starts, hold nothing up to 16 states, presumably since states that tell a symbol
from noise gain more likelihood. Taps remember nothing beyond the last of them. States of nets are
numbers: of four starts, of which the one is kept that does best on the last quarter, one unit holds
1.3 bits, two 3.3, and four or more 4.0. Single starts fail often, and which ones is a matter of
rounding, thus of the processor. On the series the reservoir comes close to the noise (error 0.11;
net on taps 0.11, trained net 0.14), where what is linear does not (0.49). Where a package is
missing, its model is left out. A minute and a half.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from tqdm import tqdm

from demos._common import TRUTH, Figure, run_demo
from demos._hidden_markov import (
    chances_of_next,
    expected_states,
    remembering_model,
    trained_model,
)
from hessianfree import RNNClassifier, RNNRegressor
from reservoir import ESNRegressor, ReservoirTransformer
from reservoir.datasets import mackey_glass
from reservoir.estimators import embed_delays
from reservoir.metrics import nrmse

TAPS, NET, LINEAR, MARKOV = "linear, on taps", "feed-forward net, on taps", "linear system", "HMM"
BY_HAND, RESERVOIR, TRAINED = "HMM by hand", "reservoir", "trained net"
COLORS = {
    TAPS: "tab:blue", NET: "tab:cyan", LINEAR: "tab:olive", MARKOV: "tab:purple",
    BY_HAND: "black", RESERVOIR: "tab:red", TRAINED: "tab:green",
}  # fmt: skip
# Of curves that lie under others.
WIDTHS = {TAPS: 7, LINEAR: 3.5}
PACKAGES = {LINEAR: "statsmodels", MARKOV: "hmmlearn"}

# The series: steps to learn from and to test on, noise in standard deviations, steps ahead.
N_TRAINING, N_TEST, NOISE, AHEAD = 2000, 1000, 0.1, 10
# A piece of the series that the trained net reads, and the steps of it that it only warms up on.
PIECE, WARM_UP = 100, 30
# The sequences: one of 16 symbols, noise of two further kinds, and the symbol once more.
N_CLASSES, N_SYMBOLS, GAP, N_SEQUENCES = 16, 18, 8, 240


def test_error(task: Any, method: str, size: int) -> float:
    """Return the test error of a method of one size, with the settings that held-out data chose."""
    candidates, forecast = task.methods()[method]

    def error(candidate: Any, learned: slice, asked: slice) -> float:
        return task.error(asked, forecast(size, candidate, learned, asked))

    n = task.n_training
    best = candidates[0]
    if len(candidates) > 1:
        first = n - n // 4
        best = min(candidates, key=lambda one: error(one, slice(0, first), slice(first, n)))
    return error(best, slice(0, n), slice(n, n + task.n_test))


def test_errors(task: Any, sizes: dict[str, tuple[int, ...]]) -> dict[str, dict[int, float]]:
    """Return the test errors of all methods whose package is there, by size."""
    there = [name for name in sizes if name not in PACKAGES or find_spec(PACKAGES[name])]
    return {
        name: {size: test_error(task, name, size) for size in tqdm(sizes[name], desc=name)}
        for name in there
    }


class SeriesTask:
    """A noisy Mackey-Glass series, to be told some steps ahead."""

    n_training, n_test = N_TRAINING, N_TEST

    def __init__(self) -> None:
        n_steps = N_TRAINING + N_TEST + AHEAD
        clean = mackey_glass(n_steps, random_state=0).ravel()
        clean = (clean - clean[:N_TRAINING].mean()) / clean[:N_TRAINING].std()
        noisy = clean + NOISE * np.random.default_rng(0).standard_normal(n_steps)
        # What is told and what is asked are both observed, noise and all.
        self.told, self.asked = noisy[:-AHEAD], noisy[AHEAD:]

    def methods(self) -> dict[str, tuple[Sequence[Any], Callable[..., np.ndarray]]]:
        """Return the settings to choose from, and the function that learns and forecasts."""
        scales = list(product((0.6, 0.9), (0.3, 1.0), (0.3,)))
        return {
            TAPS: ((1e-3, 1.0, 100.0), self.linear),
            NET: ((0.01, 1.0), self.net),
            LINEAR: ((None,), self.linear_system),
            MARKOV: ((None,), self.markov),
            RESERVOIR: (scales, self.reservoir),
            TRAINED: ((None,), self.trained),
        }

    def error(self, asked: slice, forecast: np.ndarray) -> float:
        """Return the root mean square over the standard deviation."""
        return float(nrmse(self.asked[asked], forecast))

    def by_features(self, features: np.ndarray, model: Any, learned: slice, asked: slice) -> Any:
        """Return what a regressor of features says; the first steps have no past."""
        rows = slice(max(learned.start, 50), learned.stop - AHEAD)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a net that is stopped early
            model.fit(features[rows], self.asked[rows])
        return model.predict(features[asked])

    def linear(self, n_taps: int, alpha: float, learned: slice, asked: slice) -> np.ndarray:
        features = embed_delays(self.told[:, None], range(n_taps))
        return self.by_features(features, Ridge(alpha), learned, asked)

    def net(self, n_taps: int, alpha: float, learned: slice, asked: slice) -> np.ndarray:
        features = embed_delays(self.told[:, None], range(n_taps))
        model = MLPRegressor(
            hidden_layer_sizes=(30,), solver="lbfgs", alpha=alpha, max_iter=150, random_state=0
        )
        return self.by_features(features, model, learned, asked)

    def reservoir(self, n_units: int, setting: Any, learned: slice, asked: slice) -> np.ndarray:
        radius, leak, scaling = setting
        esn = ESNRegressor(
            n_units, spectral_radius=radius, leak_rate=leak, input_scaling=scaling,
            bias_scaling=0.2, washout=50, alpha=1e-4, random_state=0,
        )  # fmt: skip
        rows = slice(0, learned.stop - AHEAD)
        esn.fit(self.told[rows, None], self.asked[rows])
        return esn.predict(self.told[: asked.stop, None])[asked].ravel()

    def trained(self, n_units: int, _: Any, learned: slice, asked: slice) -> np.ndarray:
        n_pieces = (learned.stop - AHEAD) // PIECE
        shape = (n_pieces, PIECE)
        told, target = (row[: n_pieces * PIECE].reshape(shape) for row in (self.told, self.asked))
        weight = np.ones(shape)
        weight[:, :WARM_UP] = 0
        net = RNNRegressor(
            n_units, target="step", max_iter=60, validation_fraction=0.25, random_state=0
        )
        net.fit(told[..., None], target, step_weight=weight)
        return net.predict(self.told[: asked.stop, None])[asked].ravel()

    def linear_system(self, n_states: int, _: Any, learned: slice, asked: slice) -> np.ndarray:
        """Return what an ARMA(n, n - 1) says, which is any system of n states and one output."""
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # maximum likelihood that is stopped early
            model = SARIMAX(self.told[: learned.stop], order=(n_states, 0, n_states - 1))
            fitted = model.fit(disp=False, maxiter=50)
        filtered = fitted.apply(self.told[: asked.stop]).filter_results
        transition, design = filtered.transition[:, :, 0], filtered.design[0, :, 0]
        # The state predicted for the next step, led on to the step that is asked for.
        lead = design @ np.linalg.matrix_power(transition, AHEAD - 1)
        return (lead @ filtered.predicted_state[:, 1:])[asked]

    def markov(self, n_states: int, _: Any, learned: slice, asked: slice) -> np.ndarray:
        """Return the mean that a model of normal emissions expects (expectation maximization)."""
        from hmmlearn.hmm import GaussianHMM

        rows = self.told[: learned.stop, None]
        models = [GaussianHMM(n_states, n_iter=50, random_state=seed).fit(rows) for seed in (0, 1)]
        best = max(models, key=lambda model: model.score(rows))
        variances = best.covars_.reshape(n_states)
        distances = (self.told[: asked.stop, None] - best.means_.ravel()) ** 2 / variances
        # A factor that all states share changes nothing.
        logarithms = -0.5 * (distances + np.log(variances))
        likelihoods = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))[:, None]
        expected = expected_states(best.startprob_, best.transmat_, likelihoods)[asked, 0]
        lead = np.linalg.matrix_power(best.transmat_, AHEAD - 1) @ best.means_.ravel()
        return expected @ lead


class SymbolTask:
    """A symbol, noise, and the same symbol, which is to be told."""

    n_training = n_test = N_SEQUENCES

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        # Each as often as any other, in the test part as well: then the bound holds to the bit.
        each = np.tile(np.arange(N_CLASSES), (2 * N_SEQUENCES // N_CLASSES, 1))
        self.classes = rng.permuted(each, axis=1).ravel()
        noise = rng.integers(N_CLASSES, N_SYMBOLS, size=(2 * N_SEQUENCES, GAP))
        self.told = np.column_stack([self.classes, noise])
        self.one_hot = np.eye(N_SYMBOLS)[self.told]

    def methods(self) -> dict[str, tuple[Sequence[Any], Callable[..., np.ndarray]]]:
        """Return the settings to choose from, and the function that learns and forecasts."""
        settings = list(product((0.8, 1.0), (1.0, 1e2, 1e4)))
        return {
            TAPS: ((0.01, 1.0, 100.0), self.linear),
            NET: ((0.01, 1.0, 10.0), self.net),
            LINEAR: ((None,), self.linear_system),
            MARKOV: ((None,), self.markov),
            BY_HAND: ((None,), self.by_hand),
            RESERVOIR: (settings, self.reservoir),
            TRAINED: ((None,), self.trained),
        }

    def error(self, asked: slice, chances: np.ndarray) -> float:
        """Return the bits that a symbol still costs: the mean of -log2 P(symbol)."""
        of_truth = chances[np.arange(len(chances)), self.classes[asked]]
        return -float(np.log2(np.maximum(of_truth, 1e-12)).mean())

    def by_features(self, features: np.ndarray, model: Any, learned: slice, asked: slice) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # stopped early
            return model.fit(features[learned], self.classes[learned]).predict_proba(
                features[asked]
            )

    def taps(self, n_taps: int) -> np.ndarray:
        """Return the last symbols, each as a 1 among zeros."""
        last = self.one_hot[:, ::-1][:, :n_taps]
        return last.reshape(len(last), -1)

    def linear(self, n_taps: int, c: float, learned: slice, asked: slice) -> np.ndarray:
        model = LogisticRegression(C=c, max_iter=300)
        return self.by_features(self.taps(n_taps), model, learned, asked)

    def net(self, n_taps: int, alpha: float, learned: slice, asked: slice) -> np.ndarray:
        model = MLPClassifier(
            hidden_layer_sizes=(30,), solver="lbfgs", alpha=alpha, max_iter=150, random_state=0
        )
        return self.by_features(self.taps(n_taps), model, learned, asked)

    def reservoir(self, n_units: int, setting: Any, learned: slice, asked: slice) -> np.ndarray:
        radius, c = setting
        transformer = ReservoirTransformer(
            n_units, spectral_radius=radius, input_scaling=0.3, bias_scaling=0.0,
            random_state=0,
        )  # fmt: skip
        parts = transformer.fit_transform(list(self.one_hot))
        states = np.array([part[-1] for part in parts])
        states = states / states[learned].std()
        model = LogisticRegression(C=c, max_iter=300)
        return self.by_features(states, model, learned, asked)

    def trained(self, n_units: int, _: Any, learned: slice, asked: slice) -> np.ndarray:
        nets = []
        for seed in range(4):
            net = RNNClassifier(
                n_units, n_symbols=N_SYMBOLS, target="sequence", max_iter=60,
                validation_fraction=0.25, random_state=seed,
            )  # fmt: skip
            nets.append(net.fit(self.told[learned, :, None], self.classes[learned]))
        best = min(nets, key=lambda net: net.validation_curve_.min())
        return best.predict_proba(self.told[asked, :, None])

    def linear_system(self, n_states: int, _: Any, learned: slice, asked: slice) -> np.ndarray:
        """Return what four AR(n) say, each of one bit: ±1 where a symbol comes, 0 elsewhere.

        P(bit) follows from the normal density of +1 and of -1 about the forecast.
        """
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        bits = np.arange(N_CLASSES)[:, None] >> np.arange(4) & 1
        chances = np.zeros((len(self.classes[asked]), N_CLASSES))
        for bit in range(4):
            lines = [self._line(rows, bit) for rows in (learned, asked)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = SARIMAX(lines[0].ravel(), order=(n_states, 0, 0))
                fitted = model.fit(disp=False, maxiter=20)
            means = fitted.apply(lines[1].ravel()).predict().reshape(lines[1].shape)[:, GAP + 1]
            difference = 2 * means / fitted.params[-1]
            of_one = -np.logaddexp(0, -difference)
            of_zero = -np.logaddexp(0, difference)
            chances += np.where(bits[:, bit], of_one[:, None], of_zero[:, None])
        return np.exp(chances)

    def _line(self, rows: slice, bit: int) -> np.ndarray:
        """Return one bit of each sequence over its steps, and a pause as long after it."""
        signs = 2.0 * (self.classes[rows] >> bit & 1) - 1
        line = np.zeros((len(signs), 2 * (GAP + 2)))
        line[:, 0] = line[:, GAP + 1] = signs
        return line

    def markov(self, n_states: int, _: Any, learned: slice, asked: slice) -> np.ndarray:
        whole = np.column_stack([self.told, self.classes])[learned]
        model = trained_model(n_states, whole, N_SYMBOLS, range(2))
        return chances_of_next(model, self.told[asked], N_CLASSES)

    def by_hand(self, n_states: int, _: Any, learned: slice, asked: slice) -> np.ndarray:
        model = remembering_model(n_states, N_CLASSES, N_SYMBOLS)
        return chances_of_next(model, self.told[asked], N_CLASSES)


# Taps, states or units, for a short run and for a whole one.
SERIES_SIZES = {
    True: {
        TAPS: (2, 8, 32), NET: (2, 8, 32), LINEAR: (2, 4), MARKOV: (2, 8, 32),
        RESERVOIR: (2, 8, 32, 64), TRAINED: (2, 8),
    },
    False: {
        TAPS: (1, 2, 4, 8, 16, 32), NET: (1, 2, 4, 8, 16, 32), LINEAR: (1, 2, 4, 8),
        MARKOV: (2, 4, 8, 16, 32), RESERVOIR: (1, 2, 4, 8, 16, 32, 64), TRAINED: (1, 2, 4, 8, 16),
    },
}  # fmt: skip
SYMBOL_SIZES = {
    True: {
        TAPS: (1, 8, 9), NET: (1, 8, 9), LINEAR: (1, 9), MARKOV: (1, 2, 4),
        BY_HAND: (1, 2, 4, 8, 16), RESERVOIR: (4, 64), TRAINED: (1, 4),
    },
    False: {
        TAPS: (1, 2, 4, 8, 9, 16), NET: (1, 2, 4, 8, 9, 16), LINEAR: (1, 4, 8, 9),
        MARKOV: (1, 2, 4, 8, 16), BY_HAND: (1, 2, 4, 8, 16),
        RESERVOIR: (1, 2, 4, 8, 16, 32, 64), TRAINED: (1, 2, 3, 4, 6, 8),
    },
}  # fmt: skip


def run(quick: bool, folder: Path) -> list[Figure]:
    """Measure errors and bits over the sizes, and draw them."""
    for name, package in PACKAGES.items():
        if find_spec(package) is None:
            print(f"memory: {name} is left out: it needs {package}, which is not installed")
    errors = test_errors(SeriesTask(), SERIES_SIZES[quick])
    costs = test_errors(SymbolTask(), SYMBOL_SIZES[quick])
    bits = {
        name: {size: np.log2(N_CLASSES) - cost for size, cost in of_method.items()}
        for name, of_method in costs.items()
    }
    draw(errors, bits, folder / "memory.png")
    return [*series_figures(errors), *symbol_figures(bits)]


def series_figures(errors: dict[str, dict[int, float]]) -> list[Figure]:
    """Return the error of each method in its best size."""
    bounds = {TAPS: {"at_least": 0.3}, RESERVOIR: {"at_most": 0.15}}
    return [
        Figure(f"series: NRMSE, {name}, best size", min(of_method.values()), **bounds.get(name, {}))
        for name, of_method in errors.items()
    ]


def symbol_figures(bits: dict[str, dict[int, float]]) -> list[Figure]:
    """Return what is remembered, and whether hidden Markov models keep to their bound."""
    within = [bits[name][size] for name in (TAPS, NET) for size in bits[name] if size <= GAP]
    beyond = [bits[name][GAP + 1] for name in (TAPS, NET)]
    hand = [abs(value - np.log2(size)) for size, value in bits[BY_HAND].items()]
    figures = [
        Figure("symbols: HMM by hand, from log2 N, furthest", max(hand), "bit", at_most=1e-9),
        Figure("symbols: taps no longer than the noise, most", max(within), "bit", at_most=0.05),
        Figure("symbols: taps that reach beyond it, least", min(beyond), "bit", at_least=3.5),
        Figure("symbols: reservoir of 64 units", bits[RESERVOIR][64], "bit", at_least=3.5),
        Figure("symbols: trained net of 4 units", bits[TRAINED][4], "bit", at_least=3.5),
    ]
    if LINEAR in bits:
        figures.append(
            Figure("symbols: linear system, best size", max(bits[LINEAR].values()), "bit")
        )
    if MARKOV in bits:
        above = max(value - np.log2(size) for size, value in bits[MARKOV].items())
        figures += [
            Figure("symbols: trained HMM, above log2 N, most", above, "bit", at_most=1e-9),
            Figure("symbols: trained HMM, most", max(bits[MARKOV].values()), "bit"),
        ]
    return figures


def draw(
    errors: dict[str, dict[int, float]], bits: dict[str, dict[int, float]], path: Path
) -> None:
    """Draw errors on the series, and bits of the symbol, over the size of the memory."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    states = np.geomspace(1, N_CLASSES, 50)
    right.plot(states, np.log2(states), color="gray", linewidth=5, alpha=0.4,
               label="log2 N, the bound of an HMM")  # fmt: skip
    for axis, curves in ((left, errors), (right, bits)):
        for name, curve in curves.items():
            # Some curves lie on each other: the first of them is wide, the last dashed.
            axis.plot(list(curve), list(curve.values()), marker=".", color=COLORS[name],
                      linewidth=WIDTHS.get(name, 1.5), label=name,
                      zorder=3 if name in (NET, BY_HAND) else 2 - 0.1 * WIDTHS.get(name, 1.5),
                      linestyle="--" if name in (NET, BY_HAND) else "-")  # fmt: skip
        axis.set_xscale("log", base=2)
        axis.set_xticks([1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 64])
        axis.set(xlabel="size of the memory / taps, states or units")
    left.axhline(NOISE, color=TRUTH, linestyle=":", label="the noise alone")
    left.set(yscale="log", ylabel="test error / standard deviations")
    left.set_yticks([0.1, 0.2, 0.5, 1], [0.1, 0.2, 0.5, 1])
    left.yaxis.set_minor_formatter(NullFormatter())
    left.set_title(f"A noisy Mackey-Glass series, {AHEAD} steps ahead")
    right.set(ylabel="remembered / bits", title=f"One of {N_CLASSES} symbols, over {GAP} of noise")
    handles = {}
    for axis in (left, right):
        handles |= dict(zip(*axis.get_legend_handles_labels()[::-1]))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
