"""Search over hyperparameters: many echo state networks side by side on the same data."""

from reservoir.search._search_cv import ReservoirSearchCV

__all__ = ["ReservoirSearchCV"]
