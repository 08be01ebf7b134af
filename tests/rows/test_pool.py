"""Rows out of any kind of X, and the states of a pool."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from skorch.helper import SliceDataset
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from al_sklearn.pool import (
    STATES,
    Pool,
    RowView,
    concat_rows,
    iter_chunks,
    n_rows,
    take_rows,
    view_rows,
)

BASE = np.arange(60, dtype=np.float32).reshape(12, 5)
PICK = np.array([7, 0, 7, 11, 3])


class Indexed(Dataset):
    """Returns its own index: proof of which row was read."""

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return BASE[i], i


def as_array(rows):
    if isinstance(rows, SliceDataset):
        return np.asarray(rows)
    if isinstance(rows, Dataset):
        return np.stack([np.asarray(rows[i][0]) for i in range(len(rows))])
    if sp.issparse(rows):
        return rows.toarray()
    return np.asarray(rows)


def hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    file = h5py.File(tmp_path / "x.h5", "w")
    return file.create_dataset("x", data=BASE)


def memmap(tmp_path):
    array = np.memmap(tmp_path / "x.bin", dtype=np.float32, mode="w+", shape=BASE.shape)
    array[:] = BASE
    return array


KINDS = {
    "ndarray": lambda tmp: BASE,
    "memmap": memmap,
    "hdf5": hdf5,
    "csr_matrix": lambda tmp: sp.csr_matrix(BASE),
    "coo_array": lambda tmp: sp.coo_array(BASE),
    "tensor": lambda tmp: torch.from_numpy(BASE),
    "frame": lambda tmp: pd.DataFrame(BASE, index=np.arange(100, 112)),
    "list": lambda tmp: list(BASE),
    "tensor_dataset": lambda tmp: TensorDataset(torch.from_numpy(BASE)),
    "dataset": lambda tmp: Indexed(),
    "subset": lambda tmp: Subset(Indexed(), list(range(12))),
    "concat": lambda tmp: ConcatDataset(
        [Subset(Indexed(), range(5)), Subset(Indexed(), range(5, 12))]
    ),
    "slice_dataset": lambda tmp: SliceDataset(Indexed()),
    "view": lambda tmp: RowView(np.concatenate([BASE[::-1], BASE]), np.arange(12, 24)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_take_rows_by_position(kind, tmp_path):
    X = KINDS[kind](tmp_path)
    assert n_rows(X) == 12
    np.testing.assert_array_equal(as_array(take_rows(X, PICK)), BASE[PICK])
    np.testing.assert_array_equal(as_array(take_rows(X, slice(2, 6))), BASE[2:6])
    np.testing.assert_array_equal(
        as_array(take_rows(X, BASE[:, 0] > 30)), BASE[BASE[:, 0] > 30]
    )
    np.testing.assert_array_equal(
        as_array(take_rows(view_rows(X, PICK), [3, 0])), BASE[[11, 7]]
    )
    for bad in ([12], [-13]):
        with pytest.raises(IndexError, match="from 0 to 11"):
            take_rows(X, bad)


@pytest.mark.parametrize("kind", KINDS)
def test_concat_and_chunks(kind, tmp_path):
    X = KINDS[kind](tmp_path)
    both = concat_rows(take_rows(X, [1, 2]), take_rows(X, [5]))
    np.testing.assert_array_equal(as_array(both), BASE[[1, 2, 5]])
    parts = list(iter_chunks(X, 5))
    assert [part for part, _ in parts] == [slice(0, 5), slice(5, 10), slice(10, 12)]
    np.testing.assert_array_equal(
        np.concatenate([as_array(rows) for _, rows in parts]), BASE
    )


def test_a_subset_of_a_subset_points_at_the_base():
    outer = take_rows(take_rows(Indexed(), [9, 4, 6]), [2, 0])
    assert (
        type(outer) is Subset
        and isinstance(outer.dataset, Indexed)
        and list(outer.indices) == [6, 9]
    )
    joined = concat_rows(outer, take_rows(outer.dataset, [1]))
    assert type(joined) is Subset and list(joined.indices) == [6, 9, 1]


def test_a_view_reads_only_what_is_asked():
    class Counting(np.ndarray):
        read = 0

        def __getitem__(self, key):
            Counting.read += (
                len(np.atleast_1d(np.arange(12)[key])) if self.shape == (12, 5) else 0
            )
            return super().__getitem__(key)

    view = view_rows(BASE.view(Counting), np.arange(2, 12))
    assert view.shape == (10, 5) and len(view) == 10 and Counting.read == 0
    np.testing.assert_array_equal(view[3], BASE[5])
    assert Counting.read == 1
    np.testing.assert_array_equal(np.asarray(view), BASE[2:])


def test_pandas_rows_keep_the_callers_labels():
    frame = pd.DataFrame(BASE, index=list("abcdefghijkl"))
    assert list(take_rows(frame, [3, 1]).index) == ["d", "b"]
    assert list(concat_rows(frame.iloc[:1], frame.iloc[4:5]).index) == ["a", "e"]


def test_one_row_of_a_view_is_by_position():
    frame = pd.DataFrame(BASE, columns=range(100, 105), index=range(12))
    np.testing.assert_array_equal(view_rows(frame, [4, 2])[0], BASE[4])
    np.testing.assert_array_equal(view_rows(BASE, [4, 2])[1], BASE[2])


def test_bad_rows():
    with pytest.raises(TypeError, match="no length"):
        n_rows(3)
    with pytest.raises(ValueError, match="same length"):
        n_rows({"a": BASE, "b": BASE[:3]})
    with pytest.raises(TypeError, match="integer positions"):
        take_rows(BASE, [0.5])
    with pytest.raises(ValueError, match="mask over 12 rows"):
        take_rows(BASE, np.ones(5, bool))
    with pytest.raises(ValueError, match="cannot follow"):
        concat_rows(BASE, BASE[:, :2])
    with pytest.raises(ValueError, match="at least 1"):
        next(iter_chunks(BASE, 0))
    np.testing.assert_array_equal(take_rows({"x": BASE}, [1])["x"], BASE[[1]])


def test_an_integer_tensor_refuses_floats_rather_than_cut_them():
    with pytest.raises(ValueError, match="uint8"):
        concat_rows(torch.zeros(1, 2, dtype=torch.uint8), np.full((1, 2), 0.5))
    assert concat_rows(torch.zeros(1, 2), np.ones((1, 2))).shape == (2, 2)


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), unique=True))
    )
)
def test_pool_masks_partition(case):
    n, moved = case
    pool = Pool(n)
    pool.move(moved, "labelled")
    assert pool.labelled.tolist() == moved
    assert sorted(pool.unlabelled.tolist() + moved) == list(range(n))
    pool.move(moved[::2], "pending")
    assert pool.labelled.tolist() == moved[1::2]
    assert all(pool.state_of(m) == "pending" for m in moved[::2])


def test_pool_saves_loads_and_refuses(tmp_path):
    pool = Pool(10)
    pool.move([3, 1], "labelled")
    pool.move([5], "test")
    pool.save(tmp_path / "pool.npz")
    again = Pool.load(tmp_path / "pool.npz")
    assert (
        again.labelled.tolist() == [3, 1]
        and again.test.tolist() == [5]
        and repr(again) == repr(pool)
    )
    assert (
        repr(pool) == "Pool(7 unlabelled, 2 labelled, 1 test)"
        and 9 in pool
        and 10 not in pool
    )
    with pytest.raises(ValueError, match="already labelled"):
        pool.move([3], "labelled")
    with pytest.raises(ValueError, match="come twice"):
        pool.move([2, 2], "labelled")
    with pytest.raises(ValueError, match="Unknown state 'gone'"):
        pool.move([2], "gone")
    with pytest.raises(ValueError, match="at least one"):
        Pool(0)
    with pytest.raises(AttributeError):
        _ = pool.nothing
    np.savez(tmp_path / "bad.npz", state=np.zeros(4, np.uint8), labelled=np.array([2]))
    with pytest.raises(ValueError, match="damaged"):
        Pool.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(4))
    with pytest.raises(ValueError, match="not a saved pool"):
        Pool.load(tmp_path / "other.npz")


moves = st.lists(
    st.tuples(
        st.lists(st.integers(0, 19), min_size=1, unique=True), st.sampled_from(STATES)
    ),
    min_size=1,
    max_size=8,
)


@given(moves)
def test_pool_agrees_with_a_dict(steps):
    pool, states, order = Pool(20), dict.fromkeys(range(20), "unlabelled"), []
    for positions, state in steps:
        if any(states[p] == state for p in positions):
            before = pickle.dumps(pool)
            with pytest.raises(ValueError, match="already"):
                pool.move(positions, state)
            assert pickle.dumps(pool) == before, "a refused move moved something"
            continue
        pool.move(positions, state)
        states.update(dict.fromkeys(positions, state))
        order = [p for p in order if states[p] == "labelled"] + (
            positions if state == "labelled" else []
        )
    assert pool.labelled.tolist() == order
    for state in STATES:
        expected = [p for p in range(20) if states[p] == state]
        assert sorted(getattr(pool, state).tolist()) == expected
        assert np.flatnonzero(pool.mask(state)).tolist() == expected and pool.counts()[
            state
        ] == len(expected)
        assert [p for p in range(20) if pool.has(p, state)] == expected


def test_a_million_positions_find_repeats_either_way():
    pool = Pool(10_000)
    for few_or_many in ([5, 7, 5], [*range(5000), 17]):
        with pytest.raises(ValueError, match="come twice"):
            pool.move(few_or_many, "skipped")
    assert len(pool.skipped) == 0


BATCHES = """
import sys
from al_sklearn.pool import Pool
pool = Pool.load(sys.argv[1])
print([b.tolist() for b in pool.batches(7, random_state=3, part=(1, 2))])
"""


def test_batches_are_the_same_in_every_process(tmp_path):
    pool = Pool(50)
    pool.move([4, 9, 1], "labelled")
    pool.move([30, 2], "skipped")
    pool.save(tmp_path / "pool.npz")
    done = subprocess.run(
        [sys.executable, "-c", BATCHES, tmp_path / "pool.npz"],
        capture_output=True,
        text=True,
        check=True,
    )
    mine = [
        [b.tolist() for b in pool.batches(7, random_state=3, part=(i, 2))]
        for i in range(2)
    ]
    assert done.stdout.strip() == str(mine[1])
    assert (
        sorted(p for batch in mine[0] + mine[1] for p in batch)
        == pool.unlabelled.tolist()
    )
    assert max(map(len, mine[0] + mine[1])) == 7
    assert [b.tolist() for b in pool.batches(2, "labelled")] == [[4, 9], [1]]
    with pytest.raises(ValueError, match="size must be at least 1"):
        pool.batches(0)
    with pytest.raises(ValueError, match=r"part must be \(i, k\)"):
        pool.batches(1, part=(2, 2))


@pytest.mark.parametrize("kind", ["ndarray", "memmap", "list", "dataset"])
def test_views_of_views_keep_the_callers_positions(kind, tmp_path):
    X = KINDS[kind](tmp_path)
    pool = Pool(12)
    pool.move([0, 5, 6], "labelled")
    view = pool.view(X, within=[11, 5, 2, 8, 0])
    assert view.indices.tolist() == [11, 2, 8]
    inner = view_rows(view, [2, 0])
    assert inner.indices.tolist() == [8, 11]
    np.testing.assert_array_equal(as_array(inner.rows()), BASE[[8, 11]])
    assert pool.view(X, "labelled").indices.tolist() == [0, 5, 6]
    with pytest.raises(ValueError, match="X has 5 rows, the pool 12 positions"):
        pool.view(BASE[:5])


def test_a_pool_of_a_later_version_is_refused(tmp_path):
    np.savez(
        tmp_path / "new.npz",
        state=np.full(3, 77, np.uint8),
        labelled=np.empty(0, np.int64),
    )
    with pytest.raises(ValueError, match="does not know"):
        Pool.load(tmp_path / "new.npz")


@pytest.mark.parametrize(
    "indices", [slice(None, None, -1), slice(8, 2, -2), PICK[::-1], slice(2, 5)]
)
def test_tensors_are_taken_backwards_too(indices):
    np.testing.assert_array_equal(
        take_rows(torch.from_numpy(BASE), indices).numpy(), BASE[indices]
    )


@pytest.mark.parametrize("damage", ["empty", "cut", "array", "square", "signed"])
def test_a_damaged_pool_is_named(tmp_path, damage):
    path = tmp_path / "pool.npz"
    Pool(5).save(path)
    if damage == "array":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    elif damage in ("square", "signed"):
        state = (
            np.zeros((2, 2), np.uint8) if damage == "square" else np.array([0, -1, 1])
        )
        np.savez(path, state=state, labelled=np.flatnonzero(state == 1))
    else:
        path.write_bytes(path.read_bytes()[: {"empty": 0, "cut": 100}[damage]])
    with pytest.raises(ValueError, match=r"pool\.npz is"):
        Pool.load(path)
