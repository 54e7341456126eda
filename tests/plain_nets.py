"""The nets written out plainly: one sequence, one step, one row at a time.

Everything takes complex parameters, so that the complex step gives exact Jacobians: the imaginary
part of f(x + ih) is h f'(x) without any difference of nearly equal numbers.
"""

import numpy as np

from hessianfree.cells import MultiplicativeCell, TensorCell

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


def run(network, flat, inputs):
    """Outputs, states and pre-activations, each of shape (n_steps, n_sequences, -1)."""
    p, cell = split(network, flat), network.cell
    if inputs.ndim == 2:
        inputs = np.eye(cell.n_inputs)[inputs]
    outputs, states, zs = [], [], []
    for b in range(inputs.shape[1]):
        h = p.get("initial_state", np.zeros(cell.n_units))
        row_o, row_h, row_z = [], [], []
        for x in inputs[:, b]:
            z = preactivation(cell, p, x, h)
            h = ACTIVATIONS[cell.activation](z)
            row_z.append(z)
            row_h.append(h)
            row_o.append(p["output"] @ h + p["output_bias"])
        outputs.append(row_o)
        states.append(row_h)
        zs.append(row_z)
    return tuple(np.moveaxis(np.array(a), 0, 1) for a in (outputs, states, zs))


def softmax(o):
    e = np.exp(o - np.max(np.real(o)))
    return e / e.sum()


def row_loss(name, o, y, n_outputs):
    if name == "squared_error":
        return 0.5 * np.sum((o - y) ** 2)
    if name == "logistic":
        p = 1 / (1 + np.exp(-o))
        return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))
    y = np.eye(n_outputs)[y] if np.ndim(y) == 0 else y
    return -np.sum(y * np.log(softmax(o)))


def row_hessian(name, o):
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
    outputs = run(network, flat, batch.inputs)[0]
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


def gradient(network, loss, flat, batch):
    return jacobian(lambda p: value(network, loss, p, batch), flat)


def curvature_matrices(network, loss, flat, batch):
    """Jᵀ H_L J with the penalty, and J_hᵀ D″ J_h over the steps up to the last scored ones."""
    outputs, states, _ = run(network, flat, batch.inputs)
    whole = jacobian(lambda p: np.concatenate(run(network, p, batch.inputs), axis=2), flat)
    n_outputs, n_units = network.n_outputs, network.cell.n_units
    jac_outputs = whole[:, :, :n_outputs]
    if network.structural_distance == "squared":
        jac_hidden = whole[:, :, n_outputs : n_outputs + n_units]
        distance = np.ones_like(states)
    else:
        jac_hidden = whole[:, :, n_outputs + n_units :]
        distance = (1 - states**2) / 4
    weights = weights_of(batch)
    gauss_newton = network.l2 * np.diag(penalised(network))
    structure = np.zeros((len(flat), len(flat)))
    for (t, b), w in np.ndenumerate(weights):
        if w > 0:
            jac = jac_outputs[t, b]
            gauss_newton += w * jac.T @ row_hessian(loss, outputs[t, b]) @ jac
        if np.any(weights[t:, b]):
            structure += jac_hidden[t, b].T @ np.diag(distance[t, b]) @ jac_hidden[t, b]
    return gauss_newton, structure / np.count_nonzero(weights)


def fisher_diagonal(network, loss, flat, batch):
    """(1/n) Σ_i (Σ_t w_it ∇ℓ_it)² with the weights scaled to mean 1 over n scored steps."""
    weights = weights_of(batch)
    n_scored = np.count_nonzero(weights)
    total = network.l2 * penalised(network)
    for b in range(weights.shape[1]):

        def sequence_loss(p, b=b):
            outputs = run(network, p, batch.inputs[:, b : b + 1])[0]
            return sum(
                w * n_scored * row_loss(loss, outputs[t, 0], batch.targets[t, b], network.n_outputs)
                for t, w in enumerate(weights[:, b])
                if w > 0
            )

        if np.any(weights[:, b]):
            total = total + jacobian(sequence_loss, flat) ** 2 / n_scored
    return total
