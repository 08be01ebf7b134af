"""Every file that a run holds, damaged in every way: refused, or made again.

None is ever believed. Of a cache's files the same is tested in ``tests/rows``.
"""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from al_sklearn.experiments import StrategyComparison, load_checkpoint, load_results
from al_sklearn.experiments.report import ReportFacts
from al_sklearn.experiments.store import RunStore, verify_run
from al_sklearn.rows import (
    read_index_sets,
    read_numpy,
    read_splits,
    write_index_sets,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:1 seed cannot tell"),
    pytest.mark.filterwarnings("ignore:Models of LogisticRegression are kept"),
]
CLOCK = ["query_seconds", "training_seconds", "peak_memory_mb"]
N_PLACES = 30


def make(store, random_state=0):
    return StrategyComparison(
        LogisticRegression(),
        ["margin"],
        n_initial=6,
        n_instances=4,
        n_rounds=2,
        n_seeds=1,
        threads_per_job=1,
        verbose=0,
        checkpoints=True,
        store=store,
        random_state=random_state,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs that differ in their seed, and the data of both."""
    generator = np.random.default_rng(0)
    y = np.arange(90) % 3
    # Images, so that there are pictures.
    X = generator.integers(0, 200, size=(90, 6, 6)).astype(np.uint8)
    X += (20 * y[:, None, None]).astype(np.uint8)
    data = X.reshape(90, 36) / 255, y
    folder = tmp_path_factory.mktemp("runs")
    for name, seed in (("one", 0), ("two", 1)):
        made = make(folder / name, seed).fit(*data)
        made.retrain(*data, n_repeats=1)
        ReportFacts("title", "command", ["a", "b", "c"]).write(folder / name)
    return folder / "one", folder / "two", data


def damages(content, other, generator, n_places):
    """Yield a name and what a file holds after each kind of damage."""
    for place in generator.integers(0, len(content), n_places).tolist():
        changed = bytearray(content)
        changed[place] ^= 1 << int(generator.integers(8))
        yield f"bit flipped in byte {place}", bytes(changed)
    for place in generator.integers(0, len(content), n_places // 3).tolist():
        yield f"cut at {place}", content[:place]
    yield "emptied", b""
    yield "doubled", content + content
    yield "another run's", other


def table(results):
    return results.drop(columns=CLOCK)


def check(run, path, expected, data, what):
    """Read the run and go on with it: what comes out is right, or refused by name."""
    said = []
    try:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            read = load_results(run)
            ReportFacts.read(run)
            if path.suffix == ".joblib":
                load_checkpoint(path)
            found = table(read.table)
    except ValueError as error:
        said.append(str(error))
    else:
        # Fewer rounds are what readers see where one is not there; never others.
        assert found.equals(expected[: len(found)]) or len(found) < len(expected), what
    wrong = [finding for finding in verify_run(run) if finding.wrong]
    said += [f"{finding.path} {finding.wrong}" for finding in wrong]
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            again = table(make(run).fit(*data).results_)
            table(make(run).fit(*data).results_)
    except ValueError as error:
        assert path.name in str(error) or "another configuration" in str(error), what
        return
    said += [str(one.message) for one in told]
    assert again.equals(expected), what
    # Not believed: somebody said its name.
    assert any(path.name in one for one in said), what


def fuzz(runs, tmp_path, n_places):
    one, two, data = runs
    expected = table(load_results(one).table)
    generator = np.random.default_rng(0)
    files = [path.relative_to(one) for path in sorted(one.rglob("*.*"))]
    files = [name for name in files if name.name != ".lock"]
    assert {name.suffix for name in files} >= {".json", ".jsonl", ".npz", ".joblib"}
    if not n_places:
        # One of each kind.
        files = {(name.parts[0], name.suffix): name for name in files}.values()
    n_tried = 0
    for name in files:
        content, other = (one / name).read_bytes(), _same_place(two, name)
        for how, changed in damages(content, other, generator, n_places):
            run = tmp_path / f"{n_tried}"
            n_tried += 1
            shutil.copytree(one, run)
            if changed == content or _harmless(name, changed, content, tmp_path):
                continue
            (run / name).write_bytes(changed)
            check(run, run / name, expected, data, f"{name}: {how}")
            shutil.rmtree(run)
    return n_tried


def _same_place(run, name):
    """What lies there in the other run; its hashes of parameters may differ."""
    path = run / name
    return path.read_bytes() if path.is_file() else b"{}"


def _harmless(name, changed, content, folder):
    """A zip file says its sizes and times twice, and only one of them is read."""
    if name.suffix != ".npz":
        return False
    found = []
    for number, one in enumerate((changed, content)):
        path = folder / f"zip-{number}.npz"
        path.write_bytes(one)
        try:
            arrays = read_numpy(path)
        except ValueError:
            return False
        found.append({key: array.tobytes() for key, array in arrays.items()})
    return found[0] == found[1]


def test_a_few_of_every_kind(runs, tmp_path):
    assert fuzz(runs, tmp_path, 0) >= 30


@pytest.mark.slow
def test_every_file_in_every_way(runs, tmp_path):
    assert fuzz(runs, tmp_path, N_PLACES) > 400


def test_exported_index_sets(tmp_path):
    generator = np.random.default_rng(0)
    sets = {"labelled": np.arange(9), "test": np.arange(20, 30)}
    path = write_index_sets(tmp_path / "sets.npz", sets)
    other = write_index_sets(tmp_path / "o.npz", {"labelled": [1]}).read_bytes()
    content = path.read_bytes()
    for how, changed in damages(content, other, generator, 90):
        if how == "another run's":
            continue
        path.write_bytes(changed)
        try:
            found = read_index_sets(path)
        except ValueError as error:
            assert "sets.npz" in str(error), how
        else:
            assert found.keys() == sets.keys(), how
            assert all(np.array_equal(found[key], sets[key]) for key in sets), how


def test_index_sets_of_a_run(runs, tmp_path):
    path = Path(shutil.copy(runs[0] / "splits.npz", tmp_path / "splits.npz"))
    whole = read_splits(path)[0]
    content = path.read_bytes()
    for how, changed in damages(content, content, np.random.default_rng(0), 90):
        path.write_bytes(changed)
        try:
            found = read_splits(path)[0]
        except ValueError as error:
            assert "splits.npz" in str(error), how
        else:
            assert all(np.array_equal(found[key], whole[key]) for key in whole), how
    assert RunStore(runs[0]).splits().keys() == {"train_0", "test_0", "initial_0"}
