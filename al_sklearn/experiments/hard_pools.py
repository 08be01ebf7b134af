"""Pools made hard on purpose.

Wrong labels, rare classes, near-duplicates, images that belong to no class.

Each is a small object for ``pool=`` of an experiment or a comparison, alone or in a
list, which is applied in order. It acts once for each seed, on what is left after the
test set was held out: the test set stays as it is, with its true labels. All strategies
of a seed meet the same hard pool.

Examples
--------
>>> import numpy as np
>>> from al_sklearn.experiments.hard_pools import ClassImbalance, HardPool, LabelNoise
>>> y = np.repeat([0, 1, 2], 100)
>>> pool = HardPool(np.zeros((300, 2)), y, np.arange(300))
>>> pool = ClassImbalance(ratio=10, shuffle=False).apply(pool, np.random.default_rng(0))
>>> np.bincount(pool.y[pool.train]).tolist()
[100, 32, 10]
>>> pool = LabelNoise(0.25).apply(pool, np.random.default_rng(0))
>>> int((pool.y != pool.truth).sum()), len(pool.train)
(36, 142)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from al_sklearn._core.types import Array
from al_sklearn.rows import view_rows

__all__ = [
    "ClassImbalance",
    "HardPool",
    "LabelNoise",
    "NearDuplicates",
    "OutOfDistribution",
    "PoolTransform",
]


@dataclass
class HardPool:
    """What a seed's strategies choose from.

    Parameters
    ----------
    X : rows
        Positions mean its rows.
    y : array of shape (n,)
        Labels as they will be revealed.
    train : int64 array
        Increasing positions that may be bought.
    truth : array of shape (n,), optional
        The right labels; ``y`` where nothing has gone wrong.
    outside : bool array of shape (n,), optional
        Images of no class: they can be bought, and nobody learns from them.
    """

    X: Any
    y: Array
    train: Array
    truth: Array = None  # type: ignore[assignment]
    outside: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.truth is None:
            self.truth = self.y
        if self.outside is None:
            self.outside = np.zeros(len(self.y), dtype=bool)

    @property
    def inside(self) -> Array:
        """Positions that may be bought and have a class."""
        return self.train[~self.outside[self.train]]


class PoolTransform(BaseEstimator, ABC):
    """What makes a pool harder; constructors only store."""

    @property
    def stage(self) -> str:
        """What it acts on: ``pool``, ``initial`` or ``bought``.

        The whole pool; what the initial set is drawn from; or what can be bought after
        that, which is neither labelled from the start nor for validation.
        """
        return "pool"

    @abstractmethod
    def apply(self, pool: HardPool, generator: np.random.Generator) -> HardPool:
        """Return a harder pool; the one given stays as it is.

        Parameters
        ----------
        pool : HardPool
        generator : Generator
            The only source of chance.
        """


class LabelNoise(PoolTransform):
    """Wrong labels. What was wrong stays wrong.

    An image has one label, however often it is looked at.

    Parameters
    ----------
    rate : float or dict of class to float, default=0.2
        Share of the images, or of each class' images, that get another label; exactly
        so many, rounded.
    confused_with : dict of class to class, optional
        Which wrong label a class gets, as 3 for 5; a class that is not there gets any
        other, each as likely.
    only_bought : bool, default=False
        Spoil only what strategies can buy (a noisy oracle): the initial set and the
        validation set keep their right labels, and the share is of the rest.
    """

    def __init__(
        self,
        rate: float | Mapping[Any, float] = 0.2,
        confused_with: Mapping[Any, Any] | None = None,
        only_bought: bool = False,
    ):
        self.rate = rate
        self.confused_with = confused_with
        self.only_bought = only_bought

    @property
    def stage(self) -> str:
        """Whether the whole pool is spoilt, or what is bought alone."""
        return "bought" if self.only_bought else "pool"

    def apply(self, pool: HardPool, generator: np.random.Generator) -> HardPool:
        """Return the pool with wrong labels in ``y``; ``truth`` stays."""
        inside = pool.inside
        classes = np.unique(pool.truth[inside])
        # There is no wrong label where there is only one.
        if len(classes) < 2:
            raise ValueError("LabelNoise needs two classes at least.")
        if isinstance(self.rate, Mapping):
            _check_classes("rate", self.rate, classes)
            rates = dict(self.rate)
            # In the order of the classes: the same rates, said in another order, are
            # the same noise.
            known = [label for label in classes.tolist() if label in rates]
            groups = [
                (inside[pool.truth[inside] == label], rates[label]) for label in known
            ]
        else:
            groups = [(inside, self.rate)]
        confused = dict(self.confused_with or {})
        _check_classes("confused_with", [*confused, *confused.values()], classes)
        for label, other in confused.items():
            if label == other:
                raise ValueError(
                    f"confused_with says {label!r} for {label!r}: that would not be "
                    "wrong."
                )
        y = pool.y.copy()
        for positions, rate in groups:
            _check_share("rate", rate)
            # So many exactly, not each with a probability: seeds differ in which
            # images, not in how many.
            for i in generator.permutation(positions)[: round(rate * len(positions))]:
                # Never the right one by chance: the share said is the share of wrong
                # labels.
                others = classes[classes != pool.truth[i]]
                drawn = others[generator.integers(len(others))]
                y[i] = confused.get(pool.truth[i], drawn)
        return replace(pool, y=y)


class ClassImbalance(PoolTransform):
    """Rare classes: sizes fall exponentially from the largest class to the smallest.

    Parameters
    ----------
    ratio : float, default=100
        Largest class over smallest. Class k of C keeps ``ratio ** (-k / (C - 1))`` of
        what the smallest class of the whole pool has, at least one image.
    shuffle : bool, default=True
        Draw for each seed which class is rare; False keeps the order of the labels, the
        first the largest.
    only_initial : bool, default=False
        Draw the initial set alone from so uneven a pool; what can be bought stays as it
        is.
    """

    def __init__(
        self, ratio: float = 100, shuffle: bool = True, only_initial: bool = False
    ):
        self.ratio = ratio
        self.shuffle = shuffle
        self.only_initial = only_initial

    @property
    def stage(self) -> str:
        """Whether the whole pool is uneven, or the initial set alone."""
        return "initial" if self.only_initial else "pool"

    def apply(self, pool: HardPool, generator: np.random.Generator) -> HardPool:
        """Return the pool with fewer positions."""
        if not self.ratio >= 1:
            raise ValueError(
                "ratio must be at least 1 (largest class over smallest), got "
                f"{self.ratio}."
            )
        inside = pool.inside
        classes, counts = np.unique(pool.truth[inside], return_counts=True)
        # The long-tailed versions of CIFAR are made so.
        shares = self.ratio ** (-np.arange(len(classes)) / max(1, len(classes) - 1))
        order = (
            generator.permutation(len(classes))
            if self.shuffle
            else np.arange(len(classes))
        )
        kept = [pool.train[pool.outside[pool.train]]]
        for label, share in zip(classes[order], shares, strict=True):
            # Of the smallest class, so that a pool that is uneven already gets exactly
            # this ratio.
            size = max(1, round(share * counts.min()))
            kept.append(
                generator.permutation(inside[pool.truth[inside] == label])[:size]
            )
        return replace(pool, train=np.sort(np.concatenate(kept)))


class NearDuplicates(PoolTransform):
    """Images that are almost the same: a share of the pool becomes copies of the rest.

    Parameters
    ----------
    share : float, default=0.5
        Share of the pool that is replaced by copies; each is of a random other image,
        and has its label.
    noise : float, default=0.0
        Standard deviation of Gaussian noise on the copies, as a share of X's. 0 copies
        exactly, reads lazily whatever kind X is, and costs no memory; else X must be an
        array in memory, and each seed has a copy of it.
    """

    def __init__(self, share: float = 0.5, noise: float = 0.0):
        self.share = share
        self.noise = noise

    def apply(self, pool: HardPool, generator: np.random.Generator) -> HardPool:
        """Return the pool with other rows at the same positions."""
        _check_share("share", self.share)
        if not 0 <= self.noise < np.inf:
            raise ValueError(f"noise must be a number from 0, got {self.noise}.")
        # Who is copied and who is replaced is one drawing: no image is both.
        order = generator.permutation(pool.train)
        # One original at least.
        n_copies = min(round(self.share * len(order)), len(order) - 1)
        copies, originals = order[:n_copies], order[n_copies:]
        source = np.arange(len(pool.y), dtype=np.int64)
        source[copies] = originals[generator.integers(len(originals), size=n_copies)]
        if self.noise == 0:
            X: Any = view_rows(pool.X, source)
        elif isinstance(pool.X, np.ndarray) and pool.X.dtype.kind in "uif":
            X = _with_noise(pool.X, copies, source[copies], self.noise, generator)
        else:
            raise ValueError(
                f"NearDuplicates(noise={self.noise}) needs X as an array of numbers, "
                f"got {type(pool.X).__name__}; "
                "noise=0 copies rows of any kind."
            )
        y = pool.y[source]
        # Where nothing was wrong nothing is: the truth is y itself.
        truth = y if pool.truth is pool.y else pool.truth[source]
        return replace(pool, X=X, y=y, truth=truth, outside=pool.outside[source])


class OutOfDistribution(PoolTransform):
    """Images that belong to no class of the task.

    They cost a label each, and teach nothing.

    Parameters
    ----------
    classes : iterable of labels
        The classes of ``y`` that are no part of the task. Images of another data set
        are joined to X with a label of their own. None of them is in the test set, the
        initial set or the validation set.
    share : float, optional
        Share of the pool that they make up; more than there are is an error. All are
        kept by default.
    """

    def __init__(self, classes: Iterable[Any], share: float | None = None):
        self.classes = classes
        self.share = share

    def apply(self, pool: HardPool, generator: np.random.Generator) -> HardPool:
        """Return the pool with ``outside`` images, and with so many of them."""
        outside = pool.outside | np.isin(pool.truth, np.asarray(self.classes))
        train = pool.train
        if self.share is not None:
            _check_share("share", self.share)
            strange = train[outside[train]]
            n_inside = len(train) - len(strange)
            # The rest would be nothing, and so would the denominator below.
            if self.share == 1:
                raise ValueError(
                    "share must be below 1: images of the task are there too."
                )
            # A share of the whole pool, which they are part of.
            n_outside = round(n_inside * self.share / (1 - self.share))
            if n_outside > len(strange):
                raise ValueError(
                    f"A share of {self.share} needs {n_outside} images of classes "
                    f"{list(self.classes)} beside the "
                    f"{n_inside} others; there are {len(strange)}."
                )
            gone = generator.permutation(strange)[n_outside:]
            train = np.setdiff1d(train, gone)
        return replace(pool, train=train, outside=outside)


def as_transforms(pool: Any) -> list[PoolTransform]:
    """Return what was given for ``pool=`` as a list."""
    if pool is None:
        return []
    transforms = list(pool) if isinstance(pool, (list, tuple)) else [pool]
    for transform in transforms:
        if not isinstance(transform, PoolTransform):
            raise TypeError(
                "pool must be made of LabelNoise, ClassImbalance, NearDuplicates, "
                "OutOfDistribution or another "
                f"PoolTransform, got {transform!r}."
            )
    return transforms


def outside_classes(pool: Any) -> list[Any]:
    """Return the labels that are no classes of the task."""
    return [
        c
        for step in as_transforms(pool)
        if isinstance(step, OutOfDistribution)
        for c in step.classes
    ]


def _with_noise(
    X: Array,
    copies: Array,
    source: Array,
    noise: float,
    generator: np.random.Generator,
) -> Array:
    changed = X.copy()
    # Whole numbers would wrap round their limits.
    rows = X[source].astype(np.float64)
    # In units of X's own spread: the same noise for bytes and for floats.
    rows += generator.normal(
        scale=noise * float(X.std(dtype=np.float64)), size=rows.shape
    )
    if X.dtype.kind != "f":
        limits = np.iinfo(X.dtype)
        rows = rows.round().clip(limits.min, limits.max)
    changed[copies] = rows
    return changed


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a share from 0 to 1, got {value!r}.")


def _check_classes(name: str, given: Iterable[Any], classes: Array) -> None:
    unknown = [label for label in given if label not in classes.tolist()]
    if unknown:
        raise ValueError(
            f"{name} names {unknown[0]!r}, which is no class; there are "
            f"{classes.tolist()}."
        )
