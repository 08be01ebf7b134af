"""Images of a torch data set with the labels that people gave them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class LabelledDataset(torch.utils.data.Dataset):
    """Pairs of an image from ``images`` and a label from ``y``.

    Parameters
    ----------
    images : torch Dataset
        Yields images, or pairs whose second part, its own label, is left out.
    y : labels of shape (n,)
    """

    def __init__(self, images: Any, y: Any):
        self.images = images
        self.y = np.asarray(y)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> tuple[Any, Any]:
        item = self.images[position]
        image = item[0] if isinstance(item, (tuple, list)) else item
        return image, self.y[position]
