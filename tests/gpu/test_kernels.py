"""The kernels of recurrence.cu against the loops of the host; see the fixture `xp`."""

import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

import reservoir
from reservoir.dynamics import (
    DivergenceError,
    FreeStart,
    Reservoir,
    VariantRun,
    Variants,
    free_run,
    free_run_variants,
    iterate_sequences,
    run,
    run_variants,
    variant,
)
from reservoir.dynamics._reservoir import ACTIVATIONS
from reservoir.dynamics._series import Series
from reservoir.dynamics.cuda._blocks import drive_blocks, plan_chunks
from reservoir.dynamics.cuda._lanes import DeviceReservoirs
from reservoir.dynamics.cuda._variants import DeviceVariants
from reservoir.readout import Readout
from reservoir.utils.device import is_on_device, to_host

# Sums of a few numbers of size 1, in another order than the host's; errors do not grow, since the
# reservoirs here contract.
TOLERANCE = {np.float64: 1e-14, np.float32: 5e-6}
SIZES = [1, 31, 33, 70, 1100]  # one unit; a warp but one, and one; more units than threads


def make_reservoir(rng, n_units, dtype, *, n_inputs=2, n_outputs=0, activation="tanh"):
    values = random_array((n_units, n_units), density=min(1.0, 5 / n_units), rng=rng)
    recurrent = csr_array(0.4 * values.tocsr()).astype(dtype)
    feedback = rng.uniform(-0.3, 0.3, (n_units, n_outputs)).astype(dtype) if n_outputs else None
    return Reservoir(
        recurrent,
        rng.uniform(-1, 1, (n_units, n_inputs)).astype(dtype),
        rng.uniform(-0.5, 0.5, n_units).astype(dtype),
        feedback=feedback,
        leak_rate=rng.uniform(0.2, 1.0, n_units).astype(dtype),
        activation=activation,
    )


def stacked(xp, reservoir, inputs, **settings):
    """Return the states of all sequences, gathered from blocks on the device."""
    offsets = np.cumsum([0, *map(len, inputs)])
    states = np.full((offsets[-1], reservoir.n_units), np.nan, dtype=reservoir.dtype)
    for index, start, rows in iterate_sequences(
        reservoir, [xp.asarray(part) for part in inputs], **settings
    ):
        assert is_on_device(rows)
        states[offsets[index] + start :][: len(rows)] = to_host(rows)
    return states


