"""What do sequences of uneven lengths cost, against as many steps in even ones?

    python -m benchmarks uneven

The same net works on 600 sequences of uneven lengths and on 600 even ones with as many steps in
all, in turns in one run. Printed is the median ratio of their processor times: of a loss, a
gradient, a Gauss-Newton product, and an iteration of Hessian-free optimization (for each gradient
that it counts). One thread, float32, 100 units.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from hessianfree import Batch, ElmanCell, LSTMCell, MultiplicativeCell, SequenceNetwork
from hessianfree.network import echo_state_parameters
from hessianfree.optimize import LONG_LAG_HESSIAN_FREE

CELLS = {"vanilla": ElmanCell, "multiplicative": MultiplicativeCell, "lstm": LSTMCell}
N_SEQUENCES, N_UNITS = 600, 100


def lengths_of(kind, rng):
    if kind == "lognormal":
        return np.ceil(rng.lognormal(3, 1, N_SEQUENCES)).astype(int)
    if kind == "pareto":
        return np.ceil(10 * (1 + rng.pareto(1.5, N_SEQUENCES))).astype(int)
    return np.array([3000] + [10] * (N_SEQUENCES - 1))


def make_batch(lengths, rng):
    inputs = [rng.standard_normal((n, 1)).astype(np.float32) for n in lengths]
    return Batch.from_sequences(inputs, [np.roll(x, 1, axis=0) for x in inputs])


def padded(batch):
    """The same batch as a whole: nothing but padding tells its sequences apart."""
    return batch.n_steps * batch.n_sequences / batch.n_scored


def ratio(functions, n_turns):
    """Median ratio of the processor times of two functions, per unit of what they return."""
    ratios = []
    for _ in range(n_turns):
        times = []
        for function in functions:
            began = time.process_time()
            units = function()
            times.append((time.process_time() - began) / units)
        ratios.append(times[0] / times[1])
    return np.median(ratios)


def one(call, *arguments):
    call(*arguments)
    return 1


def measure(cell, batches, n_turns):
    network = SequenceNetwork(CELLS[cell](1, N_UNITS), 1)
    params = echo_state_parameters(network, random_state=0, dtype="float32")
    optimizer = LONG_LAG_HESSIAN_FREE
    points = [network.linearize(params, batch) for batch in batches]
    states = [optimizer.init(params) for _ in batches]
    pairs = [
        [lambda b=b: one(network.value, params, b) for b in batches],
        [lambda b=b: one(network.value_and_gradient, params, b) for b in batches],
        [lambda p=p: one(p.gauss_newton_product, params, 0.1) for p in points],
        [
            lambda s=s, b=b: optimizer.step(network, s, b)[1]["passes"]
            for s, b in zip(states, batches)
        ],
    ]
    return [ratio(pair, n_turns) for pair in pairs]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one cell, fewer turns")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    arguments = parser.parse_args()
    cells, n_turns = (["vanilla"], 3) if arguments.quick else (arguments.cells, 5)
    print("Uneven over even; padding is what the batch holds over its steps")
    print("cell            lengths    longest  steps  padding | loss  gradient  product  iteration")
    for cell in cells:
        for kind in ("lognormal", "pareto", "one giant"):
            rng = np.random.default_rng(0)
            lengths = lengths_of(kind, rng)
            even = np.full(N_SEQUENCES, round(lengths.mean()))
            batches = [make_batch(each, rng) for each in (lengths, even)]
            loss, gradient, product, step = measure(cell, batches, n_turns)
            print(
                f"{cell:14}  {kind:9}  {lengths.max():7}  {lengths.sum():5}  "
                f"{padded(batches[0]):7.1f} | {loss:4.2f}  {gradient:8.2f}  {product:7.2f}  "
                f"{step:9.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
