"""Measures of posterior samples (T, n, C).

How uncertain their mean is, and how much they disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn.strategies._engine import arrays as blocks
from al_sklearn.strategies._engine import kernels as _kernels
from al_sklearn.strategies._engine.arrays import NARROW, Scratch
from al_sklearn.strategies._engine.particles import Particles

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


def _flat_entropy(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy over the last axis of a small float64 array."""
    return -blocks.sum_classes(
        np.ascontiguousarray((mean * np.log(np.maximum(mean, np.finfo(float).tiny))).T)
    )


def _mean(part: NDArray[Any], scratch: Scratch) -> NDArray[np.float64]:
    """Mean over the samples (r, C), in float64."""
    out = blocks.sum_samples(part, scratch("mean", part.shape[1:], np.float64))
    out /= len(part)
    return out


def _agree(samples: Any) -> Any:
    """Rows on which all samples give the same probabilities."""
    same = samples == samples[:1]
    return same.all(0).all(-1) if blocks.is_tensor(samples) else same.all(axis=(0, 2))


def _by_block(
    kernel: Callable[[NDArray[Any], Scratch], NDArray[Any]],
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """A measure of all rows from one of a block of them."""
    return lambda samples: blocks.per_block(
        samples, kernel, np.empty(samples.shape[1], samples.dtype)
    )


def max_entropy(samples: Any) -> Any:
    """Entropy of the mean prediction, H(mean_t p_t).

    Total uncertainty (Gal et al., ICML 2017).

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities under T posterior samples.

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
    return blocks.per_row(
        samples,
        _kernels.entropy_of_mean,
        lambda s: blocks.tensor_entropy(s.mean(0)).to(s.dtype),
    )


def consensus_entropy(samples: Any) -> Any:
    """Entropy of the members' mean prediction.

    :func:`max_entropy` by the name it has for committees.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities by T members.

    Returns
    -------
    utilities : array or tensor of shape (n,)
        In nats, from 0 to ln C.

    Raises
    ------
    ValueError
        For another shape, or NaN.
    """
    return max_entropy(samples)


def bald(samples: Any) -> Any:
    """Mutual information of prediction and parameters, H(mean_t p_t) - mean_t H(p_t).

    Houlsby et al., *Bayesian active learning for classification and preference
    learning*, 2011; Gal et al., ICML 2017.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities under T posterior samples.

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
    return blocks.per_row(samples, _information, _tensor_information)


def _information(samples: NDArray[Any]) -> NDArray[Any]:
    total, expected = _kernels.sampled_entropies(samples)
    information = np.maximum(total - expected, 0)
    # Rounding must not rank images on which all samples agree.
    little = np.flatnonzero(information < _NEARLY_NOTHING)
    information[little[rows_that_agree(samples, little)]] = 0
    return information


def _tensor_information(samples: Any) -> Any:
    information = blocks.tensor_entropy(samples.mean(0)) - blocks.tensor_entropy(
        samples
    ).mean(0)
    information[_agree(samples)] = 0
    return information.clamp_min(0).to(samples.dtype)


def kl_disagreement(samples: Any, *, reduction: str = "mean") -> Any:
    """Kullback-Leibler divergence of the members from their mean.

    The measure is that of McCallum & Nigam, ICML 1998.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities by T members.
    reduction : {"mean", "max"}, default="mean"
        The mean over the members, which is the mutual information of :func:`bald`; or
        the largest, as in modAL.

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
        return bald(samples)
    return blocks.per_row(
        samples, _by_block(_largest_divergence), _tensor_largest_divergence
    )


def _largest_divergence(part: NDArray[Any], scratch: Scratch) -> NDArray[np.float64]:
    log_mean = np.log(np.maximum(_mean(part, scratch), np.finfo(float).tiny))
    largest = np.full(part.shape[1], -np.inf)
    for member in part:
        p = member.astype(np.float64)
        # Wherever a member's p is above 0, so is the mean.
        terms = p * (np.log(np.maximum(p, np.finfo(float).tiny)) - log_mean)
        np.maximum(
            largest, blocks.sum_classes(blocks.turned(terms, scratch)), out=largest
        )
    largest[_agree(part)] = 0
    return np.maximum(largest, 0)


def _tensor_largest_divergence(samples: Any) -> Any:
    import torch

    p = samples.double()
    tiny = torch.finfo(p.dtype).tiny
    divergence = (
        (p * (p.clamp_min(tiny).log() - p.mean(0).clamp_min(tiny).log()))
        .sum(-1)
        .amax(0)
    )
    divergence[_agree(samples)] = 0
    return divergence.clamp_min(0).to(samples.dtype)


def mean_std(samples: Any) -> Any:
    """Mean over the classes of the standard deviation over the samples.

    The measure is that of Kampffmeyer et al., CVPRW 2016.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities under T posterior samples.

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

    def on_tensor(s: Any) -> Any:
        deviations = s - s[:1]
        return deviations.double().var(0, correction=0).sqrt().mean(-1).to(s.dtype)

    return blocks.per_row(samples, _by_block(_mean_deviation), on_tensor)


def _mean_deviation(part: NDArray[Any], scratch: Scratch) -> NDArray[np.float64]:
    # About the first sample: where all agree nothing is left, and no digits cancel
    # where they nearly do.
    shifted = np.subtract(part, part[0], out=scratch("logs", part.shape, part.dtype))
    mean = _mean(shifted, scratch)
    squares = np.multiply(shifted, shifted, out=shifted)
    variance = blocks.sum_samples(squares, scratch("sums", part.shape[1:], np.float64))
    variance /= len(part)
    variance -= mean * mean
    np.sqrt(np.maximum(variance, 0, out=variance), out=variance)
    return blocks.sum_classes(blocks.turned(variance, scratch)) / part.shape[2]


def vote_shares(
    votes: Any,
    classes: ArrayLike | None = None,
    *,
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> NDArray[np.float64]:
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
    samples: Any, random_tie_break: bool, random_state: RandomState
) -> NDArray[np.int64]:
    """Votes (n, C) of T probability samples."""
    samples = blocks.check(samples, 3, "samples")
    n_samples, n, n_classes = samples.shape
    if blocks.on_device(samples):
        if bool((samples != samples).any()):
            blocks.check_finite(samples.sum(0).sum(-1))
        samples = samples.cpu() if random_tie_break else samples
    if blocks.on_device(samples):
        import torch

        votes = torch.zeros((n, n_classes), dtype=torch.int64, device=samples.device)
        one = torch.ones((n, 1), dtype=torch.int64, device=samples.device)
        for sample in samples:
            votes.scatter_add_(1, sample.argmax(1, keepdim=True), one)
        return votes.cpu().numpy()
    array = samples.numpy() if blocks.is_tensor(samples) else samples
    counts = np.zeros((n, n_classes), dtype=np.int64)
    tied = np.zeros(n, dtype=bool)
    largest = np.zeros(n)

    def span(start: int, stop: int) -> None:
        scratch = Scratch()
        for rows in _kernels._blocks(start, stop, n_classes):
            here = counts[rows]
            ascending = np.arange(len(here))
            for sample in array[:, rows]:
                winners, best, ties = _winners(sample, scratch)
                here[ascending, winners] += 1
                tied[rows] |= ties
                largest[rows] += best

    _kernels._in_threads(span, n, n_samples * n_classes)
    blocks.check_finite(largest)
    if random_tie_break:
        _break_ties(array, counts, np.flatnonzero(tied), as_generator(random_state))
    return counts


def _winners(
    sample: NDArray[Any], scratch: Scratch
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.bool_]]:
    """First largest class of every row (r, C), its value, and whether it ties.

    The value is NaN if any is; a tie is another class that is as large.
    """
    p = blocks.turned(sample, scratch)
    if len(p) > NARROW:
        winners = sample.argmax(axis=1)
        best = sample[np.arange(len(sample)), winners]
        return winners, best, (sample == best[:, None]).sum(axis=1) > 1
    best = p.max(axis=0)
    winners, n_best = (
        np.zeros(p.shape[1], dtype=np.int64),
        np.zeros(p.shape[1], dtype=np.int8),
    )
    for column in range(len(p) - 1, -1, -1):
        is_best = p[column] == best
        np.copyto(winners, column, where=is_best)
        n_best += is_best
    return winners, best, n_best > 1


