"""A language model of one running text of characters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from hessianfree.language._model import LanguageModel
from hessianfree.language._scoring import Mode
from hessianfree.network._initialization import Initialization
from hessianfree.optimize._protocols import Optimizer
from reservoir.utils.types import Array


class CharacterLanguageModel(LanguageModel):
    """`LanguageModel` of the characters of a running text, or of whole texts.

    It is `LanguageModel` with `tokens="characters"` and `sentences=None`, or, with `end_of_text`,
    `sentences="texts"`; one layer, all characters known that come `min_count` times, and nothing
    held out.

    Read more in the guide: :doc:`/guide/characters`.

    Parameters
    ----------
    n_units : int, default=200
        Units of the recurrent layer.
    cell, n_factors, initialization, input_scale
        The net, and the weights to begin with; as of `LanguageModel`, as are all but one of those
        that follow.
    optimizer, sequence_length, n_scored, gradient_batch_size, curvature_batch_size, batch_growth
        How it learns.
    max_iter, averaging, l2, min_count
        How long, what is kept, and the penalty of weights; characters that come less often than
        `min_count`, by default 1, are unknown.
    end_of_text : bool, default=False
        Whether a text has a start and an end that count: a symbol of its own stands before the
        first character and after the last one, is learned like a character, and ends samples.
        Several texts can only be learned that way.
    warm_start, dtype, random_state, verbose, sample_every, callback, device
        As of `LanguageModel`.

    See Also
    --------
    LanguageModel : Characters or words, sentences, validation, layers.

    Notes
    -----
    A text is a str, or a `pathlib.Path` of a UTF-8 file; with `end_of_text` also a list of these.
    Fitted attributes are those of `LanguageModel`.

    Examples
    --------
    >>> from hessianfree import CharacterLanguageModel
    >>> model = CharacterLanguageModel(
    ...     n_units=20, sequence_length=20, n_scored=15, gradient_batch_size=50,
    ...     curvature_batch_size=20, max_iter=25, random_state=0)
    >>> model = model.fit("she sells sea shells. " * 20)
    >>> model.complete("she se", 16)
    'lls sea shells. '
    >>> bool(model.bits_per_character("she sells sea shells. " * 20) < 0.1)
    True
    """

    # What is a choice of `LanguageModel`.
    tokens: Literal["characters", "words"] = "characters"
    n_layers = 1
    max_vocabulary = None
    validation_fraction = 0.0
    tol = 1e-4
    n_iter_no_change: int | Literal["auto"] = "auto"
    _of_several = "`end_of_text` is False", "`end_of_text` to True"

    def __init__(
        self,
        n_units: int = 200,
        *,
        cell: Literal[
            "multiplicative", "vanilla", "tensor", "lstm", "gru", "mut1", "mut2", "mut3"
        ] = "multiplicative",
        n_factors: int | None = None,
        initialization: Initialization = "sparse",
        input_scale: float = 0.5,
        optimizer: str | Optimizer[Any] = "hessian-free",
        sequence_length: int = 100,
        n_scored: int = 90,
        gradient_batch_size: int | Literal["auto"] = "auto",
        curvature_batch_size: int = 50,
        batch_growth: float | Literal["auto"] = "auto",
        max_iter: int | Literal["auto"] = "auto",
        averaging: bool = True,
        l2: float = 0.0,
        min_count: int = 1,
        end_of_text: bool = False,
        warm_start: bool = False,
        dtype: Literal["float32", "float64"] = "float32",
        random_state: Any = None,
        verbose: bool = False,
        sample_every: int | None = None,
        callback: Callable[[Any], Any] | None = None,
        device: Literal["cpu", "cuda", "auto"] = "cpu",
    ) -> None:
        self.n_units = n_units
        self.cell = cell
        self.n_factors = n_factors
        self.initialization = initialization
        self.input_scale = input_scale
        self.optimizer = optimizer
        self.sequence_length = sequence_length
        self.n_scored = n_scored
        self.gradient_batch_size = gradient_batch_size
        self.curvature_batch_size = curvature_batch_size
        self.batch_growth = batch_growth
        self.max_iter = max_iter
        self.averaging = averaging
        self.l2 = l2
        self.min_count = min_count
        self.end_of_text = end_of_text
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose
        self.sample_every = sample_every
        self.callback = callback
        self.device = device

    @property
    def sentences(self) -> Literal["lines", "texts"] | None:  # type: ignore[override]
        """What has a start and an end; as of `LanguageModel`."""
        return "texts" if self.end_of_text else None

    def character_bits(self, X: Any, *, mode: Mode = "stream") -> Array:
        """Return what each character of a text costs; as `token_bits`, of which it is a name.

        Parameters
        ----------
        X : str or path-like
            One text.
        mode : {"stream", "windows"}, default="stream"
            As in `token_bits`.

        Returns
        -------
        ndarray of shape (n - 1,), or (n + 1,) with `end_of_text`
            In bits: of all characters but the first, or of all and the end of the text.
        """
        return self.token_bits(X, mode=mode)
