"""The search over hyperparameters as a scikit-learn estimator."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgWarning
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from reservoir.estimators._esn import ESNRegressor
from reservoir.estimators._layered import LayeredESNRegressor
from reservoir.estimators._one_step import input_sources
from reservoir.search._batches import batches
from reservoir.search._candidates import Parameters, describe, expand, group
from reservoir.search._departures import count_departures
from reservoir.search._evaluate import evaluate
from reservoir.search._halving import least_steps, least_units, schedule
from reservoir.search._jobs import SearchJob, draw
from reservoir.search._scoring import Scoring, check_closed_loop, check_range
from reservoir.sequences._layout import Layout
from reservoir.sequences._names import column_names
from reservoir.sequences._reading import SequenceReader
from reservoir.utils.device import is_on_device, to_host
from reservoir.utils.explained import explained
from reservoir.utils.seeds import seed_sequence
from reservoir.utils.threads import with_few_threads
from reservoir.utils.transactions import transaction
from reservoir.utils.types import Floats
from reservoir.utils.validation import check_choice, check_integer, warn_caller


class ReservoirSearchCV(MetaEstimatorMixin, BaseEstimator):
    """Search over the hyperparameters of an echo state network, many candidates at a time.

    Each candidate is scored on blocks of rows that its readout did not learn from, as by one fit
    for each block, but

    - candidates that share W (they differ in spectral radius, leak rate or the scales of input,
      bias and feedback) are columns of one recurrence;
    - the states of a candidate are run through once: what a fold learns from is the sums over
      all rows less those over the block and the gaps beside it;
    - candidates that differ in alpha only share states, sums, and, if many, one decomposition.

    Scores are those of one fit after the other, to rounding [1]_.

    Read more in the guide: :doc:`/guide/searching`.

    Parameters
    ----------
    estimator : ESNRegressor
        What candidates have in common. With its `device` "cuda" they are tried on a GPU, many
        hundred at a time; free runs, for scores in closed loop, stay on the host.
    param_space : dict or list of dict
        From names of parameters to lists of values, or, with `n_iter`, to lists or
        distributions with a method ``rvs`` (as of `scipy.stats`). Seeds are values of
        `random_state`.
    n_iter : int or None, default=None
        How many candidates to draw; None tries all combinations of the lists.
    halving : {"n_units", "n_steps"} or None, default=None
        Successive halving [2]_: all candidates are tried with a small reservoir, or on the first
        steps only, the best of them with one `factor` times as large, and so on up to the whole.
    factor : int, default=3
        One in `factor` candidates survives a round of halving.
    min_resources : int or None, default=None
        Least units or steps of a round; None lets as many rounds be as leave one candidate, and
        as have units for the connections, or steps for washout, gap and free runs in each block.
    scoring : str, default="r2"
        One step ahead: "r2", "neg_mean_squared_error" or "neg_nrmse". In closed loop, of free
        runs on the model's own output that start in the held-out blocks: "valid_time" (steps
        until the error passes `threshold`) or "neg_forecast_nrmse" (over `horizon` steps, in
        standard deviations of the whole target).
    horizon : int, default=100
        Steps of a free run.
    n_starts : int or None, default=None
        Free runs per fold, from starts spread evenly over its held-out rows; None for as many as
        there is room for when each overlaps the next by half.
    threshold : float, default=0.4
        See `valid_prediction_time`.
    cv : int or float, default=5
        An integer: as many contiguous blocks of rows, each held out once; several sequences stay
        whole where there are enough of them. A float in (0, 1): the last share of the rows, held
        out once, with the past alone to learn from.
    gap : int, default=0
        Steps before and after a held-out block that are not learned from: as many as neighbours
        share what they remember.
    refit : bool, default=True
        Whether the best candidate is then fitted on all data.
    n_jobs : int or None, default=None
        Workers among which batches of candidates are spread, as in joblib, whose
        `parallel_config` names other backends such as dask. Scores do not depend on it.
    verbose : bool, default=False
        Whether to show a progress bar.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Seed of the draws from distributions.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        As of `sklearn.model_selection.GridSearchCV`, without times, which candidates share:
        "params", "param_<name>", "split<i>_test_score", "mean_test_score", "std_test_score",
        "rank_test_score"; with `halving` also "iter" and "n_resources", and in closed loop
        "n_diverged": free runs that left the range of the targets by more than `output_limit`.
    best_index_ : int
        Row of the best candidate, with `halving` among the last round: the one with the best mean
        score among those whose free runs all stayed, or, if there are none, among all.
    best_params_ : dict
        Its parameters.
    best_score_ : float
        Its mean score.
    best_estimator_ : ESNRegressor
        It, fitted on all data; only with `refit`.
    n_splits_ : int
        Number of folds.
    search_time_, refit_time_ : float
        Seconds.
    n_features_in_ : int
        Number of input features.

    See Also
    --------
    reservoir.plotting.SearchDisplay : Views of `cv_results_`.

    Notes
    -----
    Where `estimator.random_state` is None or a generator, one seed is drawn for all candidates
    and `best_estimator_`: they are compared on, and chosen for, the same random weights. Where a
    candidate's is, a seed is drawn for it, and stands in `params`.

    With feedback weights, one-step scores are those of teacher forcing: the true target is fed
    back in the held-out blocks too. How a network does on its own output is what the scores in
    closed loop tell; the inputs go on there.

    A search is for one series or many that fit into memory; `halving` over steps cuts them.

    References
    ----------
    .. [1] Lukoševičius (2012), A Practical Guide to Applying Echo State Networks, sec. 3.3 and
       4.3.
    .. [2] Jamieson & Talwalkar (2016), Non-stochastic best arm identification and
       hyperparameter optimization, alg. 1.

    Examples
    --------
    >>> import numpy as np
    >>> from reservoir import ESNRegressor
    >>> from reservoir.search import ReservoirSearchCV
    >>> u = np.random.default_rng(0).uniform(-1, 1, (600, 1))
    >>> y = np.roll(u, 3)
    >>> space = {"leak_rate": [0.2, 1.0], "input_scaling": [0.01, 0.1, 1.0], "alpha": [1e-6, 1.0]}
    >>> esn = ESNRegressor(30, washout=20, random_state=0)
    >>> search = ReservoirSearchCV(esn, space, cv=3, gap=10).fit(u, y)
    >>> search.best_params_["leak_rate"], search.best_params_["alpha"]
    (1.0, 1e-06)
    """

    cv_results_: dict[str, Any]
    best_estimator_: ESNRegressor

    def __init__(
        self,
        estimator: ESNRegressor,
        param_space: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        n_iter: int | None = None,
        halving: Literal["n_units", "n_steps"] | None = None,
        factor: int = 3,
        min_resources: int | None = None,
        scoring: str = "r2",
        horizon: int = 100,
        n_starts: int | None = None,
        threshold: float = 0.4,
        cv: int | float = 5,
        gap: int = 0,
        refit: bool = True,
        n_jobs: int | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.param_space = param_space
        self.n_iter = n_iter
        self.halving = halving
        self.factor = factor
        self.min_resources = min_resources
        self.scoring = scoring
        self.horizon = horizon
        self.n_starts = n_starts
        self.threshold = threshold
        self.cv = cv
        self.gap = gap
        self.refit = refit
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        of_estimator = get_tags(self.estimator)
        tags.estimator_type = of_estimator.estimator_type
        tags.regressor_tags = of_estimator.regressor_tags
        tags.target_tags = of_estimator.target_tags
        tags.input_tags.allow_nan = of_estimator.input_tags.allow_nan
        return tags

    @explained
    @transaction()
    @with_few_threads
    def fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Score all candidates, and fit the best.

        Parameters
        ----------
        X, y, groups, lengths
            As in `ESNRegressor.fit`; steps whose target is NaN are neither learned from nor
            scored. To score closed loops without feedback weights, `y` is the next row of `X`.

        Returns
        -------
        ReservoirSearchCV
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter, of the search or of a candidate, or an argument is not as described.

        Warns
        -----
        scipy.linalg.LinAlgWarning
            If the alpha of some candidates lies below what rounding leaves of their sums.
        sklearn.exceptions.FitFailedWarning
            If the states of some candidates, with an unbounded activation, overflow:
            they score -inf.
        UserWarning
            If free runs of the best candidate diverge on the data that it was refitted with.
        """
        started = time.perf_counter()
        estimator = self._seeded_estimator()
        candidates = self._candidates(estimator)
        scoring = Scoring(self.scoring, self.horizon, self.n_starts, self.threshold)
        # Candidates round to their own dtype.
        reader = SequenceReader(self, np.dtype(np.float64), estimator.missing, estimator.device)
        read = reader.training(X, y, groups, lengths, None)
        inputs, layout = read.inputs, read.layout
        targets = [np.asarray(to_host(part), dtype=np.float64) for part in read.targets]
        features, names = getattr(self, "feature_names_in_", ()), column_names(y) or ()
        sources = input_sources(features, names, inputs[0].shape[1], targets[0].shape[1])
        defaults = estimator.get_params(deep=False)  # slow: it reads the signature
        parameters = [{**defaults, **one} for one in candidates]
        for dtype in {one["dtype"] for one in parameters} & {"float32", "float64"}:
            check_range(np.dtype(dtype), inputs, targets)
        if scoring.is_closed_loop:
            are_named = bool(set(names) & set(features))
            check_closed_loop(scoring, parameters, inputs, targets, are_named=are_named)
        job = SearchJob(inputs, targets, self.cv, self.gap, scoring, sources)

        rounds, scores, n_diverged = [], [], []
        survivors = list(range(len(candidates)))
        for number, (resources, n_kept) in enumerate(self._schedule(parameters, scoring, layout)):
            of_round = [self._with_units(candidates[index], resources) for index in survivors]
            cut = self._with_steps(job, resources)
            of_candidates, n_left = self._scores(estimator, of_round, cut)
            scores.append(of_candidates)
            n_diverged.append(n_left)
            rounds.append((number, resources, of_round))
            order = np.argsort(_ranks(of_candidates, n_left), kind="stable")
            survivors = sorted(survivors[index] for index in order[:n_kept])
        self.cv_results_ = self._results(
            rounds, np.concatenate(scores), np.concatenate(n_diverged), scoring
        )
        self.n_splits_ = scores[-1].shape[1]
        n_last = len(scores[-1])
        n_before = len(self.cv_results_["params"]) - n_last
        self.best_index_ = n_before + int(_ranks(scores[-1], n_diverged[-1]).argmin())
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.search_time_ = time.perf_counter() - started
        if self.refit:
            started = time.perf_counter()
            best = clone(estimator).set_params(**self.best_params_)
            self.best_estimator_ = best.fit(X, y, groups=groups, lengths=lengths)
            self.refit_time_ = time.perf_counter() - started
            if scoring.is_closed_loop:
                self._check_refit(job)
        return self

    def _check_refit(self, job: SearchJob) -> None:
        """Warn if free runs of the best candidate diverge on the data that it was fitted with."""
        n_left, n_runs = count_departures(self.best_estimator_, job)
        if n_left:
            warn_caller(
                f"The best candidate, {describe(self.best_params_)}, diverges in {n_left} of "
                f"{n_runs} free runs of {job.scoring.horizon} steps on the data that it was "
                "refitted with: its forecasts may do so too. Try larger alphas, smaller input "
                "scalings or spectral radii, or noise.",
            )

    def predict(self, X: Any, **arguments: Any) -> Any:
        """Return `best_estimator_.predict(X, **arguments)`."""
        return self._best().predict(X, **arguments)

    def forecast(self, n_steps: int, X: Any = None, **arguments: Any) -> Any:
        """Return `best_estimator_.forecast(n_steps, X, **arguments)`."""
        return self._best().forecast(n_steps, X, **arguments)

    def score(self, X: Any, y: Any, **arguments: Any) -> float:
        """Return `best_estimator_.score(X, y, **arguments)`: R², whatever `scoring` is."""
        return self._best().score(X, y, **arguments)

    def _best(self) -> ESNRegressor:
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_

    def _seeded_estimator(self) -> ESNRegressor:
        """Return the estimator with a seed that gives the same weights each time."""
        if not isinstance(self.estimator, ESNRegressor) or isinstance(
            self.estimator, LayeredESNRegressor
        ):
            raise TypeError(
                f"`estimator` is of type {type(self.estimator).__name__}, but an ESNRegressor was "
                "expected. Other estimators go into scikit-learn's GridSearchCV."
            )
        estimator: ESNRegressor = clone(self.estimator)
        if not _is_seed(estimator.random_state):
            estimator.set_params(random_state=_integer(estimator.random_state))
        return estimator

    def _candidates(self, estimator: ESNRegressor) -> list[Parameters]:
        n_iter = self.n_iter
        if n_iter is not None:
            n_iter = check_integer("n_iter", n_iter, minimum=1)
        defaults = estimator.get_params(deep=False)
        seed = _integer(self.random_state)
        candidates = expand(self.param_space, n_iter, seed, set(defaults))
        for candidate in candidates:
            # One seed for all folds and for the refit, whatever the source of seeds.
            if not _is_seed(candidate.get("random_state", 0)):
                candidate["random_state"] = _integer(candidate["random_state"])
        if self.halving is not None:
            check_choice("halving", self.halving, ("n_units", "n_steps"))
        if self.halving == "n_units" and any("n_units" in one for one in candidates):
            raise ValueError(
                "`param_space` names 'n_units', but `halving` is 'n_units', which sets it. Leave "
                "it out of one of them."
            )
        for name in ("missing", "device"):
            if any(name in candidate for candidate in candidates):
                raise ValueError(
                    f"`param_space` names {name!r}, but the data are read once for all candidates. "
                    "Set it on the estimator."
                )
        for candidate in candidates:
            parameters = {**defaults, **candidate}
            if parameters["plasticity"] is not None:
                raise ValueError(
                    f"`plasticity` is {parameters['plasticity']}, but candidates whose units learn "
                    "can't share W. Set it to None, or use scikit-learn's GridSearchCV."
                )
            if np.ndim(parameters["alpha"]) and parameters["alpha_cv"] not in (None, "auto"):
                raise ValueError(
                    f"`alpha_cv` is {parameters['alpha_cv']}, but a search has held-out blocks of "
                    "its own. Set it to None, or pass each alpha as a candidate."
                )
        return candidates

    def _schedule(
        self, parameters: list[Parameters], scoring: Scoring, layout: Layout
    ) -> Sequence[tuple[int | None, int]]:
        """Return units or steps of each round, and how many candidates survive it."""
        if self.halving is None:
            return [(None, 1)]
        if self.halving == "n_units":
            most, least = int(self.estimator.n_units), least_units(parameters)
        else:
            free_steps = scoring.horizon + (scoring.n_starts or 1) if scoring.is_closed_loop else 0
            most = layout.n_rows
            least = least_steps(parameters, cv=self.cv, gap=self.gap, free_steps=free_steps)
        if self.min_resources is not None:
            least = check_integer("min_resources", self.min_resources, minimum=1, maximum=most)
        return schedule(len(parameters), self.factor, min(least, most), most)

    def _with_units(self, candidate: Parameters, resources: int | None) -> Parameters:
        return {**candidate, "n_units": resources} if self.halving == "n_units" else candidate

    def _with_steps(self, job: SearchJob, resources: int | None) -> SearchJob:
        """Return a job of the first steps."""
        if self.halving != "n_steps" or resources is None:
            return job
        inputs, targets, n_left = [], [], resources
        for u, y in zip(job.inputs, job.targets):
            if n_left > 0:
                inputs.append(u[:n_left])
                targets.append(y[:n_left])
            n_left -= len(u)
        return SearchJob(inputs, targets, job.cv, job.gap, job.scoring, job.sources)

    def _scores(
        self, estimator: ESNRegressor, candidates: list[Parameters], job: SearchJob
    ) -> tuple[Floats, NDArray[np.intp]]:
        """Return the scores (n_candidates, n_folds), and how many free runs of each diverged."""
        calls = self._calls(estimator, candidates, job)
        bar = tqdm(total=len(candidates), unit="candidate", disable=not self.verbose)
        # Not every backend can return results as they come.
        kind = "generator" if self.verbose else "list"
        parts = []
        # A GPU is filled by one process.
        n_jobs = 1 if is_on_device(job.inputs[0]) else self.n_jobs
        for part in Parallel(n_jobs=n_jobs, return_as=kind)(calls):
            parts.append(part)
            bar.update(len(part.indices))
        bar.close()
        scores: Floats = np.empty((len(candidates), parts[0].scores.shape[1]))
        n_diverged = np.empty(len(candidates), np.intp)
        for part in parts:
            scores[part.indices] = part.scores
            n_diverged[part.indices] = part.n_diverged
        diverged = [index for part in parts for index in part.diverged]
        if diverged:
            warn_caller(
                f"For {len(diverged)} of {len(candidates)} candidates, among them "
                f"{describe(candidates[diverged[0]])}, states overflow: they score "
                "-inf. Lower the spectral radius, or take a bounded activation.",
                FitFailedWarning,
            )
        unsupported = [index for part in parts for index in part.unsupported]
        if unsupported:
            warn_caller(
                f"For {len(unsupported)} of {len(candidates)} candidates, among them "
                f"{describe(candidates[unsupported[0]])}, alpha cannot be told from rounding. "
                'Raise it, or take solver="qr".',
                LinAlgWarning,
            )
        return scores, n_diverged

    @staticmethod
    def _calls(
        estimator: ESNRegressor, candidates: list[Parameters], job: SearchJob
    ) -> Iterator[Any]:
        """Yield one call for each batch of lanes; the batches do not depend on the workers."""
        groups = group(candidates, estimator.get_params(deep=False))
        drawn = ((draw(lanes, job), lanes) for lanes in groups)
        for batch in batches(drawn, job):
            yield delayed(evaluate)(batch, job)

    def _results(
        self,
        rounds: list[tuple[int, int | None, list[Parameters]]],
        scores: Floats,
        n_diverged: NDArray[np.intp],
        scoring: Scoring,
    ) -> dict[str, Any]:
        """Return `cv_results_`."""
        params = list(itertools.chain.from_iterable(one[2] for one in rounds))
        results: dict[str, Any] = {}
        if self.halving is not None:
            sizes = [len(one[2]) for one in rounds]
            results["iter"] = np.repeat([one[0] for one in rounds], sizes)
            results["n_resources"] = np.repeat([one[1] for one in rounds], sizes)
        for name in sorted({name for one in params for name in one}):
            column = np.ma.MaskedArray(np.empty(len(params), dtype=object), mask=True)
            for row, one in enumerate(params):
                if name in one:
                    column[row] = one[name]
            results[f"param_{name}"] = column
        results["params"] = params
        for index, of_fold in enumerate(scores.T):
            results[f"split{index}_test_score"] = of_fold
        with np.errstate(invalid="ignore"):  # a forecast that diverged scores -inf
            results["mean_test_score"] = scores.mean(axis=1)
            results["std_test_score"] = scores.std(axis=1)
        results["rank_test_score"] = _ranks(scores, n_diverged)
        if scoring.is_closed_loop:
            results["n_diverged"] = n_diverged
        return results


def _comparable(scores: Floats) -> Floats:
    """Return mean scores, the worst there can be for NaN."""
    means: Floats = scores.mean(axis=1)
    return np.where(np.isnan(means), -np.inf, means)


def _ranks(scores: Floats, n_diverged: NDArray[np.intp]) -> NDArray[np.int32]:
    """Return ranks from 1 on: first those whose free runs all stayed, by their mean scores."""
    keys = np.stack([n_diverged > 0, -_comparable(scores), n_diverged])
    order = np.lexsort(keys[::-1])
    is_new = np.any(keys[:, order[1:]] != keys[:, order[:-1]], axis=0)
    places = np.arange(1, len(order) + 1)
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.maximum.accumulate(np.where(np.append(True, is_new), places, 0))
    return ranks


def _is_seed(random_state: Any) -> bool:
    """Tell what gives the same weights each time from what gives others."""
    return isinstance(random_state, np.random.SeedSequence | int | np.integer)


def _integer(random_state: Any) -> int:
    """Return a seed."""
    return int(seed_sequence(random_state).generate_state(1)[0])
