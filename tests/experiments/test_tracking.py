"""Callbacks hear of every round once, in every worker; trackers keep what was written,
and write nothing twice."""

import json
import sys
import warnings

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from al_sklearn.estimators import ImageClassifier
from al_sklearn.experiments import ActiveLearningExperiment, StrategyComparison
from al_sklearn.experiments.store import flat
from al_sklearn.experiments.tracking import Callback, MLflow, TensorBoard, WandB
from al_sklearn.experiments.tracking._tracker import (
    average_precisions,
)

# Other packages' own deprecations are theirs.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:1 seed"
)


def flatten(X):
    return np.asarray(X, dtype=float).reshape(len(X), -1) / 255


MODEL = make_pipeline(FunctionTransformer(flatten), LogisticRegression(max_iter=500))


class Files(Callback):
    """Notes every event in a file of its experiment."""

    def __init__(self, folder):
        self.folder = folder

    def _note(self, experiment, *event):
        with (self.folder / experiment.name.replace("/", "-")).open("a") as file:
            file.write(json.dumps([experiment.run_id, *event]) + "\n")

    def on_experiment_begin(self, experiment):
        self._note(experiment, "begin", [record.round for record in experiment.records])

    def on_round_end(self, experiment, record):
        assert experiment.model is not None
        self._note(experiment, "round", record.round, record.metrics["n_labelled"])

    def on_experiment_end(self, experiment):
        self._note(experiment, "end", experiment.finished)


class Broken(Callback):
    def on_round_end(self, experiment, record):
        raise OSError("the disk is full")


class Interrupts(Callback):
    """A Ctrl-C after a round."""

    def __init__(self, at_round):
        self.at_round = at_round

    def on_round_end(self, experiment, record):
        if record.round == self.at_round and experiment.strategy == "margin":
            raise KeyboardInterrupt


def events(folder):
    found = {
        path.name: [json.loads(line) for line in path.read_text().splitlines()]
        for path in folder.iterdir()
    }
    return {name: [line[1:] for line in lines] for name, lines in found.items()}


def compare(digits, store, callbacks, **options):
    X, y = digits
    options = {
        "n_rounds": 2,
        "n_seeds": 1,
        "verbose": 0,
        "threads_per_job": 1,
        "store": store,
        **options,
    }
    return StrategyComparison(MODEL, ["margin"], callbacks=callbacks, **options).fit(
        X, y
    )


def interrupted(digits, store, tracker):
    """Run until the first margin round is written, then go on."""
    with pytest.raises(KeyboardInterrupt):
        compare(digits, store, [tracker, Interrupts(1)])


def test_an_experiment_tells_every_round(digits, tmp_path):
    X, y = digits
    experiment = ActiveLearningExperiment(
        MODEL, "margin", n_rounds=2, random_state=0, callbacks=[Files(tmp_path)]
    )
    clone(experiment).fit(X, y)
    told = [
        ["begin", []],
        ["round", 0, 20],
        ["round", 1, 40],
        ["round", 2, 60],
        ["end", True],
    ]
    assert events(tmp_path) == {"margin": told}


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_every_worker_tells_of_its_own_experiment(digits, tmp_path, backend):
    notes = tmp_path / "notes"
    notes.mkdir()
    with parallel_config(backend=backend, n_jobs=2), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        compare(digits, tmp_path / "run", [Files(notes)], n_seeds=2)
    told = [
        ["begin", []],
        ["round", 0, 20],
        ["round", 1, 40],
        ["round", 2, 60],
        ["end", True],
    ]
    assert events(notes) == {
        f"{name}-seed_00{seed}": told
        for name in ("margin", "random_sampling")
        for seed in range(2)
    }


def test_callbacks_change_no_number(digits, tmp_path):
    tracker = TensorBoard(tmp_path / "tb", n_embeddings=20)
    with_tracker = compare(digits, None, [tracker]).results_
    without = compare(digits, None, None).results_
    columns = [name for name in without if not name.endswith(("seconds", "_mb"))]
    assert with_tracker[columns].equals(without[columns])


def test_a_failing_callback_is_switched_off_and_costs_nothing(digits, tmp_path):
    X, y = digits
    experiment = ActiveLearningExperiment(
        MODEL, n_rounds=2, callbacks=[Broken(), Files(tmp_path)]
    )
    with pytest.warns(
        RuntimeWarning,
        match="Broken failed and is switched off.*OSError: the disk is full",
    ) as caught:
        experiment.fit(X, y)
    assert len(caught) == 1
    assert len(experiment.history_) == 3
    assert [event[0] for event in events(tmp_path)["random_sampling"]] == [
        "begin",
        "round",
        "round",
        "round",
        "end",
    ]


def test_only_callbacks_are_taken(digits):
    X, y = digits
    with pytest.raises(
        TypeError,
        match=r"instances of al_sklearn.experiments.tracking.Callback, "
        r"got 'tensorboard'",
    ):
        ActiveLearningExperiment(MODEL, callbacks=["tensorboard"]).fit(X, y)
    with pytest.raises(ValueError, match="'callbacks' parameter"):
        ActiveLearningExperiment(MODEL, callbacks=3).fit(X, y)


