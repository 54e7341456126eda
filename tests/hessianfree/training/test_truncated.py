"""Truncated backpropagation: carried states, chunks, and the gradient that is cut."""

import dataclasses

import numpy as np
import pytest
from scipy.signal import lfilter

from hessianfree.batch import Batch
from hessianfree.cells import (
    ElmanCell,
    GRUCell,
    LSTMCell,
    MultiplicativeCell,
    StackedCell,
    TensorCell,
)
from hessianfree.network import SequenceNetwork, echo_state_parameters
from hessianfree.optimize import SGD, Adam, HessianFree, Momentum
from hessianfree.training import (
    Chunk,
    Chunks,
    Minibatches,
    TruncatedBackpropagation,
    load_checkpoint,
    start,
    take_sequences,
    train,
)
from reservoir.utils.persistence import pack, unpack

CELLS = {
    "vanilla": ElmanCell(2, 5),
    "multiplicative": MultiplicativeCell(2, 5, 4, gain="shifted_tanh"),
    "tensor": TensorCell(2, 5),
    "lstm": LSTMCell(2, 5),
    "gru": GRUCell(2, 5),
    "two layers": StackedCell([LSTMCell(2, 3), ElmanCell(3, 5)]),
}
SEED = np.random.SeedSequence(0)


def make(cell, rng, n_steps=12, dtype=np.float64, mask=None):
    network = SequenceNetwork(cell, n_outputs=1)
    inputs = rng.standard_normal((n_steps, 3, 2))
    batch = Batch(inputs, rng.standard_normal((n_steps, 3, 1)), mask)
    params = 0.5 * rng.standard_normal(network.n_params)
    return network, batch, params.astype(dtype)


def carried_along(network, params, chunks):
    """Return the chunks with the states that a net with these parameters hands on."""
    state, parts = None, []
    for chunk in chunks:
        part = dataclasses.replace(chunk, initial_state=state) if chunk.continues else chunk
        state = network.final_state(params, part)
        parts.append(part)
    return parts


def chunks_of(batch, length):
    source = Chunks(batch, length)
    return [source.batches(i, SEED)[0] for i in range(source.n_chunks)]


