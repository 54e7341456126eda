"""What trained estimators share: fitted attributes, warm start, saving and loading."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from hessianfree.network._architecture import Architecture
from hessianfree.network._network import SequenceNetwork
from hessianfree.optimize._damping import LevenbergMarquardt
from hessianfree.optimize._hessian_free import HessianFree
from hessianfree.optimize._hessian_free_info import HessianFreeState
from hessianfree.optimize._line_search import BacktrackingLineSearch
from hessianfree.optimize._preconditioning import FisherPreconditioner, JacobiPreconditioner
from hessianfree.optimize._progress import RelativeProgress
from hessianfree.optimize._protocols import Optimizer
from hessianfree.training._checkpoints import TrainingState
from hessianfree.training._history import History
from hessianfree.training._stop_reason import TrainingStop
from reservoir.utils.device import Device, move_state, to_host
from reservoir.utils.persistence import SavableMixin, register
from reservoir.utils.types import Array

for _class in (
    BacktrackingLineSearch,
    FisherPreconditioner,
    HessianFree,
    HessianFreeState,
    History,
    JacobiPreconditioner,
    LevenbergMarquardt,
    RelativeProgress,
    TrainingState,
):
    register(_class)


# Gradients are summed over slices of at least so many steps times sequences: memory is bounded, and
# nothing is run twice as long as the curvature batch is a single slice.
SLICE_ROWS = 2**17


# The names that the reasons of `train` have in `stop_reason_`.
STOP_REASONS = {
    TrainingStop.N_ITERATIONS: "max_iter",
    TrainingStop.CONVERGED: "converged",
    TrainingStop.CALLBACK: "callback",
    TrainingStop.INTERRUPTED: "interrupted",
}


class TrainedNetworkMixin(SavableMixin):
    """Gives an estimator what follows from its training state and the architecture of its net."""

    callback: Callable[[Any], Any] | None
    dtype: Any
    device: str
    device_: Device

    params_: Array
    stop_reason_: str

    _architecture: Architecture
    _state: TrainingState

    # -- fitted attributes ------------------------------------------------------------------------

    @property
    def network_(self) -> SequenceNetwork:
        """The net that `params_` belongs to; it computes on the host."""
        return self._architecture.build()

    @property
    def weights_(self) -> dict[str, Array]:
        """The named blocks of `params_`, as views."""
        return self.network_.layout.views(self.params_)

    @property
    def history_(self) -> History:
        """What the optimizer said at each iteration."""
        return self._state.history

    @property
    def n_iter_(self) -> int:
        """Iterations made."""
        return self._state.iteration

    @property
    def loss_curve_(self) -> Array:
        """Loss before each iteration, on its gradient batch."""
        return self.history_["loss"] if self.n_iter_ else np.zeros(0)

    # -- training ---------------------------------------------------------------------------------

    def _in_units_of_targets(self, params: Array) -> Array:
        """Return the parameters of the net whose outputs are what predictions are made of."""
        return params

    def _check_warm_start(self, architecture: Architecture, optimizer: Optimizer[Any]) -> None:
        """Raise unless such a net, of this dtype, is what such an optimizer trained before."""
        old, new = asdict(self._architecture), asdict(architecture)
        old["dtype"], new["dtype"] = str(self.params_.dtype), self.dtype
        states = self._state.optimizer_state, optimizer.init(self._state.params)
        old["state of the optimizer"], new["state of the optimizer"] = (
            type(state).__name__ for state in states
        )
        for name, value in new.items():
            if value != old[name]:
                raise ValueError(
                    f"`warm_start` is True, but {name} is {value!r} and was {old[name]!r} in the "
                    "call before. Keep it, or set `warm_start` to False."
                )

    def _call_back(self, state: TrainingState) -> bool:
        """Let the user see the estimator as it is after an iteration."""
        if self.callback is None:
            return False
        self._adopt(state, state.params)
        return bool(self.callback(self))

    def _adopt(self, state: TrainingState, params: Array) -> None:
        """Take over what training has come to, in arrays of the host."""
        self._state = replace(state, optimizer_state=move_state(np, state.optimizer_state))
        self.params_ = self._in_units_of_targets(to_host(params))

    def _warn(self) -> None:
        """Say what a user could miss."""
        if self.stop_reason_ == "interrupted":
            warnings.warn(
                f"Training was interrupted after {self.n_iter_} iterations; the estimator has what "
                "was learned up to there.",
                stacklevel=4,
            )
            return
        last = self.history_.last
        figures = {"loss": last["loss"], "norm of the gradient": last.get("gradient_norm", 0.0)}
        broken = [f"{name} is {value}" for name, value in figures.items() if not np.isfinite(value)]
        if broken:
            warnings.warn(
                f"The {' and the '.join(broken)}, and no step could be made. Scale the inputs "
                "to about unit variance, or take activation='tanh'.",
                ConvergenceWarning,
                stacklevel=4,
            )

    # -- files ------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and fitted state to one `.npz` file, atomically and without pickle.

        With the state of the training: what is loaded goes on, with `warm_start`, as if it had
        never stopped, bit for bit. A file can't hold functions, and `callback` is left out.

        Parameters
        ----------
        path : path-like
            File to write, under just that name.

        Raises
        ------
        TypeError
            If another parameter is something that a file can't hold, as an optimizer of your own.
        """
        without_callback = copy.copy(self)
        without_callback.callback = None
        super(TrainedNetworkMixin, without_callback).save(path)
