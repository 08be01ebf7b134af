"""Comparisons: paired by seed, in parallel on any backend, and honest about what they
found."""

import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

import joblib
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from al_sklearn._core.threads import limit_threads
from al_sklearn.experiments import ActiveLearningExperiment, StrategyComparison
from al_sklearn.experiments.comparison import _workers
from al_sklearn.experiments.comparison._order import longest_first
from al_sklearn.experiments.protocol._problem import make_problem
from al_sklearn.experiments.statistics import gap_closed
from al_sklearn.loop._streams import Streams
from al_sklearn.rows._fingerprint import describe, fingerprint
from al_sklearn.strategies import (
    coreset,
    margin,
    measures,
    mix,
    oracle_batch,
    two_stage,
)

mpl.use("Agg")

CLOCK = ["query_seconds", "training_seconds", "peak_memory_mb"]
LR = LogisticRegression(max_iter=500)


def make(strategies=("margin",), estimator=LR, **options):
    return StrategyComparison(
        estimator,
        list(strategies),
        **{"n_rounds": 2, "n_seeds": 5, "verbose": 0, "threads_per_job": 1, **options},
    )


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    return X[:600].reshape(600, -1) / 255.0, y[:600]


@pytest.fixture(scope="module")
def fitted(flat):
    return make(["margin", "entropy"], n_rounds=3).fit(*flat)


def test_the_table_is_tidy_and_random_always_runs(fitted):
    results = fitted.results_
    assert list(fitted.strategies_) == ["random_sampling", "margin", "entropy"]
    assert len(results) == 3 * 5 * 4
    assert (
        results.groupby(["strategy", "seed"])["n_labelled"]
        .apply(list)
        .map(lambda n: n == [20, 40, 60, 80])
        .all()
    )
    assert results[["accuracy", "nll", "ece"]].notna().all().all()


def test_strategies_are_paired_by_seed(fitted):
    first = fitted.results_[fitted.results_["round"] == 0].drop(columns="strategy")
    for _, same in first.groupby("seed"):
        assert (same.nunique(dropna=False) == 1).all()
    assert first["nll"].nunique() == 5
    for seed in range(5):
        starts = [fitted.queries_[name, seed][0] for name in fitted.strategies_]
        assert all(np.array_equal(start, starts[0]) for start in starts)


def test_a_comparison_is_so_many_experiments(flat, fitted):
    X, y = flat
    alone = ActiveLearningExperiment(LR, "margin", n_rounds=3, random_state=0).fit(X, y)
    ours = fitted.results_.query("strategy == 'margin' and seed == 0").reset_index(
        drop=True
    )
    columns = [column for column in alone.history_ if column not in CLOCK]
    pd.testing.assert_frame_equal(
        ours[columns], alone.history_[columns], check_exact=True
    )
    assert all(
        np.array_equal(a, b)
        for a, b in zip(fitted.queries_["margin", 0], alone.queries_, strict=True)
    )


def test_adding_a_strategy_changes_nothing_for_the_others(flat, fitted):
    alone = make(["margin"], n_rounds=3).fit(*flat).results_
    both = fitted.results_[fitted.results_["strategy"] != "entropy"]
    assert alone.drop(columns=CLOCK).equals(
        both.reset_index(drop=True).drop(columns=CLOCK)
    )


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_any_backend_gives_the_same_bits(flat, backend):
    X, y = flat
    forest = RandomForestClassifier(n_estimators=5)
    expected = make(["entropy"], forest, n_rounds=1, n_seeds=5).fit(X, y).results_
    with parallel_config(backend=backend):
        got = (
            make(["entropy"], forest, n_rounds=1, n_seeds=5, n_jobs=2)
            .fit(X, y)
            .results_
        )
    assert got.drop(columns=CLOCK).equals(expected.drop(columns=CLOCK))


def test_the_first_model_of_a_seed_is_trained_once(flat):
    fits = []

    class Counting(LogisticRegression):
        def fit(self, X, y):
            fits.append(len(y))
            return super().fit(X, y)

    make(["margin", "entropy"], Counting(max_iter=500), n_rounds=2).fit(*flat)
    assert fits.count(20) == 5
    assert fits.count(40) == fits.count(60) == 3 * 5