def _break_ties(
    array: NDArray[Any],
    counts: NDArray[np.int64],
    tied: NDArray[np.int64],
    generator: np.random.Generator,
) -> None:
    """Count the tied rows again, each tie for a class drawn among the largest."""
    for row in tied:
        p = array[:, row]
        best = p == p.max(axis=1, keepdims=True)
        # The k-th of the tied classes of each member, k uniform.
        drawn = np.floor(generator.random(len(p)) * best.sum(axis=1)) + 1
        winners = (np.cumsum(best, axis=1) >= drawn[:, None]).argmax(axis=1)
        counts[row] = np.bincount(winners, minlength=p.shape[1])


def _as_given(utilities: NDArray[np.float64], samples: Any) -> Any:
    """An ndarray, or a tensor on the device of the samples."""
    if not blocks.is_tensor(samples):
        return utilities
    import torch

    return torch.from_numpy(utilities).to(samples.device)


def variation_ratio(
    samples: Any, *, random_tie_break: bool = False, random_state: RandomState = None
) -> Any:
    """One minus the share of the votes that the winning class has.

    The measure is that of Freeman (1965), for query by committee.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities by T members; each votes for its largest.
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
    counts = _counts(samples, random_tie_break, random_state)
    n_samples = len(samples)
    return _as_given((n_samples - counts.max(axis=1)) / n_samples, samples)


def vote_entropy(
    samples: Any, *, random_tie_break: bool = False, random_state: RandomState = None
) -> Any:
    """Entropy of the votes of the members (Engelson & Dagan, ACL 1996).

    For labels instead of probabilities: ``entropy(vote_shares(labels))``.

    Parameters
    ----------
    samples : array or tensor of shape (T, n, C)
        Class probabilities by T members; each votes for its largest.
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
    counts = _counts(samples, random_tie_break, random_state)
    # Sorted, so that the same counts for other classes give the same number to the last
    # bit.
    return _as_given(_flat_entropy(np.sort(counts, axis=1) / len(samples)), samples)


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
    agree = rows_that_agree(samples)
    if blocks.is_tensor(samples):
        information = (
            (total.double() - _as_given(given, samples)).clamp_min(0).to(total.dtype)
        )
        information[_as_given(agree, samples)] = 0  # type: ignore[arg-type]
        return information
    information = np.maximum(total - given, 0)
    information[agree] = 0
    return information.astype(total.dtype)


def rows_that_agree(
    samples: Any, rows: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Which rows have the same probabilities under all samples.

    All rows are checked, or those named, sample by sample.
    """
    first = samples[0] if rows is None else samples[0][rows]
    same = np.ones(len(first), dtype=bool)
    for sample in samples[1:]:
        equal = ((sample if rows is None else sample[rows]) == first).all(-1)
        same &= equal.cpu().numpy() if blocks.is_tensor(equal) else equal
    return same
