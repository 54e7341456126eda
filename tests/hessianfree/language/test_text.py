"""Vocabularies and windows of texts: encoding, unknown symbols, ends of texts."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessianfree.language import TextWindows, Vocabulary
from hessianfree.language._reading import read_text


class TestVocabulary:
    @given(st.text())
    def test_text_comes_back(self, text):
        vocabulary = Vocabulary.from_text(text)
        assert vocabulary.characters == "".join(sorted(set(text)))
        assert vocabulary.decode(vocabulary.encode(text)) == text

    def test_unknown_characters_are_symbol_0(self):
        vocabulary = Vocabulary("bd")
        np.testing.assert_array_equal(vocabulary.encode("abcde\0\U0010ffff"), [0, 1, 0, 2, 0, 0, 0])
        assert vocabulary.decode([0, 2]) == "�d"
        np.testing.assert_array_equal(Vocabulary("").encode("ab"), [0, 0])

    def test_min_count_keeps_what_comes_often(self):
        assert Vocabulary.from_text("aaabbc", min_count=2).characters == "ab"

    def test_end_of_text_is_symbol_1_and_no_character(self):
        vocabulary = Vocabulary.from_text("ab", end_of_text=True)
        assert vocabulary.n_symbols == 4
        np.testing.assert_array_equal(vocabulary.encode("ab?"), [2, 3, 0])
        np.testing.assert_array_equal(vocabulary.stream(["ab", "", "a"]), [1, 2, 3, 1, 1, 2, 1])
        assert vocabulary.decode([1, 2, 1, 3]) == "ab"
        np.testing.assert_array_equal(Vocabulary("ab").stream(["ab"]), [1, 2])

    def test_beyond_the_basic_plane_and_lone_surrogates(self):
        text = "aé漢😀\ud800"
        vocabulary = Vocabulary.from_text(text)
        assert vocabulary.decode(vocabulary.encode(text)) == text
        assert len(vocabulary.encode(text)) == 5

    @pytest.mark.parametrize("characters", ["ba", "aa"])
    def test_order_is_checked(self, characters):
        with pytest.raises(ValueError, match=f"`characters` is '{characters}'"):
            Vocabulary(characters)

    def test_other_errors(self):
        with pytest.raises(TypeError, match="`text` is of type bytes"):
            Vocabulary("a").encode(b"a")
        with pytest.raises(ValueError, match="`symbols` has numbers from 0 to 2, but 0 to 1"):
            Vocabulary("a").decode([0, 2])
        with pytest.raises(ValueError, match="`min_count` is 0"):
            Vocabulary.from_text("a", min_count=0)


class TestTextWindows:
    def test_every_place_is_drawn_equally_often(self, rng):
        windows = TextWindows(np.arange(7), n_steps=4, n_scored=4)
        batch = windows.draw(30_000, rng)
        counts = np.bincount(batch.inputs[0])
        assert len(counts) == 3  # the last window ends with the text
        # Three cells of probability 1/3: a standard deviation is 82.
        assert np.all(np.abs(counts - 10_000) < 400)
        np.testing.assert_array_equal(np.diff(batch.inputs, axis=0), 1)
        np.testing.assert_array_equal(batch.targets, batch.inputs + 1)

    def test_only_the_last_steps_count(self):
        batch = TextWindows(np.arange(9), n_steps=5, n_scored=2).at([1, 3])
        np.testing.assert_array_equal(batch.mask.T, [[False, False, False, True, True]] * 2)

    def test_what_starts_with_a_text_counts_from_its_start(self):
        symbols = np.array([1, 5, 6, 7, 1, 5, 6, 7, 8])
        batch = TextWindows(symbols, n_steps=4, n_scored=1, start=1).at([0, 3, 4])
        np.testing.assert_array_equal(
            batch.mask.T, [[True] * 4, [False, False, False, True], [True] * 4]
        )

    def test_short_text_is_one_shorter_window(self, rng):
        batch = TextWindows(np.array([3, 1, 2]), n_steps=5, n_scored=4).draw(2, rng)
        np.testing.assert_array_equal(batch.inputs.T, [[3, 1], [3, 1]])
        np.testing.assert_array_equal(batch.targets.T, [[1, 2], [1, 2]])
        assert batch.mask.all()

    @pytest.mark.parametrize(
        ("symbols", "n_steps", "n_scored", "message"),
        [
            ([1], 3, 2, "`symbols` has 1 entries"),
            ([1, 2], 3, 4, "`n_scored` is 4"),
            ([1, 2], 0, 1, "`n_steps` is 0"),
            ([1, 2], 3, 0, "`n_scored` is 0"),
        ],
    )
    def test_sizes_are_checked(self, symbols, n_steps, n_scored, message):
        with pytest.raises(ValueError, match=message):
            TextWindows(np.array(symbols), n_steps, n_scored)


def test_a_str_is_a_text_and_one_that_names_a_file_warns(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("a text")
    assert read_text(path) == "a text"
    with pytest.warns(UserWarning, match=r"names a file.*pathlib\.Path"):
        assert read_text(str(path)) == str(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in ("corpus", "", "\0", str(path) + "\n", "a" * 10_000, str(tmp_path)):
            assert read_text(text) == text
