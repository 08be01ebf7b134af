"""Several networks out of one training.

Snapshots at the low points of a cyclic learning rate.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sized
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback, LRScheduler
from torch import nn

from al_sklearn._core.random import as_seed
from al_sklearn._core.types import Options
from al_sklearn.estimators._ensemble import Members
from al_sklearn.estimators._fitting import fit_seeded
from al_sklearn.estimators._reach import add_callback, inner_net, with_module


class SnapshotEnsemble(Members):
    """Members of an ensemble for the price of one training.

    The learning rate starts at the net's ``lr`` and falls to zero along a cosine,
    ``n_snapshots`` times within the net's ``max_epochs``. At the end of each cycle the
    network has settled somewhere else, and its weights are kept.

    Parameters
    ----------
    estimator : skorch net, or Pipeline that ends in one
        An :class:`ImageClassifier` or any other skorch classifier; cloned. Its
        ``max_epochs`` are those of all cycles together, its ``lr`` is the highest of
        each cycle and should be generous. It must not schedule its learning rate or
        stop early itself.
    n_snapshots : int, default=5
        Cycles, and members.
    random_state : int, Generator, RandomState or None, default=None
        Source of the training's seed, set at every ``random_state`` inside.

    Attributes
    ----------
    estimators_ : list of nets
        One for each snapshot, in the order of training.
    estimator_ : net or Pipeline
        What was trained; its weights are those of the last snapshot.
    classes_ : array of shape (n_classes,)
        Class labels, sorted.

    See Also
    --------
    DeepEnsemble : Members trained apart: more different, and as many trainings.
    LaplaceClassifier : Samples of the last layer alone.

    References
    ----------
    Huang, Li, Pleiss, Liu, Hopcroft, Weinberger. Snapshot Ensembles: Train 1, get M for
    free. ICLR 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from al_sklearn import ImageClassifier
    >>> X, y = load_digits().images.astype("float32"), load_digits().target
    >>> net = ImageClassifier(max_epochs=6)
    >>> ensemble = SnapshotEnsemble(net, n_snapshots=3, random_state=0)
    >>> ensemble = ensemble.fit(X[:100], y[:100])
    >>> ensemble.sample_proba(X[:50]).shape
    (3, 50, 10)
    """

    def __init__(self, estimator: Any, n_snapshots: int = 5, random_state: Any = None):
        self.estimator = estimator
        self.n_snapshots = n_snapshots
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> SnapshotEnsemble:
        """Train once and keep the weights at the end of each cycle.

        Parameters
        ----------
        X, y, **fit_params
            Handed to the estimator's ``fit``.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            When the estimator is no skorch net and does not end in one.
        ValueError
            When ``n_snapshots`` is not from 1 to ``max_epochs``, or the net schedules
            its learning rate or stops before the last cycle ends.
        """
        net = _net_of(self.estimator)
        epochs = net.max_epochs
        n = self.n_snapshots
        whole = isinstance(n, Integral) and not isinstance(n, bool)
        if not whole or not 1 <= n <= epochs:
            raise ValueError(
                f"n_snapshots must be an integer from 1 to max_epochs={epochs}, got "
                f"{n!r}."
            )
        _check_free(net)
        cycles = _Cycles(
            # Cycles that differ by an epoch at most, and end with the training.
            np.linspace(0, epochs, int(n) + 1).round().astype(int).tolist()
        )
        estimator = clone(self.estimator)
        add_callback(estimator, "snapshots", cycles)
        fit_seeded(estimator, X, y, as_seed(self.random_state), **fit_params)
        if len(cycles.states_) < n:
            raise ValueError(
                f"Training ended after {len(cycles.states_)} of {n} cycles: the net "
                "must train all its max_epochs; "
                "remove what stops it early."
            )
        trained = _net_of(estimator)
        self.estimators_ = [_with_weights(trained, state) for state in cycles.states_]
        # The callbacks go on where training goes on; weights kept twice would only make
        # the pickle larger.
        cycles.states_ = []
        self.estimator_ = estimator
        self.classes_ = trained.classes_
        self._copy_shape(estimator)
        return self

    def _prepare(self, X: Any) -> Any:
        """Transform X once for all members, where a pipeline was trained."""
        fitted = self.estimator_
        return (
            fitted[:-1].transform(X)
            if isinstance(fitted, Pipeline) and len(fitted) > 1
            else X
        )


def _net_of(estimator: Any) -> Any:
    """Return the skorch net, itself or at the end of a pipeline."""
    found = inner_net(estimator)
    if found is None:
        last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        raise TypeError(
            "SnapshotEnsemble needs an ImageClassifier, another skorch net or a "
            f"Pipeline that ends in one, got {type(last).__name__}; use DeepEnsemble "
            "for other classifiers."
        )
    return found[1]


def _check_free(net: Any) -> None:
    """Raise a ``ValueError`` when the net sets its own rate or last weights."""
    own = ("schedule", "warmup_epochs", "swa")
    given = [name for name in own if getattr(net, name, None)]
    if net.callbacks == "disable":
        raise ValueError(
            "SnapshotEnsemble works by a callback: callbacks='disable' leaves no room "
            "for it."
        )
    for callback in net.callbacks or []:
        callback = callback[1] if isinstance(callback, tuple) else callback
        kind = callback if isinstance(callback, type) else type(callback)
        if issubclass(kind, LRScheduler):
            given.append(kind.__name__)
    if given:
        raise ValueError(
            "SnapshotEnsemble sets the learning rate and keeps the weights: remove "
            f"{', '.join(given)}."
        )


def _with_weights(net: Any, state: Options) -> Any:
    """Return the same fitted net with other weights; all but the network is shared."""
    module = copy.deepcopy(net.module_)
    module.load_state_dict(state)
    return with_module(net, module)


class _Cycles(Callback):
    """Anneal the learning rate along a cosine in each cycle, and keep the weights.

    They are kept as they are at each cycle's end.

    Parameters
    ----------
    ends : list of int
        Epochs at which cycles begin and end: 0, …, ``max_epochs``.
    """

    def __init__(self, ends: list[int]):
        self.ends = ends

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.states_: list[Options] = []
        self.epoch_ = -1
        self.highest_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_epoch_begin(
        self, net: Any, dataset_train: Any = None, **kwargs: Any
    ) -> None:
        self.epoch_ += 1
        self.batch_ = 0
        iterator = net.get_iterator(dataset_train, training=True)
        # Where the number of batches is not known, the rate changes once an epoch.
        self.batches_ = len(iterator) if isinstance(iterator, Sized) else 1

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if not training:
            return
        begin, end = self.ends[len(self.states_) :][:2]
        epochs = self.epoch_ - begin + min(self.batch_ / self.batches_, 1)
        done = epochs / (end - begin)
        # Each group anneals from its own rate: a head may learn faster than its trunk.
        groups = net.optimizer_.param_groups
        for group, highest in zip(groups, self.highest_, strict=True):
            group["lr"] = highest * (1 + math.cos(math.pi * done)) / 2
        self.batch_ += 1

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self.epoch_ + 1 == self.ends[len(self.states_) + 1]:
            self.states_.append(_weights(net.module_))


def _weights(module: nn.Module) -> Options:
    """Copy weights and buffers, on the device where they are."""
    return {
        name: tensor.detach().clone() for name, tensor in module.state_dict().items()
    }