def test_threads_are_limited_inside_and_put_back(flat):
    seen = []

    def watching(classifier, X, n_instances=1):
        seen.append(torch.get_num_threads())
        return np.arange(n_instances)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        make([watching], threads_per_job=1).fit(*flat)
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), limit_threads(1):
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_names_of_strategies(flat):
    def mine(classifier, X, n_instances=1):
        return np.arange(n_instances)

    strategies = [
        "random",
        margin,
        partial(coreset, metric="cosine"),
        mix((1, "margin"), (1, "random_sampling")),
        two_stage("margin", "coreset"),
        mine,
    ]
    names = list(make(strategies, n_rounds=1).fit(*flat).results_["strategy"].unique())
    assert names[:3] == ["random_sampling", "margin", "coreset(metric='cosine')"]
    assert names[-1] == "mine"
    assert names[3].startswith("mix(")
    assert names[4].startswith("two_stage(margin, coreset")
    with pytest.raises(ValueError, match="Two strategies are called 'margin'"):
        make(["margin", margin]).fit(*flat)
    named = StrategyComparison(
        LR, {"one": "margin", "two": margin}, n_rounds=0, verbose=0
    ).fit(*flat)
    assert list(named.strategies_) == ["random_sampling", "one", "two"]
    with pytest.raises(ValueError, match="name of the baseline"):
        StrategyComparison(LR, {"random_sampling": "margin"}, verbose=0).fit(*flat)


def test_fewer_than_five_seeds_warn(flat):
    with pytest.warns(UserWarning, match="3 seeds cannot tell a strategy from luck"):
        comparison = make(n_seeds=3).fit(*flat)
    assert comparison.summary().attrs["notes"][0].startswith("3 seeds")
    assert comparison.pairwise()["n_seeds"].tolist() == [3]


@pytest.mark.filterwarnings("ignore:1 seed cannot tell")
def test_one_seed_has_no_intervals_but_a_report(flat, tmp_path):
    comparison = make(n_seeds=1).fit(*flat)
    assert comparison.summary()["final_low"].isna().all()
    comparison.plot()
    assert (
        "With one seed nothing can be told from luck"
        in comparison.report(tmp_path / "r.html").read_text()
    )
    mpl.pyplot.close("all")


def test_summary_has_its_documented_columns(fitted):
    intervals = [
        f"{name}{end}" for name in ("final", "aubc") for end in ("", "_low", "_high")
    ]
    differences = [f"difference{end}" for end in ("", "_low", "_high")]
    savings = [f"label_saving{end}" for end in ("", "_low", "_high")]
    tests = ["p_value", "p_holm", "p_wilcoxon", "p_wilcoxon_holm", "detectable"]
    seconds = ["query_seconds", "training_seconds"]
    expected = [*intervals, "rank", *differences, "wins", "n_seeds", *savings]
    expected += ["labels", "n_stopped", *tests, *seconds]
    assert list(fitted.summary().columns) == expected
    assert fitted.summary().index.name == "strategy"
    for metric in ("balanced_accuracy", "macro_f1", "nll", "ece"):
        assert list(fitted.summary(metric).columns) == expected


def test_budget_runs_out_together(flat):
    X, y = flat
    comparison = make(n_initial=50, n_instances=300, n_rounds=9).fit(X, y)
    assert sorted(comparison.results_["n_labelled"].unique()) == [50, 350, 450]
    comparison.summary()


def test_a_given_test_set_is_the_same_for_all_seeds(flat):
    X, y = flat
    comparison = make(n_rounds=1).fit(X[:400], y[:400], X[400:], y[400:])
    assert (
        max(max(map(np.max, queries)) for queries in comparison.queries_.values()) < 400
    )
    with pytest.raises(ValueError, match="X_test is missing"):
        make().fit(X, y, y_test=y)


def test_progress_counts_rounds_and_shows_the_time_left(flat, capfd, monkeypatch):
    # A bar is for a terminal: elsewhere there is a line a minute.
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    make(["margin"], n_rounds=2, n_seeds=5, verbose=1, n_jobs=2).fit(*flat)
    shown = capfd.readouterr().err
    # Five first models and two rounds for each of two strategies.
    assert "25/25" in shown
    assert "<" in shown


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"strategies": ["margn"]}, ValueError, "Unknown strategy 'margn'"),
        ({"strategies": [3]}, TypeError, "a name or a callable, got int"),
        ({"n_seeds": 0}, ValueError, "n_seeds"),
        ({"n_initial": 1000}, ValueError, "n_initial=1000 is more than the 450"),
        ({"threads_per_job": 0}, ValueError, "threads_per_job"),
        ({"strategies": ["bald"]}, TypeError, "strategy 'bald'.*posterior samples"),
    ],
)
def test_bad_input_gets_one_clear_sentence(flat, options, error, says):
    with pytest.raises(error, match=says):
        make(options.pop("strategies", ["margin"]), **options).fit(*flat)


