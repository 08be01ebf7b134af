"""One lock and one way to seed for the generators that all threads share."""

import os
import random
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from joblib._parallel_backends import ThreadingBackend
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn import (
    ActiveLearner,
    ActiveLearningExperiment,
    Committee,
    DeepEnsemble,
    ImageClassifier,
    StrategyComparison,
)
from al_sklearn._core.random import (
    preserve_global_rng,
    random_states,
    seed_all,
    seeded_clone,
    take_turn,
)
from al_sklearn.config import config_context
from al_sklearn.rows import kept

from ._drawing import GENERATORS, Draws, together


def draw_all():
    return [draw() for draw in GENERATORS.values()]


def experiment(estimator, **options):
    options = {"n_rounds": 2, "n_instances": 5, "random_state": 0, **options}
    return ActiveLearningExperiment(estimator, "random_sampling", **options)


def accuracies(fitted):
    return fitted.history_.accuracy.tolist()


def drawn_by(ensemble):
    return [member.drawn_ for member in ensemble.estimators_]


@pytest.fixture(scope="module")
def few(digits):
    X, y = digits
    return X[:200].reshape(200, -1) / 255, y[:200]


# Seeds


def test_a_seed_fixes_all_generators_and_all_are_put_back():
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    with preserve_global_rng(7):
        first = draw_all()
    with preserve_global_rng():
        seed_all(7)
        assert draw_all() == first
    with preserve_global_rng(8):
        assert not set(draw_all()) & set(first)
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_random_states_are_found_at_any_depth():
    forest = RandomForestClassifier(random_state=3)
    pipeline = make_pipeline(StandardScaler(), DeepEnsemble(forest))
    inner = "deepensemble__estimator__random_state"
    assert random_states(pipeline) == [inner, "deepensemble__random_state"]
    assert random_states(pipeline, only_open=True) == ["deepensemble__random_state"]
    assert random_states(object()) == []


def test_a_seeded_clone_has_a_seed_of_its_own_for_each():
    pipeline = make_pipeline(DeepEnsemble(RandomForestClassifier(random_state=3)))
    copy = seeded_clone(pipeline, 0)
    seeds = [copy.get_params()[name] for name in random_states(pipeline)]
    assert len(set(seeds)) == 2 and 3 not in seeds
    again = seeded_clone(pipeline, 0)
    assert [again.get_params()[name] for name in random_states(pipeline)] == seeds
    kept = seeded_clone(pipeline, 0, only_open=True)
    assert kept.get_params()["deepensemble__estimator__random_state"] == 3
    assert pipeline.get_params()["deepensemble__random_state"] is None


# Turns


def test_threads_take_turns():
    held = threading.Event()
    order = []

    def first():
        with preserve_global_rng(0):
            held.set()
            # Long enough for the other to come in, if it could.
            time.sleep(0.05)
            order.append("first")

    def second():
        held.wait(30)
        with preserve_global_rng(1):
            order.append("second")

    together(first, second)
    assert order == ["first", "second"]


def test_an_experiment_and_an_ensemble_in_two_threads_keep_their_numbers(few):
    def fit_experiment():
        return accuracies(experiment(Draws(pause=0.001)).fit(*few))

    def fit_ensemble():
        return drawn_by(DeepEnsemble(Draws(pause=0.001), random_state=1).fit(*few))

    alone = [fit_experiment(), fit_ensemble()]
    for _ in range(3):
        assert together(fit_experiment, fit_ensemble) == alone


def test_an_experiment_of_ensembles_beside_an_ensemble_of_experiments(few):
    logistic = LogisticRegression(max_iter=20)

    def outer_experiment():
        ensemble = DeepEnsemble(logistic, n_members=2)
        return accuracies(experiment(ensemble).fit(*few))

    def outer_ensemble():
        ensemble = DeepEnsemble(experiment(logistic), n_members=2, random_state=0)
        return [accuracies(member) for member in ensemble.fit(*few).estimators_]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = [outer_experiment(), outer_ensemble()]
        assert together(outer_experiment, outer_ensemble) == alone


