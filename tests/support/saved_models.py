"""Small models of every kind that a file can hold, and what is asked of them after loading.

    python -m tests.support.saved_models FOLDER

fits them, saves each to FOLDER and writes what they answered to FOLDER/answers.npz. The archives in
`tests/data` hold such folders (`tar cJf saved-VERSION.tar.xz -C FOLDER .`), made by the version
that they are named after; later versions must answer the same. A new kind of model is a new entry
here, and is checked from the next archive on.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from hessianfree import (
    SGD,
    Adagrad,
    Adam,
    Batch,
    CharacterLanguageModel,
    Chunks,
    CosineDecay,
    ElmanCell,
    ExponentialDecay,
    HessianFree,
    InverseTimeDecay,
    LanguageModel,
    LevenbergMarquardt,
    Minibatches,
    Momentum,
    PiecewiseConstant,
    RMSprop,
    RNNClassifier,
    RNNRegressor,
    SequenceNetwork,
    SutskeverMomentum,
    TruncatedBackpropagation,
    load_checkpoint,
    save_checkpoint,
    start,
    train,
)
from hessianfree.optimize import FisherPreconditioner, JacobiPreconditioner
from hessianfree.training import TruncatedState
from reservoir import (
    ConceptorMemory,
    DelayEmbedding,
    ESNClassifier,
    ESNRegressor,
    LayeredESNRegressor,
    LocalESNRegressor,
    NVARRegressor,
    OnlineESNRegressor,
    ReservoirModelSpace,
    ReservoirTransformer,
)
from reservoir.plasticity import IntrinsicPlasticity

# Drawn once for all: the generator gives the same doubles everywhere.
SERIES = np.random.default_rng(1).uniform(-1, 1, size=(90, 2))
TARGETS = SERIES[:, :1] * np.roll(SERIES[:, 1:], 1, axis=0)
TARGETS[0] = 0
RING = np.random.default_rng(2).uniform(-1, 1, size=(60, 6))
SEQUENCES = np.random.default_rng(3).uniform(-1, 1, size=(12, 10, 2))
LABELS = np.array(["falls", "rises", "stays"] * 4)
SYMBOLS = np.random.default_rng(4).integers(3, size=(10, 12, 1))
TEXT = "a cat sat on a mat, a rat ate a hat. " * 4
SMALL = {
    "n_units": 10, "connectivity": 3, "spectral_radius": 0.8, "leak_rate": 0.7,
    "input_scaling": 0.5, "bias_scaling": 0.1, "random_state": 7,
}  # fmt: skip


def esn(**parameters):
    return ESNRegressor(**{**SMALL, "washout": 5, "alpha": 1e-4, **parameters})


def regressor_answers(model):
    return {
        "predicted": model.predict(SERIES[60:]),
        "last": model.predict(SERIES[60:], initial_state="last"),
    }


def generator_answers(model):
    return {"predicted": model.predict(RING[40:]), "forecast": model.forecast(6)}


def learning_on(model):
    """Answers before and after further rows: what a fit in pieces keeps must come back too."""
    before = regressor_answers(model)
    after = regressor_answers(model.partial_fit(SERIES[60:], TARGETS[60:]))
    return before | {f"{name} after more": value for name, value in after.items()}


def in_pieces(model):
    return model.partial_fit(SERIES[:30], TARGETS[:30]).partial_fit(SERIES[30:60], TARGETS[30:60])


def classifier_answers(model):
    return {
        "decision": model.decision_function(SEQUENCES[:4]),
        "probabilities": model.predict_proba(SEQUENCES[:4]),
        "labels": model.predict(SEQUENCES[:4]),
    }


def transformer_answers(model):
    return {"transformed": np.asarray(model.transform(SERIES[60:]))}


def rnn_answers(model):
    return {"predicted": model.predict(SEQUENCES[:3]), "losses": model.loss_curve_}


def rnn(cell, optimizer, **parameters):
    model = RNNRegressor(
        4, cell=cell, optimizer=optimizer, max_iter=3, tol=1e-4, n_iter_no_change=10,
        gradient_batch_size=6, curvature_batch_size=3, random_state=5, **parameters,
    )  # fmt: skip
    return model.fit(SEQUENCES, SEQUENCES[..., :1] * 0.5)


def characters(**parameters):
    model = CharacterLanguageModel(
        5, cell="multiplicative", n_factors=4, sequence_length=12, n_scored=8, max_iter=2,
        gradient_batch_size=6, curvature_batch_size=3, batch_growth=1.0, random_state=5,
        **parameters,
    )  # fmt: skip
    return model.fit(TEXT)


def character_answers(model):
    return {
        "bits": model.character_bits(TEXT[:30]),
        "probabilities": model.predict_proba("a ca"),
    }


def sentences(**parameters):
    model = LanguageModel(
        5, cell="gru", n_layers=2, sequence_length=12, n_scored=8, max_iter=2, warm_start=True,
        gradient_batch_size=6, curvature_batch_size=3, validation_fraction=0.2, random_state=5,
        **parameters,
    )  # fmt: skip
    return model.fit(TEXT.replace(". ", ".\n"))


def sentence_answers(model):
    return {
        "log_probability": np.array(model.log_probability("a rat ate a mat.")),
        "bits": model.token_bits("a cat sat."),
        "validation": model.validation_curve_,
        "sample": np.array(model.sample(12, seed=0)),
    }


def damped():
    return HessianFree(damping=LevenbergMarquardt(initial=0.1), max_cg_iterations=8)


MATRIX = np.diag(np.full(7, 0.75), -1)
MATRIX[0, -1] = -0.5

# Name: what makes the model, and what is asked of it.
MODELS = {
    "ESNRegressor": (lambda: esn().fit(SERIES[:60], TARGETS[:60]), regressor_answers),
    "ESNRegressor-feedback": (
        lambda: esn(
            feedback_scaling=0.3, include_squares=True, noise=1e-3, dtype="float32"
        ).fit(SERIES[:60], TARGETS[:60]),
        lambda model: {"predicted": model.predict(SERIES[60:], initial_state="last")},
    ),
    "ESNRegressor-loop": (
        lambda: esn(alpha=[1e-6, 1e-2], alpha_per_target=True).fit(RING[:39], RING[1:40]),
        generator_answers,
    ),
    "ESNRegressor-auto": (lambda: in_pieces(esn(solver="auto")), learning_on),
    "ESNRegressor-gram": (lambda: in_pieces(esn(solver="gram")), learning_on),
    "ESNRegressor-qr": (lambda: in_pieces(esn(solver="qr")), learning_on),
    "ESNRegressor-plasticity": (
        lambda: esn(plasticity=IntrinsicPlasticity(learning_rate=1e-3)).fit(
            SERIES[:60], TARGETS[:60]
        ),
        regressor_answers,
    ),
    "ESNRegressor-given": (
        lambda: esn(
            topology=csr_array(MATRIX), n_units=8, spectral_radius=None, leak_rate=np.full(8, 0.5),
            random_state=np.random.SeedSequence(3),
        ).fit(SERIES[:60], TARGETS[:60, 0]),
        regressor_answers,
    ),
    "LayeredESNRegressor": (
        lambda: LayeredESNRegressor(
            **{**SMALL, "leak_rate": [1.0, 0.5]}, n_layers=2, washout=5, alpha=1e-4
        ).fit(SERIES[:60], TARGETS[:60]),
        regressor_answers,
    ),
    "LocalESNRegressor": (
        lambda: LocalESNRegressor(
            **SMALL, patch_size=2, overlap=1, washout=5, alpha=1e-4
        ).fit(RING[:39], RING[1:40]),
        generator_answers,
    ),
    "NVARRegressor": (
        lambda: NVARRegressor(n_delays=2, order=2, alpha=1e-3).fit(RING[:39, :2], RING[1:40, :2]),
        lambda model: {"predicted": model.predict(RING[40:, :2]), "forecast": model.forecast(4)},
    ),
    "OnlineESNRegressor-rls": (
        lambda: OnlineESNRegressor(**SMALL, washout=5, alpha=1e-3, forgetting=0.98).fit(
            SERIES[:60], TARGETS[:60]
        ),
        learning_on,
    ),
    "OnlineESNRegressor-nlms": (
        lambda: OnlineESNRegressor(**SMALL, washout=5, learner="nlms", learning_rate=0.5).fit(
            SERIES[:60], TARGETS[:60]
        ),
        learning_on,
    ),
    "ESNClassifier-ridge": (
        lambda: ESNClassifier(**SMALL, alpha=1e-2, cv=3).fit(SEQUENCES, LABELS),
        classifier_answers,
    ),
    "ESNClassifier-logistic": (
        lambda: ESNClassifier(
            **SMALL, alpha=1.0, cv=3, readout="logistic", bidirectional=True, pooling="last"
        ).fit(SEQUENCES, LABELS),
        classifier_answers,
    ),
    "ReservoirModelSpace": (
        lambda: ReservoirModelSpace(**SMALL, n_components=4, alpha=1.0).fit(SEQUENCES),
        lambda model: {"transformed": model.transform(SEQUENCES[:3])},
    ),
    "ReservoirTransformer": (
        lambda: ReservoirTransformer(**SMALL).fit(SERIES[:60]), transformer_answers
    ),
    "DelayEmbedding": (lambda: DelayEmbedding((0, 2, 5)).fit(SERIES[:60]), transformer_answers),
    "ConceptorMemory": (
        lambda: ConceptorMemory(
            12, connectivity=4, washout=5, random_state=7, spectral_radius=1.2, input_scaling=1.0,
            aperture=5.0, alpha=1e-3, readout_alpha=1e-2,
        ).fit([RING[:30, :1], RING[30:, 1:2]]),
        lambda model: {"recalled": model.recall(0, 8)},
    ),
    "RNNRegressor-vanilla": (lambda: rnn("vanilla", damped()), rnn_answers),
    "RNNRegressor-multiplicative": (
        lambda: rnn(
            "multiplicative", HessianFree(preconditioner=FisherPreconditioner()), n_factors=3,
            validation_fraction=0.25,
        ),
        rnn_answers,
    ),
    "RNNRegressor-tensor": (
        lambda: rnn(
            "tensor", HessianFree(preconditioner=JacobiPreconditioner(2)), initialization="sparse"
        ),
        rnn_answers,
    ),
    "RNNRegressor-lstm": (lambda: rnn("lstm", Adam(ExponentialDecay(0.01, 0.5, 2))), rnn_answers),
    "RNNRegressor-gru": (lambda: rnn("gru", RMSprop(InverseTimeDecay(0.01, 5.0))), rnn_answers),
    "RNNRegressor-mut1": (lambda: rnn("mut1", SGD(CosineDecay(0.1, 10))), rnn_answers),
    "RNNRegressor-mut2": (
        lambda: rnn("mut2", Momentum(0.01, momentum=SutskeverMomentum())), rnn_answers
    ),
    "RNNRegressor-mut3": (
        lambda: rnn("mut3", Adagrad(PiecewiseConstant((0.1, 0.01), (2,)))), rnn_answers
    ),
    "RNNRegressor-layers": (lambda: rnn("vanilla", "adam", n_layers=2), rnn_answers),
    "RNNRegressor-unfitted": (
        lambda: RNNRegressor(4, optimizer=TruncatedBackpropagation(Adam(0.01))),
        lambda model: {"optimizer": np.array(repr(model.optimizer))},
    ),
    "RNNClassifier": (
        lambda: RNNClassifier(
            4, n_symbols=3, max_iter=3, random_state=5, dtype="float64", warm_start=True
        ).fit(SYMBOLS, np.array(["odd", "even"])[SYMBOLS[..., 0].sum(axis=1) % 2]),
        lambda model: {
            "probabilities": model.predict_proba(SYMBOLS[:4]), "labels": model.predict(SYMBOLS[:4])
        },
    ),
    "CharacterLanguageModel": (lambda: characters(averaging=True), character_answers),
    "CharacterLanguageModel-adam": (
        lambda: characters(optimizer="adam", averaging=False, end_of_text=True, min_count=2),
        character_answers,
    ),
    "LanguageModel": (lambda: sentences(averaging=True), sentence_answers),
    "LanguageModel-words": (
        lambda: sentences(tokens="words", max_vocabulary=6), sentence_answers
    ),
}  # fmt: skip

# Name: the optimizer of the run, and whether it learns from chunks.
CHECKPOINTS = {
    "hessian-free": (damped, False),
    "fisher": (lambda: HessianFree(preconditioner=FisherPreconditioner()), False),
    "sgd": (lambda: SGD(0.1), False),
    "nesterov": (lambda: Momentum(0.05), False),
    "adagrad": (lambda: Adagrad(0.05), False),
    "rmsprop": (lambda: RMSprop(0.01, momentum=0.5), False),
    "adam": (lambda: Adam(0.01, clip_norm=1.0), False),
    "truncated": (lambda: TruncatedBackpropagation(Adam(0.01)), True),
}


def run(name, n_iterations, state=None):
    """Train a tiny net by the optimizer of that name, from the start or from a state."""
    make, in_chunks = CHECKPOINTS[name]
    optimizer = make()
    batch = Batch(SEQUENCES.transpose(1, 0, 2), SEQUENCES.transpose(1, 0, 2)[..., :1] * 0.5)
    network = SequenceNetwork(ElmanCell(2, 3), n_outputs=1)
    data = Chunks(batch, chunk_length=4) if in_chunks else Minibatches(batch, 6, 3)
    if state is None:
        params = np.random.default_rng(6).uniform(-0.5, 0.5, network.n_params)
        state = start(optimizer, params, random_state=8)
    return train(network, optimizer, data, state, n_iterations=n_iterations)


def at(params, optimizer_state):
    """Return the state of an optimizer at other parameters."""
    if isinstance(optimizer_state, TruncatedState):
        return replace(optimizer_state, inner=at(params, optimizer_state.inner))
    return replace(optimizer_state, params=params)


def checkpoint_answers(name, path, seed=None):
    """Return the parameters that a file holds, and those of three iterations more.

    With a seed they go on from parameters each of which is one rounding away.
    """
    state = load_checkpoint(path, CHECKPOINTS[name][0]())
    params = state.params
    if seed is not None:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=params.shape)
        moved = params * (1 + np.finfo(params.dtype).eps * signs)
        state = replace(state, optimizer_state=at(moved, state.optimizer_state))
    further = run(name, 6, state)
    return {"params": params, "further": further.params, "loss": further.history["loss"]}


def rounding_of_answers(name, path):
    """Return how far apart runs go that start one rounding apart, for each answer."""
    answers = checkpoint_answers(name, path)
    others = [checkpoint_answers(name, path, seed) for seed in range(6)]
    return {key: max(np.abs(other[key] - answers[key]).max() for other in others)
            for key in answers}  # fmt: skip


def write(folder):
    """Fit, save and ask all of the above."""
    folder.mkdir(parents=True, exist_ok=True)
    answers = {}
    for name, (make, ask) in MODELS.items():
        model = make()
        model.save(folder / f"{name}.npz")
        for key, value in ask(model).items():
            answers[f"{name}/{key}"] = value
    for name in CHECKPOINTS:
        file = folder / f"checkpoint-{name}.npz"
        save_checkpoint(file, run(name, 3))
        for key, value in checkpoint_answers(name, file).items():
            answers[f"checkpoint-{name}/{key}"] = value
    np.savez_compressed(folder / "answers.npz", **answers)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
