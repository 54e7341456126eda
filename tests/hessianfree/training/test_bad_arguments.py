"""What is no optimizer, no data and no part of one is refused by name, with what to pass."""

import re

import numpy as np
import pytest

from hessianfree import FreshBatches, HessianFree, Minibatches, RNNRegressor, start, train
from hessianfree.cells import ElmanCell
from hessianfree.network import SequenceNetwork
from hessianfree.optimize import Adam, BacktrackingLineSearch, JacobiPreconditioner
from hessianfree.training import TruncatedBackpropagation

NETWORK = SequenceNetwork(ElmanCell(1, 2), 1)
PARAMS = np.zeros(NETWORK.n_params)
DATA = FreshBatches(lambda n, rng: None, 1)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: HessianFree(damping=1.0), "`damping` is of type float"),
        (lambda: HessianFree(damping=None), "`damping` is None"),
        (lambda: HessianFree(line_search=BacktrackingLineSearch), "the class BacktrackingLineSea"),
        (lambda: HessianFree(preconditioner=JacobiPreconditioner), "`preconditioner` is the class"),
        (lambda: HessianFree(stopping_rule=0.1), "`stopping_rule` is of type float"),
        (lambda: start(Adam, PARAMS), "`optimizer` is the class Adam"),
        (lambda: start("adam", PARAMS), "`optimizer` is of type str"),
        (lambda: TruncatedBackpropagation(Adam), "`optimizer` is the class Adam"),
        (lambda: Minibatches(np.zeros((3, 2, 1))), "`data` is of type ndarray, but a Batch"),
        (lambda: FreshBatches(None, 5), "`draw` is of type NoneType"),
        (
            lambda: RNNRegressor(optimizer=Adam).fit(np.zeros((3, 1)), np.zeros(3)),
            "`optimizer` is the class Adam, but an object of it, or of another with `init` and "
            "`step`, was expected. Pass Adam(...)",
        ),
    ],
)
def test_wrong_kinds(call, match):
    with pytest.raises(TypeError, match=re.escape(match)):
        call()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"data": None}, "`data` is None, but an object with `batches`"),
        ({"data": np.zeros(3)}, "`data` is of type ndarray"),
        ({"optimizer": "adam"}, "`optimizer` is of type str"),
        ({"objective": None}, "`objective` is None"),
        ({"state": PARAMS}, "`state` is of type ndarray, but a TrainingState"),
    ],
)
def test_wrong_kinds_for_the_loop(change, match):
    optimizer = Adam()
    arguments = {
        "objective": NETWORK,
        "optimizer": optimizer,
        "data": DATA,
        "state": start(optimizer, PARAMS),
    } | change
    with pytest.raises(TypeError, match=re.escape(match)):
        train(**arguments, n_iterations=1)
