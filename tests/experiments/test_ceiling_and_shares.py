"""The whole of a pool: as a share with a point, as no round at all, and as the line
that
strategies may reach."""

import json

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from al_sklearn.estimators import ImageClassifier
from al_sklearn.experiments import (
    ActiveLearningExperiment,
    StrategyComparison,
    load_checkpoint,
    load_results,
    plots,
)
from al_sklearn.experiments.report._charts import gain_chart, learning_chart
from al_sklearn.experiments.statistics import CEILING, task_scores
from tests.cli.test_cli import run

mpl.use("Agg")

LR = LogisticRegression(max_iter=200)
pytestmark = pytest.mark.filterwarnings("ignore:.*use at least 5", "ignore:1 seed")


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    return X[:300].reshape(300, -1) / 255.0, y[:300]


def compare(flat, strategies=("margin",), **options):
    options = {
        "n_rounds": 1,
        "n_seeds": 2,
        "verbose": 0,
        "threads_per_job": 1,
    } | options
    return StrategyComparison(LR, strategies, **options).fit(*flat)


def test_all_labels_are_one_training_a_seed(flat, tmp_path):
    plain = compare(flat, store=tmp_path / "run")
    # Asked for later: nothing else is trained, and no number moves.
    found = compare(flat, store=tmp_path / "run", ceiling=True)
    rows = found.results_[found.results_["strategy"] == CEILING]
    assert rows["seed"].tolist() == [0, 1]
    assert rows["n_labelled"].tolist() == [225, 225]
    others = found.results_[found.results_["strategy"] != CEILING]
    assert others.equals(plain.results_)
    # It is what one training on everything reaches.
    alone = ActiveLearningExperiment(LR, n_initial=1.0, n_rounds=0, random_state=0)
    assert alone.fit(*flat).history_["accuracy"][0] == rows["accuracy"].iloc[0]
    # Outside of ranks and tests, said beside them.
    summary = found.summary()
    assert sorted(summary.index) == ["margin", "random_sampling"]
    assert any(
        "Ceiling: with all 225 labels" in note for note in summary.attrs["notes"]
    )
    assert CEILING not in set(
        found.pairwise()[["strategy", "other"]].to_numpy().ravel()
    )
    assert CEILING not in task_scores(found.results_, by="seed").columns
    # Without the data, too.
    again = load_results(tmp_path / "run")
    assert again.table.equals(found.results_)
    assert not any("Ceiling" in note for note in plain.summary().attrs["notes"])


def test_the_ceiling_is_a_line_in_every_picture(flat, tmp_path):
    found = compare(flat, ceiling=True)
    level = found.results_.query("strategy == 'ceiling'")["accuracy"].mean()
    curves = plots.learning_curves(found.results_)
    lines = {line.get_label(): line for line in curves.lines}
    assert lines[CEILING].get_ydata()[0] == pytest.approx(level)
    assert CEILING in [text.get_text() for text in curves.texts]
    gain = plots.gain_over_baseline(found.results_)
    assert CEILING in [line.get_label() for line in gain.lines]
    classes = plots.class_curves(found.results_, found.classes_)
    assert CEILING in [line.get_label() for line in classes[0].lines]
    bars = plots.bought_histogram(found.results_, found.classes_)
    assert CEILING not in [text.get_text() for text in bars.get_legend().get_texts()]
    page = found.report(tmp_path / "report.html").read_text()
    assert "Ceiling: with all 225 labels" in page and "not finished" not in page
    charts = (learning_chart, gain_chart)
    for names in (
        [line.name for line in draw(found.results_, "accuracy").lines]
        for draw in charts
    ):
        assert CEILING in names
    seconds = plots.learning_curves({"a": found, "b": found}, x="seconds")
    assert "ceiling (a)" in [line.get_label() for line in seconds.lines]


def test_ceiling_is_nobodys_name(flat):
    with pytest.raises(ValueError, match="'ceiling' is the name of what all labels"):
        compare(flat, {"ceiling": "margin"})


