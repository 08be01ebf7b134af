"""A battery of checks that every query strategy must pass: ours, and yours.

Examples
--------
>>> from functools import partial
>>> from al_sklearn.strategies import coreset
>>> from al_sklearn.strategies.checks import check_query_strategy
>>> check_query_strategy(partial(coreset, metric="cosine"))
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError

from al_sklearn._core.types import Array
from al_sklearn.inference import takes_nan
from al_sklearn.rows import RowView, n_rows
from al_sklearn.strategies._registry import Strategy, get_strategy, strategy_name

__all__ = ["check_query_strategy", "yield_checks"]


class _Learner:
    """The least a strategy may expect of a learner.

    An estimator with the data it was taught.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        rows: Callable[[Array], Any] = np.asarray,
    ):
        self.estimator, self.X_training, self.y_training = estimator, X, y
        self.rows = rows  # makes of an array the kind of rows that candidates are
        self.query_strategy = None

    @property
    def classes_(self) -> Any:
        return self.estimator.classes_

    def predict(self, X: Any) -> Any:
        return self.estimator.predict(X)

    def predict_proba(self, X: Any) -> Any:
        return self.estimator.predict_proba(X)


def check_query_strategy(
    strategy: str | Strategy,
    classifier: Any = None,
    rows: Callable[[Array], Any] = np.asarray,
) -> None:
    """Check that a query strategy keeps the contract.

    Parameters
    ----------
    strategy : str or callable
        A name, or ``strategy(classifier, X, n_instances=1, *, random_tie_break,
        random_state) -> (indices, scores)``.
    classifier : unfitted classifier for (n, 64) floats, optional
        What it is tried with; a random forest by default, which gives probabilities,
        posterior samples, embeddings and gradient factors.
    rows : callable, default=numpy.asarray
        Makes of (n, 64) floats the kind of candidates to try it with: images, a data
        frame, a torch data set.

    Raises
    ------
    AssertionError
        When a check fails; the message says which, and how.
    """
    strategy = get_strategy(strategy)
    for check in yield_checks():
        try:
            check(strategy, _taught(classifier, rows))
        except AssertionError as error:
            raise AssertionError(
                f"{strategy_name(strategy)} fails {check.__name__}: {error}"
            ) from error


def yield_checks() -> Iterator[Callable[[Strategy, Any], None]]:
    """Yield the checks, each a function of the strategy and a fitted learner.

    For ``pytest.mark.parametrize``.
    """
    yield check_indices_and_scores
    yield check_one_and_all
    yield check_it_is_repeatable
    yield check_tie_breaks_keep_the_contract
    yield check_nothing_is_changed
    yield check_lazy_rows_give_the_same
    yield check_duplicates_and_constant_features
    yield check_bad_requests
    yield check_it_pickles


def _pool() -> tuple[Array, Array, Array, Array]:
    """Real digits: 150 to choose from, 40 labelled."""
    X, y = load_digits(return_X_y=True)
    # Mixed: the file has the digits nearly in turn, which would hide an order of rows.
    order = np.random.default_rng(0).permutation(len(X))[:190]
    X, y = X[order].astype(np.float32) / 16, y[order]
    return X[:150], y[:150], X[150:], y[150:]


def _taught(classifier: Any, rows: Callable[[Array], Any] = np.asarray) -> _Learner:
    _, _, X, y = _pool()
    # A forest gives most of what strategies ask for, and trains in no time.
    if classifier is None:
        classifier = RandomForestClassifier(20, random_state=0)
    # Of a frame, the names of the columns are learnt too.
    seen = rows(X) if hasattr(rows(X[:1]), "columns") else X
    return _Learner(clone(classifier).fit(seen, y), seen, y, rows)


def _assert_contract(indices: Any, scores: Any, n_instances: int, n: int) -> None:
    assert isinstance(indices, np.ndarray) and indices.dtype == np.int64, (
        f"indices must be an int64 array, got {indices!r}"
    )
    assert indices.shape == (n_instances,), (
        f"{n_instances} indices were asked for, got shape {indices.shape}"
    )
    assert len(np.unique(indices)) == n_instances, f"indices repeat: {np.sort(indices)}"
    assert indices.min() >= 0 and indices.max() < n, (
        f"indices lie outside the pool of {n}: {indices}"
    )
    scores = np.asarray(scores)
    assert scores.shape == (n_instances,), (
        f"scores must have shape ({n_instances},), got {scores.shape}"
    )
    assert scores.dtype.kind == "f", f"scores must be floats, got {scores.dtype}"
    assert not np.isnan(scores).any(), "scores contain NaN"


def check_indices_and_scores(strategy: Strategy, learner: Any) -> None:
    """Exactly n_instances unique positions, with scores, for several n_instances.

    A batch of 2 is a trap: a pair of a pair.
    """
    X = _pool()[0]
    for n_instances in (1, 2, 7, 60):
        _assert_contract(
            *strategy(learner, learner.rows(X), n_instances, random_state=0),
            n_instances,
            len(X),
        )
    _assert_contract(*strategy(learner, learner.rows(X), random_state=0), 1, len(X))


def check_one_and_all(strategy: Strategy, learner: Any) -> None:
    """A pool of one candidate, and asking for the whole pool."""
    X = _pool()[0]
    _assert_contract(*strategy(learner, learner.rows(X[:1]), 1, random_state=0), 1, 1)
    _assert_contract(
        *strategy(learner, learner.rows(X[:30]), 30, random_state=0), 30, 30
    )


