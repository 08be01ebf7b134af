"""The command, as a user runs it."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import al_sklearn
from al_sklearn.cli import app
from al_sklearn.cli._console import show_summary
from al_sklearn.datasets import read_index_sets
from al_sklearn.experiments import load_results, plots, statistics
from al_sklearn.experiments.store import RunStore
from al_sklearn.strategies import catalogue

QUICK = [
    "compare",
    "--seeds",
    "1",
    "--rounds",
    "1",
    "--epochs",
    "2",
    "--quiet",
    "--strategies",
    "margin",
]


def run(*args):
    result = CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.filterwarnings("ignore:.*seed:UserWarning")
def test_compare_writes_table_picture_and_report(tmp_path):
    result = run(*QUICK, "--pool-size", 200, "--output", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "margin" in result.output and "random_sampling" in result.output
    assert "use at least 5" in result.output.replace("\n", " ")
    summary = pd.read_csv(tmp_path / "run" / "summary.csv", index_col=0)
    assert (
        set(summary.index) == {"margin", "random_sampling"}
        and summary["final"].between(0, 1).all()
    )
    results = pd.read_csv(tmp_path / "run" / "results.csv")
    assert results.groupby("strategy")["n_labelled"].apply(list).to_dict() == {
        "margin": [20, 40],
        "random_sampling": [20, 40],
    }
    assert (tmp_path / "run" / "report.html").read_text().count("data:image/") > 0
    assert (tmp_path / "run" / "learning_curves.png").stat().st_size > 10_000
    # Once more: refused without --resume, and the same numbers with it.
    again = run(*QUICK, "--pool-size", 200, "--output", tmp_path / "run")
    assert again.exit_code == 2 and "Error:" in again.output
    resumed = run(
        *QUICK,
        "--pool-size",
        200,
        "--output",
        tmp_path / "run",
        "--resume",
        "--no-report",
    )
    assert resumed.exit_code == 0
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "run" / "summary.csv", index_col=0), summary
    )
    # Another configuration is refused, naming what differs.
    other = run(
        *QUICK,
        "--pool-size",
        200,
        "--output",
        tmp_path / "run",
        "--resume",
        "--batch",
        7,
    )
    assert other.exit_code == 2 and "n_instances" in other.output


@pytest.mark.filterwarnings("ignore:.*seed:UserWarning")
def test_compare_on_a_folder_of_photos(tmp_path):
    rng = np.random.default_rng(0)
    for label, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(40):
            size = (12 + i % 5, 14, 3)
            pixels = np.clip(rng.normal(colour, 40, size), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{i}.jpg")
    folder = [
        "--dataset",
        "folder",
        "--data-dir",
        tmp_path / "photos",
        "--initial",
        4,
        "--batch",
        4,
    ]
    result = run(*QUICK, *folder, "--image-size", 12, "--output", tmp_path / "run")
    assert result.exit_code == 0, result.output
    missing = run(*QUICK, *folder, "--output", tmp_path / "other")
    assert missing.exit_code == 2 and "--image-size" in missing.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--dataset", "digit"], "Did you mean 'digits'"),
        (["--strategies", "margin,marginal"], "Unknown strategy 'marginal'"),
        (["--strategies", ","], "--strategies is empty"),
        (["--pool-size", "99999"], "more than the 1437 training images"),
        (["--model", "small_cn"], "Did you mean 'small_cnn'"),
        (["--dataset", "mnist"], "give data_dir"),
        (
            ["--seeds", "0"],
            "compare, --seeds: comparison.n_seeds must be a whole number from 1; got 0",
        ),
        (
            ["--batch", "nan"],
            "compare, --batch: comparison.n_instances names 'nan', which does not",
        ),
        (
            ["--batch", "2.5"],
            "compare, --batch: comparison.n_instances must be a whole number from 1, "
            "or a share",
        ),
        (["--initial", "0"], "compare, --initial: comparison.n_initial must be"),
        (
            ["--learning-rate", "nan"],
            "compare, --learning-rate: estimator.ImageClassifier.lr must be a number "
            "above 0",
        ),
        (
            ["--ensemble", "2", "--learning-rate", "-1"],
            "compare, --learning-rate: estimator.DeepEnsemble.estimator.",
        ),
        (
            ["--momentum", "0.9"],
            "compare, --momentum: estimator.ImageClassifier.optimizer__momentum is no "
            "key here",
        ),
        (["--optimizer", "Sgd"], "torch.optim has no 'Sgd'"),
        (
            ["--validation", "0"],
            "--patience-share must be a share between 0 and 1, got 0",
        ),
        (
            ["--set", "n_rounds=-3"],
            "compare, --set: comparison.n_rounds must be a whole number from 0",
        ),
        (["--set", "n_seed=3"], "Did you mean 'n_seeds'?"),
        (
            ["--strategy", "coreset: {metric: cosin}"],
            "coreset.metric must be euclidean or cosine or manhattan, got 'cosin'",
        ),
        (["--strategy", "[a"], "--strategy, line 1: "),
        # Said of the flag, and not of a list that nobody has written.
        (["--strategy", "margn"], "compare, --strategy is wrong: Unknown strategy"),
        (["--strategy", "coreset: {metrc: 1}"], "--strategy: coreset.metrc is no key"),
        (["--strategy", "margin"], "--strategy is wrong: Two strategies are called"),
        (["--strategy", ""], "compare, --strategy must be the name of a strategy"),
        (["--class-weight", "blanced"], "compare, --class-weight: "),
        (["--import", "none.py"], "none.py: FileNotFoundError"),
        (
            ["--patience", "3"],
            "--patience-share: estimator.ImageClassifier.train_split: patience needs a "
            "validation set",
        ),
        (["--swa=False"], "'--swa' does not take a value"),
    ],
)
def test_wrong_input_is_one_sentence(args, message, tmp_path):
    result = run(*QUICK, *args, "--output", tmp_path / "run")
    assert result.exit_code == 2
    assert message in re.sub(r"\s+", " ", result.output)
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "command",
    [
        "",
        "run",
        "best",
        "retrain",
        "resume",
        "compare",
        "report",
        "plot",
        "stats",
        "strategies",
        "datasets",
        "version",
        "splits",
    ]
    + ["splits make", "splits check"],
)
def test_every_command_has_help(command):
    result = run(*command.split(), "--help")
    assert (
        result.exit_code == 0
        and "Usage: " in result.output
        and "Show this message" in result.output
    )


def test_output_that_cannot_be_written_is_one_sentence(grid, tmp_path):
    (tmp_path / "file").touch()
    inside = tmp_path / "file" / "x"
    calls = [
        run(*QUICK, "--pool-size", 200, "--output", tmp_path / "file"),
        run(*QUICK, "--pool-size", 200, "--output", inside),
        run("report", grid / "C=0.1", "-o", inside / "page.html"),
        run("stats", grid, "--csv", inside / "stats.csv"),
        run("plot", grid / "C=0.1", "-o", inside / "plot.png"),
        run("splits", "make", inside / "sets.npz"),
    ]
    for result in calls:
        assert result.exit_code == 2 and result.output.count("Error:") == 1, (
            result.output
        )
        assert (
            str(tmp_path / "file") in result.output.replace("\n", "")
            and "Errno" not in result.output
        )


def process(*args, **options):
    """A command in a process of its own, as a shell starts it: Ctrl-C reaches it."""
    return subprocess.Popen(
        [sys.executable, "-m", "al_sklearn.cli", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


@pytest.mark.skipif(
    sys.platform == "win32",
    reason="Ctrl-C goes to a group of processes otherwise there",
)
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_in_the_middle_and_on(tmp_path, jobs):
    (tmp_path / "x.yaml").write_text(
        "data: {name: digits, flat: true, pool_size: 250, test_size: 60}\n"
        "estimator: {RandomForestClassifier: {n_estimators: 30}}\n"
        "strategies: [margin]\n"
        "comparison: {n_seeds: 2, n_rounds: 9}\n"
    )
    call = ["run", tmp_path / "x.yaml", "--no-report", "--jobs", jobs, "--output"]
    broken = process(*call, tmp_path / "broken")
    while (
        len(list((tmp_path / "broken").rglob("round_*.json"))) < 5
        and broken.poll() is None
    ):
        time.sleep(0.02)
    os.killpg(broken.pid, signal.SIGINT)
    said, _ = broken.communicate(timeout=120)
    assert broken.returncode == 130, said
    assert (
        f"al-sklearn resume {tmp_path / 'broken'} goes on" in said
        and "Traceback" not in said
    )
    # In a log there is neither a bar nor anything that goes back to the line's
    # beginning.
    assert "\r" not in said and "round/s" not in said
    reported = run("report", tmp_path / "broken")
    assert reported.exit_code == 0, reported.output
    assert run("resume", tmp_path / "broken").exit_code == 0
    assert run(*call, tmp_path / "whole").exit_code == 0
    columns = ["strategy", "seed", "round", "n_labelled", "accuracy", "nll"]
    tables = [
        pd.read_csv(tmp_path / name / "results.csv")[columns]
        for name in ("broken", "whole")
    ]
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [
        (46, {"AUBC", "won", "saved", "query s"}),
        (60, {"won", "query s"}),
        (80, set()),
        (200, set()),
    ],
)
def test_the_summary_fits_the_terminal(grid, columns, left_out, monkeypatch):
    console = Console(width=columns, file=io.StringIO())
    monkeypatch.setattr("al_sklearn.cli._console.console", console)
    show_summary(load_results(grid / "C=0.1").summary())
    lines = console.file.getvalue().splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("won:"))]
    assert max(map(len, table)) <= columns and "…" not in "".join(table)
    [head] = [line for line in table if "strategy" in line]
    assert {
        name
        for name in ("final", "AUBC", "vs random", "won", "saved", "query s")
        if name not in head
    } == left_out


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [(60, {"labels", "rounds", "seeds"}), (80, {"labels"}), (200, set())],
)
def test_the_table_of_several_runs_fits_the_terminal(
    grid, columns, left_out, monkeypatch
):
    console = Console(width=columns, file=io.StringIO())
    monkeypatch.setattr("al_sklearn.cli._results.console", console)
    result = run("stats", grid)
    assert result.exit_code == 0, result.output
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    head = next(line for line in lines if "strategy" in line)
    expected = [
        "run",
        "strategy",
        "seeds",
        "rounds",
        "labels",
        "final",
        "aubc",
        "vs_random",
        "wins",
    ]
    assert head.split() == [name for name in expected if name not in left_out]


def test_losses_are_shown_as_they_are(grid):
    result = run("stats", grid / "C=0.1", "--metric", "nll")
    rows = [
        line for line in result.output.splitlines() if re.match(r"\s*margin ", line)
    ]
    expected = load_results(grid / "C=0.1").summary("nll").loc["margin", "final"]
    assert f"{expected:.3f}" in rows[0]


def test_lists_and_version():
    listed = run("strategies").output
    assert (
        all(info.name in listed for info in catalogue())
        and "closest" in listed
        and "hybrid" in listed
    )
    assert {"digits", "fashion-mnist", "folder", "mnist"} <= set(
        run("datasets").output.split()
    )
    assert run("version").output.strip() == al_sklearn.__version__
    assert "compare" in run("--help").output


def test_import_is_light():
    """Neither torch nor torchvision is paid for until it is needed."""
    code = (
        "import sys, al_sklearn; sys.exit(any(m in sys.modules for m in ('torch', "
        "'torchvision', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = (
        "import sys; from al_sklearn import ImageClassifier; sys.exit('torchvision' "
        "in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        al_sklearn.nothing
    assert {"ActiveLearner", "StrategyComparison"} <= set(dir(al_sklearn))


EXPERIMENT = """
data: {name: digits, flat: true, pool_size: 300, test_size: 100}
estimator: {LogisticRegression: {max_iter: 300}}
strategies: [margin, entropy]
comparison: {n_initial: 20, n_instances: 20, n_rounds: 2, n_seeds: 5}
grid: {estimator.LogisticRegression.C: [0.1, 1.0]}
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    (folder / "grid.yaml").write_text(EXPERIMENT)
    result = run(
        "run",
        folder / "grid.yaml",
        "--output",
        folder / "out",
        "--quiet",
        "--no-report",
    )
    assert result.exit_code == 0, result.output
    assert "C=0.1: Accuracy" in result.output and "C=1.0: Accuracy" in result.output
    return folder / "out"


