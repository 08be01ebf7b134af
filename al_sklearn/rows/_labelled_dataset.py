"""Images of a torch data set with the labels that people gave them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

from al_sklearn._core.optional import is_a


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
        return (item[0] if isinstance(item, (tuple, list)) else item), self.y[position]


def with_labels(estimator: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Give a plain skorch net a data set that holds the labels taught.

    It would read those inside X instead.

    Parameters
    ----------
    estimator : estimator
        What is about to be fitted.
    X, y : rows and labels

    Returns
    -------
    X, y
        As they came, for all others than plain skorch nets on torch data sets.
    """
    if is_a(estimator, "skorch.NeuralNet") and is_a(X, "torch.utils.data.Dataset"):
        # One that makes data sets itself knows what to do with y.
        make = sys.modules["skorch"].NeuralNet.get_dataset
        if type(estimator).get_dataset is make:
            dataset = LabelledDataset(X, y)
            return dataset, dataset.y
    return X, y