def read_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "histograms": 0, "tensors": 0}
    ).Reload()


def test_tensorboard_holds_every_round_once_after_an_interruption(digits, tmp_path):
    pytest.importorskip("tensorboard")
    store, log_dir = tmp_path / "run", tmp_path / "tb"
    tracker = TensorBoard(log_dir, n_embeddings=30)
    interrupted(digits, store, tracker)
    (folder,) = log_dir.glob("*/margin/seed_000")
    assert read_tensorboard(folder).Scalars("round/accuracy")[-1].step == 40
    done = compare(digits, store, [tracker])
    compare(digits, store, [tracker])
    assert sorted(path.parent.name for path in log_dir.glob("*/*/seed_000")) == [
        "margin",
        "random_sampling",
    ]
    read = read_tensorboard(folder)
    own = done.results_.query("strategy == 'margin'")
    points = read.Scalars("round/accuracy")
    assert [point.step for point in points] == [20, 40, 60]
    assert np.allclose([point.value for point in points], own["accuracy"])
    bought = read.Histograms("bought_labels")
    assert [histogram.step for histogram in bought] == [20, 40, 60]
    assert [histogram.histogram_value.num for histogram in bought] == [20, 20, 20]
    assert "precision_recall/3" in read.Tags()["tensors"]
    config = (folder / "projector_config.pbtxt").read_text()
    assert config.count("tensor_path") == 3
    assert np.loadtxt(folder / "embeddings_002" / "tensors.tsv").shape == (30, 64)
    assert (
        len((folder / "embeddings_002" / "metadata.tsv").read_text().splitlines()) == 31
    )
    assert not list(folder.glob(".writing-*"))


def test_what_a_kill_left_untold_is_told_later(digits, tmp_path):
    pytest.importorskip("tensorboard")
    # The run was finished without a tracker; one that comes later gets all rounds,
    # their numbers alone.
    compare(digits, tmp_path / "run", None)
    compare(digits, tmp_path / "run", [TensorBoard(tmp_path / "tb")])
    (folder,) = (tmp_path / "tb").glob("*/margin/seed_000")
    assert [point.step for point in read_tensorboard(folder).Scalars("round/nll")] == [
        20,
        40,
        60,
    ]


