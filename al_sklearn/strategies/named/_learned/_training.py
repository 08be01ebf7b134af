"""What the learned strategies share.

Small networks with weights and batches from generators of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from al_sklearn import inference
from al_sklearn._core.types import Array
from al_sklearn.exceptions import ParameterError

# Rows that a trained network scores at a time.
_CHUNK_ROWS = 8192
# An epoch has at least so many batches, unless they would be smaller than this.
_MIN_BATCHES = 8
_LEAST_BATCH = 16


def labelled_rows(strategy: str, classifier: Any, X_labelled: Any) -> Any:
    """Return what is labelled.

    Raises
    ------
    ValueError
        When there is nothing.
    """
    rows = inference.labelled_rows(classifier, X_labelled)
    if rows is None:
        raise ValueError(
            f"{strategy} tells labelled from unlabelled rows, and none is labelled: "
            "pass X_labelled=, or a learner "
            "that was taught some."
        )
    return rows


def check_positive(**numbers: float) -> None:
    """Raise a ``ValueError`` for the first option that is not a number above 0."""
    for name, value in numbers.items():
        if not 0 < value < np.inf:
            raise ParameterError(
                f"{name} must be a number above 0, got {value!r}.", name
            )


def part_sizes(n_instances: int, n_parts: int) -> list[int]:
    """Sizes of a batch's parts, as equal as they can be, none empty.

    The batch is chosen in these parts.
    """
    # No part is empty: each costs a training.
    n_parts = min(n_parts, n_instances)
    return [
        n_instances // n_parts + (i < n_instances % n_parts) for i in range(n_parts)
    ]


def get_device(device: Any) -> torch.device:
    """Return the device named; ``"auto"`` is CUDA where there is one."""
    if isinstance(device, str) and device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def standardized(*parts: Array) -> list[torch.Tensor]:
    """Return arrays (n_i, d) as standardised float32 tensors.

    The mean and standard deviation are those of all rows together.
    """
    n = sum(map(len, parts))
    mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts) / n
    square = sum(np.einsum("ij,ij->j", part - mean, part - mean) for part in parts) / n
    # A feature that never changes stays, centred.
    scale = np.sqrt(np.where(square > 1e-12 * np.maximum(mean**2, 1e-12), square, 1))
    return [
        torch.from_numpy(((part - mean) / scale).astype(np.float32)) for part in parts
    ]


def linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Return a linear layer with torch's first weights, drawn by ``generator``."""
    return _drawn(nn.utils.skip_init(nn.Linear, n_in, n_out), n_in, generator)


def convolution(
    n_in: int, n_out: int, stride: int, generator: torch.Generator
) -> nn.Conv2d:
    """Return a 3x3 convolution with torch's first weights, by ``generator``."""
    # torch's own first weights would draw from the global generator.
    layer = nn.utils.skip_init(nn.Conv2d, n_in, n_out, 3, stride=stride, padding=1)
    return _drawn(layer, 9 * n_in, generator)


