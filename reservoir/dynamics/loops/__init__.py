"""The recurrence as tight loops: NumPy, and compiled by numba."""
