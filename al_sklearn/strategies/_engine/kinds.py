"""Short names for the kinds of arrays that measures and selectors hand on."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Floats32: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]
# Positions, ranks and numbers of clusters.
Ints: TypeAlias = NDArray[np.int64]
# A batch: positions, most useful (or first chosen) first, and a score for each.
Selected: TypeAlias = tuple[Ints, Floats]
