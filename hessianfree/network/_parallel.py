"""A recurrent net whose losses, gradients and products are summed over shards of a batch."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol, Self
from weakref import WeakKeyDictionary

import numpy as np
from joblib import effective_n_jobs

from hessianfree.batch import Batch, take_sequences
from hessianfree.network._curvature import GaussNewtonOperator
from hessianfree.network._linearization import NetworkLinearization
from hessianfree.network._network import SequenceNetwork
from hessianfree.network._prepared import extent_of
from reservoir.utils.explained import explained
from reservoir.utils.types import Array, Floats
from reservoir.utils.validation import check_integer, check_methods


class Shard:
    """Some sequences of a batch beside the net, with the linearization asked for last kept.

    Parameters
    ----------
    network : SequenceNetwork
        Without penalty: that is no sum over sequences.
    batch : Batch
        The sequences.
    """

    def __init__(self, network: SequenceNetwork, batch: Batch) -> None:
        self._network, self._batch = network, batch
        self._token: str | None = None
        self._linearization: NetworkLinearization | None = None

    def value(self, params: Array) -> float:
        """Return the loss."""
        return self._network.value(params, self._batch)

    def value_and_gradient(self, params: Array) -> tuple[float, Array]:
        """Return the loss and its gradient."""
        return self._network.value_and_gradient(params, self._batch)

    def fisher_diagonal(self, params: Array) -> Array:
        """Return the diagonal of the empirical Fisher matrix."""
        return self._network.fisher_diagonal(params, self._batch)

    def value_at(self, token: str, params: Array) -> float:
        """Return the loss from the linearization of that name."""
        return self._at(token, params).value

    def gradient_at(self, token: str, params: Array) -> Array:
        """Return the gradient from the linearization of that name."""
        return self._at(token, params).gradient()

    def product_at(self, token: str, params: Array, v: Array, structural_damping: float) -> Array:
        """Return a product with the linearization of that name."""
        return self._at(token, params).gauss_newton_product(v, structural_damping)

    def _at(self, token: str, params: Array) -> NetworkLinearization:
        # Where a worker was lost, the one that takes its place finds no linearization.
        if self._linearization is None or self._token != token:
            self._token, self._linearization = token, None  # the old one's memory first
            self._linearization = self._network.linearize(params, self._batch)
        return self._linearization


class _Pool(Protocol):
    """Where shards are kept, and how something is asked of each of them."""

    def keep(self, network: SequenceNetwork, batches: Sequence[Batch]) -> list[Any]: ...

    def share(self, array: Array) -> Any: ...

    def ask(
        self, shards: Sequence[Any], method: str, arguments: Sequence[Sequence[Any]]
    ) -> list[Any]: ...

    def close(self) -> None: ...


class _Threads:
    """Shards in the memory of this process; NumPy computes without the interpreter's lock."""

    def __init__(self, n_threads: int) -> None:
        self._executor = ThreadPoolExecutor(n_threads, thread_name_prefix="shard")

    def keep(self, network: SequenceNetwork, batches: Sequence[Batch]) -> list[Any]:
        return [Shard(network, batch) for batch in batches]

    def share(self, array: Array) -> Any:
        return array

    def ask(
        self, shards: Sequence[Any], method: str, arguments: Sequence[Sequence[Any]]
    ) -> list[Any]:
        calls = [
            self._executor.submit(getattr(shard, method), *own)
            for shard, own in zip(shards, arguments, strict=True)
        ]
        return [call.result() for call in calls]

    def close(self) -> None:
        self._executor.shutdown()


