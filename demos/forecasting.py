"""How far can a real series be forecast, and do the intervals hold what comes?

Three series that come with the package: airline passengers (24 months hidden), carbon dioxide at
Mauna Loa (60 months), the flow of the Nile (10 years). Each is forecast from the rows before, and
from earlier origins without refit. Expected: errors of at most 0.6 of those of the seasonal naive
forecast where there is a season, and 95 % intervals that hold at least 80 % of what came, in a few
seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from demos._common import Figure, run_demo
from reservoir import ReservoirForecaster
from reservoir.datasets import load_air_passengers, load_co2, load_nile


class Case(NamedTuple):
    """A series, its season, the steps hidden, and the first year of its rows."""

    series: np.ndarray
    season: int
    horizon: int
    start: float
    unit: str


CASES = {
    "passengers": Case(load_air_passengers(), 12, 24, 1949.0, "thousands a month"),
    "carbon dioxide": Case(load_co2(), 12, 60, 1958 + 2 / 12, "parts per million"),
    "Nile": Case(load_nile(), 1, 10, 1871.0, "10⁸ m³ a year"),
}
# Error over that of the seasonal naive forecast, averaged over the origins of the backtest.
EXPECTED = {"passengers": 0.6, "carbon dioxide": 0.4, "Nile": 1.0}
N_ORIGINS = 12


def fitted(case: Case, seed: int) -> ReservoirForecaster:
    """Return the forecaster of all rows but those hidden."""
    seasons = () if case.season == 1 else case.season
    forecaster = ReservoirForecaster(seasons, horizon=case.horizon, random_state=seed)
    return forecaster.fit(case.series[: -case.horizon])


def naive_errors(case: Case, origins: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the errors of the last season repeated."""
    ahead = np.arange(truth.shape[1]) % case.season
    return truth - case.series[origins[:, None] - case.season + ahead]


def run(quick: bool, folder: Path) -> list[Figure]:
    """Backtest and forecast each series, and draw the forecasts."""
    figures = []
    forecasters: dict[str, ReservoirForecaster] = {}
    for name, case in CASES.items():
        forecasters[name] = fitted(case, 0)
        ratios, inside = [], []
        for seed in range(1 if quick else 5):
            forecaster = forecasters[name] if seed == 0 else fitted(case, seed)
            step = max(1, len(case.series) // 40)
            result = forecaster.backtest(N_ORIGINS, step=step)
            naive = naive_errors(case, result.origins, result.truth)
            ratios.append(result.mae / np.abs(naive).mean())
            inside.append(result.coverage(95))
        figures += [
            Figure(
                f"{name}: error over that of the (seasonal) naive forecast",
                float(np.median(ratios)),
                at_most=EXPECTED[name],
            ),
            Figure(f"{name}: share within 95 % intervals", float(np.median(inside)), at_least=0.8),
        ]
    draw(forecasters, folder / "forecasting.png")
    return figures


def draw(forecasters: dict[str, Any], path: Path) -> None:
    """Draw the end of each series, its forecast, and what came."""
    import matplotlib.pyplot as plt

    from reservoir.plotting import IntervalDisplay

    figure, axes = plt.subplots(3, 1, figsize=(8, 8), layout="constrained")
    for axis, (name, case) in zip(axes, CASES.items(), strict=True):
        forecast = forecasters[name].forecast(case.horizon)
        n_past = 3 * case.horizon if name != "Nile" else 60
        past = case.series[-case.horizon - n_past : -case.horizon]
        per_year = 12 if case.season == 12 else 1
        years = case.start + np.arange(len(case.series)) / per_year
        display = IntervalDisplay.from_forecast(
            past,
            forecast.mean,
            forecast.lower,
            forecast.upper,
            y_true=case.series[-case.horizon :],
            times=years[-case.horizon - n_past :],
            ax=axis,
        )
        display.ax_.get_legend().remove()
        axis.set(ylabel=case.unit)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_title(name[0].upper() + name[1:], loc="left", fontsize="medium")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=5)
    axes[-1].set(xlabel="year")
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
