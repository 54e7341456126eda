"""A fitted reservoir as one header of C99: weights, a step, a forecast."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from reservoir.dynamics._reservoir import Reservoir
from reservoir.readout._features import Readout
from reservoir.utils.types import Array, Integers

# C's words that a name must not be; those of C++ too, since a header may be read by either.
_KEYWORDS = """
    auto bool break case catch char class const continue default delete do double else enum extern
    float for friend goto if inline int long namespace new operator private protected public
    register restrict return short signed sizeof static struct switch template this throw try
    typedef union unsigned using virtual void volatile while
"""
_NUMBERS_A_LINE = 6

_ACTIVATIONS = {
    "tanh": "tanh{s}(z)",
    "logistic": "1 / (1 + exp{s}(-z))",
    "relu": "z > 0 ? z : 0",
    "identity": "z",
}


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """What an export writes down.

    Attributes
    ----------
    reservoir : Reservoir
        Weights and recurrence, with an activation that has a name.
    readout : Readout
        The fitted map.
    state, output : ndarray
        Where training, or the last `advance` or `step`, ended.
    is_ahead : bool
        Whether `output` is the model's own, for a step that was not observed.
    sources : ndarray of int of shape (n_inputs,) or None
        The output that takes the place of each input in a forecast, -1 for none; None where
        outputs cannot be inputs.
    bounds : ndarray of shape (2, n_outputs)
        What a forecast may take.
    """

    reservoir: Reservoir
    readout: Readout
    state: Array
    output: Array
    is_ahead: bool
    sources: Integers | None
    bounds: Array


def check_name(name: Any) -> str:
    """Return a name that C takes; raise ValueError for others."""
    if (
        not isinstance(name, str)
        or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
        or name in _KEYWORDS.split()
    ):
        raise ValueError(
            f"`name` is {name!r}, but letters, digits and underscores, a letter first, and no word "
            "of C were expected. All names in the header begin with it."
        )
    return name


def c_header(model: ExportedModel, name: str, dtype: str) -> str:
    """Return the text of the header.

    Parameters
    ----------
    model : ExportedModel
        What is written down.
    name : str
        What every name in it begins with.
    dtype : {"float64", "float32"}
        Of weights and arithmetic.
    """
    parts = _Parts(np.dtype(dtype), name)
    arrays = [*_reservoir_arrays(model, parts), *_readout_arrays(model, parts)]
    functions = [_UPDATE, _OUTPUTS, _STEP]
    if model.sources is not None:
        arrays += _forecast_arrays(model, parts)
        functions.append(_FORECAST)
    text = "\n".join([_HEAD, *arrays, _STATE, *functions, _TAIL])
    return _filled(text, _words(model, name, np.dtype(dtype)))


class _Parts:
    """Arrays as definitions of C."""

    def __init__(self, dtype: np.dtype[Any], name: str) -> None:
        self._dtype, self._name = dtype, name

    def reals(self, name: str, values: Any) -> str:
        """Return an array of numbers, written so that they are read back to the bit."""
        values = np.asarray(values).astype(self._dtype).ravel()
        end = "f" if self._dtype == np.float32 else ""
        digits = (np.format_float_scientific(value, trim="-") + end for value in values)
        return self._array(f"{self._name}_real", name, digits, values.size)

    def integers(self, name: str, values: Integers) -> str:
        """Return an array of integers of 0 or more, or -1."""
        kind = "short" if values.max(initial=0) < 2**15 else "long"
        return self._array(kind, name, (str(value) for value in values.ravel()), values.size)

    def _array(self, kind: str, name: str, numbers: Iterable[str], size: int) -> str:
        listed: Sequence[str] = list(numbers) or ["0"]  # C has no empty arrays
        lines = (
            "    " + ", ".join(listed[first : first + _NUMBERS_A_LINE])
            for first in range(0, len(listed), _NUMBERS_A_LINE)
        )
        head = f"static const {kind} {self._name}_{name}[{max(size, 1)}] = {{"
        return "\n".join([head, ",\n".join(lines), "};"])


def _reservoir_arrays(model: ExportedModel, parts: _Parts) -> list[str]:
    reservoir = model.reservoir
    recurrent = csr_array(reservoir.recurrent)
    found = [
        parts.integers("row_start", recurrent.indptr),
        parts.integers("column", recurrent.indices),
        parts.reals("weight", recurrent.data),
        parts.reals("input_weight", reservoir.input),
        parts.reals("bias", reservoir.bias),
    ]
    if reservoir.feedback is not None:
        found.append(parts.reals("feedback_weight", reservoir.feedback))
    if np.ndim(reservoir.leak_rate):
        found.append(parts.reals("leak_rate", reservoir.leak_rate))
    return found


def _readout_arrays(model: ExportedModel, parts: _Parts) -> list[str]:
    readout = model.readout
    seen = {"state": readout.state, "square": readout.squares, "seen_input": readout.input}
    return [
        parts.reals("intercept", readout.intercept),
        *(parts.reals(f"{name}_coef", part) for name, part in seen.items() if part is not None),
        parts.reals("last_state", model.state),
        parts.reals("last_output", model.output),
    ]


def _forecast_arrays(model: ExportedModel, parts: _Parts) -> list[str]:
    assert model.sources is not None
    return [
        parts.integers("source", model.sources),
        parts.reals("least", model.bounds[0]),
        parts.reals("most", model.bounds[1]),
    ]


def _words(model: ExportedModel, name: str, dtype: np.dtype[Any]) -> dict[str, str]:
    """Return what stands for the marks in the text."""
    reservoir, readout = model.reservoir, model.readout
    suffix = "f" if dtype == np.float32 else ""
    leak = reservoir.leak_rate
    if np.ndim(leak):
        scale = f"{name}_leak_rate[i]"
    else:
        scale = np.format_float_scientific(dtype.type(leak), trim="-") + suffix
    mixed = f"(1 - {scale}) * s->x[i] + {scale} * {name}_activation(s->z[i])"
    is_plain = not np.ndim(leak) and leak == 1
    known = 0 if model.sources is None else int((model.sources < 0).sum())
    return {
        "name": name,
        "guard": f"{name.upper()}_H",
        "real": "float" if dtype == np.float32 else "double",
        "s": suffix,
        "n_units": str(reservoir.n_units),
        "n_inputs": str(reservoir.n_inputs),
        "n_outputs": str(len(readout.intercept)),
        "n_known": str(known),
        "is_ahead": str(int(model.is_ahead)),
        "activation": _ACTIVATIONS[str(reservoir.activation)].format(s=suffix),
        "fed_back": "" if reservoir.feedback is None else _FED_BACK,
        "new_state": f"{name}_activation(s->z[i])" if is_plain else mixed,
        "squares": "" if readout.squares is None else _SQUARES,
        "inputs": "    (void) u;\n" if readout.input is None else "",
        "seen_inputs": "" if readout.input is None else _SEEN_INPUTS,
        "about_forecast": "" if model.sources is None else _ABOUT_FORECAST,
        "no_future": "    (void) future;\n" if known == 0 else "",
    }


def _filled(text: str, words: dict[str, str]) -> str:
    """Put words in the place of their marks; some hold marks themselves."""
    for _ in range(2):
        text = re.sub(r"@(\w+)@", lambda mark: words[mark.group(1)], text)
    return text


_HEAD = """/* An echo state network: weights, a step, a forecast. C99 or C++; needs <math.h> alone.

   @name@_state s;
   @name@_reset(&s);              the zero state, as `predict` starts
   @name@_resume(&s);             or where training ended
   @name@_step(&s, u, y);         takes u[@n_inputs@], writes y[@n_outputs@]
   @name@_observe(&s, y);         what was measured at that step, in place of the model's own output
@about_forecast@
   Inputs must be finite. */
