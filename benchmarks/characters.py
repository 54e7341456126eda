"""How few bits per character does a net of some size reach on a text, in some time?

    python -m benchmarks.characters TEXT [--cell CELL] [--optimizer NAME] [--seconds S] ...

TEXT is a UTF-8 file, or `source`, the modules of Python's standard library, or `help`, the help on
its language. A `CharacterLanguageModel` learns the first 90 % of it; the next 5 % choose the moment
that counts, the last 5 % test. Cells get as many units as come nearest to `--parameters`, which
makes them equals. Times are those of the wall clock, where a run on `--threads` threads wants as
many cores for itself, or, with `--clock processor`, of the process; without validation and test.
Every validation is a line of JSON in `--log`, and the model of the best one is saved with `--save`.
Printed beside it: a trigram model and two packers, for the same test text. The text is not part of
this repository. `python -m benchmarks.advantage` compares the logs of two cells.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from demos._baselines import PACKERS, packed_bits, trigram_bits
from demos._corpora import corpus
from hessianfree import Adam, CharacterLanguageModel, HessianFree, LevenbergMarquardt
from hessianfree.cells import ElmanCell, GRUCell, LSTMCell, MultiplicativeCell
from hessianfree.language import Vocabulary
from hessianfree.network import SequenceNetwork

CELL_CLASSES: dict[str, Any] = {
    "multiplicative": MultiplicativeCell,
    "vanilla": ElmanCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
}
INPUT_SCALES = {"multiplicative": 0.5, "vanilla": 1.0, "lstm": 0.1, "gru": 0.1}
OPTIMIZERS = ("hessian-free", "adam")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def split(text: str) -> tuple[str, str, str]:
    """Cut a text by position, 90 / 5 / 5."""
    first, second = int(0.9 * len(text)), int(0.95 * len(text))
    return text[:first], text[first:second], text[second:]


class Run:
    """One training: validates now and then, keeps the best parameters, ends when time is up."""

    def __init__(self, arguments: argparse.Namespace, validation: str) -> None:
        self.arguments = arguments
        self.validation = validation
        self.best, self.best_params = np.inf, None
        self.clock = CLOCKS[arguments.clock]
        self.began = self.clock()
        self.aside = 0.0  # seconds spent on validation
        self.next = 0.0
        self.until = arguments.seconds

    @property
    def seconds(self) -> float:
        """Time of training so far."""
        return self.clock() - self.began - self.aside

    def __call__(self, model: CharacterLanguageModel) -> bool:
        seconds = self.seconds
        is_over = seconds >= self.until
        if seconds >= self.next or is_over:
            self.next = seconds + self.arguments.every
            began = self.clock()
            self.validate(model, seconds)
            self.aside += self.clock() - began
        return is_over

    def validate(self, model: CharacterLanguageModel, seconds: float) -> None:
        """Cost the validation text, and keep the parameters if they are the best so far."""
        history = model.history_.last
        bits = model.bits_per_character(self.validation, mode="windows")
        row: dict[str, Any] = {
            "cell": model.cell,
            "seed": model.random_state,
            "seconds": round(seconds, 1),
            "iteration": model.n_iter_,
            "batch_bits": model.loss_curve_[-1] / np.log(2),
            "validation_bits": bits,
            "cost": float(model.history_["sequence_gradients"].sum()),
        }
        for name in ("damping", "reduction_ratio", "cg_iterations", "products", "step_size"):
            row[name] = history.get(name)
        report(self.arguments.log, row)
        if bits < self.best:
            self.best, self.best_params = bits, model.params_.copy()
            if self.arguments.save:
                model.save(self.arguments.save)


def report(log: Path | None, row: dict[str, Any]) -> None:
    """Print a row, and add it to the log."""
    line = json.dumps(row)
    print(line, flush=True)
    if log is not None:
        with log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def n_units_for(cell: str, n_symbols: int, n_parameters: int) -> int:
    """Return the number of units with which a net comes nearest to a number of parameters."""

    def count(n_units: int) -> int:
        return SequenceNetwork(
            CELL_CLASSES[cell](n_symbols, n_units), n_symbols, "softmax"
        ).n_params

    n_units = 1
    while count(n_units + 1) <= n_parameters:
        n_units += 1
    return min(n_units, n_units + 1, key=lambda n: abs(count(n) - n_parameters))


def phases(arguments: argparse.Namespace) -> list[tuple[float, dict[str, Any]]]:
    """Return the settings of the model, each with the fraction of the time it holds until.

    The learning rate of Adam falls.
    """
    if arguments.optimizer == "adam":
        return [
            (
                until,
                {
                    "optimizer": Adam(arguments.learning_rate * factor, clip_norm=1.0),
                    "gradient_batch_size": arguments.gradient or 32,
                },
            )
            for until, factor in ((0.5, 1), (0.7, 0.5), (0.85, 0.2), (0.95, 0.05), (1, 0.02))
        ]
    optimizer = HessianFree(
        damping=LevenbergMarquardt(initial=arguments.damping, floor=arguments.floor),
        structural_damping=arguments.structural_damping,
        max_cg_iterations=arguments.cg,
    )
    settings = {
        "optimizer": optimizer,
        "gradient_batch_size": arguments.gradient or 250,
        "curvature_batch_size": arguments.curvature,
        "batch_growth": arguments.growth,
    }
    return [(1, settings)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", help="a UTF-8 file, or one of: source, help")
    parser.add_argument("--cell", choices=list(CELL_CLASSES), default="multiplicative")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="hessian-free")
    parser.add_argument("--parameters", type=int, default=260_000, help="about so many")
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between validations")
    parser.add_argument("--log", type=Path, help="JSON, a line a validation")
    parser.add_argument("--save", type=Path, help="the best model so far")
    parser.add_argument("--steps", type=int, default=100, help="of a window")
    parser.add_argument("--scored", type=int, default=90, help="of them")
    parser.add_argument(
        "--gradient", type=int, help="windows for the gradient: 250, or 32 for adam"
    )
    parser.add_argument("--curvature", type=int, default=50, help="windows for the curvature")
    parser.add_argument("--growth", type=float, default=0.0125, help="of both, an iteration")
    parser.add_argument("--cg", type=int, default=10, help="iterations of conjugate gradients")
    parser.add_argument("--learning-rate", type=float, default=0.01, help="of adam")
    parser.add_argument("--damping", type=float, default=0.1, help="λ to begin with")
    parser.add_argument("--floor", type=float, default=0.02, help="of λ")
    parser.add_argument("--input-scale", type=float, help="of the weights to begin with")
    parser.add_argument("--structural-damping", type=float, default=0.1, help="μ")
    parser.add_argument("--l2", type=float, default=0.0, help="weight of half the squared weights")
    arguments = parser.parse_args()

    training, validation, test = split(corpus(arguments.text))
    n_symbols = Vocabulary.from_text(training).n_symbols
    run = Run(arguments, validation)
    model = CharacterLanguageModel(
        n_units=n_units_for(arguments.cell, n_symbols, arguments.parameters),
        cell=arguments.cell,
        input_scale=arguments.input_scale or INPUT_SCALES[arguments.cell],
        sequence_length=arguments.steps,
        n_scored=arguments.scored,
        max_iter=10**9,
        # A learning rate that falls to nothing does what the average is there for.
        averaging=arguments.optimizer == "hessian-free",
        l2=arguments.l2,
        warm_start=True,
        random_state=arguments.seed,
        callback=run,
    )
    with threadpool_limits(arguments.threads):
        for fraction, settings in phases(arguments):
            run.until = fraction * arguments.seconds
            model.set_params(**settings).fit(training)
    model.params_ = run.best_params
    result = {
        "cell": arguments.cell,
        "seed": arguments.seed,
        "optimizer": arguments.optimizer,
        "n_units": model.n_units,
        "n_params": len(model.params_),
        "seconds": round(run.seconds, 1),
        "iterations": model.n_iter_,
        "best_validation_bits": run.best,
        "test_bits": model.bits_per_character(test, mode="windows"),
        "test_bits_streaming": model.bits_per_character(test),
        "trigram_validation_bits": trigram_bits(training, validation),
        "trigram_test_bits": trigram_bits(training, test),
        **{f"{name}_test_bits": packed_bits(name, training, test) for name in PACKERS},
    }
    report(arguments.log, result)
    print(model.sample(600, prime=validation[:200], seed=0))


if __name__ == "__main__":
    main()
