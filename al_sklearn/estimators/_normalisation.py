"""What images are normalised by before a network sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from al_sklearn.estimators._data import ImageDataset
from al_sklearn.estimators.networks import statistics_of

Statistics = tuple[np.ndarray, np.ndarray]

# Images that are read for it: the mean over a thousand is known to half a percent.
_MOST_IMAGES = 1000
# Images in memory at a time, as many as in a batch of the default size: a lazy data set
# may be of large ones.
_BATCH = 32


def check_normalize(normalize: Any) -> None:
    """Raise a ``ValueError`` unless it is ``"auto"``, None or (mean, std)."""
    if normalize is None or (isinstance(normalize, str) and normalize == "auto"):
        return
    if not (isinstance(normalize, (tuple, list)) and len(normalize) == 2):
        raise ValueError(
            f"normalize must be 'auto', None or (mean, std), got {normalize!r}."
        )


def image_statistics(
    dataset: ImageDataset, normalize: Any, module: Any, weights: Any
) -> Statistics | None:
    """Return mean and standard deviation of each channel, or None.

    Parameters
    ----------
    dataset : ImageDataset
        The images that are trained on.
    normalize : "auto", None or (mean, std)
    module : network
        As an ``ImageClassifier`` takes it.
    weights : str, torchvision weights or None
        Those that the network begins with; theirs go before the images'.

    Returns
    -------
    (mean, std) of float32 (C,) each, or None
        Of images in [0, 1] where they are uint8.

    Raises
    ------
    ValueError
        When a standard deviation that was given is not above 0.
    """
    if normalize is None:
        return None
    channels = dataset.image_shape()[0]
    if not isinstance(normalize, str):
        return _given(normalize, channels)
    if isinstance(module, str) and weights is not None:
        return _of_weights(module.removeprefix("torchvision:"), weights, channels)
    return _of_images(dataset, channels)


def _given(normalize: Any, channels: int) -> Statistics:
    mean, std = (
        np.broadcast_to(np.asarray(part, dtype=np.float32), channels)
        for part in normalize
    )
    if not np.all(std > 0):
        raise ValueError(f"The std of normalize must be above 0, got {normalize[1]!r}.")
    return mean, std


def _of_weights(name: str, weights: Any, channels: int) -> Statistics:
    known = statistics_of(name, weights)
    mean, std = (np.asarray(part, dtype=np.float32) for part in known)
    if channels == 3:
        return mean, std
    # Other channels are shown to the network as it saw grey.
    return np.full(channels, mean.mean()), np.full(channels, std.mean())


def _of_images(dataset: ImageDataset, channels: int) -> Statistics:
    n = len(dataset)
    positions = np.linspace(0, n - 1, min(n, _MOST_IMAGES)).astype(np.int64)
    top = _white(dataset.batch(positions[:1])[0])
    count, total = 0, torch.zeros(channels).double()
    squares = total.clone()
    # Sums in float64: the variance is a small difference of large ones.
    for part in np.array_split(positions, -(-len(positions) // _BATCH)):
        batch = dataset.batch(part)[0]
        images = batch.double()
        if _white(batch) != top:
            # Bytes beside shares of white: in the scale of the first.
            images *= top / _white(batch)
        count += images.numel() // channels
        total += images.sum((0, 2, 3))
        squares += images.square().sum((0, 2, 3))
    mean = (total / count).numpy()
    # Rounding may leave the variance of a constant channel just below 0.
    std = np.sqrt(np.maximum((squares / count).numpy() - mean**2, 0))
    # A channel that never changes is centred and left at its scale.
    std = np.where(std > 1e-6 * np.maximum(np.abs(mean), 1e-6), std, top)
    return (mean / top).astype(np.float32), (std / top).astype(np.float32)


def _white(images: torch.Tensor) -> float:
    return 255.0 if images.dtype == torch.uint8 else 1.0
