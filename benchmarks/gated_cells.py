"""How long are gradients and Gauss-Newton products of LSTM and GRU nets, against PyTorch and JAX?

    python -m benchmarks.gated_cells [--rows 1 2 3 4] [--dtypes float64 float32] [--repeats 9]

One thread; medians of interleaved repeats in one process, in processor time. JAX and PyTorch are
measured where they are installed, in a virtual environment of their own that has this package too.
Every rival has its best form: all gates of a step in one product, input projections hoisted out of
the loop, symbols by look-up, weights joined outside what is timed for the kept graphs of products;
for gradients PyTorch has its own `torch.nn.LSTM` as well, and the faster of the two counts.
Results are compared with each other before anything is timed. Takes about two minutes.
"""

from __future__ import annotations

import argparse

# First: sets the number of threads, before NumPy is imported.
from benchmarks.gauss_newton import gemm_peak, seconds  # isort: skip

import numpy as np

from hessianfree.batch import Batch
from hessianfree.cells import GRUCell, LSTMCell
from hessianfree.cells.lstm import GATES
from hessianfree.network import SequenceNetwork

# cell, symbols (0: two real inputs and one output, scored at the end), steps, sequences, units
PROBLEMS = {
    1: ("lstm", 86, 100, 32, 300),
    2: ("lstm", 0, 100, 200, 100),
    3: ("gru", 86, 100, 32, 300),
    4: ("gru", 0, 100, 200, 100),
}
# Blocks that one product joins, in the order of each cell's equations.
JOINED = {"lstm": [GATES], "gru": [("update_", "reset_"), ("",)]}


def make_problem(row, dtype, rng):
    kind, n_symbols, n_steps, n_sequences, n_units = PROBLEMS[row]
    shape = (n_steps, n_sequences)
    mask = None
    if n_symbols:
        inputs, targets = rng.integers(n_symbols, size=(2, *shape))
        loss, n_inputs, n_outputs = "softmax", n_symbols, n_symbols
    else:
        inputs = rng.normal(size=(*shape, 2)).astype(dtype)
        targets = rng.normal(size=(*shape, 1)).astype(dtype)
        mask = np.zeros(shape)
        mask[-1] = 1
        loss, n_inputs, n_outputs = "squared_error", 2, 1
    cell = {"lstm": LSTMCell, "gru": GRUCell}[kind](n_inputs, n_units)
    network = SequenceNetwork(cell, n_outputs, loss)
    params = rng.normal(size=network.n_params) / np.sqrt(n_units)
    return network, params.astype(dtype), Batch(inputs, targets, mask)


def operations(row, n_products):
    """Floating-point operations of matrix products, each weight used `n_products` times a step."""
    kind, n_symbols, n_steps, n_sequences, n = PROBLEMS[row]
    gates = {"lstm": 4, "gru": 3}[kind]
    per_step = gates * n * (n + (0 if n_symbols else 2)) + n * (n_symbols or 1 / n_steps)
    return 2 * n_products * n_steps * n_sequences * per_step


