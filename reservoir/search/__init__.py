"""Many echo state networks tried side by side, for the price of a few."""

from reservoir.search._search_cv import ReservoirSearchCV

__all__ = ["ReservoirSearchCV"]
