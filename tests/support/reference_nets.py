"""The nets written out plainly: one sequence, one step, one row at a time.

Everything takes complex parameters, so that the complex step gives exact Jacobians: the imaginary
part of f(x + ih) is h f'(x) without any difference of nearly equal numbers.
"""

import numpy as np
from scipy.linalg import block_diag

from hessianfree.cells import (
    BidirectionalCell,
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    MUT1Cell,
    MUT2Cell,
    MUT3Cell,
    StackedCell,
    TensorCell,
)
from hessianfree.cells.bidirectional import reads_ahead
from hessianfree.training import take_sequences

# Of the loss of that name: up to here squares, then distances.
HUBER = 0.8

ACTIVATIONS = {
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.where(np.real(z) > 0, z, 0),
}


def split(network, flat):
    """Name the blocks of a flat vector, counting from the front."""
    blocks, start = {}, 0
    for name, shape in network.layout.shapes.items():
        size = int(np.prod(shape))
        blocks[name] = flat[start : start + size].reshape(shape)
        start += size
    assert start == len(flat)
    return blocks


def preactivation(cell, p, x, h):
    """z_t from x_t and h_{t-1}, both vectors."""
    if isinstance(cell, MultiplicativeCell):
        gain = p["input_to_factor"] @ x
        if cell.gain == "shifted_tanh":
            gain = np.tanh(gain) + p["factor_bias"]
        inner = p["factor_to_state"] @ (gain * (p["state_to_factor"] @ h))
    elif isinstance(cell, TensorCell):
        inner = sum(x[k] * (p["recurrent"][k] @ h) for k in range(cell.n_inputs))
    else:
        inner = p["recurrent"] @ h
    return inner + p["input"] @ x + p["bias"]


def logistic(z):
    return 1 / (1 + np.exp(-z))


def lstm(cell, p, x, state):
    """[h_t, c_t]: Gers, Schraudolph & Schmidhuber (2002), with h_{t-1} for their y_{t-1}."""
    h, c = np.split(state, 2)
    peepholes = p.get("peephole", np.zeros((3, cell.n_units)))

    def drive(gate):
        return p[gate + "recurrent"] @ h + p[gate + "input"] @ x + p[gate + "bias"]

    i = logistic(drive("input_gate_") + peepholes[0] * c)
    f = logistic(drive("forget_gate_") + peepholes[1] * c)
    c = f * c + i * np.tanh(drive(""))
    o = logistic(drive("output_gate_") + peepholes[2] * c)
    return np.concatenate([o * np.tanh(c), c])


def updated(cell, p, x, h):
    """The GRU as in Cho et al. (2014), the mutations as in Jozefowicz et al. (2015)."""
    Wxz, Wxr, Wxh = p.get("update_input"), p.get("reset_input"), p.get("input")
    Whz, Whr, Whh = p.get("update_recurrent"), p["reset_recurrent"], p["recurrent"]
    bz, br, bh = p["update_bias"], p["reset_bias"], p["bias"]
    if isinstance(cell, GRUCell):
        z = logistic(Wxz @ x + Whz @ h + bz)
        r = logistic(Wxr @ x + Whr @ h + br)
        return z * h + (1 - z) * np.tanh(Wxh @ x + Whh @ (r * h) + bh)
    if isinstance(cell, MUT1Cell):
        z = logistic(Wxz @ x + bz)
        r = logistic(Wxr @ x + Whr @ h + br)
        x = x if Wxh is None else Wxh @ x
        return np.tanh(Whh @ (r * h) + np.tanh(x) + bh) * z + h * (1 - z)
    if isinstance(cell, MUT2Cell):
        z = logistic(Wxz @ x + Whz @ h + bz)
        r = logistic((x if Wxr is None else Wxr @ x) + Whr @ h + br)
        return np.tanh(Whh @ (r * h) + Wxh @ x + bh) * z + h * (1 - z)
    assert isinstance(cell, MUT3Cell)
    z = logistic(Wxz @ x + Whz @ np.tanh(h) + bz)
    r = logistic(Wxr @ x + Whr @ h + br)
    return np.tanh(Whh @ (r * h) + Wxh @ x + bh) * z + h * (1 - z)


def layer(p, i):
    """The blocks of layer i, from 0 on, of a stack."""
    prefix = f"layer{i + 1}."
    return {name.removeprefix(prefix): p[name] for name in p if name.startswith(prefix)}


def start(cell, p):
    """The learned initial state, or zeros."""
    if isinstance(cell, BidirectionalCell):
        blocks = [
            {n.removeprefix(d): p[n] for n in p if n.startswith(d)}
            for d in ("forward.", "backward.")
        ]
        return np.concatenate([start(c, own) for c, own in zip(cell.cells, blocks, strict=True)])
    if isinstance(cell, StackedCell):
        return np.concatenate([start(c, layer(p, i)) for i, c in enumerate(cell.cells)])
    return p.get("initial_state", np.zeros(cell.state_size))


