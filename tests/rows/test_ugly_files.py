"""Ugly files end as the right array, or as an error or a warning that names the file:
nothing in between."""

import re
import warnings

import numpy as np
import pytest

from al_sklearn.rows import ImageFiles, _decode
from tests.rows.ugly_files import MAKERS, Ugly

# Alpha is mixed by Pillow in bytes, here in float64.
CLOSE = {"L": 1.01, "RGB": 1.01, "I;16": 1e-4}
READ = [name for name, one in MAKERS.items() if not one.refused]
REFUSED = [name for name, one in MAKERS.items() if one.refused]


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch):
    """What is said once in a process is said once in each test."""
    monkeypatch.setattr(_decode, "_said", set())


def named(name):
    # Tests have names without odd bytes.
    return ascii(name).strip("'")


def mode_of(expected):
    """What an array expected of one file is read as."""
    if expected.ndim == 3:
        return "RGB"
    return "I;16" if expected.max() <= 1 else "L"


def test_there_are_enough():
    assert len(MAKERS) >= 120 and len(REFUSED) >= 25
    assert all(isinstance(one, Ugly) for one in MAKERS.values())


@pytest.mark.parametrize("name", READ, ids=named)
def test_read_as_the_right_array(tmp_path, name):
    one = MAKERS[name]
    path = one.write(tmp_path)
    expected = one.expected(path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        images = ImageFiles([path], expected.shape[:2], mode=None)
        found = images[0]
    assert found.shape == expected.shape and images.mode == mode_of(expected)
    close = CLOSE[images.mode]
    assert np.abs(found.astype(np.float64) - expected).max() <= close
    texts = [str(warning.message) for warning in said]
    ours = [text for text in texts if str(path) in text]
    assert bool(one.warns) == bool(ours)
    assert not one.warns or re.search(one.warns, ours[0])


@pytest.mark.parametrize("name", REFUSED, ids=named)
def test_refused_by_name(tmp_path, name):
    one = MAKERS[name]
    path = one.write(tmp_path)
    for mode in ("RGB", None):
        with pytest.raises(ValueError, match="cannot be read as an image") as caught:
            ImageFiles([path], 4, mode=mode)[:]
        assert str(path) in str(caught.value)
        assert one.error is None or one.error in str(caught.value)
