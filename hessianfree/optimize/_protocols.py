"""Protocols of objectives, linearizations and optimizers."""

from __future__ import annotations

from typing import Any, Protocol, TypedDict, TypeVar, runtime_checkable

from reservoir.utils.device import MEMORY_REMEDY, move_state, namespace, naming_remedy
from reservoir.utils.types import Array


def place_state(objective: Any, state: State) -> State:
    """Return the state of an optimizer with its arrays where the objective computes.

    An objective that does not say so, by an attribute `device`, takes states as they come.
    """
    if getattr(objective, "device", "cpu") == "cpu":
        return state
    with naming_remedy(MEMORY_REMEDY):
        return move_state(namespace("cuda"), state)


class Linearization(Protocol):
    """An objective around one point, on one batch, with its forward pass kept.

    Attributes
    ----------
    value : float
        f(θ), regularisation included.

    Notes
    -----
    This is what optimizers ask for. Those of `SequenceNetwork` and `FunctionObjective` also have
    `as_linear_operator`; `hessianfree.network.GaussNewtonOperator` makes one of any other.

    Arrays returned belong to the caller. A linearization may hold work space, so one that is shared
    by several threads must be locked by them.
    """

    value: float

    def gradient(self) -> Array:
        """Return ∇f(θ), an array of shape (n_params,) in the dtype of the parameters."""
        ...

    def gauss_newton_product(
        self, v: Array, structural_damping: float = 0.0, *, out: Array | None = None
    ) -> Array:
        """Return (G + μ S) v without forming a matrix.

        Parameters
        ----------
        v : ndarray of shape (n_params,)
            The direction; it is not changed.
        structural_damping : float, default=0.0
            μ ≥ 0, the weight of the structural damping matrix S, which charges for changing the
            hidden states. An objective without hidden states ignores it.
        out : ndarray of shape (n_params,), optional
            Written to and returned; a new array otherwise.

        Returns
        -------
        ndarray of shape (n_params,)
            G is symmetric and positive semi-definite, and contains the curvature of the
            regularisation; the Tikhonov term λ v is the optimizer's own.
        """
        ...


class Objective(Protocol):
    """A function of a flat parameter vector, on batches of data.

    A `batch` is opaque to optimizers: they hand it over as it came and never look inside. An
    objective without data takes None. Values and products are means over the cases of the batch, so
    that two batches of different size are comparable, and a doubled batch changes nothing.
    """

    def value(self, params: Array, batch: Any) -> float:
        """Return f(θ). It may be infinite or NaN; it never raises for that."""
        ...

    def value_and_gradient(self, params: Array, batch: Any) -> tuple[float, Array]:
        """Return f(θ) and ∇f(θ) of shape (n_params,)."""
        ...

    def linearize(self, params: Array, batch: Any) -> Linearization:
        """Run the forward pass once, keep it, and return the linearization at θ.

        The parameters are copied where they are needed again: changing `params` in place later
        does not change the linearization.
        """
        ...


@runtime_checkable
class FisherObjective(Objective, Protocol):
    """An objective that can also say how large its gradients are case by case."""

    def fisher_diagonal(self, params: Array, batch: Any) -> Array:
        """Return the mean over cases of the squared gradient of each, of shape (n_params,).

        It is the diagonal of the empirical Fisher matrix, on the scale of the Gauss-Newton
        matrix. A case is a whole sequence: gradients are summed over its steps, then squared.
        """
        ...


class StepInfo(TypedDict):
    """What every optimizer reports of a step; each adds what is its own.

    Attributes
    ----------
    loss : float
        Before the step.
    passes : float
        What the step has cost, in gradients on the gradient batch.
    sequence_gradients : float
        The same in gradients of one sequence.
    """

    loss: float
    passes: float
    sequence_gradients: float


class OptimizerState(Protocol):
    """What an optimizer keeps from step to step: a dataclass of arrays and plain numbers."""

    @property
    def params(self) -> Array:
        """Return θ, of shape (n_params,)."""
        ...


State = TypeVar("State", bound=OptimizerState)


class Optimizer(Protocol[State]):
    """The protocol of every optimizer here: the state goes in, and a new one comes out."""

    def init(self, params: Array) -> State:
        """Return the state before the first step; `params` is copied."""
        ...

    def step(
        self,
        objective: Objective,
        state: State,
        gradient_batch: Any = None,
        curvature_batch: Any = None,
    ) -> tuple[State, StepInfo]:
        """Make one step.

        `info` has plain numbers and strings, the same keys at every step, among them those of
        `StepInfo`.
        """
        ...
