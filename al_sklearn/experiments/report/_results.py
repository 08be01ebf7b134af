"""What the report is made from."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd


class Results(Protocol):
    """What the report is made from; ``ComparisonResults`` is."""

    table: pd.DataFrame
    classes: np.ndarray
    thumbnails: dict[str, np.ndarray]
    config: dict[str, Any]

    @property
    def notes(self) -> list[str]:
        """What should be said beside every table."""

    def summary(
        self, metric: str = ..., *, level: float = ..., confidence: float = ...
    ) -> pd.DataFrame:
        """One row a strategy."""

    def pairwise(self, metric: str = ..., *, confidence: float = ...) -> pd.DataFrame:
        """One row a pair."""
