"""Many sequences folded and mapped side by side: the same as one after the other."""

import numpy as np
import pytest

from reservoir.dynamics._series import Noise
from reservoir.harvest import TrainingSequence, fold_sequences
from reservoir.harvest._jobs import cut_into_jobs
from reservoir.harvest._map import final_states, map_sequences
from reservoir.readout import FeatureMap, Readout, RidgeAccumulator
from tests.support.plain_reservoirs import DTYPES, TOLERANCE, collect, draw_reservoir

# More than the lanes of a group in either dtype, and a few that are left over.
EQUAL = [70] * 40
UNEVEN = [1, 200, 1, 130, 2, 64, 65, 63, *range(20, 50), 90, 128]
NOISE = Noise(0.05, 0.1)


def draw_sequences(rng, res, lengths, *, is_noisy=False, is_weighted=False, skips=(0,)):
    sequences = []
    for index, n_steps in enumerate(lengths):
        targets = rng.normal(size=(n_steps, 2))
        targets[{3: slice(5, 9), 7: slice(None)}.get(index, slice(0))] = np.nan
        sequences.append(
            TrainingSequence(
                inputs=rng.normal(size=(n_steps, 2)),
                targets=targets,
                weights=rng.uniform(size=n_steps) if is_weighted else None,
                teacher=rng.normal(size=(n_steps, 1)) if res.n_outputs else None,
                initial_state=rng.uniform(-1, 1, res.n_units) if index % 3 else None,
                initial_output=rng.normal(size=1) if res.n_outputs and index % 2 else None,
                generator=np.random.default_rng(index) if is_noisy else None,
                skip=skips[index % len(skips)],
            )
        )
    return sequences


def states_alone(res, sequences, is_noisy):
    """Return the states of each sequence, run without the others."""
    return [
        collect(
            res,
            [one.inputs],
            teachers=None if one.teacher is None else [one.teacher],
            initial_states=[one.initial_state],
            initial_outputs=[one.initial_output],
            generators=[np.random.default_rng(index)] if is_noisy else None,
            state_noise=NOISE.state if is_noisy else 0.0,
            feedback_noise=NOISE.feedback if is_noisy and res.n_outputs else 0.0,
        )[0]
        for index, one in enumerate(sequences)
    ]


def rows_alone(sequences, all_states, edges):
    """Return the rows [1 | U | X | Y] that are learned of each block, times roots of weights."""
    blocks, row = [[] for _ in edges[1:]], 0
    for one, states in zip(sequences, all_states, strict=True):
        for t in range(len(states)):
            if t >= one.skip and not np.isnan(one.targets[t]).any():
                block = np.flatnonzero(np.asarray(edges) <= row)[-1]
                root = 1.0 if one.weights is None else np.sqrt(one.weights[t])
                values = np.concatenate([[1.0], one.inputs[t], states[t], one.targets[t]])
                blocks[block].append(root * values)
            row += 1
    return [np.array(rows).reshape(-1, 5 + all_states[0].shape[1]) for rows in blocks]


def fold(res, sequences, n_jobs, n_blocks, noise):
    """Return the sums of each block, of jobs that are merged, and the last state."""
    blocks = [RidgeAccumulator(2 + res.n_units, 2, smallest_alpha=1e-3) for _ in range(n_blocks)]
    for job in cut_into_jobs(sequences, n_blocks=n_blocks, n_jobs=n_jobs):
        own = [RidgeAccumulator(2 + res.n_units, 2, smallest_alpha=1e-3) for _ in range(n_blocks)]
        folded = fold_sequences(res, FeatureMap(), own, job.sequences, edges=job.edges, noise=noise)
        for block, more in zip(blocks, folded.accumulators, strict=True):
            block.merge(more)
    return blocks, folded.last_states


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths", [EQUAL, UNEVEN], ids=["equal", "uneven"])
@pytest.mark.parametrize(
    ("n_outputs", "is_noisy", "is_weighted", "skips"),
    [
        (0, False, False, (0,)),
        (0, False, True, (10,)),
        (0, True, False, (3, 3, 3, 80)),  # more than some of them have
        (1, False, False, (66, 0)),
        (1, True, True, (10,)),
    ],
)
@pytest.mark.parametrize(("n_jobs", "n_blocks"), [(1, 1), (1, 5), (3, 1), (99, 3)])
def test_sums_are_those_of_sequences_one_after_the_other(
    rng, n_jobs, n_blocks, n_outputs, is_noisy, is_weighted, skips, lengths, dtype
):
    res = draw_reservoir(rng, 20, n_outputs=n_outputs, dtype=dtype, leak_rate=0.7)
    sequences = draw_sequences(
        rng, res, lengths, is_noisy=is_noisy, is_weighted=is_weighted, skips=skips
    )
    edges = np.linspace(0, sum(lengths), n_blocks + 1).astype(int)
    all_states = states_alone(res, sequences, is_noisy)
    blocks, last_states = fold(res, sequences, n_jobs, n_blocks, NOISE if is_noisy else Noise())
    expected = rows_alone(sequences, all_states, edges)
    tolerance = TOLERANCE[res.dtype]
    for block, rows in zip(blocks, expected, strict=True):
        assert block.n_rows == len(rows)
        centred = rows - rows[:, :1] * block.sums.shift
        np.testing.assert_allclose(
            np.tril(block.sums.moments),
            np.tril(centred.T @ centred),
            rtol=0,
            # Each of the products, of numbers below 4, is as accurate as the states.
            atol=4 * max(len(rows), 1) * tolerance,
        )
    np.testing.assert_allclose(last_states[-1], all_states[-1][-1], rtol=0, atol=tolerance)


@pytest.mark.parametrize("n_jobs", [None, 2, 3, 50])
@pytest.mark.parametrize("n_readouts", [1, 5])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths", [EQUAL, UNEVEN], ids=["equal", "uneven"])
def test_outputs_are_those_of_sequences_one_after_the_other(
    rng, lengths, dtype, n_readouts, n_jobs
):
    res = draw_reservoir(rng, 20, dtype=dtype, leak_rate=0.7)
    sequences = draw_sequences(rng, res, lengths)
    inputs, starts = (
        [getattr(one, name) for one in sequences] for name in ("inputs", "initial_state")
    )
    drawn = [
        Readout(*(rng.uniform(-1, 1, shape).astype(dtype) for shape in ((2, 20), (2,), (2, 2))))
        for _ in range(n_readouts)
    ]
    # Neighbours share a readout, as those of one patch of a field do.
    readouts = [drawn[index * n_readouts // len(lengths)] for index in range(len(lengths))]
    ends = np.empty((len(lengths), 20), dtype=dtype)
    outputs = map_sequences(
        res, readouts if n_readouts > 1 else drawn[0], inputs, starts, ends, n_jobs=n_jobs
    )
    # Sums of 23 products of numbers of at most 4.
    tolerance = 100 * TOLERANCE[res.dtype]
    all_states = states_alone(res, sequences, is_noisy=False)
    for got, states, part, readout in zip(outputs, all_states, inputs, readouts, strict=True):
        assert got.dtype == dtype
        expected = states @ readout.state.T + part @ readout.input.T + readout.intercept
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        ends, [states[-1] for states in all_states], rtol=0, atol=TOLERANCE[res.dtype]
    )
    np.testing.assert_allclose(
        final_states(res, inputs, initial_states=starts), ends, rtol=0, atol=TOLERANCE[res.dtype]
    )