def test_before_fit_and_clone():
    with pytest.raises(NotFittedError, match="call fit first"):
        make().summary()
    copy = clone(make(["margin", partial(coreset, metric="cosine")], n_jobs=3))
    assert copy.n_jobs == 3
    assert copy.get_params()["estimator__C"] == 1.0


def test_ctrl_c_loses_nothing(flat, tmp_path):
    X, y = flat
    expected = make(n_rounds=3).fit(X, y).results_
    calls = []

    def interrupted(classifier, X, n_instances=1, **options):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return margin(classifier, X, n_instances, **options)

    interrupted.__name__ = interrupted.__qualname__ = "margin"
    interrupted.__module__ = "al_sklearn.strategies"
    with pytest.raises(KeyboardInterrupt):
        make([interrupted], n_rounds=3, store=tmp_path / "run").fit(X, y)
    kept = len(list((tmp_path / "run" / "rounds" / "margin").rglob("*.json")))
    assert kept == 7
    resumed = make([margin], n_rounds=3, store=tmp_path / "run").fit(X, y).results_
    assert resumed.drop(columns=CLOCK).equals(expected.drop(columns=CLOCK))


def test_workers_stop_when_the_main_process_is_killed(tmp_path):
    script = tmp_path / "main.py"
    script.write_text(
        "import time, numpy as np\n"
        "from sklearn.datasets import load_digits\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from al_sklearn.experiments import StrategyComparison\n"
        "def slow(classifier, X, n_instances=1):\n"
        "    time.sleep(0.3)\n"
        "    return np.arange(n_instances)\n"
        "X, y = load_digits(return_X_y=True)\n"
        "StrategyComparison(LogisticRegression(max_iter=50), {'slow': slow}, "
        "n_rounds=60, n_instances=5, n_jobs=2,\n"
        f"    threads_per_job=1, store={str(tmp_path / 'run')!r}, verbose=0).fit(X / "
        "16, y)\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONWARNINGS": "ignore",
    }
    process = subprocess.Popen(
        [sys.executable, str(script)], env=environment, stderr=subprocess.DEVNULL
    )
    folder = tmp_path / "run" / "rounds" / "slow"
    began = time.monotonic()
    while (
        len(list(folder.rglob("*.json"))) < 2
        and process.poll() is None
        and time.monotonic() - began < 60
    ):
        time.sleep(0.05)
    assert process.poll() is None
    assert len(list(folder.rglob("*.json"))) >= 2
    process.kill()
    process.wait()
    time.sleep(1.5)
    count = len(list(folder.rglob("*.json")))
    time.sleep(1.5)
    assert len(list(folder.rglob("*.json"))) == count


def test_the_main_process_is_not_taken_for_an_orphan(flat, monkeypatch):
    parents = iter(range(100, 10_000))
    monkeypatch.setattr(_workers.os, "getppid", lambda: next(parents))
    before = set(threading.enumerate())
    assert len(make(n_rounds=2).fit(*flat).results_) == 2 * 5 * 3
    # Nor is anything left that would go on looking.
    assert not set(threading.enumerate()) - before


def test_descriptions_are_stable_and_tell_things_apart(flat):
    X, _ = flat
    same = [
        (partial(coreset, metric="cosine"), partial(coreset, metric="cosine")),
        (RandomForestClassifier(3), RandomForestClassifier(3)),
        (mix((1, "margin"), (2, margin)), mix((1, "margin"), (2, margin))),
        (torch.nn.Linear(3, 2).requires_grad_(False),) * 2,
        (lambda x: x + 1, lambda x: x + 1),
        (X, X.copy()),
    ]
    for a, b in same:
        assert describe(a) == describe(b)
        assert " at 0x" not in str(describe(a))
    different = [
        (partial(coreset, metric="cosine"), partial(coreset, metric="euclidean")),
        (
            partial(coreset, measure=measures.entropy),
            partial(coreset, measure=measures.margin),
        ),
        (RandomForestClassifier(3), RandomForestClassifier(4)),
        (mix((1, "margin"), (2, margin)), mix((1, "margin"), (3, margin))),
        (torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)),
        (lambda x: x + 1, lambda x: x + 2),
        (X, X[::-1]),
        (X, X.astype(np.float32)),
    ]
    for a, b in different:
        assert describe(a) != describe(b)


