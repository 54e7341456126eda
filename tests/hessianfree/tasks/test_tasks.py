"""The long-lag tasks: what is to be remembered, and which answers count as right."""

import numpy as np
import pytest

from hessianfree.batch import Batch
from hessianfree.tasks import (
    adding,
    all_patterns,
    binary_addition,
    make_task,
    memorization,
    multiplication,
    random_permutation,
    temporal_order,
    wrong_at_the_end,
    wrong_bits,
    wrong_classes,
    wrong_numbers,
    xor,
)

NAMES = [
    "binary_addition",
    "adding",
    "multiplication",
    "xor",
    "temporal_order",
    "temporal_order_3",
    "random_permutation",
    "memorization_5_bits",
    "memorization_20_bits",
]


def to_integer(bits):
    """The number that bits spell, least significant first; exact for any length."""
    return sum(int(bit) << i for i, bit in enumerate(bits))


@pytest.mark.parametrize("n_bits", [1, 8, 200])
def test_binary_addition_adds(n_bits, rng):
    batch = binary_addition(n_bits, 20, rng)
    assert batch.inputs.shape == (n_bits + 1, 20, 2)
    for i in range(20):
        a, b = to_integer(batch.inputs[:, i, 0]), to_integer(batch.inputs[:, i, 1])
        assert a < 2**n_bits
        assert to_integer(batch.targets[:, i, 0]) == a + b


