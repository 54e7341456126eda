"""Driven runs: the states of a reservoir under inputs and, with feedback, a teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from reservoir.dynamics._groups import GroupStates, drive_alone, side_by_side
from reservoir.dynamics._reservoir import Reservoir
from reservoir.dynamics._series import (
    PIECE,
    DrivenSequence,
    Noise,
    Series,
    as_series,
    as_vector,
)
from reservoir.dynamics.cuda._blocks import StateBlock, drive_blocks
from reservoir.dynamics.loops._choose import check_engine, choose_loop
from reservoir.utils.device import namespace_of
from reservoir.utils.explained import explained
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.threads import with_few_threads
from reservoir.utils.types import Array
from reservoir.utils.validation import check_integer, check_real

# Rows of states in memory, unless the caller says.
_CHUNK = 2048

NO_NOISE = Noise()


@explained
@with_few_threads
def run(
    reservoir: Reservoir,
    inputs: Any,
    *,
    initial_state: Any = None,
    teacher: Any = None,
    initial_output: Any = None,
    state_noise: float = 0.0,
    feedback_noise: float = 0.0,
    random_state: Any = None,
    engine: str = "auto",
) -> Array:
    r"""Return the states of a reservoir driven by one series.

    .. math::

        x[t] = (1 - a)\, x[t-1] + a\, f\big(W x[t-1] + W_\mathrm{in} u[t]
            + W_\mathrm{fb} (y[t-1] + \eta[t]) + b + \nu[t]\big)

    as in [1]_, with noise ν and η.

    The terms that do not depend on x are one matrix product; what is left is stepped in place.

    Parameters
    ----------
    reservoir : Reservoir
        W, W_in, W_fb, b, a and f.
    inputs : array-like of shape (n_steps, n_inputs)
        u[t]. With a CuPy array the run is one on the GPU, and the states stay there.
    initial_state : array-like of shape (n_units,), optional
        x[-1]; zeros if left out.
    teacher : array-like of shape (n_steps, n_outputs), optional
        y[t], fed back one step later in place of the output (teacher forcing); needed where
        the reservoir has feedback weights.
    initial_output : array-like of shape (n_outputs,), optional
        y[-1]; zeros if left out.
    state_noise, feedback_noise : float, default 0.0
        Standard deviations of ν and η: normal, independent for each step and each unit or output.
    random_state : None, int, Generator, RandomState or SeedSequence
        Seed of the noise.
    engine : {"auto", "numpy", "numba"}, default "auto"
        "auto" takes the compiled loop where numba is installed and f is tanh, however small the
        work and whatever is compiled already, so that the bits depend on neither. Both give the
        same states to rounding.

    Returns
    -------
    ndarray of shape (n_steps, n_units)
        Of the dtype of `reservoir.recurrent`.

    Raises
    ------
    ValueError
        If a shape does not fit, a noise is negative, or a teacher is missing or too many.
    DivergenceError
        If a state is not finite while f is unbounded.
    ImportError
        If `engine` is "numba" and numba is not there.

    Examples
    --------
    A line of three linear units holds what came one, two and three steps ago:

    >>> import numpy as np
    >>> line = Reservoir(recurrent=np.eye(3, k=-1), input=np.eye(3, 1), bias=np.zeros(3),
    ...                  activation="identity")
    >>> run(line, [[5.0], [6.0], [7.0]])
    array([[5., 0., 0.],
           [6., 5., 0.],
           [7., 6., 5.]])

    References
    ----------
    .. [1] Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, eqs. 2-3.
    """
    sequence = DrivenSequence(
        inputs=inputs,
        teacher=teacher,
        initial_state=initial_state,
        initial_output=initial_output,
    )
    (series,) = _prepare(reservoir, [sequence], Noise(state_noise, feedback_noise), random_state)
    xp = _namespace([series], engine)
    states: Array = xp.empty((series.n_steps, reservoir.n_units), dtype=reservoir.dtype)
    if xp is not np:
        for block in drive_blocks(xp, reservoir, [series]):
            states[xp.asarray(block.rows)] = block.states
        return states
    drive_alone(reservoir, choose_loop(reservoir, engine), series, 0, states)
    return states


@explained
def iterate_sequences(
    reservoir: Reservoir,
    sequences: Sequence[Any],
    *,
    teachers: Sequence[Any] | None = None,
    initial_states: Sequence[Any] | None = None,
    initial_outputs: Sequence[Any] | None = None,
    state_noise: float = 0.0,
    feedback_noise: float = 0.0,
    random_state: Any = None,
    generators: Sequence[np.random.Generator] | None = None,
    chunk_size: int | None = None,
    engine: str = "auto",
) -> Iterator[tuple[int, int, Array]]:
    """Yield the states of many driven series, a block of rows at a time.

    The same states as `run` on each sequence (to rounding), in memory for one chunk. Several
    sequences are stepped side by side, each weight being loaded once for all of them. Neither
    the size of a chunk nor the company of other sequences changes the noise of a sequence; the
    size of a chunk does not change a bit.

    Parameters
    ----------
    reservoir : Reservoir
        W, W_in, W_fb, b, a and f.
    sequences : sequence of array-like of shape (n_steps, n_inputs)
        u[t] of each; lengths may differ. With CuPy arrays the run is one on the GPU.
    teachers : sequence of array-like of shape (n_steps, n_outputs), optional
        See `run`; likewise what follows.
    initial_states : sequence of array-like of shape (n_units,) or None, optional
        x[-1] of each; None for zeros.
    initial_outputs : sequence of array-like of shape (n_outputs,) or None, optional
        y[-1] of each; None for zeros. Without feedback weights they are not used.
    state_noise, feedback_noise : float, default 0.0
        Standard deviations of normal noise on the drive of each unit and on each teacher value.
    random_state : None, int, Generator, RandomState or SeedSequence
        Seed of the noise; sequence i has the i-th child of it to itself.
    generators : sequence of numpy.random.Generator, optional
        The source of the noise of each sequence, in place of `random_state`. Each is advanced
        step by step, so that a sequence given in two parts gets the noise of the whole.
    chunk_size : int, optional
        Rows of states in memory, over all sequences; rounded up to a multiple of 256, and, for
        sequences side by side, to 64 rows for each. Left out, 2,048, or on a GPU as many as make
        256 MiB.
    engine : {"auto", "numpy", "numba"}, default "auto"
        As in `run`.

    Yields
    ------
    index : int
        Which sequence.
    start : int
        The step of the first row.
    states : ndarray of shape (n_rows, n_units)
        The next rows of this sequence. The array is a buffer that the next block overwrites:
        copy what must stay.

    Raises
    ------
    ValueError, DivergenceError, ImportError
        As `run`.

    Examples
    --------
    >>> import numpy as np
    >>> echo = Reservoir(recurrent=np.array([[0.5]]), input=np.ones((1, 1)), bias=np.zeros(1),
    ...                  activation="identity")
    >>> for index, start, states in iterate_sequences(echo, [[[8.0], [0.0]], [[2.0]]]):
    ...     print(index, start, states.tolist())
    0 0 [[8.0], [4.0]]
    1 0 [[2.0]]
    """
    parallel = {
        "teacher": teachers,
        "initial_state": initial_states,
        "initial_output": initial_outputs,
        "generator": generators,
    }
    for name, values in parallel.items():
        if values is not None and len(values) != len(sequences):
            raise ValueError(
                f"`{name}s` has {len(values)} entries, but {len(sequences)} were expected. "
                "Pass one for each sequence."
            )
    given = {name: values for name, values in parallel.items() if values is not None}
    driven = [
        DrivenSequence(inputs=part, **{name: values[index] for name, values in given.items()})
        for index, part in enumerate(sequences)
    ]
    noise = Noise(state_noise, feedback_noise)
    return drive_sequences(
        reservoir, driven, noise, random_state=random_state, chunk_size=chunk_size, engine=engine
    )


def drive_sequences(
    reservoir: Reservoir,
    sequences: Sequence[DrivenSequence],
    noise: Noise = NO_NOISE,
    *,
    random_state: Any = None,
    chunk_size: int | None = None,
    engine: str = "auto",
) -> Iterator[tuple[int, int, Array]]:
    """Yield the states of many driven sequences, as `iterate_sequences`.

    Parameters
    ----------
    reservoir : Reservoir
        What is driven.
    sequences : sequence of DrivenSequence
        With generators of their own, or children of `random_state`.
    noise : Noise
        Its standard deviations.
    random_state, chunk_size, engine
        As in `iterate_sequences`.
    """
    if chunk_size is not None:
        chunk_size = PIECE * -(-check_integer("chunk_size", chunk_size, minimum=1) // PIECE)
    all_series = _prepare(reservoir, sequences, noise, random_state)
    xp = _namespace(all_series, engine)
    if xp is np:
        loop = choose_loop(reservoir, engine)
        return (
            (index, group.start, states)
            for group in side_by_side(reservoir, loop, all_series, chunk_size or _CHUNK)
            for index, states in zip(group.sequences, group.states)
        )
    return (
        (span.sequence, span.start, block.states[low:high])
        for block in drive_blocks(xp, reservoir, all_series, chunk_size)
        for span, (low, high) in zip(block.spans, block.bounds)
    )


def drive_groups(
    reservoir: Reservoir,
    sequences: Sequence[DrivenSequence],
    noise: Noise = NO_NOISE,
    *,
    chunk_size: int = _CHUNK,
) -> Iterator[GroupStates]:
    """Yield what `drive_sequences` does of sequences on the host, of several at a time.

    Parameters
    ----------
    reservoir, sequences, noise
        As in `drive_sequences`; with noise each sequence has a generator.
    chunk_size : int
        Rows of states in memory, a multiple of 256.
    """
    all_series = _prepare(reservoir, sequences, noise)
    return side_by_side(reservoir, choose_loop(reservoir, "auto"), all_series, chunk_size)


@explained
def iterate_blocks(
    reservoir: Reservoir, sequences: Sequence[DrivenSequence], noise: Noise = NO_NOISE
) -> Iterator[StateBlock]:
    """Yield the states of sequences on a GPU, many sequences in a block.

    Arguments and errors as those of `drive_sequences`.
    """
    if len(sequences) == 0:
        raise ValueError("`sequences` is empty, but one or more was expected. Pass some.")
    all_series = _prepare(reservoir, sequences, noise)
    return drive_blocks(_namespace(all_series, "auto"), reservoir, all_series)


def _namespace(all_series: list[Series], engine: str) -> Any:
    """Return where the inputs and teachers lie."""
    xp = namespace_of(
        inputs=[series.inputs for series in all_series] or None,
        teacher=[series.teacher for series in all_series if series.teacher is not None] or None,
    )
    if xp is not np:
        check_engine(engine)
    return xp


def _prepare(
    reservoir: Reservoir,
    sequences: Sequence[DrivenSequence],
    noise: Noise,
    random_state: Any = None,
) -> list[Series]:
    """Return checked sequences, with the noise that each has."""
    n_without = sum(sequence.teacher is None for sequence in sequences)
    if n_without != (len(sequences) if reservoir.feedback is None else 0):
        has, got = ("no", "one") if reservoir.feedback is None else ("them", "none")
        raise ValueError(
            f"A `teacher` goes with feedback weights, but the reservoir has {has} and {got} was "
            "given. Pass both or neither, or use `free_run` to feed outputs back."
        )
    check_real("state_noise", noise.state, minimum=0)
    check_real("feedback_noise", noise.feedback, minimum=0)
    if reservoir.feedback is None:
        noise = Noise(noise.state)
    generators = [sequence.generator for sequence in sequences]
    if not any(noise):
        generators = [None] * len(sequences)
    elif any(generator is None for generator in generators):
        children = seed_sequence(random_state).spawn(len(sequences))
        generators = [np.random.default_rng(child) for child in children]
    all_series = []
    for sequence, generator in zip(sequences, generators):
        inputs, teacher = as_series("inputs", sequence.inputs, reservoir.n_inputs), sequence.teacher
        if teacher is not None:
            teacher = as_series("teacher", teacher, reservoir.n_outputs, len(inputs))
        output = None if teacher is None else sequence.initial_output
        all_series.append(
            Series(
                inputs,
                teacher,
                as_vector(
                    "initial_state", sequence.initial_state, reservoir.n_units, reservoir.dtype
                ),
                as_vector("initial_output", output, reservoir.n_outputs, reservoir.dtype),
                noise,
                generator,
            )
        )
    return all_series
