"""Displays of the results of a search over hyperparameters."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.explained import explained
from reservoir.utils.validation import check_choice

# Values whose largest is more than so many times the smallest may want a logarithmic axis.
_LOG_RATIO = 20.0


# More values than that are not labelled one by one on a parallel axis.
_MOST_LABELS = 8


# Of more columns of a map the labels are written upright, so that they do not run together.
_MOST_FLAT = 5


@explained
class SearchDisplay:
    """Scores over the hyperparameters that a search varied.

    One parameter is drawn as a curve, two as a map, more as one line a candidate across parallel
    axes. Of candidates that differ only in parameters that are not shown, the best counts.

    Parameters
    ----------
    params : list of dict
        The parameters of each candidate.
    scores : ndarray of shape (n_candidates,)
        Its mean score; greater is better.
    deviations : ndarray of shape (n_candidates,)
        The standard deviation over the folds.
    names : sequence of str
        Which parameters to show.
    score_name : str, default="score"
        For the labels.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        Its figure.

    See Also
    --------
    reservoir.search.ReservoirSearchCV : The search.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import numpy as np
    >>> params = [{"leak_rate": 0.5}, {"leak_rate": 1.0}]
    >>> display = SearchDisplay(params, np.array([0.8, 0.9]), np.array([0.1, 0.1]), ["leak_rate"])
    >>> display.plot().ax_.get_xlabel()
    'leak_rate'
    """

    def __init__(
        self,
        params: Sequence[Mapping[str, Any]],
        scores: NDArray[np.floating],
        deviations: NDArray[np.floating],
        names: Sequence[str],
        score_name: str = "score",
    ) -> None:
        self.params = list(params)
        self.scores = np.asarray(scores, dtype=np.float64)
        self.deviations = np.asarray(deviations, dtype=np.float64)
        self.names = list(names)
        self.score_name = score_name

    @classmethod
    def from_search(
        cls, search: Any, params: str | Sequence[str] | None = None, *, ax: Any = None
    ) -> Self:
        """Draw the results of a fitted search; with halving, those of the last round.

        Parameters
        ----------
        search : ReservoirSearchCV
            Or any fitted search of scikit-learn.
        params : str or sequence of str, optional
            Which parameters to show; all that vary if left out.
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure if left out.

        Returns
        -------
        SearchDisplay

        Raises
        ------
        ValueError
            If a parameter was not searched, or none varies.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> import numpy as np
        >>> from reservoir import ESNRegressor
        >>> from reservoir.search import ReservoirSearchCV
        >>> u = np.random.default_rng(0).uniform(-1, 1, (200, 1))
        >>> space = {"leak_rate": [0.5, 1.0], "alpha": [1e-4, 1e-2, 1.0]}
        >>> search = ReservoirSearchCV(ESNRegressor(20, random_state=0), space, cv=2)
        >>> search = search.fit(u, np.roll(u, 1))
        >>> SearchDisplay.from_search(search).names
        ['alpha', 'leak_rate']
        """
        results = search.cv_results_
        rounds = results.get("iter", np.zeros(len(results["params"])))
        shown = np.flatnonzero(rounds == rounds.max())
        candidates = [results["params"][row] for row in shown]
        searched = sorted({name for one in candidates for name in one})
        if params is None:
            names = [name for name in searched if len(_values(candidates, name)) > 1]
        else:
            names = [params] if isinstance(params, str) else list(params)
        for name in names:
            check_choice("params", name, searched)
        if not names:
            raise ValueError(
                "No parameter takes more than one value in this search, so there is nothing to "
                "show. Search over several values."
            )
        score_name = search.scoring if isinstance(search.scoring, str) else "score"
        display = cls(
            candidates,
            results["mean_test_score"][shown],
            results["std_test_score"][shown],
            names,
            score_name,
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where; a new figure if left out.

        Returns
        -------
        SearchDisplay
            Itself.
        """
        import matplotlib.pyplot as plt

        if ax is None:
            width = 5.0 if len(self.names) < 3 else 1.5 + 1.6 * len(self.names)
            _, ax = plt.subplots(figsize=(width, 3.6), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        draw = {1: self._curve, 2: self._map}.get(len(self.names), self._parallel)
        draw(ax)
        return self

    def _best_by(self, keys: Sequence[Any]) -> dict[Any, int]:
        """Return the best candidate for each key; those without a finite score are left out."""
        best: dict[Any, int] = {}
        for index, key in enumerate(keys):
            if np.isfinite(self.scores[index]) and (
                key not in best or self.scores[index] > self.scores[best[key]]
            ):
                best[key] = index
        return best

    def _places(self, name: str) -> NDArray[np.intp]:
        """Return which of its values each candidate has, -1 for none."""
        values = [_key(value) for value in _values(self.params, name)]
        return np.array(
            [values.index(_key(one[name])) if name in one else -1 for one in self.params]
        )

    def _others_vary(self) -> bool:
        """Tell whether candidates differ in parameters that are not shown."""
        others = {name for one in self.params for name in one} - set(self.names)
        return any(len(_values(self.params, name)) > 1 for name in others)

    def _curve(self, ax: Any) -> None:
        name = self.names[0]
        values, places = _values(self.params, name), self._places(name)
        best = self._best_by(places.tolist())
        chosen = np.array([best[place] for place in sorted(best) if place >= 0])
        marks = _scale_axis(ax.xaxis, name, values)
        x = marks[places[chosen]]
        y, spread = self.scores[chosen], self.deviations[chosen]
        if len(values) > 0.5 * len(self.params) and self._others_vary():
            # Drawn from distributions: neighbours differ in everything else, a line says nothing.
            ax.plot(x, y, "o", alpha=0.7, label="mean of folds")
        elif _are_numbers(values):
            ax.fill_between(
                x, y - spread, y + spread, alpha=0.2, linewidth=0, label="± 1 s.d. of folds"
            )
            ax.plot(x, y, "o-", label="mean of folds")
        else:
            ax.errorbar(x, y, spread, fmt="o", capsize=4, label="mean ± 1 s.d. of folds")
            ax.margins(x=0.3)
        top = int(np.argmax(y))
        ax.plot(
            x[top],
            y[top],
            "*",
            markersize=14,
            color="C3",
            label=f"best: {_text(values[places[chosen[top]]])}",
        )
        ax.set_ylabel(self.score_name)
        ax.legend()

    def _map(self, ax: Any) -> None:
        x_name, y_name = self.names
        columns, rows = self._places(x_name), self._places(y_name)
        x_values, y_values = _values(self.params, x_name), _values(self.params, y_name)
        grid = np.full((len(y_values), len(x_values)), np.nan)
        best = self._best_by(list(zip(rows.tolist(), columns.tolist())))
        best = {key: index for key, index in best.items() if min(key) >= 0}
        winner = max(best, key=lambda key: self.scores[best[key]])
        if len(best) > 0.5 * grid.size:
            for key, index in best.items():
                grid[key] = self.scores[index]
            image = ax.imshow(grid, origin="lower", aspect="auto", vmin=_floor(self.scores))
            for axis, name, values in ((ax.xaxis, x_name, x_values), (ax.yaxis, y_name, y_values)):
                axis.set_ticks(np.arange(len(values)), [_text(value) for value in values])
                axis.set_label_text(name)
            if len(x_values) > _MOST_FLAT:
                ax.tick_params(axis="x", labelrotation=90)
            ax.plot(winner[1], winner[0], "*", markersize=14, color="C3")
        else:
            # Drawn from distributions: no grid, but points.
            x_marks = _scale_axis(ax.xaxis, x_name, x_values)
            y_marks = _scale_axis(ax.yaxis, y_name, y_values)
            order = sorted(best, key=lambda key: self.scores[best[key]])
            image = ax.scatter(
                x_marks[[key[1] for key in order]],
                y_marks[[key[0] for key in order]],
                c=[self.scores[best[key]] for key in order],
                vmin=_floor(self.scores),
            )
            ax.plot(x_marks[winner[1]], y_marks[winner[0]], "*", markersize=14, color="C3")
        ax.figure.colorbar(image, ax=ax, label=self.score_name)

    def _parallel(self, ax: Any) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize
        from matplotlib.ticker import MaxNLocator

        heights = []
        for position, name in enumerate(self.names):
            values, places = _values(self.params, name), self._places(name)
            marks, labels = _marks(values), [_text(value) for value in values]
            low, span = marks.min(), np.ptp(marks)
            heights.append(np.where(places >= 0, _height(marks, low, span)[places], np.nan))
            if len(values) > _MOST_LABELS and _are_numbers(values):
                steps = MaxNLocator(5, integer=_is_logarithmic(values))
                marks = np.asarray(steps.tick_values(low, low + span))
                marks = marks[(marks >= low) & (marks <= low + span)]
                labels = [_text(10**mark if _is_logarithmic(values) else mark) for mark in marks]
            ax.axvline(position, color="0.8", linewidth=1, zorder=0)
            for height, label in zip(_height(marks, low, span), labels):
                ax.annotate(
                    label,
                    (position, height),
                    xytext=(4, 0),
                    textcoords="offset points",
                    fontsize=8,
                    va="center",
                    zorder=3,
                    bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
                )
        lines = np.array(heights).T
        finite = np.flatnonzero(np.isfinite(self.scores))
        order = finite[np.argsort(self.scores[finite], kind="stable")]
        colors = ScalarMappable(Normalize(_floor(self.scores), self.scores[order].max()))
        for index in order:
            ax.plot(lines[index], color=colors.to_rgba(self.scores[index]), linewidth=1, alpha=0.7)
        ax.plot(lines[order[-1]], "*-", color="C3", linewidth=2, markersize=12, label="best")
        ax.set_xticks(range(len(self.names)), self.names)
        ax.set_yticks([])
        ax.set_xlim(-0.2, len(self.names) - 0.5)
        ax.spines[:].set_visible(False)
        ax.legend(loc="upper left", bbox_to_anchor=(0, 1.12), frameon=False)
        ax.figure.colorbar(colors, ax=ax, label=self.score_name)


def _key(value: Any) -> Any:
    """Return something that can be compared: arrays and callables by identity."""
    return value if isinstance(value, numbers.Real | str | type(None)) else id(value)


def _values(params: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """Return the distinct values of a parameter: numbers in order, others as they come."""
    distinct = {_key(one[name]): one[name] for one in params if name in one}
    values = list(distinct.values())
    return sorted(values) if _are_numbers(values) else values


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(
        isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    )


def _is_logarithmic(values: Sequence[Any]) -> bool:
    """Tell whether numbers span much and lie more evenly on a logarithmic axis."""
    if not _are_numbers(values) or min(values) <= 0 or max(values) / min(values) <= _LOG_RATIO:
        return False

    def lopsidedness(marks: NDArray[np.float64]) -> float:
        low, middle, high = np.quantile(marks, [0.0, 0.5, 1.0])
        return float(abs((middle - low) / (high - low) - 0.5))

    marks = np.array(values, dtype=np.float64)
    return lopsidedness(np.log(marks)) <= lopsidedness(marks)


def _marks(values: Sequence[Any]) -> NDArray[np.float64]:
    """Return where values stand on an axis: as numbers, as logarithms, or one after another."""
    if not _are_numbers(values):
        return np.arange(len(values), dtype=np.float64)
    marks = np.array(values, dtype=np.float64)
    return np.log10(marks) if _is_logarithmic(values) else marks


def _height(marks: NDArray[np.float64], low: float, span: float) -> NDArray[np.float64]:
    """Return where marks stand between 0 and 1; half-way up if there is one value only."""
    return (marks - low) / span if span else np.full_like(marks, 0.5)


def _scale_axis(axis: Any, name: str, values: Sequence[Any]) -> NDArray[np.float64]:
    """Label an axis for a parameter; return where its values stand."""
    axis.set_label_text(name)
    if not _are_numbers(values):
        axis.set_ticks(np.arange(len(values)), [_text(value) for value in values])
        return np.arange(len(values), dtype=np.float64)
    if _is_logarithmic(values):
        getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    return np.array(values, dtype=np.float64)


def _floor(scores: NDArray[np.float64]) -> float:
    """Return where colours begin, so that a few hopeless candidates do not take them all."""
    finite = scores[np.isfinite(scores)]
    low, middle, high = np.quantile(finite, [0.0, 0.5, 1.0])
    return float(max(low, high - 3 * (high - middle)))


def _text(value: Any) -> str:
    if value is None or isinstance(value, str | bool):
        return str(value)
    if isinstance(value, numbers.Real):
        return f"{float(value):.3g}"
    return str(getattr(value, "__name__", type(value).__name__))