class _Dask:
    """Shards on the workers of a dask cluster.

    All that lies on a worker is the result of a task, so that the scheduler makes it again, from
    what this process sent, on another one when a worker is lost.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def keep(self, network: SequenceNetwork, batches: Sequence[Batch]) -> list[Any]:
        return [self._client.submit(Shard, network, batch, pure=False) for batch in batches]

    def share(self, array: Array) -> Any:
        return self._client.submit(_itself, array.copy(), pure=False)

    def ask(
        self, shards: Sequence[Any], method: str, arguments: Sequence[Sequence[Any]]
    ) -> list[Any]:
        calls = [
            self._client.submit(_call, shard, method, *own, pure=False)
            for shard, own in zip(shards, arguments, strict=True)
        ]
        return list(self._client.gather(calls))

    def close(self) -> None:
        """Leave the client to whom it belongs."""


def _itself(array: Array) -> Array:
    return array


def _call(shard: Shard, method: str, *arguments: Any) -> Any:
    return getattr(shard, method)(*arguments)


class _ShardedBatch:
    """The shards of a batch, and how means over them become means over the batch.

    Parameters
    ----------
    network : SequenceNetwork
    pool : _Pool
    batch : Batch
    n_shards : int
    """

    def __init__(self, network: SequenceNetwork, pool: _Pool, batch: Batch, n_shards: int) -> None:
        parts = cut_into_shards(batch, n_shards)
        self._network, self._pool = network, pool
        self._shards = pool.keep(network.without_penalty().on_one_thread(), parts)
        scored = np.array([part.n_scored for part in parts]) / batch.n_scored
        totals = np.array([extent_of(part).total for part in parts])
        # W_s / W. Structural damping counts steps and not their weights, and squared gradients are
        # a mean over steps of squares of weights whose mean is 1.
        self._weights = totals / extent_of(batch).total
        self._of_states = scored / self._weights
        self._of_squares = self._weights**2 / scored

    def ask(self, method: str, *shared: Any) -> list[Any]:
        """Return what each shard answers to the same arguments."""
        return self._pool.ask(self._shards, method, [shared] * len(self._shards))

    def products(self, token: str, params: Any, v: Any, structural_damping: float) -> list[Array]:
        """Return the product of each shard, with the damping that is its share."""
        arguments = [(token, params, v, structural_damping * c) for c in self._of_states.tolist()]
        return self._pool.ask(self._shards, "product_at", arguments)

    def add_losses(self, params: Array, losses: Sequence[float]) -> float:
        """Return the loss of the batch, with the penalty."""
        value = self._network.penalty(params)
        for weight, loss in zip(self._weights.tolist(), losses, strict=True):
            value += weight * loss
        return value

    def add_vectors(self, v: Array, vectors: Sequence[Array], out: Array | None = None) -> Array:
        """Return the gradient or product of the batch, with that of the penalty at v."""
        return self._add(v, vectors, self._weights, out)

    def add_squares(self, params: Array, diagonals: Sequence[Array]) -> Array:
        """Return the Fisher diagonal of the batch."""
        return self._add(np.ones_like(params), diagonals, self._of_squares)

    def _add(
        self, v: Array, vectors: Sequence[Array], weights: Floats, out: Array | None = None
    ) -> Array:
        kind = vectors[0].dtype.type
        total = np.multiply(vectors[0], kind(weights[0]), out=out)
        for vector, weight in zip(vectors[1:], weights[1:], strict=True):
            total += kind(weight) * vector
        self._network.add_penalty_product(v, total)
        return total


@explained
class ParallelObjective:
    r"""A `SequenceNetwork` that computes on several cores or machines: an `Objective` on a `Batch`.

    .. math:: f(\theta) = \sum_s \frac{W_s}{W} f_s(\theta) + \frac{l_2}{2} \sum \lVert W \rVert^2

    Loss, gradient and Gauss-Newton product are weighted sums over sequences. A batch is cut into
    `n_shards` shards s of about the same number of steps, W_s the sum of the weights of their
    steps; each worker computes with its own shards, whose forward passes stay where they are, and
    the sums are added in the order of the shards, whoever is ready first. The result depends on
    the number of shards by rounding, and on that of workers not at all.

    Parameters
    ----------
    network : SequenceNetwork
        On the CPU.
    n_jobs : int, default=None
        Threads, as in joblib: None is one, -1 all cores. Each computes its shards on one core.
    n_shards : int, default=None
        Shards of a batch, at most one for each sequence; by default as many as there are workers.
    client : distributed.Client, optional
        Whose workers compute in place of threads. The shards of a batch are sent once; an
        evaluation sends the parameters, and a product a direction, to each worker, and brings one
        vector for each shard back. A worker that is lost is replaced by the others.

    Raises
    ------
    TypeError
        If `network` is no SequenceNetwork.
    ValueError
        If it computes on a GPU, or a number is smaller than 1.

    Notes
    -----
    Per iteration of `HessianFree` with k products of P parameters in b bytes each, a worker
    receives and sends 2 (k + 2) P b bytes for each shard: with 10^6 parameters in float32 and 50
    products .4 GB, or 3.3 s over 1 Gbit/s. That pays where a product takes longer than the 70 ms
    of its two vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from hessianfree import Batch, ElmanCell, SequenceNetwork
    >>> network = SequenceNetwork(ElmanCell(2, 4), n_outputs=1)
    >>> rng = np.random.default_rng(0)
    >>> batch = Batch(rng.normal(size=(10, 6, 2)), rng.normal(size=(10, 6, 1)))
    >>> params = rng.normal(size=network.n_params)
    >>> with ParallelObjective(network, n_jobs=2) as parallel:
    ...     bool(np.isclose(parallel.value(params, batch), network.value(params, batch)))
    True
    """

    device = "cpu"

    def __init__(
        self,
        network: object,
        n_jobs: int | None = None,
        *,
        n_shards: int | None = None,
        client: Any = None,
    ) -> None:
        if not isinstance(network, SequenceNetwork):
            raise TypeError(
                f"`network` is a {type(network).__name__}, but a SequenceNetwork was expected: "
                "other objectives do not say how they are sums over sequences."
            )
        if network.device != "cpu":
            raise ValueError(
                f"`network` computes on {network.device!r}, but 'cpu' was expected. A GPU computes "
                "all sequences side by side as it is."
            )
        self.network = network
        if client is None:
            n_workers = effective_n_jobs(n_jobs)
        else:
            check_methods(
                "client", client, ("submit", "gather", "ncores"), "a Client of distributed"
            )
            n_workers = max(1, len(client.ncores()))
        self.n_shards = (
            n_workers if n_shards is None else check_integer("n_shards", n_shards, minimum=1)
        )
        self._pool: _Pool = _Threads(n_workers) if client is None else _Dask(client)
        self._kept: WeakKeyDictionary[Batch, _ShardedBatch] = WeakKeyDictionary()

    def __enter__(self) -> Self:
        """Return itself; the threads end with the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads."""
        self._pool.close()

    def value(self, params: Array, batch: Batch) -> float:
        """Return f(θ); see `SequenceNetwork.value`."""
        sharded = self._sharded(params, batch)
        return sharded.add_losses(params, sharded.ask("value", self._pool.share(params)))

    def value_and_gradient(self, params: Array, batch: Batch) -> tuple[float, Array]:
        """Return f(θ) and its gradient; see `SequenceNetwork.value_and_gradient`."""
        sharded = self._sharded(params, batch)
        losses, gradients = zip(*sharded.ask("value_and_gradient", self._pool.share(params)))
        return sharded.add_losses(params, losses), sharded.add_vectors(params, gradients)

    def fisher_diagonal(self, params: Array, batch: Batch) -> Array:
        """Return the diagonal of the empirical Fisher matrix; see `SequenceNetwork`."""
        sharded = self._sharded(params, batch)
        diagonals = sharded.ask("fisher_diagonal", self._pool.share(params))
        return sharded.add_squares(params, diagonals)

    def linearize(self, params: Array, batch: Batch) -> ParallelLinearization:
        """Run the forward passes, keep them, and return the linearization at θ."""
        return ParallelLinearization(self._sharded(params, batch), self._pool.share, params.copy())

    def _sharded(self, params: Array, batch: Batch) -> _ShardedBatch:
        self.network.layout.check(params, "params")
        if batch not in self._kept:
            self._kept[batch] = _ShardedBatch(self.network, self._pool, batch, self.n_shards)
        return self._kept[batch]


class ParallelLinearization:
    """A `ParallelObjective` around one point, on one batch.

    The forward pass of a shard is kept beside it until another linearization is asked of the same
    batch; after that, the products of this one run it again.

    Attributes
    ----------
    value : float
        f(θ).
    """

    def __init__(
        self, sharded: _ShardedBatch, share: Callable[[Array], Any], params: Array
    ) -> None:
        self._sharded, self._share, self._params = sharded, share, params
        self._point = uuid.uuid4().hex, share(params)
        self.value = sharded.add_losses(params, sharded.ask("value_at", *self._point))

    def gradient(self) -> Array:
        """Return ∇f(θ), of shape (n_params,)."""
        gradients = self._sharded.ask("gradient_at", *self._point)
        return self._sharded.add_vectors(self._params, gradients)

    def gauss_newton_product(
        self, v: Array, structural_damping: float = 0.0, *, out: Array | None = None
    ) -> Array:
        """Return (Jᵀ H_L J + μ J_hᵀ D″ J_h + l2) v; see `NetworkLinearization`."""
        products = self._sharded.products(*self._point, self._share(v), structural_damping)
        return self._sharded.add_vectors(v, products, out)

    def as_linear_operator(
        self, *, damping: float = 0.0, structural_damping: float = 0.0
    ) -> GaussNewtonOperator:
        """Return G + λ I + μ S; see `NetworkLinearization.as_linear_operator`."""
        return GaussNewtonOperator(
            self,
            len(self._params),
            self._params.dtype,
            damping=damping,
            structural_damping=structural_damping,
        )


def cut_into_shards(batch: Batch, n_shards: int) -> list[Batch]:
    """Return shards of about the same number of steps, of whole sequences that are scored."""
    lengths = extent_of(batch).lengths
    scored = np.flatnonzero(lengths)
    n_shards = min(n_shards, len(scored))
    if np.ptp(lengths[scored]) == 0:
        return [take_sequences(batch, part) for part in np.array_split(scored, n_shards)]
    # The longest first, each to the shard that has had the fewest steps.
    parts: list[list[int]] = [[] for _ in range(n_shards)]
    steps = np.zeros(n_shards, dtype=np.intp)
    for index in scored[np.argsort(-lengths[scored], kind="stable")]:
        least = int(np.argmin(steps))
        parts[least].append(int(index))
        steps[least] += lengths[index]
    return [take_sequences(batch, np.array(sorted(part))) for part in parts]
