"""The k highest scores, exactly, with ties broken by position or at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from al_sklearn._core.checks import check_n_instances, renamed
from al_sklearn._core.random import tie_generator
from al_sklearn._core.types import Ints

# scores looked at to guess a threshold; below this many the guess costs more than it
# saves
_SAMPLE = 16384


@renamed(scores="utilities", k="n_instances")
def top_k(
    utilities: ArrayLike | torch.Tensor,
    n_instances: int,
    *,
    random_tie_break: bool = False,
    random_state: Any = None,
) -> tuple[Ints, NDArray[np.floating]]:
    """Positions and values of the `n_instances` highest utilities, highest first.

    Parameters
    ----------
    utilities : array-like or torch.Tensor of shape (n,)
        Utilities, higher = ask first. Infinities are allowed, NaN is not. A tensor may
        be on any device.
    n_instances : int
        How many, 1 … n.
    random_tie_break : bool, default=False
        Equal utilities come in order of position; with True in random order, so that
        which of them are among the `n_instances` is random too.
    random_state : int, Generator, RandomState or None, default=None
        Used with `random_tie_break` alone.

    Returns
    -------
    indices : ndarray of int64, shape (n_instances,)
        Positions in `utilities`, unique.
    values : ndarray of float, shape (n_instances,)
        ``utilities[indices]``.

    Raises
    ------
    ValueError
        If `utilities` is not one-dimensional or holds NaN, or `n_instances` is outside
        1 … n.

    Notes
    -----
    A threshold guessed from a sample of the utilities leaves a few thousand of them,
    among which the selection is exact; where the guess leaves fewer than `n_instances`,
    all utilities are looked at. The result never depends on it.

    Examples
    --------
    >>> from al_sklearn.strategies.selectors import top_k
    >>> top_k([0.1, 0.7, 0.3, 0.7], 3)[0].tolist()
    [1, 3, 2]
    """
    shape = tuple(np.shape(utilities))
    if len(shape) != 1:
        raise ValueError(
            f"utilities must be one-dimensional, one per candidate; got shape {shape}"
        )
    n_instances = check_n_instances(n_instances, shape[0])
    generator = tie_generator(random_state) if random_tie_break else None
    if isinstance(utilities, torch.Tensor) and utilities.device.type != "cpu":
        return _top_k_on_device(utilities.detach(), n_instances, generator)
    values = _as_floats(utilities)
    candidates = _few_with_the_highest(values, n_instances)
    among = values if candidates is None else values[candidates]
    # The minimum is NaN if any is, and NaN is always among the candidates.
    if np.isnan(among.min()):
        n_nan = np.count_nonzero(np.isnan(values))
        raise ValueError(f"utilities contain {n_nan} NaN of {len(values)}")
    indices = _highest_among(candidates, values, n_instances, None, generator)
    return indices, values[indices]


def highest(
    values: NDArray[np.floating],
    k: int,
    *,
    rank: Ints | None = None,
    generator: np.random.Generator | None = None,
) -> Ints:
    """Positions of the `k` highest values in order.

    Ties by position, by `rank` (lowest first) or at random.
    """
    return _highest_among(_few_with_the_highest(values, k), values, k, rank, generator)


def _highest_among(
    candidates: Ints | None,
    values: NDArray[np.floating],
    k: int,
    rank: Ints | None,
    generator: np.random.Generator | None,
) -> Ints:
    pool = values if candidates is None else values[candidates]
    kth = np.partition(pool, len(pool) - k)[len(pool) - k]
    above, tied = np.flatnonzero(pool > kth), np.flatnonzero(pool == kth)
    if candidates is not None:
        above, tied = candidates[above], candidates[tied]

    n_tied = k - len(above)
    if generator is not None:
        tied = generator.choice(tied, n_tied, replace=False)
    elif rank is not None and n_tied < len(tied):
        tied = tied[np.argpartition(rank[tied], n_tied - 1)]
    chosen = np.concatenate([above, tied[:n_tied]])
    if generator is not None:
        second = generator.permutation(k)
    else:
        second = chosen if rank is None else rank[chosen]
    return chosen[np.lexsort((second, -values[chosen]))]


def _few_with_the_highest(values: NDArray[np.floating], k: int) -> Ints | None:
    """Positions of the `k` highest, of ties with them and of NaN; None for all.

    All that tie with the `k` highest, and all NaN, are included.
    """
    stride = len(values) // _SAMPLE
    if stride < 4:
        return None
    sample = values[::stride]
    expected = k / stride
    rank = int(1.25 * expected + 4 * expected**0.5 + 8)
    if rank > len(sample) // 2:
        return None
    threshold = np.partition(sample, len(sample) - rank)[len(sample) - rank]
    # What is not below it: NaN never is.
    positions = np.flatnonzero(~(values < threshold))
    return positions if len(positions) >= k else None


def _as_floats(scores: ArrayLike | torch.Tensor) -> NDArray[np.floating]:
    """The scores as a float32 or float64 array, without a copy where they are one."""
    if isinstance(scores, torch.Tensor):
        scores = scores.detach()
        # numpy has no bfloat16.
        if scores.dtype in (torch.float16, torch.bfloat16):
            scores = scores.float()
        scores = scores.numpy()
    values = np.asarray(scores)
    if values.dtype == np.float16:  # exact, and much faster to compare
        return values.astype(np.float32)
    if values.dtype in (np.float32, np.float64):
        return values
    return values.astype(np.float64)


def _top_k_on_device(
    scores: torch.Tensor, k: int, generator: np.random.Generator | None
) -> tuple[Ints, NDArray[np.floating]]:
    """The same for a tensor elsewhere.

    Only what can be among the `k` crosses to the host.
    """
    if torch.isnan(scores).any():
        raise ValueError(
            f"utilities contain {int(torch.isnan(scores).sum())} NaN of {len(scores)}"
        )
    kth = torch.topk(scores, k).values[-1]
    candidates = torch.nonzero(scores >= kth).flatten()
    values = _as_floats(scores[candidates].cpu())
    chosen = highest(values, k, generator=generator)
    return candidates.cpu().numpy()[chosen], values[chosen]