#ifndef @guard@
#define @guard@

#include <math.h>

typedef @real@ @name@_real;

enum {
    @name@_n_units = @n_units@,
    @name@_n_inputs = @n_inputs@,
    @name@_n_outputs = @n_outputs@,
    @name@_n_known = @n_known@ /* inputs that are no output: known ahead in a forecast */
};
"""

_ABOUT_FORECAST = """\
   @name@_forecast(&s, n, f, y);  goes on by itself for n steps, with inputs f that are known ahead
"""

_STATE = """
/* x: state of the units; y: output of the last step, which is fed back or forecast from;
   z: a place to work; is_ahead: whether y is the model's own, for a step that was not observed. */
typedef struct {
    @name@_real x[@n_units@];
    @name@_real y[@n_outputs@];
    @name@_real z[@n_units@];
    int is_ahead;
} @name@_state;

/* The zero state, and an output of zero. */
static inline void @name@_reset(@name@_state *s)
{
    long i;
    for (i = 0; i < @n_units@; i++) s->x[i] = 0;
    for (i = 0; i < @n_outputs@; i++) s->y[i] = 0;
    s->is_ahead = 0;
}

/* Where training ended. */
static inline void @name@_resume(@name@_state *s)
{
    long i;
    for (i = 0; i < @n_units@; i++) s->x[i] = @name@_last_state[i];
    for (i = 0; i < @n_outputs@; i++) s->y[i] = @name@_last_output[i];
    s->is_ahead = @is_ahead@;
}
"""

_UPDATE = """
static inline @name@_real @name@_activation(@name@_real z)
{
    return @activation@;
}

