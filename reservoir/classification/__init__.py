"""Classes of sequences and of their steps."""

from reservoir.classification._calibration import fit_calibration
from reservoir.classification._readout import row_space, stratified_folds

__all__ = [
    "fit_calibration",
    "row_space",
    "stratified_folds",
]
