"""A loss as a user writes one."""

import numpy as np


class Huber:
    """Squares up to a distance, then distances; the results are arrays of its own, not `out`."""

    def __init__(self, delta):
        self.delta = delta

    def predict(self, outputs, out=None):
        return outputs.copy()

    def values(self, outputs, targets):
        distance = abs(outputs - targets)
        near = np.minimum(distance, self.delta)
        return (near * (distance - near / 2)).sum(axis=1)

    def gradient(self, predictions, targets, out=None):
        return np.clip(predictions - targets, -self.delta, self.delta)

    def hessian_product(self, predictions, d_outputs, out=None, *, targets):
        return np.where(abs(predictions - targets) < self.delta, d_outputs, 0)
