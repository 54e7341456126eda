"""Classifiers that read one sequence and write another."""

import itertools

import numpy as np
import pytest

from hessianfree import RNNClassifier
from tests.support.small_rnns import classifier

END, N_SYMBOLS = 0, 6
RNG = np.random.default_rng(0)


def lessons(n=20):
    """Sequences of symbols, at each step the one that comes next; the last is the end."""
    X, y = [], []
    for _ in range(n):
        symbols = np.append(RNG.integers(1, N_SYMBOLS, size=RNG.integers(2, 6)), END)
        X.append(symbols[:-1, None])
        y.append(symbols[1:])
    return X, y


@pytest.fixture(scope="module")
def writer():
    return classifier(n_symbols=N_SYMBOLS, target="step", max_iter=2).fit(*lessons())


@pytest.fixture(scope="module")
def prompts():
    return [np.array([[1], [4]]), np.array([[5], [2], [3]]), np.array([[2]]), np.array([[3], [1]])]


def log_p(rnn, prompt, text):
    """log P of a text after a prompt, from the probabilities of one run over all of it."""
    rows = rnn.predict_proba(np.vstack([prompt, np.array(text)[:-1, None].astype(int)]))
    columns = [rnn.classes_.tolist().index(symbol) for symbol in text]
    return float(np.log(rows[-len(text) :][np.arange(len(text)), columns]).sum())


def test_what_is_written_is_what_predict_says_again_and_again(writer, prompts):
    texts, log_ps = writer.generate(prompts, end=END, max_steps=7, return_log_probability=True)
    for prompt, text, given in zip(prompts, texts, log_ps, strict=True):
        expected = []
        while len(expected) < 7 and END not in expected:
            read = np.vstack([prompt, np.reshape(expected, (-1, 1)).astype(int)])
            expected.append(int(writer.predict(read)[-1]))
        assert text.tolist() == [k for k in expected if k != END]
        assert given == pytest.approx(log_p(writer, prompt, expected), rel=1e-4)


@pytest.mark.parametrize("method", ["greedy", "sample", "beam"])
def test_one_sequence_is_a_batch_of_one(writer, prompts, method):
    options = {"end": END, "method": method, "random_state": 3, "max_steps": 6}
    together = writer.generate(prompts, **options)
    alone = writer.generate(prompts[0], **options)
    assert alone.tolist() == together[0].tolist()
    assert [text.tolist() for text in writer.generate(prompts, **options)] == [
        text.tolist() for text in together
    ]
    as_array = writer.generate(np.array([[[1], [4]], [[3], [1]]]), **options)
    assert as_array[0].tolist() == together[0].tolist()
    if method == "beam":
        _, log_ps = writer.generate(prompts, **options, return_log_probability=True)
        _, greedy = writer.generate(prompts, end=END, max_steps=6, return_log_probability=True)
        assert (log_ps >= greedy - 1e-6).all()


def test_labels_are_the_symbols_whatever_their_numbers():
    # Labels 3 and 5 alone: one logistic output, and classes that are no range.
    X = [np.array([[3], [5], [3], [5]]), np.array([[5], [5], [3], [3]])] * 3
    y = [np.array([5, 3, 5, 3]), np.array([5, 3, 3, 5])] * 3
    rnn = classifier(n_symbols=6, target="step", max_iter=2).fit(X, y)
    text, p = rnn.generate([[5]], max_steps=5, return_log_probability=True)
    assert set(text) <= {3, 5}
    assert p == pytest.approx(log_p(rnn, np.array([[5]]), text), rel=1e-4)
    assert rnn.generate([[5]], max_steps=4, never=[5]).tolist() == [3] * 4
    whole = rnn.generate([[5]], max_steps=5, method="beam", beam_width=99,
                         return_log_probability=True)[1]  # fmt: skip
    texts = itertools.product([3, 5], repeat=5)
    assert whole == pytest.approx(max(log_p(rnn, np.array([[5]]), t) for t in texts), rel=1e-4)


def test_it_goes_on_from_a_state(writer, prompts):
    _, states = writer.predict([prompts[1][:2]], return_state=True)
    rest = writer.generate([prompts[1][2:]], end=END, max_steps=6, initial_state=states)
    assert rest[0].tolist() == writer.generate(prompts[1], end=END, max_steps=6).tolist()


