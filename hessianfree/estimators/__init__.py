"""Recurrent nets as scikit-learn estimators."""
