"""The claims of docs/verification.md on intervals and tests, by simulation."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "verify_statistics.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("verify_statistics", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(found):
    """By what, noise and n; with three Monte Carlo errors, those of the goal."""
    return {(row.what, row.shape, row.n): row for row in found}


def slack(share, repeats):
    """Three standard errors: one cell in four hundred lies beyond."""
    return 3 * np.sqrt(share * (1 - share) / repeats)


def test_t_intervals_cover(script):
    repeats = 2000
    for row in script.means(np.random.default_rng(1), repeats):
        # Few skewed seeds pull a t interval in; what is a difference is symmetric.
        low = 0.90 if row.shape == "skewed" and "difference" not in row.what else 0.94
        assert row.found > low - slack(0.95, repeats), row
        assert row.found < 0.98 + slack(0.95, repeats), row


def test_savings_and_gaps_cover(script):
    repeats = 80
    saved, biases = script.savings(np.random.default_rng(2), repeats)
    for row in [*saved, *script.gaps(np.random.default_rng(3), 40)]:
        assert row.found > 0.93 - slack(0.95, row.repeats), row
    # The bias that the documentation states: less with more seeds, and never negative.
    for one in biases:
        assert -0.01 < one.mean < 0.2, one


def test_win_rates_cover(script):
    # Wilson's coverage is that of few discrete values, and goes up and down.
    for row in script.wins(np.random.default_rng(4), 2000):
        assert row.found > 0.80, row


def test_tests_keep_their_error(script):
    repeats = 300
    found = [*script.tests(np.random.default_rng(5), repeats)]
    found += script.ranks(np.random.default_rng(6), 200)
    for row in found:
        # Few seeds that all differ by one step of a coarse metric have no spread: the
        # page says so.
        if row.what.startswith("penalty") and row.shape == "ties" and row.n < 10:
            continue
        assert row.found < 0.055 + slack(0.05, row.repeats), row


def test_looks_keep_their_error(script):
    repeats = 4000
    for row in script.looks(np.random.default_rng(7), repeats):
        if "nobody" in row.what:
            assert row.found > 0.08, row
        else:
            assert row.found < 0.052 + slack(0.05, repeats), row


def test_power_is_what_is_said(script):
    for row in script.power(np.random.default_rng(8), 400):
        bound = 0.05 if row.shape == "normal" else 0.1
        assert abs(row.found - 0.8) < bound + slack(0.8, row.repeats), row
