"""CharacterLanguageModel: learns text, bits per character, completions, files, errors."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

from hessianfree import Adam, CharacterLanguageModel, HessianFree, Momentum
from hessianfree.cells import ElmanCell, GRUCell, LSTMCell, MultiplicativeCell
from hessianfree.language import NetworkStream, Vocabulary, generate
from hessianfree.network import SequenceNetwork


def small(**changes):
    """A model that learns in a second."""
    settings = {
        "n_units": 15,
        "sequence_length": 20,
        "n_scored": 15,
        "gradient_batch_size": 60,
        "curvature_batch_size": 30,
        "max_iter": 4,
        "random_state": 0,
    }
    return CharacterLanguageModel(**(settings | changes))


PERIODIC = "abcabd " * 60


@pytest.fixture(scope="module")
def periodic():
    return small(max_iter=25).fit(PERIODIC)


def markov_text(n, rng):
    """Text of a chain of three characters, its transitions, and its entropy rate in bits."""
    transitions = np.array([[0.1, 0.6, 0.3], [0.7, 0.1, 0.2], [0.05, 0.05, 0.9]])
    values, vectors = np.linalg.eig(transitions.T)
    stationary = vectors[:, np.argmax(values.real)].real
    stationary /= stationary.sum()
    entropy = -float(stationary @ (transitions * np.log2(transitions)).sum(axis=1))
    states = [0]
    cumulated = transitions.cumsum(axis=1)
    for u in rng.random(n - 1):
        states.append(int(np.searchsorted(cumulated[states[-1]], u)))
    return "".join("xyz"[state] for state in states), transitions, entropy


# -- what is learned -----------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["multiplicative", "vanilla", "lstm", "gru"])
def test_a_text_that_repeats_costs_nothing(cell):
    """Two places of the period look alike for two characters."""
    model = small(max_iter=25 if cell in ("multiplicative", "vanilla") else 40, cell=cell)
    model.fit(PERIODIC)
    assert model.bits_per_character(PERIODIC * 5) < 0.02
    assert model.character_bits(PERIODIC)[30:].max() < 0.03
    assert model.complete("d abc", 11) == "abd abcabd "


def test_bits_approach_the_entropy_of_the_source(rng):
    text, _, entropy = markov_text(30_000, rng)
    model = small(max_iter=40, n_units=8, gradient_batch_size=1000, curvature_batch_size=100)
    model.fit(text)
    other, transitions, _ = markov_text(20_000, rng)
    symbols = Vocabulary("xyz").encode(other) - 1
    of_source = -np.log2(transitions[symbols[:-1], symbols[1:]])
    # On the same text chance has no part: what is left is what the net has not learned.
    assert 0 <= model.bits_per_character(other) - of_source.mean() < 0.01
    # The entropy itself is what 20,000 characters cost, give or take three standard deviations.
    assert abs(of_source.mean() - entropy) < 3 * of_source.std() / math.sqrt(len(of_source))
    predicted = model.predict_proba(other)[:, 1:]
    learned = [predicted[symbols == k].mean(axis=0) for k in range(3)]
    np.testing.assert_allclose(learned, transitions, atol=0.02)


def test_a_net_that_knows_nothing_costs_the_logarithm_of_its_vocabulary():
    model = small(max_iter=1).fit("abcdefg" * 10)
    model.params_ = np.zeros_like(model.params_)
    assert model.bits_per_character("abcdefg") == pytest.approx(math.log2(8), rel=1e-6)
    assert model.score("abcdefg") == -model.bits_per_character("abcdefg")


def test_averages_over_the_last_iterations():
    seen = []
    plain = small(averaging=False, max_iter=6, callback=lambda model: seen.append(model.params_))
    plain.fit(PERIODIC)
    average = small(max_iter=6).fit(PERIODIC)
    # Polynomial decay with η = 3: weights ∝ i (i + 1) (i + 2) by induction.
    weights = np.array([i * (i + 1) * (i + 2) for i in range(1, 7)], dtype=float)
    expected = weights @ np.array(seen) / weights.sum()
    np.testing.assert_allclose(average.params_, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(average.loss_curve_, plain.loss_curve_)
    np.testing.assert_array_equal(plain.params_, seen[-1])


def test_ends_of_texts_are_learned(rng):
    texts = [["ab", "abb"][choice] for choice in rng.integers(2, size=2000)]
    model = small(end_of_text=True, max_iter=50, gradient_batch_size=200).fit(texts)
    assert {model.sample(50, seed=seed) for seed in range(30)} == {"ab", "abb"}
    # There is nothing to tell but which of the two it is.
    for text in ("ab", "abb"):
        frequency = texts.count(text) / len(texts)
        assert model.character_bits(text).sum() == pytest.approx(-math.log2(frequency), abs=0.1)
    assert len(model.character_bits("abb")) == 4
    total = model.character_bits("ab").sum() + model.character_bits("abb").sum()
    assert model.bits_per_character(["ab", "abb"]) == pytest.approx(total / 7, rel=1e-6)
    assert model.sample(1, seed=0) == "a"
    assert model.sample(0) == ""


def test_unknown_characters_are_learned_where_there_are_any():
    """An unknown character follows each a; which one it is costs nothing."""
    text = "".join(f"a{chr(300 + i)}" for i in range(200))
    model = small(min_count=2, max_iter=15).fit(text)
    assert model.vocabulary_.characters == "a"
    assert model.predict_proba("aZa")[[0, 2], 0].min() > 0.95
    assert model.bits_per_character("aXaYaZ" * 10) < 0.05
    # It can't be written: what is left is an a.
    assert model.sample(5, prime="a", seed=0) == "aaaaa"


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["multiplicative", "vanilla", "lstm", "gru"])
def test_reading_on_equals_reading_at_once(monkeypatch, cell):
    model = small(cell=cell, max_iter=1).fit(PERIODIC)
    network, params = model.network_, model.params_.astype(float)
    symbols = model.vocabulary_.encode("cab dba" * 9)
    stream = NetworkStream(network, params)
    parts = [stream.outputs(part[:, None])[:, 0] for part in np.split(symbols, [1, 2, 9, 40])]
    whole = NetworkStream(network, params).outputs(symbols[:, None])[:, 0]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr("hessianfree.language._stream._CHUNK", 7)
    np.testing.assert_allclose(NetworkStream(network, params).read(symbols), whole[-1], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "cell",
    [
        ElmanCell(5, 7, activation="logistic"),
        ElmanCell(5, 7, learn_initial_state=False),
        MultiplicativeCell(5, 7, 4),
        MultiplicativeCell(5, 7, 4, learn_initial_state=False),
        MultiplicativeCell(5, 7, 4, gain="shifted_tanh"),
        LSTMCell(5, 7),
        GRUCell(5, 7),
    ],
)
def test_single_steps_equal_the_forward_pass(cell, dtype, rng):
    network = SequenceNetwork(cell, 5, "softmax")
    params = rng.standard_normal(network.n_params).astype(dtype)
    symbols = rng.integers(5, size=12)
    tolerance = 100 * np.finfo(dtype).eps
    whole = NetworkStream(network, params).outputs(symbols[:, None])[:, 0]
    stream = NetworkStream(network, params)
    steps = np.array([stream.step(symbol) for symbol in symbols])
    assert steps.dtype == dtype
    np.testing.assert_allclose(steps, whole, rtol=tolerance, atol=tolerance)
    # Reading at once and step by step may alternate.
    mixed = NetworkStream(network, params)
    mixed.outputs(symbols[:5, None])
    mixed.step(symbols[5])
    rest = mixed.outputs(symbols[6:, None])[:, 0]
    np.testing.assert_allclose(rest, whole[6:], rtol=tolerance, atol=tolerance)


def test_bits_are_those_of_the_net_run_over_the_whole_text(periodic, monkeypatch):
    text = "abdc abccc ab" * 8
    symbols = periodic.vocabulary_.encode(text)
    probabilities = periodic.network_.predict(periodic.params_, symbols[:, None])[:, 0]
    expected = -np.log2(probabilities[np.arange(len(text) - 1), symbols[1:]])
    for chunk in (1024, 10, 1):
        monkeypatch.setattr("hessianfree.language._stream._CHUNK", chunk)
        np.testing.assert_allclose(periodic.character_bits(text), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            periodic.predict_proba(text), probabilities, rtol=1e-4, atol=1e-6
        )
    states = periodic.network_.states(periodic.params_, symbols[:, None])[:, 0]
    np.testing.assert_allclose(periodic.states(text), states, atol=1e-5)


@pytest.mark.parametrize("n", [2, 16, 20, 21, 22, 35, 36, 37, 100])
@pytest.mark.parametrize("rows", [2**16, 50])
def test_windows_score_each_character_once(periodic, monkeypatch, n, rows):
    """The oracle runs a net over a window of its own for each character."""
    monkeypatch.setattr("hessianfree.language._stream._MAX_ROWS", rows)
    text = ("abdc abccc ab" * 8)[:n]
    symbols = periodic.vocabulary_.encode(text)
    bits = periodic.character_bits(text, mode="windows")
    assert len(bits) == n - 1
    length, n_scored = 20, 15
    for target in range(1, n):
        # Windows start at 0, 15, 30, ...; after the first they score from their sixth step on.
        start = max(0, (target - 1 - (length - n_scored)) // n_scored * n_scored)
        start = min(start, max(0, n - 1 - length))
        read = symbols[start:target, None]
        probabilities = periodic.network_.predict(periodic.params_, read)[-1, 0]
        expected = -math.log2(probabilities[symbols[target]])
        assert bits[target - 1] == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_what_comes_later_changes_nothing_before(periodic):
    np.testing.assert_array_equal(
        periodic.predict_proba("abcab")[:3], periodic.predict_proba("abcdd")[:3]
    )


# -- writing -------------------------------------------------------------------------------------


def test_writing_equals_reading_everything_again_each_time():
    model = small().fit(PERIODIC)
    text = "ab"
    for _ in range(40):
        probabilities = model.predict_proba(text)[-1]
        text += model.vocabulary_.decode([1 + np.argmax(probabilities[1:])])
    assert model.complete("ab", 40) == text[2:]
    assert model.sample(40, prime="ab", temperature=0) == text[2:]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_samples_are_distributed_as_predicted(temperature):
    model = small(max_iter=3).fit(PERIODIC)
    probabilities = model.predict_proba("ab")[-1].astype(float)
    expected = probabilities[1:] ** (1 / temperature)
    expected /= expected.sum()
    stream = NetworkStream(model.network_, model.params_)
    outputs = stream.read(model.vocabulary_.encode("ab"))
    rng = np.random.default_rng(5)
    drawn = [
        generate(stream, outputs, 1, temperature=temperature, rng=rng, never=0)[0]
        for _ in range(4000)
    ]
    counts = np.bincount(drawn, minlength=len(probabilities))
    assert counts[0] == 0
    assert stats.chisquare(counts[1:], 4000 * expected).pvalue > 0.01


def test_limits_of_temperature(periodic):
    cold = [periodic.sample(30, prime="ab", temperature=t, seed=1) for t in (0, 1e-12, 1e-320)]
    assert len(set(cold)) == 1
    hot = periodic.sample(4000, temperature=1e9, seed=1)
    counts = [hot.count(character) for character in "abcd "]
    assert stats.chisquare(counts).pvalue > 0.01


def test_first_character_without_a_prime_is_as_frequent_as_in_the_text(periodic):
    first = [periodic.sample(1, seed=seed) for seed in range(700)]
    counts = [first.count(character) for character in "abcd "]
    assert stats.chisquare(counts, np.array([2, 2, 1, 1, 1]) * 100).pvalue > 0.01


# -- seeds, files, going on ----------------------------------------------------------------------


def test_one_seed_one_text():
    first, again, other = (small(random_state=seed).fit(PERIODIC) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.params_, again.params_)
    assert not np.array_equal(first.params_, other.params_)
    assert first.sample(100, seed=3) == again.sample(100, seed=3)
    assert first.sample(100, seed=3) != first.sample(100, seed=4)


@pytest.mark.parametrize("end_of_text", [False, True])
def test_a_saved_model_writes_the_same_and_goes_on_the_same(tmp_path, end_of_text):
    settings = {"end_of_text": end_of_text, "warm_start": True, "callback": lambda model: None}
    model = small(**settings).fit(PERIODIC)
    model.save(tmp_path / "model.npz")
    loaded = CharacterLanguageModel.load(tmp_path / "model.npz")
    assert loaded.vocabulary_ == model.vocabulary_
    for prime in ("", "ab"):
        text = model.sample(200, prime=prime, seed=1)
        assert loaded.sample(200, prime=prime, seed=1) == text
    whole = small(end_of_text=end_of_text, max_iter=8).fit(PERIODIC)
    for half in (model, loaded):
        half.fit(PERIODIC)
        assert half.n_iter_ == 8
        np.testing.assert_array_equal(half.params_, whole.params_)


def test_going_on_keeps_the_vocabulary():
    model = small(warm_start=True).fit(PERIODIC)
    model.fit(PERIODIC + "xyz")
    assert model.vocabulary_.characters == " abcd"
    with pytest.raises(ValueError, match="`warm_start` is True, but n_units is 16 and was 15"):
        model.set_params(n_units=16).fit(PERIODIC)


def test_float64_stays_float64():
    model = small(dtype="float64").fit(PERIODIC)
    assert model.params_.dtype == np.float64
    assert model.predict_proba("ab").dtype == np.float64
    assert model.states("ab").dtype == np.float64
    assert small().fit(PERIODIC).character_bits("abc").dtype == np.float32


def test_files_of_utf_8(tmp_path):
    text = "Ü漢😀\r\n" * 30
    for name, content in [("a", text.encode()), ("b", b"\xef\xbb\xbf" + text.encode())]:
        (tmp_path / name).write_bytes(content)
        model = small(max_iter=1).fit(tmp_path / name)
        assert model.vocabulary_.characters == "\n\rÜ漢😀"
        np.testing.assert_array_equal(
            model.character_bits(tmp_path / name), model.character_bits(text)
        )
    (tmp_path / "c").write_bytes(text.encode("utf-16"))
    with pytest.raises(ValueError, match="the file is no UTF-8 text"):
        small().fit(tmp_path / "c")


def test_callback_sees_the_model_and_ends_training():
    seen = []

    def callback(model):
        seen.append((model.n_iter_, model.bits_per_character("abcab"), model.sample(3, seed=0)))
        return model.n_iter_ == 3

    model = small(callback=callback).fit(PERIODIC)
    assert [row[0] for row in seen] == [1, 2, 3]
    assert model.stop_reason_ == "callback"
    assert seen[-1][1:] == (model.bits_per_character("abcab"), model.sample(3, seed=0))
    assert len(model.loss_curve_) == 3


def test_progress_shows_bits_and_samples(capsys):
    model = small(verbose=True, sample_every=2).fit(PERIODIC)
    output = capsys.readouterr()
    assert not output.out
    assert f"bits_per_character={model.loss_curve_[-1] / math.log(2):.3f}" in output.err
    assert "-- iteration 2\n" in output.err
    assert f"-- iteration 4\n{model.sample(200, seed=4)}\n" in output.err
    small().fit(PERIODIC)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("optimizer", [HessianFree(max_cg_iterations=2), "adam", Momentum(0.1)])
def test_another_optimizer_gets_the_same_data(optimizer):
    model = small(optimizer=optimizer).fit(PERIODIC)
    assert small().fit(PERIODIC).history_["loss"][0] == model.history_["loss"][0]
    assert len(set(model.loss_curve_)) == 4


def test_batches_grow():
    history = small(batch_growth=0.5, gradient_batch_size=20).fit(PERIODIC).history_
    sizes = history["sequence_gradients"] / history["passes"]
    np.testing.assert_allclose(sizes, [20, 30, 40, 50])
    history = small(optimizer="adam", gradient_batch_size=20).fit(PERIODIC).history_
    np.testing.assert_array_equal(history["sequence_gradients"], 20)


def test_counts_that_are_left_to_the_optimizer():
    stop = {"callback": lambda model: True, "gradient_batch_size": "auto", "max_iter": "auto"}
    adam = small(optimizer="adam", **stop).fit(PERIODIC).history_
    assert adam["sequence_gradients"][0] == 64
    # What was counted in gradients is counted in passes over the batch too.
    free = small(**stop).fit(PERIODIC).history_
    assert free["sequence_gradients"][0] / free["passes"][0] == pytest.approx(250)


@pytest.mark.parametrize("cell", ["lstm", "vanilla"])
def test_learns_by_adam(cell):
    adam = {"optimizer": Adam(0.02), "gradient_batch_size": 20, "max_iter": 300}
    model = small(cell=cell, **adam).fit(PERIODIC)
    assert model.bits_per_character(PERIODIC * 5) < 0.02
    assert model.complete("d abc", 11) == "abd abcabd "


# -- scikit-learn --------------------------------------------------------------------------------


def test_checks_of_scikit_learn():
    """Those for estimators of strings, which are few."""
    with pytest.warns(SkipTestWarning, match="requires input"):
        results = check_estimator(CharacterLanguageModel(n_units=5, max_iter=2), on_skip=None)
    assert {result["status"] for result in results} == {"passed"}
    assert clone(small(n_units=7)).n_units == 7


def test_search_maximises_the_score():
    texts = ["abab", "ababab", "ab"] * 10
    search = GridSearchCV(small(end_of_text=True), {"max_iter": [1, 12]}, cv=3).fit(texts)
    assert search.best_params_ == {"max_iter": 12}
    assert search.best_score_ == pytest.approx(max(search.cv_results_["mean_test_score"]))


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["predict_proba", "states", "character_bits", "score", "sample"])
def test_not_fitted(method):
    with pytest.raises(NotFittedError):
        getattr(small(), method)(3 if method == "sample" else "abc")


@pytest.mark.parametrize("text", ["", "a"])
def test_too_short(text, periodic):
    with pytest.raises(ValueError, match=rf"`X` has {len(text)} character\(s\)"):
        small().fit(text)
    with pytest.raises(ValueError, match=rf"`X` has {len(text)} character\(s\)"):
        periodic.bits_per_character(text)
    assert periodic.predict_proba(text).shape == (len(text), 6)


def test_two_characters_are_enough():
    assert (
        small(max_iter=8, gradient_batch_size=2, curvature_batch_size=2)
        .fit("ab")
        .bits_per_character("ab")
        < 1
    )


@pytest.mark.parametrize(
    ("changes", "text", "error", "message"),
    [
        ({}, ["ab", "cd"], ValueError, "`end_of_text` is False and one text was expected"),
        ({}, 3, TypeError, "`X` is a int"),
        ({}, b"abc", TypeError, "`X` is a bytes"),
        ({"end_of_text": True}, [], TypeError, "`X` is empty"),
        ({"end_of_text": True}, ["ab", 3], TypeError, "`X` holds a int"),
        ({"min_count": 9}, "abc", ValueError, "`min_count` is 9, but no character"),
        ({"n_scored": 21}, "abc", ValueError, "`n_scored` is 21.*at most `sequence_length`"),
        ({"cell": "cubic"}, "abc", ValueError, "`cell` is 'cubic'"),
        ({"optimizer": "newton"}, "abc", ValueError, "`optimizer` is 'newton'"),
        ({"optimizer": 3}, "abc", TypeError, "`optimizer` is of type int"),
        ({"initialization": "zero"}, "abc", ValueError, "`initialization` is 'zero'"),
        ({"dtype": "float16"}, "abc", ValueError, "`dtype` is 'float16'"),
        ({"sample_every": 0}, "abc", ValueError, "`sample_every` is 0"),
        ({"max_iter": 0}, "abc", ValueError, "`max_iter` is 0"),
        ({"input_scale": -1}, "abc", ValueError, "`input_scale` is -1"),
        ({"batch_growth": -1}, "abc", ValueError, "`batch_growth` is -1"),
        ({"gradient_batch_size": 1.5}, "abc", TypeError, "`gradient_batch_size` is 1.5"),
    ],
)
def test_wrong_arguments_of_fit(changes, text, error, message):
    with pytest.raises(error, match=message):
        small(**changes).fit(text)


def test_wrong_arguments_of_a_fitted_model(periodic):
    with pytest.raises(TypeError, match="`X` is of type list, but one text"):
        periodic.predict_proba(["ab"])
    with pytest.raises(ValueError, match="`mode` is 'words'"):
        periodic.character_bits("abc", mode="words")
    with pytest.raises(ValueError, match="`temperature` is -1"):
        periodic.sample(3, temperature=-1)
    with pytest.raises(ValueError, match="`n` is -1"):
        periodic.sample(-1)
    with pytest.raises(TypeError, match="`text` is of type int"):
        periodic.sample(1, prime=3)
    with pytest.raises(TypeError, match="`random_state` is of type str"):
        periodic.sample(1, seed="x")
