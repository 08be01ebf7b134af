"""Images of a data set, to be looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Array
from al_sklearn.experiments.plots._axes import several_axes, undress
from al_sklearn.experiments.plots._images import thumbnails
from al_sklearn.experiments.plots._names import shorten
from al_sklearn.rows import n_rows, take_rows


def show_images(
    X: Any,
    y: Any = None,
    *,
    positions: Any = None,
    n_images: int = 16,
    class_names: Sequence[Any] | None = None,
    ax: Any = None,
    n_columns: int = 8,
    random_state: RandomState = 0,
) -> Array:
    """Draw some images, each with its class over it.

    Parameters
    ----------
    X : images
        As a network takes them: an array, files, a torch data set.
    y : array of shape (n,), optional
        Their labels.
    positions : int array, optional
        Which; drawn at random by default.
    n_images : int, default=16
        How many are drawn at random.
    class_names : sequence of str, optional
        Readable names of labels that are numbers from 0.
    ax : array of matplotlib Axes, optional
        Where to draw, one an image; a new figure by default.
    n_columns : int, default=8
        Images in a row of a new figure.
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    array of matplotlib Axes

    Raises
    ------
    ValueError
        When the rows of X are no images.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from al_sklearn.experiments.plots import show_images
    >>> digits = load_digits()
    >>> axes = show_images(digits.images, digits.target, n_images=3)
    >>> [ax.get_title(loc="left") for ax in axes]
    ['8', '3', '4']
    """
    n = n_rows(X)
    if positions is None:
        chosen = as_generator(random_state).permutation(n)[:n_images]
    else:
        chosen = np.asarray(positions, dtype=np.int64)
    images = thumbnails(take_rows(X, chosen))
    if images is None:
        raise ValueError("The rows of X are no images that could be shown.")
    axes = several_axes(ax, len(images), n_columns, (1.1, 1.3))
    labels = None if y is None else np.asarray(y)[chosen].tolist()
    for i, (one, image) in enumerate(zip(axes, images, strict=True)):
        undress(one)
        one.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=255)
        if labels is not None:
            name = labels[i] if class_names is None else class_names[labels[i]]
            one.set_title(shorten(str(name), 14), loc="left", fontsize=8)
    return axes
