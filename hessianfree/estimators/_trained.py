"""What trained estimators share: fitted attributes, warm start, saving and loading."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import fields, replace
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
from hessianfree.training._stopping import Progress
from reservoir.utils.device import Device, move_state
from reservoir.utils.persistence import SavableMixin, register, require_array
from reservoir.utils.types import Array
from reservoir.utils.validation import warn_caller

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


# The names that the reasons of `train` have in `stop_reason_`; the first for callbacks.
STOP_REASONS: dict[TrainingStop | None, str] = {
    None: "running",
    TrainingStop.N_ITERATIONS: "max_iter",
    TrainingStop.CONVERGED: "converged",
    TrainingStop.CALLBACK: "callback",
    TrainingStop.INTERRUPTED: "interrupted",
}


class TrainedNetworkMixin(SavableMixin):
    """Gives an estimator what follows from its training state and the architecture of its net."""

    callback: Callable[[Any], Any] | None
    warm_start: bool
    dtype: Any
    device: str
    device_: Device

    params_: Array
    stop_reason_: str
    validation_curve_: Array

    _architecture: Architecture
    _state: TrainingState
    _progress: Progress

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
        """What the optimizer reported of each iteration."""
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

    def _continues(self) -> bool:
        """Return whether `fit` goes on with the last run."""
        return bool(self.warm_start) and hasattr(self, "_state")

    def _in_units_of_targets(self, params: Array) -> Array:
        """Return the parameters of the net whose outputs are what predictions are made of."""
        return params

    def _in_units_of_net(self, params: Array) -> Array:
        """Undo `_in_units_of_targets`."""
        return params

    def _is_on(self, data: str) -> bool:
        """Return whether the last run was on these data; files of before don't say, and it was."""
        return not hasattr(self, "_progress") or data == self._progress.data

    def _was_changed(self) -> bool:
        """Return whether `params_` are others than those that were learned last."""
        if not hasattr(self, "_progress"):
            return False
        learned = self._progress.learned(self._state.params)
        return not np.array_equal(self.params_, self._in_units_of_targets(learned))

    def _run_to_go_on_with(
        self, optimizer: Optimizer[Any], new: Progress, *, was_changed: bool, is_validated: bool
    ) -> tuple[TrainingState, Progress]:
        """Return the last run, or, on other data or from other parameters, the start of another.

        The optimizer then begins anew: damping, velocities and scales were those of another loss.
        """
        state, data = self._state, new.data
        if not hasattr(self, "_progress"):
            average = getattr(self, "_average", None)
            at = state.iteration
            return state, replace(new, average=average, averaged_at=at, validated_at=at)
        progress, is_other = self._progress, not self._is_on(data)
        if not (is_other or was_changed):
            return state, progress
        if is_other and is_validated:
            warn_caller(
                "`warm_start` is True and the data are others than in the call before: what is held"
                " out was drawn anew, and the lowest validation loss starts afresh. Sequences that "
                "were learned from before may be among those held out.",
            )
        given = self._architecture.build().layout.check(np.asarray(self.params_), "params_")
        params = self._in_units_of_net(given).astype(self.dtype)
        progress = progress.anew(state.iteration, data)
        return replace(state, optimizer_state=optimizer.init(params)), progress

    def _check_warm_start(self, architecture: Architecture, optimizer: Optimizer[Any]) -> None:
        """Raise unless such a net, of this dtype, is what such an optimizer trained before."""
        old, new = (
            {field.name: getattr(one, field.name) for field in fields(one)}
            for one in (self._architecture, architecture)
        )
        old["dtype"], new["dtype"] = str(self._state.params.dtype), self.dtype
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

    def _call_back(self, state: TrainingState, progress: Progress, reason: str) -> bool:
        """Let the user see the estimator as it is after an iteration."""
        if self.callback is None:
            return False
        self._adopt(state, progress, reason)
        return bool(self.callback(self))

    def _check_loaded(self) -> None:
        super()._check_loaded()
        if not hasattr(self, "_state"):
            return
        layout = self._architecture.build().layout
        for name, params in {"params_": self.params_, "state": self._state.params}.items():
            require_array(name, layout.check(params, name), (layout.n_params,))
        if hasattr(self, "_progress"):
            for name in ("best_params", "average"):
                kept = getattr(self._progress, name)
                if kept is not None:
                    require_array(name, kept, (layout.n_params,))

    def _adopt(self, state: TrainingState, progress: Progress, reason: str) -> None:
        """Take over what training has come to, in arrays of the host."""
        self._state = replace(state, optimizer_state=move_state(np, state.optimizer_state))
        self._progress = move_state(np, progress)
        learned = self._progress.learned(self._state.params)
        self.params_ = self._in_units_of_targets(learned)
        self.stop_reason_ = reason

    def _warn(self) -> None:
        """Say what a user could miss."""
        if self.stop_reason_ == "interrupted":
            warn_caller(
                f"Training was interrupted after {self.n_iter_} iterations; the estimator has what "
                "was learned up to there.",
            )
            return
        last = self.history_.last
        figures = {"loss": last["loss"], "norm of the gradient": last.get("gradient_norm", 0.0)}
        broken = [f"{name} is {value}" for name, value in figures.items() if not np.isfinite(value)]
        if broken:
            warn_caller(
                f"The {' and the '.join(broken)}, and no step could be made. Scale the inputs "
                "to about unit variance, or take activation='tanh'.",
                ConvergenceWarning,
            )

    # -- files ------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and fitted state to one `.npz` file, atomically and without pickle.

        With the whole state of the training, best parameters and patience among it: what is loaded
        goes on, with `warm_start` and the same data, as if it had never stopped, bit for bit on the
        same machine and number of threads. A file can't hold functions, and `callback` is left out.

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
