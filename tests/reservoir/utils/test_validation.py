"""Checks of arguments: reals, integers and choices."""

import math

import numpy as np
import pytest

from reservoir.utils.seeds import seed_sequence
from reservoir.utils.validation import check_choice, check_integer, check_real


def test_numbers_of_every_kind_pass():
    assert check_integer("n", np.int32(4), minimum=1) == 4
    assert type(check_real("a", np.float32(0.5))) is float
    assert check_real("a", 0, minimum=0, maximum=1) == 0.0


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (2.0, TypeError, r"`n` is 2\.0 of type float, but an integer of 1 or more and at most 9"),
        (True, TypeError, "`n` is True of type bool"),
        (None, TypeError, "`n` is None of type NoneType"),
        (0, ValueError, "`n` is 0, but an integer of 1 or more"),
        (10, ValueError, "`n` is 10"),
    ],
)
def test_bad_integers(value, error, match):
    with pytest.raises(error, match=match):
        check_integer("n", value, minimum=1, maximum=9)


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        ("a", TypeError, "`a` is 'a' of type str, but a finite number above 0 up to 1"),
        (False, TypeError, "`a` is False of type bool"),
        (math.nan, ValueError, "`a` is nan"),
        (math.inf, ValueError, "`a` is inf"),
        (0.0, ValueError, r"`a` is 0\.0"),
        (1.5, ValueError, r"`a` is 1\.5, .* Take less\."),
    ],
)
def test_bad_reals(value, error, match):
    with pytest.raises(error, match=match):
        check_real("a", value, minimum=0, maximum=1, exclusive=True, remedy="Take less.")


@pytest.mark.parametrize("value", ["c", None, 3])
def test_bad_choice(value):
    with pytest.raises(ValueError, match="but one of 'a', 'b' was expected"):
        check_choice("x", value, ["a", "b"])


def test_seed_sequences_repeat_and_generators_advance():
    def first(state):
        return seed_sequence(state).generate_state(2).tolist()

    assert first(3) == first(np.int64(3)) != first(4)
    sequence = np.random.SeedSequence(5)
    sequence.spawn(2)
    assert seed_sequence(sequence).spawn(1)[0].spawn_key == (0,)
    for generator in (np.random.default_rng(1), np.random.RandomState(1)):
        assert first(generator) != first(generator)
    assert first(np.random.default_rng(1)) == first(np.random.default_rng(1))
    assert first(None) != first(None)


@pytest.mark.parametrize("state", [True, 1.5, "seed"])
def test_bad_seed_kinds(state):
    with pytest.raises(TypeError, match="`random_state` is of type"):
        seed_sequence(state)


def test_negative_seed():
    with pytest.raises(ValueError, match="`random_state` is -1"):
        seed_sequence(-1)