class TestInitialState:
    @pytest.mark.parametrize("name", CELLS)
    def test_a_batch_goes_on_from_it(self, name, rng):
        network, batch, params = make(CELLS[name], rng)
        first, second = chunks_of(batch, 7)
        joined = network.states(params, batch.inputs)
        going_on = dataclasses.replace(second, initial_state=network.final_state(params, first))
        np.testing.assert_allclose(
            network.states(params, second.inputs, going_on.initial_state), joined[7:], rtol=1e-13
        )
        # Given as a state, what was learned gives the same value, and no gradient for itself.
        learned = np.empty((3, network.cell.state_size))
        for block, part in network.cell.learned_states.items():
            learned[:, part] = network.layout.views(params)[block]
        given = dataclasses.replace(batch, initial_state=learned)
        assert network.value(params, given) == pytest.approx(network.value(params, batch))
        ours, full = (network.value_and_gradient(params, b)[1] for b in (given, batch))
        for block in network.cell.learned_states:
            part = network.layout.slices[block]
            np.testing.assert_array_equal(ours[part], 0)
            assert np.abs(full[part]).min() > 0
            ours[part] = full[part]
        np.testing.assert_allclose(ours, full, rtol=1e-11, atol=1e-14)

    @pytest.mark.parametrize("name", CELLS)
    def test_gradient_and_product_by_differences(self, name, rng):
        """Complex steps do not pass through the cells: central differences, error about 1e-9."""
        network, batch, params = make(CELLS[name], rng)
        batch = dataclasses.replace(
            batch, initial_state=rng.standard_normal((3, network.cell.state_size))
        )
        v, h = rng.standard_normal(network.n_params), 1e-5
        values = [network.value(params + s * h * v, batch) for s in (1, -1)]
        gradient = network.value_and_gradient(params, batch)[1]
        assert gradient @ v == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-7)
        # vᵀ G v = the mean square of J v, for the squared error.
        predictions = [
            network.predict(params + s * h * v, batch.inputs, batch.initial_state) for s in (1, -1)
        ]
        jv = (predictions[0] - predictions[1]) / (2 * h)
        product = network.linearize(params, batch).gauss_newton_product(v)
        assert v @ product == pytest.approx(np.mean(jv**2), rel=1e-7)

    def test_slices_and_taken_sequences_have_their_own(self, rng):
        network, batch, params = make(CELLS["vanilla"], rng)
        batch = dataclasses.replace(batch, initial_state=rng.standard_normal((3, 5)))
        sliced = SequenceNetwork(network.cell, 1, max_rows=12)
        np.testing.assert_allclose(
            sliced.value_and_gradient(params, batch)[1],
            network.value_and_gradient(params, batch)[1],
            rtol=1e-11,
        )
        order = np.array([2, 0, 1])
        taken = take_sequences(batch, order)
        assert network.value(params, taken) == pytest.approx(network.value(params, batch))
        np.testing.assert_array_equal(taken.initial_state, batch.initial_state[order])

    def test_it_takes_the_place_of_a_vector_that_makes_states(self, rng):
        """W_s, and the learned state, have no part in a batch that goes on; in a first one they do.

        The gradient is written to memory that held other numbers before.
        """
        network = SequenceNetwork(CELLS["vanilla"], n_outputs=1, n_initial_inputs=2)
        inputs = rng.standard_normal((8, 3, 2))
        data = Batch(inputs, inputs[..., :1], initial_inputs=rng.standard_normal((3, 2)))
        params = 0.5 * rng.standard_normal(network.n_params)
        parts = carried_along(network, params, chunks_of(data, 4))
        losses = [network.value(params, part) for part in parts]
        assert np.mean(losses) == pytest.approx(network.value(params, data), rel=1e-12)
        for name in ("initial_input", "initial_state"):
            block = network.layout.slices[name]
            first, second = (network.value_and_gradient(params, part)[1] for part in parts)
            assert np.abs(first[block]).min() > 0
            np.testing.assert_array_equal(second[block], 0)
            linearization = network.linearize(params, parts[1])
            product = np.full(network.n_params, np.nan)
            linearization.gauss_newton_product(rng.standard_normal(len(params)), 0.1, out=product)
            np.testing.assert_array_equal(product[block], 0)
            np.testing.assert_array_equal(network.fisher_diagonal(params, parts[1])[block], 0)
        assert np.isfinite(product).all()

    def test_float32_stays_float32(self, rng):
        network, batch, params = make(CELLS["vanilla"], rng, dtype=np.float32)
        batch = dataclasses.replace(batch, initial_state=rng.standard_normal((3, 5)))
        assert network.value_and_gradient(params, batch)[1].dtype == np.float32
        assert network.final_state(params, batch).dtype == np.float32

    def test_errors(self, rng):
        inputs = np.zeros((4, 3, 2))
        for shape in [(2, 5), (3,)]:
            with pytest.raises(ValueError, match=r"`initial_state` has shape .*, but \(3, state_"):
                Batch(inputs, inputs, initial_state=np.zeros(shape))