def test_check_says_the_runs_or_the_errors(tmp_path):
    (tmp_path / "x.yaml").write_text(EXPERIMENT)
    result = run("run", tmp_path / "x.yaml", "--check")
    assert (
        result.exit_code == 0 and "2 runs" in result.output and "C=1.0" in result.output
    )
    (tmp_path / "x.yaml").write_text(EXPERIMENT.replace("n_rounds", "n_round"))
    wrong = run("run", tmp_path / "x.yaml", "--check")
    assert (
        wrong.exit_code == 2
        and "line 5: comparison.n_round is no key here. Did you mean 'n_rounds'?"
        in wrong.output
    )
    changed = run("run", tmp_path / "x.yaml", "--check", "--set", "comparison.n_rounds")
    assert changed.exit_code == 2 and "--set takes key=value" in changed.output


def test_resume_goes_on_with_a_grid(grid):
    refused = run("run", grid.parent / "grid.yaml", "--output", grid, "--quiet")
    assert refused.exit_code == 2 and "al-sklearn resume" in refused.output
    lost = grid / "C=1.0" / "rounds" / "margin" / "seed_002" / "round_001.json"
    before = lost.read_text()
    lost.unlink()
    with pytest.warns(UserWarning, match=r"round_001\.json is missing\. .* set aside"):
        assert run("resume", grid, "--quiet").exit_code == 0
    assert json.loads(lost.read_text())["accuracy"] == json.loads(before)["accuracy"]
    nothing = run("resume", grid.parent)
    assert nothing.exit_code == 2 and "no experiment to resume" in nothing.output


