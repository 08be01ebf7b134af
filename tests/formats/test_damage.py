"""Any value of any known file put wrong: read, or refused by name, never a crash."""

import copy
import json
import random
import shutil
import warnings
from pathlib import Path

import pytest

from al_sklearn import formats
from al_sklearn.exceptions import LabelFileError

CASES = Path(__file__).parents[2].parent / "shared" / "cases" / "labels"
ODD = [None, True, -1, 1.5, float("nan"), "", "x", "../x", [], {}, [[]], [{}], 10**30]
FOUND = sorted(CASES.glob("*/*/*.json")) + sorted(CASES.glob("*/*/classes/*.json"))
FOUND = [path for path in FOUND if path.name != "expect.json"]


def places(value, at=()):
    """Where each value of a JSON document stands."""
    yield at
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from places(inner, (*at, key))


def changed(content, at, odd):
    content = copy.deepcopy(content)
    if not at:
        return odd
    inner = content
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = odd
    return content


@pytest.mark.skipif(not FOUND, reason="the label files are not beside this checkout")
@pytest.mark.parametrize(
    "kind", sorted({p.relative_to(CASES).parts[0] for p in FOUND} or {"none"})
)
def test_any_odd_value_is_read_or_refused_by_name(kind, tmp_path):
    draw = random.Random(0)
    for path in FOUND:
        case = CASES.joinpath(*path.relative_to(CASES).parts[:2])
        if case.parent.name != kind:
            continue
        told = json.loads((case / "expect.json").read_text(encoding="utf-8"))
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            continue
        folder = tmp_path / case.name
        shutil.copytree(case, folder, ignore=shutil.ignore_patterns("expect.json"))
        target = folder / path.relative_to(case)
        where = list(places(content))
        # Few enough for a second a format, and another draw for each file.
        for at in draw.sample(where, min(12, len(where))):
            odd = draw.choice(ODD)
            target.write_text(json.dumps(changed(content, at, odd)), encoding="utf-8")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                try:
                    formats.read(folder / told["entry"], told["format"], told["task"])
                except LabelFileError as error:
                    assert ".json" in str(error) or "Annotations" in str(error), error
        shutil.rmtree(folder)
