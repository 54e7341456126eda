"""How a language model learns: what is held out, batches, validation, warm start."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from hessianfree.batch import Batch
from hessianfree.estimators._named_optimizers import resolve_optimizer, uses_curvature
from hessianfree.estimators._trained import SLICE_ROWS, STOP_REASONS
from hessianfree.language._reading import read_texts
from hessianfree.language._text import (
    Symbols,
    SymbolTable,
    TextWindows,
    Vocabulary,
    pieces_scored_once,
)
from hessianfree.language._words import WordVocabulary
from hessianfree.language._writing import WritingMixin
from hessianfree.network._architecture import Architecture
from hessianfree.network._initialization import (
    INITIALIZATIONS,
    Initialization,
    mean_target_bias,
)
from hessianfree.network._network import SequenceNetwork
from hessianfree.optimize._damping import LevenbergMarquardt
from hessianfree.optimize._hessian_free import HessianFree
from hessianfree.optimize._protocols import Optimizer
from hessianfree.training._checkpoints import TrainingState
from hessianfree.training._data import BeginningAt, FreshBatches
from hessianfree.training._loop import start, train
from hessianfree.training._stop_reason import TrainingStop
from hessianfree.training._stopping import Progress, Stall, Validation, digest_of
from reservoir.utils.device import resolve_device
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.types import Array
from reservoir.utils.validation import check_choice, check_integer, check_real

# Order of the independent streams that one `random_state` is split into.
_PARAMS, _DATA, _BIAS = range(3)


# Windows from which the output bias to start from is counted.
_N_BIAS_WINDOWS = 1000


# The constants that measurements on text have led to.
_OPTIMIZER = HessianFree(
    damping=LevenbergMarquardt(initial=0.1, floor=0.02),
    structural_damping=0.1,
    max_cg_iterations=10,
)


TOKENS: dict[str, type[Vocabulary] | type[WordVocabulary]] = {
    "characters": Vocabulary,
    "words": WordVocabulary,
}


SENTENCES = ("lines", "texts")


_SHOWN = 200  # characters of the samples that a verbose training writes


@dataclass(frozen=True)
class _Counts:
    """What "auto" means."""

    gradient_batch_size: int
    max_iter: int
    n_iter_no_change: int
    batch_growth: float
    validates_every: int


_SECOND_ORDER = _Counts(250, 100, 30, 0.0125, 1)


# An iteration costs a hundredth of one with curvature: to validate after each would take longer.
_FIRST_ORDER = _Counts(64, 5000, 1000, 0.0, 50)


@dataclass(frozen=True)
class _Material:
    """What is learned from, and what validates."""

    training: TextWindows
    held_out: Batch | None

    @property
    def digest(self) -> str:
        """A digest that tells these data from others."""
        windows = self.training
        parts: tuple[Any, ...] = ()
        if self.held_out is not None:
            parts = (self.held_out.inputs, self.held_out.targets, self.held_out.mask)
        return digest_of(windows.symbols, windows.n_steps, windows.n_scored, *parts)


class FittingMixin(WritingMixin):
    """Gives a language model its `fit`."""

    n_units: int
    tokens: str
    cell: str
    n_layers: int
    n_factors: int | None
    initialization: Initialization
    input_scale: float
    optimizer: str | Optimizer[Any]
    gradient_batch_size: Any
    curvature_batch_size: int
    batch_growth: Any
    max_iter: Any
    averaging: bool
    l2: float
    max_vocabulary: int | None
    min_count: Any
    validation_fraction: float
    tol: float
    n_iter_no_change: Any
    random_state: Any
    verbose: bool
    sample_every: int | None

    _is_validated: bool = False  # not in files from before there was validation

    def _fit(self, X: Any) -> None:
        """Read the text and learn it."""
        self._check_parameters()
        self.device_ = resolve_device(self.device)
        continues = self._continues()
        was_changed = continues and self._was_changed()
        ends = self.vocabulary_.end_of_text if continues else self.sentences is not None
        texts = read_texts(X, ends, self._of_several)
        streams = seed_sequence(self.random_state).spawn(3)
        seen = self._progress if continues and hasattr(self, "_progress") else None
        rng = (seen or Progress("", streams[_DATA])).held_out_rng()
        training, held_out = self._hold_out(self._pieces(texts) if ends else texts, ends, rng)
        if not continues:
            self.vocabulary_ = self._take_in(training, ends)
        elif type(self.vocabulary_) is not TOKENS[self.tokens]:
            raise ValueError(
                f"`warm_start` is True, but `tokens` is {self.tokens!r} and was another in the "
                "call before. Keep it, or set `warm_start` to False."
            )
        self._learn(self._material(training, held_out), streams, continues, was_changed)

    def _check_parameters(self) -> None:
        """Raise unless the parameters that nothing else checks are as described."""
        check_choice("tokens", self.tokens, TOKENS)
        if self.sentences is not None:
            check_choice("sentences", self.sentences, SENTENCES)
        check_choice("initialization", self.initialization, INITIALIZATIONS)
        check_choice("dtype", self.dtype, ("float32", "float64"))
        for name in ("sequence_length", "curvature_batch_size"):
            check_integer(name, getattr(self, name), minimum=1)
        check_integer(
            "n_scored",
            self.n_scored,
            minimum=1,
            maximum=self.sequence_length,
            remedy="Pass at most `sequence_length`.",
        )
        for name in ("sample_every", "max_vocabulary"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), minimum=1)
        check_real("tol", self.tol, minimum=0)
        check_real("validation_fraction", self.validation_fraction, minimum=0)
        if self.validation_fraction >= 1:
            raise ValueError(
                f"`validation_fraction` is {self.validation_fraction}, but a number of 0 or more "
                "and below 1 was expected. Pass for instance 0.05."
            )
        self._optimizer_and_counts()

    def _optimizer_and_counts(self) -> tuple[Optimizer[Any], _Counts]:
        """Return the optimizer, and the counts that the parameters say, or "auto" for it."""
        optimizer, _ = resolve_optimizer(self.optimizer)
        if isinstance(self.optimizer, str) and self.optimizer == "hessian-free":
            optimizer = _OPTIMIZER
        counts = _SECOND_ORDER if uses_curvature(optimizer) else _FIRST_ORDER
        given: dict[str, Any] = {}
        for name in ("gradient_batch_size", "max_iter", "n_iter_no_change"):
            if not _is_auto(getattr(self, name)):
                given[name] = check_integer(name, getattr(self, name), minimum=1)
        if not _is_auto(self.batch_growth):
            given["batch_growth"] = check_real("batch_growth", self.batch_growth, minimum=0)
        return optimizer, replace(counts, **given)

    # -- what is learned --------------------------------------------------------------------------

    def _hold_out(
        self, pieces: list[str], ends: bool, rng: np.random.Generator
    ) -> tuple[list[str], list[str]]:
        """Return what is learned from, and what validates.

        Of sentences some drawn at random validate; of a text without sentences its end does.
        """
        if self.validation_fraction == 0:
            return pieces, []
        if not ends:
            (text,) = pieces
            cut = round((1 - self.validation_fraction) * len(text))
            if self.tokens == "words":
                cut += len(re.split(r"\s", text[cut:], maxsplit=1)[0])
            training, held_out = [text[:cut]], [text[cut:]]
            n_held_out = len(TOKENS[self.tokens]("").encode(held_out[0])) - 1
        else:
            n_held_out = min(max(1, round(self.validation_fraction * len(pieces))), len(pieces) - 1)
            order = rng.permutation(len(pieces))
            training, held_out = (
                [pieces[place] for place in np.sort(part)]
                for part in (order[n_held_out:], order[:n_held_out])
            )
        if n_held_out < 1:
            raise ValueError(
                f"`validation_fraction` is {self.validation_fraction}, but `X` is too short to "
                "hold out any of it. Pass more, or 0."
            )
        return training, held_out

    def _take_in(self, pieces: Sequence[str], ends: bool) -> SymbolTable:
        """Return the vocabulary of the training text."""
        kind, min_count = TOKENS[self.tokens], self.min_count
        if _is_auto(min_count):
            min_count = 2 if self.tokens == "words" else 1
        vocabulary = kind.from_text(
            ("\n" if self.tokens == "words" else "").join(pieces),
            min_count=min_count,
            max_size=self.max_vocabulary,
            end_of_text=ends,
        )
        if len(vocabulary.stream(pieces)) < 2:
            raise ValueError(
                f"`X` has {len(vocabulary.stream(pieces))} {vocabulary.unit}(s), but at least 2 "
                "were expected: one to predict, and one to predict it from. Pass a longer text."
            )
        if not vocabulary.known:
            raise ValueError(
                f"`min_count` is {self.min_count!r}, but no {vocabulary.unit} of `X` comes so "
                "often. Lower it, or pass a longer text."
            )
        return vocabulary

    def _material(self, training: Sequence[str], held_out: Sequence[str]) -> _Material:
        """Return the windows of the training text, and the batch that validates."""
        vocabulary = self.vocabulary_
        windows = TextWindows(
            vocabulary.stream(training), self.sequence_length, self.n_scored, vocabulary.end_symbol
        )
        if not held_out:
            return _Material(windows, None)
        streams: list[Symbols] = [vocabulary.stream([piece]) for piece in held_out]
        batch = pieces_scored_once(streams, self.sequence_length, self.n_scored)
        return _Material(windows, batch)

    # -- learning ---------------------------------------------------------------------------------

    def _learn(
        self,
        material: _Material,
        streams: list[np.random.SeedSequence],
        continues: bool,
        was_changed: bool,
    ) -> None:
        """Train the net on windows of the text."""
        optimizer, counts = self._optimizer_and_counts()
        curvature_size = self.curvature_batch_size if uses_curvature(optimizer) else None
        windows, data = material.training, material.digest
        architecture = self._describe()
        max_rows = max(SLICE_ROWS, (curvature_size or 0) * self.sequence_length)
        network = architecture.build(max_rows, self.device_)
        progress = Progress(data, streams[_DATA])
        if continues:
            self._check_warm_start(architecture, optimizer)
            state, progress = self._run_to_go_on_with(
                optimizer,
                progress,
                was_changed=was_changed,
                is_validated=self.validation_fraction > 0,
            )
        else:
            params = self._first_params(network, windows, streams)
            state = start(optimizer, params, streams[_DATA])
        self._is_validated = material.held_out is not None
        symbol_counts = np.bincount(windows.symbols, minlength=self.vocabulary_.n_symbols)
        self._counts = symbol_counts.astype(float)
        self._architecture = architecture
        source = FreshBatches(
            windows.draw, counts.gradient_batch_size, curvature_size, counts.batch_growth
        )
        last = state.iteration + counts.max_iter
        # A run that was interrupted may have ended before its last iteration was averaged.
        progress = (
            progress.averaged(state.iteration, state.params)
            if self.averaging
            else replace(progress, average=None)
        )

        def report(state: TrainingState, progress: Progress, reason: TrainingStop | None) -> bool:
            if reason is None and state.iteration == last:
                reason = TrainingStop.N_ITERATIONS
            self._show(state, progress, bar)
            return self._call_back(state, progress, STOP_REASONS[reason])

        every = counts.validates_every
        stall = Stall(self.tol, max(1, counts.n_iter_no_change // every))
        with tqdm(total=last, initial=state.iteration, disable=not self.verbose) as bar:
            validation = Validation(
                network,
                material.held_out,
                stall if self._is_validated else None,
                report,
                state,
                progress,
                every=every,
                averages=bool(self.averaging),
            )
            state = train(
                network,
                optimizer,
                BeginningAt(source, progress.began),
                state,
                n_iterations=state.iteration if validation.stop_reason else last,
                callback=validation,
            )
        reason = STOP_REASONS[validation.stop_reason or state.stop_reason]
        self._adopt(state, validation.progress, reason)
        self._warn()

    def _first_params(
        self,
        network: SequenceNetwork,
        windows: TextWindows,
        streams: list[np.random.SeedSequence],
    ) -> Array:
        """Return the parameters that learning begins with."""
        some = windows.draw(_N_BIAS_WINDOWS, np.random.default_rng(streams[_BIAS]))
        return INITIALIZATIONS[self.initialization](
            network,
            input_scale=self.input_scale,
            output_bias=mean_target_bias(network, some),
            random_state=streams[_PARAMS],
            dtype=self.dtype,
        )

    def _adopt(self, state: TrainingState, progress: Progress, reason: str) -> None:
        """Take over what training has come to, the curve of this fit among it."""
        super()._adopt(state, progress, reason)
        self.__dict__.pop("validation_curve_", None)
        if self._is_validated:
            self.validation_curve_ = progress.validation_curve.copy()

    def _describe(self) -> Architecture:
        """Return what the parameters and the vocabulary say about the net."""
        return Architecture(
            cell=self.cell,
            n_inputs=self.vocabulary_.n_symbols,
            n_units=self.n_units,
            n_factors=self.n_factors,
            gain="auto",
            activation="tanh",
            has_symbols=True,
            learned_initial_state=True,
            n_outputs=self.vocabulary_.n_symbols,
            loss="softmax",
            l2=self.l2,
            n_layers=self.n_layers,
        )

    def _show(self, state: TrainingState, progress: Progress, bar: Any) -> None:
        """Say how it goes."""
        if not self.verbose:
            return
        bits = state.history.last["loss"] / math.log(2)
        bar.set_postfix({f"bits_per_{self.vocabulary_.unit}": f"{bits:.3f}"}, refresh=False)
        bar.update()
        if self.sample_every and state.iteration % self.sample_every == 0:
            self._adopt(state, progress, STOP_REASONS[None])
            text = self.sample(_SHOWN, seed=state.iteration)
            bar.write(f"\n-- iteration {state.iteration}\n{text}\n", file=sys.stderr)


def _is_auto(value: Any) -> bool:
    """Return whether a parameter is left to the model."""
    return isinstance(value, str) and value == "auto"
