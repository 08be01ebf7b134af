"""A comparison in a process of its own, to be killed: ``python _killable.py STORE MODEL
N_JOBS TRAINING N_ROUNDS``."""

import sys
import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, SGDClassifier

from al_sklearn.experiments import StrategyComparison


def comparison(store, model="logistic", n_jobs=1, training="from_scratch", n_rounds=4):
    bunch = load_digits()
    X, y = bunch.data / 16.0, bunch.target
    options = {"n_initial": 20, "n_instances": 10, "n_rounds": n_rounds, "n_seeds": 2}
    strategies = ["random_sampling", "margin", "badge"]
    if model == "logistic":
        estimator = LogisticRegression(max_iter=300)
    elif model == "sgd":
        estimator = SGDClassifier(loss="log_loss")
    else:
        from al_sklearn.estimators import ImageClassifier

        estimator = ImageClassifier("small_cnn", max_epochs=3)
        X = bunch.images.astype(np.float32) / 16
        strategies = ["random_sampling", "bald"]
    warnings.filterwarnings("ignore", "2 seeds cannot tell")
    made = StrategyComparison(
        estimator,
        strategies,
        n_jobs=n_jobs,
        threads_per_job=1,
        store=store,
        training=training,
        verbose=0,
        **options,
    )
    return made.fit(X[:900], y[:900], X[900:], y[900:])


if __name__ == "__main__":
    torch.set_num_threads(1)
    comparison(
        sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
    )
