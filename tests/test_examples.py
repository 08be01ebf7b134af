"""The examples run, as README shows them, and README shows what is in the examples."""

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from al_sklearn.strategies import catalogue

ROOT = Path(__file__).parents[1]


def run(name, folder, *args):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", *map(str, args)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fit_query_teach(tmp_path):
    accuracies = [
        float(value)
        for value in re.findall(r"labels: ([\d.]+)", run("fit_query_teach", tmp_path))
    ]
    assert (
        len(accuracies) == 4
        and accuracies[-1] > 0.85
        and accuracies[-1] > accuracies[0]
    )


@pytest.mark.slow
def test_compare(tmp_path):
    assert "coreset(metric='cosine')" in run("compare", tmp_path)
    assert (tmp_path / "runs" / "example" / "report.html").stat().st_size > 100_000


def test_pipeline(tmp_path):
    assert "'query_strategy':" in run("pipeline", tmp_path)


def test_own_images(tmp_path):
    rng = np.random.default_rng(0)
    for label, value in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(30):
            pixels = np.clip(rng.normal(value, 60, (20, 24, 3)), 0, 255).astype(
                np.uint8
            )
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{i}.png")
    run("own_images", tmp_path, tmp_path / "photos", 16)
    assert (
        len((tmp_path / "requests" / "cycle_0001.csv").read_text().splitlines()) == 11
    )


@pytest.mark.parametrize(
    "name", ["fit_query_teach", "compare", "pipeline", "own_images"]
)
def test_readme_shows_the_examples(name):
    source = (ROOT / "examples" / f"{name}.py").read_text()
    body = source.split('"""', 2)[2].strip()
    assert body in (ROOT / "README.md").read_text(), (
        f"README.md does not show examples/{name}.py as it is"
    )


def test_the_catalogue_page_has_every_strategy_and_its_picture():
    page = (ROOT / "docs" / "catalogue.md").read_text()
    ours = [
        info
        for info in catalogue()
        if info.function.__module__.startswith("al_sklearn.")
    ]  # not those of tests
    assert len(ours) > 50
    for info in ours:
        for name in (info.name, *info.aliases):
            assert f"`{name}`" in page
        # What it lost against random may follow.
        assert f"| {info.summary} " in page
        picture = f"images/gallery/{info.name}.png"
        assert (
            f"]({picture})" in page and (ROOT / "docs" / picture).stat().st_size > 5_000
        )


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    pytest.importorskip("safetensors")
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "examples" / "whole_way.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    # Nobody's machine or minute is kept with it.
    assert all(cell["outputs"] == [] for cell in cells)
    names = {"__name__": "notebook"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*use at least 5")
        for cell in cells:
            exec("".join(cell["source"]), names)
    plt.close("all")
    assert (tmp_path / "runs" / "whole_way" / "report.html").is_file()
    assert names["best"].score(names["X_test"], names["y_test"]) > 0.3
