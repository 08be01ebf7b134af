"""Every epoch is kept: a round's own, of whatever is trained by epochs."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import EpochScoring

from al_sklearn.estimators import DeepEnsemble, ImageClassifier
from al_sklearn.experiments import (
    ActiveLearningExperiment,
    StrategyComparison,
    load_best,
    load_results,
    plots,
)
from al_sklearn.experiments.comparison import find_best
from al_sklearn.experiments.store import epoch_table
from tests.cli.test_cli import run

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore:.*use at least 5", "ignore:1 seed")


@pytest.fixture(scope="module")
def small(digits):
    X, y = digits
    return X[:160], y[:160]


def net(**options):
    return ImageClassifier(
        **{"max_epochs": 2, "iterator_train__min_batches": 1, "device": "cpu"} | options
    )


def learn(small, estimator, **options):
    options = {"n_rounds": 2, "n_instances": 20, "random_state": 0} | options
    return ActiveLearningExperiment(estimator, "margin", **options).fit(*small)


@pytest.mark.parametrize("training", ["from_scratch", "fine_tune", "incremental"])
def test_a_rounds_epochs_are_that_rounds(small, training):
    found = learn(small, net(), training=training).epochs_
    assert found.groupby("round").size().tolist() == [2, 2, 2]
    assert found["epoch"].tolist() == [1, 2] * 3
    assert found[["train_loss", "train_acc"]].notna().all(axis=None)
    assert found["train_acc"].between(0, 1).all()
    assert found.attrs["lower_is_better"] == ["train_loss"]


def flat(X):
    return np.asarray(X, dtype=float).reshape(len(X), -1) / 255


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("training", ["from_scratch", "fine_tune", "incremental"])
def test_scikit_learns_networks_too(small, training):
    mlp = MLPClassifier((8,), max_iter=3, random_state=0)
    model = make_pipeline(FunctionTransformer(flat), mlp)
    found = learn(small, model, training=training).epochs_
    sizes = found.groupby("round").size().tolist()
    # partial_fit is one pass over what is new.
    assert sizes == ([1, 1, 1] if training == "incremental" else [3, 3, 3])
    assert found["train_loss"].notna().all()


def test_what_validation_and_callbacks_record_goes_along(small):
    f1 = EpochScoring("f1_macro", name="val_f1", lower_is_better=False)
    estimator = net(
        callbacks=[f1], patience=1, monitor="val_f1", max_epochs=3, schedule="cosine"
    )
    found = learn(small, estimator, validation_size=30, n_rounds=1).epochs_
    columns = {"train_loss", "train_acc", "valid_loss", "valid_acc", "val_f1", "lr"}
    assert columns <= set(found.columns)
    assert "dur" not in found and "val_f1_best" not in found
    assert set(found.attrs["lower_is_better"]) == {"train_loss", "valid_loss"}


def test_train_accuracy_is_that_of_the_batches(small):
    X, y = small
    # One batch an epoch, and no step: what was counted is the first weights' accuracy.
    frozen = net(max_epochs=1, batch_size=-1, lr=0.0, module__dropout=0.0)
    frozen.fit(X, y)
    outputs = frozen.forward(X, training=True).argmax(dim=1)
    assert frozen.history[-1, "train_acc"] == np.mean(outputs.numpy() == y)
    learnt = net(max_epochs=30, random_state=3).fit(X, y)
    accuracies = learnt.history[:, "train_acc"]
    assert accuracies[-1] > max(0.9, accuracies[0])
    assert learnt.history[0]["train_acc_best"] is True
    # It can be watched, and switched off.
    net(monitor="train_acc", patience=2).fit(X, y)
    off = net(callbacks__train_acc=None).fit(X, y)
    assert "train_acc" not in off.history[-1]


@pytest.mark.parametrize("training", ["from_scratch", "fine_tune"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_test_set_is_watched_and_changes_nothing(small, training, wrapped):
    estimator = net(module__dropout=0.5, augment="flip")
    if wrapped:
        estimator = make_pipeline(FunctionTransformer(np.copy), estimator)
    plain = learn(small, estimator, training=training)
    seen = learn(small, estimator, training=training, test_each_epoch=True)
    clock = ["query_seconds", "training_seconds", "peak_memory_mb"]
    assert seen.history_.drop(columns=clock).equals(plain.history_.drop(columns=clock))
    assert "test_acc" not in plain.epochs_
    last = seen.epochs_.groupby("round")["test_acc"].last()
    assert np.allclose(last, seen.history_["accuracy"])
    # Neither the test set nor whoever watched it stays in the model.
    model = seen.estimator_[-1] if wrapped else seen.estimator_
    assert model.callbacks is None
    assert "test_each_epoch" not in dict(model.callbacks_)


def test_ensembles_have_the_mean_of_their_members(small):
    ensemble = DeepEnsemble(net(), n_members=2)
    experiment = learn(small, ensemble, n_rounds=1)
    found = experiment.epochs_
    assert found.groupby("round").size().tolist() == [2, 2]
    members = [
        one.history[:, "train_loss"] for one in experiment.estimator_.estimators_
    ]
    assert found["train_loss"].tolist()[2:] == pytest.approx(np.mean(members, axis=0))


def test_models_without_epochs_have_none(small):
    model = make_pipeline(FunctionTransformer(flat), LogisticRegression(max_iter=500))
    assert learn(small, model).epochs_.empty
    with pytest.raises(ValueError, match="No epochs were kept"):
        plots.epoch_curves(epoch_table({}))


@pytest.fixture(scope="module")
def kept(small, tmp_path_factory):
    pytest.importorskip("safetensors")
    folder = tmp_path_factory.mktemp("best") / "run"
    options = {"n_rounds": 2, "n_instances": 20, "n_seeds": 2, "verbose": 0}
    return StrategyComparison(
        net(), ["margin"], store=folder, checkpoints=True, **options
    ).fit(*small)


def test_epochs_are_in_the_store_and_in_pictures(kept, tmp_path):
    found = load_results(kept.store).epochs
    assert found.equals(kept.epochs_)
    assert len(found) == 2 * 2 * 3 * 2
    axes = plots.epoch_curves(kept)
    assert [one.get_title(loc="left") for one in axes] == ["loss", "accuracy"]
    lines = [line for line in axes[0].lines if line.get_label() == "margin"]
    assert len(lines[0].get_xdata()) == 6
    page = kept.report(tmp_path / "report.html").read_text()
    assert "Every epoch" in page
    drawn = run("plot", kept.store, "--kind", "epochs", "-o", tmp_path / "e.png")
    assert drawn.exit_code == 0, drawn.output
    with pytest.raises(ValueError, match=r"There is no column 'f1'"):
        plots.epoch_curves(kept, columns=["f1"])
    # The file of all rounds stays small.
    assert "train_loss" not in (kept.store / "metrics.jsonl").read_text()


@pytest.mark.parametrize("strategy", [None, "margin"])
def test_the_best_model_of_a_run(kept, small, strategy, tmp_path):
    best = find_best(kept.store, strategy)
    rows = kept.results_
    if strategy is not None:
        rows = rows[rows["strategy"] == strategy]
    assert best.value == rows["accuracy"].max()
    loaded = load_best(kept.store, strategy)
    X, y = small
    from al_sklearn.rows import read_splits

    test = read_splits(kept.store / "splits.npz")[best.seed]["test"]
    assert np.mean(loaded.predict(X[test]) == y[test]) == pytest.approx(best.value)
    told = run("best", kept.store, "-o", tmp_path / "model.safetensors")
    assert told.exit_code == 0 and "labels" in told.output
    assert (tmp_path / "model.safetensors").is_file()


def test_of_a_loss_the_best_is_the_lowest_and_wrong_names_are_said(kept):
    assert find_best(kept.store, metric="nll").value == kept.results_["nll"].min()
    for options, said in (
        ({"strategy": "margn"}, "Did you mean 'margin'"),
        ({"metric": "accurcy"}, "Did you mean 'accuracy'"),
    ):
        with pytest.raises(ValueError, match=said):
            find_best(kept.store, **options)


def test_a_run_without_models_says_how_to_keep_them(small, tmp_path):
    model = make_pipeline(FunctionTransformer(flat), LogisticRegression(max_iter=500))
    StrategyComparison(
        model, [], n_rounds=0, n_seeds=1, store=tmp_path / "run", verbose=0
    ).fit(*small)
    with pytest.raises(FileNotFoundError, match="checkpoints=True"):
        load_best(tmp_path / "run")
    told = run("best", tmp_path / "run")
    assert told.exit_code == 0 and "no model of it is kept" in told.output
