"""Index sets in and out, in every format."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_sklearn.datasets import (
    check_index_sets,
    read_index_sets,
    read_splits,
    write_index_sets,
)
from al_sklearn.pool import STATES, Pool

SETS = {
    "labelled": np.array([7, 1, 4]),
    "unlabelled": np.array([0, 2, 9]),
    "validation": np.array([3]),
    "test": np.array([8]),
}
NAMES = ["x.npz", "x.json", "x.csv", "x.txt", "torchal"]


def same(a, b):
    return list(a) == list(b) and all(
        np.array_equal(a[name], b[name]) and a[name].dtype == np.int64 for name in a
    )


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(tmp_path, name):
    path = write_index_sets(tmp_path / "below" / name, SETS, n=10)
    assert same(read_index_sets(path, n=10), SETS)
    with pytest.raises(ValueError, match=r"positions from \d to 9; allowed is 0 to 8"):
        read_index_sets(path, n=9)


@settings(max_examples=30, deadline=None)
@given(
    order=st.permutations(range(12)),
    cuts=st.lists(st.integers(0, 12), min_size=3, max_size=3),
    name=st.sampled_from(NAMES[:4]),
)
def test_any_disjoint_sets(tmp_path_factory, order, cuts, name):
    sets = dict(zip(SETS, np.split(np.array(order), sorted(cuts)), strict=True))
    path = write_index_sets(tmp_path_factory.mktemp("sets") / name, sets)
    back = read_index_sets(path)
    # A table has no row for a set without positions.
    assert same(
        back,
        {key: value for key, value in sets.items() if name != "x.csv" or len(value)},
    )


def test_torchals_layout(tmp_path):
    # Plain integers, as those that save them without pickle do.
    for file, values in (("lSet", [5, 2]), ("uSet", [0, 1]), ("valSet", [9])):
        np.save(tmp_path / f"{file}.npy", np.array(values))
    sets = read_index_sets(tmp_path)
    assert {name: values.tolist() for name, values in sets.items()} == {
        "labelled": [5, 2],
        "unlabelled": [0, 1],
        "validation": [9],
    }
    assert read_index_sets(tmp_path / "lSet.npy")["labelled"].tolist() == [5, 2]
    # TorchAL reads what we write.
    write_index_sets(tmp_path / "ours", sets)
    assert np.load(tmp_path / "ours" / "lSet.npy", allow_pickle=True).tolist() == [5, 2]
    with pytest.raises(ValueError, match="it has no file for 'pending'"):
        write_index_sets(tmp_path / "other", {"pending": [1]})
    with pytest.raises(FileNotFoundError, match=r"has none of lSet\.npy"):
        (tmp_path / "empty").mkdir()
        read_index_sets(tmp_path / "empty")


def test_torchals_own_files_are_read_and_never_unpickled(tmp_path, monkeypatch):
    # numpy.array(values, dtype=numpy.ndarray), which is how TorchAL makes them, is an
    # array of objects.
    np.save(
        tmp_path / "lSet.npy", np.array([5, 2], dtype=np.ndarray), allow_pickle=True
    )
    assert read_index_sets(tmp_path)["labelled"].tolist() == [5, 2]
    np.savez(tmp_path / "sets.npz", train=np.array([4, 1], dtype=object), test=[0])
    found = read_index_sets(tmp_path / "sets.npz")
    assert {name: set_.tolist() for name, set_ in found.items()} == {
        "train": [4, 1],
        "test": [0],
    }
    monkeypatch.chdir(tmp_path)
    for value in (Evil(), None):
        odd = np.array([5, value], dtype=object)
        np.save(tmp_path / "lSet.npy", odd, allow_pickle=True)
        with pytest.raises(ValueError, match=r"only pickle can read .* convert it"):
            read_index_sets(tmp_path)
    assert not (tmp_path / "pwned").exists()


class Evil:
    def __reduce__(self):
        return open, ("pwned", "w")


@pytest.mark.parametrize(
    "values",
    [
        # As TorchAL makes them, an array of objects: numpy.array(…, numpy.ndarray).
        np.array([5, 2], dtype=np.ndarray),
        np.array([np.int64(5), np.int32(2)], dtype=object),
    ],
)
def test_torchals_shipped_partitions_are_read(tmp_path, values):
    np.save(tmp_path / "lSet_CIFAR10.npy", values, allow_pickle=True)
    np.save(tmp_path / "uSet_CIFAR10.npy", np.array([1, 3]))
    sets = read_index_sets(tmp_path)
    assert sets["labelled"].tolist() == [5, 2]
    assert sets["labelled"].dtype == np.int64
    assert sets["unlabelled"].tolist() == [1, 3]
    alone = read_index_sets(tmp_path / "lSet_CIFAR10.npy")
    assert alone["labelled"].tolist() == [5, 2]
    np.save(tmp_path / "lSet.npy", np.array([1]))
    with pytest.raises(ValueError, match="two files of labelled positions"):
        read_index_sets(tmp_path)


def test_what_was_bought_last_is_part_of_what_is_labelled(tmp_path):
    sets = {"labelled": [3, 1, 2], "unlabelled": [0], "bought": [2]}
    write_index_sets(tmp_path / "sets.json", sets)
    assert read_index_sets(tmp_path / "sets.json")["bought"].tolist() == [2]
    write_index_sets(tmp_path / "torchal", sets)
    assert np.load(tmp_path / "torchal" / "activeSet.npy").tolist() == [2]
    assert list(read_index_sets(tmp_path / "torchal")) == ["labelled", "unlabelled"]
    with pytest.raises(ValueError, match="is no part of 'labelled'"):
        write_index_sets(tmp_path / "x.json", {"labelled": [3], "bought": [2]})


def test_sets_must_be_disjoint(tmp_path):
    for path, text in (
        ("a.json", json.dumps({"train": [1, 2, 3], "test": [3, 4]})),
        ("a.txt", "# train\n1\n3\n# test\n3\n"),
    ):
        (tmp_path / path).write_text(text)
        with pytest.raises(
            ValueError,
            match=rf"{path}: 'train' and 'test' share positions "
            r"\(1 in all, 3 is the first",
        ):
            read_index_sets(tmp_path / path)
    with pytest.raises(ValueError, match="share positions"):
        write_index_sets(tmp_path / "x.npz", {"a": [1], "b": [1]})
    checked = check_index_sets(
        {"initial": [2], "train": [1, 2], "test": [3]}, nested={"initial": "train"}
    )
    assert list(checked) == ["initial", "train", "test"]
    with pytest.raises(ValueError, match="'initial' is no part of 'train'; position 3"):
        check_index_sets({"initial": [3], "train": [1, 2]}, nested={"initial": "train"})


def test_text_files(tmp_path):
    path = tmp_path / "labelled.txt"
    path.write_text("4, 2\n7\n\n")
    assert read_index_sets(path)["labelled"].tolist() == [4, 2, 7]
    path.write_text("4\nfive\n")
    with pytest.raises(
        ValueError, match=r"labelled\.txt, line 2: 'five' is no position"
    ):
        read_index_sets(path)
    path.write_text("# a\n4\n# a\n5\n")
    with pytest.raises(ValueError, match="line 3: the set 'a' comes twice"):
        read_index_sets(path)
    path.write_text("-1\n")
    with pytest.raises(ValueError, match="'-1' is no position"):
        read_index_sets(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "x.csv",
            "position,set\n1,a\n",
            "lacks the column 'index'; it has position, set",
        ),
        ("x.csv", "index,set\n1.5,a\n", r"line 2: '1\.5' is no position"),
        ("x.json", '{"a": [1', "is no whole JSON file"),
        ("x.json", '{"a": 1}', "must hold a list of positions for each name"),
        ("x.json", '{"a": [1.5]}', "'a' must be a list of positions, it is float64"),
        ("x.json", '{"a": [2, 1, 2]}', "'a' has position 2 twice"),
        ("x.npz", "PK not really", r"no whole \.npy or \.npz file"),
        ("x.pkl", "", r"are read from \.npz, \.json, \.txt, \.csv, \.npy"),
    ],
)
def test_mistakes_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_index_sets(tmp_path / name)


def test_other_mistakes(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file of index sets"):
        read_index_sets(tmp_path / "none.npz")
    with pytest.raises(ValueError, match=r"are written as \.npz, \.json, \.csv, \.txt"):
        write_index_sets(tmp_path / "x.npy", {"a": [1]})
    np.save(tmp_path / "x.npy", np.arange(3))
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"holds one array: name it \.npy"):
        read_index_sets(tmp_path / "x.npz")


def test_from_a_pool_and_back(tmp_path):
    pool = Pool(10)
    pool.move([7, 1], "labelled")
    pool.move([3], "validation")
    path = write_index_sets(
        tmp_path / "pool.json", {state: pool.positions(state) for state in STATES}
    )
    other = Pool(10)
    for state, positions in read_index_sets(path, n=10).items():
        if state != "unlabelled":
            other.move(positions, state)
    assert (
        other.labelled.tolist() == [7, 1]
        and other.validation.tolist() == [3]
        and len(other.unlabelled) == 7
    )


def test_the_splits_of_a_run(tmp_path, digits):
    from sklearn.naive_bayes import GaussianNB

    from al_sklearn import StrategyComparison

    X, y = digits[0].reshape(-1, 64)[:200], digits[1][:200]
    run = tmp_path / "run"
    comparison = StrategyComparison(
        GaussianNB(),
        ["random"],
        n_initial=10,
        n_instances=5,
        n_rounds=1,
        n_seeds=2,
        store=run,
        verbose=0,
    )
    with pytest.warns(UserWarning, match="2 seeds"):
        comparison.fit(X, y)
    splits = read_splits(run / "splits.npz")
    assert sorted(splits) == [0, 1]
    for sets in splits.values():
        assert (
            len(sets["initial"]) == 10 and len(sets["train"]) + len(sets["test"]) == 200
        )
    with np.load(run / "splits.npz") as file:
        arrays = dict(file)
    arrays["test_1"] = arrays["train_1"][:1]
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(
        ValueError, match=r"bad\.npz, seed 1: 'train' and 'test' share positions"
    ):
        read_splits(tmp_path / "bad.npz")
    del arrays["test_1"]
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match="has no test_1: it is no whole"):
        read_splits(tmp_path / "bad.npz")
    with pytest.raises(ValueError, match=r"is no splits\.npz of a run; it has a"):
        read_splits(write_index_sets(tmp_path / "x.npz", {"a": [1]}))
