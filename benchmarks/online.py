"""Microseconds a live step, learning or not, and how long recursive least squares lasts.

    python -m benchmarks.online [--quick]

One thread, one process. Rivals take turns, round after round; printed are the median processor
time of each a step and the median of its ratio to the tight loop of the same round. The tight loop
is what one would write with NumPy and SciPy: the recurrence in place, and, where it learns, the
textbook update of P in place. "partial_fit" gets the steps as a block, all others one by one.
Reservoirpy is included where it is installed.

Then one learner after the other gets rows that excite two of ten directions, with forgetting, and
full rows after that: printed is after how many rows P is no longer symmetric to a millionth of its
largest entry, finite or positive definite, and how good the readout is in the end.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy.sparse._sparsetools import csr_matvec
from threadpoolctl import threadpool_limits

from benchmarks.states import Job, measure
from reservoir import OnlineESNRegressor
from reservoir.online import RecursiveLeastSquares

SIZES = (100, 300, 1_000)
FORGETTING = 0.999
ALPHA = 1e-6


class TightLoop:
    """The recurrence and the textbook update, as tight as NumPy and SciPy allow."""

    def __init__(self, reservoir: Any, forgetting: float) -> None:
        self.reservoir, self.forgetting = reservoir, forgetting
        self.matrix = reservoir.recurrent
        n_units = reservoir.n_units
        self.x = np.zeros(n_units)
        self.readout = np.zeros(n_units + 1)
        self.features = np.empty(n_units + 1)
        self.P = np.eye(n_units + 1) / ALPHA
        self.product = np.empty_like(self.P)

    def step(self, u: float, y: float | None) -> float:
        """Return the output for one input, and learn from its target where there is one."""
        n_units, matrix = len(self.x), self.matrix
        z = self.reservoir.bias + self.reservoir.input[:, 0] * u
        csr_matvec(n_units, n_units, matrix.indptr, matrix.indices, matrix.data, self.x, z)
        np.tanh(z, out=z)
        self.x = z
        features = self.features
        features[0], features[1:] = u, z
        output = features @ self.readout
        if y is not None:
            gain = self.P @ features
            scale = 1 / (self.forgetting + features @ gain)
            np.outer(gain, gain * scale, out=self.product)
            self.P -= self.product
            if self.forgetting != 1:
                self.P /= self.forgetting
            self.readout += gain * (scale * (y - output))
        return float(output)


def make(n_units: int, **settings: Any) -> OnlineESNRegressor:
    """Return a network that has seen one step."""
    online = OnlineESNRegressor(
        n_units, alpha=ALPHA, fit_intercept=False, random_state=0, **settings
    )
    online.step(0.0, 0.0)
    return online


def jobs_of(n_units: int, n_steps: int, forgetting: float, learns: bool) -> dict[str, Job]:
    """Return rivals that take `n_steps` steps."""
    inputs = np.random.default_rng(0).uniform(-1, 1, n_steps)
    targets = np.roll(inputs, 2)
    pairs = list(zip(inputs.tolist(), targets.tolist() if learns else [None] * n_steps))
    online = make(n_units, forgetting=forgetting)
    tight = TightLoop(online.reservoir_, forgetting)

    def every(step: Callable[..., Any]) -> Job:
        def job() -> None:
            for u, y in pairs:
                step(u, y)

        return job

    jobs: dict[str, Job] = {"tight loop": every(tight.step), "step": every(online.step)}
    if learns:
        block = make(n_units, forgetting=forgetting)
        jobs["partial_fit"] = lambda: block.partial_fit(
            inputs[:, None], targets, initial_state="last"
        )
        if forgetting == 1:
            jobs["step, nlms"] = every(make(n_units, learner="nlms").step)
    rival = reservoirpy_job(online.reservoir_, inputs, targets, forgetting, learns)
    return jobs | ({"reservoirpy": rival} if rival else {})


def reservoirpy_job(
    reservoir: Any, inputs: Any, targets: Any, forgetting: float, learns: bool
) -> Job | None:
    """Return reservoirpy's steps with the same weights, or None where it is not installed."""
    try:
        from reservoirpy.nodes import RLS, Input, Reservoir
    except ImportError:
        return None
    node = Reservoir(W=reservoir.recurrent, Win=reservoir.input, bias=reservoir.bias)
    source = Input()
    model = [source >> node, source] >> RLS(alpha=ALPHA, forgetting=forgetting, fit_bias=False)
    inputs, targets = inputs[:, None], targets[:, None]
    model.partial_fit(inputs[:1], targets[:1])

    def learn() -> None:
        for t in range(len(inputs)):
            model.partial_fit(inputs[t : t + 1], targets[t : t + 1])

    def step() -> None:
        for u in inputs:
            model(u)

    return learn if learns else step


