"""TunedClassifier: spaces, searches, what is kept of them, and its work inside active
learning."""

import builtins
import json
import logging
import pickle

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone, is_classifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from al_sklearn import ActiveLearner, ActiveLearningExperiment
from al_sklearn.estimators import DeepEnsemble, ImageClassifier
from al_sklearn.estimators import _tuning_search as tuning
from al_sklearn.estimators._tuned import TunedClassifier
from al_sklearn.estimators._tuning_space import default_space, read_space
from al_sklearn.estimators._validation import validation_splits
from al_sklearn.inference import embed, gradient_factors, sample_proba
from al_sklearn.loop.stopping import AnyOf, Budget, NoGain

C = {"C": (1e-4, 1e2, "log")}


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    return X.reshape(len(X), -1) / 255, y


def tuned(estimator=None, space=None, n_trials=4, **options):
    estimator = LogisticRegression(max_iter=300) if estimator is None else estimator
    space = C if space is None and isinstance(estimator, LogisticRegression) else space
    return TunedClassifier(
        estimator, space, n_trials, **{"random_state": 0, "verbose": 0, **options}
    )


# ---- validation ----------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=60),
    st.floats(0.05, 0.9),
    st.integers(0, 99),
)
def test_held_out_labels_are_stratified_and_leave_each_class_one(labels, share, seed):
    y = np.array(labels)
    counts = np.bincount(y, minlength=5)
    if counts.max() < 2:
        with pytest.raises(ValueError, match="No label can be held out"):
            list(validation_splits(y, share, np.random.default_rng(seed)))
        return
    ((train, held_out),) = validation_splits(y, share, np.random.default_rng(seed))
    assert sorted([*train, *held_out]) == list(range(len(y)))
    wanted = max(1, round(share * len(y)))
    assert len(held_out) == min(wanted, len(y) - len(np.unique(y)))
    assert set(y[train]) == set(y)
    if len(held_out) == wanted:
        # Within one row of its share, for classes that can spare it.
        got = np.bincount(y[held_out], minlength=5)
        assert np.all(got <= np.ceil(share * counts) + 1)


def test_folds_and_what_is_no_validation(flat):
    y = np.repeat([0, 1, 2], 4)
    folds = list(validation_splits(y, 4, np.random.default_rng(0)))
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(
        range(12)
    )
    assert all(set(y[train]) == {0, 1, 2} for train, _ in folds)
    with pytest.raises(
        ValueError, match=r"5 folds need 5 labels of each class, the rarest has 4"
    ):
        list(validation_splits(y, 5, np.random.default_rng(0)))
    for wrong in (0.0, 1.0, 1, True, "half", None):
        with pytest.raises(ValueError, match="validation must be a share"):
            tuned(validation=wrong).fit(*flat)


# ---- spaces --------------------------------------------------------------------------