def test_tensorboard_gets_the_losses_of_epochs(digits, tmp_path):
    pytest.importorskip("tensorboard")
    X, y = digits
    model = make_pipeline(FunctionTransformer(flatten), MLPClassifier((8,), max_iter=5))
    experiment = ActiveLearningExperiment(
        model, n_rounds=1, callbacks=[TensorBoard(tmp_path)]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        experiment.fit(X, y)
    (folder,) = tmp_path.glob("*/random_sampling/seed_000")
    read = read_tensorboard(folder)
    losses = [point.value for point in read.Scalars("train_loss_of_epochs/round_001")]
    assert np.allclose(losses, experiment.estimator_[-1].loss_curve_)
    assert read.Scalars("loss/train_loss")[-1].value == losses[-1]
    best = min(experiment.epochs_["train_loss"])
    assert read.Scalars("best/train_loss")[-1].value == pytest.approx(best)
    assert read.Scalars("best/accuracy")[-1].value == pytest.approx(
        experiment.history_["accuracy"].max()
    )


@pytest.mark.parametrize("training", ["fine_tune", "incremental"])
def test_trackers_get_a_rounds_own_epochs(digits, tmp_path, monkeypatch, training):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    X, y = digits[0][:120], digits[1][:120]
    net = ImageClassifier(max_epochs=2, iterator_train__min_batches=1)
    uri = (tmp_path / "mlruns").as_uri()
    experiment = ActiveLearningExperiment(
        net,
        n_rounds=2,
        training=training,
        random_state=0,
        callbacks=[TensorBoard(tmp_path / "tb", n_embeddings=0), MLflow(uri)],
    ).fit(X, y)
    own = experiment.epochs_
    assert len(own) == 6
    (folder,) = (tmp_path / "tb").glob("*/random_sampling/seed_000")
    read = read_tensorboard(folder)
    for number in range(3):
        for name in ("train_loss", "train_acc"):
            points = read.Scalars(f"{name}_of_epochs/round_{number:03d}")
            assert [point.step for point in points] == [1, 2]
            kept = own.loc[own["round"] == number, name]
            assert np.allclose([point.value for point in points], kept)
    client = mlflow.MlflowClient(uri)
    place = client.get_experiment_by_name("al_sklearn").experiment_id
    (one,) = client.search_runs([place])
    history = client.get_metric_history(one.info.run_id, "epochs/train_acc")
    assert [item.step for item in history] == [1, 2, 3, 4, 5, 6]
    assert [item.value for item in history] == own["train_acc"].tolist()


def test_mlflow_holds_every_round_once_after_an_interruption(
    digits, tmp_path, monkeypatch
):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    tracker = MLflow(uri, "digits", tags={"who": "me"})
    interrupted(digits, tmp_path / "run", tracker)
    client = mlflow.MlflowClient(uri)
    place = client.get_experiment_by_name("digits").experiment_id
    killed = {
        run.data.tags["strategy"]: run.info.status
        for run in client.search_runs([place])
    }
    assert killed["margin"] == "KILLED"
    done = compare(digits, tmp_path / "run", [tracker])
    compare(digits, tmp_path / "run", [tracker])
    runs = {run.data.tags["strategy"]: run for run in client.search_runs([place])}
    assert sorted(runs) == ["margin", "random_sampling"]
    assert len(client.search_runs([place])) == 2
    margin = runs["margin"]
    assert margin.info.status == "FINISHED"
    assert margin.data.params["n_rounds"] == "2"
    assert margin.data.tags["who"] == "me"
    history = client.get_metric_history(margin.info.run_id, "accuracy")
    own = done.results_.query("strategy == 'margin'")
    assert [item.step for item in history] == own["n_labelled"].tolist()
    assert [item.value for item in history] == own["accuracy"].tolist()
    bought = [margin.data.metrics[f"bought/{name}"] for name in range(10)]
    assert bought == own.iloc[-1][[f"bought_{name}" for name in range(10)]].tolist()
    assert (
        len(client.get_metric_history(margin.info.run_id, "average_precision/0")) == 3
    )


@pytest.mark.slow
def test_workers_that_begin_together_make_one_database(digits, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    with parallel_config(backend="loky", n_jobs=2), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        compare(digits, tmp_path / "run", [MLflow(uri, "digits")], n_seeds=2)
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert sorted(
        (run.data.tags["strategy"], run.data.tags["seed"]) for run in runs
    ) == [(name, seed) for name in ("margin", "random_sampling") for seed in ("0", "1")]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert [
            item.step for item in client.get_metric_history(run.info.run_id, "accuracy")
        ] == [20, 40, 60]


def test_a_database_without_its_driver_says_what_to_install(digits, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    X, y = digits
    experiment = ActiveLearningExperiment(
        MODEL, n_rounds=1, callbacks=[MLflow("sqlite:///mlflow.db")]
    )
    with pytest.warns(
        RuntimeWarning,
        match=r"needs (alembic|sqlalchemy): pip install al-sklearn\[track\]",
    ):
        experiment.fit(X, y)


def test_mlflow_completes_a_round_that_was_half_written(digits, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    tracker = MLflow(uri)
    interrupted(digits, tmp_path / "run", tracker)
    client = mlflow.MlflowClient(uri)
    place = client.get_experiment_by_name("al_sklearn").experiment_id
    (margin,) = client.search_runs([place], "tags.strategy = 'margin'")
    client.log_metric(margin.info.run_id, "accuracy", 0.5, step=60)
    compare(digits, tmp_path / "run", [tracker])
    for name in ("accuracy", "nll", "round"):
        assert [
            item.step for item in client.get_metric_history(margin.info.run_id, name)
        ] == [20, 40, 60]


def test_wandb_offline_writes_every_round_once(digits, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB__DISABLE_STATS", "true")
    tracker = WandB("digits", mode="offline", folder=tmp_path)
    interrupted(digits, tmp_path / "run", tracker)
    written = {
        path.name: json.loads(path.read_text())
        for path in (tmp_path / "wandb-rounds").iterdir()
    }
    assert sorted(written.values()) == [[0, 1], [0, 1, 2]]
    compare(digits, tmp_path / "run", [tracker])
    n_processes = len(list((tmp_path / "wandb").glob("offline-run-*")))
    compare(digits, tmp_path / "run", [tracker])
    # Random and margin, and margin once more; the third fit had nothing to say.
    assert n_processes == 3
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == n_processes
    assert [
        json.loads(path.read_text()) for path in (tmp_path / "wandb-rounds").iterdir()
    ] == [[0, 1, 2]] * 2
    files = [
        path for path in (tmp_path / "wandb").rglob("*.wandb") if "margin" in path.name
    ]
    assert sorted(steps for path in files for steps in wandb_steps(path)) == [
        20,
        40,
        60,
    ]


def wandb_steps(path):
    """Read the steps of an offline run's file: LevelDB's log format, behind a header of
    seven bytes."""
    from wandb.proto import wandb_internal_pb2

    data, at, parts, found = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        # 1 is a whole record, 4 the last part of one.
        if kind in (1, 4):
            record = wandb_internal_pb2.Record.FromString(parts)
            parts = b""
            if record.WhichOneof("record_type") == "history":
                found.append(record.history.step.num)
                assert "accuracy" in {
                    item.key or item.nested_key[0] for item in record.history.item
                }
    return found


def test_helpers():
    assert flat({"a": {"b": 1, "c": [2]}, "d": None, "e": {}}) == {
        "a.b": "1",
        "a.c": "[2]",
        "d": "None",
        "e": "{}",
    }
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    # Class 1: right at ranks 1, and 3 of 3.
    assert average_precisions(np.array([1, 1, 0]), proba) == pytest.approx(
        {0: 0.5, 1: (1 + 2 / 3) / 2}
    )
    assert average_precisions(np.array([1, 1, 1]), proba) == {}
