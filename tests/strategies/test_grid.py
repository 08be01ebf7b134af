"""Every registered strategy on every kind of classifier and of candidates: the same
answer, or the error that says why.

No cell is skipped. What a classifier cannot give is a ``TypeError`` that names the
strategy and the capability; what it cannot read is its own library's error. The whole
battery of `check_query_strategy` on each cell that works is slow; one query on each of
all cells is not.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.helper import SliceDataset

from al_sklearn import strategies
from al_sklearn.learners import ActiveLearner, Committee
from al_sklearn.pool import n_rows, view_rows
from al_sklearn.strategies import catalogue, checks, get_strategy, strategy_name
from tests.strategies.test_strategies import QUICK, Indexed, Worried, make_net


def frame(X):
    return pd.DataFrame(
        X,
        index=np.arange(len(X)) + 7000,
        columns=[f"pixel{i}" for i in range(X.shape[1])],
    )


KINDS = {
    "ndarray": np.asarray,
    "4-D": lambda X: X.reshape(-1, 1, 8, 8),
    "SliceDataset": lambda X: SliceDataset(Indexed(X)),
    "Dataset": Indexed,
    "DataFrame": frame,
}


def scaled_lines(C=1.0):
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=200))


CLASSIFIERS = {
    "net": make_net,
    "forest": lambda: RandomForestClassifier(15, random_state=0),
    "pipeline": scaled_lines,
    "committee": lambda: Committee(
        [ActiveLearner(scaled_lines(C)) for C in (0.1, 1.0, 10.0)], random_state=0
    ),
    "committee of nets": lambda: Committee(
        [ActiveLearner(make_net()) for _ in range(2)], random_state=0
    ),
    "loss": lambda: Worried(max_iter=200),
}
# What each cannot give; all others can.
LACKS = {
    "net": {"loss"},
    "forest": {"last_layer", "input_gradient", "loss"},
    "pipeline": {"samples", "input_gradient", "loss"},
    "committee": {"last_layer", "input_gradient", "feature_dropout", "loss"},
    "committee of nets": {"last_layer", "input_gradient", "feature_dropout", "loss"},
    "loss": {"samples", "input_gradient"},
}
CANNOT = (
    r"strategy ['\"].*['\"]: \w+ cannot give (posterior samples|last-layer weights|"
    r"input gradients|predict_loss|predictions from embeddings with dropout): \w+"
)
TAKES_IMAGES = {"net", "committee of nets"}


def told_loss(classifier, X, n_instances=1, **options):
    """The oracle over candidates, told some labels: a learner it refuses, so it gets
    what is inside."""
    labels = np.arange(n_rows(X)) % 10
    return strategies.max_true_loss(
        classifier.estimator, X, n_instances, y_true=labels, **options
    )


def told_batch(classifier, X, n_instances=1, **options):
    """The oracle over batches."""
    known, y = classifier.X_training, classifier.y_training
    known = known if hasattr(known, "columns") else classifier.rows(known)
    told = {
        "y_true": np.arange(n_rows(X)) % 10,
        "X_labelled": known,
        "y_labelled": y,
        "X_test": known,
        "y_test": y,
    }
    quick = {"n_candidates": 2, "strategies": ("random_sampling",)}
    return strategies.oracle_batch(
        classifier.estimator, X, n_instances, **told, **quick, **options
    )


TOLD = {"max_true_loss": told_loss, "oracle_batch": told_batch}
COMPOSED = [
    ({"embeddings", "labelled"}, partial(strategies.coreset, metric="cosine")),
    (
        {"proba", "embeddings"},
        partial(strategies.coreset, metric="manhattan", measure="entropy"),
    ),
    ({"samples"}, partial(strategies.entropy, n_samples=5, normalize=True)),
    (
        {"proba"},
        strategies.mix((0.5, "margin"), (0.3, "coreset"), (0.2, "random_sampling")),
    ),
    (
        {"proba", "samples"},
        strategies.mix((1, strategies.two_stage("entropy", "coreset")), (2, "bald")),
    ),
    ({"proba", "gradients"}, strategies.two_stage("margin", "badge", factor=3)),
    ({"proba", "embeddings"}, strategies.weighted("margin", "k_center")),
    ({"proba", "embeddings"}, strategies.weighted("entropy", "weighted_kmeans")),
    ({"proba"}, strategies.stochastic("margin")),
    ({"samples"}, strategies.stochastic("bald", kind="softrank")),
    ({"gradients"}, strategies.subsample("badge", n_candidates=30)),
]
STRATEGIES = {
    **{
        info.name: TOLD.get(info.name) or get_strategy(QUICK.get(info.name, info.name))
        for info in catalogue()
    },
    **{strategy_name(strategy): strategy for _, strategy in COMPOSED},
}
NEEDS = {
    **{info.name: set(info.needs) - {"true_labels"} for info in catalogue()},
    **{strategy_name(strategy): needs for needs, strategy in COMPOSED},
    "max_true_loss": {"proba"},
    "oracle_batch": {"fit"},
    # As they are configured here.
    "vaal": {"embeddings", "labelled"},
    "vaal_distance": {"embeddings", "labelled"},
}
# They ask for the probabilities of what is labelled alone, or of nothing while little
# is.
PROBA_OF_LABELLED = {"k_nearest", "typicality_then_margin"}


def outcome(name, classifier, kind):
    """What a cell must come to: "same" as for an array, or the error and what it
    says."""
    needs = NEEDS[name]
    if name in TOLD and classifier.startswith("committee"):
        return (TypeError, "looks at the true labels")
    lacks = bool(LACKS[classifier] & needs)
    if kind == "DataFrame" and classifier in TAKES_IMAGES and needs:
        # skorch makes of a frame one argument of the module for each column.
        return (TypeError, f"unexpected keyword argument 'pixel0'|{CANNOT}")
    if kind == "4-D" and classifier not in TAKES_IMAGES and needs - {"labelled"}:
        # X itself, flattened, is the embedding: the estimator need not read it. A
        # pipeline's transform must.
        as_it_is = needs <= {"embeddings", "labelled"} or name in PROBA_OF_LABELLED
        if as_it_is and classifier in ("forest", "loss"):
            return "same"
        return (
            (ValueError, TypeError),
            f"Found array with dim 4|{CANNOT}" if lacks else "Found array with dim 4",
        )
    return (TypeError, CANNOT) if lacks else "same"


@pytest.fixture(scope="module")
def taught(digits):
    """Each classifier, taught eighty digits as arrays and as a frame; the
    candidates."""
    X, y = digits
    X = X.reshape(len(X), -1).astype(np.float32) / 255
    start, y = X[:80], y[:80]

    @cache
    def learner(name, kind):
        seen = (
            frame(start) if kind == "DataFrame" and name not in TAKES_IMAGES else start
        )
        return checks._Learner(fitted(name, seen is start), seen, y, KINDS[kind])

    @cache
    def fitted(name, of_arrays):
        torch.manual_seed(0)
        return CLASSIFIERS[name]().fit(start if of_arrays else frame(start), y)

    return learner, X[80:140]


# Committees of nets, which take images and data sets as the net does, are slow to ask.
COLUMNS = [
    pytest.param(c, marks=pytest.mark.slow) if c == "committee of nets" else c
    for c in CLASSIFIERS
]


@pytest.mark.filterwarnings(
    "ignore:The given NumPy array is not writable"
)  # of a frame's columns, by torch, once
@pytest.mark.parametrize("classifier", COLUMNS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_each_cell(name, classifier, taught):
    learner_of, X = taught
    strategy = STRATEGIES[name]
    expected = None
    for kind, make in KINDS.items():
        learner, due = learner_of(classifier, kind), outcome(name, classifier, kind)
        if due != "same":
            with pytest.raises(due[0], match=due[1]):
                strategy(learner, make(X), 7, random_state=0)
            continue
        got = strategy(learner, make(X), 7, random_state=0)
        checks._assert_contract(*got, 7, len(X))
        expected = got if kind == "ndarray" else expected
        np.testing.assert_array_equal(got[0], expected[0], err_msg=kind)
        np.testing.assert_allclose(
            got[1], expected[1], rtol=1e-4, atol=1e-6, err_msg=kind
        )


@pytest.mark.parametrize("kind", ["SliceDataset", "Dataset"])
@pytest.mark.parametrize(
    "name", ["margin", "bald", "coreset", "badge", "subsample(badge, n_candidates=30)"]
)
def test_views_of_data_sets_are_read_by_what_takes_arrays_alone(name, kind, taught):
    learner_of, X = taught
    learner, picked = learner_of("forest", kind), np.arange(len(X))[::-2]
    view = view_rows(KINDS[kind](X), picked)
    expected = STRATEGIES[name](learner, X[picked], 7, random_state=0)
    np.testing.assert_array_equal(
        STRATEGIES[name](learner, view, 7, random_state=0)[0], expected[0]
    )


def test_the_grid_is_complete():
    assert {info.name for info in catalogue()} <= set(STRATEGIES) == set(NEEDS)
    for name in STRATEGIES:
        able = {
            kind: [c for c in CLASSIFIERS if outcome(name, c, kind) == "same"]
            for kind in KINDS
        }
        assert able["ndarray"] and able["Dataset"] and able["SliceDataset"], name
        # One classifier alone gives these, and it takes no images, or no frames.
        assert able["4-D"] or NEEDS[name] == {"loss"}, name
        assert able["DataFrame"] or "input_gradient" in NEEDS[name], name
    n_same = {
        c: sum(outcome(name, c, "ndarray") == "same" for name in STRATEGIES)
        for c in CLASSIFIERS
    }
    assert (
        n_same["net"] == len(STRATEGIES) - 1 and n_same["forest"] == len(STRATEGIES) - 3
    )
    assert min(n_same.values()) > len(STRATEGIES) * 0.7


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # as above
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_whole_battery(name, classifier, kind):
    run = partial(
        checks.check_query_strategy,
        STRATEGIES[name],
        CLASSIFIERS[classifier](),
        KINDS[kind],
    )
    due = outcome(name, classifier, kind)
    if kind == "DataFrame" and classifier in TAKES_IMAGES:
        # The battery teaches what it asks about, and a frame is nothing that skorch can
        # teach a net.
        due = (TypeError, "unexpected keyword argument 'pixel0'")
    if due == "same":
        run()
    else:
        with pytest.raises(due[0], match=due[1]):
            run()
