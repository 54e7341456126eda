"""The files of a run: what a checkpoint costs, whose they are, and what is left of killed runs."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from hessianfree.optimize import SGD, FunctionObjective
from hessianfree.training import FreshBatches, load_checkpoint, start, train
from hessianfree.training._checkpoints import CheckpointWriter

SPHERE = FunctionObjective(
    value=lambda x: 0.5 * x @ x, gradient=lambda x: x, product=lambda x, v: v
)
OPTIMIZER, DATA = SGD(0.01), FreshBatches(lambda n, rng: None, 1)


def begun():
    return start(OPTIMIZER, np.array([1.0, -2.0]), random_state=0)


def run(n_iterations, state=None, **keywords):
    state = begun() if state is None else state
    return train(SPHERE, OPTIMIZER, DATA, state, n_iterations=n_iterations, **keywords)


class KilledError(Exception):
    pass


def killed(path, n_iterations, state=None, **keywords):
    """Run until an error that nothing catches ends it after so many iterations."""

    def callback(state):
        if state.iteration == n_iterations:
            raise KilledError

    with pytest.raises(KilledError):
        run(10**6, state, checkpoint=path, callback=callback, **keywords)


def test_a_checkpoint_is_as_large_after_many_iterations(tmp_path):
    sizes = {}
    for n_iterations in (20, 2000):
        folder = tmp_path / str(n_iterations)
        folder.mkdir()
        state = run(n_iterations)
        writer = CheckpointWriter(folder / "run.npz")
        writer.save(state)
        (history,) = folder.glob("*.jsonl")
        before = history.stat().st_size
        state = run(n_iterations + 1, state)
        writer.save(state)
        sizes[n_iterations] = (folder / "run.npz").stat().st_size
        assert history.stat().st_size - before < 400  # a row
        writer.finish(state)
        assert os.listdir(folder) == ["run.npz"]
    assert sizes[2000] < sizes[20] + 100


def test_what_goes_on_from_the_middle_is_the_whole_run(tmp_path):
    path = tmp_path / "run.npz"
    killed(path, 7, checkpoint_every=2)
    assert sorted(os.listdir(tmp_path)) == ["run.npz", "run.npz.history-1.jsonl"]
    state = load_checkpoint(path, OPTIMIZER)
    assert state.iteration == len(state.history) == 6
    killed(path, 11, state, checkpoint_every=2)  # and again
    assert sorted(os.listdir(tmp_path)) == ["run.npz", "run.npz.history-2.jsonl"]
    resumed = run(20, load_checkpoint(path, OPTIMIZER), checkpoint=path)
    assert os.listdir(tmp_path) == ["run.npz"]
    whole, loaded = run(20), load_checkpoint(path, OPTIMIZER)
    for state in (resumed, loaded):
        np.testing.assert_array_equal(state.params, whole.params)
        for name in set(whole.history.names) - {"seconds"}:
            np.testing.assert_array_equal(state.history[name], whole.history[name])


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content.replace(b"1", b"2", 1),
        lambda content: b"",
        None,
    ],
)
def test_a_damaged_history_is_refused_with_the_path(tmp_path, damage):
    path = tmp_path / "run.npz"
    killed(path, 5)
    (history,) = tmp_path.glob("*.jsonl")
    if damage is None:
        history.unlink()
    else:
        history.write_bytes(damage(history.read_bytes()))
    with pytest.raises(ValueError, match=r"`path` '.*run\.npz' is damaged.*history-1\.jsonl"):
        load_checkpoint(path, OPTIMIZER)


@pytest.mark.parametrize("argument", ["checkpoint", "log"])
def test_a_second_run_on_the_same_file_is_refused(tmp_path, argument):
    path = tmp_path / "file"
    link = tmp_path / "link"
    link.symlink_to(path)
    errors = []

    def callback(state):
        for other in (path, link):
            with pytest.raises(ValueError, match=f"`{argument}` .* written by another run") as info:
                run(5, **{argument: other})
            errors.append(str(info.value))

    run(3, callback=callback, **{argument: path})
    assert len(errors) == 6
    assert f"process {os.getpid()} on" in errors[0]
    assert not list(tmp_path.glob("*.lock"))
    run(5, **{argument: path})


def test_the_lock_of_a_killed_process_keeps_nobody_off(tmp_path):
    path = tmp_path / "run.npz"
    script = (
        "import os, signal, sys\n"
        "from tests.hessianfree.training import test_run_files as files\n"
        "files.run(9, checkpoint=sys.argv[1],\n"
        "    callback=lambda state: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "run.npz.lock").exists()
    state = run(9, load_checkpoint(path, OPTIMIZER), checkpoint=path)
    assert state.iteration == 9
    assert os.listdir(tmp_path) == ["run.npz"]
