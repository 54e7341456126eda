"""LanguageModel: sentences of characters and words, probabilities, validation, layers."""

import itertools
import math
import pickle
import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import check_estimator

from hessianfree import CharacterLanguageModel, HessianFree, LanguageModel
from hessianfree.cells import StackedCell
from hessianfree.language import Vocabulary, WordVocabulary


def small(**changes):
    """A model that learns in a second."""
    settings = {
        "n_units": 10,
        "sequence_length": 20,
        "n_scored": 15,
        "gradient_batch_size": 60,
        "curvature_batch_size": 30,
        "max_iter": 4,
        "random_state": 0,
    }
    return LanguageModel(**(settings | changes))


SENTENCES = ["an apple and a pear", "a pear and a plum", "a pair of shoes", "an apple"]
TEXT = "\n".join(SENTENCES * 30)


@pytest.fixture(scope="module", params=["characters", "words"])
def model(request):
    return small(tokens=request.param, max_iter=8).fit(TEXT)


@pytest.fixture(scope="module")
def words():
    return small(tokens="words", max_iter=25).fit(TEXT)


def random_model(tokens, rng, end_bias=0.0):
    """A model of a, b and unknown tokens, with weights that mean nothing."""
    model = small(tokens=tokens, n_units=4, dtype="float64", max_iter=1, min_count=1)
    model.fit("a b\nb a\n" * 10 if tokens == "words" else "ab\nba\n" * 10)
    assert model.vocabulary_.tokens == ("<UNK>", "<EOS>", "a", "b")
    model.params_ = rng.standard_normal(len(model.params_))
    model.weights_["output_bias"][1] += end_bias
    return model


def strings(tokens, n):
    """All sentences of n tokens, unknown ones among them."""
    glue = " " if tokens == "words" else ""
    return [glue.join(parts) for parts in itertools.product("ab?", repeat=n)]


# -- probabilities -------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_the_probabilities_of_all_sentences_sum_to_one(tokens, rng):
    """Of those of up to 7 tokens; the rest is what the ends, one in e² or more, leave."""
    model = random_model(tokens, rng, end_bias=8.0)
    total = sum(np.exp(model.log_probability(strings(tokens, n))).sum() for n in range(8))
    assert 1 - 1e-6 < total < 1 + 1e-12


@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_what_short_sentences_leave_is_the_probability_that_none_has_ended(tokens, rng):
    model = random_model(tokens, rng, end_bias=-2.0)
    total = sum(np.exp(model.log_probability(strings(tokens, n))).sum() for n in range(4))
    is_longer = 0.0
    for text in strings(tokens, 4):
        chosen = model.vocabulary_.encode(text)
        is_longer += np.prod(model.predict_proba(text)[np.arange(4), chosen])
    assert 0.001 < is_longer < 0.999
    assert total + is_longer == pytest.approx(1, abs=1e-12)


def test_log_probability_is_the_sum_over_the_tokens_and_the_end(model):
    text = "an apple and shoes"
    symbols = np.append(model.vocabulary_.encode(text), 1)
    probabilities = model.predict_proba(text)
    expected = np.log(probabilities[np.arange(len(symbols)), symbols].astype(float)).sum()
    assert model.log_probability(text) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(model.log_probability([text, text]), [expected] * 2, rtol=1e-4)
    n = len(symbols)
    assert model.perplexity(text) == pytest.approx(math.exp(-expected / n), rel=1e-4)
    assert model.bits_per_token(text) == pytest.approx(-expected / n / math.log(2), rel=1e-4)
    assert model.score(text) == -model.bits_per_token(text)
    per_character = -expected / math.log(2) / (len(text) + 1)
    assert model.bits_per_character(text) == pytest.approx(per_character, rel=1e-4)


def test_lines_are_sentences_of_their_own(model):
    one, two = model.log_probability(["an apple", "a pair of shoes"])
    both = model.log_probability("an apple\r\n\n  \na pair of shoes\n")
    assert both == pytest.approx(one + two, rel=1e-5)
    bits = model.token_bits("an apple\na pair of shoes")
    assert len(bits) == len(model.token_bits("an apple")) + len(model.token_bits(SENTENCES[2]))
    assert bits.sum() == pytest.approx(-both / math.log(2), rel=1e-5)
    assert np.exp(model.log_probability("")) == pytest.approx(model.predict_proba("")[0, 1])