def test_fingerprints_of_any_kind(flat, tmp_path):
    X, y = flat
    np.save(tmp_path / "X.npy", X)
    assert fingerprint(np.load(tmp_path / "X.npy", mmap_mode="r")) == fingerprint(X)
    paths = [f"image_{i}.png" for i in range(20)]
    assert fingerprint(paths) == fingerprint(list(paths))
    assert fingerprint(paths) != fingerprint(paths[::-1])
    dataset = torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(y))
    other = torch.utils.data.TensorDataset(torch.as_tensor(X) + 1, torch.as_tensor(y))
    assert fingerprint(dataset) != fingerprint(other)
    names = np.array(["a", "b", "a"])
    assert fingerprint(names) != fingerprint(names[::-1])
    assert fingerprint({"x": X, "y": y})["x"] == fingerprint(X)
    assert fingerprint(pd.DataFrame(X)) != fingerprint(pd.DataFrame(X[::-1]))


def test_oracles_run_and_the_gap_to_them_is_measured(flat):
    """They see true labels and the test set, which no other strategy does."""
    X, y = flat
    seen = []

    def peeks(
        classifier,
        X,
        n_instances=1,
        *,
        y_true=None,
        X_test=None,
        y_test=None,
        random_state=None,
    ):
        seen.append((n_instances, len(X), len(y_true), len(X_test), len(y_test)))
        # All of one class, which nobody without the labels could buy.
        return np.flatnonzero(y_true == 3)[:n_instances], np.ones(n_instances)

    strategies = {
        "margin": "margin",
        "peeks": peeks,
        "oracle_batch": partial(oracle_batch, n_candidates=4),
    }
    options = {
        "n_instances": 10,
        "n_rounds": 2,
        "n_seeds": 5,
        "threads_per_job": 1,
        "verbose": 0,
    }
    comparison = StrategyComparison(
        LogisticRegression(max_iter=200), strategies, **options
    ).fit(X[:500], y[:500])
    table = comparison.results_.query("strategy == 'peeks' and round > 0")
    assert (table["bought_3"] == 10).all()
    assert seen[:2] == [(10, 355, 355, 125, 125), (10, 345, 345, 125, 125)]
    gaps = gap_closed(comparison.results_)
    assert gaps.loc["oracle_batch", "gap_closed"] == 1
    assert comparison.summary().loc["oracle_batch", "difference"] > 0


def test_long_runs_begin_first_and_short_ones_fill_the_end():
    class Store:
        """Knows what rounds took, of strategies that have begun."""

        seconds: ClassVar = {"random": 0.1, "slow": 5.0, "quick": 0.2}

        def __init__(self):
            self.begun = []

        def last(self, name, seed):
            # The first run of "late" has no round yet.
            if (name, seed) not in self.begun or name == "late":
                return None
            return {"query_seconds": self.seconds[name], "training_seconds": 0.1}

    names, store = ["random", "quick", "slow", "late"], Store()
    runs = [(name, seed) for seed in range(3) for name in names]
    for run in longest_first(runs, store):
        store.begun.append(run)
    assert store.begun[:4] == [(name, 0) for name in names]
    assert store.begun[4:] == [
        (name, seed) for name in ("late", "slow", "quick", "random") for seed in (1, 2)
    ]


def test_arrays_stay_arrays_on_their_way_to_a_worker(flat, tmp_path):
    """joblib sends large arrays as files mapped into memory; only the caller's own
    mapped files are read as such."""
    X, y = flat
    np.save(tmp_path / "X.npy", X)
    streams = Streams(0)
    for given, stays in (
        (X, np.ndarray),
        (np.load(tmp_path / "X.npy", mmap_mode="r"), np.memmap),
    ):
        problem = make_problem(make(), given, y, np.unique(y), None, None, streams)
        joblib.dump(problem, tmp_path / "problem")
        arrived = joblib.load(tmp_path / "problem", mmap_mode="r")
        assert type(arrived.X) is stays
        assert type(arrived.y) is np.ndarray
        np.testing.assert_array_equal(arrived.X, X)
        np.testing.assert_array_equal(arrived.train, problem.train)
