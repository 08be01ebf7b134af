"""What one worker has searched for all does not depend on which came first."""

import json

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn.estimators import TunedClassifier
from al_sklearn.experiments import StrategyComparison
from al_sklearn.experiments.comparison._order import in_turn, shared_search
from al_sklearn.experiments.statistics import BASELINE
from al_sklearn.experiments.store import FIRST

pytest.importorskip("optuna")
pytestmark = pytest.mark.filterwarnings("ignore:2 seeds cannot tell")


def tuned(**options):
    space = {"C": (1e-3, 1e2, "log")}
    return TunedClassifier(LogisticRegression(), space, n_trials=2, **options)


@pytest.mark.parametrize(
    "tune", ["once", pytest.param("once_per_size", marks=pytest.mark.slow)]
)
def test_workers_find_what_one_would(tune, tmp_path):
    generator = np.random.default_rng(0)
    y = np.arange(120) % 3
    X = generator.normal(size=(120, 4)) + y[:, None]
    found, tables = [], []
    for n_jobs in (1, 2):
        store = tmp_path / f"{n_jobs}.json"
        comparison = StrategyComparison(
            tuned(tune=tune, store=store),
            ["margin"],
            n_initial=12,
            n_instances=6,
            n_rounds=2,
            n_seeds=2,
            n_jobs=n_jobs,
            threads_per_job=1,
            verbose=0,
        )
        with parallel_config("multiprocessing"):
            tables.append(comparison.fit(X, y).results_)
        content = json.loads(store.read_text())["found"]
        found.append({key: one["choices"] for key, one in content.items()})
    assert found[0] == found[1]
    # Of each strategy, and of the first model, which both share.
    each = [f"{name}: {size}" for name in ("margin", BASELINE) for size in (18, 24)]
    keys = ["all"] if tune == "once" else [f"{FIRST}: 12", *each]
    assert sorted(found[0]) == sorted(keys)
    assert tables[0]["accuracy"].equals(tables[1]["accuracy"])


def test_who_goes_first(tmp_path):
    alone = tuned(tune="once", store=tmp_path / "x")
    assert shared_search(make_pipeline(StandardScaler(), alone)) == "once"
    assert shared_search(tuned(tune="once")) == ""
    assert shared_search(LogisticRegression()) == ""

    def is_zero(seed):
        return seed == 0

    assert in_turn([1, 0, 2, 0], is_zero) == [[0, 0], [1, 2]]
    assert in_turn([1, 2], is_zero) == [[1, 2]]
    assert in_turn([0], is_zero) == [[0]]
    assert in_turn([1, 0], None) == [[1, 0]]
    assert in_turn([], None) == []


def test_a_damaged_store_is_refused_by_name(tmp_path):
    store = tmp_path / "found.json"
    X, y = np.arange(40.0).reshape(40, 1), np.arange(40) % 2
    tuned(tune="once", store=store).fit(X, y)
    store.write_text(store.read_text().replace('"score": 0', '"score": 1'))
    with pytest.raises(ValueError, match=r"found\.json is damaged"):
        tuned(tune="once", store=store).fit(X, y)