def test_every_kind_of_entry():
    space = {
        "a": (0.5, 2.0),
        "b": (1e-6, 1.0, "log"),
        "n": (2, 9),
        "optimizer": [torch.optim.SGD, torch.optim.Adam],
        "flag": [True, False, None],
        "mixed": [1, True],
        "set": {"one": {"p": 1}, "two": {"p": 2, "q": 3}},
        "own": optuna.distributions.FloatDistribution(0, 1, step=0.25),
        "own_int": optuna.distributions.IntDistribution(1, 64, log=True),
        "own_choice": optuna.distributions.CategoricalDistribution(["x", "y"]),
    }
    suggest = read_space(space)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = []
    for _ in range(60):
        trial = study.ask()
        params = suggest(trial)
        found.append(params)
        # What a search keeps of a trial is enough to have its parameters again.
        again = suggest(optuna.trial.FixedTrial(json.loads(json.dumps(trial.params))))
        assert again == params
    assert all(
        0.5 <= p["a"] <= 2 and 1e-6 <= p["b"] <= 1 and p["n"] in range(2, 10)
        for p in found
    )
    assert 5 < sum(p["b"] < 1e-3 for p in found) < 55
    assert {p["optimizer"] for p in found} == {torch.optim.SGD, torch.optim.Adam}
    assert {type(p["mixed"]) for p in found} == {int, bool}
    assert {p["flag"] for p in found} == {True, False, None}
    assert {(p["p"], p.get("q")) for p in found} == {(1, None), (2, 3)}
    assert "set" not in found[0]
    assert {p["own"] for p in found} == {0, 0.25, 0.5, 0.75, 1}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "space is empty"),
        ({"C": (1, 2, 3)}, r"\(low, high\) or \(low, high, 'log'\)"),
        ({"C": (2.0, 1.0)}, "from low to high"),
        ({"C": (0.0, 1.0, "log")}, "begin above 0"),
        ({"C": (True, 2)}, "two numbers"),
        ({"C": []}, "empty list"),
        ({"C": {"a": 1}}, "must be a dict of parameters"),
        ({"C": {}}, "must be a dict of parameters"),
        ({"C": 3}, "must be a tuple"),
        ([("C", 1)], "must be a dict of parameter names"),
        ({"solver": [torch.nn.ReLU(), torch.nn.ReLU()]}, "cannot be told apart"),
        ({"D": (1.0, 2.0)}, "Invalid parameter 'D'"),
    ],
)
def test_spaces_that_are_none(flat, space, message):
    X, y = flat
    with pytest.raises((TypeError, ValueError), match=message):
        tuned(space=space).fit(X[:60], y[:60])


def test_torchals_space():
    space = default_space(ImageClassifier(augment="rand_augment"))
    assert space["lr"] == (1e-5, 1e-2, "log")
    assert space["optimizer__weight_decay"] == (1e-8, 1e-3, "log")
    assert space["batch_size"] == [8, 16, 32, 64, 128, 256, 512]
    assert space["optimizer"]["SGD"] == {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
    }
    assert space["optimizer"]["Adam"] == {"optimizer": torch.optim.Adam}
    # Their M of 1 … 9 is 3.3 … 30 of ours, and they have two operations more.
    assert space["augment__num_ops"] == (1, 15)
    assert space["augment__magnitude"] == pytest.approx((30 * 1 / 9, 30 * 9 / 9))
    assert space["augment__operations"] == ["all"]
    for augment in (None, "flip_crop"):
        inside = default_space(
            make_pipeline(StandardScaler(), ImageClassifier(augment=augment))
        )
        assert set(inside) == {
            f"imageclassifier__{n}"
            for n in ("lr", "optimizer__weight_decay", "batch_size", "optimizer")
        }
    with pytest.raises(ValueError, match="say what to try for LogisticRegression"):
        default_space(LogisticRegression())
    params = TunedClassifier(ImageClassifier()).get_params(deep=False)
    assert (params["n_trials"], params["pruner"], params["space"]) == (
        50,
        "successive_halving",
        None,
    )


# ---- searches ------------------------------------------------------------------------


