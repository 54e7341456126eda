"""How long is a Gauss-Newton product, against autodiff, a gradient, and the peak of the machine?

    python -m benchmarks.gauss_newton [--rows 1 2 3 4] [--dtypes float64 float32] [--repeats 7]
                                      [--default-threads]

One thread; medians of interleaved repeats in one process, in processor time, which does not count
what else runs on the machine. JAX and PyTorch are measured where they are installed, in a virtual
environment of their own that has this package too. Two shorter tables follow: the memory of a
linearization against its formula, and a vanishing backward sweep with and without the rounding that
keeps subnormal numbers away (some processors are 8 to 20 times slower at them, others not at all).
Takes about three minutes. With ``--default-threads`` nothing is set, as a user gets it: wall time,
every library with the threads that it takes, ours once with one job and once with `n_jobs=-1`; the
first table alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from functools import partial

ONE_THREAD = "--default-threads" not in sys.argv
# Before NumPy is imported: libraries read the number of threads once.
if ONE_THREAD:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import numpy as np  # noqa: E402

from hessianfree.batch import Batch  # noqa: E402
from hessianfree.cells import ElmanCell, MultiplicativeCell, elman  # noqa: E402
from hessianfree.network import ParallelObjective, SequenceNetwork  # noqa: E402

# cell, symbols (0: two real inputs and one output, scored at the end), steps, sequences, units
PROBLEMS = {
    1: ("vanilla", 0, 100, 200, 100),
    2: ("vanilla", 86, 100, 32, 300),
    3: ("multiplicative", 86, 100, 32, 300),
    4: ("multiplicative", 86, 100, 16, 1000),
}


def make_problem(row, dtype, rng):
    kind, n_symbols, n_steps, n_sequences, n_units = PROBLEMS[row]
    shape = (n_steps, n_sequences)
    mask = np.ones(shape)
    if n_symbols:
        inputs = rng.integers(n_symbols, size=shape)
        targets = rng.integers(n_symbols, size=shape)
        loss, n_inputs, n_outputs = "softmax", n_symbols, n_symbols
    else:
        inputs = rng.normal(size=(*shape, 2))
        targets = rng.normal(size=(*shape, 1))
        mask[:-1] = 0
        loss, n_inputs, n_outputs = "squared_error", 2, 1
    cell = {"vanilla": ElmanCell, "multiplicative": MultiplicativeCell}[kind](n_inputs, n_units)
    network = SequenceNetwork(cell, n_outputs, loss)
    params = rng.normal(size=network.n_params) / np.sqrt(n_units)
    batch = Batch(inputs.astype(dtype) if inputs.ndim == 3 else inputs, targets, mask)
    return network, params.astype(dtype), batch


def operations(row):
    """Floating-point operations of one product, matrix products alone."""
    kind, n_symbols, n_steps, n_sequences, n = PROBLEMS[row]
    recurrent = {"vanilla": 8, "multiplicative": 16}[kind] * n * n
    output = 8 * n * (n_symbols or 1 / n_steps)
    inputs = 0 if n_symbols else 4 * 2 * n
    return n_steps * n_sequences * (recurrent + output + inputs)


def gemm_peak(dtype, n=1500):
    """Operations per second of one large product with NumPy's own BLAS."""
    a = np.ones((n, n), dtype=dtype)
    out = np.empty_like(a)
    return 2 * n**3 / min(seconds(lambda: np.matmul(a, a, out=out)) for _ in range(5))


def seconds(function):
    clock = time.process_time if ONE_THREAD else time.perf_counter
    start = clock()
    function()
    return clock() - start