def test_ones_own_random_sampling_is_the_baseline(flat):
    def random_sampling(classifier, X, n_instances=1, random_state=None):
        return np.arange(n_instances)

    names = compare(flat, {"blind": "random_sampling", "m": "margin"}).strategies_
    assert list(names) == ["random_sampling", "m"]
    own = compare(flat, [random_sampling])
    assert own.strategies_ == {"random_sampling": random_sampling}
    # Chance against chance stays possible, a slip does not.
    twice = {"random_sampling": "random_sampling", "again": "random"}
    assert list(compare(flat, twice).strategies_) == list(twice)
    with pytest.raises(ValueError, match="is the name of the baseline; call 'margin'"):
        compare(flat, {"random_sampling": "margin"})


@pytest.mark.parametrize(
    ("size", "labels"), [(1, 1), (1.0, 225), (0.5, 112), (np.float64(1), 225)]
)
def test_a_number_with_a_point_is_a_share(flat, size, labels):
    experiment = ActiveLearningExperiment(
        LR, n_initial=size, initial="random", n_rounds=0, random_state=1
    )
    if size == 1 and not isinstance(size, float):
        with pytest.raises(ValueError, match="classes"):
            experiment.fit(*flat)
        return
    assert experiment.fit(*flat).history_["n_labelled"].tolist() == [labels]


def test_the_whole_pool_is_what_validation_leaves(flat):
    experiment = ActiveLearningExperiment(
        LR, n_initial=1.0, validation_size=0.2, random_state=0
    ).fit(*flat)
    assert experiment.history_["n_labelled"].tolist() == [225]
    assert len(experiment.labelled_indices_) == 180


@pytest.mark.parametrize(("budget", "labels"), [(0.99, 223), (1.0, 225)])
def test_a_budget_empties_what_it_says(flat, budget, labels):
    experiment = ActiveLearningExperiment(
        LR, n_initial=100, n_instances=50, n_rounds=None, budget=budget, random_state=0
    ).fit(*flat)
    assert experiment.history_["n_labelled"].iloc[-1] == labels


def test_one_image_is_no_run_of_the_whole_pool(flat, tmp_path):
    compare(flat, store=tmp_path / "run", n_instances=1)
    with pytest.raises(ValueError, match=r"n_instances was 1, is '1\.0'"):
        compare(flat, store=tmp_path / "run", n_instances=1.0)


def test_flags_are_read_as_they_are_written(tmp_path):
    common = ["compare", "--flat", "--estimator", "LogisticRegression: {max_iter: 200}"]
    common += ["--pool-size", 200, "--test-size", 100, "--seeds", 2, "--quiet"]
    common += ["--strategies", "margin", "--no-report"]
    for initial, labels in (("1.0", 200), ("20", 20)):
        folder = tmp_path / initial
        done = run(*common, "--initial", initial, "--rounds", 0, "--output", folder)
        assert done.exit_code == 0, done.output
        table = load_results(folder).table
        assert set(table["n_labelled"]) == {labels} and set(table["round"]) == {0}
    wrong = run(*common, "--initial", "20.0", "--output", tmp_path / "wrong")
    assert wrong.exit_code == 2 and "a share, with a point, up to 1.0" in wrong.output
    sets = tmp_path / "sets.json"
    for initial, labels in (("1.0", 1437), ("1", 1), ("0.1", 144)):
        made = run("splits", "make", sets, "--initial", initial, "--force", "--random")
        assert made.exit_code == 0, made.output
        assert len(json.loads(sets.read_text())["labelled"]) == labels
    assert run("splits", "make", sets, "--initial", "2.5", "--force").exit_code == 2


def test_a_checkpoint_is_read_as_the_page_says(digits, tmp_path):
    X, y = digits[0][:80], digits[1][:80]
    pytest.importorskip("safetensors")
    net = ImageClassifier(max_epochs=1, random_state=0)
    StrategyComparison(
        net, [], n_rounds=0, n_seeds=1, store=tmp_path, checkpoints=True, verbose=0
    ).fit(X, y)
    loaded = load_checkpoint(
        tmp_path / "first/seed_000/round_000.safetensors", net.initialize(X, y)
    )
    assert loaded.predict(X).shape == y.shape