class TestChunks:
    @pytest.mark.parametrize("name", CELLS)
    def test_chunks_with_carried_states_are_the_whole_forward_pass(self, name, rng):
        network, batch, params = make(CELLS[name], rng)
        parts = carried_along(network, params, chunks_of(batch, 4))
        assert len(parts) == 3
        losses = [network.value(params, part) for part in parts]
        assert np.mean(losses) == pytest.approx(network.value(params, batch), rel=1e-13)
        np.testing.assert_allclose(
            np.concatenate([network.predict(params, p.inputs, p.initial_state) for p in parts]),
            network.predict(params, batch.inputs),
            rtol=1e-11,
        )

    def test_truncation_leaves_out_just_what_crosses_a_boundary(self, rng):
        """With states that reach no further than a step (W_hh = 0) nothing crosses but h_{t-1}."""
        network, batch, params = make(CELLS["vanilla"], rng)
        whole = network.value_and_gradient(params, batch)[1]
        parts = carried_along(network, params, chunks_of(batch, 4))
        truncated = np.mean([network.value_and_gradient(params, p)[1] for p in parts], axis=0)
        assert np.abs(truncated - whole).max() > 1e-3
        network.layout.views(params)["recurrent"][...] = 0
        whole = network.value_and_gradient(params, batch)[1]
        parts = carried_along(network, params, chunks_of(batch, 4))
        truncated = np.mean([network.value_and_gradient(params, p)[1] for p in parts], axis=0)
        np.testing.assert_allclose(truncated, whole, rtol=1e-11, atol=1e-15)

    @pytest.mark.parametrize("length", [12, 100])
    @pytest.mark.parametrize("optimizer", [Momentum(0.1), HessianFree(max_cg_iterations=5)])
    def test_one_chunk_is_plain_backpropagation(self, optimizer, length, rng):
        network, batch, params = make(CELLS["vanilla"], rng)
        wrapped = TruncatedBackpropagation(optimizer)
        ours = train(
            network, wrapped, Chunks(batch, length), start(wrapped, params, 0), n_iterations=4
        )
        plain = train(
            network, optimizer, Minibatches(batch), start(optimizer, params, 0), n_iterations=4
        )
        np.testing.assert_array_equal(ours.params, plain.params)
        np.testing.assert_array_equal(ours.history["loss"], plain.history["loss"])
        np.testing.assert_allclose(ours.history["passes"], plain.history["passes"] + 1 / 3)
        np.testing.assert_allclose(
            ours.history["sequence_gradients"], plain.history["sequence_gradients"] + 1
        )

    def test_only_the_true_start_has_the_learned_initial_state(self, rng):
        network, batch, params = make(CELLS["vanilla"], rng)
        part = network.layout.slices["initial_state"]
        optimizer = TruncatedBackpropagation(SGD(0.1))
        state, seen = start(optimizer, params, 0), []
        for n in range(1, 7):
            before = state.params[part]
            state = train(network, optimizer, Chunks(batch, 4), state, n_iterations=n)
            seen.append(bool(np.any(state.params[part] != before)))
        assert seen == [True, False, False] * 2

    def test_steps_as_written_out(self, rng):
        """The recursion by hand: gradient on the chunk, step, states from the new parameters."""
        network, batch, params = make(CELLS["vanilla"], rng)
        optimizer = TruncatedBackpropagation(SGD(0.2))
        state = train(
            network, optimizer, Chunks(batch, 5), start(optimizer, params, 0), n_iterations=5
        )
        theta, h = params, None
        for i in range(5):
            steps = slice(5 * (i % 3), 5 * (i % 3) + 5)
            if i % 3 == 0:
                h = None
            chunk = Batch(batch.inputs[steps], batch.targets[steps], initial_state=h)
            theta = theta - 0.2 * network.value_and_gradient(theta, chunk)[1]
            h = network.states(theta, chunk.inputs, h)[-1]
        np.testing.assert_allclose(state.params, theta, rtol=1e-13)
        np.testing.assert_allclose(state.optimizer_state.carried, h, rtol=1e-13)

    def test_padding_never_matters(self, rng):
        mask = np.ones((12, 3))
        mask[5:, 1] = 0
        mask[2, 0] = 0
        network, batch, params = make(CELLS["vanilla"], rng, mask=mask)
        inputs = batch.inputs.copy()
        inputs[5:, 1] = np.nan
        optimizer, runs = TruncatedBackpropagation(Adam(0.01)), []
        for data in (batch, Batch(inputs, batch.targets, mask)):
            runs.append(
                train(
                    network, optimizer, Chunks(data, 4), start(optimizer, params, 0), n_iterations=7
                )
            )
            assert np.all(runs[-1].history["accepted"])
        np.testing.assert_array_equal(runs[0].params, runs[1].params)

    def test_steps_that_are_not_scored_are_run(self, rng):
        """The state handed on is that of the end of the chunk, not of its last scored step."""
        mask = np.zeros((12, 3))
        mask[::4] = 1
        mask[-1] = 1
        network, batch, params = make(CELLS["vanilla"], rng, mask=mask)
        parts = carried_along(network, params, chunks_of(batch, 4))
        weights = [part.n_scored for part in parts]
        losses = [network.value(params, part) for part in parts]
        assert np.average(losses, weights=weights) == pytest.approx(network.value(params, batch))