def _drawn(layer: Any, fan_in: int, generator: torch.Generator) -> Any:
    # torch's bound for linear layers and convolutions alike.
    bound = fan_in**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def perceptron(sizes: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Return linear layers of these sizes with ReLU between them."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [linear(n_in, n_out, generator), nn.ReLU()]
    # The last layer gives logits: no ReLU after it.
    return nn.Sequential(*layers[:-1])


def adam(
    network: nn.Module, lr: float, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """Return Adam over the weights of this network and of no other."""
    parameters = list(network.parameters())
    # Fused steps are several times faster, and other devices have none.
    fused = parameters[0].device.type in ("cpu", "cuda")
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=fused)


def shuffled(
    n: int, batch_size: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield the positions 0 … n - 1 in random order, ``batch_size`` at a time."""
    yield from torch.randperm(n, generator=generator).split(batch_size)


def balanced_weights(target: torch.Tensor) -> torch.Tensor:
    """Return a weight for each row, (n,), of mean 1, that balances the classes.

    Under these weights both classes of a 0/1 target count the same.
    """
    ones = target.sum()
    zeros = len(target) - ones
    # Where one class is missing the other has all the weight.
    share = torch.where(target > 0, 0.5 / ones.clamp_min(1), 0.5 / zeros.clamp_min(1))
    return share * (len(target) / share.sum())


def binary_loss(
    logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean cross-entropy of logits (n,) against targets (n,) of 0 and 1.

    Raises
    ------
    ValueError
        When the shapes differ or are not one-dimensional, so that they would broadcast.
    """
    shapes = [
        tuple(part.shape)
        for part in (logits, target, *([] if weights is None else [weights]))
    ]
    if len(set(shapes)) > 1 or logits.ndim != 1:
        raise ValueError(
            "Logits, targets and weights must all have shape (n,), got "
            f"{', '.join(map(str, shapes))}."
        )
    return F.binary_cross_entropy_with_logits(logits, target, weights)


def train_binary(
    features: torch.Tensor,
    target: torch.Tensor,
    *,
    hidden: Sequence[int],
    max_epochs: int,
    batch_size: int,
    lr: float,
    generator: torch.Generator,
    weight_decay: float = 0.0,
    target_accuracy: float = 2.0,
    network: nn.Sequential | None = None,
) -> tuple[nn.Sequential, list[tuple[float, float]]]:
    """Train a perceptron to tell 1 from 0, both classes counting the same.

    Parameters
    ----------
    features : Tensor of shape (n, d), float32
    target : Tensor of shape (n,), float32, 0 and 1
        On the same device.
    hidden : sequence of int
        Sizes of the hidden layers.
    max_epochs, batch_size, lr, weight_decay
        Of the training, by Adam. Batches are smaller where an epoch would have fewer
        than eight.
    generator : torch.Generator
        On the CPU; draws first weights and order.
    target_accuracy : float
        Training stops after the first epoch whose accuracy, with both classes counting
        the same, is this high; above 1 never.

    Returns
    -------
    network : nn.Sequential
        Gives logits (n, 1).
    history : list of (loss, accuracy)
        Of each epoch, as seen while training.
    """
    if network is None:
        network = perceptron([features.shape[1], *hidden, 1], generator).to(
            features.device
        )
    optimizer = adam(network, lr, weight_decay)
    weights = balanced_weights(target)
    history: list[tuple[float, float]] = []
    # One step an epoch would not train it on few rows.
    batch_size = min(batch_size, max(_LEAST_BATCH, -(-len(features) // _MIN_BATCHES)))
    for _ in range(max_epochs):
        loss_sum = right_sum = torch.zeros((), device=features.device)
        for rows in shuffled(len(features), batch_size, generator):
            rows = rows.to(features.device)
            y, w = target[rows], weights[rows]
            logits = network(features[rows]).squeeze(1)
            loss = binary_loss(logits, y, w)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            # Summed on the device: reading a number waits for it.
            loss_sum = loss_sum + loss.detach() * len(rows)
            right_sum = right_sum + (w * ((logits.detach() > 0) == (y > 0))).sum()
        history.append(
            (float(loss_sum) / len(features), float(right_sum) / len(features))
        )
        if history[-1][1] >= target_accuracy:
            break
    return network, history


def score_rows(network: nn.Module, features: torch.Tensor) -> Array:
    """Return the logits (n,) of a network that gives (n, 1), chunk by chunk."""
    with torch.inference_mode():
        parts = [network(chunk) for chunk in features.split(_CHUNK_ROWS)]
    logits = torch.cat(parts)
    # (n, 1) against (n,) would broadcast to a matrix, silently.
    if logits.ndim != 2 or logits.shape[1] != 1:
        raise ValueError(
            f"The network must give logits of shape (n, 1), got {tuple(logits.shape)}."
        )
    return logits[:, 0].double().cpu().numpy()