def test_logistic_regression(flat, capsys):
    X, y = flat
    before = (
        optuna.logging.get_verbosity(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state(),
    )
    search = tuned(n_trials=8).fit(X[:200], y[:200])
    assert optuna.logging.get_verbosity() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert capsys.readouterr() == ("", "")
    assert is_classifier(search)
    assert search.score(X[1000:], y[1000:]) > 0.85
    assert list(search.trials_["state"]) == ["complete"] * 8
    # The best is the best: trained again by hand on the same split, it has the score
    # that is told.
    (split,) = validation_splits(
        y[:200],
        0.2,
        np.random.default_rng(
            np.random.SeedSequence(_seed(0)).generate_state(3)[0] >> 1
        ),
    )
    scores = [
        LogisticRegression(max_iter=300, C=value)
        .fit(X[split[0]], y[split[0]])
        .score(X[split[1]], y[split[1]])
        for value in search.trials_["params_C"]
    ]
    np.testing.assert_allclose(search.trials_["score"], scores)
    assert search.best_score_ == max(scores)
    assert search.best_params_ == {
        "C": search.trials_["params_C"][int(np.argmax(scores))]
    }
    assert (search.n_labelled_, search.n_validation_) == (200, 40)
    by_hand = LogisticRegression(max_iter=300, **search.best_params_).fit(
        X[:200], y[:200]
    )
    np.testing.assert_array_equal(
        search.predict_proba(X[:9]), by_hand.predict_proba(X[:9])
    )
    np.testing.assert_array_equal(
        search.decision_function(X[:9]), by_hand.decision_function(X[:9])
    )
    again = clone(search).fit(X[:200], y[:200])
    columns = ["state", "score", "params_C"]
    assert again.trials_[columns].equals(search.trials_[columns])
    other = clone(search).set_params(random_state=1).fit(X[:200], y[:200])
    assert not other.trials_["params_C"].equals(search.trials_["params_C"])
    copy = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(copy.predict(X), search.predict(X))
    assert len(copy.study_.trials) == 8


def _seed(random_state):
    return int(np.random.default_rng(random_state).integers(2**31 - 1))


def test_networks_are_pruned_by_epochs(digits):
    X, y = digits
    space = {"lr": [3e-3, 1e-7]}
    before = torch.get_rng_state()
    search = tuned(
        ImageClassifier(max_epochs=6), space, n_trials=7, sampler="random"
    ).fit(X[:120], y[:120])
    assert torch.equal(before, torch.get_rng_state())
    trials = search.trials_
    assert set(trials["state"]) == {"complete", "pruned"}
    assert (trials.loc[trials["state"] == "complete", "epochs"] == 6).all()
    assert set(trials.loc[trials["state"] == "pruned", "epochs"]) <= {1, 4}  # its rungs
    assert search.best_params_ == {"lr": 3e-3}
    assert search.score(X[1000:], y[1000:]) > 0.7
    # The network's own callbacks are what they were.
    assert search.best_estimator_.callbacks is None
    slow = trials["params_lr"] < 1e-3
    assert (
        trials.loc[
            slow & (trials["number"] > trials.loc[~slow, "number"].min()), "state"
        ]
        == "pruned"
    ).all()
    # Watching changes nothing in training: the score of a complete trial is that of the
    # same network by itself.
    plain = tuned(
        ImageClassifier(max_epochs=6), space, n_trials=7, sampler="random", pruner=None
    )
    plain.fit(X[:120], y[:120])
    complete = trials["state"] == "complete"
    np.testing.assert_array_equal(
        plain.trials_["score"][complete], trials["score"][complete]
    )
    assert (plain.trials_["epochs"] == 0).all()


@pytest.mark.slow
def test_the_default_space_on_images_in_parallel(digits, quick):
    X, y = digits
    net = quick(random_state=None, augment="rand_augment")
    options = {"n_trials": 4, "n_jobs": 2, "verbose": 0, "random_state": 0}
    search = TunedClassifier(net, **options).fit(X[:60], y[:60])
    assert set(search.best_params_) >= {
        "lr",
        "optimizer",
        "batch_size",
        "augment__num_ops",
        "augment__magnitude",
    }
    again = TunedClassifier(net, **options).fit(X[:60], y[:60])
    columns = [name for name in search.trials_ if name != "seconds"]
    assert again.trials_[columns].equals(search.trials_[columns])
    np.testing.assert_array_equal(
        again.predict_proba(X[:50]), search.predict_proba(X[:50])
    )


def test_the_default_space_and_what_strategies_ask_for(digits, quick):
    X, y = digits
    net = quick(augment="rand_augment")
    search = TunedClassifier(net, n_trials=2, verbose=0, random_state=0).fit(
        X[:60], y[:60]
    )
    assert set(search.best_params_) >= {
        "lr",
        "optimizer",
        "batch_size",
        "augment__num_ops",
        "augment__magnitude",
    }
    assert search.best_estimator_.augment == "rand_augment"
    assert embed(search, X[:5]).shape == (5, 128)
    assert sample_proba(search, X[:5], 3, random_state=0).shape == (3, 5, 10)
    assert [part.shape for part in gradient_factors(search, X[:5])] == [
        (5, 10),
        (5, 128),
    ]


def test_a_pipeline_that_ends_in_a_network(digits):
    X, y = digits
    pipeline = make_pipeline(
        FunctionTransformer(np.flip), ImageClassifier(max_epochs=4)
    )
    space = {"imageclassifier__lr": (1e-5, 1e-2, "log")}
    search = tuned(pipeline, space).fit(X[:80], y[:80])
    assert (search.trials_["epochs"] > 0).all()
    assert embed(search, X[:5]).shape == (5, 128)
    assert sample_proba(
        make_pipeline(FunctionTransformer(), search), X[:5], 2
    ).shape == (2, 5, 10)


def test_other_classifiers_folds_and_scorers(flat):
    X, y = flat
    space = {
        "max_depth": (1, 8),
        "n_estimators": [5, 10],
        "criterion": ["gini", "entropy"],
    }
    forest = tuned(
        RandomForestClassifier(), space, validation=3, scoring="neg_log_loss"
    ).fit(X[:150], y[:150])
    assert (forest.trials_["score"] < 0).all()
    assert forest.n_validation_ == 150
    assert sample_proba(forest, X[:5]).shape[1:] == (5, 10)
    by_call = tuned(scoring=lambda estimator, X, y: -estimator.C).fit(X[:60], y[:60])
    assert by_call.best_params_["C"] == by_call.trials_["params_C"].min()
    by_function = tuned(space=lambda trial: {"C": trial.suggest_float("c", 1, 2)}).fit(
        X[:60], y[:60]
    )
    assert 1 <= by_function.best_params_["C"] <= 2
    svc = tuned(LinearSVC(), C).fit(X[:60], y[:60])
    assert not hasattr(svc, "predict_proba")
    ensemble = tuned(
        DeepEnsemble(LogisticRegression(), 2), {"estimator__C": (0.1, 10.0)}, n_trials=2
    )
    assert sample_proba(ensemble.fit(X[:60], y[:60]), X[:5]).shape == (2, 5, 10)


def test_a_validation_set_of_ones_own_and_what_is_refitted(flat):
    X, y = flat
    X_val, y_val = X[100:140], y[100:140]
    everything = tuned().fit(X[:100], y[:100], X_val, y_val)
    assert (everything.n_labelled_, everything.n_validation_) == (140, 40)
    expected = LogisticRegression(max_iter=300, **everything.best_params_).fit(
        X[:140], y[:140]
    )
    np.testing.assert_array_equal(
        everything.predict_proba(X), expected.predict_proba(X)
    )
    without = tuned(refit="training").fit(X[:100], y[:100], X_val=X_val, y_val=y_val)
    assert without.score(X_val, y_val) == without.best_score_
    held_out = tuned(refit="training").fit(X[:100], y[:100])
    assert (held_out.n_labelled_, held_out.n_validation_) == (100, 20)
    weights = np.arange(1.0, 101)
    weighted = tuned(refit="training").fit(X[:100], y[:100], sample_weight=weights)
    assert not np.allclose(weighted.predict_proba(X[:9]), held_out.predict_proba(X[:9]))
    with pytest.raises(ValueError, match="X_val and y_val go together"):
        tuned().fit(X[:100], y[:100], X_val)
    with pytest.raises(ValueError, match="rows of X_val have no sample_weight"):
        tuned().fit(X[:100], y[:100], X_val, y_val, sample_weight=weights)
    with pytest.raises(ValueError, match="needs one training set"):
        tuned(refit="training", validation=3).fit(X[:100], y[:100])


class Fragile(LogisticRegression):
    """Fails for a large C, and has no score for a small one."""

    def fit(self, X, y):
        if self.C > 1:
            raise FloatingPointError("the loss is NaN")
        return super().fit(X, y)

    def score_me(self, X, y):
        return np.nan if self.C < 1e-3 else self.score(X, y)


def test_failed_trials_are_kept_and_fatal_only_together(flat, digits):
    X, y = flat
    search = tuned(
        Fragile(), C, n_trials=12, scoring=lambda e, X, y: e.score_me(X, y)
    ).fit(X[:80], y[:80])
    trials = search.trials_
    broken = (trials["params_C"] > 1) | (trials["params_C"] < 1e-3)
    assert broken.any()
    assert (trials.loc[broken, "state"] == "failed").all()
    assert (
        trials.loc[trials["params_C"] > 1, "error"]
        .str.contains("FloatingPointError: the loss is NaN")
        .all()
    )
    assert (
        trials.loc[trials["params_C"] < 1e-3, "error"]
        .str.contains("score is nan")
        .all()
    )
    assert 1e-3 <= search.best_params_["C"] <= 1
    with pytest.raises(FloatingPointError, match="the loss is NaN") as raised:
        tuned(Fragile(), {"C": (2.0, 3.0)}, n_trials=3).fit(X[:80], y[:80])
    assert raised.value.__notes__ == [
        "All 3 trials failed; this is what the first said."
    ]
    images, labels = digits
    net = ImageClassifier(max_epochs=3, optimizer=torch.optim.SGD)
    search = tuned(net, {"lr": [1e-3, 1e30]}, n_trials=5, sampler="random").fit(
        images[:60], labels[:60]
    )
    diverged = search.trials_["params_lr"] > 1
    assert 0 < diverged.sum() < 5
    assert search.trials_.loc[diverged, "error"].str.contains("Diverged").all()
    assert search.best_params_ == {"lr": 1e-3}


class Impatient(LogisticRegression):
    def fit(self, X, y):
        if self.C > 1:
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_ctrl_c_keeps_the_trials(flat):
    X, y = flat
    search = tuned(Impatient(), {"C": (0.1, 2.0)}, n_trials=50)
    with pytest.raises(
        KeyboardInterrupt, match=r"complete trials are kept in trials_ and study_"
    ):
        search.fit(X[:60], y[:60])
    assert 1 <= len(search.trials_) < 50
    assert list(search.trials_["state"])[-1] == "failed"
    assert not hasattr(search, "best_estimator_")


# ---- once, and active learning -------------------------------------------------------


@pytest.fixture
def searches(monkeypatch):
    """Count the searches of this process."""
    calls = []
    real = tuning.search

    def counted(objective, *args, **kwargs):
        calls.append(sum(len(part.y) + len(part.y_val) for part in objective.parts))
        return real(objective, *args, **kwargs)

    monkeypatch.setattr(tuning, "search", counted)
    return calls


def test_once_and_once_per_size_in_a_learner(flat, searches):
    X, y = flat
    learner = ActiveLearner(
        tuned(n_trials=2), "margin", X_training=X[:40], y_training=y[:40]
    )
    learner.teach(X[40:50], y[40:50])
    assert searches == [40, 50]
    searches.clear()
    learner = ActiveLearner(
        tuned(n_trials=2, tune="once"), "margin", X_training=X[:40], y_training=y[:40]
    )
    found = learner.estimator.best_params_
    indices, rows = learner.query(X[50:], n_instances=10)
    learner.teach(rows, y[50:][indices])
    assert searches == [40]
    assert learner.estimator.best_params_ == found
    assert learner.estimator.n_labelled_ == 50
    # Something else to look for is another search.
    learner.estimator.set_params(space={"C": (1.0, 2.0)})
    learner.refit()
    assert searches == [40, 50]
    searches.clear()
    sized = tuned(n_trials=2, tune="once_per_size")
    for n in (40, 50, 40, 50, 60):
        sized.fit(X[:n], y[:n])
    assert searches == [40, 50, 60]


def test_a_store_is_shared_by_clones(flat, searches, tmp_path):
    X, y = flat
    store = tmp_path / "tuning" / "found.json"
    options = {"n_initial": 30, "n_instances": 10, "n_rounds": 2, "random_state": 0}
    once = tuned(n_trials=3, tune="once", store=store)
    experiment = ActiveLearningExperiment(once, "margin", **options).fit(
        X[:200], y[:200], X[200:400], y[200:400]
    )
    assert searches == [30]
    assert experiment.estimator_.n_labelled_ == 50
    assert experiment.estimator_.study_ is None
    assert len(experiment.estimator_.trials_) == 3
    searches.clear()
    per_round = tuned(n_trials=3, tune="once_per_size", store=tmp_path / "rounds.json")
    ActiveLearningExperiment(per_round, "margin", **options).fit(
        X[:200], y[:200], X[200:400], y[200:400]
    )
    assert searches == [30, 40, 50]
    # Another seed, the same strategy and sizes: nothing is searched again.
    data = (X[:200], y[:200], X[200:400], y[200:400])
    other = {**options, "random_state": 1}
    ActiveLearningExperiment(per_round, "margin", **other).fit(*data)
    assert searches == [30, 40, 50]
    # Another strategy lives on none of them.
    ActiveLearningExperiment(per_round, "random_sampling", **options).fit(*data)
    assert searches == [30, 40, 50, 30, 40, 50]
    keys = json.loads((tmp_path / "rounds.json").read_text())["found"]
    assert sorted(keys) == sorted(
        f"{name}: {size}"
        for name in ("margin", "random_sampling")
        for size in (30, 40, 50)
    )
    with pytest.raises(ValueError, match="searches for another space"):
        clone(per_round).set_params(space={"C": (1.0, 2.0)}).fit(X[:60], y[:60])
    with pytest.raises(ValueError, match="searches for another estimator"):
        clone(per_round).set_params(estimator__max_iter=7).fit(X[:60], y[:60])


class Killed(LogisticRegression):
    """Counts its trainings, and dies in one of them."""

    fits = 0
    last = None

    def fit(self, X, y):
        if Killed.fits == Killed.last:
            raise SystemExit("killed")
        Killed.fits += 1
        return super().fit(X, y)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_killed_search_goes_on_from_its_finished_trials(flat, tmp_path, sampler):
    X, y = flat
    options = {"n_trials": 14, "tune": "once", "sampler": sampler}
    whole = tuned(Killed(max_iter=300), C, store=tmp_path / "a.json", **options)
    Killed.fits, Killed.last = 0, None
    whole.fit(X[:60], y[:60])
    assert Killed.fits == 15
    parted = tuned(Killed(max_iter=300), C, store=tmp_path / "b.json", **options)
    Killed.fits, Killed.last = 0, 12
    with pytest.raises(SystemExit):
        parted.fit(X[:60], y[:60])
    # A line that the kill has left half written is taken off.
    journal = tmp_path / "b.json.trials"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "stu')
    Killed.fits, Killed.last = 0, None
    parted.fit(X[:60], y[:60])
    # Two trials and the training at the end; the numbers are those of a whole search.
    assert Killed.fits == 3
    columns = ["number", "state", "score", "params_C"]
    assert parted.trials_[columns].equals(whole.trials_[columns])
    assert parted.best_params_ == whole.best_params_
    # Other labels are another search, and more trials go on from those there are.
    (tmp_path / "b.json").unlink()
    Killed.fits = 0
    more = clone(parted).set_params(n_trials=16).fit(X[:60], y[:60])
    assert Killed.fits == 3 and len(more.trials_) == 16
    (tmp_path / "b.json").unlink()
    Killed.fits = 0
    clone(parted).fit(X[60:120], y[60:120])
    assert Killed.fits == 15


def test_early_stopping_watches_the_validation_set_and_the_best_epoch_counts(
    digits, quick
):
    X, y = digits
    data = (X[:50], y[:50], X[50:80], y[50:80])
    space = {"lr": [1e-3, 1e-2]}
    net = quick(max_epochs=3, patience=2)
    for refit in ("all", "training"):
        search = tuned(net, space, n_trials=2, refit=refit).fit(*data)
        best = search.best_estimator_
        if refit == "training":
            assert best.patience == 2 and "valid_loss" in best.history[-1]
            assert search.score(*data[2:]) == search.best_score_
        else:
            assert best.patience is None and "valid_loss" not in best.history[-1]
    # Without early stopping a trial is judged by its best epoch, and the last training
    # ends there.
    fickle = quick(max_epochs=4, lr=0.3)
    search = tuned(fickle, {"lr": [0.05, 0.1]}, n_trials=2, refit="training")
    search.fit(*data)
    (trial,) = [one for one in search.study_.trials if one.value == search.best_score_][
        :1
    ]
    values = list(trial.intermediate_values.values())
    assert search.best_score_ == max(values)
    assert search.best_estimator_.max_epochs == 1 + int(np.argmax(values))
    assert search.score(*data[2:]) == search.best_score_


@pytest.mark.filterwarnings("ignore:1 seeds|2 seeds")
def test_validation_accuracy_is_not_training_accuracy(flat):
    X, y = flat
    options = {"n_initial": 40, "n_instances": 10, "n_rounds": 1, "random_state": 0}
    trees = {"max_depth": [None]}
    data = (X[:300], y[:300])

    def ran(refit, **more):
        search = tuned(RandomForestClassifier(5), trees, n_trials=1, refit=refit)
        pipeline = make_pipeline(StandardScaler(), search)
        return ActiveLearningExperiment(
            pipeline, "margin", validation_size=40, **options, **more
        ).fit(*data)

    honest = ran("training").history_["validation_accuracy"]
    assert honest.max() < 0.95
    with pytest.warns(UserWarning, match="no column validation_accuracy: .*refit="):
        history = ran("all").history_
    assert "validation_accuracy" not in history
    rule = AnyOf([Budget(60), NoGain(1, metric="validation_accuracy")])
    with pytest.raises(ValueError, match="stopping looks at validation_accuracy"):
        ran("all", stopping=rule)


# ---- bad use -------------------------------------------------------------------------


def test_settings_that_do_not_exist(flat, tmp_path):
    X, y = flat
    for options, message in (
        ({"sampler": "grid"}, "Unknown sampler 'grid'"),
        ({"pruner": "median"}, "pruner must be"),
        ({"refit": False}, "Unknown refit"),
        ({"tune": "never"}, "Unknown tune"),
        ({"n_trials": 0}, "n_trials must be"),
        ({"store": tmp_path / "x"}, "store is for tune='once'"),
    ):
        with pytest.raises(ValueError, match=message):
            tuned(**options).fit(X[:60], y[:60])
    with pytest.raises(ValueError, match="No label can be held out"):
        tuned().fit(X[:2], np.array([0, 1]))


def test_without_optuna_the_error_says_what_to_install(flat, monkeypatch):
    X, y = flat
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "optuna":
            raise ImportError("no optuna")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ImportError,
        match=r"TunedClassifier needs Optuna: pip install 'al-sklearn\[tune\]'",
    ):
        tuned().fit(X[:60], y[:60])


def test_the_progress_bar_and_optunas_own_logging(flat, capsys, caplog):
    X, y = flat
    with caplog.at_level(logging.DEBUG, logger="optuna"):
        tuned(verbose=1, n_trials=2).fit(X[:60], y[:60])
    assert "2/2" in capsys.readouterr().err
    assert not caplog.records


@parametrize_with_checks(
    [TunedClassifier(LogisticRegression(), {"C": (0.1, 10.0, "log")}, 2, verbose=0)]
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)
