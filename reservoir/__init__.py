"""Echo state networks: sparse reservoirs, ridge readouts, scikit-learn estimators."""

__version__ = "0.1.0"
