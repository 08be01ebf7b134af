"""Short names for the types that signatures say again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = np.ndarray
Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
# Single precision: what networks give, and what is multiplied fast.
Floats32: TypeAlias = NDArray[np.float32]
# Positions in an X, and counts.
Ints: TypeAlias = NDArray[np.int64]
# What a strategy or a selector answers: positions, most useful first, and their scores.
Chosen: TypeAlias = tuple[Ints, Floats]
Function: TypeAlias = Callable[..., Any]
# Keyword arguments, columns of a record: values by name.
Options: TypeAlias = dict[str, Any]
