"""Any console, or none: no sign stops a run. Lists that a pipe can take."""

import io
import json
import os
import subprocess
import sys
from importlib import resources

import pytest
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

from al_sklearn import StrategyComparison
from al_sklearn._core import progress
from al_sklearn._core.streams import Standard, readable_streams, say_line
from al_sklearn.experiments.comparison import _progress_bar
from al_sklearn.strategies import catalogue

SIGNS = "12.0 ± 3 − 1 … → é “x” \N{SNOWMAN}"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "gbk", "utf-8"])
def test_no_sign_is_too_much_for_a_console(encoding, monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    say_line(SIGNS)
    written = raw.getvalue().decode(encoding)
    assert "3" in written and written.endswith("\n")
    if encoding == "utf-8":
        assert written == f"{SIGNS}\n"
    if encoding == "ascii":
        assert written == '12.0 +/- 3 - 1 ... -> e "x" ?\n'
    # What others write, too, and afterwards all is as it was.
    with readable_streams():
        print(SIGNS)
    assert stream.errors == "strict"


@pytest.mark.parametrize("closed", [True, False])
def test_no_console_at_all(closed, monkeypatch):
    for name in ("stdout", "stderr"):
        stream = io.StringIO() if closed else None
        if closed:
            stream.close()
        monkeypatch.setattr(sys, name, stream)
    say_line("nobody hears this")
    assert not Standard("stdout").isatty() and not progress.somebody_looks()
    assert list(progress.tqdm(range(3))) == [0, 1, 2]
    with readable_streams():
        print("nor this")
        print("nor that", file=sys.stderr)
    X, y = load_digits(return_X_y=True)
    small = {"n_initial": 20, "n_instances": 5, "n_rounds": 1}
    comparison = StrategyComparison(GaussianNB(var_smoothing=0.1), ["margin"], **small)
    assert len(comparison.fit(X, y).results_) == 20


CHILD = """
import sys
closed = sys.argv.pop(1)
if closed == "none":
    sys.stdout = sys.stderr = None
elif closed == "closed":
    sys.stdout.close(), sys.stderr.close()
from al_sklearn.cli import main
main()
"""
COMPARE = [
    *("compare", "--flat", "--estimator", "GaussianNB: {var_smoothing: 0.1}"),
    *("--strategies", "margin", "--initial", "20", "--batch", "10", "--rounds", "1"),
    *("--seeds", "2", "--pool-size", "200", "--threads", "1", "--no-report"),
]


@pytest.mark.parametrize(
    "console",
    [
        "none",
        "ascii",
        pytest.param("closed", marks=pytest.mark.slow),
        pytest.param("cp1252", marks=pytest.mark.slow),
        pytest.param("cp932", marks=pytest.mark.slow),
        pytest.param("gbk", marks=pytest.mark.slow),
    ],
)
def test_a_run_ends_whatever_the_console(console, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", CHILD, console, *COMPARE]
    environment = {**os.environ}
    if console not in ("none", "closed"):
        environment["PYTHONIOENCODING"] = console
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "run")],
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "summary.csv").is_file()
    assert bool(done.stdout) == (console not in ("none", "closed"))


@pytest.mark.parametrize("command", [["strategies"], ["--help"]])
def test_help_and_lists_on_an_ascii_console(command):
    done = subprocess.run(
        [sys.executable, "-m", "al_sklearn.cli", *command],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    done.stdout.decode("ascii")


def listed():
    file = resources.files("al_sklearn.cli").joinpath("strategies.json")
    return json.loads(file.read_text(encoding="utf-8"))


def test_strategies_are_listed_without_torch():
    code = (
        "import sys; from al_sklearn.cli import app\n"
        "app(['strategies'], standalone_mode=False)\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'sklearn', 'pandas')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # A line each, as grep and cut want it.
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows == listed()


def test_the_list_in_the_package_is_the_catalogue():
    """Else: ``python docs/build.py --list``."""
    ours = [
        [info.name, info.family, ", ".join(info.needs), info.summary]
        for info in catalogue()
        if info.function.__module__.startswith("al_sklearn.")
    ]
    assert listed() == ours


def test_bars_in_a_file_are_a_line_at_a_time(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    list(progress.tqdm(range(3), desc="quick"))
    # What is over within a minute is no news.
    assert log.getvalue() == ""
    monkeypatch.setattr(progress, "SECONDS", 0)
    list(progress.tqdm(range(3), desc="slow", unit="row"))
    lines = log.getvalue().splitlines()
    assert len(lines) >= 2 and "\r" not in log.getvalue()
    assert lines[-1].startswith("slow: 3/3 row, ")


def test_a_comparison_in_python_writes_a_line_a_minute(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    lines = _progress_bar.RoundLines
    monkeypatch.setattr(
        _progress_bar,
        "RoundLines",
        lambda count, most, say: lines(count, most, say, seconds=0.01),
    )
    X, y = load_digits(return_X_y=True)
    options = {"n_rounds": 2, "n_instances": 5}
    StrategyComparison(GaussianNB(var_smoothing=0.1), ["margin"], **options).fit(X, y)
    said = log.getvalue().splitlines()
    assert said and all(
        line.endswith("of at most 25 rounds after 0 min") for line in said
    )
