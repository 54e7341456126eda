"""The observed order of an integrator."""

import numpy as np


def observed_orders(errors):
    return np.log2(np.asarray(errors[:-1]) / np.asarray(errors[1:]))
