"""A small convolutional network that trains on twenty labels in a moment.

It takes a fraction of a second.
"""

from collections import OrderedDict

from torch import nn

from al_sklearn.estimators.networks._parts import conv3x3
from al_sklearn.estimators.networks._registry import register_network


@register_network("small_cnn")
def small_cnn(
    in_channels: int = 1,
    n_classes: int = 10,
    image_size: int | tuple[int, int] | None = None,
    *,
    width: int = 32,
    hidden: int = 128,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Build two convolutional blocks and a head with dropout.

    Each block is a 3x3 convolution, BatchNorm, 2x2 max pooling and ReLU; the features
    are pooled to 4x4 (2x2 for images under 16 pixels), so that images of any size give
    the same number of them. BatchNorm is there because twenty to sixty labels without
    it cost 5 to 20 points of accuracy on 8x8 digits at the same learning rate. Both
    dropouts stand behind the convolutions: MC dropout and BALD work by default, and run
    the convolutions once.

    Parameters
    ----------
    in_channels : int, default=1
        Channels of the images.
    n_classes : int, default=10
        Number of logits.
    image_size : int or (height, width), optional
        Size of the images; only whether their shorter side is under 16 pixels matters.
    width : int, default=32
        Channels of the first block; the second has twice as many.
    hidden : int, default=128
        Units of the hidden layer: the size of the embedding.
    dropout : float, default=0.5
        Probability of dropout before the last layer, and half of it before the hidden
        layer.

    Returns
    -------
    torch.nn.Sequential
        ``features`` and ``head``; images (n, in_channels, H, W) float in, logits (n,
        n_classes) out. H and W must be at least 4.

    Raises
    ------
    ValueError
        For smaller images.

    Examples
    --------
    >>> import torch
    >>> small_cnn(3, 5)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 5])
    """
    shorter = min(image_size) if isinstance(image_size, tuple) else image_size
    if shorter is not None and shorter < 4:
        raise ValueError(
            "small_cnn needs images of at least 4x4 pixels, got "
            f"image_size={image_size}: enlarge them by "
            "module__resize=, or take another network."
        )
    pooled = 2 if shorter is not None and shorter < 16 else 4
    # Pooling before ReLU gives the same numbers as after it, on a quarter of the
    # values.
    features = nn.Sequential(
        conv3x3(in_channels, width),
        nn.BatchNorm2d(width),
        nn.MaxPool2d(2),
        nn.ReLU(),
        conv3x3(width, 2 * width),
        nn.BatchNorm2d(2 * width),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(pooled),
        nn.Flatten(),
    )
    head = nn.Sequential(
        nn.Dropout(dropout / 2),
        nn.Linear(2 * width * pooled**2, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, n_classes),
    )
    return nn.Sequential(OrderedDict(features=features, head=head))
