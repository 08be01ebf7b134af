"""Partitions of others: in files and folders, seed after seed, and rounds written as
such; oracles that err in what is bought alone, initial sets alone uneven."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from al_sklearn.datasets import read_index_sets, read_splits, write_index_sets
from al_sklearn.experiments import ActiveLearningExperiment, StrategyComparison
from al_sklearn.experiments.comparison import round_sets
from al_sklearn.experiments.hard_pools import ClassImbalance, LabelNoise
from tests.cli.test_cli import run

LR = LogisticRegression(max_iter=100)
pytestmark = pytest.mark.filterwarnings("ignore:.*use at least 5", "ignore:1 seed")


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    return X[:400].reshape(400, -1) / 255.0, y[:400]


@pytest.fixture
def partitions(tmp_path, flat):
    """Folders as TorchAL ships them: partition_1 … partition_11, objects in them."""
    order = np.random.default_rng(0)
    root = tmp_path / "CIFAR10"
    for number in (1, 2, 11):
        folder = root / f"partition_{number}"
        folder.mkdir(parents=True)
        chosen = order.permutation(300)
        for name, part in (
            ("lSet", chosen[:60]),
            ("uSet", chosen[60:280]),
            ("valSet", chosen[280:]),
        ):
            values = np.array(part.tolist(), dtype=np.ndarray)
            np.save(folder / f"{name}_CIFAR10.npy", values, allow_pickle=True)
    return root


def fit(flat, splits, **options):
    X, y = flat
    options = {
        "n_rounds": 1,
        "n_seeds": 4,
        "verbose": 0,
        "threads_per_job": 1,
    } | options
    comparison = StrategyComparison(LR, ["margin"], splits=splits, **options)
    return comparison.fit(X, y, X[300:], y[300:])


def test_folders_of_partitions_are_seeds_one_after_the_other(flat, partitions):
    found = fit(flat, partitions)
    sets = [read_index_sets(partitions / f"partition_{i}") for i in (1, 2, 11)]
    for seed in range(4):
        mine = sets[seed % 3]
        batches = found.queries_["margin", seed]
        assert batches[0].tolist() == mine["labelled"].tolist()
        assert set(batches[1]) <= set(mine["unlabelled"].tolist())
    # The validation set is paid for.
    assert set(found.results_["n_labelled"]) == {80, 100}
    # Of one set two seeds are two trainings.
    one = fit(flat, partitions / "partition_2", n_seeds=2).queries_
    assert one["margin", 0][0].tolist() == one["margin", 1][0].tolist()
    listed = [partitions / "partition_2", partitions / "partition_1"]
    assert fit(flat, listed, n_seeds=1).queries_["margin", 0][0].tolist() == (
        sets[1]["labelled"].tolist()
    )


def test_files_of_any_format(flat, tmp_path):
    X, y = flat
    sets = {"labelled": list(range(50)), "test": list(range(300, 400))}
    for name in ("a.json", "b.npz", "c.csv", "d.txt"):
        write_index_sets(tmp_path / name, sets)
        experiment = ActiveLearningExperiment(
            LR, "margin", splits=tmp_path / name, n_rounds=1, random_state=0
        ).fit(X, y)
        assert experiment.queries_[0].tolist() == list(range(50))
        assert experiment.test_indices_.tolist() == list(range(300, 400))
        assert experiment.queries_[1].max() < 300


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"unlabelled": [1, 2]}, "does not say what is labelled from the start"),
        ({"labelled": [1], "unlabelled": [500]}, "speaks of image 500"),
        ({"labelled": [1], "test": [2]}, "no X_test"),
    ],
)
def test_sets_that_do_not_fit_are_refused(flat, tmp_path, sets, said):
    write_index_sets(tmp_path / "sets.json", sets)
    with pytest.raises(ValueError, match=said):
        fit(flat, tmp_path / "sets.json")
    with pytest.raises(FileNotFoundError, match="no splits"):
        (tmp_path / "empty").mkdir()
        fit(flat, tmp_path / "empty")


def test_a_round_is_a_partition(flat, partitions, tmp_path):
    done = fit(flat, partitions, store=tmp_path / "run", n_seeds=2, n_rounds=2)
    sets = round_sets(tmp_path / "run", "margin", seed=1, round_number=1)
    batches = done.queries_["margin", 1]
    assert sets["labelled"].tolist() == np.concatenate(batches[:2]).tolist()
    assert sets["bought"].tolist() == batches[1].tolist()
    given = read_index_sets(partitions / "partition_2")
    assert set(sets["unlabelled"]) == set(given["unlabelled"]) - set(batches[1])
    assert sets["validation"].tolist() == given["validation"].tolist()
    told = run(
        *["splits", "export", tmp_path / "run", tmp_path / "out"],
        *["--strategy", "margin", "--seed", 1, "--round", 1],
    )
    assert told.exit_code == 0, told.output
    assert np.load(tmp_path / "out" / "activeSet.npy").tolist() == batches[1].tolist()
    # It goes on from there.
    more = fit(flat, tmp_path / "out", n_seeds=1)
    assert more.queries_["margin", 0][0].tolist() == sets["labelled"].tolist()
    for options in ({"strategy": "margn"}, {"seed": 5}, {"round_number": 9}):
        with pytest.raises(ValueError, match=r"margin|0 to 1|0 to 2"):
            round_sets(tmp_path / "run", **options)


def test_the_command_line_takes_partitions(digits, tmp_path):
    for number in (1, 2):
        sets = {"labelled": list(range(number, 400, 8)), "validation": [401, 500]}
        write_index_sets(tmp_path / f"p{number}.json", sets)
    both = f"{tmp_path / 'p1.json'},{tmp_path / 'p2.json'}"
    common = ["--quiet", "--no-report"]
    flags = ["--flat", "--estimator", "LogisticRegression", "--strategies", "margin"]
    flags += ["--seeds", 2, "--rounds", 0, "--splits", both]
    done = run("compare", *flags, *common, "--output", tmp_path / "flags")
    assert done.exit_code == 0, done.output
    file = tmp_path / "e.yaml"
    file.write_text(
        "data: {name: digits, flat: true}\nestimator: LogisticRegression\n"
        "strategies: [margin]\ncomparison: {n_seeds: 2, n_rounds: 0}\n"
    )
    done = run("run", file, "--splits", both, *common, "--output", tmp_path / "file")
    assert done.exit_code == 0, done.output
    file.write_text(
        file.read_text().replace(
            "n_rounds: 0", f"n_rounds: 0, splits: [{both.replace(',', ', ')}]"
        )
    )
    done = run("run", file, *common, "--output", tmp_path / "listed")
    assert done.exit_code == 0, done.output
    for name in ("flags", "file", "listed"):
        sets = read_splits(tmp_path / name / "splits.npz")
        assert sets[1]["initial"].tolist() == list(range(2, 400, 8))


def test_an_oracle_that_errs_spoils_only_what_is_bought(flat):
    X, y = flat
    options = {"n_initial": 60, "n_rounds": 3, "n_instances": 60, "random_state": 0}
    noisy = ActiveLearningExperiment(
        LR,
        pool=LabelNoise(0.5, only_bought=True),
        validation_size=40,
        **options,
    ).fit(X, y)
    wrong = noisy.history_["bought_wrong"]
    assert wrong[0] == 0
    # Half of the rest, exactly: 300 - 60 - 40 images, of which 180 were bought.
    assert 70 <= wrong[1:].sum() <= 110
    everywhere = ActiveLearningExperiment(LR, pool=LabelNoise(0.5), **options).fit(X, y)
    assert everywhere.history_["bought_wrong"][0] > 0
    # Everything labelled from the start leaves nothing to spoil.
    whole = ActiveLearningExperiment(
        LR, n_initial=1.0, pool=LabelNoise(0.5, only_bought=True), random_state=0
    ).fit(X, y)
    assert "bought_wrong" not in whole.history_


def test_an_initial_set_alone_is_uneven(flat):
    X, y = flat
    found = ActiveLearningExperiment(
        LR,
        n_initial=60,
        n_rounds=1,
        pool=ClassImbalance(20, shuffle=False, only_initial=True),
        random_state=0,
    ).fit(X, y)
    first = np.bincount(y[found.queries_[0]], minlength=10)
    assert len(found.queries_[0]) == 60
    assert first[0] >= 8 * first[9] and (np.diff(first) <= 1).all()
    # What can be bought is as it was.
    alike = ActiveLearningExperiment(LR, n_initial=60, n_rounds=1, random_state=0)
    assert alike.fit(X, y).test_indices_.tolist() == found.test_indices_.tolist()
    for initial in ("random", "per_class"):
        ActiveLearningExperiment(
            LR,
            initial=initial,
            n_initial=20 if initial == "random" else 1,
            n_rounds=0,
            pool=ClassImbalance(5, only_initial=True),
            random_state=0,
        ).fit(X, y)


@pytest.mark.parametrize("how", ["stratified", "random"])
def test_so_many_of_each_class_at_least(flat, how):
    X, y = flat
    rare = np.flatnonzero(y == 3)[6:]
    X, y = np.delete(X, rare, axis=0), np.delete(y, rare)
    found = ActiveLearningExperiment(
        LR, n_initial=60, initial=how, min_per_class=3, n_rounds=0, random_state=1
    ).fit(X, y)
    counts = np.bincount(y[found.queries_[0]], minlength=10)
    assert counts.min() >= 3 and counts.sum() == 60
    for least, said in (
        (9, "the smallest class has"),
        (5, "smallest|more than the 40"),
    ):
        with pytest.raises(ValueError, match=f"min_per_class={least}.*({said})"):
            ActiveLearningExperiment(
                LR, n_initial=40, initial=how, min_per_class=least
            ).fit(X, y)
