"""Small recurrent nets."""

from hessianfree import RNNClassifier, RNNRegressor
from hessianfree.optimize import HessianFreeState


def regressor(**parameters):
    return RNNRegressor(**{"n_units": 6, "max_iter": 4, "random_state": 1, **parameters})


def classifier(**parameters):
    return RNNClassifier(**{"n_units": 6, "max_iter": 4, "random_state": 1, **parameters})


class Recorder:
    """An optimizer that stays where it is and notes the sizes of the batches."""

    def __init__(self):
        self.sizes = []

    def init(self, params):
        return HessianFreeState(params, 0.0, params, 0)

    def step(self, objective, state, gradient_batch=None, curvature_batch=None):
        self.sizes.append((gradient_batch.n_sequences, curvature_batch.n_sequences))
        return state, {"loss": objective.value(state.params, gradient_batch)}
