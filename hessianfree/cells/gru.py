"""The gated recurrent unit."""

from __future__ import annotations

from hessianfree.cells._update import UpdateCell


class GRUCell(UpdateCell):
    r"""Gated recurrent unit [1]_.

    .. math::

        z_t &= \sigma(W_{xz}\, x_t + W_{hz}\, h_{t-1} + b_z) \\
        r_t &= \sigma(W_{xr}\, x_t + W_{hr}\, h_{t-1} + b_r) \\
        \tilde h_t &= \tanh(W_{xh}\, x_t + W_{hh}\, (r_t \odot h_{t-1}) + b_h) \\
        h_t &= z_t \odot h_{t-1} + (1 - z_t) \odot \tilde h_t

    Read more in the guide: :doc:`/guide/cells`.

    Parameters
    ----------
    n_inputs : int
        Features of a real-valued x_t, or number of symbols.
    n_units : int
        Width of h_t.
    learn_initial_state : bool, default=True
        Whether h_0 is a parameter; otherwise it is zero.

    Raises
    ------
    TypeError
        If a size is no integer.
    ValueError
        If a size is below 1.

    Notes
    -----
    Blocks of parameters: `update_recurrent` W_hz (n_units, n_units), `update_input` W_xz (n_units,
    n_inputs), `update_bias` b_z (n_units,), `reset_recurrent` W_hr, `reset_input` W_xr,
    `reset_bias` b_r, `recurrent` W_hh, `input` W_xh, `bias` b_h, and `initial_state` h_0
    (n_units,).

    The reset gate acts before W_hh, as in [1]_; some libraries let it act after.

    Examples
    --------
    The plain step for one sequence, and the states of the first of four:

    >>> import numpy as np
    >>> from scipy.special import expit
    >>> def step(x, h, p):
    ...     z = expit(p["update_input"] @ x + p["update_recurrent"] @ h + p["update_bias"])
    ...     r = expit(p["reset_input"] @ x + p["reset_recurrent"] @ h + p["reset_bias"])
    ...     candidate = np.tanh(p["input"] @ x + p["recurrent"] @ (r * h) + p["bias"])
    ...     return z * h + (1 - z) * candidate
    >>> cell = GRUCell(n_inputs=2, n_units=3)
    >>> rng = np.random.default_rng(0)
    >>> params = {name: rng.normal(size=shape) for name, shape in cell.parameter_shapes.items()}
    >>> inputs = rng.normal(size=(6, 4, 2))
    >>> states = cell.forward(params, inputs).states
    >>> h = params["initial_state"]
    >>> for x, found in zip(inputs[:, 0], states[:, 0]):
    ...     h = step(x, h, params)
    ...     np.testing.assert_allclose(found, h, rtol=1e-12)

    References
    ----------
    .. [1] Cho, van Merriënboer, Gulcehre, Bahdanau, Bougares, Schwenk & Bengio (2014), Learning
       phrase representations using RNN encoder-decoder for statistical machine translation, EMNLP.
    """

    _z_takes_candidate = False