def test_ctrl_c_says_how_to_go_on(grid, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "al_sklearn.experiments.configuration.run_experiment", interrupted
    )
    result = run("resume", grid)
    assert (
        result.exit_code == 130
        and f"al-sklearn resume {grid} goes on" in result.output.replace("\n", "")
    )


def test_a_run_that_another_process_has_is_no_wrong_input(grid):
    with RunStore(grid / "C=0.1").lock():
        result = run("resume", grid)
    assert result.exit_code == 1
    assert f"process {os.getpid()} on" in result.output.replace("\n", " ")


def test_stats_agree_with_the_statistics(grid, tmp_path):
    one = run("stats", grid / "C=0.1")
    assert one.exit_code == 0 and "margin" in one.output and "vs random" in one.output
    many = run("stats", grid, "--csv", tmp_path / "stats.csv")
    assert many.exit_code == 0 and "2 runs" in many.output and "Together" in many.output
    table = pd.read_csv(tmp_path / "stats.csv").set_index(["run", "strategy"])
    for name in ("C=0.1", "C=1.0"):
        summary = load_results(grid / name).summary()
        for strategy, row in summary.iterrows():
            ours = table.loc[(name, strategy)]
            assert ours["aubc"] == pytest.approx(row["aubc"]) and ours[
                "final"
            ] == pytest.approx(row["final"])
            if strategy != "random_sampling":
                assert ours["vs_random"] == pytest.approx(row["difference"])
                assert ours["wins"] == f"{row['wins']:.0f}/5"
    twice = run("stats", grid / "C=0.1", grid, grid / "C=1.0" / ".." / "C=0.1")
    assert twice.exit_code == 0 and "2 runs" in twice.output
    unknown = run("stats", grid, "--metric", "accuracies")
    assert unknown.exit_code == 2 and "Did you mean 'accuracy'" in unknown.output
    empty = run("stats", tmp_path)
    assert empty.exit_code == 2 and "holds no run" in empty.output


