"""How activations rank among those of labelled data, neuron by neuron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from al_sklearn.strategies._engine.distances import Array, as_rows, tiles

_CHUNK_VALUES = 2**22  # activations of some neurons that are ranked at a time


def outliers_mean(
    activations: Array | Sequence[Array], labelled: Array | Sequence[Array]
) -> Any:
    """One minus the mean rank of a row's activations among those of labelled rows.

    Validation rows may take the place of labelled ones.

    What the network has features for activates it about as much as the labelled data
    do; what activates it less, over all neurons, is unlike anything it was taught
    (Monarch, *Human-in-the-Loop Machine Learning*, 2021).

    Parameters
    ----------
    activations : array or tensor of shape (n, d), or a sequence of them
        Of one layer, or of several, whose neurons then count alike whatever their
        scale.
    labelled : array or tensor of shape (l, d), or a sequence of them
        The same layers' activations for labelled rows.

    Returns
    -------
    utilities : float64 array or tensor of shape (n,)
        From 0 to 1. The rank of an activation is the share of the labelled ones below
        it, equal ones counted half; equal is what differs by no more than the rounding
        of a neuron's arithmetic, 16 units in the last place of its largest labelled
        activation.

    Raises
    ------
    ValueError
        For shapes that do not fit, no labelled rows, NaN or infinity.
    """
    return _of_ranks(activations, labelled, largest=False)


def outliers_max(
    activations: Array | Sequence[Array], labelled: Array | Sequence[Array]
) -> Any:
    """One minus the largest rank of a row's activations.

    High where not even one neuron is active.

    Parameters
    ----------
    activations : array or tensor of shape (n, d), or a sequence of them
        Of one layer, or of several.
    labelled : array or tensor of shape (l, d), or a sequence of them
        The same layers' activations for labelled rows.

    Returns
    -------
    utilities : float64 array or tensor of shape (n,)
        From 0 to 1, with ranks as in :func:`outliers_mean`.

    Raises
    ------
    ValueError
        For shapes that do not fit, no labelled rows, NaN or infinity.
    """
    return _of_ranks(activations, labelled, largest=True)


def _of_ranks(activations: Any, labelled: Any, *, largest: bool) -> Any:
    layers, references = (
        _layers(activations, "activations"),
        _layers(labelled, "labelled"),
    )
    if len(layers) != len(references) or not layers:
        raise ValueError(
            f"{len(layers)} layers of activations and {len(references)} of labelled "
            "ones do not fit."
        )
    n, n_labelled = len(layers[0]), len(references[0])
    for layer, reference in zip(layers, references, strict=True):
        if (
            layer.shape[1] != reference.shape[1]
            or len(layer) != n
            or len(reference) != n_labelled
        ):
            raise ValueError(
                f"activations of shape {tuple(layer.shape)} and labelled ones of "
                f"{tuple(reference.shape)} do not fit."
            )
    if n_labelled == 0:
        raise ValueError("There are no labelled activations to rank among.")
    device = (
        layers[0].device if isinstance(layers[0], torch.Tensor) else torch.device("cpu")
    )
    # Twice the rank in whole numbers, so that equal ranks stay equal and no order of
    # summing matters.
    total = torch.zeros(n, dtype=torch.int64, device=device)
    with torch.inference_mode():
        for layer, reference in zip(layers, references, strict=True):
            rounding = max(_rounding(layer), _rounding(reference))
            for columns in tiles(
                layer.shape[1], max(_CHUNK_VALUES // max(n, n_labelled), 1)
            ):
                ordered = _neurons(reference, columns, device).sort(dim=1).values
                asked = _neurons(layer, columns, device)
                same = rounding * torch.maximum(
                    ordered[:, :1].abs(), ordered[:, -1:].abs()
                )
                # How many labelled values are below, plus how many are not above.
                below, not_above = (
                    (asked - same).contiguous(),
                    (asked + same).contiguous(),
                )
                doubled = torch.searchsorted(ordered, below) + torch.searchsorted(
                    ordered, not_above, right=True
                )
                total = (
                    torch.maximum(total, doubled.amax(0))
                    if largest
                    else total + doubled.sum(0)
                )
    width = 1 if largest else sum(layer.shape[1] for layer in layers)
    utilities = 1 - total.double() / (2 * n_labelled * width)
    return utilities if isinstance(layers[0], torch.Tensor) else utilities.numpy()


def _layers(arrays: Any, name: str) -> list[Array]:
    layers = [
        as_rows(a, name)
        for a in (arrays if isinstance(arrays, (list, tuple)) else [arrays])
    ]
    for layer in layers:
        # A sum is NaN or infinite when a value is: no mask as large as the array.
        sums = (
            layer.double().sum(1)
            if isinstance(layer, torch.Tensor)
            else layer.sum(axis=1, dtype=np.float64)
        )
        if not np.isfinite(
            np.asarray(sums.cpu() if isinstance(sums, torch.Tensor) else sums)
        ).all():
            raise ValueError(f"The {name} contain NaN or infinity.")
    return layers


def _rounding(layer: Array) -> float:
    """16 units in the last place of 1.

    Of float64 where the layer is, else of float32.
    """
    return 2.0**-48 if layer.dtype in (np.float64, torch.float64) else 2.0**-19


def _neurons(layer: Array, columns: slice, device: torch.device) -> torch.Tensor:
    """Some columns as rows, (c, n).

    In float64, which tells apart whatever the layer did.
    """
    if isinstance(layer, torch.Tensor):
        return layer[:, columns].T.to(device=device, dtype=torch.float64).contiguous()
    return torch.from_numpy(
        np.array(layer[:, columns].T, dtype=np.float64, order="C")
    ).to(device)
