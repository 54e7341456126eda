"""Recurrent nets for scikit-learn."""
