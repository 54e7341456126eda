"""Lorenz: for how long forecasts are valid, and for how long the truth they are held against is.

    python -m benchmarks.field.lorenz [--quick]

Nothing is downloaded. A numerical solution of a chaotic system parts from the exact one, as every
error grows by e in a Lyapunov time: past that a forecast is held against figures that are no
solution of the equation from where it began. Published valid times seldom say when that is.

Valid time: until ‖error‖ exceeds 0.4 of the root mean square of ‖y‖ (each coordinate standardised),
in Lyapunov times of 1 / 0.906 time units [1]_; `demos.lorenz` has the recipe of the forecasts. The
exact solution is a Taylor series in decimals of 50 digits, 40 terms [2]_ a step of 0.02, from the
same binary numbers, β = 8/3 as the nearest of them. Held against it, from the starts of forecasts:

- the classical Runge-Kutta method in steps of 0.002, which makes the series of
  `reservoir.datasets.lorenz`;
- the same Taylor series in float64, 30 terms, whose error is that of rounding;
- forecasts that learned from the Runge-Kutta series, and those that learned from the Taylor series.

The first forecasts are held against the Runge-Kutta series too, as the demo does. That is a fair
figure about another system: the map that a step of the method is. It has a solution of its own that
float64 follows for as long as rounding lets it, which is measured by the same steps in decimals.

References
----------
.. [1] Pathak et al. (2018), Hybrid forecasting of chaotic processes, Chaos 28, 041101.
.. [2] Liao (2009), On the reliability of computed chaotic solutions of non-linear differential
   equations, Tellus A 61, 550-564: the method of Taylor series in many digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from operator import mul
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from demos import lorenz as demo
from reservoir.datasets import lorenz

Number = TypeVar("Number", float, Decimal)
State = tuple[Number, Number, Number]
Floats = NDArray[np.float64]
Solver = Callable[[Floats, int], Floats]
Times = dict[tuple[str, str], list[float]]

BETA = 8.0 / 3.0
DIGITS = 50
SUBSTEPS = 10  # of `reservoir.datasets.lorenz`
EXACT = "the exact solution"
STEPS = "Runge-Kutta, steps of 0.002, float64"
TERMS = "Taylor series, float64"
KINDS = ("300 units, squared states", "1000 units")
SEEDS = range(100, 105)  # not those of the demo


def taylor_step(state: State[Number], step: Number, n_terms: int) -> State[Number]:
    """Carry a state on by the Taylor series of the solution, from the recurrence of its terms."""
    kind = type(step)
    sigma, rho, beta = kind(10), kind(28), kind(BETA)
    x, y, z = ([value] for value in state)
    for k in range(n_terms - 1):
        xz = sum(map(mul, x, reversed(z)), kind(0))
        xy = sum(map(mul, x, reversed(y)), kind(0))
        share = step / (k + 1)
        terms = sigma * (y[k] - x[k]), rho * x[k] - xz - y[k], xy - beta * z[k]
        for series, term in zip((x, y, z), terms, strict=True):
            series.append(share * term)
    return sum(x, kind(0)), sum(y, kind(0)), sum(z, kind(0))


def runge_kutta_step(state: State[Number], step: Number, n_terms: int = 4) -> State[Number]:
    """Carry a state on by the classical method of order 4."""
    kind = type(step)
    sigma, rho, beta = kind(10), kind(28), kind(BETA)

    def slope(u: State[Number]) -> State[Number]:
        return sigma * (u[1] - u[0]), u[0] * (rho - u[2]) - u[1], u[0] * u[1] - beta * u[2]

    def moved(by: Number, along: State[Number]) -> State[Number]:
        return state[0] + by * along[0], state[1] + by * along[1], state[2] + by * along[2]

    first = slope(state)
    second = slope(moved(step / 2, first))
    third = slope(moved(step / 2, second))
    fourth = slope(moved(step, third))
    a, b, c = (i + 2 * (j + k) + m for i, j, k, m in zip(first, second, third, fourth, strict=True))
    return moved(step / 6, (a, b, c))


METHODS = {"Taylor": (taylor_step, 1), "Runge-Kutta": (runge_kutta_step, SUBSTEPS)}


def solution(
    start: Floats, n_steps: int, *, method: str, kind: type[float] | type[Decimal], n_terms: int
) -> Floats:
    """Return the `n_steps` samples after `start`, every `demo.DT`, as float64.

    Parameters
    ----------
    start : ndarray of shape (3,)
        x, y and z.
    n_steps : int
        Number of samples.
    method : {"Taylor", "Runge-Kutta"}
        How a state is carried on.
    kind : float or Decimal
        The numbers that are computed with; decimals have 50 digits.
    n_terms : int
        Terms of the Taylor series.

    Returns
    -------
    ndarray of shape (n_steps, 3)
    """
    advance, substeps = METHODS[method]
    rows = np.empty((n_steps, 3))
    with localcontext() as context:
        context.prec = DIGITS
        # Of the float 0.02, so that the times of all methods are the same.
        step = kind(demo.DT) / substeps
        state = tuple(kind(value) for value in start.tolist())
        for row in rows:
            for _ in range(substeps):
                state = advance(state, step, n_terms)
            row[:] = [float(value) for value in state]
    return rows


def exact(start: Floats, n_steps: int) -> Floats:
    """Return the exact solution after `start`."""
    return solution(start, n_steps, method="Taylor", kind=Decimal, n_terms=40)


def rounded(start: Floats, n_steps: int) -> Floats:
    """Return what the Taylor series gives in float64."""
    return solution(start, n_steps, method="Taylor", kind=float, n_terms=30)


def exact_map(start: Floats, n_steps: int) -> Floats:
    """Return what the Runge-Kutta method gives without rounding."""
    return solution(start, n_steps, method="Runge-Kutta", kind=Decimal, n_terms=0)


def after_starts(series: Floats, solve: Solver) -> Floats:
    """Return how a method goes on from where forecasts start, in the units of `standardised`."""
    known = series[: demo.N_TRAINING]
    solutions = [solve(series[start - 1], demo.HORIZON) for start in demo.STARTS]
    return (np.stack(solutions) - known.mean(axis=0)) / known.std(axis=0)


def of_runge_kutta(kinds: Sequence[str], seed: int) -> Times:
    """Return valid times on the series of the library: of the series, and of forecasts of it."""
    series = lorenz(int(demo.STARTS[-1]) + demo.HORIZON, dt=demo.DT, random_state=seed)
    truth = after_starts(series, exact)
    scaled = demo.standardised(series)
    own = np.stack([scaled[start : start + demo.HORIZON] for start in demo.STARTS])
    times = {
        (STEPS, EXACT): demo.valid_times(truth, own),
        (STEPS, "the same steps without rounding"): demo.valid_times(
            after_starts(series, exact_map), own
        ),
    }
    for kind in kinds:
        forecast = demo.continued(scaled, kind, seed)
        name = f"{kind}, learned from such steps"
        times[name, EXACT] = demo.valid_times(truth, forecast)
        times[name, STEPS] = demo.valid_times(own, forecast)
    return times


def of_taylor(kinds: Sequence[str], seed: int) -> Times:
    """Return valid times on a series that rounding alone parts from the equation."""
    start = lorenz(1, dt=demo.DT, random_state=seed)
    series = np.vstack([start, rounded(start[0], int(demo.STARTS[-1]) - 1)])
    truth = after_starts(series, exact)
    times = {(TERMS, EXACT): demo.valid_times(truth, after_starts(series, rounded))}
    scaled = demo.standardised(series)
    for kind in kinds:
        forecast = demo.continued(scaled, kind, seed)
        times[f"{kind}, learned from this series", EXACT] = demo.valid_times(truth, forecast)
    return times


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="300 units, one seed")
    quick = parser.parse_args().quick
    kinds, seeds = (KINDS[:1], SEEDS[:1]) if quick else (KINDS, SEEDS)
    times: Times = {}
    with threadpool_limits(1):
        for seed in tqdm(seeds):
            for pair, values in (of_runge_kutta(kinds, seed) | of_taylor(kinds, seed)).items():
                times.setdefault(pair, []).extend(values)
    print("| what | held against | valid, Lyapunov times | quartiles | least | n |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (what, against), values in times.items():
        low, median, high = np.percentile(values, [25, 50, 75])
        spread = f"{low:.1f} to {high:.1f} | {min(values):.1f} | {len(values)}"
        print(f"| {what} | {against} | {median:.1f} | {spread} |")


if __name__ == "__main__":
    main()
