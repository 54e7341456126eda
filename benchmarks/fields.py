"""For how long fields, and Lorenz by next-generation reservoirs, are forecast: medians over seeds.

    python -m benchmarks.fields [--quick]

One thread. Models and data are those of `demos.spatial` and `demos.nvar`; seeds, which draw the
data as well as the reservoirs, are not those that the settings were chosen on (0). First come the
largest Lyapunov exponents, measured on the equations: two solutions 1e-7 apart, brought back to
that distance every few steps. The valid time ends where ‖error‖ exceeds 0.4 of the root mean square
of ‖u‖. Contestants for a field: one readout shared by all patches, one a patch, and one reservoir
for the whole ring. Seconds are processor time of making the data, learning and forecasting, median
over the seeds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from demos import nvar, spatial
from reservoir.datasets import kuramoto_sivashinsky, lorenz96
from reservoir.metrics import valid_prediction_time

Advance = Callable[[np.ndarray], np.ndarray]


def ks_flow(length: float, n_points: int, interval: float) -> Advance:
    """Return what carries a Kuramoto-Sivashinsky field on by `interval`, in steps of 1/4."""

    def advance(state: np.ndarray) -> np.ndarray:
        return kuramoto_sivashinsky(
            2,
            length=length,
            n_points=n_points,
            dt=interval,
            substeps=round(4 * interval),
            initial_state=state,
            discard=0,
        )[1]

    return advance


def lorenz96_flow(state: np.ndarray) -> np.ndarray:
    """Carry the sites on by half a time unit, in steps of 1/100."""
    return lorenz96(2, dt=0.5, substeps=50, initial_state=state, discard=0)[1]


def largest_exponent(
    advance: Advance, start: np.ndarray, interval: float, n_intervals: int
) -> tuple[float, float]:
    """Return the largest Lyapunov exponent and its standard error, from 20 stretches.

    Benettin, Galgani & Strelcyn (1976), Kolmogorov entropy and numerical experiments, Phys. Rev. A
    14, 2338-2345.
    """
    distance = 1e-7
    rng = np.random.default_rng(0)
    apart = rng.standard_normal(start.shape)
    state, growth = start, []
    for index in range(-20, n_intervals):
        apart *= distance / np.linalg.norm(apart)
        neighbour = advance(state + apart)
        state = advance(state)
        apart = neighbour - state
        if index >= 0:
            growth.append(np.log(np.linalg.norm(apart) / distance) / interval)
    stretches = [part.mean() for part in np.array_split(growth, 20)]
    return float(np.mean(growth)), float(np.std(stretches, ddof=1) / np.sqrt(20))


def exponents(quick: bool) -> None:
    """Print what the equations themselves say."""
    shorter = 20 if quick else 1
    flows = [
        (spatial.KS_22, ks_flow(22.0, 64, 10.0), 10.0, 4000),
        (spatial.KS_200, ks_flow(200.0, 512, 5.0), 5.0, 800),
        (spatial.LORENZ_96, lorenz96_flow, 0.5, 4000),
    ]
    print("| system | exponent, per time unit | counted with |")
    print("| --- | --- | --- |")
    for system, advance, interval, n_intervals in flows:
        start = system.data(1, 0)[0]
        value, error = largest_exponent(advance, start, interval, n_intervals // shorter)
        print(f"| {system.name} | {value:.4f} ± {error:.4f} | {system.exponent} |", flush=True)


def row(system: str, model: str, steps: int, times: list[float], seconds: float) -> None:
    """Print medians and quartiles of valid times."""
    low, median, high = np.percentile(times, [25, 50, 75])
    print(
        f"| {system} | {model} | {steps:,} | {median:.2f} | {low:.2f} to {high:.2f} | {len(times)} "
        f"| {seconds:.1f} |",
        flush=True,
    )


def whole_ring(system: spatial.System) -> dict[str, Any]:
    """Return the parameters of one reservoir for all sites."""
    return {"patch_size": system.data(1, 0).shape[1], "overlap": 0}


def fields(quick: bool) -> None:
    """Print the valid times of fields."""
    for system in (spatial.KS_22, spatial.KS_200, spatial.LORENZ_96):
        contestants: dict[str, dict[str, Any]] = {
            "shared readout": {},
            "a readout a patch": {"shared": False},
            "one reservoir": whole_ring(system),
        }
        smaller = {"n_units": 100, "n_training": 500} if quick else {}
        seeds = range(1, 2 if quick else 1 + system.n_seeds)
        times: dict[str, list[float]] = {name: [] for name in contestants}
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for seed in seeds:
            for name, parameters in contestants.items():
                start = time.thread_time()
                truth, forecast = spatial.forecasts(system, seed, **smaller, **parameters)
                seconds[name].append(time.thread_time() - start)
                times[name] += spatial.valid_times(system, truth, forecast)
        n_units = smaller.get("n_units", system.parameters["n_units"])
        n_training = smaller.get("n_training", system.n_training)
        for name in contestants:
            model = f"{name}, {n_units} units"
            row(system.name, model, n_training, times[name], float(np.median(seconds[name])))


def lorenz(quick: bool) -> None:
    """Print the valid times of the Lorenz system."""
    for kind, (n_training, _, _) in nvar.SETTINGS.items():
        times, seconds = [], []
        for seed in range(1, 4 if quick else 101):
            start = time.thread_time()
            truth, continued = nvar.forecast(kind, seed)
            seconds.append(time.thread_time() - start)
            times.append(
                valid_prediction_time(
                    truth,
                    continued,
                    threshold=nvar.THRESHOLD,
                    dt=nvar.DT,
                    lyapunov_exponent=nvar.LYAPUNOV_EXPONENT,
                )
            )
        row("Lorenz", f"NVAR, {kind}", n_training, times, float(np.median(seconds)))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter, smaller, one seed")
    quick = parser.parse_args().quick
    with threadpool_limits(1):
        exponents(quick)
        print("\n| system | model | steps learned | valid, Lyapunov times | quartiles | n | s |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        lorenz(quick)
        fields(quick)


if __name__ == "__main__":
    main()