def check_it_is_repeatable(strategy: Strategy, learner: Any) -> None:
    """The same random_state gives the same answer, and a Generator counts as one."""
    X = learner.rows(_pool()[0])
    # 0 too: `random_state or ...` would take it for none.
    for seed in (0, 1):
        first, again = (strategy(learner, X, 9, random_state=seed) for _ in range(2))
        assert np.array_equal(first[0], again[0]), (
            f"random_state={seed} gave {first[0]}, then {again[0]}"
        )
        assert np.array_equal(first[1], again[1]), (
            f"random_state={seed} gave other scores the second time"
        )
    first, again = (
        strategy(learner, X, 9, random_state=np.random.default_rng(5)) for _ in range(2)
    )
    assert np.array_equal(first[0], again[0]), "equal Generators gave different indices"


def check_tie_breaks_keep_the_contract(strategy: Strategy, learner: Any) -> None:
    """With random_tie_break too, indices are unique and repeatable."""
    X = learner.rows(_pool()[0])
    first, again = (
        strategy(learner, X, 9, random_tie_break=True, random_state=3) for _ in range(2)
    )
    _assert_contract(*first, 9, n_rows(X))
    assert np.array_equal(first[0], again[0]), (
        "random_tie_break is not repeatable under random_state"
    )


def check_nothing_is_changed(strategy: Strategy, learner: Any) -> None:
    """X, the classifier and the global random generators are as before."""
    X = _pool()[0]
    X_before, rows = X.copy(), learner.rows(X)
    # All there is of a model: weights, statistics, modes, generators.
    model_before = pickle.dumps(learner.estimator)
    torch_state = _torch_state()
    states = random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002
    strategy(learner, rows, 5, random_state=0)
    # Without one, which is when a global generator is at hand.
    strategy(learner, rows, 5)
    assert np.array_equal(X, X_before), "the strategy wrote to X"
    assert pickle.dumps(learner.estimator) == model_before, (
        "the strategy changed the classifier"
    )
    assert random.getstate() == states[0], (
        "the strategy drew from Python's global generator"
    )
    assert pickle.dumps(np.random.get_state()) == states[1], (  # noqa: NPY002
        "the strategy drew from numpy's global generator"
    )
    assert _torch_state() == torch_state, (
        "the strategy drew from torch's global generator"
    )


def _torch_state() -> bytes:
    # Here: whoever checks a strategy of arrays need not wait for torch before.
    import torch

    return torch.get_rng_state().numpy().tobytes()


def check_lazy_rows_give_the_same(strategy: Strategy, learner: Any) -> None:
    """A lazy view of rows gives the same positions as the rows themselves.

    The positions are those in the view.
    """
    X = _pool()[0]
    # Backwards and with gaps: a position in the view is none in what it shows.
    picked = np.arange(len(X))[::-2].copy()
    view = RowView(learner.rows(X), picked)
    lazy = strategy(learner, view, 8, random_state=0)
    plain = strategy(learner, learner.rows(X[picked]), 8, random_state=0)
    assert np.array_equal(lazy[0], plain[0]), (
        f"a lazy view gave {lazy[0]}, its rows {plain[0]}"
    )
    assert n_rows(view) == len(picked)


def check_duplicates_and_constant_features(strategy: Strategy, learner: Any) -> None:
    """Duplicated rows, and rows that are all the same, still give unique positions."""
    X = _pool()[0]
    # More than there are different rows, so that duplicates must be chosen too.
    sixfold = learner.rows(np.repeat(X[:10], 6, axis=0))
    _assert_contract(*strategy(learner, sixfold, 50, random_state=0), 50, 60)
    constant = learner.rows(np.zeros_like(X))
    _assert_contract(*strategy(learner, constant, 20, random_state=0), 20, len(X))


def check_bad_requests(strategy: Strategy, learner: Any) -> None:
    """Too many, too few, an empty pool and NaN raise ValueError.

    An unfitted classifier NotFittedError. Where the classifier takes NaN, its answer is
    as good.
    """
    X = _pool()[0]
    # One value, in a row that no strategy has a reason to choose.
    nan = X.copy()
    nan[3, 5] = np.nan
    needs = getattr(getattr(strategy, "info", None), "needs", ())
    for what, rows, n_instances in (
        ("n_instances=0", X, 0),
        ("n_instances=-1", X, -1),
        ("n_instances=2.5", X, 2.5),
        ("more than the pool holds", X, len(X) + 1),
        ("an empty pool", X[:0], 1),
        ("NaN in X", nan, 1),
    ):
        if rows is nan and not needs and not isinstance(learner.rows(rows), np.ndarray):
            continue  # nobody reads the rows
        try:
            asked: Any = n_instances
            strategy(learner, learner.rows(rows), asked, random_state=0)
        except ValueError as error:
            assert len(str(error)) > 15, f"{what}: the message says too little: {error}"
        else:
            if rows is nan and takes_nan(learner.estimator):
                continue
            raise AssertionError(f"{what} must raise a ValueError")
    # Strategies that look at no prediction do without a fitted model.
    unfitted = _Learner(
        clone(learner.estimator), learner.X_training, learner.y_training
    )
    if {"proba", "samples", "gradients"} & set(needs):
        try:
            strategy(unfitted, learner.rows(X), 1, random_state=0)
        except NotFittedError:
            return
        raise AssertionError("an unfitted classifier must raise NotFittedError")


def check_it_pickles(strategy: Strategy, learner: Any) -> None:
    """A strategy travels to worker processes and answers the same there."""
    X = learner.rows(_pool()[0])
    again = pickle.loads(pickle.dumps(strategy))
    assert np.array_equal(
        again(learner, X, 5, random_state=0)[0],
        strategy(learner, X, 5, random_state=0)[0],
    )