class TestRuns:
    def test_learns_what_reaches_over_several_chunks(self, rng):
        """y_t = 0.9 y_{t-1} + 0.2 u_t, from chunks of 5 steps.

        What a net can't know that begins each chunk anew is 0.9^k y of the step before it, with
        Var y = 0.2² / 3 / (1 - 0.9²): no such net has a smaller loss than half its mean square.
        """
        inputs = rng.uniform(-1, 1, size=(100, 20, 1))
        batch = Batch(inputs, lfilter([0.2], [1, -0.9], inputs, axis=0))
        unknown = 0.5 * 0.2**2 / 3 / (1 - 0.81) * np.mean(0.81 ** np.arange(1, 6))
        network = SequenceNetwork(ElmanCell(1, 10), n_outputs=1)
        params = echo_state_parameters(network, random_state=0)
        optimizer = TruncatedBackpropagation(Adam(0.01))
        state = train(
            network, optimizer, Chunks(batch, 5), start(optimizer, params, 0), n_iterations=300
        )
        assert network.value(state.params, batch) < 0.2 * unknown

    @pytest.mark.parametrize("stop", [3, 5])
    @pytest.mark.parametrize("inner", [Adam(0.02), HessianFree(max_cg_iterations=4)])
    def test_stopped_and_resumed_equals_never_stopped(self, inner, stop, rng, tmp_path):
        network, batch, params = make(CELLS["vanilla"], rng, dtype=np.float32)
        optimizer, data = TruncatedBackpropagation(inner), Chunks(batch, 4)
        file = tmp_path / "run.npz"
        begin = start(optimizer, params, 0)
        whole = train(network, optimizer, data, begin, n_iterations=8)
        train(network, optimizer, data, begin, n_iterations=stop, checkpoint=file)
        loaded = load_checkpoint(file, optimizer)
        assert loaded.optimizer_state.carried.shape == (3, 5)
        resumed = train(network, optimizer, data, loaded, n_iterations=8)
        np.testing.assert_array_equal(resumed.params, whole.params)
        np.testing.assert_array_equal(
            resumed.optimizer_state.carried, whole.optimizer_state.carried
        )
        with pytest.raises(ValueError, match="`optimizer` is a Adam, but the file holds a Trunc"):
            load_checkpoint(file, Adam())
        arrays = {}
        unpacked = unpack(pack(loaded.optimizer_state, "state", arrays), arrays)
        np.testing.assert_array_equal(unpacked.params, loaded.params)

    def test_errors(self, rng):
        network, batch, params = make(CELLS["vanilla"], rng)
        optimizer = TruncatedBackpropagation(SGD())
        state = optimizer.init(params)
        with pytest.raises(TypeError, match="`gradient_batch` is of type Batch, but a Chunk was"):
            optimizer.step(network, state, batch)
        with pytest.raises(ValueError, match="goes on with 3 sequences, but the states of 0 were"):
            optimizer.step(network, state, chunks_of(batch, 5)[1])
        with pytest.raises(ValueError, match="`chunk_length` is 0"):
            Chunks(batch, 0)
        mask = np.zeros((12, 3))
        mask[-1] = 1
        with pytest.raises(ValueError, match="`data` has no scored step from 0 up to 4"):
            Chunks(dataclasses.replace(batch, mask=mask), 4)
        assert isinstance(chunks_of(batch, 5)[0], Chunk)

    def test_says_whether_curvature_is_used(self):
        assert not TruncatedBackpropagation(SGD()).uses_curvature
        assert TruncatedBackpropagation(HessianFree()).uses_curvature
