"""The three mutations of the gated recurrent unit that a search over architectures found."""

from __future__ import annotations

from typing import ClassVar

from hessianfree.cells._update import UpdateCell


class MUT1Cell(UpdateCell):
    r"""First mutated unit of the search by Jozefowicz et al. [1]_.

    .. math::

        z_t &= \sigma(W_{xz}\, x_t + b_z) \\
        r_t &= \sigma(W_{xr}\, x_t + W_{hr}\, h_{t-1} + b_r) \\
        h_t &= z_t \odot \tanh(W_{hh}\, (r_t \odot h_{t-1}) + \tanh(x_t) + b_h)
               + (1 - z_t) \odot h_{t-1}

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
    tanh(x_t) presupposes as many inputs as units. Where `n_inputs` is not `n_units` it is
    tanh(W_xh x_t) here, with W_xh learned: an embedding of the input.

    Blocks of parameters: `update_input` W_xz (n_units, n_inputs), `update_bias` b_z (n_units,),
    `reset_recurrent` W_hr (n_units, n_units), `reset_input` W_xr, `reset_bias` b_r, `recurrent`
    W_hh, `input` W_xh where `n_inputs` is not `n_units`, `bias` b_h, and `initial_state` h_0
    (n_units,).

    References
    ----------
    .. [1] Jozefowicz, Zaremba & Sutskever (2015), An empirical exploration of recurrent network
       architectures, ICML, section 4.

    Examples
    --------
    The plain step for one sequence, and the states of the first of four:

    >>> import numpy as np
    >>> from scipy.special import expit
    >>> def step(x, h, p):
    ...     z = expit(p["update_input"] @ x + p["update_bias"])
    ...     r = expit(p["reset_input"] @ x + p["reset_recurrent"] @ h + p["reset_bias"])
    ...     candidate = np.tanh(p["recurrent"] @ (r * h) + np.tanh(x) + p["bias"])
    ...     return z * candidate + (1 - z) * h
    >>> cell = MUT1Cell(n_inputs=2, n_units=2)
    >>> rng = np.random.default_rng(0)
    >>> params = {name: rng.normal(size=shape) for name, shape in cell.parameter_shapes.items()}
    >>> inputs = rng.normal(size=(6, 4, 2))
    >>> states = cell.forward(params, inputs).states
    >>> h = params["initial_state"]
    >>> for x, found in zip(inputs[:, 0], states[:, 0]):
    ...     h = step(x, h, params)
    ...     np.testing.assert_allclose(found, h, rtol=1e-12)

    With more units than inputs there is a matrix W_xh:

    >>> MUT1Cell(n_inputs=3, n_units=8).parameter_shapes["input"]
    (8, 3)
    """

    _gates: ClassVar = {"nothing": ("update_",), "state": ("reset_",)}
    _direct = ""


class MUT2Cell(UpdateCell):
    r"""Second mutated unit of the search by Jozefowicz et al. [1]_.

    .. math::

        z_t &= \sigma(W_{xz}\, x_t + W_{hz}\, h_{t-1} + b_z) \\
        r_t &= \sigma(x_t + W_{hr}\, h_{t-1} + b_r) \\
        h_t &= z_t \odot \tanh(W_{hh}\, (r_t \odot h_{t-1}) + W_{xh}\, x_t + b_h)
               + (1 - z_t) \odot h_{t-1}

    Read more in the guide: :doc:`/guide/cells`.

    Parameters
    ----------
    n_inputs, n_units, learn_initial_state
        As of `MUT1Cell`.

    Notes
    -----
    x_t in the reset gate presupposes as many inputs as units. Where `n_inputs` is not `n_units` it
    is W_xr x_t here, with W_xr learned; the cell is then a GRU whose z_t is the share of the new.

    Blocks of parameters: those of `GRUCell`, without `reset_input` where `n_inputs` is `n_units`.

    References
    ----------
    .. [1] Jozefowicz, Zaremba & Sutskever (2015), An empirical exploration of recurrent network
       architectures, ICML, section 4.

    Examples
    --------
    The plain step for one sequence, and the states of the first of four:

    >>> import numpy as np
    >>> from scipy.special import expit
    >>> def step(x, h, p):
    ...     z = expit(p["update_input"] @ x + p["update_recurrent"] @ h + p["update_bias"])
    ...     r = expit(x + p["reset_recurrent"] @ h + p["reset_bias"])
    ...     candidate = np.tanh(p["recurrent"] @ (r * h) + p["input"] @ x + p["bias"])
    ...     return z * candidate + (1 - z) * h
    >>> cell = MUT2Cell(n_inputs=2, n_units=2)
    >>> rng = np.random.default_rng(0)
    >>> params = {name: rng.normal(size=shape) for name, shape in cell.parameter_shapes.items()}
    >>> inputs = rng.normal(size=(6, 4, 2))
    >>> states = cell.forward(params, inputs).states
    >>> h = params["initial_state"]
    >>> for x, found in zip(inputs[:, 0], states[:, 0]):
    ...     h = step(x, h, params)
    ...     np.testing.assert_allclose(found, h, rtol=1e-12)
    """

    _direct = "reset_"


class MUT3Cell(UpdateCell):
    r"""Third mutated unit of the search by Jozefowicz et al. [1]_.

    .. math::

        z_t &= \sigma(W_{xz}\, x_t + W_{hz} \tanh(h_{t-1}) + b_z) \\
        r_t &= \sigma(W_{xr}\, x_t + W_{hr}\, h_{t-1} + b_r) \\
        h_t &= z_t \odot \tanh(W_{hh}\, (r_t \odot h_{t-1}) + W_{xh}\, x_t + b_h)
               + (1 - z_t) \odot h_{t-1}

    Read more in the guide: :doc:`/guide/cells`.

    Parameters
    ----------
    n_inputs, n_units, learn_initial_state
        As of `MUT1Cell`.

    Notes
    -----
    Blocks of parameters: those of `GRUCell`.

    References
    ----------
    .. [1] Jozefowicz, Zaremba & Sutskever (2015), An empirical exploration of recurrent network
       architectures, ICML, section 4.

    Examples
    --------
    The plain step for one sequence, and the states of the first of four:

    >>> import numpy as np
    >>> from scipy.special import expit
    >>> def step(x, h, p):
    ...     z = expit(p["update_input"] @ x + p["update_recurrent"] @ np.tanh(h) + p["update_bias"])
    ...     r = expit(p["reset_input"] @ x + p["reset_recurrent"] @ h + p["reset_bias"])
    ...     candidate = np.tanh(p["recurrent"] @ (r * h) + p["input"] @ x + p["bias"])
    ...     return z * candidate + (1 - z) * h
    >>> cell = MUT3Cell(n_inputs=2, n_units=3)
    >>> rng = np.random.default_rng(0)
    >>> params = {name: rng.normal(size=shape) for name, shape in cell.parameter_shapes.items()}
    >>> inputs = rng.normal(size=(6, 4, 2))
    >>> states = cell.forward(params, inputs).states
    >>> h = params["initial_state"]
    >>> for x, found in zip(inputs[:, 0], states[:, 0]):
    ...     h = step(x, h, params)
    ...     np.testing.assert_allclose(found, h, rtol=1e-12)
    """

    _gates: ClassVar = {"tanh_state": ("update_",), "state": ("reset_",)}
