"""A fitted network for programs without Python: a header of C, or a graph of ONNX."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from reservoir.dynamics._bounds import as_bounds
from reservoir.estimators._c_header import ExportedModel, c_header, check_name
from reservoir.estimators._forecasts import ReservoirForecasts
from reservoir.estimators._onnx_graph import onnx_model
from reservoir.utils.files import check_path, write_atomically
from reservoir.utils.types import Integers
from reservoir.utils.validation import check_choice


class Exports(ReservoirForecasts):
    """What writes a fitted `ESNRegressor` for other programs."""

    def to_c(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "esn",
        dtype: Literal["float64", "float32"] | None = None,
    ) -> None:
        r"""Write one header of C99 with the weights, a step and a forecast.

        .. math::

            x[t] &= (1 - a)\, x[t-1] + a\, f(W x[t-1] + W_\mathrm{in} u[t]
                + W_\mathrm{fb}\, y[t-1] + b) \\
            y[t] &= V_u u[t] + V_x x[t] + V_q x[t]^2 + c

        It allocates nothing, needs ``math.h`` alone, and compiles as C++ too. ``NAME_reset`` begins
        at the zero state, as `predict` does, and ``NAME_resume`` where training, or the last
        `advance` or `step`, ended; ``NAME_step`` takes the inputs of one step and writes its
        outputs, ``NAME_observe`` says what was measured instead, ``NAME_forecast`` goes on by
        itself, where outputs can be inputs, and stops at the bounds that `output_limit` gave. W is
        written as it is, sparse: a network of 300 units with 10 connections each is a file of about
        125 kB, and 42 kB of constants in double.

        Read more in the guide: :doc:`/guide/export`.

        Parameters
        ----------
        path : str or path-like
            The header. A file of that name is replaced at once, when all is written.
        name : str, default="esn"
            What every name in the header begins with: letters, digits and underscores.
        dtype : {"float64", "float32"}, optional
            double or float, for numbers and arithmetic; that of the model if left out.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If `activation` is a function of Python, if `carry` is not "leak", if the model learned
            one target per sequence, if it would go on from an output that is NaN, or if an argument
            is not as described.

        Examples
        --------
        >>> import numpy as np, pathlib, tempfile
        >>> from reservoir import ESNRegressor
        >>> series = np.sin(0.2 * np.arange(500))[:, None]
        >>> esn = ESNRegressor(n_units=50, random_state=0).fit(series[:-1], series[1:])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     esn.to_c(pathlib.Path(folder) / "sine.h", name="sine", dtype="float32")
        ...     "sine_forecast" in pathlib.Path(folder, "sine.h").read_text()
        True
        """
        path, name = check_path("path", path), check_name(name)
        model = self._exported()
        kind = model.reservoir.dtype.name if dtype is None else dtype
        kind = check_choice("dtype", kind, ("float64", "float32"))
        write_atomically(path, c_header(model, name, kind).encode())

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write a graph of ONNX: the recurrence as a Scan over the steps of one sequence.

        Its inputs are ``inputs`` (n_steps, n_features), ``initial_state`` (n_units,), zeros for
        what `predict` gives, and, with feedback weights, ``initial_output`` (n_outputs,). Its
        outputs are ``outputs`` (n_steps, n_outputs) and ``final_state``, from which another run
        goes on; with feedback weights the last row of ``outputs`` is its ``initial_output``. The
        dtype is that of the model. ONNX has no sparse product: W is written as a dense matrix.

        Read more in the guide: :doc:`/guide/export`.

        Parameters
        ----------
        path : str or path-like
            The file. One of that name is replaced at once, when all is written.

        Raises
        ------
        ImportError
            Without the package onnx, which ``pip install reservoir-hessianfree[onnx]`` brings.
        sklearn.exceptions.NotFittedError, ValueError
            As in `to_c`.
        """
        path = check_path("path", path)
        write_atomically(path, onnx_model(self._exported()))

    def _exported(self) -> ExportedModel:
        """Return what exports write down."""
        self._check_runs()
        reservoir = self.reservoir_
        if callable(reservoir.activation):
            raise ValueError(
                f"`activation` is {reservoir.activation!r}, a function of Python, which can't be "
                'exported. Fit with one of "tanh", "relu", "identity", "logistic".'
            )
        if not reservoir.is_leaky:
            raise ValueError(
                f"`carry` is {self._recipe().carry!r}, but exports write leaky units. Fit with "
                'carry="leak".'
            )
        try:
            self._check_forecast()
            sources: Integers | None = self.input_sources_
        except ValueError:
            sources = None
        output = self.last_output_
        if not np.isfinite(output).all():
            if sources is not None or reservoir.feedback is not None:
                raise ValueError(
                    f"The output to go on from is {output}, since the last target was NaN. Call "
                    "`advance` with what was observed, or fit on rows that end with a target."
                )
            output = np.zeros_like(output)
        bounds = as_bounds(self._bounds, self.n_outputs_, reservoir.dtype)
        return ExportedModel(
            reservoir,
            self.readout_,
            self.last_state_,
            output,
            bool(self._is_ahead),
            sources,
            bounds,
        )
