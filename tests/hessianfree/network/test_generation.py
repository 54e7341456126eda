"""Writing symbols: against all sequences there are, and against exact probabilities."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from hessianfree.network._generation import Search, choose_symbols, log_probabilities

N_SYMBOLS, N_STATES, END, LONGEST = 4, 5, 0, 4


class Writer:
    """A plain random net: s' = tanh(U s + V[symbol]), o = W s'."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.recurrent = rng.normal(size=(N_STATES, N_STATES))
        self.input = rng.normal(size=(N_SYMBOLS, N_STATES))
        self.output = rng.normal(size=(N_STATES, N_SYMBOLS))

    def __call__(self, states, symbols):
        states = np.tanh(states @ self.recurrent + self.input[symbols])
        return states, states @ self.output

    def begin(self, n_sequences, seed=0):
        """States of several sequences, and what their first symbols are chosen by."""
        states = np.random.default_rng(seed).normal(size=(n_sequences, N_STATES))
        return states, states @ self.output

    def log_p(self, state, text, never=()):
        """log P of one sequence, symbol by symbol."""
        total, outputs = 0.0, state @ self.output
        for symbol in text:
            allowed = [k for k in range(N_SYMBOLS) if k not in never]
            total += outputs[symbol] - math.log(sum(math.exp(outputs[k]) for k in allowed))
            state = np.tanh(state @ self.recurrent + self.input[symbol])
            outputs = state @ self.output
        return total


def all_texts(n, end, never=()):
    """All that can be written in n symbols: what ends, and what is cut off."""
    letters = [k for k in range(N_SYMBOLS) if k != end and k not in never]
    if end is not None:
        for length in range(n):
            for text in itertools.product(letters, repeat=length):
                yield (*text, end)
    yield from itertools.product(letters, repeat=n)


def without_end(text, end):
    return list(text[:-1]) if text and text[-1] == end else list(text)


@pytest.mark.parametrize("never", [(), (2,)])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("end", [END, None])
def test_a_beam_with_room_for_all_finds_the_best_of_all(end, length_penalty, never):
    lengths = set()
    for seed in range(4):
        write = Writer(seed)
        states, outputs = write.begin(3, seed)
        search = Search("beam", 1.0, N_SYMBOLS**LONGEST, length_penalty, never)
        written = search.write(write, states, outputs, LONGEST, end)
        for row, state in enumerate(states):
            scores = {
                text: write.log_p(state, text, never) / len(text) ** length_penalty
                for text in all_texts(LONGEST, end, never)
            }
            best = max(scores, key=scores.__getitem__)
            assert written.symbols[row].tolist() == without_end(best, end)
            expected = write.log_p(state, best, never)
            assert written.log_probabilities[row] == pytest.approx(expected, rel=1e-12)
            lengths.add(len(best))
    assert end is None or len(lengths) > 1


def plain_beam(write, state, n, width, length_penalty):
    """A beam search on lists, as it is told in words."""
    live, done = [((), 0.0)], []
    for _ in range(n):
        longer = [((*text, k), write.log_p(state, (*text, k)))
                  for text, _ in live for k in range(N_SYMBOLS)]  # fmt: skip
        longer = sorted(longer, key=lambda one: -one[1])[:width]
        done += [one for one in longer if one[0][-1] == END]
        live = [one for one in longer if one[0][-1] != END]
    text, log_p = max(done + live, key=lambda one: one[1] / len(one[0]) ** length_penalty)
    return without_end(text, END), log_p


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_narrow_beam_is_the_plain_one(width, length_penalty):
    differs = 0
    for seed in range(8):
        write = Writer(seed)
        states, outputs = write.begin(4, seed)
        search = Search("beam", beam_width=width, length_penalty=length_penalty)
        written = search.write(write, states, outputs, 6, END)
        greedy = Search().write(write, states, outputs, 6, END)
        for row, state in enumerate(states):
            text, log_p = plain_beam(write, state, 6, width, length_penalty)
            assert written.symbols[row].tolist() == text
            assert written.log_probabilities[row] == pytest.approx(log_p, rel=1e-12)
            differs += text != greedy.symbols[row].tolist()
    # A beam of one is greedy, and a wider one is not the same.
    assert (differs == 0) == (width == 1)