def test_a_saved_net_writes_the_same(writer, prompts, tmp_path):
    writer.save(tmp_path / "net.npz")
    loaded = RNNClassifier.load(tmp_path / "net.npz")
    options = {"end": END, "method": "sample", "random_state": 1}
    for text, again in zip(
        writer.generate(prompts, **options), loaded.generate(prompts, **options), strict=True
    ):
        assert text.tolist() == again.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"end": 9}, r"`end` is 9, but one of the labels \[0, 1, 2, 3, 4, 5\]"),
        ({"end": "."}, "`end` is '.' of type str"),
        ({"never": [7]}, "`never` is 7, but one of the labels"),
        ({"never": 7}, "`never` is of type int"),
        ({"never": [END]}, "`never` holds 0"),
        ({"max_steps": 0}, "`max_steps` is 0"),
        ({"method": "wide"}, "`method` is 'wide'"),
        ({"temperature": -1, "method": "sample"}, "`temperature` is -1"),
        ({"X": np.array([[6]])}, "`X` has symbols from 6 to 6"),
    ],
)
def test_what_is_wrong_is_said(writer, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        writer.generate(**{"X": np.array([[1]]), "end": END, **options})


def test_nets_that_do_not_read_what_they_write_are_refused():
    X, y = lessons(6)
    per_sequence = [int(labels[0]) for labels in y]
    for options, targets, message in [
        ({}, y, "`n_symbols` is None"),
        ({"n_symbols": 6}, [[f"is {k}" for k in labels] for labels in y], "which are no symbols"),
        ({"n_symbols": 6}, [labels - 1 for labels in y], "which are no symbols"),
        ({"n_symbols": 6}, [labels + 2 for labels in y], "Raise it to 8 or more"),
        ({"n_symbols": 6, "target": "sequence"}, per_sequence, "one target per sequence"),
    ]:
        rnn = classifier(**{"max_iter": 1, "target": "step", **options}).fit(X, targets)
        with pytest.raises(ValueError, match=message):
            rnn.generate(np.array([[1]]))


@pytest.mark.parametrize(
    ("kind", "n_labels", "n_classes"), [("multioutput", 2, 3), ("multilabel", 3, 2)]
)
@pytest.mark.parametrize("is_loaded", [False, True])
def test_nets_with_several_labels_a_step_are_refused(
    tmp_path, kind, n_labels, n_classes, is_loaded
):
    X, _ = lessons(6)
    y = [RNG.integers(n_classes, size=(len(rows), n_labels)) for rows in X]
    rnn = classifier(n_symbols=N_SYMBOLS, target="step", max_iter=1).fit(X, y)
    if is_loaded:
        rnn.save(tmp_path / "net.npz")
        rnn = RNNClassifier.load(tmp_path / "net.npz")
    for options in [{}, {"end": END}, {"never": [1]}, {"method": "beam", "end": END}]:
        with pytest.raises(ValueError, match=f"a single label at each step.* has {kind} labels"):
            rnn.generate(np.array([[1]]), **options)


# -- one sequence in, another of other length out ------------------------------------------------

TO_NINE = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = ["ten", "eleven", "twelve", *(f"{stem}teen" for stem in TO_NINE[3:])]
TENS = [f"{stem}ty" for stem in TO_NINE[2:]]
FIGURES = [str(figure) for figure in range(10)]
SYMBOLS = [*FIGURES, "end", "write", *TO_NINE, *TEENS, *TENS, "hundred"]
CODE = {symbol: k for k, symbol in enumerate(SYMBOLS)}


def in_words(n):
    """A number in words, the small ones regular: "twoty" for 20."""
    if n < 20:
        return [[*TO_NINE, *TEENS][n]]
    if n < 100:
        return [TENS[n // 10 - 2]] + ([TO_NINE[n % 10]] if n % 10 else [])
    return [TO_NINE[n // 100], "hundred"] + (in_words(n % 100) if n % 100 else [])


def question(n):
    return np.array([CODE[word] for word in [*in_words(n), "write"]])[:, None]


def lesson(n):
    """A number in words, then in figures; labels where it is written."""
    figures = [int(figure) for figure in str(n)]
    labels = [None] * len(in_words(n)) + [*figures, CODE["end"]]
    return np.append(question(n), figures)[:, None], np.array(labels, dtype=object)


def test_numbers_in_words_that_were_never_seen_become_their_figures():
    unseen = np.random.default_rng(0).permutation(np.arange(101, 1000))[:100]
    seen = np.setdiff1d(np.arange(1000), unseen)
    X, y = zip(*[lesson(n) for n in seen], strict=True)
    rnn = RNNClassifier(
        50, cell="gru", n_symbols=len(CODE), target="step", max_iter=35, random_state=0
    ).fit(list(X), list(y))
    for method in ("greedy", "beam"):
        written = rnn.generate([question(n) for n in unseen], end=CODE["end"], method=method)
        assert ["".join(map(str, figures)) for figures in written] == list(map(str, unseen))
    lengths = {(len(in_words(n)), len(str(n))) for n in seen}
    assert lengths == {(1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (4, 3)}
