"""Runs that older versions wrote, as they wrote them: read and gone on with, or refused
in a sentence.

``older_runs`` has what the commits named there left behind: a run of theirs, and the
``config.json`` of one with a network, which had fewer parameters then.
"""

import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from al_sklearn.estimators import ImageClassifier
from al_sklearn.experiments import StrategyComparison, load_results
from al_sklearn.experiments.comparison._run_folders import summarize_runs
from al_sklearn.experiments.store._store import RunStore

RUNS = Path(__file__).parent / "older_runs"
# The first that had a store, and the last that wrote a round as two files.
FORMAT_1 = ["10c545a", "210b814"]
CLOCK = ["query_seconds", "training_seconds", "peak_memory_mb"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:1 seed cannot tell"),
    # Made with the packages of their day.
    pytest.mark.filterwarnings("ignore:The run in .* was begun with other versions"),
]


def run(store=None, estimator=None):
    options = {
        "n_initial": 6,
        "n_instances": 4,
        "n_rounds": 2,
        "n_seeds": 1,
        "threads_per_job": 1,
        "verbose": 0,
    }
    made = StrategyComparison(
        estimator or LogisticRegression(max_iter=200),
        ["margin"],
        store=store,
        **options,
    )
    return made.fit(*load_iris(return_X_y=True))


def unpacked(commit, folder):
    with zipfile.ZipFile(RUNS / f"{commit}.zip") as file:
        file.extractall(folder)
    return folder


def assert_same(table, expected):
    assert list(table.columns) == list(expected.columns)
    assert table["strategy"].tolist() == expected["strategy"].tolist()
    numbers = [name for name in table.columns if name not in ("strategy", *CLOCK)]
    np.testing.assert_allclose(
        table[numbers].astype(float), expected[numbers].astype(float), rtol=1e-6
    )


@pytest.fixture(scope="module")
def today():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "1 seed cannot tell")
        return run()


@pytest.mark.parametrize("commit", FORMAT_1)
def test_an_older_run_is_read(commit, tmp_path, today):
    folder = unpacked(commit, tmp_path / "run")
    read = load_results(folder)
    assert_same(read.table, today.results_)
    assert read.config["format"] == 1
    # Nobody counted then.
    assert read.pool_counts is None
    assert "margin" in read.summary().index
    assert summarize_runs({"old": folder})["rounds"].tolist() == [2, 2]


@pytest.mark.parametrize("commit", FORMAT_1)
@pytest.mark.parametrize("lost", [0, 3])
def test_an_older_run_is_gone_on_with(commit, lost, tmp_path, today):
    folder = unpacked(commit, tmp_path / "run")
    rounds = sorted(folder.rglob("round_*.json"))
    for path in rounds[len(rounds) - lost :]:
        path.unlink()
        (folder / "metrics.jsonl").unlink(missing_ok=True)
    kept = {path: path.read_bytes() for path in folder.rglob("round_*.json")}
    again = run(folder)
    assert_same(again.results_, today.results_)
    for key, batches in again.queries_.items():
        for batch, expected in zip(batches, today.queries_[key], strict=True):
            np.testing.assert_array_equal(batch, expected)
    assert {path: path.read_bytes() for path in kept} == kept
    # What was added is of today's format, and says so; both are read again.
    assert json.loads((folder / "config.json").read_text())["format"] == 2
    assert_same(load_results(folder).table, today.results_)
    assert load_results(folder).pool_counts.to_numpy().sum() == len(
        RunStore(folder).splits()["train_0"]
    )


def test_options_that_came_later_are_named_and_the_version_too(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(
        (RUNS / "10c545a-network-config.json").read_text()
    )
    with pytest.raises(ValueError, match="another configuration") as error:
        run(tmp_path / "run", ImageClassifier("small_cnn", max_epochs=1))
    said = str(error.value)
    assert "estimator.patience was not there, is None" in said
    assert said.endswith(
        "Name another folder, or go on as it was begun (by al-sklearn 0.1.0)."
    )
    assert "\n" not in said
    assert [path.name for path in (tmp_path / "run").iterdir() if path.suffix] == [
        "config.json"
    ]


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_half_a_round_of_format_1_is_named(tmp_path, damage, today):
    folder = unpacked("10c545a", tmp_path / "run")
    arrays = folder / "rounds" / "margin" / "seed_000" / "round_001.npz"
    if damage == "lost":
        arrays.unlink()
    else:
        arrays.write_bytes(arrays.read_bytes()[:200])
    with pytest.raises(
        ValueError,
        match=r"round_001\.npz is missing or damaged .*remove round_001\.json",
    ):
        run(folder)
    arrays.with_suffix(".json").unlink()
    assert_same(run(folder).results_, today.results_)
