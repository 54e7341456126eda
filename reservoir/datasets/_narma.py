"""Nonlinear autoregressive moving averages: a task with an input and a long memory."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from reservoir.datasets._common import Series
from reservoir.utils.seeds import RandomState, seed_sequence
from reservoir.utils.validation import check_integer

# Of 10^8 simulated steps of orders 2 to 10, no value above 1.26 came back below 0.7: a series
# beyond this limit is running away.
_NARMA_LIMIT = 2.0


def narma(
    n_steps: int,
    order: int = 10,
    *,
    discard: int = 200,
    random_state: RandomState = None,
) -> tuple[Series, Series]:
    """Give the NARMA task: a nonlinear moving average whose memory is `order` steps long.

    z[t+1] = a z[t] + b z[t] (z[t] + ... + z[t-n+1]) + 1.5 u[t-n+1] u[t] + c

    with n = `order` and u[t] drawn independently from U[0, 0.5]. The three published sets of
    constants, each for the orders at which it neither runs away nor saturates:

    ======== ==== ===== ====== =================================
    order    a    b     c      right-hand side
    ======== ==== ===== ====== =================================
    1 to 10  0.3  0.05  0.1    as it stands [1]_
    11 to 20 0.3  0.05  0.01   put through tanh [2]_
    21 to 30 0.2  0.04  0.001  as it stands [2]_
    ======== ==== ===== ====== =================================

    Row t of the target is z[t+1]: the newest input that it depends on, u[t], is in the same row
    of X, and the oldest, u[t-n+1], n - 1 rows above. Where a paper pairs u[t] with z[t] the task
    asks for one more step of memory.

    Parameters
    ----------
    n_steps : int
        Length of the series, steps.
    order : int, default=10
        n, the number of steps looked back on, at most 30.
    discard : int, default=200
        Steps thrown away first; the recurrence starts from zeros.
    random_state : None, int, Generator, RandomState or SeedSequence, default=None
        Seeds u.

    Returns
    -------
    X : ndarray of shape (n_steps, 1)
        u[t].
    y : ndarray of shape (n_steps,)
        z[t+1].

    Raises
    ------
    FloatingPointError
        If the recurrence has run away, which at order 10 happens about once in 200,000 steps.
        Another seed is the remedy; nothing is redrawn behind your back.
    ValueError
        If a length is out of its range.

    Examples
    --------
    >>> X, y = narma(100, random_state=0)
    >>> total = y[80:90].sum()
    >>> bool(abs(0.3 * y[89] + 0.05 * y[89] * total + 1.5 * X[81, 0] * X[90, 0] + 0.1
    ...      - y[90]) < 1e-15)
    True

    References
    ----------
    .. [1] Atiya & Parlos (2000), New results on recurrent network training, IEEE Trans. Neural
       Networks 11.
    .. [2] Rodan & Tiňo (2011), Minimum complexity echo state network, IEEE Trans. Neural
       Networks 22.
    """
    n_steps = check_integer("n_steps", n_steps, minimum=1)
    order = check_integer("order", order, minimum=1, maximum=30)
    discard = check_integer("discard", discard, minimum=0)
    rng = np.random.default_rng(seed_sequence(random_state))
    inputs = rng.uniform(0.0, 0.5, size=discard + n_steps)
    lagged = np.concatenate([np.zeros(order - 1), inputs])[: inputs.size]
    if order <= 10:
        a, b, c = 0.3, 0.05, 0.1
    elif order <= 20:
        a, b, c = 0.3, 0.05, 0.01
    else:
        a, b, c = 0.2, 0.04, 0.001
    saturates = 10 < order <= 20
    drive = (1.5 * lagged * inputs + c).tolist()
    recent = deque([0.0] * order, maxlen=order)
    targets = np.empty(inputs.size)
    for t, pushed in enumerate(drive):
        current = recent[-1]
        following = a * current + b * current * sum(recent) + pushed
        if saturates:
            following = math.tanh(following)
        elif following > _NARMA_LIMIT:
            raise FloatingPointError(
                f"The NARMA recurrence of order {order} ran away at step {t} of "
                f"{inputs.size}: this input is one of the rare ones that it does not stand. "
                "Pass another `random_state`."
            )
        recent.append(following)
        targets[t] = following
    return inputs[discard:, np.newaxis].copy(), targets[discard:].copy()