/* x[t] = (1 - a) x[t-1] + a f(W x[t-1] + W_in u[t] + W_fb y[t-1] + b) */
static inline void @name@_update(@name@_state *s, const @name@_real *u)
{
    long i, j;
    for (i = 0; i < @n_units@; i++) {
        @name@_real z = @name@_bias[i];
        for (j = 0; j < @n_inputs@; j++) z += @name@_input_weight[i * @n_inputs@ + j] * u[j];
        for (j = @name@_row_start[i]; j < @name@_row_start[i + 1]; j++)
            z += @name@_weight[j] * s->x[@name@_column[j]];
@fed_back@        s->z[i] = z;
    }
    for (i = 0; i < @n_units@; i++) s->x[i] = @new_state@;
}
"""

_FED_BACK = """        for (j = 0; j < @n_outputs@; j++)
            z += @name@_feedback_weight[i * @n_outputs@ + j] * s->y[j];
"""

_OUTPUTS = """
/* y[t] = V_u u[t] + V_x x[t] + V_q x[t]^2 + c */
static inline void @name@_outputs(@name@_state *s, const @name@_real *u)
{
    long i, j;
@inputs@    for (i = 0; i < @n_outputs@; i++) {
        @name@_real y = @name@_intercept[i];
        for (j = 0; j < @n_units@; j++) y += @name@_state_coef[i * @n_units@ + j] * s->x[j];
@squares@@seen_inputs@        s->y[i] = y;
    }
}
"""

_SQUARES = """        for (j = 0; j < @n_units@; j++)
            y += @name@_square_coef[i * @n_units@ + j] * s->x[j] * s->x[j];
"""

_SEEN_INPUTS = """        for (j = 0; j < @n_inputs@; j++)
            y += @name@_seen_input_coef[i * @n_inputs@ + j] * u[j];
"""

_STEP = """
/* Takes the inputs of one step, u[@n_inputs@], and writes its outputs, y[@n_outputs@]. */
static inline void @name@_step(@name@_state *s, const @name@_real *u, @name@_real *y)
{
    long i;
    @name@_update(s, u);
    @name@_outputs(s, u);
    for (i = 0; i < @n_outputs@; i++) y[i] = s->y[i];
    s->is_ahead = 1;
}

/* Says what was measured at the last step: it is fed back, and a forecast begins after it. */
static inline void @name@_observe(@name@_state *s, const @name@_real *y)
{
    long i;
    for (i = 0; i < @n_outputs@; i++) s->y[i] = y[i];
    s->is_ahead = 0;
}
"""

_FORECAST = """
/* Writes outputs of n_steps steps, y[n_steps][@n_outputs@], each output being an input of the next
   step. future[..][@n_known@] holds the inputs that are no output, a row for each step computed:
   n_steps, or one less where the output of the last step was not observed and comes first. It may
   be NULL where there are none. Returns the number of steps that stayed within bounds: n_steps, or
   fewer, and then the next row of y holds the output that did not. */
static inline long @name@_forecast(
    @name@_state *s, long n_steps, const @name@_real *future, @name@_real *y)
{
    long t;
    long i;
    @name@_real u[@n_inputs@];
@no_future@    for (t = 0; t < n_steps; t++) {
        if (!(t == 0 && s->is_ahead)) {
            for (i = 0; i < @n_inputs@; i++) {
                if (@name@_source[i] >= 0) u[i] = s->y[@name@_source[i]];
                else u[i] = *future++;
            }
            @name@_update(s, u);
            @name@_outputs(s, u);
        }
        for (i = 0; i < @n_outputs@; i++) y[t * @n_outputs@ + i] = s->y[i];
        for (i = 0; i < @n_outputs@; i++)
            if (!(s->y[i] >= @name@_least[i] && s->y[i] <= @name@_most[i])) return t;
    }
    s->is_ahead = 0;
    return n_steps;
}
"""

_TAIL = """
#endif
"""
