"""docs/verification.md names everything that there is, and tests that there are."""

import re
from pathlib import Path

from al_sklearn.strategies import catalogue, measures, selectors
from al_sklearn.tasks import metrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "verification.md").read_text()


def section(title):
    start = PAGE.index(f"\n## {title}\n")
    return PAGE[start : PAGE.find("\n## ", start + 1)]


def names(title):
    return set(re.findall(r"^\| `([^`]+)`", section(title), flags=re.MULTILINE))


def test_every_strategy_has_its_row_and_a_test_that_exists():
    assert {info.name for info in catalogue()} <= names("Strategies")
    tests = re.findall(r"`(test_\w+\.py)::(\w+)`", section("Strategies"))
    assert len(tests) == len(catalogue())
    for file, function in set(tests):
        assert f"def {function}(" in (ROOT / "tests/strategies" / file).read_text()


def test_measures_and_metrics_have_rows():
    shown = names("Measures") | names("Selectors") | names("Authors' own code")
    # Those are held in the strategy's own test alone.
    alone = {"input_gradient", "true_loss"}
    tables = measures.MEASURES.values()
    ours = {name for table in tables for name, _ in table.items()} - alone
    assert ours <= shown, sorted(ours - shown)
    assert {"accuracy", "balanced_accuracy", "macro_f1", "nll", "ece"} <= names(
        "Metrics"
    )
    assert {"k_center", "fisher_trace", "falcun", "batch_bald"} <= names("Selectors")
    assert "nll" in metrics() and selectors.k_center
    assert "\n## Where we differ on purpose\n" in PAGE
