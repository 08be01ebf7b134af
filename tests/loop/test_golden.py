"""Numbers of comparisons stay: those of the loop before it asked and was told.

With ties by position, in one thread: what was bought after the initial set, and the
last round's nll and accuracy.
"""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from al_sklearn.experiments import StrategyComparison
from al_sklearn.experiments.stopping import StabilizingPredictions

X, Y = load_digits(return_X_y=True)
X, Y = X[:500] / 16, Y[:500]
LOGISTIC = LogisticRegression(max_iter=100)
CASES = {
    "from_scratch": (LOGISTIC, {}),
    "fine_tune": (LOGISTIC, {"training": "fine_tune", "validation_size": 20}),
    "incremental": (GaussianNB(var_smoothing=0.1), {"training": "incremental"}),
    "stopped": (LOGISTIC, {"stopping": StabilizingPredictions(0.5, 1), "n_rounds": 9}),
}
GOLDEN = {
    ("from_scratch", "margin"): (
        [461, 424, 248, 340, 86, 220, 105, 293, 291, 377, 37, 431, 412, 482, 389],
        0.871067,
        0.872,
    ),
    ("from_scratch", "entropy"): (
        [394, 244, 424, 207, 170, 414, 260, 302, 121, 356, 29, 31, 398, 300, 287],
        0.951209,
        0.792,
    ),
    ("from_scratch", "coreset"): (
        [31, 440, 447, 421, 184, 373, 356, 285, 387, 394, 381, 278, 482, 492, 16],
        0.899631,
        0.84,
    ),
    ("from_scratch", "badge"): (
        [424, 440, 429, 237, 93, 457, 462, 175, 132, 194, 26, 80, 250, 394, 276],
        0.92794,
        0.848,
    ),
    ("fine_tune", "margin"): (
        [280, 446, 423, 251, 18, 381, 436, 278, 240, 369, 92, 165, 230, 217, 498],
        0.959677,
        0.84,
    ),
    ("incremental", "margin"): (
        [379, 331, 340, 457, 388, 466, 444, 223, 114, 29, 459, 421, 364, 489, 301],
        2.813374,
        0.832,
    ),
    ("stopped", "margin"): ([461, 424, 248, 340, 86], 1.110217, 0.768),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:1 seed cannot tell")
def test_numbers_are_those_of_before(case):
    estimator, options = CASES[case]
    names = [name for of, name in GOLDEN if of == case]
    protocol = {"n_initial": 20, "n_instances": 5, "n_rounds": 3, "n_seeds": 1}
    made = StrategyComparison(
        estimator, names, threads_per_job=1, verbose=0, **protocol | options
    )
    made._random_ties = False
    results = made.fit(X, Y).results_
    for name in names:
        bought, nll, accuracy = GOLDEN[case, name]
        last = results[results["strategy"] == name].iloc[-1]
        assert np.concatenate(made.queries_[name, 0])[20:].tolist() == bought
        # Other processors round otherwise.
        assert last["nll"] == pytest.approx(nll, abs=1e-4)
        assert last["accuracy"] == pytest.approx(accuracy, abs=1e-6)