def step(cell, p, x, state):
    """The next state, what other layers see, all that damping sees, and pre-activations."""
    if isinstance(cell, StackedCell):
        states, seen, at = [], [], 0
        for i, c in enumerate(cell.cells):
            own, x, _, _ = step(c, layer(p, i), x, state[at : at + c.state_size])
            at += c.state_size
            states.append(own)
            seen.append(x)
        return np.concatenate(states), x, np.concatenate(seen), x[:0]
    if isinstance(cell, LSTMCell):
        state = lstm(cell, p, x, state)
        h = state[: cell.n_units]
        return state, h, h, h[:0]
    if isinstance(cell, GRUCell | MUT1Cell | MUT2Cell | MUT3Cell):
        h = updated(cell, p, x, state)
        return h, h, h, h[:0]
    z = preactivation(cell, p, x, state)
    h = ACTIVATIONS[cell.activation](z)
    return h, h, h, z


def whole(cell, p, xs, state):
    """What other layers see and all that damping sees, at each step of a sequence."""
    if isinstance(cell, BidirectionalCell):
        at, seen, damped = cell.cells[0].state_size, [], []
        for direction, c, order, own in [
            ("forward.", cell.cells[0], 1, state[:at]),
            ("backward.", cell.cells[1], -1, state[at:]),
        ]:
            blocks = {n.removeprefix(direction): p[n] for n in p if n.startswith(direction)}
            shown, hidden = whole(c, blocks, xs[::order], own)
            turned = order if cell.aligned else 1
            seen.append(shown[::turned])
            damped.append(hidden[::turned])
        return np.concatenate(seen, axis=1), np.concatenate(damped, axis=1)
    if isinstance(cell, StackedCell):
        damped, at = [], 0
        for i, c in enumerate(cell.cells):
            xs, hidden = whole(c, layer(p, i), xs, state[at : at + c.state_size])
            at += c.state_size
            damped.append(hidden)
        return xs, np.concatenate(damped, axis=1)
    seen, damped = [], []
    for x in xs:
        state, h, hidden, _ = step(cell, p, x, state)
        seen.append(h)
        damped.append(hidden)
    return np.array(seen), np.array(damped)


def run_whole(network, flat, inputs, lengths, initial_inputs=None):
    """As `run`, of nets that read each sequence from both ends; zeros after its own end."""
    p, cell = split(network, flat), network.cell
    if inputs.ndim == 2:
        inputs = np.eye(cell.n_inputs)[inputs]
    outputs, states = [], []
    for b, length in enumerate(lengths):
        state = start(cell, p)
        if initial_inputs is not None:
            state = state + p["initial_input"] @ initial_inputs[b]
        h, hidden = whole(cell, p, inputs[:length, b], state)
        padding = ((0, len(inputs) - length), (0, 0))
        outputs.append(np.pad(h @ p["output"].T + p["output_bias"], padding))
        states.append(np.pad(hidden, padding))
    outputs, states = np.stack(outputs, axis=1), np.stack(states, axis=1)
    return outputs, states, states[..., :0]


def lengths_of(batch):
    """Steps of each sequence: as the batch says, or up to the last scored one."""
    if batch.lengths is not None:
        return batch.lengths
    scored = weights_of(batch) > 0
    return [np.flatnonzero(column)[-1] + 1 if column.any() else 1 for column in scored.T]


def run_batch(network, flat, batch):
    """`run` or `run_whole`, as it belongs to the net."""
    if reads_ahead(network.cell):
        return run_whole(network, flat, batch.inputs, lengths_of(batch), batch.initial_inputs)
    return run(network, flat, batch.inputs, batch.initial_inputs)


def run(network, flat, inputs, initial_inputs=None):
    """Outputs, damped states and pre-activations, each of shape (n_steps, n_sequences, -1)."""
    p, cell = split(network, flat), network.cell
    if inputs.ndim == 2:
        inputs = np.eye(cell.n_inputs)[inputs]
    outputs, states, zs = [], [], []
    for b in range(inputs.shape[1]):
        state = start(cell, p)
        if initial_inputs is not None:
            state = state + p["initial_input"] @ initial_inputs[b]
        row_o, row_h, row_z = [], [], []
        for x in inputs[:, b]:
            state, h, hidden, z = step(cell, p, x, state)
            row_z.append(z)
            row_h.append(hidden)
            row_o.append(p["output"] @ h + p["output_bias"])
        outputs.append(row_o)
        states.append(row_h)
        zs.append(row_z)
    return tuple(np.moveaxis(np.array(a), 0, 1) for a in (outputs, states, zs))


def softmax(o):
    e = np.exp(o - np.max(np.real(o)))
    return e / e.sum()


def parts_of(name):
    """(name, weight, where its outputs lie) of the parts of a joint loss."""
    start = 0
    for part, size, weight in name:
        yield part, weight, slice(start, start + size)
        start += size