def test_greedy_takes_the_most_probable_symbol_each_time():
    write = Writer(3)
    states, outputs = write.begin(6)
    written = Search().write(write, states, outputs, LONGEST, END)
    for row, state in enumerate(states):
        text = []
        while len(text) < LONGEST and END not in text:
            text.append(max(range(N_SYMBOLS), key=lambda k: write.log_p(state, [*text, k])))
        assert written.symbols[row].tolist() == without_end(text, END)
        assert written.log_probabilities[row] == pytest.approx(write.log_p(state, text))


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.0])
def test_sequences_are_drawn_as_often_as_they_are_probable(temperature):
    write, n, n_drawn = Writer(1), 3, 4000
    state = write.begin(1, 4)[0][0]
    expected = {}
    for text in all_texts(n, END):
        p, outputs, at = 1.0, state @ write.output, state
        for symbol in text:
            weights = np.exp(outputs / temperature)
            p *= weights[symbol] / weights.sum()
            at, outputs = write(at, symbol)
        expected[text] = p
    assert sum(expected.values()) == pytest.approx(1)
    states = np.tile(state, (n_drawn, 1))
    search = Search("sample", temperature=temperature, random_state=0)
    written = search.write(write, states, states @ write.output, n, END)
    counts = dict.fromkeys(expected, 0)
    for text, log_p in zip(written.symbols, written.log_probabilities, strict=True):
        whole = tuple(text) if len(text) == n else (*text, END)
        counts[whole] += 1
        # At any temperature log P is that of the net itself.
        assert log_p == pytest.approx(write.log_p(state, whole))
    # The least probable, which are rarer than 5 times, are counted together.
    by_probability = sorted(expected, key=expected.__getitem__)
    n_rare = max(1, sum(n_drawn * p < 5 for p in expected.values()))
    rare, often = by_probability[:n_rare], by_probability[n_rare:]
    groups = [rare, *([text] for text in often)]
    observed = [sum(counts[text] for text in group) for group in groups]
    probable = np.array([sum(expected[text] for text in group) for group in groups])
    assert len(often) > 10
    assert stats.chisquare(observed, n_drawn * probable).pvalue > 0.01


def test_one_seed_one_result_however_many_there_are():
    write = Writer(2)
    states, outputs = write.begin(20)

    def draw(seed, n_sequences=20):
        search = Search("sample", random_state=seed)
        written = search.write(write, states[:n_sequences], outputs[:n_sequences], 8, END)
        return [text.tolist() for text in written.symbols]

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)
    assert draw(0, 5) == draw(0)[:5]


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_side_by_side_is_one_by_one(method):
    write, search = Writer(5), Search(method, beam_width=3)
    states, outputs = write.begin(12)
    together = search.write(write, states, outputs, 8, END)
    for row in range(12):
        alone = search.write(write, states[row : row + 1], outputs[row : row + 1], 8, END)
        assert alone.symbols[0].tolist() == together.symbols[row].tolist()
        assert alone.log_probabilities[0] == pytest.approx(together.log_probabilities[row])
    assert len({len(text) for text in together.symbols}) > 1


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
def test_a_forbidden_symbol_is_never_written(method):
    write = Writer(0)
    states, outputs = write.begin(30)
    free = Search(method, random_state=0).write(write, states, outputs, 8)
    bound = Search(method, never=[1, 3], random_state=0).write(write, states, outputs, 8)
    assert {1, 3} <= set(np.concatenate(free.symbols))
    assert set(np.concatenate(bound.symbols)) == {0, 2}


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
def test_what_is_impossible_is_never_written(method):
    outputs = np.array([[-np.inf, 0.0, -np.inf, 1.0]])
    search = Search(method, random_state=0)
    written = search.write(lambda states, _: (states, outputs[[0] * len(states)]),
                           np.zeros((1, 1)), outputs, 20)  # fmt: skip
    assert set(written.symbols[0]) <= {1, 3}
    assert np.isfinite(written.log_probabilities).all()


def test_temperature_0_draws_the_most_probable():
    log_p = log_probabilities(np.random.default_rng(0).normal(size=(50, 6)))
    rngs = [np.random.default_rng(seed) for seed in range(50)]
    expected = log_p.argmax(axis=1)
    np.testing.assert_array_equal(choose_symbols(log_p, 0.0, rngs), expected)
    for temperature in (1e-12, 1e-320):
        np.testing.assert_array_equal(choose_symbols(log_p, temperature, rngs), expected)


def test_log_probabilities_are_those_of_large_outputs_too():
    log_p = log_probabilities(np.array([[1000.0, 999.0], [-1e4, 0.0]]))
    np.testing.assert_allclose(log_p[0], [-math.log1p(math.exp(-1)), -1 - math.log1p(math.exp(-1))])
    np.testing.assert_array_equal(log_p[1], [-1e4, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "best"}, "`method` is 'best', but one of 'greedy', 'sample', 'beam'"),
        ({"temperature": -1}, "`temperature` is -1"),
        ({"beam_width": 0}, "`beam_width` is 0"),
        ({"length_penalty": -0.1}, "`length_penalty` is -0.1"),
        ({"never": 3}, "`never` is of type int, but a collection of symbols"),
        ({"never": [4]}, "`never` is 4, but an integer of 0 or more and at most 3"),
        ({"never": [END]}, "`never` holds 0, but that is the `end`"),
        ({"method": "sample", "random_state": "a"}, "`random_state` is of type str"),
    ],
)
def test_what_is_wrong_is_said(options, message):
    write = Writer(0)
    with pytest.raises((ValueError, TypeError), match=message):
        Search(**options).write(write, *write.begin(1), 3, END)


def test_nothing_left_to_write_is_an_error():
    write = Writer(0)
    with pytest.raises(ValueError, match="`never` holds all 4 symbols"):
        Search(never=range(4)).write(write, *write.begin(1), 3)
    with pytest.raises(ValueError, match="outputs that are NaN or infinite"):
        Search().write(write, np.zeros((1, N_STATES)), np.full((1, N_SYMBOLS), np.nan), 3)
