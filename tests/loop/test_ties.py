"""Massive ties are broken at random, or a committee buys a pool's first classes."""

from functools import partial

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from al_sklearn.estimators import DeepEnsemble
from al_sklearn.experiments import StrategyComparison
from al_sklearn.loop._ask import takes_ties
from al_sklearn.strategies import margin, variation_ratio

X, Y = load_digits(return_X_y=True)
# As a folder of class folders comes.
ORDER = np.argsort(Y[:1400], kind="stable")


def compare(strategies, estimator, **options):
    made = StrategyComparison(
        estimator, strategies, n_initial=40, n_instances=40, verbose=0, **options
    )
    return made


@pytest.mark.filterwarnings("ignore:.*seed.* cannot tell")
def test_a_committee_buys_all_classes_of_an_ordered_pool():
    trees = DeepEnsemble(DecisionTreeClassifier(max_features=8), 3)
    by_position = partial(variation_ratio, random_tie_break=False)
    strategies = {"votes": variation_ratio, "by position": by_position}
    made = compare(strategies, trees, n_rounds=4, n_seeds=2)
    made.fit(X[:1400][ORDER], Y[:1400][ORDER], X[1400:], Y[1400:])
    later = made.results_[made.results_["round"] > 0]
    bought = later.groupby("strategy")[[f"bought_{k}" for k in range(10)]].sum()
    assert bought.loc["votes"].min() >= 8
    # What the user has bound stays: the last classes are never bought.
    assert bought.loc["by position"].min() == 0
    final = later[later["round"] == 4].groupby("strategy")["accuracy"].mean()
    assert final["votes"] > final["random_sampling"] - 0.05


@pytest.mark.filterwarnings("ignore:.*seed.* cannot tell")
def test_where_nothing_ties_it_changes_nothing():
    ran = []
    for random_ties in (True, False):
        made = compare(["margin"], LogisticRegression(max_iter=200), n_rounds=2)
        made.set_params(n_seeds=1, n_initial=30, n_instances=10)
        made._random_ties = random_ties
        ran.append(made.fit(X[:300], Y[:300]))
    for key, batches in ran[0].queries_.items():
        others = ran[1].queries_[key]
        assert all(np.array_equal(a, b) for a, b in zip(batches, others, strict=True))


def test_who_can_break_ties():
    assert takes_ties(margin)
    assert takes_ties(partial(margin, n_instances=3))
    assert not takes_ties(partial(margin, random_tie_break=False))
    assert not takes_ties(partial(partial(margin, random_tie_break=True)))
    assert not takes_ties(lambda classifier, X, n_instances=1: [0])
