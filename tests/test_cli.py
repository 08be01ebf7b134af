"""The command, as a user runs it."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import al_sklearn
from al_sklearn.cli import app
from al_sklearn.strategies import catalogue

QUICK = ["compare", "--seeds", "1", "--rounds", "1", "--epochs", "2", "--quiet", "--strategies", "margin"]


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
    assert set(summary.index) == {"margin", "random_sampling"} and summary["final"].between(0, 1).all()
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
    resumed = run(*QUICK, "--pool-size", 200, "--output", tmp_path / "run", "--resume", "--no-report")
    assert resumed.exit_code == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run" / "summary.csv", index_col=0), summary)
    # Another configuration is refused, naming what differs.
    other = run(*QUICK, "--pool-size", 200, "--output", tmp_path / "run", "--resume", "--batch", 7)
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
    folder = ["--dataset", "folder", "--data-dir", tmp_path / "photos", "--initial", 4, "--batch", 4]
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
        (["--seeds", "0"], "'--seeds'"),
    ],
)
def test_wrong_input_is_one_sentence(args, message, tmp_path):
    result = run(*QUICK, *args, "--output", tmp_path / "run")
    assert result.exit_code == 2
    assert message in re.sub(r"\s+", " ", result.output)
    assert "Traceback" not in result.output


def test_lists_and_version():
    listed = run("strategies").output
    assert all(info.name in listed for info in catalogue()) and "closest" in listed and "hybrid" in listed
    assert {"digits", "fashion-mnist", "folder", "mnist"} <= set(run("datasets").output.split())
    assert run("version").output.strip() == al_sklearn.__version__
    assert "compare" in run("--help").output


def test_import_is_light():
    """Neither torch nor torchvision is paid for until it is needed."""
    code = "import sys, al_sklearn; sys.exit(any(m in sys.modules for m in ('torch', 'torchvision', 'sklearn')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys; from al_sklearn import ImageClassifier; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        al_sklearn.nothing
    assert {"ActiveLearner", "StrategyComparison"} <= set(dir(al_sklearn))
