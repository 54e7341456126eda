"""Panels of sktime as sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from reservoir.sequences._layout import from_aeon

# What `as_sequences` reads; of others, such as series of unequal lengths, sktime makes the first.
PANELS = ["df-list", "numpy3D"]


def as_sequences(X: Any) -> Any:
    """Return a list of frames, or an array (n_instances, n_channels, n_steps), steps first."""
    return from_aeon(X) if isinstance(X, np.ndarray) else [part.to_numpy() for part in X]
