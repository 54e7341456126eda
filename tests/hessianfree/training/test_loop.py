"""The training loop: history, checkpoints that resume bit for bit, batches, stopping."""

import json
import math
import os
import signal
import time
from dataclasses import dataclass

import numpy as np
import pytest

from hessianfree.batch import Batch
from hessianfree.optimize import FunctionObjective, HessianFree
from hessianfree.training import (
    FreshBatches,
    History,
    Minibatches,
    load_checkpoint,
    save_checkpoint,
    start,
    train,
)
from tests.support.killed_runs import (
    OPTIMIZER,
    OPTIMIZERS,
    forked,
    small_problem,
    train_with_checkpoints,
)


@pytest.fixture
def interruptible():
    """SIGINT as in a terminal: shells start what runs in the background with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class TestResuming:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("source", ["fresh", "minibatches"])
    def test_two_halves_equal_the_whole(self, dtype, source, tmp_path):
        network, data, params = small_problem(dtype)
        if source == "minibatches":
            data = Minibatches(
                data.batches(0, np.random.SeedSequence(1))[0], gradient_size=25, curvature_size=7
            )
        whole = train(network, OPTIMIZER, data, start(OPTIMIZER, params, 5), n_iterations=8)
        half = train(
            network, OPTIMIZER, data, start(OPTIMIZER, params, 5), n_iterations=5,
            checkpoint=tmp_path / "run.npz",
        )  # fmt: skip
        resumed = train(
            network,
            OPTIMIZER,
            data,
            load_checkpoint(tmp_path / "run.npz", OPTIMIZER),
            n_iterations=8,
        )
        assert half.iteration == 5
        assert resumed.params.dtype == dtype
        np.testing.assert_array_equal(resumed.params, whole.params)
        assert resumed.optimizer_state.damping == whole.optimizer_state.damping
        for name in whole.history.names:
            if name != "seconds":
                np.testing.assert_array_equal(resumed.history[name], whole.history[name])

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_killed_and_resumed_equals_never_stopped(self, name, tmp_path):
        file, log = tmp_path / "killed.npz", tmp_path / "killed.jsonl"
        killed = 0
        # Kills at unlike moments, whatever the run is doing then.
        for iterations, delay in [(2, 0.0), (9, 0.013)]:
            with forked(train_with_checkpoints, file, name, 0.02) as process:
                while process.is_alive():
                    if log.exists() and len(log.read_text().splitlines()) >= iterations:
                        time.sleep(delay)
                        process.kill()
                        break
                    time.sleep(0.002)
                process.join()
                killed += process.exitcode == -signal.SIGKILL
        assert killed == 2
        optimizer = OPTIMIZERS[name]
        network, data, params = small_problem()
        runs = []
        for log, state in [
            ("killed.jsonl", load_checkpoint(file, optimizer)),
            ("whole.jsonl", start(optimizer, params, 5)),
        ]:
            assert state.iteration < 30
            runs.append(train(network, optimizer, data, state, n_iterations=30, log=tmp_path / log))
        assert runs[0].params.tobytes() == runs[1].params.tobytes()
        rows = [
            [json.loads(line) for line in (tmp_path / log).read_text().splitlines()]
            for log in ("killed.jsonl", "whole.jsonl")
        ]
        for row in rows[0] + rows[1]:
            del row["seconds"]
        assert rows[0] == rows[1]

    def test_control_c_leaves_the_last_complete_iteration(self, tmp_path, interruptible):
        network, data, params = small_problem()
        linearize, calls = network.linearize, []

        def interrupted(params, batch):
            calls.append(1)
            if len(calls) == 4:
                signal.raise_signal(signal.SIGINT)
            return linearize(params, batch)

        network.linearize = interrupted
        file = tmp_path / "run.npz"
        state = train(
            network, OPTIMIZER, data, start(OPTIMIZER, params, 5), n_iterations=8,
            checkpoint=file, checkpoint_every=100, log=tmp_path / "run.jsonl",
        )  # fmt: skip
        assert (state.iteration, state.stop_reason, len(state.history)) == (3, "interrupted", 3)
        saved = load_checkpoint(file, OPTIMIZER)
        assert (saved.iteration, saved.stop_reason) == (3, "interrupted")
        np.testing.assert_array_equal(saved.params, state.params)
        assert len((tmp_path / "run.jsonl").read_text().splitlines()) == 3
        resumed = train(network, OPTIMIZER, data, saved, n_iterations=8)
        whole = train(network, OPTIMIZER, data, start(OPTIMIZER, params, 5), n_iterations=8)
        np.testing.assert_array_equal(resumed.params, whole.params)

    def test_control_c_between_the_row_and_the_state(self, monkeypatch):
        network, data, params = small_problem()
        append = History.append

        def interrupted(history, row):
            append(history, row)
            if len(history) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(History, "append", interrupted)
        state = train(network, OPTIMIZER, data, start(OPTIMIZER, params, 5), n_iterations=8)
        assert len(state.history) == state.iteration == 2

    def test_a_complete_run_is_left_alone(self):
        network, data, params = small_problem()
        state = train(network, OPTIMIZER, data, start(OPTIMIZER, params, 5), n_iterations=2)
        again = train(network, OPTIMIZER, data, state, n_iterations=2)
        assert again.iteration == 2
        np.testing.assert_array_equal(again.params, state.params)

    def test_a_state_given_is_not_changed(self):
        network, data, params = small_problem()
        state = train(network, OPTIMIZER, data, start(OPTIMIZER, params, 5), n_iterations=2)
        train(network, OPTIMIZER, data, state, n_iterations=4)
        assert len(state.history) == state.iteration == 2


class TestLoop:
    def test_learns_and_writes_down_how(self, tmp_path):
        network, data, params = small_problem()
        state = train(
            network, OPTIMIZER, data, start(OPTIMIZER, params, 5), n_iterations=25,
            log=tmp_path / "run.jsonl",
        )  # fmt: skip
        history = state.history
        assert history["loss"][-1] < 0.5 * history["loss"][0]
        assert np.all(history["seconds"] > 0)
        rows = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
        assert len(rows) == len(history) == 25
        for name in (
            "loss",
            "damping",
            "cg_iterations",
            "products",
            "passes",
            "seconds",
            "cg_stop",
        ):
            assert [row[name] for row in rows] == history[name].tolist()
        ratios = [math.nan if row["reduction_ratio"] is None else row["reduction_ratio"]
                  for row in rows]  # fmt: skip
        finite = np.isfinite(history["reduction_ratio"])
        np.testing.assert_array_equal(
            ratios, np.where(finite, history["reduction_ratio"], math.nan)
        )
        # Gradient batch 60, curvature batch 20: a product costs 4/3 of a third.
        least = 1 + (4 / 3 * history["products"] + 1 / 3) / 3
        assert np.all(history["passes"] > least)
        np.testing.assert_allclose(history["sequence_gradients"], 60 * history["passes"])

    def test_callback_that_returns_true_stops(self, tmp_path):
        network, data, params = small_problem()
        seen = []

        def callback(state):
            seen.append(state.iteration)
            return state.iteration == 3

        state = train(
            network, OPTIMIZER, data, start(OPTIMIZER, params, 5), n_iterations=8,
            callback=callback, checkpoint=tmp_path / "run.npz", checkpoint_every=2,
        )  # fmt: skip
        assert seen == [1, 2, 3]
        assert state.stop_reason == "callback"
        assert load_checkpoint(tmp_path / "run.npz", OPTIMIZER).iteration == 3

    def test_progress_bar_only_where_asked_for(self, capsys):
        network, data, params = small_problem()
        for progress in (False, True):
            train(
                network, OPTIMIZER, data, start(OPTIMIZER, params), n_iterations=2,
                progress=progress,
            )  # fmt: skip
            shown = capsys.readouterr()
            assert ("2/2" in shown.err and "loss" in shown.err) == progress
            assert shown.out == ""

    def test_serves_other_optimizers(self, tmp_path):
        @dataclass(frozen=True)
        class DescentState:
            params: np.ndarray
            velocity: np.ndarray
            n_steps: int

        class Descent:
            def init(self, params):
                return DescentState(params.copy(), np.zeros_like(params), 0)

            def step(self, objective, state, gradient_batch=None, curvature_batch=None):
                loss, gradient = objective.value_and_gradient(state.params, gradient_batch)
                velocity = 0.5 * state.velocity - 0.1 * gradient
                state = DescentState(state.params + velocity, velocity, state.n_steps + 1)
                return state, {"loss": loss, "passes": 1.0, "sequence_gradients": 1.0}

        network, data, params = small_problem()
        file, descent = tmp_path / "run.npz", Descent()
        whole = train(network, descent, data, start(descent, params, 1), n_iterations=9)
        train(network, descent, data, start(descent, params, 1), n_iterations=4, checkpoint=file)
        resumed = train(network, descent, data, load_checkpoint(file, descent), n_iterations=9)
        np.testing.assert_array_equal(resumed.params, whole.params)
        with pytest.raises(ValueError, match="`optimizer` is a HessianFree, but the file holds"):
            load_checkpoint(file, OPTIMIZER)

    def test_errors(self):
        network, data, params = small_problem()
        with pytest.raises(ValueError, match="`n_iterations` is -1"):
            train(network, OPTIMIZER, data, start(OPTIMIZER, params), n_iterations=-1)
        with pytest.raises(ValueError, match="`checkpoint_every` is 0"):
            train(
                network, OPTIMIZER, data, start(OPTIMIZER, params), n_iterations=1,
                checkpoint_every=0,
            )  # fmt: skip


@pytest.fixture
def numbered():
    """Ten sequences, each of them holding its own number everywhere."""
    inputs = np.broadcast_to(np.arange(10.0)[:, None], (3, 10, 1))
    mask = np.broadcast_to(np.arange(1, 11), (3, 10))
    return Batch(inputs, 100 + inputs, mask)


def numbers(batch):
    np.testing.assert_array_equal(batch.targets, 100 + batch.inputs)
    np.testing.assert_array_equal(batch.mask, 1 + batch.inputs[..., 0])
    return batch.inputs[0, :, 0].astype(int).tolist()


class TestData:
    def test_an_epoch_has_each_sequence_once(self, numbered):
        source, seed = Minibatches(numbered, gradient_size=4), np.random.SeedSequence(7)
        epochs = []
        for epoch in range(2):
            parts = [numbers(source.batches(3 * epoch + i, seed)[0]) for i in range(3)]
            assert [len(part) for part in parts] == [4, 4, 2]
            epochs.append([number for part in parts for number in part])
            assert sorted(epochs[-1]) == list(range(10))
        assert epochs[0] != epochs[1]

    def test_curvature_batch_is_drawn_from_the_gradient_batch(self, numbered):
        source = Minibatches(numbered, gradient_size=4, curvature_size=3)
        chosen = []
        for iteration in range(6):
            gradient, curvature = source.batches(iteration, np.random.SeedSequence(7))
            assert len(set(numbers(curvature))) == min(3, gradient.n_sequences)
            assert set(numbers(curvature)) <= set(numbers(gradient))
            chosen.append(numbers(curvature))
        assert len({tuple(part) for part in chosen}) == 6

    def test_without_sizes_the_data_are_handed_on(self, numbered):
        gradient, curvature = Minibatches(numbered).batches(3, np.random.SeedSequence(7))
        assert gradient is curvature is numbered

    def test_random_access_gives_the_same_as_in_order(self, numbered):
        seed = np.random.SeedSequence(7)
        in_order = Minibatches(numbered, gradient_size=4, curvature_size=2)
        expected = [[numbers(b) for b in in_order.batches(i, seed)] for i in range(9)]
        for i in [8, 0, 4, 4, 2]:
            fresh = Minibatches(numbered, gradient_size=4, curvature_size=2)
            assert [numbers(b) for b in fresh.batches(i, seed)] == expected[i]
            assert [numbers(b) for b in in_order.batches(i, seed)] == expected[i]
        other = in_order.batches(0, np.random.SeedSequence(8))
        assert [numbers(b) for b in other] != expected[0]

    def test_fresh_batches_grow(self):
        source = FreshBatches(lambda n, rng: np.zeros(n), 30, 10, growth=0.1)
        sizes = [
            [len(part) for part in source.batches(i, np.random.SeedSequence(0))] for i in (0, 1, 25)
        ]
        assert sizes == [[30, 10], [33, 11], [105, 35]]
        with pytest.raises(ValueError, match=r"`growth` is -0\.1"):
            FreshBatches(lambda n, rng: None, 1, growth=-0.1)

    def test_fresh_batches_differ_between_iterations_and_sets(self):
        source = FreshBatches(lambda n, rng: rng.integers(10**9, size=n).tolist(), 3, 2)
        drawn = [source.batches(i, np.random.SeedSequence(7)) for i in range(4)]
        values = [value for pair in drawn for batch in pair for value in batch]
        assert len(set(values)) == len(values) == 20
        assert source.batches(2, np.random.SeedSequence(7)) == drawn[2]
        one = FreshBatches(lambda n, rng: [n], 3).batches(0, np.random.SeedSequence(7))
        assert one[0] is one[1]

    def test_errors(self, numbered):
        with pytest.raises(ValueError, match="`gradient_size` is 11"):
            Minibatches(numbered, gradient_size=11)
        with pytest.raises(ValueError, match="`curvature_size` is 5"):
            Minibatches(numbered, gradient_size=4, curvature_size=5)
        with pytest.raises(ValueError, match="`gradient_size` is 0"):
            FreshBatches(lambda n, rng: None, 0)


class TestFiles:
    def test_history_survives_a_checkpoint(self, tmp_path):
        objective = FunctionObjective(lambda x: float(x @ x), lambda x: 2 * x, lambda x, v: 2 * v)
        state = train(
            objective, HessianFree(), FreshBatches(lambda n, rng: None, 1),
            start(HessianFree(), np.ones(2), np.random.SeedSequence(2**100, spawn_key=(3,))),
            n_iterations=3,
        )  # fmt: skip
        save_checkpoint(tmp_path / "a.npz", state)
        loaded = load_checkpoint(tmp_path / "a.npz", HessianFree())
        assert (loaded.seed.entropy, loaded.seed.spawn_key) == (2**100, (3,))
        assert loaded.history.last == state.history.last
        assert [type(v) for v in loaded.history.last.values()] == [
            type(v) for v in state.history.last.values()
        ]

    def test_failed_write_leaves_the_old_checkpoint(self, tmp_path, monkeypatch):
        file, optimizer = tmp_path / "a.npz", HessianFree()
        save_checkpoint(file, start(optimizer, np.ones(2), 0))

        def full_disk(*_):
            raise OSError("no space left")

        monkeypatch.setattr(os, "replace", full_disk)
        with pytest.raises(OSError, match="no space left"):
            save_checkpoint(file, start(optimizer, np.zeros(2), 0))
        assert load_checkpoint(file, optimizer).params.tolist() == [1, 1]
        assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]

    def test_other_files_are_refused(self, tmp_path):
        from reservoir.utils.files import save_arrays

        save_arrays(tmp_path / "a.npz", header={"format": "model"}, arrays={})
        with pytest.raises(ValueError, match="holds 'model' of version None, but"):
            load_checkpoint(tmp_path / "a.npz", HessianFree())
        (tmp_path / "b.npz").write_bytes(b"nothing")
        with pytest.raises(ValueError, match="is not a file that this library saved"):
            load_checkpoint(tmp_path / "b.npz", HessianFree())

    def test_jsonl_has_null_for_what_is_not_finite(self, tmp_path):
        history = History()
        history.append({"loss": math.inf, "ratio": -math.inf, "n": 3, "stop": "solved"})
        history.append({"loss": 1.0, "ratio": math.nan, "n": 4, "stop": "not_finite"})
        history.write_jsonl(tmp_path / "a.jsonl")
        rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
        assert rows == [
            {"loss": None, "ratio": None, "n": 3, "stop": "solved"},
            {"loss": 1.0, "ratio": None, "n": 4, "stop": "not_finite"},
        ]

    def test_rows_must_agree(self):
        history = History()
        history.append({"loss": 1.0})
        with pytest.raises(ValueError, match="`row` has the names"):
            history.append({"loss": 1.0, "more": 2.0})
