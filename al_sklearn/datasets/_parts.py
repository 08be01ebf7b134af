"""The names that people give to the parts of a data set, for folders and tables."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Final

TRAIN: Final = "train"
VAL: Final = "val"
TEST: Final = "test"
UNLABELLED: Final = "unlabelled"

# In small letters; the first of each is the one that messages say.
PARTS: Final = {
    TRAIN: ("train", "training", "trainset", "train_set", "seg_train"),
    VAL: ("val", "valid", "validation", "valset", "val_set", "dev", "seg_val"),
    TEST: ("test", "testing", "testset", "test_set", "seg_test"),
    UNLABELLED: ("unlabelled", "unlabeled", "unsup", "seg_pred"),
}
_PART_OF: Final = {name: part for part, names in PARTS.items() for name in names}


def part_of(name: str) -> str | None:
    """Return which part of a data set a name means, in any case; None for others.

    Examples
    --------
    >>> part_of("Validation"), part_of("seg_train"), part_of("cat")
    ('val', 'train', None)
    """
    return _PART_OF.get(name.strip().lower())


def part_for_testing(found: Iterable[str], where: Path) -> str | None:
    """Return which of the parts there are is the test set; None where none is.

    ``val`` is, where there is no ``test``; that is said.
    """
    parts = set(found)
    if TEST in parts:
        return TEST
    if VAL not in parts:
        return None
    warnings.warn(
        f"{where} has no part for testing: its part for validation is the test set."
    )
    return VAL
