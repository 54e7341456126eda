"""Names for kinds of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


Integers = NDArray[np.intp]


Booleans = NDArray[np.bool_]


Floats = NDArray[np.float64]
