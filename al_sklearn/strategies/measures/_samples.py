"""Measures of posterior samples (T, n, C).

How uncertain their mean is, and how much they disagree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Floats, Ints
from al_sklearn.strategies._engine import arrays as blocks
from al_sklearn.strategies._engine.particles import Particles
from al_sklearn.strategies.measures import _weighted as weighted

__all__ = [
    "bald",
    "consensus_entropy",
    "epig",
    "kl_disagreement",
    "max_entropy",
    "mean_std",
    "variation_ratio",
    "vote_entropy",
    "vote_shares",
]

# Where information is below this, rounding could be all there is: those rows are looked
# at again.
_NEARLY_NOTHING = 1e-3


def max_entropy(samples: Any, *, weights: ArrayLike | None = None) -> Any:
    """Entropy of the mean prediction, H(mean_t p_t).

    Total uncertainty (Gal et al., ICML 2017).

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities under T posterior samples.
    weights : array-like of shape (T,), optional
        How much each sample counts, as the weights of a vote do; the same by default.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        In nats, from 0 to ln C.

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    samples = blocks.check(samples, 3, "samples")
    if weights is not None:
        given = weighted.check_weights(weights, len(samples))
        return weighted.max_entropy(samples, given)
    n_samples = len(samples)
    return blocks.sums_over_samples(
        samples, (_itself,), lambda _, total: blocks.entropy_of(total / n_samples)
    )


def consensus_entropy(samples: Any, *, weights: ArrayLike | None = None) -> Any:
    """Entropy of the members' mean prediction.

    :func:`max_entropy` by the name it has for committees.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities by T members.
    weights : array-like of shape (T,), optional
        How much each sample counts, as the weights of a vote do; the same by default.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        In nats, from 0 to ln C.

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    return max_entropy(samples, weights=weights)


def bald(samples: Any, *, weights: ArrayLike | None = None) -> Any:
    """Mutual information of prediction and parameters, H(mean_t p_t) - mean_t H(p_t).

    Houlsby et al., *Bayesian active learning for classification and preference
    learning*, 2011; Gal et al., ICML 2017.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities under T posterior samples.
    weights : array-like of shape (T,), optional
        How much each sample counts, as the weights of a vote do; the same by default.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        In nats; never negative, and exactly 0 where all samples agree.

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    samples = blocks.check(samples, 3, "samples")
    if weights is not None:
        given = weighted.check_weights(weights, len(samples))
        return weighted.bald(samples, given)
    n_samples = len(samples)

    def information(rows: slice, p: torch.Tensor, p_log_p: torch.Tensor) -> Any:
        total = blocks.entropy_of(p / n_samples)
        expected = 0 - p_log_p.sum(-1) / n_samples
        gained = (total - expected).clamp_(min=0)
        # Rounding must not rank images on which all samples agree.
        little = (gained < _NEARLY_NOTHING).nonzero()[:, 0].cpu()
        if len(little):
            where = little + rows.start
            few = samples[:, where if blocks.is_tensor(samples) else where.numpy()]
            same = blocks.agree(blocks.block_of(few, slice(None), torch.float64))
            gained[little[same.cpu()]] = 0
        return gained

    return blocks.sums_over_samples(samples, (_itself, blocks.p_log_p), information)


