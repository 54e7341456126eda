"""One recurrent net, written for PyTorch, for JAX and for this library: the same numbers."""

import numpy as np
import pytest

from hessianfree import Batch, ElmanCell, HessianFree, SequenceNetwork
from hessianfree.interfaces import JaxObjective, TorchObjective

LENGTHS = 6, 4, 5


@pytest.fixture
def network():
    return SequenceNetwork(ElmanCell(2, 4), n_outputs=3, loss="softmax", l2=0.01)


@pytest.fixture
def batch(rng):
    return Batch.from_sequences(
        [rng.normal(size=(n, 2)) for n in LENGTHS],
        [rng.integers(3, size=n) for n in LENGTHS],
    )


def in_torch(network):
    torch = pytest.importorskip("torch", reason="needs PyTorch")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, shape in network.layout.shapes.items():
                self.register_parameter(
                    name, torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64))
                )

        def forward(self, inputs):
            state, outputs = self.initial_state.expand(inputs.shape[1], -1), []
            for x in inputs:
                state = torch.tanh(state @ self.recurrent.T + x @ self.input.T + self.bias)
                outputs.append(state @ self.output.T + self.output_bias)
            return torch.stack(outputs)

    return TorchObjective(Net(), "softmax", l2=network.l2)


def in_jax(network, jax):
    jnp = jax.numpy
    names = list(network.layout.shapes)

    def net(params, inputs):
        p = dict(zip(names, params, strict=True))

        def step(state, x):
            state = jnp.tanh(state @ p["recurrent"].T + x @ p["input"].T + p["bias"])
            return state, state @ p["output"].T + p["output_bias"]

        start = jnp.broadcast_to(p["initial_state"], (inputs.shape[1], len(p["bias"])))
        return jax.lax.scan(step, start, inputs)[1]

    zeros = [np.zeros(shape) for shape in network.layout.shapes.values()]
    return JaxObjective(net, zeros, "softmax", l2=network.l2)


def check(objective, network, batch, rng):
    assert objective.n_params == network.n_params
    params = 0.5 * rng.normal(size=network.n_params)
    expected, found = network.linearize(params, batch), objective.linearize(params, batch)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    np.testing.assert_allclose(found.gradient(), expected.gradient(), atol=1e-12)
    for _ in range(3):
        v = rng.normal(size=len(params))
        np.testing.assert_allclose(
            found.gauss_newton_product(v), expected.gauss_newton_product(v), atol=1e-12
        )
    # And therefore the same steps.
    optimizer = HessianFree()
    ours = theirs = optimizer.init(params)
    for _ in range(3):
        ours, _ = optimizer.step(network, ours, batch)
        theirs, _ = optimizer.step(objective, theirs, batch)
    np.testing.assert_allclose(theirs.params, ours.params, atol=1e-8)


def test_torch(network, batch, rng):
    check(in_torch(network), network, batch, rng)


def test_jax(network, batch, rng, jax):
    check(in_jax(network, jax), network, batch, rng)