@pytest.mark.parametrize("rows", [2**16, 40])
def test_sentences_side_by_side_cost_what_each_costs_alone(model, monkeypatch, rows):
    monkeypatch.setattr("hessianfree.language._stream._MAX_ROWS", rows)
    texts = ["", "a", "of", *SENTENCES, "a " * 30, "plum pear " * 9]
    together = model.log_probability(texts)
    alone = [model.log_probability(text) for text in texts]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_sentence_that_was_read_is_more_probable(words):
    pear, pair = words.log_probability(["an apple and a pear", "an apple and a pair"])
    assert pear > pair + math.log(10)


def test_perplexity_approaches_that_of_the_source(rng):
    """Sentences drawn from four of known probability: nothing else is left to guess."""
    p = np.array([0.4, 0.3, 0.2, 0.1])
    drawn = rng.choice(4, size=1500, p=p)
    model = small(tokens="words", max_iter=30, gradient_batch_size=150)
    model.fit("\n".join(SENTENCES[k] for k in drawn))
    np.testing.assert_allclose(np.exp(model.log_probability(SENTENCES)), p, atol=0.04)
    n_tokens = p @ [len(sentence.split()) + 1 for sentence in SENTENCES]
    entropy = -p @ np.log(p)
    costs = -model.log_probability(SENTENCES) @ p
    assert costs == pytest.approx(entropy, abs=0.05)
    other = "\n".join(SENTENCES[k] for k in rng.choice(4, size=4000, p=p))
    assert model.perplexity(other) == pytest.approx(math.exp(entropy / n_tokens), rel=0.03)


def test_a_running_text_has_no_sentences():
    model = small(sentences=None, tokens="words", min_count=1).fit(TEXT)
    assert model.vocabulary_.end_symbol is None
    bits = model.token_bits("a pear and a plum")
    assert len(bits) == 4
    # The first word is not scored, nor are its characters.
    expected = bits.sum() / len(" pear and a plum")
    assert model.bits_per_character("a pear and a plum") == pytest.approx(expected)
    with pytest.raises(ValueError, match="`log_probability` is about sentences"):
        model.log_probability("a pear")
    with pytest.raises(ValueError, match="`sentences` is None and one text was expected"):
        model.perplexity(["a", "b"])


def test_the_model_of_characters_is_a_case_of_it():
    settings = {"n_units": 6, "sequence_length": 10, "n_scored": 8, "max_iter": 3}
    settings |= {"gradient_batch_size": 20, "curvature_batch_size": 10, "random_state": 1}
    pairs = [
        (CharacterLanguageModel(**settings), LanguageModel(sentences=None, **settings)),
        (
            CharacterLanguageModel(end_of_text=True, **settings),
            LanguageModel(sentences="texts", **settings),
        ),
    ]
    for old, new in pairs:
        np.testing.assert_array_equal(old.fit(TEXT).params_, new.fit(TEXT).params_)
        assert old.sample(30, prime="an ", seed=2) == new.sample(30, prime="an ", seed=2)
        np.testing.assert_array_equal(old.character_bits("a plum"), new.token_bits("a plum"))


# -- unknown tokens ------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_unknown_tokens_are_drawn_as_predicted_or_refused(tokens):
    rare = [chr(0x4E00 + k) for k in range(100)]
    glue = " " if tokens == "words" else ""
    text = "\n".join(glue.join(["a", rare[k], "b"]) for k in range(100)) + "\n" + "ab\n" * 9
    model = small(tokens=tokens, min_count=2, max_iter=20).fit(text)
    assert "a" in model.vocabulary_.tokens
    assert model.predict_proba("a")[1, 0] > 0.8
    name = "<UNK>" if tokens == "words" else "\N{REPLACEMENT CHARACTER}"
    written = [model.sample(3, seed=seed, refuse_unknown=False) for seed in range(60)]
    share = np.mean([name in text for text in written])
    assert share > 0.6
    if tokens == "words":
        assert "a <UNK> b" in written
    refused = "".join(model.sample(3, seed=seed) for seed in range(60))
    assert name not in refused
    assert refused


