"""A validation set that the data bring: used as one that is drawn, and counted."""

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from al_sklearn.cli import app
from al_sklearn.experiments import StrategyComparison, load_results
from al_sklearn.experiments.hard_pools import LabelNoise

pytestmark = pytest.mark.filterwarnings("ignore:.*use at least 5")


@pytest.fixture(scope="module")
def sets(digits):
    X, y = digits
    X = X.reshape(len(X), -1) / 255
    return {
        "X": X[:200],
        "y": y[:200],
        "X_test": X[200:300],
        "y_test": y[200:300],
        "X_val": X[300:340],
        "y_val": y[300:340],
    }


def compare(sets, store=None, **settings):
    comparison = StrategyComparison(
        LogisticRegression(max_iter=200),
        ["margin"],
        **{"n_initial": 20, "n_instances": 5, "n_rounds": 2, "n_seeds": 2, **settings},
        store=store,
        random_state=0,
        verbose=0,
    )
    return comparison.fit(**sets)


def test_it_is_validated_on_counted_and_never_bought(sets, tmp_path):
    comparison = compare(sets, tmp_path / "run")
    table = comparison.results_
    assert table["n_labelled"].min() == 60 and table["n_labelled"].max() == 70
    assert table["validation_accuracy"].between(0.3, 1).all()
    for batches in comparison.queries_.values():
        assert np.concatenate(batches).max() < 200
    # What is bought and tested is what it is without.
    alone = {name: rows for name, rows in sets.items() if not name.endswith("_val")}
    without = compare(alone)
    assert without.results_["accuracy"].equals(table["accuracy"])
    assert "validation_accuracy" not in without.results_
    model = LogisticRegression(max_iter=200)
    first = comparison.queries_["margin", 0][0]
    expected = model.fit(sets["X"][first], sets["y"][first])
    row = table[(table["strategy"] == "margin") & (table["seed"] == 0)].iloc[0]
    np.testing.assert_allclose(
        row["validation_accuracy"], expected.score(sets["X_val"], sets["y_val"])
    )
    splits = np.load(tmp_path / "run" / "splits.npz")
    assert splits["validation_0"].tolist() == list(range(200, 240))
    again = compare(sets, tmp_path / "run")
    assert again.results_["accuracy"].equals(table["accuracy"])
    assert len(load_results(tmp_path / "run").table) == len(table)
    assert len(comparison.retrain(**sets, n_repeats=1)) == 4
    other = {**sets, "y_val": sets["y_val"][::-1].copy()}
    with pytest.raises(ValueError, match="y_val"):
        compare(other, tmp_path / "run")


def test_hard_pools_leave_it_alone(sets):
    comparison = compare(sets, pool=LabelNoise(0.3))
    assert "bought_wrong" in comparison.results_
    assert comparison.results_["validation_accuracy"].notna().all()


def test_mistakes_are_named(sets):
    for change, message in (
        ({"y_val": None}, "y_val is missing"),
        ({"y_val": sets["y_val"][:-1]}, "same length|inconsistent"),
        ({"y_val": sets["y_val"] + 100}, r"y_val holds classes that y does not: \[10"),
    ):
        with pytest.raises(ValueError, match=message):
            compare({**sets, **change})
    with pytest.raises(ValueError, match="give one of them"):
        compare(sets, validation_size=10)
    with pytest.raises(ValueError, match="budget=50 is 50 labels"):
        compare(sets, budget=50)


def test_a_folder_of_three_parts_is_compared_with_its_validation_set(digits, tmp_path):
    X, y = digits
    start = 0
    for part, n in (("train", 12), ("val", 3), ("test", 3)):
        for label in (0, 1):
            folder = tmp_path / "photos" / part / f"digit-{label}"
            folder.mkdir(parents=True)
            for i in np.flatnonzero(y == label)[start : start + n]:
                Image.fromarray(X[i]).save(folder / f"{i}.png")
        start += n
    done = CliRunner().invoke(
        app,
        [
            *("compare", "--dataset", "folder", "--data-dir", str(tmp_path / "photos")),
            *("--strategies", "random,margin", "--image-size", "8", "--epochs", "1"),
            *("--initial", "4", "--batch", "2", "--rounds", "1", "--seeds", "2"),
            *("--output", str(tmp_path / "run"), "--no-report", "--quiet"),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "24 to train, 6 for validation, 6 to test" in done.output
    table = load_results(tmp_path / "run").table
    assert table["n_labelled"].min() == 10 and "validation_accuracy" in table
