"""Pickles are read as data: what pickle itself gives, without calling anything."""

import contextlib
import io
import os
import pickle
import pickletools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_sklearn._core.plain_pickle import DAMAGED, read_plain_pickle

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda parts: (
        st.lists(parts)
        | st.lists(parts).map(tuple)
        | st.dictionaries(st.text() | st.integers(), parts)
    ),
    max_leaves=20,
)


def read(raw):
    return read_plain_pickle(io.BytesIO(raw))


@settings(max_examples=60, deadline=None)
@given(value=plain, protocol=st.integers(0, 5))
def test_plain_values_come_back(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.uint8).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(6, dtype=">i4"),
        np.array([True, False]),
        np.array([], dtype=np.float32),
        np.array(3, dtype=np.int64),
        np.array(["a", "bcd"]),
        np.array([b"a", b"bcd"]),
        np.array([5, 2, None, "x"], dtype=object),
        np.array([[1, 2], [3, 4]], dtype=object),
        np.float32(1.5),
        np.int64(-3),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back(array, protocol):
    found = read(pickle.dumps({"a": [array, array]}, protocol))["a"][1]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype and found.shape == array.shape


class Calls:
    def __init__(self, *what):
        self.what = what

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize(
    "value",
    [
        Calls(os.system, ("touch mark",)),
        Calls(eval, ("open('mark', 'w')",)),
        # numpy's own, which read files or call others.
        Calls(np.fromfile, ("mark",)),
        Calls(np.memmap, ("mark", "uint8", "w+", 0, 1)),
        Calls(np.vectorize, (os.system,)),
        Calls(np.dtype, ({"names": ["a"], "formats": ["O"]},)),
        np.array([Calls(os.system, ("touch mark",))], dtype=object),
        np.zeros(2, dtype=[("a", "i4")]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        io.StringIO,
    ],
)
def test_nothing_is_called(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="it "):
        read(pickle.dumps([value]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02.",
        # A list that holds itself, and one that says a billion values in few bytes.
        b"\x80\x02]q\x00h\x00R.",
        b"\x80\x02K\x01K\x02b.",
        # More bytes than there are.
        b"\x80\x02U\xffab.",
        pickle.dumps(np.arange(4))[:-9] + b".",
    ],
)
def test_what_is_damaged_is_an_error_of_a_kind(raw):
    with pytest.raises(DAMAGED):
        read(raw)


def test_every_bit_of_a_batch_can_be_wrong():
    raw = pickle.dumps(
        {"data": np.arange(20, dtype=np.uint8), "labels": [1, 2]}, protocol=2
    )
    assert max(position for _, _, position in pickletools.genops(raw)) == len(raw) - 1
    rng = np.random.default_rng(0)
    for _ in range(400):
        changed = bytearray(raw)
        changed[rng.integers(len(raw))] ^= 1 << rng.integers(8)
        with contextlib.suppress(DAMAGED):
            read(bytes(changed))


def test_lists_of_lists_are_read_once_each():
    value = []
    for _ in range(60):
        value = [value, value]
    # 2 ** 60 lists, walked through one by one, would never end.
    found = read(pickle.dumps(value))
    assert found[0] is found[1]