def test_the_most_frequent_words_are_known():
    model = small(tokens="words", max_vocabulary=3, max_iter=1).fit("a b c a b a\nd d d d c\n")
    assert model.vocabulary_.tokens == ("<UNK>", "<EOS>", "a", "b", "d")
    # Words that come once are not known unless that is asked for; characters are.
    text = "a a b\n"
    assert small(tokens="words", max_iter=1).fit(text).vocabulary_.words == ("a",)
    assert small(tokens="words", max_iter=1, min_count=1).fit(text).vocabulary_.words == ("a", "b")
    assert small(max_iter=1).fit(text).vocabulary_.characters == " ab"


# -- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_writing_equals_reading_everything_again_each_time(tokens, n_layers):
    model = small(tokens=tokens, n_layers=n_layers).fit(TEXT)
    symbols = []
    for _ in range(12):
        text = model.vocabulary_.decode(symbols)
        probabilities = model.predict_proba(text)[len(symbols)]
        best = 1 + int(np.argmax(probabilities[1:]))
        if best == 1:
            break
        symbols.append(best)
    assert model.sample(12, temperature=0) == model.vocabulary_.decode(symbols)


def test_lines_before_are_context(words):
    """What is written after some lines is a sentence of its own, and they have been read."""
    context = words._context("an apple\n\na pair ")
    end, encode = words.vocabulary_.end_symbol, words.vocabulary_.encode
    expected = [end, *encode("an apple"), end, *encode("a pair")]
    np.testing.assert_array_equal(context, expected)
    np.testing.assert_array_equal(words._context("an apple\n"), [end, *encode("an apple"), end])
    assert words.complete("a pair") == "of shoes"


@pytest.mark.parametrize("tokens", ["characters", "words"])
@pytest.mark.parametrize("refuse", [True, False])
def test_completions_are_the_most_probable_of_all(tokens, refuse, rng):
    """A beam as wide as there are sequences finds, for each first token, the best of all."""
    model = random_model(tokens, rng)
    prefix, n_tokens, glue = "ab" if tokens == "characters" else "a b", 3, " "
    found = model.completions(prefix, 4, n_tokens=n_tokens, beam_width=64, refuse_unknown=refuse)
    symbols = [*model.vocabulary_.stream([prefix])[:-1]]

    def log_p(sequence):
        text = model.vocabulary_.decode([*symbols[1:], *(k for k in sequence if k != 1)])
        text = text.replace("<UNK>", "?")
        p = model.predict_proba(text)[len(symbols) - 1 :].astype(float)
        if refuse:
            p[:, 0] = 0
            p /= p.sum(axis=1, keepdims=True)
        return sum(np.log(p[t, k]) for t, k in enumerate(sequence))

    allowed = [1, 2, 3] if refuse else [0, 1, 2, 3]
    best = {}
    for length in range(1, n_tokens + 1):
        for sequence in itertools.product(allowed, repeat=length):
            ends = [t for t, k in enumerate(sequence) if k == 1]
            if ends not in ([length - 1], []) or (not ends and length < n_tokens):
                continue
            value = log_p(sequence)
            best[sequence[0]] = max(best.get(sequence[0], (-np.inf, ())), (value, sequence))
    expected = sorted(best.values(), reverse=True)
    assert [text for text, _ in found] == [
        model.vocabulary_.decode([k for k in sequence if k != 1]) for _, sequence in expected
    ]
    np.testing.assert_allclose([p for _, p in found], [p for p, _ in expected], rtol=1e-9)
    assert glue.join(text for text, _ in found)


def test_completions_of_what_was_learned(words):
    best = words.completions("an apple and a")[0]
    assert best[0] == "pear"
    assert best[1] == pytest.approx(0, abs=0.7)
    assert len(words.completions("an", n=100)) == len(words.vocabulary_.tokens) - 1
    running = small(sentences=None).fit(TEXT)
    assert {len(text) for text, _ in running.completions("", 3, n_tokens=4)} == {4}


# -- validation, layers --------------------------------------------------------------------------


