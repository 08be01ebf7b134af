"""Label files that went wrong for someone, each read right or refused by name."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from al_sklearn import formats
from al_sklearn.exceptions import LabelFileError

CASES = Path(__file__).parents[2].parent / "shared" / "cases" / "labels"
FOUND = sorted(p.parent for p in CASES.glob("*/*/expect.json"))


def same(read, expected, place=""):
    """What is expected is there; other words may be as well."""
    if isinstance(expected, dict):
        assert isinstance(read, dict), (place, read)
        for key, value in expected.items():
            assert key in read, f"{place}: no {key!r} in {sorted(read)}"
            same(read[key], value, f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(read) == len(expected), (place, read, expected)
        for i, (a, b) in enumerate(zip(read, expected, strict=True)):
            same(a, b, f"{place}[{i}]")
    elif isinstance(expected, float) or (
        isinstance(expected, int) and not isinstance(expected, bool)
    ):
        assert np.isclose(read, expected, atol=0.01), (place, read, expected)
    else:
        assert read == expected, (place, read, expected)


@pytest.mark.skipif(not FOUND, reason="the label files are not beside this checkout")
def test_there_are_ninety():
    assert len(FOUND) == 90


@pytest.mark.parametrize("case", FOUND, ids=lambda p: f"{p.parent.name}/{p.name}")
@pytest.mark.parametrize("named", [True, False], ids=["named", "guessed"])
def test_case(case, named):
    told = json.loads((case / "expect.json").read_text(encoding="utf-8"))
    format_ = told["format"] if named and told["format"] != "zip" else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if not told["accept"]:
            with pytest.raises(LabelFileError) as error:
                formats.read(case / told["entry"], format_, told["task"])
            for word in told["error_names"]:
                assert str(word).lower() in str(error.value).lower()
            return
        records = formats.read(case / told["entry"], format_, told["task"])
    assert bool(caught) == told["warn"] == bool(records.warnings), records.warnings
    same(records.as_dict(), told["expect"])
