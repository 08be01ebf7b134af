"""A run's sets are trained again from the command line; the spread is in the report."""

import numpy as np
import pandas as pd
import pytest

from al_sklearn.experiments import load_results
from al_sklearn.experiments.statistics import training_spread
from tests.cli.test_cli import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("retrain") / "run"
    done = run(
        *["compare", "--pool-size", 120, "--test-size", 60, "--seeds", 2],
        *["--rounds", 1, "--epochs", 1, "--quiet", "--strategies", "margin,entropy"],
        *["--output", where, "--no-report"],
    )
    assert done.exit_code == 0, done.output
    return where


def test_trained_again_and_said_in_the_report(folder):
    told = run("retrain", folder, "--repeats", 2, "--only", "margin", "--quiet")
    assert told.exit_code == 0, told.output
    assert "4 trainings" in told.output and "within" in told.output
    table = pd.read_csv(folder / "retrained.csv")
    assert set(table["strategy"]) == {"margin"} and len(table) == 4
    found = load_results(folder)
    assert len(found.retrained) == 4
    assert set(found.retrained["n_labelled"]) == {40}
    page = found.report(folder / "page.html").read_text()
    assert "The luck of one training" in page
    # Another strategy is added; what is there is not trained again.
    before = {p: p.stat().st_mtime_ns for p in (folder / "retrained").rglob("*.json")}
    told = run("retrain", folder, "--repeats", 2, "--only", "entropy", "--quiet")
    assert told.exit_code == 0, told.output
    after = {p: p.stat().st_mtime_ns for p in (folder / "retrained").rglob("*.json")}
    assert len(after) == 8 and before.items() <= after.items()
    assert set(load_results(folder).retrained["strategy"]) == {"margin", "entropy"}
    wrong = run("retrain", folder, "--only", "margn")
    assert wrong.exit_code == 2 and "Did you mean 'margin'" in wrong.output


def test_the_spread_is_between_trainings_of_one_set():
    rows = [
        ("same", "margin", seed, 3, repeat, 100, seed + shift)
        for seed in (0, 1)
        for repeat, shift in enumerate((0.0, 0.2))
    ] + [("same", "margin", 0, 2, 0, 90, 9.0)]
    columns = ["estimator", "strategy", "seed", "round", "repeat", "n_labelled", "a"]
    (row,) = training_spread(pd.DataFrame(rows, columns=columns), "a").to_dict(
        "records"
    )
    assert row["within"] == pytest.approx(np.std([0, 0.2], ddof=1))
    assert row["between"] == pytest.approx(np.std([0.1, 1.1], ddof=1))
    assert row["mean"] == pytest.approx(0.6) and row["repeats"] == 2
    with pytest.raises(ValueError, match="lacks 'b'"):
        training_spread(pd.DataFrame(rows, columns=columns), "b")
