"""The cache of rows on disk: resumes, survives kill -9, and tells damage and
contradictions."""

import multiprocessing
import os
import pickle
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_sklearn.rows import KeyedRows, cache_key, file_key, open_or_compute


def rows_of(start, stop, d=3):
    return np.arange(start * d, stop * d, dtype=np.float32).reshape(-1, d)


def compute(folder, n=10, chunk_rows=4, compute_chunk=rows_of, **options):
    options = {"key": "k", "row_shape": (3,), "dtype": np.float32, **options}
    return open_or_compute(
        folder, n_rows=n, chunk_rows=chunk_rows, compute_chunk=compute_chunk, **options
    )


def never(start, stop):
    raise AssertionError(f"rows {start} … {stop} were computed again")


@given(
    n=st.integers(1, 40), chunk_rows=st.integers(1, 50), stop_after=st.integers(0, 45)
)
@settings(max_examples=25, deadline=None)
def test_what_an_interrupted_run_finished_is_not_computed_again(
    tmp_path_factory, n, chunk_rows, stop_after
):
    folder, seen = tmp_path_factory.mktemp("cache"), []

    def interrupted(start, stop):
        if stop > stop_after:
            raise KeyboardInterrupt
        seen.append((start, stop))
        return rows_of(start, stop)

    if stop_after < n:
        with pytest.raises(KeyboardInterrupt):
            compute(folder, n, chunk_rows, interrupted)
    else:
        compute(folder, n, chunk_rows, interrupted)
    finished = len(seen)

    def rest(start, stop):
        seen.append((start, stop))
        return rows_of(start, stop)

    # Another chunk size is no reason to begin again.
    rows = compute(folder, n, chunk_rows + 1, rest)
    np.testing.assert_array_equal(rows, rows_of(0, n))
    assert [row for part in seen for row in range(*part)] == list(range(n))
    assert finished == sum(stop <= stop_after for _, stop in seen)
    np.testing.assert_array_equal(
        compute(folder, n, compute_chunk=never), rows_of(0, n)
    )


