"""Recurrent nets on a device and on the host."""

import numpy as np

from hessianfree import (
    Batch,
    SequenceNetwork,
)
from hessianfree.cells import (
    ElmanCell,
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    MUT1Cell,
    MUT2Cell,
    MUT3Cell,
    StackedCell,
    TensorCell,
)
from hessianfree.optimize import (
    HessianFree,
    LevenbergMarquardt,
)
from reservoir.utils.device import is_on_device, to_host

CELLS = {
    "elman": lambda n: ElmanCell(n, 5),
    "elman, relu, no initial state": lambda n: ElmanCell(
        n, 5, activation="relu", learn_initial_state=False
    ),
    "multiplicative": lambda n: MultiplicativeCell(n, 5, 7),
    "multiplicative, shifted": lambda n: MultiplicativeCell(
        n, 5, 7, gain="shifted_tanh", activation="logistic"
    ),
    "tensor": lambda n: TensorCell(n, 5),
    "lstm": lambda n: LSTMCell(n, 5),
    "lstm, peepholes": lambda n: LSTMCell(n, 5, peepholes=True),
    "gru": lambda n: GRUCell(n, 5),
    "mut1": lambda n: MUT1Cell(n, 5),
    "mut2": lambda n: MUT2Cell(n, 5),
    "mut3": lambda n: MUT3Cell(n, 5),
    "stack": lambda n: StackedCell([MultiplicativeCell(n, 4, 6), GRUCell(4, 5)]),
}


LOSSES = {"squared_error": 2, "logistic": 2, "softmax": 4}


# Sums in another order, of values of about 1.
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}


def make(cell, loss, rng, *, symbols=False, dtype="float64", **settings):
    """Return the same network on both devices, parameters and a padded batch."""
    n_outputs = LOSSES[loss]
    networks = [
        SequenceNetwork(CELLS[cell](3), n_outputs, loss, l2=0.1, device=device, **settings)
        for device in ("cpu", "cuda")
    ]
    shape = (6, 4)
    inputs = rng.integers(3, size=shape) if symbols else rng.standard_normal((*shape, 3))
    targets = {
        "squared_error": lambda: rng.standard_normal((*shape, 2)),
        "logistic": lambda: rng.integers(2, size=(*shape, 2)).astype(float),
        "softmax": lambda: rng.integers(4, size=shape),
    }[loss]()
    mask = rng.uniform(0.5, 1, size=shape)
    mask[4:, 1] = mask[:2] = 0
    vectors = None
    if "n_initial_inputs" in settings:
        vectors = rng.standard_normal((4, settings["n_initial_inputs"]))
    params = (0.5 * rng.standard_normal(networks[0].n_params)).astype(dtype)
    return *networks, params, Batch(inputs, targets, mask, vectors)


def assert_same(ours, host, dtype="float64"):
    assert is_on_device(ours)
    assert ours.dtype == host.dtype
    np.testing.assert_allclose(
        to_host(ours), host, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * abs(host).max()
    )


def hessian_free(max_cg_iterations=12, **settings):
    return HessianFree(
        LevenbergMarquardt(initial=0.1),
        structural_damping=0.1,
        max_cg_iterations=max_cg_iterations,
        **settings,
    )