def jax_product(network, params, batch, v):
    """The product by jax.linearize and its transpose; the stored pass is an argument of the jit."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    shapes = network.layout
    inputs = jnp.asarray(batch.inputs)
    last_only = inputs.ndim == 3
    scale = float(1.0 / np.count_nonzero(batch.mask))

    def split(flat):
        return {
            name: flat[part].reshape(shapes.shapes[name]) for name, part in shapes.slices.items()
        }

    def project(weights):
        return inputs @ weights.T if last_only else weights.T[inputs]

    def outputs(flat):
        p = split(flat)
        drive = project(p["input"]) + p["bias"]
        start = jnp.broadcast_to(p["initial_state"], drive.shape[1:])
        if "recurrent" in p:
            sequence = drive

            def step(h, x):
                h = jnp.tanh(h @ p["recurrent"].T + x)
                return h, None if last_only else h
        else:
            sequence = (drive, project(p["input_to_factor"]))

            def step(h, x):
                h = jnp.tanh((x[1] * (h @ p["state_to_factor"].T)) @ p["factor_to_state"].T + x[0])
                return h, h

        final, states = jax.lax.scan(step, start, sequence)
        return (final if last_only else states) @ p["output"].T + p["output_bias"]

    out, push = jax.jit(lambda p: jax.linearize(outputs, p))(jnp.asarray(params))
    probabilities = None if last_only else jax.nn.softmax(out)

    def curvature(d):
        if probabilities is None:
            return scale * d
        return scale * probabilities * (d - (probabilities * d).sum(-1, keepdims=True))

    @jax.jit
    def product(push, v):
        (result,) = jax.linear_transpose(push, v)(curvature(push(v)))
        return result

    direction = jnp.asarray(v)
    return lambda: np.asarray(product(push, direction).block_until_ready())


def torch_product(network, params, batch, v):
    """The product by PyTorch's double backward, both graphs kept."""
    import torch

    if ONE_THREAD:
        torch.set_num_threads(1)
    shapes = network.layout
    inputs = torch.from_numpy(batch.inputs)
    last_only = inputs.ndim == 3
    flat = torch.from_numpy(params).requires_grad_()
    p = {name: flat[part].reshape(shapes.shapes[name]) for name, part in shapes.slices.items()}

    def project(weights):
        return inputs @ weights.T if last_only else torch.nn.functional.embedding(inputs, weights.T)

    drive = project(p["input"]) + p["bias"]
    h = p["initial_state"].expand(drive.shape[1:])
    states = []
    if "recurrent" in p:
        weights = p["recurrent"].T
        for x in drive.unbind():
            h = torch.tanh(torch.addmm(x, h, weights))
            states.append(h)
    else:
        first, second = p["state_to_factor"].T, p["factor_to_state"].T
        for x, gain in zip(drive.unbind(), project(p["input_to_factor"]).unbind()):
            h = torch.tanh(torch.addmm(x, gain * (h @ first), second))
            states.append(h)
    h = h if last_only else torch.stack(states)
    out = h @ p["output"].T + p["output_bias"]
    scale = float(1.0 / np.count_nonzero(batch.mask))
    probabilities = None if last_only else torch.softmax(out.detach(), -1)
    dummy = torch.zeros_like(out, requires_grad=True)
    (pulled,) = torch.autograd.grad(out, flat, dummy, create_graph=True)
    direction = torch.from_numpy(v)

    def product():
        (d,) = torch.autograd.grad(pulled, dummy, direction, retain_graph=True)
        if probabilities is None:
            d = scale * d
        else:
            d = scale * probabilities * (d - (probabilities * d).sum(-1, keepdim=True))
        (result,) = torch.autograd.grad(out, flat, d, retain_graph=True)
        return result.numpy()

    return product


def measure(row, dtype, repeats, rng):
    network, params, batch = make_problem(row, dtype, rng)
    v = rng.normal(size=network.n_params).astype(dtype)
    linearization = network.linearize(params, batch)
    out = np.empty_like(v)
    candidates = {
        "ours": lambda: linearization.gauss_newton_product(v, out=out),
        "gradient": lambda: network.value_and_gradient(params, batch)[1],
    }
    if not ONE_THREAD:
        shards = ParallelObjective(network, n_jobs=-1).linearize(params, batch)
        candidates["jobs"] = lambda: shards.gauss_newton_product(v)
    for name, maker in (("jax", jax_product), ("torch", torch_product)):
        try:
            candidates[name] = maker(network, params, batch, v)
        except ImportError:
            continue
    reference = linearization.gauss_newton_product(v)
    tolerance = 1e-9 if dtype == np.float64 else 1e-3
    for name in ("jax", "torch"):
        if name in candidates:
            error = np.linalg.norm(candidates[name]() - reference) / np.linalg.norm(reference)
            if not error < tolerance:
                raise SystemExit(f"{name} and hessianfree differ by {error:.1e}")
    times = {name: [] for name in candidates}
    for function in candidates.values():
        function()
    for _ in range(repeats):
        for name, function in candidates.items():
            times[name].append(seconds(function))
    return {name: float(np.median(values)) for name, values in times.items()}