def test_the_result_is_a_read_only_map_of_an_ordinary_npy_file(tmp_path):
    rows = compute(tmp_path)
    assert isinstance(rows, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        rows[0, 0] = 1
    np.testing.assert_array_equal(np.load(tmp_path / "k" / "rows.npy"), rows)


def test_no_rows_are_an_empty_array(tmp_path):
    assert compute(tmp_path, n=0, compute_chunk=never).shape == (0, 3)


def test_values_of_any_shape_and_type(tmp_path):
    rows = compute(
        tmp_path,
        row_shape=(2, 2),
        dtype="float16",
        compute_chunk=lambda a, b: np.ones((b - a, 2, 2)),
        n=5,
    )
    assert rows.dtype == np.float16
    assert rows.shape == (5, 2, 2)
    assert compute(
        tmp_path,
        key="scalars",
        row_shape=(),
        compute_chunk=lambda a, b: np.arange(a, b) / 2,
    ).tolist() == [i / 2 for i in range(10)]


def _slowly(folder, log):
    def logged(start, stop):
        time.sleep(0.02)
        with open(log, "a") as file:
            file.write(f"{start}\n")
        return rows_of(start, stop)

    compute(folder, 400, compute_chunk=logged)


@pytest.mark.skipif(os.name == "nt", reason="no fork")
def test_a_kill_at_any_moment_loses_at_most_one_chunk(tmp_path):
    log = tmp_path / "log"
    log.touch()
    for killed in range(1, 4):
        worker = multiprocessing.get_context("fork").Process(
            target=_slowly, args=(tmp_path, log)
        )
        worker.start()
        while len(log.read_text().splitlines()) < 8 * killed:
            time.sleep(0.001)
        worker.kill()
        worker.join()
    computed, rest = [int(line) for line in log.read_text().split()], []
    rows = compute(
        tmp_path, 400, compute_chunk=lambda a, b: rest.append(a) or rows_of(a, b)
    )
    np.testing.assert_array_equal(rows, rows_of(0, 400))
    assert set(computed) | set(rest) == set(range(0, 400, 4))
    assert 0 <= len(computed) + len(rest) - 100 <= 3


def _counting(folder, log):
    def logged(start, stop):
        with open(log, "a") as file:
            file.write(f"{start}\n")
        time.sleep(0.01)
        return rows_of(start, stop)

    np.testing.assert_array_equal(
        compute(folder, 60, compute_chunk=logged), rows_of(0, 60)
    )


@pytest.mark.skipif(
    os.name == "nt",
    reason="Windows has no flock: there, both processes compute the same rows",
)
def test_two_processes_compute_each_chunk_once(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_counting, args=(tmp_path, tmp_path / "log"))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    starts = [int(line) for line in (tmp_path / "log").read_text().split()]
    assert sorted(starts) == list(range(0, 60, 4))


def test_wrong_shapes_and_types_are_told(tmp_path):
    with pytest.raises(
        ValueError, match=r"Rows 0 … 3 must have shape \(4, 3\), got \(4, 2\)"
    ):
        compute(tmp_path, compute_chunk=lambda a, b: rows_of(a, b, d=2))
    with pytest.raises(TypeError, match="Cannot cast"):
        compute(tmp_path, compute_chunk=lambda a, b: rows_of(a, b) * 1j)
    np.testing.assert_array_equal(compute(tmp_path), rows_of(0, 10))


def test_a_cache_of_another_shape_is_not_read(tmp_path):
    compute(tmp_path)
    with pytest.raises(
        ValueError,
        match=r"holds float32 rows of shape \(10, 3\), "
        r"not float32 rows of shape \(11, 3\)",
    ):
        compute(tmp_path, n=11)
    with pytest.raises(ValueError, match="not float64 rows"):
        compute(tmp_path, dtype=np.float64)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rows.npy", lambda whole: whole[:-1]),
        ("rows.npy", lambda whole: whole[:9]),
        ("rows.npy", lambda whole: b"something else"),
        ("finished.bin", lambda whole: b"\xff" * len(whole)),
        ("finished.bin", lambda whole: (11).to_bytes(12, "little")),
    ],
)
def test_damage_is_told(tmp_path, name, change):
    compute(tmp_path)
    path = tmp_path / "k" / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=r"is damaged .* delete that folder"):
        compute(tmp_path)


def test_a_record_that_is_gone_is_damage(tmp_path):
    compute(tmp_path)
    (tmp_path / "k" / "finished.bin").unlink()
    with pytest.raises(ValueError, match=r"is damaged .* delete that folder"):
        compute(tmp_path)


def test_half_an_entry_of_the_record_is_as_none(tmp_path):
    compute(tmp_path)
    record = tmp_path / "k" / "finished.bin"
    record.write_bytes(record.read_bytes()[:-3])
    again = []
    rows = compute(
        tmp_path, compute_chunk=lambda a, b: again.append((a, b)) or rows_of(a, b)
    )
    np.testing.assert_array_equal(rows, rows_of(0, 10))
    assert again == [(8, 10)]


def test_a_folder_that_was_only_begun_starts_again(tmp_path):
    compute(tmp_path)
    (tmp_path / "k" / "rows.npy").unlink()
    np.testing.assert_array_equal(compute(tmp_path, n=12), rows_of(0, 12))


@pytest.mark.parametrize(
    "options", [{"key": "../up"}, {"key": ""}, {"n": -1}, {"chunk_rows": 0}]
)
def test_wrong_arguments(tmp_path, options):
    with pytest.raises(ValueError, match=r"must be at least|names a folder"):
        compute(tmp_path, **options)
    assert not any(tmp_path.iterdir())


def test_keys_say_everything_they_are_made_of():
    assert cache_key(a=1, b=[1, "x"]) == cache_key(b=[1, "x"], a=1)
    assert cache_key(a=1) != cache_key(a="1")
    assert len(cache_key()) == 32


def test_progress_counts_what_was_there(tmp_path, capsys, monkeypatch):
    # A bar is for a terminal: elsewhere there is a line a minute.
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    def half(start, stop):
        if start >= 4:
            raise RuntimeError
        return rows_of(start, stop)

    with pytest.raises(RuntimeError):
        compute(tmp_path, compute_chunk=half)
    compute(tmp_path, progress="Embedding")
    shown = capsys.readouterr().err
    assert "Embedding" in shown
    assert "4/10" in shown
    assert "10/10" in shown