@pytest.fixture(params=["in a block", "step by step"])
def way(request, monkeypatch):
    """Whether a block runs a lane alone, or reservoirs are taken as too large for its memory."""
    if request.param == "step by step":
        monkeypatch.setattr(DeviceReservoirs, "shared_bytes", lambda self, n_outputs: None)
    return request.param


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_units", SIZES)
def test_driven_states(xp, way, rng, dtype, n_units):
    reservoir = make_reservoir(rng, n_units, dtype)
    n_steps = 7 if n_units > 100 else 60
    inputs = [rng.normal(size=(n, 2)) for n in (n_steps, 1, n_steps // 2)]
    found = stacked(xp, reservoir, inputs)
    wanted = np.concatenate([run(reservoir, part, engine="numpy") for part in inputs])
    assert found.dtype == dtype
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(xp, way, rng, activation):
    reservoir = make_reservoir(rng, 20, np.float64, activation=activation)
    inputs = rng.normal(size=(30, 2))
    np.testing.assert_allclose(
        to_host(run(reservoir, xp.asarray(inputs))),
        run(reservoir, inputs, engine="numpy"),
        rtol=1e-13,
        atol=1e-13,
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_chunks_change_nothing_and_their_borders_carry_states(xp, way, rng, dtype):
    reservoir = make_reservoir(rng, 9, dtype)
    inputs = [rng.normal(size=(n, 2)) for n in (150, 0, 5, 300)]
    starts = [rng.uniform(-1, 1, 9) for _ in inputs]
    settings = {"initial_states": starts}
    whole = stacked(xp, reservoir, inputs, **settings)
    in_chunks = stacked(xp, reservoir, inputs, chunk_size=256, **settings)
    np.testing.assert_array_equal(in_chunks, whole)
    parts = [run(reservoir, u, initial_state=x, engine="numpy") for u, x in zip(inputs, starts)]
    np.testing.assert_allclose(whole, np.concatenate(parts), rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_teacher_forcing_and_noise_of_the_same_streams(xp, way, rng, dtype):
    reservoir = make_reservoir(rng, 40, dtype, n_outputs=3)
    inputs = [rng.normal(size=(n, 2)) for n in (50, 90, 0, 7)]
    teachers = [rng.normal(size=(len(part), 3)) for part in inputs]
    settings = {
        "initial_outputs": [rng.normal(size=3) for _ in inputs],
        "state_noise": 0.1,
        "feedback_noise": 0.2,
        "random_state": 5,
    }
    found = stacked(xp, reservoir, inputs, teachers=[xp.asarray(y) for y in teachers], **settings)
    offsets = np.cumsum([0, *map(len, inputs)])
    for index, start, rows in iterate_sequences(
        reservoir, inputs, teachers=teachers, engine="numpy", **settings
    ):
        mine = found[offsets[index] + start :][: len(rows)]
        np.testing.assert_allclose(mine, rows, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("n_outputs", [1, 2, 5, 40])  # 40: more than teams of threads in a block
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("squares", [False, True])
def test_closed_loop(xp, way, rng, dtype, n_outputs, squares):
    reservoir = make_reservoir(rng, 35, dtype, n_outputs=n_outputs)
    readout = Readout(
        state=rng.normal(size=(n_outputs, 35)) / 20,
        intercept=rng.normal(size=n_outputs),
        input=rng.normal(size=(n_outputs, 2)),
        squares=rng.normal(size=(n_outputs, 35)) / 20 if squares else None,
    )
    n_steps = 12
    inputs = rng.normal(size=(n_steps, 2))
    settings = {
        "initial_state": rng.uniform(-1, 1, 35),
        "initial_output": rng.normal(size=n_outputs),
        "inputs": inputs,
    }
    wanted = free_run(reservoir, readout, n_steps, return_states=True, engine="numpy", **settings)
    moved = {name: xp.asarray(value) for name, value in settings.items()}
    found = free_run(reservoir, readout, n_steps, return_states=True, **moved)
    assert is_on_device(found.outputs)
    for name in ("outputs", "states", "final_state"):
        np.testing.assert_allclose(
            to_host(getattr(found, name)),
            getattr(wanted, name),
            rtol=0,
            atol=20 * TOLERANCE[dtype],
            err_msg=name,
        )


@pytest.mark.parametrize("output_as_input", [False, True])
@pytest.mark.parametrize("squares", [False, True])
def test_closed_loops_of_variants_with_readouts_of_their_own(
    xp, way, rng, monkeypatch, output_as_input, squares
):
    monkeypatch.setattr(
        "reservoir.dynamics.cuda._blocks._CHUNK_BYTES", 64 * 3 * 15 * 8
    )  # three lanes at once
    n_outputs = 0 if output_as_input else 2
    reservoirs = [make_reservoir(rng, 15, np.float64, n_outputs=n_outputs) for _ in range(2)]
    n_scales = 3 if output_as_input else 5
    variants = Variants(
        rng.uniform(0.1, 1, 4), rng.uniform(0.1, 1, 4), rng.uniform(0.1, 2, (4, n_scales))
    )
    which, chosen = [0, 1, 1, 0], [2, 0, 0, 3, 1]
    readouts = [
        Readout(
            state=rng.normal(size=(2, 15)) / 10,
            intercept=rng.normal(size=2),
            input=rng.normal(size=(2, 2)) / 5,
            squares=rng.normal(size=(2, 15)) / 10 if squares else None,
        )
        for _ in chosen
    ]
    states, outputs = rng.uniform(-1, 1, (5, 15)), rng.normal(size=(5, 2))
    inputs = rng.normal(size=(5, 70, 0 if output_as_input else 2))
    found = free_run_variants(
        xp,
        reservoirs,
        which,
        variants,
        [
            VariantRun(*run, FreeStart(70, *start))
            for *run, start in zip(chosen, readouts, zip(states, outputs, inputs))
        ],
        output_as_input=output_as_input,
    )
    for k, index in enumerate(chosen):
        wanted = free_run(
            variant(reservoirs[which[index]], variants, index),
            readouts[k],
            70,
            initial_state=states[k],
            initial_output=outputs[k],
            inputs=None if output_as_input else inputs[k],
            output_as_input=output_as_input,
            engine="numpy",
        )
        np.testing.assert_allclose(found[k], wanted.outputs, rtol=0, atol=1e-12)


def test_outputs_as_inputs_over_chunk_borders(xp, way, rng, monkeypatch):
    monkeypatch.setattr("reservoir.dynamics.cuda._blocks._CHUNK_BYTES", 64 * 12 * 8)
    reservoir = make_reservoir(rng, 12, np.float64)
    readout = Readout(
        state=rng.normal(size=(2, 12)) / 10,
        intercept=rng.normal(size=2),
        input=rng.normal(size=(2, 2)) / 5,
    )
    start = rng.normal(size=2)
    wanted = free_run(reservoir, readout, 300, initial_output=start, output_as_input=True)
    found = free_run(
        reservoir, readout, 300, initial_output=xp.asarray(start), output_as_input=True
    )
    np.testing.assert_allclose(to_host(found.outputs), wanted.outputs, rtol=0, atol=1e-12)


def test_a_dense_recurrence_and_units_without_connections(xp, way, rng):
    dense = rng.normal(size=(6, 6)) / 6
    dense[3] = 0
    plain = make_reservoir(rng, 6, np.float64)
    inputs = rng.normal(size=(20, 2))
    for recurrent in (dense, csr_array(dense), csr_array((6, 6))):
        reservoir = Reservoir(recurrent, plain.input, plain.bias)
        np.testing.assert_allclose(
            to_host(run(reservoir, xp.asarray(inputs))),
            run(reservoir, inputs, engine="numpy"),
            rtol=0,
            atol=1e-14,
        )


def test_variants_are_lanes(xp, way, rng):
    reservoir = make_reservoir(rng, 21, np.float64, n_outputs=1)
    variants = Variants(rng.uniform(0.1, 1, 5), rng.uniform(0.1, 1, 5), rng.uniform(0.1, 2, (5, 4)))
    inputs, teacher = rng.normal(size=(90, 2)), rng.normal(size=(90, 1))
    wanted = run_variants(reservoir, variants, inputs, teacher=teacher, engine="numpy")
    lanes = DeviceVariants(
        xp, [reservoir], [0] * 5, variants.recurrent, variants.leak, variants.drive
    )
    series = Series(
        xp.asarray(inputs), xp.asarray(teacher), np.zeros(21), np.zeros(1), (0.0, 0.0), None
    )
    block = xp.zeros((5, 90, 22))
    for start, stop in ((0, 50), (50, 90)):
        lanes.advance(block[:, start:stop, 1:], series, start)
    np.testing.assert_allclose(to_host(block)[:, :, 1:], wanted, rtol=0, atol=1e-14)


def test_lanes_of_several_reservoirs(xp, way, rng):
    reservoirs = [make_reservoir(rng, 21, np.float64) for _ in range(3)]
    most = [np.diff(one.recurrent.indptr).max() for one in reservoirs]
    assert len(set(most)) > 1  # connections of a unit
    which = [0, 2, 1, 0]
    variants = Variants(rng.uniform(0.1, 1, 4), rng.uniform(0.1, 1, 4), rng.uniform(0.1, 2, (4, 3)))
    inputs = rng.normal(size=(40, 2))
    lanes = DeviceVariants(xp, reservoirs, which, variants.recurrent, variants.leak, variants.drive)
    series = Series(xp.asarray(inputs), None, np.zeros(21), np.zeros(0), (0.0, 0.0), None)
    block = xp.zeros((4, 40, 21))
    lanes.advance(block, series, 0)
    for lane, index in enumerate(which):
        wanted = run(variant(reservoirs[index], variants, lane), inputs, engine="numpy")
        np.testing.assert_allclose(to_host(block)[lane], wanted, rtol=0, atol=1e-14)


def test_divergence_names_the_step(xp, rng):
    grows = Reservoir(np.array([[3.0]]), np.ones((1, 1)), np.zeros(1), activation="identity")
    with pytest.raises(DivergenceError) as on_host:
        run(grows, np.ones((800, 1)))
    with pytest.raises(DivergenceError) as on_device:
        run(grows, xp.ones((800, 1)))
    assert on_device.value.step == on_host.value.step
    assert str(on_device.value) == str(on_host.value)


def test_nan_passes_through_the_kernels(xp, way, rng):
    reservoir = make_reservoir(rng, 5, np.float64, activation="relu")
    tanh = make_reservoir(rng, 5, np.float64)
    inputs = np.ones((4, 2))
    inputs[2] = np.nan
    with pytest.raises(DivergenceError, match="step 2"):
        run(reservoir, xp.asarray(inputs))
    states = to_host(run(tanh, xp.asarray(inputs)))
    assert np.isfinite(states[:2]).all()
    assert np.isnan(states[2:]).all()


def test_what_the_kernels_cannot_do_is_refused(xp, rng):
    reservoir = make_reservoir(rng, 5, np.float64)
    inputs = xp.ones((4, 2))
    with pytest.raises(ValueError, match=r"`engine` is 'numpy', but the arrays lie on a GPU"):
        run(reservoir, inputs, engine="numpy")
    with pytest.raises(ValueError, match=r"`activation` is .*on a GPU one of.*`device` to 'cpu'"):
        run(Reservoir(np.eye(2), np.ones((2, 2)), np.zeros(2), activation=np.sin), inputs)
    fed_back = make_reservoir(rng, 5, np.float64, n_outputs=1)
    with pytest.raises(TypeError, match=r"`inputs` is a CuPy array, but `teacher` is not"):
        run(fed_back, inputs, teacher=np.ones((4, 1)))


def test_weights_are_moved_once_and_leave_with_the_reservoir(stand_in, rng):
    reservoir = make_reservoir(rng, 5, np.float64)
    inputs = stand_in.ones((4, 2))
    run(reservoir, inputs)
    before = stand_in.n_transfers
    run(reservoir, inputs)
    # Start, places and rows of the run, and no weights.
    assert stand_in.n_transfers - before <= 4
    assert stand_in.n_synchronisations == 0  # a bounded activation needs no look at the states


def test_a_chunk_is_one_launch_or_one_graph(stand_in, rng, monkeypatch):
    reservoir = make_reservoir(rng, 5, np.float64)
    inputs = [stand_in.ones((64 * 6, 2))] * 3

    def n_blocks():
        all_series = [Series(u, None, np.zeros(5), np.zeros(0), (0.0, 0.0), None) for u in inputs]
        return len(list(drive_blocks(stand_in, reservoir, all_series, n_rows=64 * 3)))

    assert n_blocks() == 6
    assert stand_in.n_launches == 6
    monkeypatch.setattr(DeviceReservoirs, "shared_bytes", lambda self, n_outputs: None)
    stand_in.n_launches = 0
    assert n_blocks() == 6
    # The first chunk is launched, the second captured, the others repeat it.
    assert stand_in.n_launches == 2 * 64
    assert stand_in.n_graphs == 1


def test_large_reservoirs_do_not_ask_for_more_shared_memory_than_there_is(stand_in, rng):
    reservoir = make_reservoir(rng, 70, np.float64)
    needed = DeviceReservoirs([reservoir], stand_in).shared_bytes(0)
    assert needed == 2 * 70 * 8
    stand_in.attributes["MaxSharedMemoryPerBlockOptin"] = needed
    assert DeviceReservoirs([reservoir], stand_in).shared_bytes(0) == needed
    assert DeviceReservoirs([reservoir], stand_in).shared_bytes(1) is None
    stand_in.attributes["MaxSharedMemoryPerBlockOptin"] = needed - 1
    assert DeviceReservoirs([reservoir], stand_in).shared_bytes(0) is None


@pytest.mark.parametrize(
    ("lengths", "n_rows"),
    [([5, 3, 9], 100), ([1000, 10, 300], 256), ([70] * 500, 64 * 20), ([], 9)],
)
def test_a_plan_covers_each_step_once_in_order(lengths, n_rows):
    seen = dict.fromkeys(range(len(lengths)), 0)
    for chunks in plan_chunks(lengths, n_rows):
        for pieces in chunks:
            assert sum(piece.stop - piece.start for piece in pieces) <= max(n_rows, len(pieces))
            for piece in pieces:
                assert piece.start == seen[piece.sequence] < piece.stop
                seen[piece.sequence] = piece.stop
    assert list(seen.values()) == lengths


@pytest.mark.parametrize("number", ["float", "double"])
def test_nvcc_compiles_the_kernels(tmp_path, number):
    compiler = shutil.which("nvcc")
    if compiler is None:
        pytest.skip("No CUDA compiler (nvcc).")
    source = pathlib.Path(reservoir.__file__).with_name("dynamics") / "cuda" / "recurrence.cu"
    targets = [f"-gencode=arch=compute_{version},code=sm_{version}" for version in (80, 90)]
    options = ["-fatbin", *targets, f"-DNUMBER={number}", "-Werror=all-warnings"]
    ran = subprocess.run(
        [compiler, *options, source, "-o", tmp_path / "kernels.fatbin"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "kernels.fatbin").stat().st_size > 0