def test_binary_addition_as_symbols():
    numbers = binary_addition(8, 20, np.random.default_rng(3))
    symbols = binary_addition(8, 20, np.random.default_rng(3), as_symbols=True)
    assert symbols.inputs.dtype.kind == "i"
    np.testing.assert_array_equal(symbols.inputs % 2, numbers.inputs[..., 0])
    np.testing.assert_array_equal(symbols.inputs // 2, numbers.inputs[..., 1])
    np.testing.assert_array_equal(symbols.targets, numbers.targets)


def lengths_of(batch):
    """Length of each sequence: its one scored step is the last."""
    assert np.all(batch.mask.sum(axis=0) == 1)
    return np.argmax(batch.mask, axis=0) + 1


def marks_of(batch):
    """Steps of the two marks of each sequence."""
    assert np.all(batch.inputs[..., 1].sum(axis=0) == 2)
    return np.array([np.flatnonzero(batch.inputs[:, i, 1]) for i in range(batch.n_sequences)]).T


@pytest.mark.parametrize(
    ("draw", "combine"),
    [
        (adding, lambda x, y: (x + y) / 2),
        (multiplication, lambda x, y: x * y),
        (xor, lambda x, y: x != y),
    ],
)
@pytest.mark.parametrize("n_steps", [100, 50])
def test_targets_follow_from_the_marked_inputs(draw, combine, n_steps, rng):
    batch = draw(n_steps, 2000, rng)
    lengths, (first, second), all_ = lengths_of(batch), marks_of(batch), np.arange(2000)
    x, y = batch.inputs[first, all_, 0], batch.inputs[second, all_, 0]
    np.testing.assert_allclose(batch.targets[lengths - 1, all_, 0], combine(x, y))
    # Every length and every place of the published ranges occurs, and no other.
    assert set(lengths) == set(range(n_steps, n_steps + n_steps // 10 + 1))
    if draw is xor:
        assert set(first) == set(range(n_steps // 5))
        assert set(second) == set(range(3 * n_steps // 10, n_steps // 2))
        assert set(np.unique(batch.inputs)) == {0, 1}
    else:
        assert set(first) == set(range(n_steps // 10))
        assert set(second) == set(range(n_steps // 10, n_steps // 2))


@pytest.mark.parametrize(
    ("n_symbols", "ranges"),
    [(2, [(0, 10), (40, 50)]), (3, [(0, 10), (30, 40), (50, 60)])],
)
def test_temporal_order_spells_a_number(n_symbols, ranges, rng):
    batch = temporal_order(100, 2000, rng, n_symbols=n_symbols)
    lengths = lengths_of(batch)
    places = set()
    for i in range(2000):
        relevant = np.flatnonzero(batch.inputs[:, i] < 2)
        assert len(relevant) == n_symbols
        places |= set(relevant)
        spelled = int("".join(str(s) for s in batch.inputs[relevant, i]), 2)
        assert batch.targets[lengths[i] - 1, i] == spelled
    assert places == {place for low, high in ranges for place in range(low, high)}
    assert set(np.unique(batch.inputs)) == set(range(6))
    assert set(batch.targets[batch.mask]) == set(range(2**n_symbols))


@pytest.mark.parametrize("n_steps", [50, 99, 250])
def test_random_permutation(n_steps, rng):
    batch = random_permutation(n_steps, 30, rng)
    assert batch.inputs.shape == (n_steps, 30)
    assert set(batch.inputs[0]) == {0, 1}
    np.testing.assert_array_equal(batch.targets[-1], batch.inputs[0])
    for sequence in batch.inputs[1:].T:
        for part in np.split(sequence, range(98, len(sequence), 98)):
            assert len(set(part)) == len(part)
            assert set(part) <= set(range(2, 100))
            if len(part) == 98:
                assert set(part) == set(range(2, 100))
    assert np.all(batch.mask == (np.arange(n_steps) == n_steps - 1)[:, None])


def test_memorization_repeats_the_string(rng):
    batch = memorization(40, 300, rng)
    assert batch.inputs.shape == (60, 300)
    np.testing.assert_array_equal(batch.targets[50:], batch.inputs[:10])
    assert set(np.unique(batch.inputs[:10])) == set(range(5))
    assert np.all(batch.inputs[49] == 6)
    assert np.all(batch.inputs[10:49] == 5)
    assert np.all(batch.inputs[50:] == 5)
    assert np.all(batch.mask.sum(axis=0) == 10)
    assert batch.mask[50:].all()


def test_five_bits_are_all_strings():
    batch = all_patterns(100)
    assert batch.inputs.shape == (110, 32)
    assert {to_integer(string) for string in batch.targets[-5:].T} == set(range(32))


def test_guesses_are_wrong_as_often_as_published(rng):
    # "Biases only" in table 5 of Sutskever, Martens, Dahl & Hinton (2013): adding 0.82,
    # multiplication 0.84, 5 bits 2.5 of 5 symbols, 20 bits 8.0 of 10.
    batch = adding(80, 20_000, rng)
    constant = np.full((*batch.inputs.shape[:2], 1), 0.5)
    # |(x + y) / 2 - 1/2| > 0.04 has probability 0.92² = 0.846.
    assert wrong_numbers(constant, batch).mean() == pytest.approx(0.846, abs=0.01)
    batch = multiplication(80, 20_000, rng)
    guesses = [wrong_numbers(np.full_like(constant[:1], c), batch).mean() for c in (0.04, 0.25)]
    # P(xy < 0.08) = 0.08 (1 - ln 0.08) = 0.282 and P(0.21 < xy < 0.29) = 0.111.
    np.testing.assert_allclose(guesses, [0.718, 0.889], atol=0.01)
    batch = memorization(80, 2000, rng)
    assert np.mean(batch.targets[-10:] != 3) * 10 == pytest.approx(8, abs=0.1)


class TestCriteria:
    def test_numbers(self):
        mask = np.array([[1, 1], [0, 1]])
        batch = Batch(np.zeros((2, 2, 1)), np.ones((2, 2, 1)), mask)
        predictions = np.array([[[0.961], [1.03]], [[5.0], [1.041]]])
        np.testing.assert_array_equal(wrong_numbers(predictions, batch), [False, True])

    def test_bits(self):
        batch = Batch(np.zeros((2, 2, 1)), np.array([[[1.0], [0.0]], [[1.0], [0.0]]]))
        predictions = np.array([[[0.9], [0.4]], [[0.4], [0.1]]])
        np.testing.assert_array_equal(wrong_bits(predictions, batch), [True, False])

    def test_classes(self):
        batch = Batch(np.zeros((2, 2, 1)), np.array([[0, 2], [1, 1]]))
        predictions = np.eye(3)[[[0, 2], [1, 0]]]
        np.testing.assert_array_equal(wrong_classes(predictions, batch), [False, True])

    def test_fraction(self, rng):
        task = make_task("xor", 50)
        batch = task.draw(400, rng)
        right = np.where(batch.targets > 0.5, 0.9, 0.1)
        assert task.fraction_wrong(right, batch) == 0
        right[:, :40] = 1 - right[:, :40]
        assert task.fraction_wrong(right, batch) == pytest.approx(0.1)


@pytest.mark.parametrize("name", NAMES)
def test_tasks_are_what_they_say(name, rng):
    task = make_task(name, 20)
    batch = task.draw(64, rng)
    if batch.inputs.ndim == 2:
        assert batch.inputs.max() < task.n_inputs
        assert batch.targets.max() < task.n_outputs
    else:
        assert batch.inputs.shape[2] == task.n_inputs
        assert batch.targets.shape[2] == task.n_outputs
    kinds = {"softmax": wrong_classes, "logistic": wrong_bits, "squared_error": wrong_numbers}
    assert task.wrong is kinds[task.loss]


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_never_right(name, rng):
    task = make_task(name, 20)
    batch = task.draw(64, rng)
    if batch.targets.ndim == 2:
        right = np.eye(100)[batch.targets][..., : task.n_outputs]
    else:
        right = batch.targets.astype(float)
    assert task.fraction_wrong(right, batch) == task.wrong_steps(right, batch) == 0.0
    n_scored = np.ones(right.shape[:2]).sum(axis=0) if batch.mask is None else batch.mask.sum(0)
    nothing = np.full(right.shape, np.nan)
    assert task.fraction_wrong(nothing, batch) == 1.0
    assert task.wrong_steps(nothing, batch) == n_scored.mean()
    # A single NaN, at any output of the last scored step of a single sequence.
    scored = np.ones(len(right)) if batch.mask is None else batch.mask[:, 5]
    for output in range(task.n_outputs):
        broken = right.copy()
        broken[np.flatnonzero(scored)[-1], 5, output] = np.nan
        np.testing.assert_array_equal(task.wrong(broken, batch), np.arange(right.shape[1]) == 5)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "memorization_5_bits"])
def test_seeds(name):
    draw = make_task(name, 20).draw
    first, again, other = (draw(50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.inputs, again.inputs)
    np.testing.assert_array_equal(first.targets, again.targets)
    assert first.inputs.shape != other.inputs.shape or np.any(first.inputs != other.inputs)


def test_errors(rng):
    with pytest.raises(ValueError, match="`name` is 'sorting'"):
        make_task("sorting", 10)
    with pytest.raises(ValueError, match="`n_steps` is 9"):
        adding(9, 5, rng)
    with pytest.raises(ValueError, match="`n_symbols` is 4"):
        temporal_order(100, 5, rng, n_symbols=4)
    with pytest.raises(ValueError, match="`n_bits` is 0"):
        binary_addition(0, 5, rng)


def test_wrong_steps_are_counted_a_sequence():
    task = make_task("memorization_20_bits", 5)
    batch = task.draw(4, np.random.default_rng(0))
    predictions = np.eye(5)[np.minimum(batch.targets, 4)]
    assert task.wrong_steps(predictions, batch) == 0.0
    # Two of the ten scored steps of one sequence in four, and a step that is not scored.
    for step in (-1, -7, 0):
        predictions[step, 2] = np.roll(predictions[step, 2], 1)
    assert task.wrong_steps(predictions, batch) == 0.5
    assert task.fraction_wrong(predictions, batch) == 0.25
    adding = make_task("adding", 20)
    batch = adding.draw(50, np.random.default_rng(1))
    predictions = np.full((*batch.targets.shape[:2], 1), 0.5)
    assert adding.wrong_steps(predictions, batch) == pytest.approx(
        adding.fraction_wrong(predictions, batch)
    )


class TestCues:
    """The form of the authors' code: what is told apart from what has to be known."""

    @pytest.mark.parametrize(
        ("draw", "first", "combine"),
        [
            (adding, 10, lambda x, y: (x + y) / 2),
            (multiplication, 10, lambda x, y: x * y),
            (xor, 20, lambda x, y: x != y),
        ],
    )
    def test_marks_of_minus_one_stand_at_the_ends(self, draw, first, combine, rng):
        batch = draw(100, 2000, rng, cues=True)
        lengths, places = lengths_of(batch), set()
        assert set(lengths) == set(range(100, 111))
        for i, length in enumerate(lengths):
            marks = batch.inputs[:, i, 1]
            assert list(np.flatnonzero(marks == -1)) == [0, length - 3]
            one, two = np.flatnonzero(marks == 1)
            assert set(np.unique(marks)) == {-1, 0, 1}
            assert batch.targets[length - 1, i, 0] == combine(*batch.inputs[[one, two], i, 0])
            places.add(one)
            assert one < two < 50
        # The very first step is that of the cue.
        assert places == set(range(1, first))

    def test_numbers_at_the_marks_tell_nothing(self, rng):
        batch = adding(100, 2000, rng, cues=True)
        at_start = batch.inputs[0, :, 0]
        assert at_start.std() == pytest.approx(1 / np.sqrt(12), rel=0.1)
        answers = batch.targets[lengths_of(batch) - 1, np.arange(2000), 0]
        assert abs(np.corrcoef(at_start, answers)[0, 1]) < 0.1

    @pytest.mark.parametrize("n_symbols", [2, 3])
    def test_symbols_of_start_and_prediction(self, n_symbols, rng):
        batch = temporal_order(100, 500, rng, n_symbols=n_symbols, cues=True)
        for i, length in enumerate(lengths_of(batch)):
            symbols = batch.inputs[:length, i]
            assert list(np.flatnonzero(symbols == 6)) == [0]
            assert list(np.flatnonzero(symbols == 7)) == [length - 1]
            relevant = np.flatnonzero(symbols < 2)
            spelled = int("".join(map(str, symbols[relevant])), 2)
            assert len(relevant) == n_symbols
            assert batch.targets[length - 1, i] == spelled

    @pytest.mark.parametrize("n_steps", [50, 150])
    def test_every_symbol_of_a_permutation_is_predicted(self, n_steps, rng):
        batch = random_permutation(n_steps, 30, rng, cues=True)
        np.testing.assert_array_equal(batch.targets[:-1], batch.inputs[1:])
        np.testing.assert_array_equal(batch.targets[-1], batch.inputs[0])
        assert batch.n_scored == 30 * n_steps
        task = make_task("random_permutation", n_steps, cues=True)
        guesses = np.zeros((n_steps, 30, 100))
        guesses[-1, np.arange(30), batch.inputs[0]] = 1
        # What cannot be known does not count.
        assert task.fraction_wrong(guesses, batch) == 0
        guesses[-1, 7] = np.roll(guesses[-1, 7], 1)
        assert task.fraction_wrong(guesses, batch) == pytest.approx(1 / 30)

    def test_the_last_scored_step_of_each_sequence_counts(self):
        mask = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1]])
        batch = Batch(np.zeros((3, 3, 1)), np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]), mask)
        guesses = np.eye(2)[[[1, 1, 0], [1, 0, 1], [1, 1, 0]]]
        np.testing.assert_array_equal(wrong_at_the_end(guesses, batch), [False, False, True])

    @pytest.mark.parametrize("name", [name for name in NAMES if name != "binary_addition"])
    def test_tasks_of_either_form(self, name, rng):
        plain, cued = make_task(name, 30), make_task(name, 30, cues=True)
        batch = cued.draw(40, rng)
        if batch.inputs.ndim == 2:
            assert batch.inputs.max() < cued.n_inputs
        if name.startswith("memorization"):
            assert cued.name == name
        else:
            assert cued.name == f"{name}_cued"
            assert plain.name == name
        assert cued.n_inputs - plain.n_inputs == (2 if name.startswith("temporal") else 0)

    def test_what_has_no_cued_form_is_told(self, rng):
        with pytest.raises(ValueError, match="'binary_addition' has one form"):
            make_task("binary_addition", 30, cues=True)
        with pytest.raises(ValueError, match="`n_steps` is 19"):
            adding(19, 5, rng, cues=True)
