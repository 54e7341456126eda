"""The baselines that demos and benchmarks compare with."""

import math
from collections import Counter, defaultdict

import pytest

from demos._baselines import packed_bits, trigram_bits


def test_trigram_bits_are_those_of_counting_in_a_loop(rng):
    training, test = ("".join(rng.choice(list("aab é"), n)) for n in (300, 120))
    test += "?漢a?"
    followers = [defaultdict(Counter) for _ in range(3)]
    for index, character in enumerate(training):
        for order in range(min(index, 2) + 1):
            followers[order][training[index - order : index]][character] += 1
    bits = []
    for index in range(2, len(test)):
        probability = 1 / (len(set(training)) + 1)
        for order in range(3):
            counts = followers[order].get(test[index - order : index])
            if counts:
                n, t = sum(counts.values()), len(counts)
                probability = (counts[test[index]] + t * probability) / (n + t)
        bits.append(-math.log2(probability))
    assert trigram_bits(training, test) == pytest.approx(sum(bits) / len(bits), rel=1e-12)


def test_packers_gain_from_what_they_have_seen(rng):
    text = "".join(rng.choice(list("abcdefgh"), 4000))
    assert packed_bits("lzma", text, text) < 0.2
    other = "".join(rng.choice(list("abcdefgh"), 4000))
    assert packed_bits("lzma", text, other) == pytest.approx(3, abs=0.3)
