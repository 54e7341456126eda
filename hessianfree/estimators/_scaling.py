"""Numbers as a net learns them: scaled inside, and weights in the units of the targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_array

from hessianfree.batch import Batch
from hessianfree.estimators._forecasts import ForecastingRNN
from hessianfree.network._losses import Loss
from hessianfree.network._network import SequenceNetwork
from reservoir.utils.types import Array

# Standard deviation that the targets of a regression are scaled to: that of the mean of two
# uniform numbers, on which the constants of the optimizer were chosen. The output weights start
# small, and how far the hidden weights have to move grows with the targets: at 1 the adding problem
# takes half as many iterations more, at 10 a net may not learn at all.
_TARGET_SCALE = 0.2


class ScalingRNN(ForecastingRNN):
    """What a regressor makes of its targets, and undoes in its parameters."""

    n_outputs_: int

    _target_scale: Array

    def _check_targets(self, y: Any, is_scored: NDArray[np.bool_] | None) -> NDArray[Any]:
        targets: NDArray[Any] = check_array(
            y,
            ensure_2d=False,
            dtype=np.float64,
            input_name="y",
            ensure_all_finite=is_scored is None,
        )
        if is_scored is not None:
            targets = targets.copy()
            targets[~is_scored] = 0
            assert_all_finite(targets, input_name="y")
        return targets

    def _define(self, y: NDArray[Any], weights: Array | None, keeps: bool) -> None:
        """Set the number of outputs, and means and deviations of the targets."""
        self._y_is_1d = y.ndim == 1
        targets = y.reshape(len(y), -1)
        self.n_outputs_ = targets.shape[1]
        weights_of_outputs = self._output_weights(self.n_outputs_)
        if self.loss != "squared_error":
            if weights_of_outputs is not None:
                raise ValueError(
                    "`output_weight` belongs to the loss 'squared_error', but `loss` is "
                    f"{self.loss!r}. Let the loss weigh its outputs, or leave it out."
                )
            # Another loss has a unit of its own, and sees the targets as they are.
            self._target_mean = np.zeros(self.n_outputs_)
            self._target_scale = np.ones(self.n_outputs_)
        elif not keeps:
            self._target_mean = np.average(targets, axis=0, weights=weights)
            squares = (targets - self._target_mean) ** 2
            deviation = np.sqrt(np.average(squares, axis=0, weights=weights))
            self._target_scale = np.where(deviation > 0, deviation / _TARGET_SCALE, 1)
            if weights_of_outputs is not None:
                # w e² = (√w e)²: a weight is a scale.
                self._target_scale /= np.sqrt(weights_of_outputs)

    def _encode(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return targets of shape (n, n_outputs), in units of the net."""
        targets = y.reshape(len(y), -1)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"`validation_data` has {targets.shape[1]} outputs, but `y` has "
                f"{self.n_outputs_}. Pass as many."
            )
        encoded: Array = (targets - self._target_mean) / self._target_scale
        return encoded

    def _loss_and_outputs(self) -> tuple[str | Loss, int]:
        return self.loss, self.n_outputs_

    def _in_units_of_targets(self, params: Array) -> Array:
        """Return parameters with the scaling of the targets undone, in float64.

        Their mean may have digits that float32 has no room for.
        """
        params = params.astype(np.float64)
        blocks = self._architecture.build().layout.views(params)
        blocks["output"] *= self._target_scale[:, None]
        blocks["output_bias"] *= self._target_scale
        blocks["output_bias"] += self._target_mean
        return params

    def _in_units_of_net(self, params: Array) -> Array:
        """Undo `_in_units_of_targets`."""
        params = params.astype(np.float64)
        blocks = self._architecture.build().layout.views(params)
        blocks["output_bias"] -= self._target_mean
        blocks["output_bias"] /= self._target_scale
        blocks["output"] /= self._target_scale[:, None]
        return params

    def _recentred(self, network: SequenceNetwork, params: Array, training: Batch) -> Array:
        """Return parameters whose mean error on the data is zero.

        The derivative in the output bias is that mean. Targets that moved far away, measured by
        their own deviation, would else be out of reach of float32.
        """
        if self.loss != "squared_error":
            return params
        params = params.copy()
        _, gradient = network.value_and_gradient(params, training)
        views = network.layout.views
        views(params)["output_bias"] -= views(gradient)["output_bias"]
        return params

    def _net_params(self) -> Array:
        """Return parameters of predictions without the mean of the targets, in `dtype`."""
        params = np.array(self.params_, dtype=np.float64)
        self._architecture.build().layout.views(params)["output_bias"] -= self._target_mean
        return params.astype(self.dtype)
