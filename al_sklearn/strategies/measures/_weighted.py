"""Measures of members whose votes weigh differently, by their definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from al_sklearn._core.types import Floats
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._engine import arrays as blocks


def check_weights(weights: Any, n_samples: int) -> Floats:
    """Return weights of the samples, (T,), that sum to 1.

    Raises
    ------
    ValueError
        Unless there is one a sample, none negative and one above 0.
    """
    checked = np.asarray(weights, dtype=np.float64)
    is_right = checked.shape == (n_samples,) and np.isfinite(checked).all()
    if not is_right or checked.min() < 0 or checked.sum() <= 0:
        raise ParameterError(
            f"weights must be one number from 0 on for each of the {n_samples} "
            f"samples, not all 0, got {weights!r}.",
            "weights",
        )
    return checked / checked.sum()


def max_entropy(samples: Any, weights: Floats) -> Any:
    """H(Σ_t w_t p_t)."""
    return _per_row(samples, weights, lambda p, w: blocks.entropy_of((w * p).sum(0)))


def bald(samples: Any, weights: Floats) -> Any:
    """H(Σ_t w_t p_t) - Σ_t w_t H(p_t); 0 where all that weigh agree."""
    return _per_row(samples, weights, _information)


def max_divergence(samples: Any, weights: Floats) -> Any:
    """Largest Kullback-Leibler divergence of a member from the weighted mean."""
    return _per_row(samples, weights, _largest_divergence)


def mean_std(samples: Any, weights: Floats) -> Any:
    """Mean over the classes of the weighted standard deviation."""
    return _per_row(samples, weights, _mean_deviation)


def _per_row(
    samples: Any,
    weights: Floats,
    measure: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> Any:
    # Members that weigh nothing are none.
    members = np.flatnonzero(weights)
    w = torch.from_numpy(weights[members])[:, None, None]

    def of_block(block: torch.Tensor) -> torch.Tensor:
        return measure(block.double(), w.to(block.device))

    return blocks.per_row(samples[members], of_block)


def _information(p: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    expected = (w[..., 0] * blocks.entropy_of(p)).sum(0)
    gained = (blocks.entropy_of((w * p).sum(0)) - expected).clamp_(min=0)
    # Rounding must not rank rows on which all agree.
    return gained.masked_fill_(blocks.agree(p), 0)


def _largest_divergence(p: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    tiny = torch.finfo(p.dtype).tiny
    ratio = (p + tiny).log_() - ((w * p).sum(0) + tiny).log_()
    divergence = (p * ratio).sum(-1).amax(0).clamp_(min=0)
    return divergence.masked_fill_(blocks.agree(p), 0)


def _mean_deviation(p: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    mean = (w * p).sum(0)
    variance = (w * (p - mean).square()).sum(0).clamp_(min=0)
    return variance.sqrt_().mean(-1).masked_fill_(blocks.agree(p), 0)
