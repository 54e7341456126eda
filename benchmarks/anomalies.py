"""Anomalies: injected faults, found by a reservoir, a ridge on lags, and an isolation forest.

    python -m benchmarks anomalies

Protocol. Three series that the toolkit makes: an autoregression with a season, and the Mackey-Glass
and Lorenz systems with 5 % of noise, of 12,000 steps each. The first quarter is left normal, to
learn from. Into the rest faults of six kinds are injected, at random steps at least 100 apart: a
spike of 1.5 deviations, a shift of the level by 1 deviation for 20 steps, a sensor frozen for 20,
one that gives 0 for 20, a burst of noise of 1 deviation for 20, and a stretch of 20 steps run
through twice as fast. A fault is found where a step of it, or one of the 5 after, raises an alarm.
Each detector sees the normal part alone, and its threshold is the quantile of its scores there that
belongs to one false alarm in 500 steps, held out where it predicts. Printed are the share of faults
found and the false alarms outside of them, per 1,000 steps, over five seeds of noise, faults and
detectors. Nothing was tuned; the forest has scikit-learn's defaults with 200 trees and sees windows
of 21 steps, standardised.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
from scipy.signal import lfilter
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import RidgeCV

from reservoir import ReservoirDetector
from reservoir.datasets import lorenz, mackey_glass
from reservoir.detection._calibration import robust_spread, squared_distances, threshold_for

RATE = 1 / 500
N_LAGS = 20
KINDS = ("spike", "shift", "frozen", "zero", "noise", "fast")


def make_series(name: str, rng: np.random.Generator) -> np.ndarray:
    """Return a normal series, standardised."""
    if name == "autoregression":
        n_steps = 12_000
        season = np.sin(2 * np.pi * np.arange(n_steps) / 24)
        series = lfilter([1], [1, -1.2, 0.6], rng.normal(size=n_steps))[:, np.newaxis]
        series = series / series.std() + 1.5 * season[:, np.newaxis]
    elif name == "Mackey-Glass":
        series = mackey_glass(12_000, random_state=rng)
        series = series.reshape(len(series), -1)
    else:
        series = lorenz(12_000, dt=0.05, random_state=rng)
    series = (series - series.mean(axis=0)) / series.std(axis=0)
    if name != "autoregression":
        series = series + 0.05 * rng.normal(size=series.shape)
    return series


def inject(
    series: np.ndarray, start: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    """Return a copy with faults from `start` on, and the kind, first and last step of each."""
    faulty, faults = series.copy(), []
    gap, length = 100, 20
    first = start + gap
    while first + 2 * length < len(series):
        kind = KINDS[len(faults) % len(KINDS)]
        stretch = slice(first, first + (1 if kind == "spike" else length))
        shape = faulty[stretch].shape
        if kind == "spike":
            faulty[stretch] += 1.5 * rng.choice([-1, 1], size=shape)
        elif kind == "shift":
            faulty[stretch] += rng.choice([-1, 1], size=shape[1:])
        elif kind == "frozen":
            faulty[stretch] = faulty[first]
        elif kind == "zero":
            faulty[stretch] = 0
        elif kind == "noise":
            faulty[stretch] += rng.normal(size=shape)
        else:
            faulty[stretch] = series[first : first + 2 * length : 2]
        faults.append((kind, first, stretch.stop))
        first += gap + length + int(rng.integers(gap))
    return faulty, faults


def windows(series: np.ndarray) -> np.ndarray:
    """Return the last steps before each, and it, as rows."""
    seen = np.lib.stride_tricks.sliding_window_view(series, N_LAGS + 1, axis=0)
    return seen.reshape(len(seen), -1)


def scores_of_reservoir(series, start, seed):
    detector = ReservoirDetector(false_alarms=RATE, random_state=seed).fit(series[:start])
    return -detector.score_samples(series), -detector.offset_


def scores_of_ridge(series, start, seed):
    lags = np.lib.stride_tricks.sliding_window_view(series[:-1], N_LAGS, axis=0)
    lags = lags.reshape(len(lags), -1)
    targets, n_normal = series[N_LAGS:], start - N_LAGS
    alphas = np.logspace(-4, 4, 17)
    edges = np.linspace(0, n_normal, 6).astype(int)
    held_out = []
    for low, high in itertools.pairwise(edges):
        rest = np.r_[0:low, high:n_normal]
        model = RidgeCV(alphas).fit(lags[rest], targets[rest])
        held_out.append(targets[low:high] - model.predict(lags[low:high]).reshape(high - low, -1))
    errors = np.vstack(held_out)
    location, whitening = robust_spread(errors, seed)
    limit = threshold_for(squared_distances(errors, location, whitening), RATE)
    model = RidgeCV(alphas).fit(lags[:n_normal], targets[:n_normal])
    errors = targets - model.predict(lags).reshape(len(lags), -1)
    scores = squared_distances(errors, location, whitening)
    return np.r_[np.zeros(N_LAGS), scores], limit


def scores_of_forest(series, start, seed):
    rows = windows(series)
    forest = IsolationForest(n_estimators=200, random_state=seed).fit(rows[: start - N_LAGS])
    scores = -forest.score_samples(rows)
    return np.r_[np.full(N_LAGS, scores.min()), scores], np.quantile(
        scores[: start - N_LAGS], 1 - RATE
    )


DETECTORS = {
    "reservoir": scores_of_reservoir,
    "ridge on lags": scores_of_ridge,
    "isolation forest": scores_of_forest,
}


def evaluate(scores, limit, faults, start) -> tuple[dict[str, list[bool]], float]:
    """Return whether each fault was found, by kind, and false alarms per step."""
    alarms = scores > limit
    found: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    outside = np.arange(len(scores)) >= start
    for kind, first, last in faults:
        found[kind].append(bool(alarms[first : last + 5].any()))
        outside[first : last + N_LAGS + 5] = False
    return found, float(alarms[outside].mean())


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    n_seeds = 1 if parser.parse_args().quick else 5
    print(
        f"{'series':<14} | {'detector':<16} | found, % | " + " | ".join(KINDS) + " | false / 1000"
    )
    for name in ("autoregression", "Mackey-Glass", "Lorenz"):
        for detector, scores_of in DETECTORS.items():
            found: dict[str, list[bool]] = {kind: [] for kind in KINDS}
            false = []
            for seed in range(n_seeds):
                rng = np.random.default_rng(seed)
                series = make_series(name, rng)
                start = len(series) // 4
                series, faults = inject(series, start, rng)
                scores, limit = scores_of(series, start, seed)
                by_kind, rate = evaluate(scores, limit, faults, start)
                false.append(rate)
                for kind, hits in by_kind.items():
                    found[kind] += hits
            everything = [hit for hits in found.values() for hit in hits]
            shares = (f"{100 * np.mean(hits):{len(kind)}.0f}" for kind, hits in found.items())
            each = " | ".join(shares)
            print(
                f"{name:<14} | {detector:<16} | {100 * np.mean(everything):8.1f} | {each} | "
                f"{1000 * np.mean(false):.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