@pytest.mark.parametrize("source", GENERATORS)
def test_an_image_classifier_takes_its_turn(digits, few, source):
    X, y = digits[0][:40], digits[1][:40]

    def train():
        net = ImageClassifier("small_cnn", max_epochs=2, augment="flip_crop")
        net.set_params(random_state=0, batch_size=8)
        return net.fit(X, y).predict_proba(X[:5]).tolist()

    def fit_ensemble():
        members = DeepEnsemble(Draws(source, pause=0.001), random_state=1)
        return drawn_by(members.fit(*few))

    alone = [train(), fit_ensemble()]
    assert together(train, fit_ensemble) == alone


@pytest.mark.parametrize(
    "make",
    [
        lambda n_jobs: DeepEnsemble(Draws(), n_members=3, n_jobs=n_jobs),
        lambda n_jobs: Committee(
            [ActiveLearner(Draws()), ActiveLearner(Draws())], n_jobs=n_jobs
        ),
        # scikit-learn's own, of estimators of ours that take the lock.
        lambda n_jobs: BaggingClassifier(
            DeepEnsemble(Draws(), n_members=2), n_estimators=2, n_jobs=n_jobs
        ),
    ],
    ids=["ensemble", "committee", "bagging"],
)
@pytest.mark.parametrize("level", [0, 1], ids=["threads", "in a worker"])
def test_jobs_inside_an_experiment_end_with_the_numbers_of_one(few, make, level):
    def fit(n_jobs):
        with parallel_config(ThreadingBackend(nesting_level=level), n_jobs=2):
            return accuracies(experiment(make(n_jobs)).fit(*few))

    assert together(lambda: fit(1)) == together(lambda: fit(2))


def test_experiments_in_joblibs_threads(few):
    def fit(n_jobs):
        model = DeepEnsemble(Draws(), n_members=2, n_jobs=2)
        jobs = [delayed(experiment(model, random_state=i).fit)(*few) for i in range(2)]
        with parallel_config("threading"):
            return [accuracies(fitted) for fitted in Parallel(n_jobs=n_jobs)(jobs)]

    assert together(lambda: fit(1)) == together(lambda: fit(2))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_jobs_inside_the_workers_of_a_comparison(few, backend):
    def run(n_jobs):
        model = DeepEnsemble(LogisticRegression(max_iter=20), n_members=2, n_jobs=2)
        comparison = StrategyComparison(
            model,
            ["random_sampling", "margin"],
            n_rounds=1,
            n_instances=5,
            n_seeds=1,
            n_jobs=n_jobs,
            verbose=0,
        )
        with warnings.catch_warnings(), parallel_config(backend):
            warnings.simplefilter("ignore")
            return comparison.fit(*few).results_.accuracy.tolist()

    assert together(lambda: run(1), seconds=300) == together(
        lambda: run(2), seconds=300
    )


def test_what_needs_no_turn_stays_parallel_in_processes():
    from joblib import effective_n_jobs

    with parallel_config("loky"), take_turn():
        assert effective_n_jobs(2) == 2
    with parallel_config("threading"):
        assert effective_n_jobs(2) == 2
        with take_turn():
            assert effective_n_jobs(2) == 1
        assert effective_n_jobs(2) == 2


def test_generators_come_before_the_lock_of_a_cache(tmp_path):
    computing, held = threading.Event(), threading.Event()
    X = np.arange(40.0).reshape(20, 2)

    def compute(rows):
        if len(rows) > 2:  # not the look at the shape of the result
            computing.set()
            held.wait(0.2)
        with take_turn():
            return rows * 2

    def computes():
        with config_context(cache=tmp_path):
            return kept("twice", None, X, (), compute).tolist()

    def holds():
        computing.wait(30)
        with take_turn():
            held.set()
            return computes()

    assert together(computes, holds, seconds=20) == [(X * 2).tolist()] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("holder", ["the thread that forks", "another"])
def test_a_forked_process_can_take_the_generators(holder):
    held, let_go = threading.Event(), threading.Event()

    def hold():
        with take_turn():
            held.set()
            let_go.wait(30)

    def fork():
        with warnings.catch_warnings():
            # Python's own about threads and fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            # Waiting for ever is ended by the alarm, which is no success.
            import signal

            signal.alarm(20)
            with preserve_global_rng(0):
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    if holder == "another":
        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        held.wait(30)
        try:
            assert fork() == 0
        finally:
            let_go.set()
            thread.join()
    else:
        with take_turn():
            assert fork() == 0
