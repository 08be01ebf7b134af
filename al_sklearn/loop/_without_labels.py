"""Rows as strategies of others may see them."""

from __future__ import annotations

from typing import Any

import torch


def without_labels(rows: Any) -> Any:
    """Return rows as strategies of others may see them.

    Beside the items of a torch data set there are no labels.
    """
    return _WithoutLabels(rows) if isinstance(rows, torch.utils.data.Dataset) else rows


class _WithoutLabels(torch.utils.data.Dataset):
    """Items of a torch data set; the second part of a pair, its label, is 0."""

    def __init__(self, rows: Any):
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> Any:
        # A pair is what torch data sets of images give: anything else has no label.
        item = self._rows[position]
        return (
            (item[0], 0) if isinstance(item, (tuple, list)) and len(item) == 2 else item
        )
