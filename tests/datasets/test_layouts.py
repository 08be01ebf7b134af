"""Folders of every layout end as the right parts and classes, or are refused by name;
what is left out is said."""

import re
import warnings
from collections import Counter

import pytest

from al_sklearn.datasets import load_dataset
from tests.datasets.layouts import LAYOUTS


def counts(y):
    return None if y is None else dict(Counter(y.tolist()))


def test_there_are_enough():
    assert len(LAYOUTS) >= 25


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(tmp_path, name):
    layout = LAYOUTS[name]
    root = layout.write(tmp_path / "photos")
    if layout.error:
        with (
            warnings.catch_warnings(),
            pytest.raises((ValueError, FileNotFoundError), match=layout.error) as error,
        ):
            warnings.simplefilter("ignore")
            load_dataset("folder", root, **layout.options)
        assert str(root) in str(error.value)
        return
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = load_dataset("folder", root, **layout.options)
    texts = [str(warning.message) for warning in said]
    assert len(texts) == len(layout.warns), texts
    for text, pattern in zip(texts, layout.warns, strict=True):
        assert re.search(pattern, text) and "photos" in text
    assert counts(data.y_train) == layout.train
    assert counts(data.y_val) == layout.val and counts(data.y_test) == layout.test
    assert len(data.X_unlabelled or []) == layout.unlabelled
    # Every image once, in one order.
    listed = [
        *(data.X_train or []),
        *(data.X_val or []),
        *(data.X_test or []),
        *(data.X_unlabelled or []),
    ]
    assert len(set(listed)) == len(listed)
    assert (data.X_train or []) == sorted(data.X_train or [])
    if layout.train is None:
        assert data.X_train is None and data.y_train is None
        assert data.class_names == () and "no labels" in repr(data)
        with pytest.raises(ValueError, match="A comparison needs labels, and photos"):
            data.check_labelled("A comparison")