def memory_formula(row, itemsize):
    """Bytes of a linearization after a product; terms without T·B and the parameters left out."""
    kind, n_symbols, n_steps, n_sequences, n = PROBLEMS[row]
    columns = 0 if n_symbols else 4  # x_t, 1 and padding
    scored = n_steps if n_symbols else 1
    # [h, x, 1], slopes, sweep; or h, slopes, sweep, a, g, [f, x, 1], factor sweep, ḡ
    per_row = {"vanilla": 3 * n + columns, "multiplicative": 3 * n + 5 * n + columns}[kind]
    # states_bar, predictions, d_outputs, outputs_bar
    per_scored_row = n + 3 * (n_symbols or 1)
    return itemsize * n_sequences * (n_steps * per_row + scored * per_scored_row)


def print_memory(rows, rng):
    print("\n| problem | formula MB | held MB | ratio |\n|---|---|---|---|")
    for row in rows:
        network, params, batch = make_problem(row, np.float64, rng)
        linearization = network.linearize(params, batch)
        linearization.gauss_newton_product(params)
        formula, held = memory_formula(row, 8), linearization.nbytes
        print(f"| {row} | {formula / 1e6:.1f} | {held / 1e6:.1f} | {held / formula:.2f} |")


def print_vanishing(rng, repeats):
    """Time products in float32 whose backward sweep keeps its size, and whose sweep vanishes."""
    flush_every = elman.FLUSH_EVERY
    times, shares, products = {}, {}, {}
    for name, scale in (("lasting", 1.0), ("vanishing", 0.25)):
        network, params, batch = make_problem(1, np.dtype("float32"), rng)
        v = rng.normal(size=network.n_params).astype(np.float32)
        linearization = network.linearize(np.float32(scale) * params, batch)
        products[name] = linearization, partial(linearization.gauss_newton_product, v)
    for _ in range(repeats):
        for name, (linearization, product) in products.items():
            for flushed in ("yes", "no"):
                elman.FLUSH_EVERY = flush_every if flushed == "yes" else 2**62
                times.setdefault((name, flushed), []).append(seconds(product))
                sweep = np.abs(linearization._kept.trajectory.workspace.get("sweep", ()))
                shares[name, flushed] = np.mean((sweep > 0) & (sweep < np.finfo(np.float32).tiny))
    elman.FLUSH_EVERY = flush_every
    print("\n| backward sweep | flushed | ms | subnormal cotangents |\n|---|---|---|---|")
    for (name, flushed), values in times.items():
        share = 100 * shares[name, flushed]
        print(f"| {name} | {flushed} | {1e3 * np.median(values):.1f} | {share:.2f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=list(PROBLEMS))
    parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--default-threads", action="store_true")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    jobs = "" if ONE_THREAD else " n_jobs=-1 ms | times faster |"
    print(
        "| problem | dtype | ours ms | jax ms | torch ms | times faster | gradients | GEMM peak |"
        + jobs
    )
    print("|---|---|---|---|---|---|---|---|" + "---|---|" * (not ONE_THREAD))
    for row in arguments.rows:
        kind, n_symbols, n_steps, n_sequences, n_units = PROBLEMS[row]
        for dtype in arguments.dtypes:
            peak = gemm_peak(np.dtype(dtype))
            times = measure(row, np.dtype(dtype), arguments.repeats, rng)
            rivals = [times[name] for name in ("jax", "torch") if name in times]
            share = operations(row) / times["ours"] / peak
            cells = [
                f"{kind}{', 86 symbols' if n_symbols else ''} T={n_steps} B={n_sequences} "
                f"N={n_units}",
                dtype,
                f"{1e3 * times['ours']:.1f}",
                *(f"{1e3 * times[name]:.1f}" if name in times else "" for name in ("jax", "torch")),
                f"{min(rivals) / times['ours']:.2f}" if rivals else "",
                f"{times['ours'] / times['gradient']:.2f}",
                f"{100 * share:.0f} % of {peak / 1e9:.0f} GF/s",
            ]
            if "jobs" in times:
                cells.append(f"{1e3 * times['jobs']:.1f}")
                cells.append(f"{min(rivals) / times['jobs']:.2f}" if rivals else "")
            print("| " + " | ".join(cells) + " |", flush=True)
    if ONE_THREAD:
        print_memory(arguments.rows, rng)
        print_vanishing(rng, arguments.repeats)


if __name__ == "__main__":
    main()