def test_the_weights_that_held_out_text_chose_are_kept():
    """Letters drawn at random can only be learned by heart: validation ends that."""
    rng = np.random.default_rng(0)
    lines = ["".join(rng.choice(list("abcd"), size=12)) for _ in range(40)]
    seen = []
    model = small(
        n_units=40, max_iter=60, averaging=False, validation_fraction=0.3, n_iter_no_change=5,
        callback=lambda model: seen.append(model._state.params),
    ).fit("\n".join(lines))  # fmt: skip
    curve = model.validation_curve_
    assert model.stop_reason_ == "converged"
    best = int(np.argmin(curve))
    assert best < len(curve) - 1 == model.n_iter_ - 1
    np.testing.assert_array_equal(model.params_, seen[best])
    # The part of the lines that costs what the curve says, of all that can be drawn.
    held_out = model._progress.held_out_rng().permutation(40)[:12]
    assert model.bits_per_token([lines[k] for k in held_out]) * math.log(2) == pytest.approx(
        curve.min(), rel=1e-5
    )
    learned = [line for k, line in enumerate(lines) if k not in held_out]
    assert model.bits_per_token(learned) * math.log(2) < curve.min()


def test_the_average_validates_where_one_is_kept():
    averages = []

    def callback(model):
        progress = model._progress
        averages.append(progress.average)

    model = small(validation_fraction=0.2, max_iter=6, callback=callback).fit(TEXT)
    best = int(np.argmin(model.validation_curve_))
    np.testing.assert_array_equal(model.params_, averages[best])
    assert not hasattr(small(max_iter=1).fit(TEXT), "validation_curve_")


@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_the_end_of_a_running_text_validates(tokens):
    text = "x y " * 41 + "z y " * 4
    model = small(tokens=tokens, sentences=None, validation_fraction=0.1, max_iter=2).fit(text)
    # The vocabulary is that of what is learned from.
    assert set(model.vocabulary_.known) == set("xy " if tokens == "characters" else "xy")
    held_out = text[round(0.9 * len(text)) :]
    if tokens == "characters":
        # Windows begin every 15 symbols here; these 18 are one.
        assert model.bits_per_token(held_out) * math.log(2) == pytest.approx(
            model.validation_curve_.min(), rel=1e-5
        )


@pytest.mark.parametrize("optimizer", ["hessian-free", "adam"])
def test_a_validated_run_goes_on_as_if_it_had_never_stopped(tmp_path, optimizer):
    settings = {"validation_fraction": 0.2, "tokens": "words", "optimizer": optimizer}
    many = 1 if optimizer == "hessian-free" else 60
    whole = small(max_iter=4 * many, **settings).fit(TEXT)
    half = small(max_iter=2 * many, warm_start=True, **settings).fit(TEXT)
    half.save(tmp_path / "model.npz")
    for model in (half, LanguageModel.load(tmp_path / "model.npz")):
        model.fit(TEXT)
        np.testing.assert_array_equal(model.params_, whole.params_)
        np.testing.assert_array_equal(model.validation_curve_, whole.validation_curve_)


def test_layers_stand_on_each_other():
    model = small(n_layers=2, cell="gru", tokens="words", max_iter=25).fit(TEXT)
    assert isinstance(model.network_.cell, StackedCell)
    assert model.states("a pear").shape == (3, 10)
    assert model.complete("a pair") == "of shoes"


