"""Runs that save as they go and are killed: forks of one process that has imported everything."""

import contextlib
import multiprocessing
import time

import numpy as np

from hessianfree import CharacterLanguageModel, RNNClassifier, RNNRegressor
from hessianfree.cells import ElmanCell
from hessianfree.network import SequenceNetwork
from hessianfree.optimize import Adam, HessianFree, LevenbergMarquardt, Momentum
from hessianfree.tasks import make_task
from hessianfree.training import FreshBatches, load_checkpoint, start, train

OPTIMIZER = HessianFree(
    damping=LevenbergMarquardt(initial=0.1), structural_damping=0.1, max_cg_iterations=15
)

OPTIMIZERS = {"hessian-free": OPTIMIZER, "nesterov": Momentum(0.1), "adam": Adam(0.01)}


def small_problem(dtype=np.float32):
    """A net that adds binary numbers, its data, and where it starts."""
    task = make_task("binary_addition", 6)
    network = SequenceNetwork(ElmanCell(2, 8), task.n_outputs, task.loss)
    params = 0.5 * np.random.default_rng(3).standard_normal(network.n_params)
    return network, FreshBatches(task.draw, 60, 20), params.astype(dtype)


def train_with_checkpoints(path, name, pause):
    """Take a run of the training loop to 30 iterations, from its checkpoint if there is one."""
    optimizer = OPTIMIZERS[name]
    network, data, params = small_problem()
    state = load_checkpoint(path, optimizer) if path.exists() else start(optimizer, params, 5)
    train(
        network, optimizer, data, state, n_iterations=30, checkpoint=path,
        log=path.with_suffix(".jsonl"), callback=lambda _: time.sleep(pause),
    )  # fmt: skip


def make_estimator(kind):
    """Return an estimator of a kind, and what it is fitted to."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(40, 6, 1))
    shared = {"random_state": 0, "gradient_batch_size": 9, "curvature_batch_size": 5}
    if kind == "text":
        model = CharacterLanguageModel(8, sequence_length=12, n_scored=9, **shared)
        return model, ["abc d" * 90]
    shared["validation_fraction"] = 0.3
    if kind == "adam":
        model = RNNRegressor(6, optimizer="adam", n_iter_no_change=40, **shared)
        return model, (X, rng.normal(size=(40, 6, 1)))
    model = RNNClassifier(6, n_iter_no_change=15, tol=1e-2, **shared)
    return model, (X, X[:, 0, 0] > 0)


def fit_with_files(path, kind, total, ready):
    """Take a fit to so many iterations, from its file if there is one; save it after each."""
    model, data = make_estimator(kind)
    if path.exists():
        model = type(model).load(path).set_params(warm_start=True)
    done = getattr(model, "n_iter_", 0)
    ready.send("ready")
    if done < total:
        model.set_params(max_iter=total - done, callback=lambda model: model.save(path)).fit(*data)
        model.save(path)


@contextlib.contextmanager
def forked(function, *arguments):
    """Call a function in a process of its own, which is over when the context is left."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=function, args=arguments)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()
