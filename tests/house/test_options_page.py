"""The page of options has every row of the systems replaced, each with a test."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "options-elsewhere.md").read_text()
# What each system offered, as its users counted it.
SYSTEMS = {
    "active_learning_cv": range(1, 53),
    "sgiardl": range(53, 75),
    "fsdl-active-learning": range(75, 106),
    "TorchAL": range(1, 50),
    "superannotate": range(1, 19),
}


def rows(system):
    (part,) = re.findall(rf"^### {system}\n(.*?)(?=^### |\Z)", PAGE, re.M | re.S)
    lines = re.findall(r"^\| (\d+) \| (.*?) \| (.*) \| (.*) \|$", part, re.M)
    return {int(number): (here, test) for number, _, here, test in lines}


def test_every_row_has_a_line_and_a_test():
    for system, numbers in SYSTEMS.items():
        found = rows(system)
        assert list(found) == list(numbers)
        for number, (here, test) in found.items():
            if test == "–":
                # Nothing is left open without a word why.
                assert here.startswith("– "), (system, number)
                continue
            file, name = test.strip("`").split("::")
            text = (ROOT / "tests" / file).read_text()
            assert f"def test_{name}(" in text, (system, number, test)


def test_every_system_replaced_has_a_section():
    for name in (
        "active_learning_cv",
        "sgiardl",
        "TorchAL",
        "DroughtWatch",
        "superannotate",
        "modAL",
        "baal",
        "deep-active-learning",
    ):
        assert re.search(rf"^## .*{name}", PAGE, re.M), name