def _itself(p: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return p


def kl_disagreement(
    samples: Any, *, reduction: str = "mean", weights: ArrayLike | None = None
) -> Any:
    """Kullback-Leibler divergence of the members from their mean.

    The measure is that of McCallum & Nigam, ICML 1998.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities by T members.
    reduction : {"mean", "max"}, default="mean"
        The mean over the members, which is the mutual information of :func:`bald`; or
        the largest, as in modAL.
    weights : array-like of shape (T,), optional
        How much each sample counts, as the weights of a vote do; the same by default.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        In nats, 0 where all agree.

    Raises
    ------
    ValueError
        For another shape, NaN, or an unknown reduction.
    """
    if reduction not in ("mean", "max"):
        raise unknown_name("reduction", reduction, ("mean", "max"))
    samples = blocks.check(samples, 3, "samples")
    if reduction == "mean":
        return bald(samples, weights=weights)
    if weights is not None:
        given = weighted.check_weights(weights, len(samples))
        return weighted.max_divergence(samples, given)
    return blocks.per_row(samples, _largest_divergence)


def _largest_divergence(samples: torch.Tensor) -> torch.Tensor:
    p = samples.double()
    tiny = torch.finfo(p.dtype).tiny
    # Wherever a member's p is above 0, so is the mean.
    ratio = (p + tiny).log_() - (blocks.mean_of_samples(p) + tiny).log_()
    divergence = (p * ratio).sum(-1).amax(0)
    divergence[blocks.agree(samples)] = 0
    return divergence.clamp_(min=0)


def mean_std(samples: Any, *, weights: ArrayLike | None = None) -> Any:
    """Mean over the classes of the standard deviation over the samples.

    The measure is that of Kampffmeyer et al., CVPRW 2016.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities under T posterior samples.
    weights : array-like of shape (T,), optional
        How much each sample counts, as the weights of a vote do; the same by default.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        From 0 (exactly, where all samples agree) to 1/2.

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    samples = blocks.check(samples, 3, "samples")
    if weights is not None:
        given = weighted.check_weights(weights, len(samples))
        return weighted.mean_std(samples, given)

    return blocks.per_row(samples, _mean_deviation)


def _mean_deviation(samples: torch.Tensor) -> torch.Tensor:
    # About the first sample: where all agree nothing is left, and no digits cancel
    # where they nearly do.
    shifted = samples - samples[:1]
    mean = blocks.mean_of_samples(shifted.double())
    squares = blocks.mean_of_samples(shifted.square_().double())
    variance = squares - mean.square_()
    return variance.clamp_(min=0).sqrt_().mean(-1)


def vote_shares(
    votes: Any,
    classes: ArrayLike | None = None,
    *,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Floats:
    """Share of the members that vote for each class.

    Feed it to any measure of probabilities: ``entropy(vote_shares(votes))`` is the vote
    entropy of labels.

    Parameters
    ----------
    votes : array of labels of shape (n, T), or probabilities of shape (T, n, C)
        What T members predict, labels of any type; of probabilities the largest is the
        vote.
    classes : array of shape (C,), optional
        For labels, the columns of the result; by default every label seen, sorted.
    random_tie_break : bool, default=False
        For probabilities, a member with several largest votes for any of them at random
        instead of the first.
    random_state : int, Generator or None
        For ``random_tie_break``.

    Returns
    -------
    shares : float64 array of shape (n, C)
        Rows sum to 1.

    Raises
    ------
    ValueError
        For another shape, NaN, or a vote that is not among ``classes``.

    Examples
    --------
    >>> vote_shares(np.array([["cat", "dog"], ["dog", "dog"]]))
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    if not blocks.is_tensor(votes):
        votes = np.asarray(votes)
    if votes.ndim == 3:
        return _counts(votes, random_tie_break, random_state) / votes.shape[0]
    if votes.ndim != 2 or votes.shape[1] == 0:
        raise ValueError(
            "votes must be labels (n, T) or probabilities (T, n, C), got shape "
            f"{tuple(votes.shape)}."
        )
    labels = votes.cpu().numpy() if blocks.is_tensor(votes) else votes
    known = np.unique(labels) if classes is None else np.asarray(classes)
    shares = np.stack([(labels == label).mean(axis=1) for label in known], axis=1)
    short = shares.sum(axis=1) < 1 - 1e-9
    if short.any():
        raise ValueError(
            f"Row {int(short.argmax())} has votes that are not among the classes "
            f"{known.tolist()}."
        )
    return shares


def _counts(
    samples: Any,
    random_tie_break: bool,
    random_state: RandomState,
    weights: ArrayLike | None = None,
) -> Any:
    """Votes (n, C) of T probability samples, or the sums of the votes' weights."""
    samples = blocks.check(samples, 3, "samples")
    n, n_classes = samples.shape[1:]
    # One vote each, in whole numbers.
    each: Any = np.ones(len(samples), dtype=np.int64)
    if weights is not None:
        each = weighted.check_weights(weights, len(samples))
    counts = np.zeros((n, n_classes), dtype=each.dtype)
    votes = torch.from_numpy(each)
    tied = np.zeros(n, dtype=bool)
    largest = np.zeros(n)
    with torch.inference_mode():
        for rows, block in blocks.in_blocks(samples):
            best, winners = block.max(dim=2)
            here = torch.zeros(block.shape[1:], dtype=votes.dtype, device=block.device)
            cast = votes.to(block.device).expand(winners.T.shape)
            here.scatter_add_(1, winners.T, cast)
            counts[rows] = here.cpu().numpy()
            largest[rows] = best.sum(0).cpu().numpy()
            if random_tie_break:
                is_best = (block == best[..., None]).sum(-1) > 1
                tied[rows] = is_best.any(0).cpu().numpy()
    blocks.check_finite(largest)
    if random_tie_break:
        generator = as_generator(random_state)
        _break_ties(samples, counts, np.flatnonzero(tied), each, generator)
    return counts


def _break_ties(
    samples: Any,
    counts: Any,
    tied: Ints,
    each: Any,
    generator: np.random.Generator,
) -> None:
    """Count the tied rows again, each tie for a class drawn among the largest."""
    for row in tied:
        p = np.asarray(blocks.block_of(samples, row, torch.float64).cpu())
        best = p == p.max(axis=1, keepdims=True)
        # The k-th of the tied classes of each member, k uniform.
        drawn = np.floor(generator.random(len(p)) * best.sum(axis=1)) + 1
        winners = (np.cumsum(best, axis=1) >= drawn[:, None]).argmax(axis=1)
        # Of whole weights the sums are whole: assigned as what the counts are.
        counts[row] = np.bincount(winners, weights=each, minlength=p.shape[1])


def variation_ratio(
    samples: Any,
    *,
    weights: ArrayLike | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Any:
    """One minus the share of the votes that the winning class has.

    The measure is that of Freeman (1965), for query by committee.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities by T members; each votes for its largest.
    weights : array-like of shape (T,), optional
        How much each sample counts, as the weights of a vote do; the same by default.
    random_tie_break : bool, default=False
        A member with several largest votes for any of them at random instead of the
        first.
    random_state : int, Generator or None
        For ``random_tie_break``.

    Returns
    -------
    utilities : float64 array or tensor of shape (n,)
        From 0 to 1 - 1/min(T, C), in steps of 1/T: many are equal.

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    # In whole votes, so that equal counts give equal utilities.
    counts = _counts(samples, random_tie_break, random_state, weights)
    n_votes = len(samples) if weights is None else 1.0
    return blocks.like((n_votes - counts.max(axis=1)) / n_votes, samples)


def vote_entropy(
    samples: Any,
    *,
    weights: ArrayLike | None = None,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Any:
    """Entropy of the votes of the members (Engelson & Dagan, ACL 1996).

    For labels instead of probabilities: ``entropy(vote_shares(labels))``.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities by T members; each votes for its largest.
    weights : array-like of shape (T,), optional
        How much each sample counts, as the weights of a vote do; the same by default.
    random_tie_break : bool, default=False
        A member with several largest votes for any of them at random instead of the
        first.
    random_state : int, Generator or None
        For ``random_tie_break``.

    Returns
    -------
    utilities : float64 array or tensor of shape (n,)
        In nats, from 0 to ln min(T, C).

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    counts = _counts(samples, random_tie_break, random_state, weights)
    # Sorted, so that the same counts for other classes give the same number to the last
    # bit.
    n_votes = len(samples) if weights is None else 1.0
    shares = torch.from_numpy(np.sort(counts, axis=1) / n_votes)
    return blocks.like(blocks.entropy_of(shares).numpy(), samples)


def epig(samples: Any, target_samples: Any) -> Any:
    """Expected information about predictions elsewhere.

    The measure is that of Bickford Smith et al., AISTATS 2023.

    H[E p(y)] + E_* H[E p(y*)] - E_* H[E_t p_t(y) p_t(y*)]: how much the label of a
    candidate is expected to say about the labels of the target inputs.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities of the candidates under T posterior samples.
    target_samples : array or tensor of shape (T, m, C)
        Those of the target inputs, under the same posterior samples in the same order.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        In nats; never negative, and exactly 0 where all samples agree.

    Raises
    ------
    ValueError
        For other shapes, numbers of samples that differ, or NaN.

    Notes
    -----
    Equal to H[E p(y)] minus the mean entropy of y given each label y* of each target,
    one matrix product for all of them; O(n m C² T) time.
    """
    samples, targets = (
        blocks.check(samples, 3, "samples"),
        blocks.check(target_samples, 3, "target_samples"),
    )
    if len(samples) != len(targets) or targets.shape[1] == 0:
        raise ValueError(
            f"target_samples must hold at least one row under the same {len(samples)} "
            "posterior samples, got shape "
            f"{tuple(targets.shape)}."
        )
    total = max_entropy(samples)
    host = np.asarray(
        targets.cpu() if blocks.is_tensor(targets) else targets, dtype=np.float64
    )
    if np.isnan(host).any():
        raise ValueError("target_samples contain NaN.")
    joint = host.reshape(len(host), -1).T / host.shape[1]
    given = Particles.of(joint / len(host)).mean_entropy(samples)
    entropies = total.double().cpu().numpy() if blocks.is_tensor(total) else total
    information = np.maximum(entropies - given, 0)
    information[blocks.rows_that_agree(samples)] = 0
    kind = np.float64 if total.dtype.itemsize == 8 else np.float32
    return blocks.like(information.astype(kind), samples)
