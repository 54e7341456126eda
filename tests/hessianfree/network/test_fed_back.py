"""Nets that write: against reading everything again, and against all sequences there are."""

import itertools

import numpy as np
import pytest

from hessianfree.cells import ElmanCell, GRUCell, LSTMCell, MultiplicativeCell, StackedCell
from hessianfree.network import SequenceNetwork

N_SYMBOLS, N_VECTOR, START, END = 4, 3, 3, 0

CELLS = {
    "vanilla": lambda: ElmanCell(N_SYMBOLS, 6),
    "fixed start": lambda: ElmanCell(N_SYMBOLS, 6, learn_initial_state=False),
    "multiplicative": lambda: MultiplicativeCell(N_SYMBOLS, 5, 4),
    "lstm": lambda: LSTMCell(N_SYMBOLS, 5),
    "stack": lambda: StackedCell([GRUCell(N_SYMBOLS, 4), ElmanCell(4, 5)]),
}


def net(cell="vanilla", seed=0, n_outputs=N_SYMBOLS, loss="softmax", n_vector=N_VECTOR):
    network = SequenceNetwork(CELLS[cell](), n_outputs, loss, n_initial_inputs=n_vector)
    params = 1.5 * np.random.default_rng(seed).normal(size=network.n_params)
    return network, params


def vectors(n=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, N_VECTOR))


def log_p(network, params, vector, text, start=START):
    """log P of a text given a vector, from one run over all of it."""
    read = np.array([start, *text[:-1]])[:, None]
    start = {} if vector is None else {"initial_inputs": vector[None]}
    rows = network.predict(params, read, **start)[:, 0]
    return float(np.log(rows[np.arange(len(text)), text]).sum())


def all_texts(n):
    letters = [k for k in range(N_SYMBOLS) if k != END]
    for length in range(n):
        yield from ((*text, END) for text in itertools.product(letters, repeat=length))
    yield from itertools.product(letters, repeat=n)


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_written_is_what_reading_it_all_again_makes_most_probable(cell):
    network, params = net(cell)
    texts, log_ps = network.generate(
        params, vectors(), start=START, end=END, max_steps=6, return_log_probability=True
    )
    for vector, text, given in zip(vectors(), texts, log_ps, strict=True):
        expected = []
        while len(expected) < 6 and END not in expected:
            read = np.array([START, *expected])[:, None]
            last = network.predict(params, read, initial_inputs=vector[None])[-1, 0]
            expected.append(int(last.argmax()))
        assert given == pytest.approx(log_p(network, params, vector, expected))
        assert text.tolist() == [k for k in expected if k != END]


@pytest.mark.parametrize("cell", ["vanilla", "lstm", "stack"])
def test_a_wide_beam_finds_the_most_probable_of_all_sequences(cell):
    for seed in range(2):
        network, params = net(cell, seed)
        options = {"start": START, "end": END, "max_steps": 4, "return_log_probability": True}
        texts, log_ps = network.generate(
            params, vectors(3), **options, method="beam", beam_width=200
        )
        for vector, text, given in zip(vectors(3), texts, log_ps, strict=True):
            log_p_of = {one: log_p(network, params, vector, one) for one in all_texts(4)}
            best = max(log_p_of, key=log_p_of.__getitem__)
            assert tuple(text) == tuple(k for k in best if k != END)
            assert given == pytest.approx(log_p_of[best])


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
def test_one_vector_is_a_batch_of_one(method):
    network, params = net()
    options = {"start": START, "end": END, "method": method, "random_state": 0, "max_steps": 9,
               "return_log_probability": True}  # fmt: skip
    texts, log_ps = network.generate(params, vectors(), **options)
    text, p = network.generate(params, vectors()[0], **options)
    assert text.tolist() == texts[0].tolist()
    assert isinstance(p, float)
    assert p == pytest.approx(log_ps[0])
    if method != "sample":
        for row, vector in enumerate(vectors()):
            alone = network.generate(params, vector.tolist(), **options)[0]
            assert alone.tolist() == texts[row].tolist()


def test_without_a_vector_it_writes_from_the_learned_state():
    network, params = net(n_vector=None)
    text, p = network.generate(params, start=START, max_steps=5, return_log_probability=True)
    assert len(text) == 5
    assert p == pytest.approx(log_p(network, params, None, text))


def test_it_goes_on_from_where_a_run_has_ended():
    network, params = net()
    read = np.random.default_rng(1).integers(N_SYMBOLS, size=(7, 5))
    _, states = network.run(params, read, initial_inputs=vectors())
    texts = network.generate(params, start=START, end=END, initial_state=states, max_steps=6)
    for column, text in enumerate(texts):
        whole = [*read[:, column], START]
        for symbol in [*text.tolist(), *([END] if len(text) < 6 else [])]:
            rows = network.predict(
                params, np.array(whole)[:, None], initial_inputs=vectors()[column : column + 1]
            )
            assert rows[-1, 0].argmax() == symbol
            whole.append(symbol)
    alone = network.generate(params, start=START, end=END, initial_state=states[2], max_steps=6)
    assert alone.tolist() == texts[2].tolist()


def test_float32_parameters_write_too():
    network, params = net()
    texts = network.generate(params.astype(np.float32), vectors(), start=START, end=END)
    expected = network.generate(params, vectors(), start=START, end=END)
    assert [text.tolist() for text in texts] == [text.tolist() for text in expected]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 4}, "`start` is 4, but an integer of 0 or more and at most 3"),
        ({"end": 4}, "`end` is 4, but an integer of 0 or more and at most 3"),
        ({"end": "."}, "`end` is '.' of type str"),
        ({"max_steps": 0}, "`max_steps` is 0, but an integer of 1 or more"),
        ({"method": "best"}, "`method` is 'best'"),
        ({"never": [END]}, "`never` holds 0"),
        ({"initial_inputs": None}, "`initial_inputs` has no columns, but the network has 3"),
        ({"initial_inputs": np.ones((2, 4))}, "`initial_inputs` has 4 columns"),
        ({"initial_inputs": np.ones((2, 3, 1))}, r"`initial_inputs` has shape \(2, 3, 1\)"),
        ({"initial_inputs": np.ones((0, 3))}, r"`initial_inputs` has shape \(0, 3\)"),
        ({"initial_inputs": np.full(3, np.nan)}, "`initial_inputs` holds NaN"),
        ({"initial_inputs": "abc"}, "`initial_inputs` can't be read as numbers"),
        ({"initial_state": np.ones((2, 6))}, "both given"),
        ({"initial_inputs": None, "initial_state": np.ones((2, 5))},
         r"`initial_state` has shape \(2, 5\), but \(n_sequences, 6\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(options, message):
    network, params = net()
    arguments = {"initial_inputs": vectors(2), "start": START, "end": END, **options}
    with pytest.raises((ValueError, TypeError), match=message):
        network.generate(params, **arguments)


def test_nets_that_do_not_read_what_they_write_are_refused():
    for options, message in [
        ({"loss": "squared_error"}, "`loss` of this SequenceNetwork is SquaredError"),
        ({"n_outputs": 5}, "`n_outputs` is 5 and the cell has 4 inputs"),
    ]:
        network, params = net(**options)
        with pytest.raises(ValueError, match=message):
            network.generate(params, vectors(), start=START)
    network, params = net()
    with pytest.raises(ValueError, match="params"):
        network.generate(params[1:], vectors(), start=START)
    with pytest.raises(ValueError, match="`params` make outputs that are NaN"):
        network.generate(np.full_like(params, np.nan), vectors(), start=START)