# ---- by keys -------------------------------------------------------------------------


def key(i):
    return int(i).to_bytes(16, "little")


@given(
    asked=st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=6),
    on_disk=st.booleans(),
    in_turn=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_each_key_is_computed_once_and_found_again(
    tmp_path_factory, asked, on_disk, in_turn
):
    folder = tmp_path_factory.mktemp("keyed") if on_disk else None
    rows = KeyedRows(folder, (2, 1), np.uint8, in_turn=in_turn)
    computed = []
    for wanted in asked:

        def values(indices, wanted=wanted):
            found = np.array([wanted[i] for i in indices], np.uint8)
            computed.extend(found.tolist())
            return np.tile(found[:, None, None], (1, 2, 1))

        got = rows.get([key(i) for i in wanted], values)
        assert got.shape == (len(wanted), 2, 1) and got.dtype == np.uint8
        assert got[:, 1, 0].tolist() == wanted
        if on_disk:
            # Another process, or the next run.
            rows = pickle.loads(pickle.dumps(rows))
    assert sorted(computed) == sorted({i for wanted in asked for i in wanted})


def test_what_a_kill_left_behind_the_last_key_goes(tmp_path):
    KeyedRows(tmp_path, (1,)).get([key(1)], lambda _: [[1.0]])
    for name, left in (("rows.bin", b"abcdef"), ("keys.bin", b"half a key")):
        with (tmp_path / name).open("ab") as file:
            file.write(left)
    rows = KeyedRows(tmp_path, (1,))
    got = rows.get([key(2), key(1)], lambda missing: [[2.0]] * len(missing))
    assert got.tolist() == [[2], [1]]
    sizes = [(tmp_path / name).stat().st_size for name in ("rows.bin", "keys.bin")]
    assert sizes == [2 * 4, 2 * 20]


def test_keys_without_their_rows_are_damage(tmp_path):
    KeyedRows(tmp_path, (1,)).get([key(1)], lambda _: [[1.0]])
    (tmp_path / "rows.bin").write_bytes(b"abc")
    with pytest.raises(ValueError, match=r"is damaged .* delete that folder"):
        KeyedRows(tmp_path, (1,)).get([key(1)], None)


def test_files_are_known_by_path_size_and_time(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    os.utime(path, ns=(1, 1))
    first = file_key(path)
    assert len(first) == 16 and file_key(str(path)) == first
    os.utime(path, ns=(1, 2))
    assert file_key(path) != first
    with pytest.raises(ValueError, match=r"cannot be read as an image: .*gone"):
        file_key(tmp_path / "gone")


@pytest.mark.parametrize("name", ["rows.npy", "finished.bin"])
def test_a_flipped_bit_in_rows_is_never_believed(tmp_path, name):
    whole = compute(tmp_path).copy()
    path = tmp_path / "k" / name
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(
            content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]
        )
        try:
            found = compute(tmp_path)
        except ValueError as error:
            assert str(tmp_path / "k") in str(error)
        else:
            # A byte of the header that says nothing, or rows made again.
            np.testing.assert_array_equal(found, whole)
        for file in (tmp_path / "k").iterdir():
            file.unlink()
        compute(tmp_path)
        content = path.read_bytes()


def test_a_flipped_bit_in_keyed_rows_is_never_believed(tmp_path):
    keys = [key(i) for i in range(4)]

    def get():
        make = KeyedRows(tmp_path, (2,)).get
        return make(keys, lambda missing: np.stack([missing, missing], axis=1))

    whole = get()
    for name in ("rows.bin", "keys.bin"):
        path = tmp_path / name
        content = path.read_bytes()
        for place in range(len(content)):
            changed = bytearray(content)
            changed[place] ^= 4
            path.write_bytes(changed)
            try:
                found = get()
            except ValueError as error:
                assert "is damaged" in str(error)
            else:
                np.testing.assert_array_equal(found, whole)
            (tmp_path / "rows.bin").unlink()
            (tmp_path / "keys.bin").unlink()
            get()