def cases(sizes: Iterable[int]) -> Iterable[tuple[str, int, dict[str, Job], int]]:
    """Yield title, size, rivals and steps of each comparison."""
    for n_units in sizes:
        n_steps = max(50, 100_000 // n_units)
        yield "no target", n_units, jobs_of(n_units, n_steps, 1.0, learns=False), n_steps
        for forgetting in (1.0, FORGETTING):
            title = f"learning, forgetting {forgetting}"
            yield title, n_units, jobs_of(n_units, n_steps, forgetting, learns=True), n_steps


class Textbook:
    """P kept as it is written down."""

    def __init__(self, n_features: int, forgetting: float) -> None:
        self.forgetting = forgetting
        self.P = np.eye(n_features) / ALPHA
        self.coef = np.zeros((1, n_features))

    def update(self, features: Any, targets: Any) -> None:
        """Learn row by row."""
        for row, target in zip(features, targets):
            gain = self.P @ row / (self.forgetting + row @ self.P @ row)
            self.coef += (target - self.coef @ row) * gain
            self.P = (self.P - np.outer(gain, row @ self.P)) / self.forgetting

    def inverse(self) -> Any:
        return self.P


def endurance(learner: Any, n_rows: int, forgetting: float) -> tuple[str, float]:
    """Return when P broke down, and the error of the readout after rows that excite all."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(2, 10))
    broken, block = "never", 500
    with np.errstate(all="ignore"):
        for first in range(0, n_rows, block):
            features = rng.normal(size=(block, 2)) @ mixing
            learner.update(features, features[:, :1])
            if broken == "never" and not is_sound(learner.inverse()):
                broken = f"{first + block:,}"
        features = rng.normal(size=(5_000, 10))
        learner.update(features, features[:, :1])
        return broken, float(abs(learner.coef[0] - np.eye(10)[0]).max())


def is_sound(matrix: Any) -> bool:
    """Whether P is finite, symmetric to 1e-6 and without a clearly negative eigenvalue."""
    if not np.isfinite(matrix).all() or abs(matrix - matrix.T).max() > 1e-6 * abs(matrix).max():
        return False
    eigenvalues = np.linalg.eigvalsh(matrix)
    return bool(eigenvalues[0] > -1e-12 * eigenvalues[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one size, few rounds and rows")
    quick = parser.parse_args().quick
    print("| case | units | rival | µs a step | ratio to the tight loop |")
    print("| --- | --- | --- | --- | --- |")
    for title, n_units, jobs, n_steps in cases(SIZES[1:2] if quick else SIZES):
        with threadpool_limits(1):
            seconds = measure(jobs, 3 if quick else 15)
        base = np.array(seconds["tight loop"])
        for rival, values in seconds.items():
            micro = np.median(values) / n_steps * 1e6
            ratio = np.median(np.array(values) / base)
            print(f"| {title} | {n_units} | {rival} | {micro:.1f} | {ratio:.2f} |", flush=True)
    n_rows = 20_000 if quick else 200_000
    print(f"\n{n_rows:,} rows that excite 2 of 10 directions, then 5,000 that excite all:")
    print("| forgetting | update | P breaks down after | error of the coefficients |")
    print("| --- | --- | --- | --- |")
    for forgetting in (0.99, 0.999):
        for name, learner in (
            ("textbook", Textbook(10, forgetting)),
            (
                "square root",
                RecursiveLeastSquares(
                    10, 1, alpha=ALPHA, forgetting=forgetting, fit_intercept=False
                ),
            ),
        ):
            broken, error = endurance(learner, n_rows, forgetting)
            print(f"| {forgetting} | {name} | {broken} | {error:.1g} |", flush=True)


if __name__ == "__main__":
    main()
