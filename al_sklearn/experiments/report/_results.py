"""What the report is made from."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from al_sklearn._core.types import Array, Options


class Results(Protocol):
    """What the report is made from; ``ComparisonResults`` is."""

    table: pd.DataFrame
    classes: Array
    thumbnails: dict[str, Array]
    config: Options
    retrained: pd.DataFrame

    @property
    def epochs(self) -> pd.DataFrame:
        """One row an epoch, of models that keep them."""

    @property
    def notes(self) -> list[str]:
        """What should be said beside every table."""

    def summary(
        self, metric: str = ..., *, level: float = ..., confidence: float = ...
    ) -> pd.DataFrame:
        """One row a strategy."""

    def pairwise(self, metric: str = ..., *, confidence: float = ...) -> pd.DataFrame:
        """One row a pair."""