def test_thousands_of_words_take_little_memory(rng):
    """3,000 words, 50 units, windows as by default: their outputs would be 300 MB."""
    names = np.array([f"w{k}" for k in range(3000)])
    text = "\n".join(" ".join(row) for row in names[rng.integers(3000, size=(4000, 15))])
    optimizer = HessianFree(max_cg_iterations=1)
    model = LanguageModel(
        50, tokens="words", max_iter=1, optimizer=optimizer, validation_fraction=0.05,
        random_state=0,
    )  # fmt: skip
    tracemalloc.start()
    try:
        model.fit(text)
        model.perplexity("\n".join(text.split("\n")[:300]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert model.vocabulary_.n_symbols > 2900
    assert peak < 150e6


# -- files, scikit-learn, errors -----------------------------------------------------------------


def test_a_saved_model_answers_the_same(model, tmp_path):
    model.save(tmp_path / "model.npz")
    loaded = LanguageModel.load(tmp_path / "model.npz")
    assert loaded.vocabulary_ == model.vocabulary_
    for other in (loaded, pickle.loads(pickle.dumps(model))):
        assert other.log_probability(TEXT) == model.log_probability(TEXT)
        assert other.sample(20, seed=3) == model.sample(20, seed=3)


def test_parameters_count_from_the_next_fit_on(model):
    expected = model.log_probability("an apple\na pear")
    other = pickle.loads(pickle.dumps(model))
    other.set_params(sentences=None, tokens="characters")
    assert other.log_probability("an apple\na pear") == expected
    assert clone(other).sentences is None


def test_checks_of_scikit_learn():
    """Those for estimators of strings, which are few."""
    with pytest.warns(SkipTestWarning, match="requires input"):
        results = check_estimator(LanguageModel(n_units=5, max_iter=2), on_skip=None)
    assert {result["status"] for result in results} == {"passed"}


def test_a_path_is_read_and_its_name_is_a_text_that_warns(tmp_path, model):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    settings = {"tokens": model.tokens, "max_iter": 8}
    np.testing.assert_array_equal(small(**settings).fit(path).params_, model.params_)
    assert model.log_probability(path) == model.log_probability(TEXT)
    with pytest.warns(UserWarning, match="names a file, but a str is a text") as caught:
        model.perplexity(str(path))
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("changes", "text", "message"),
    [
        ({"tokens": "letters"}, TEXT, "`tokens` is 'letters'"),
        ({"sentences": "stops"}, TEXT, "`sentences` is 'stops'"),
        ({"sentences": None}, ["a", "b"], "`sentences` is None and one text was expected"),
        ({"n_layers": 0}, TEXT, "`n_layers` is 0"),
        ({"max_vocabulary": 0}, TEXT, "`max_vocabulary` is 0"),
        ({"min_count": 0}, TEXT, "`min_count` is 0"),
        ({"min_count": 9, "tokens": "words"}, "a b", "`min_count` is 9, but no word"),
        ({"tokens": "words"}, "a b", "`min_count` is 'auto', but no word"),
        ({"validation_fraction": 1}, TEXT, "`validation_fraction` is 1"),
        ({"validation_fraction": 0.5}, "one line", "too short to hold out"),
        ({"validation_fraction": 0.1, "sentences": None}, "abcd", "too short to hold out"),
        ({"n_iter_no_change": 0}, TEXT, "`n_iter_no_change` is 0"),
        ({"tol": -1}, TEXT, "`tol` is -1"),
    ],
)
def test_wrong_arguments_of_fit(changes, text, message):
    with pytest.raises(ValueError, match=message):
        small(**changes).fit(text)


def test_wrong_arguments_of_a_fitted_model(words):
    for name in ("n", "n_tokens", "beam_width"):
        with pytest.raises(ValueError, match=f"`{name}` is 0"):
            words.completions("a", **{name: 0})
    with pytest.raises(TypeError, match="`refuse_unknown`"):
        words.sample(3, refuse_unknown="no")
    with pytest.raises(TypeError, match="`text` is of type int"):
        words.completions(3)
    with pytest.raises(ValueError, match="`tokens` is 'characters' and was another"):
        clone(words).set_params(warm_start=True).fit(TEXT).set_params(tokens="characters").fit(TEXT)


# -- words ---------------------------------------------------------------------------------------


class TestWordVocabulary:
    @pytest.mark.parametrize(
        "text",
        [
            "Don't panic: it's (well-nigh) free!",
            "A <UNK> in 1933, of 50% [sic]; no…",
            "l’œuvre d’Été",
            "",
        ],
    )
    def test_a_tidy_text_comes_back(self, text):
        vocabulary = WordVocabulary.from_text(text)
        assert vocabulary.decode(vocabulary.encode(text)) == text

    def test_special_names_are_no_words(self):
        vocabulary = WordVocabulary.from_text("<UNK> a <EOS> <EOS>", end_of_text=True)
        assert vocabulary.tokens == ("<UNK>", "<EOS>", "a")
        np.testing.assert_array_equal(vocabulary.encode("<UNK> a <EOS>"), [0, 2, 0])

    def test_ties_go_by_order(self):
        assert WordVocabulary.from_text("b c a", max_size=2).words == ("a", "b")
        assert Vocabulary.from_text("bca", max_size=2).characters == "ab"

    def test_errors(self):
        with pytest.raises(ValueError, match="`words` begins with"):
            WordVocabulary(("b", "a"))
        with pytest.raises(TypeError, match="`text` is of type int"):
            WordVocabulary(("a",)).encode(3)
        with pytest.raises(ValueError, match="`symbols` has numbers"):
            WordVocabulary(("a",)).decode([5])
        with pytest.raises(ValueError, match="`max_size` is 0"):
            WordVocabulary.from_text("a", max_size=0)