def row_loss(name, o, y, n_outputs):
    """A name, or for a joint loss a tuple of (name, number of outputs, weight)."""
    if isinstance(name, tuple):
        return sum(w * row_loss(part, o[s], y[s], None) for part, w, s in parts_of(name))
    if name == "huber":
        distance = np.where(np.real(o - y) < 0, y - o, o - y)
        near = np.real(distance) < HUBER
        return np.sum(np.where(near, distance**2 / 2, HUBER * (distance - HUBER / 2)))
    if name == "squared_error":
        return 0.5 * np.sum((o - y) ** 2)
    if name == "logistic":
        p = 1 / (1 + np.exp(-o))
        return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))
    y = np.eye(n_outputs)[y] if np.ndim(y) == 0 else y
    return -np.sum(y * np.log(softmax(o)))


def row_hessian(name, o, y=None):
    if isinstance(name, tuple):
        blocks = [w * row_hessian(part, o[s], y[s]) for part, w, s in parts_of(name)]
        return block_diag(*blocks)
    if name == "huber":
        return np.diag((abs(o - y) < HUBER).astype(float))
    if name == "squared_error":
        return np.eye(len(o))
    if name == "logistic":
        p = 1 / (1 + np.exp(-o))
        return np.diag(p * (1 - p))
    p = softmax(o)
    return np.diag(p) - np.outer(p, p)


def weights_of(batch):
    mask = np.ones(batch.inputs.shape[:2]) if batch.mask is None else batch.mask.astype(float)
    return mask / mask.sum()


def penalised(network):
    """1 where a parameter belongs to a matrix, 0 for biases and initial states."""
    return np.concatenate(
        [np.full(int(np.prod(s)), float(len(s) > 1)) for s in network.layout.shapes.values()]
    )


def value(network, loss, flat, batch):
    return value_of(network, loss, flat, batch, outputs_of(network, flat, batch))


def outputs_of(network, flat, batch):
    return run_batch(network, flat, batch)[0]


def value_of(network, loss, flat, batch, outputs):
    total = 0.5 * network.l2 * np.sum(penalised(network) * flat**2)
    for (t, b), w in np.ndenumerate(weights_of(batch)):
        if w > 0:
            total = total + w * row_loss(
                loss, outputs[t, b], batch.targets[t, b], network.n_outputs
            )
    return total


def jacobian(function, flat):
    """Complex-step Jacobian: outputs along the first axes, parameters along the last."""
    columns = []
    for i in range(len(flat)):
        shifted = flat.astype(complex)
        shifted[i] += 1e-30j
        columns.append(np.imag(function(shifted)) / 1e-30)
    return np.stack(columns, axis=-1)


def derivatives(network, loss, flat, batch):
    """∇f, Jᵀ H_L J with the penalty, and J_hᵀ D″ J_h over the steps up to the last scored ones."""

    def everything(p):
        parts = run_batch(network, p, batch)
        return np.append(np.concatenate(parts, axis=2), value_of(network, loss, p, batch, parts[0]))

    outputs, states, _ = run_batch(network, flat, batch)
    whole = jacobian(everything, flat)
    gradient, whole = whole[-1], whole[:-1].reshape(*outputs.shape[:2], -1, len(flat))
    n_outputs, n_hidden = network.n_outputs, states.shape[2]
    jac_outputs = whole[:, :, :n_outputs]
    if network.structural_distance == "squared":
        jac_hidden = whole[:, :, n_outputs : n_outputs + n_hidden]
        distance = np.ones_like(states)
    else:
        jac_hidden = whole[:, :, n_outputs + n_hidden :]
        distance = (1 - states**2) / 4
    weights = weights_of(batch)
    gauss_newton = network.l2 * np.diag(penalised(network))
    structure = np.zeros((len(flat), len(flat)))
    ends = lengths_of(batch)
    for (t, b), w in np.ndenumerate(weights):
        if w > 0:
            jac = jac_outputs[t, b]
            gauss_newton += w * jac.T @ row_hessian(loss, outputs[t, b], batch.targets[t, b]) @ jac
        is_live = t < ends[b] if reads_ahead(network.cell) else np.any(weights[t:, b])
        if is_live and np.any(weights[:, b]):
            structure += jac_hidden[t, b].T @ np.diag(distance[t, b]) @ jac_hidden[t, b]
    return gradient, gauss_newton, structure / np.count_nonzero(weights)


def fisher_diagonal(network, loss, flat, batch):
    """(1/n) Σ_i (Σ_t w_it ∇ℓ_it)² with the weights scaled to mean 1 over n scored steps."""
    weights = weights_of(batch)
    n_scored = np.count_nonzero(weights)
    total = network.l2 * penalised(network)
    for b in range(weights.shape[1]):

        def sequence_loss(p, b=b):
            outputs = outputs_of(network, p, take_sequences(batch, np.array([b])))
            return sum(
                w * n_scored * row_loss(loss, outputs[t, 0], batch.targets[t, b], network.n_outputs)
                for t, w in enumerate(weights[:, b])
                if w > 0
            )

        if np.any(weights[:, b]):
            total = total + jacobian(sequence_loss, flat) ** 2 / n_scored
    return total