def jax_functions(kind, network, params, batch, v):
    """Gradient and product: `jax.value_and_grad`, and `jax.linearize` with its transpose."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    layout, inputs = network.layout, jnp.asarray(batch.inputs)
    last_only = inputs.ndim == 3
    n, sigmoid = network.cell.n_units, jax.nn.sigmoid

    def outputs(flat):
        p = {name: flat[part].reshape(layout.shapes[name]) for name, part in layout.slices.items()}

        def join(block, gates):
            return jnp.concatenate([p[gate + block] for gate in gates])

        def drive(gates):
            weights, bias = join("input", gates), join("bias", gates)
            return (inputs @ weights.T if last_only else weights.T[inputs]) + bias

        first, *others = [join("recurrent", gates).T for gates in JOINED[kind]]
        drives = tuple(drive(gates) for gates in JOINED[kind])
        start = jnp.broadcast_to(p["initial_state"], (inputs.shape[1], network.cell.state_size))

        def lstm(state, x):
            h, c = state[:, :n], state[:, n:]
            g, i, f, o = jnp.split(h @ first + x[0], 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
            h = sigmoid(o) * jnp.tanh(c)
            return jnp.concatenate([h, c], axis=1), None if last_only else h

        def gru(h, x):
            z, r = jnp.split(sigmoid(h @ first + x[0]), 2, axis=1)
            h = z * h + (1 - z) * jnp.tanh((r * h) @ others[0] + x[1])
            return h, None if last_only else h

        final, states = jax.lax.scan({"lstm": lstm, "gru": gru}[kind], start, drives)
        return (final[:, :n] if last_only else states) @ p["output"].T + p["output_bias"]

    targets = jnp.asarray(batch.targets[-1] if last_only else batch.targets)

    def loss(flat):
        out = outputs(flat)
        if last_only:
            return 0.5 * jnp.sum((out - targets) ** 2) / len(targets)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(out), targets[..., None], axis=-1)
        return -jnp.mean(chosen)

    here, direction = jnp.asarray(params), jnp.asarray(v)
    gradient = jax.jit(jax.value_and_grad(loss))
    out, push = jax.jit(lambda p: jax.linearize(outputs, p))(here)
    probabilities = None if last_only else jax.nn.softmax(out)

    def curvature(d):
        if probabilities is None:
            return d / len(targets)
        d = probabilities * (d - (probabilities * d).sum(-1, keepdims=True))
        return d / targets.size

    @jax.jit
    def product(push, v):
        (result,) = jax.linear_transpose(push, v)(curvature(push(v)))
        return result

    return (
        lambda: np.asarray(gradient(here)[1].block_until_ready()),
        lambda: np.asarray(product(push, direction).block_until_ready()),
    )


def torch_functions(kind, network, params, batch, v):
    """Gradient and product: autograd over a loop, and double backward with both graphs kept."""
    import torch

    torch.set_num_threads(1)
    layout, inputs = network.layout, torch.from_numpy(batch.inputs)
    last_only = inputs.ndim == 3
    n, functional = network.cell.n_units, torch.nn.functional
    targets = torch.from_numpy(batch.targets[-1] if last_only else batch.targets)
    flat = torch.from_numpy(params).requires_grad_()

    def outputs():
        p = {name: flat[part].reshape(layout.shapes[name]) for name, part in layout.slices.items()}

        def join(block, gates):
            return torch.cat([p[gate + block] for gate in gates])

        def drive(gates):
            weights, bias = join("input", gates), join("bias", gates)
            projected = inputs @ weights.T if last_only else functional.embedding(inputs, weights.T)
            return (projected + bias).unbind()

        weights = [join("recurrent", gates).T for gates in JOINED[kind]]
        drives = [drive(gates) for gates in JOINED[kind]]
        state = p["initial_state"].expand(inputs.shape[1], network.cell.state_size)
        h, c = state[:, :n], state[:, n:]
        states = []
        for x in zip(*drives):
            gates = torch.addmm(x[0], h, weights[0])
            if kind == "lstm":
                g, i, f, o = gates.chunk(4, 1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            else:
                z, r = torch.sigmoid(gates).chunk(2, 1)
                h = z * h + (1 - z) * torch.tanh(torch.addmm(x[1], r * h, weights[1]))
            states.append(h)
        h = h if last_only else torch.stack(states)
        return h @ p["output"].T + p["output_bias"]

    def loss(out):
        if last_only:
            return 0.5 * ((out - targets) ** 2).sum() / len(targets)
        return functional.cross_entropy(out.flatten(0, 1), targets.flatten())

    def gradient():
        return torch.autograd.grad(loss(outputs()), flat)[0].numpy()

    out = outputs()
    probabilities = None if last_only else torch.softmax(out.detach(), -1)
    dummy = torch.zeros_like(out, requires_grad=True)
    (pulled,) = torch.autograd.grad(out, flat, dummy, create_graph=True)
    direction = torch.from_numpy(v)

    def product():
        (d,) = torch.autograd.grad(pulled, dummy, direction, retain_graph=True)
        if probabilities is None:
            d = d / len(targets)
        else:
            d = probabilities * (d - (probabilities * d).sum(-1, keepdim=True)) / targets.numel()
        (result,) = torch.autograd.grad(out, flat, d, retain_graph=True)
        return result.numpy()

    return gradient, product


def torch_own_lstm(network, params, batch):
    """The gradient by `torch.nn.LSTM`, in blocks of its own; returns value and function."""
    import torch

    layout, n = network.layout, network.cell.n_units
    p = {name: torch.from_numpy(block) for name, block in layout.views(params).items()}
    order = ("input_gate_", "forget_gate_", "", "output_gate_")
    inputs = torch.from_numpy(batch.inputs)
    last_only = inputs.ndim == 3
    targets = torch.from_numpy(batch.targets[-1] if last_only else batch.targets)
    lstm = torch.nn.LSTM(network.cell.n_inputs if last_only else 4 * n, n).to(p["bias"].dtype)
    joined = {b: torch.cat([p[gate + b] for gate in order]) for b in ("input", "recurrent", "bias")}
    lstm.weight_hh_l0.data, lstm.bias_ih_l0.data = joined["recurrent"], joined["bias"]
    torch.nn.init.zeros_(lstm.bias_hh_l0)
    if not last_only:
        # It takes no symbols: a one-hot row is what its input product needs.
        inputs = torch.nn.functional.one_hot(inputs, network.cell.n_inputs).to(p["bias"].dtype)
        lstm = torch.nn.LSTM(network.cell.n_inputs, n).to(p["bias"].dtype)
        lstm.weight_hh_l0.data, lstm.bias_ih_l0.data = joined["recurrent"], joined["bias"]
        torch.nn.init.zeros_(lstm.bias_hh_l0)
    lstm.weight_ih_l0.data = joined["input"]
    start = p["initial_state"].clone().requires_grad_()
    output, bias = p["output"].clone().requires_grad_(), p["output_bias"].clone().requires_grad_()
    leaves = [*lstm.parameters(), start, output, bias]

    def gradient():
        state = start.expand(1, inputs.shape[1], 2 * n)
        h = lstm(inputs, (state[..., :n].contiguous(), state[..., n:].contiguous()))[0]
        out = (h[-1] if last_only else h) @ output.T + bias
        if last_only:
            value = 0.5 * ((out - targets) ** 2).sum() / len(targets)
        else:
            value = torch.nn.functional.cross_entropy(out.flatten(0, 1), targets.flatten())
        return torch.autograd.grad(value, leaves)

    def recurrent_of_candidate():
        return gradient()[1][2 * n : 3 * n].numpy()

    return gradient, recurrent_of_candidate


def check(name, found, expected, dtype):
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    if not error < (1e-9 if dtype == np.float64 else 1e-3):
        raise SystemExit(f"{name} and hessianfree differ by {error:.1e}")


def measure(row, dtype, repeats, rng):
    """Return medians of the seconds of each contestant in each of the two computations."""
    kind = PROBLEMS[row][0]
    network, params, batch = make_problem(row, dtype, rng)
    v = rng.normal(size=network.n_params).astype(dtype)
    linearization = network.linearize(params, batch)
    out = np.empty_like(v)
    contestants = {
        ("gradient", "ours"): lambda: network.value_and_gradient(params, batch)[1],
        ("product", "ours"): lambda: linearization.gauss_newton_product(v, out=out),
    }
    expected = {task: function().copy() for (task, _), function in contestants.items()}
    for name, maker in (("jax", jax_functions), ("torch", torch_functions)):
        try:
            functions = maker(kind, network, params, batch, v)
        except ImportError:
            continue
        for task, function in zip(("gradient", "product"), functions):
            check(name, function(), expected[task], dtype)
            contestants[task, name] = function
        if name == "torch" and kind == "lstm":
            contestants["gradient", "torch.nn"], block = torch_own_lstm(network, params, batch)
            part = network.layout.views(expected["gradient"])["recurrent"]
            check("torch.nn.LSTM", block(), part, dtype)
    times = {key: [] for key in contestants}
    for _ in range(repeats):
        for key, function in contestants.items():
            times[key].append(seconds(function))
    return {key: float(np.median(values)) for key, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=list(PROBLEMS))
    parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    print("| problem | dtype | | ours ms | jax ms | torch ms | times faster | GEMM peak |")
    print("|---|---|---|---|---|---|---|---|")
    for row in arguments.rows:
        kind, n_symbols, n_steps, n_sequences, n_units = PROBLEMS[row]
        inputs = f", {n_symbols} symbols" if n_symbols else ""
        problem = f"{kind}{inputs} T={n_steps} B={n_sequences} N={n_units}"
        for dtype in map(np.dtype, arguments.dtypes):
            peak = gemm_peak(dtype)
            times = measure(row, dtype, 3 if arguments.quick else arguments.repeats, rng)
            for task, n_products in (("gradient", 3), ("product", 4)):
                ours = times[task, "ours"]
                found = {name: value for (what, name), value in times.items() if what == task}
                rivals = {
                    "jax": found.get("jax"),
                    "torch": min(
                        (found[name] for name in ("torch", "torch.nn") if name in found),
                        default=None,
                    ),
                }
                best = min((value for value in rivals.values() if value), default=None)
                share = operations(row, n_products) / ours / peak
                cells = [
                    problem,
                    str(dtype),
                    task,
                    f"{1e3 * ours:.1f}",
                    *(f"{1e3 * value:.1f}" if value else "" for value in rivals.values()),
                    f"{best / ours:.2f}" if best else "",
                    f"{100 * share:.0f} % of {peak / 1e9:.0f} GF/s",
                ]
                print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
