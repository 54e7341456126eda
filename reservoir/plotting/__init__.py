"""Pictures in scikit-learn's style: a Display holds the data, `plot` draws it.

Matplotlib is imported when one draws. After `plot` a Display has `figure_`, `ax_` (one Axes, or an
array of several) and the artists it drew.
"""

from reservoir.plotting._attractor import AttractorDisplay
from reservoir.plotting._curves import AlphaPathDisplay, MemoryCurveDisplay
from reservoir.plotting._intervals import IntervalDisplay
from reservoir.plotting._search import SearchDisplay
from reservoir.plotting._series import ForecastDisplay, StatesDisplay
from reservoir.plotting._spectrum import EigenvalueDisplay

__all__ = [
    "SearchDisplay",
    "AlphaPathDisplay",
    "AttractorDisplay",
    "EigenvalueDisplay",
    "ForecastDisplay",
    "IntervalDisplay",
    "MemoryCurveDisplay",
    "StatesDisplay",
]
