"""The gated recurrent unit."""

from __future__ import annotations

from hessianfree.cells._update import UpdateCell


class GRUCell(UpdateCell):
    """Gated recurrent unit [1]_.

    z_t = σ(W_xz x_t + W_hz h_{t-1} + b_z)
    r_t = σ(W_xr x_t + W_hr h_{t-1} + b_r)
    h̃_t = tanh(W_xh x_t + W_hh (r_t ⊙ h_{t-1}) + b_h)
    h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ h̃_t

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
    >>> import numpy as np
    >>> cell = GRUCell(n_inputs=2, n_units=3, learn_initial_state=False)
    >>> params = {name: np.zeros(shape) for name, shape in cell.parameter_shapes.items()}
    >>> params["bias"][:] = 10.0                        # h̃ = 1, all gates half open
    >>> cell.forward(params, np.zeros((3, 1, 2))).states[:, 0, 0].round(4)
    array([0.5  , 0.75 , 0.875])

    References
    ----------
    .. [1] Cho, van Merriënboer, Gulcehre, Bahdanau, Bougares, Schwenk & Bengio (2014), Learning
       phrase representations using RNN encoder-decoder for statistical machine translation, EMNLP.
    """

    _z_takes_candidate = False