@pytest.mark.parametrize("kind", ["curves", "profile", "critical-difference"])
def test_several_runs_in_one_picture(grid, kind, tmp_path):
    result = run("plot", grid, "--kind", kind, "-o", tmp_path / "plot.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "plot.png").stat().st_size > 5_000


def test_two_runs_on_the_same_data_are_one_data_set(grid, monkeypatch, tmp_path):
    drawn = []
    draw = plots.critical_difference
    monkeypatch.setattr(
        plots,
        "critical_difference",
        lambda scores: drawn.append(scores) or draw(scores),
    )
    for folder in (grid, grid / "C=0.1"):
        output = tmp_path / "plot.png"
        run("plot", folder, "--kind", "critical-difference", "-o", output)
    both, one = drawn
    assert both.index.get_level_values("run").tolist() == ["C=0.1", "C=1.0"]
    assert statistics.n_datasets(both) == statistics.n_datasets(one) == 1
    assert (len(both), len(one)) == (2, 5)


def test_looks_end_a_comparison(tmp_path):
    result = run(
        *[
            "compare",
            "--flat",
            "--estimator",
            "KNeighborsClassifier",
            "--strategies",
            "margin",
        ],
        *["--pool-size", "200", "--test-size", "100", "--rounds", "1"],
        *["--looks", "2,3", "--no-report", "--output", tmp_path / "run"],
    )
    assert result.exit_code == 0, result.output
    assert "looks at 2, 3 seeds" in result.output
    assert "Look 2 of 2, at 3 of up to 3 seeds" in result.output
    found = load_results(tmp_path / "run")
    assert found.config["configuration"]["looks"] == [2, 3]
    assert found.table["seed"].nunique() == 3


@pytest.mark.parametrize("kind", ["gain", "classes", "bought", "pairwise"])
def test_one_run_in_a_picture(grid, kind, tmp_path):
    result = run("plot", grid / "C=0.1", "--kind", kind, "-o", tmp_path / "plot.svg")
    assert (
        result.exit_code == 0 and (tmp_path / "plot.svg").read_text().count("<svg") == 1
    )
    several = run("plot", grid, "--kind", kind, "-o", tmp_path / "plot.svg")
    assert several.exit_code == 2 and "draws one run, got 2" in several.output
    wrong = run(
        "plot", grid / "C=0.1", "--strategies", "margn", "-o", tmp_path / "plot.svg"
    )
    assert wrong.exit_code == 2 and "Did you mean 'margin'" in wrong.output


def test_report_again(grid, tmp_path):
    result = run(
        "report", grid / "C=0.1", "-o", tmp_path / "page.html", "--title", "Once more"
    )
    page = (tmp_path / "page.html").read_text()
    assert result.exit_code == 0 and "Once more" in page
    # The command that made the run, though it wrote no report, and what could be bought
    # beside what was.
    assert f"al-sklearn run {grid.parent / 'grid.yaml'}" in page
    assert "The black line is what buying blindly would give" in page
    assert run("report", grid, "-o", tmp_path / "page.html").exit_code == 2


def test_splits_are_made_and_checked(tmp_path):
    sizes = ["--initial", 0.05, "--validation", 100, "--test", 0.2, "--seeds", 2]
    made = run("splits", "make", tmp_path / "sets.npz", *sizes)
    assert made.exit_code == 0, made.output
    first, second = (
        read_index_sets(tmp_path / f"sets_{seed}.npz", 1437) for seed in (0, 1)
    )
    assert {name: len(part) for name, part in first.items()} == {
        "labelled": 72,
        "unlabelled": 1437 - 72 - 100 - 287,
        "validation": 100,
        "test": 287,
    }
    np.testing.assert_array_equal(first["test"], second["test"])
    assert set(first["labelled"]) != set(second["labelled"])
    assert run("splits", "make", tmp_path / "sets.npz", *sizes).exit_code == 2
    assert (
        run("splits", "make", tmp_path / "torchal", "--validation", 50).exit_code == 0
    )
    for path in ("sets_0.npz", "torchal"):
        checked = run("splits", "check", tmp_path / path, "--dataset", "digits")
        assert checked.exit_code == 0 and "is right" in checked.output, checked.output
    (tmp_path / "bad.json").write_text('{"labelled": [1, 2], "test": [2]}')
    bad = run("splits", "check", tmp_path / "bad.json")
    assert bad.exit_code == 2 and "share positions" in bad.output


def test_splits_of_a_run(grid):
    checked = run("splits", "check", grid / "C=0.1" / "splits.npz")
    assert checked.exit_code == 0 and "seed 4 initial" in checked.output


def test_flags_reach_the_comparison(tmp_path):
    flags = [
        "--strategy",
        "coreset: {metric: cosine}",
        "--stopping",
        "Budget: 30",
        "--labelling-rate",
        "FixedRate: 5",
    ]
    network = [
        "--augment",
        "flip,crop",
        "--schedule",
        "cosine",
        "--weight-decay",
        "1e-4",
        "--dropout",
        "0.1",
        "--swa",
    ]
    sizes = [
        "--pool-size",
        150,
        "--test-size",
        60,
        "--output",
        tmp_path / "run",
        "--no-report",
    ]
    result = run(
        *QUICK, *flags, *network, "--optimizer", "SGD", "--momentum", 0.9, *sizes
    )
    assert result.exit_code == 0, result.output
    results = pd.read_csv(tmp_path / "run" / "results.csv")
    assert results["n_labelled"].max() == 25 and "coreset(metric='cosine')" in set(
        results["strategy"]
    )
    estimator = json.loads((tmp_path / "run" / "config.json").read_text())[
        "configuration"
    ]["estimator"]
    assert (
        "cosine" in str(estimator)
        and "SGD" in str(estimator)
        and "0.0001" in str(estimator)
    )
    wrong = run(*QUICK, "--stopping", "Budgt: 3", *sizes)
    assert wrong.exit_code == 2 and "Did you mean 'Budget'" in wrong.output


def test_any_classifier_can_be_compared(tmp_path):
    args = [
        "--flat",
        "--estimator",
        "[StandardScaler, LogisticRegression: {C: 0.1}]",
        "--pool-size",
        200,
    ]
    result = run(*QUICK, *args, "--output", tmp_path / "run", "--no-report")
    assert result.exit_code == 0, result.output
