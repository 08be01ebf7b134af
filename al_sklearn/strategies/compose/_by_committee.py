"""A committee of the task's model, trained for the query on what is labelled."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_sklearn import inference
from al_sklearn._core.checks import check_count
from al_sklearn._core.random import as_seed, seed_all, seeded_clone
from al_sklearn._core.types import Array
from al_sklearn.inference import fitting
from al_sklearn.rows import n_rows, take_rows
from al_sklearn.strategies._registry import (
    Chosen,
    Strategy,
    get_strategy,
    strategy_name,
)
from al_sklearn.strategies.compose._base import Composition

# A bootstrap sample that has one class alone is drawn again, so often at most.
_MOST_DRAWS = 100
# Rows that members of one mind are told by.
_FEW_ROWS = 64


@dataclass(frozen=True, repr=False)
class ByCommittee(Composition):
    """A query strategy that asks a committee; made by :func:`by_committee`."""

    strategy: str | Strategy
    n_members: int = 3
    bootstrap: bool = False

    @property
    def __name__(self) -> str:
        """The composition, as it would be written."""
        more = ", bootstrap=True" if self.bootstrap else ""
        inner = strategy_name(self.strategy)
        return f"by_committee({inner}, n_members={self.n_members}{more})"

    def _choose(self, classifier: Any, X: Any, n_instances: int, **ties: Any) -> Chosen:
        rows, labels = inference.labelled_data(classifier)
        if rows is None or labels is None or n_rows(rows) == 0:
            raise ValueError(
                "by_committee trains its members on what is labelled, and nothing is: "
                "use it in a learner that was taught some rows."
            )
        estimator = inference.unwrap(classifier)
        committee = _TrainedCommittee(
            [
                self._member(classifier, estimator, rows, labels, ties["random_state"])
                for _ in range(self.n_members)
            ],
            classifier,
        )
        if committee.is_of_one_mind(X):
            warnings.warn(
                f"The {self.n_members} members of {self.__name__} say the same: "
                f"{type(estimator).__name__} draws nothing at random. Give "
                "bootstrap=True.",
                stacklevel=2,
            )
        return get_strategy(self.strategy)(committee, X, n_instances, **ties)

    def _member(
        self,
        classifier: Any,
        estimator: Any,
        rows: Any,
        labels: Any,
        rng: np.random.Generator,
    ) -> Any:
        """Return a clone with weights of its own, trained as a round is."""
        seed = as_seed(rng)
        member = seeded_clone(estimator, seed)
        y = np.asarray(labels)
        if self.bootstrap:
            drawn = _bootstrap(y, rng)
            rows, y = take_rows(rows, drawn), y[drawn]
        # Whatever it draws from; the query puts the global generators back.
        seed_all(seed)
        fitting.fit(member, rows, y, *inference.validation_data(classifier))
        return member


def by_committee(
    strategy: str | Strategy, n_members: int = 3, *, bootstrap: bool = False
) -> ByCommittee:
    """Let a committee of the task's model choose, trained for each query.

    Committee strategies so stand beside others in one comparison, whose model is one
    network: query by committee, BALD of an ensemble.

    Parameters
    ----------
    strategy : str or strategy
        What is asked of the committee, as ``"vote_entropy"``, ``"variation_ratio"``,
        ``"bald"`` or ``"consensus_entropy"``.
    n_members : int, default=3
        Clones of the model, each with random weights and order of its own, trained on
        all that is labelled, with the round's validation set where there is one.
    bootstrap : bool, default=False
        Whether each is trained on a bootstrap sample: for models that draw nothing at
        random, whose clones would all be the same.

    Returns
    -------
    ByCommittee
        A query strategy; it costs ``n_members`` trainings a query.

    Raises
    ------
    ValueError
        For fewer than two members, or an unknown name; in a query, where nothing is
        labelled.

    References
    ----------
    Seung, Opper, Sompolinsky. Query by Committee. COLT 1992. Beluch, Genewein,
    Nürnberger, Köhler. The Power of Ensembles for Active Learning in Image
    Classification. CVPR 2018.

    Examples
    --------
    >>> by_committee("vote_entropy")
    by_committee(vote_entropy, n_members=3)
    """
    check_count("n_members", n_members, least=2)
    # An unknown name is said where it is written, not at the first query.
    get_strategy(strategy)
    return ByCommittee(strategy, n_members, bootstrap)


def _bootstrap(y: Array, rng: np.random.Generator) -> Array:
    drawn = rng.integers(len(y), size=len(y))
    for _ in range(_MOST_DRAWS):
        if len(np.unique(y[drawn])) > 1 or len(np.unique(y)) == 1:
            break
        drawn = rng.integers(len(y), size=len(y))
    return drawn


class _TrainedCommittee:
    """What strategies ask of a committee, of estimators without learners."""

    def __init__(self, members: Sequence[Any], classifier: Any) -> None:
        self.learner_list = members
        self.classes_ = inference.join_classes(members)
        self.n_classes_ = len(self.classes_)
        self.X_training = getattr(classifier, "X_training", None)
        self.y_training = getattr(classifier, "y_training", None)
        self.X_val, self.y_val = inference.validation_data(classifier)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.learner_list)

    def __len__(self) -> int:
        return len(self.learner_list)

    def vote(self, X: Any) -> Array:
        """Labels of every member, (n, T)."""
        return self.classes_[self.vote_proba(X).argmax(axis=2)]

    def vote_proba(self, X: Any) -> Array:
        """Probabilities of every member, (n, T, C)."""
        return inference.join_votes(
            self.learner_list,
            lambda member: inference.predict_proba(member, X),
            n_rows(X),
            self.classes_,
        )

    def predict_proba(self, X: Any) -> Array:
        """Mean of the members' probabilities, (n, C)."""
        return self.vote_proba(X).mean(axis=1)

    def predict(self, X: Any) -> Array:
        """Labels by the mean of the members' probabilities, (n,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def is_of_one_mind(self, X: Any) -> bool:
        """Whether all members say the very same of the first rows."""
        few = take_rows(X, np.arange(min(n_rows(X), _FEW_ROWS)))
        votes = self.vote_proba(few)
        return bool((votes == votes[:, :1]).all())
