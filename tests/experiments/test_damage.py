"""Files that cannot be believed: refused by name, or set aside and made again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from al_sklearn._core.sealed import sealed, unsealed
from al_sklearn.exceptions import StoreError
from al_sklearn.experiments import StrategyComparison, load_checkpoint, load_results
from al_sklearn.experiments.store import RunStore

pytestmark = pytest.mark.filterwarnings("ignore:. seed.? cannot tell")
CLOCK = ["query_seconds", "training_seconds", "peak_memory_mb"]


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    y = np.arange(120) % 3
    return generator.normal(size=(120, 4)) + y[:, None], y


def make(store, **options):
    options = {
        "n_initial": 6,
        "n_instances": 4,
        "n_rounds": 4,
        "n_seeds": 2,
        "threads_per_job": 1,
        "verbose": 0,
        **options,
    }
    return StrategyComparison(
        options.pop("estimator", LogisticRegression()),
        options.pop("strategies", ["margin"]),
        store=store,
        **options,
    )


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A finished run that nobody touches, and its table."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, make(folder).fit(*data).results_


@pytest.fixture
def run(whole, tmp_path):
    return Path(shutil.copytree(whole[0], tmp_path / "run"))


def same(table, whole):
    return table.drop(columns=CLOCK).equals(whole[1].drop(columns=CLOCK))


def changed(path, **changes):
    """Write a file anew whose checksum fits: somebody has edited it with care."""
    content = unsealed(path.read_text()) | changes
    path.write_text(sealed({k: v for k, v in content.items() if v is not ...}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda i, t: {"indices": [i[1], *i[1:]]}, "twice"),
        (lambda i, t: {"indices": [99999, *i[1:]]}, "image 99999 of 120"),
        (lambda i, t: {"indices": [-1, *i[1:]]}, "image -1 of 120"),
        (lambda i, t: {"indices": [int(t[0]), *i[1:]]}, "not in the pool"),
        (lambda i, t: {"indices": i[:2], "scores": [0.0, 0.0]}, "2 images where 4"),
        (lambda i, t: {"scores": [0.0]}, "1 scores of 4 images"),
        (lambda i, t: {"indices": [i[0] + 0.7, *i[1:]]}, "no list of numbers"),
        (lambda i, t: {"indices": ...}, "no 'indices'"),
        (lambda i, t: {"scores": ...}, "no 'scores'"),
        (lambda i, t: {"round": 7}, "says that it is round 7"),
        (lambda i, t: {"n_labelled": 3}, "says that 3 are labelled, and 14 are"),
        (lambda i, t: {"belongs_to": ["x", "margin", 0, 2]}, "of run x"),
    ],
)
def test_a_round_that_cannot_be_is_set_aside_with_all_after_it(
    run, whole, data, change, says
):
    path = run / "rounds" / "margin" / "seed_000" / "round_002.json"
    record = unsealed(path.read_text())
    test = RunStore(run).splits()["test_0"]
    changed(path, **change(record["indices"], test))
    with pytest.warns(UserWarning, match=f"{says}.* set aside in"):
        again = make(run).fit(*data)
    assert same(again.results_, whole)
    aside = run / "set-aside" / "000"
    moved = sorted(p.name for p in aside.rglob("*.json"))
    assert moved == ["round_002.json", "round_003.json", "round_004.json"]
    assert says in (aside / "why.txt").read_text()
    assert (aside / "metrics.jsonl").is_file()
    assert same(load_results(run).table, whole)


def test_an_image_that_was_bought_before_is_not_bought_again(run, whole, data):
    folder = run / "rounds" / "margin" / "seed_000"
    first = unsealed((folder / "round_001.json").read_text())["indices"]
    path = folder / "round_002.json"
    changed(path, indices=[first[0], *unsealed(path.read_text())["indices"][1:]])
    with pytest.warns(UserWarning, match=f"image {first[0]}, which had been bought"):
        assert same(make(run).fit(*data).results_, whole)


def test_a_lost_round_takes_what_came_after_it_along(run, whole, data):
    folder = run / "rounds" / "margin" / "seed_001"
    (folder / "round_002.json").unlink()
    with pytest.warns(UserWarning, match=r"round_002\.json is missing"):
        assert same(make(run).fit(*data).results_, whole)
    moved = sorted(p.name for p in (run / "set-aside").rglob("*.json"))
    assert moved == ["round_003.json", "round_004.json"]


def test_a_damaged_first_round_begins_its_strategies_anew(run, whole, data):
    path = run / "first" / "seed_001" / "round_000.json"
    path.write_text(path.read_text().replace('"round": 0', '"round": 1'))
    with pytest.raises(StoreError, match="its checksum does not fit"):
        RunStore(run).read("first", 1)
    with pytest.warns(UserWarning, match="round is not there|does not fit"):
        assert same(make(run).fit(*data).results_, whole)
    assert len([*(run / "set-aside").rglob("round_*.json")]) == 1 + 2 * 4


def test_swapped_files_are_not_believed(run, whole, data):
    seeds = [run / "rounds" / "margin" / f"seed_00{n}" for n in (0, 1)]
    one, two = (folder / "round_003.json" for folder in seeds)
    texts = one.read_text(), two.read_text()
    one.write_text(texts[1]), two.write_text(texts[0])
    with pytest.raises(StoreError, match=r"margin/1/3 of run .* where margin/0/3"):
        RunStore(run).read("margin", 0)
    with pytest.warns(UserWarning, match="set aside"):
        assert same(make(run).fit(*data).results_, whole)


def test_damaged_pictures_never_block_results(run, whole, data):
    path = run / "thumbnails.npz"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match=r"thumbnails\.npz is damaged .*without pic"):
        assert same(load_results(run).table, whole)
    with pytest.warns(UserWarning, match=r"thumbnails\.npz is damaged"):
        assert same(make(run).fit(*data).results_, whole)
    load_results(run)


def test_damaged_index_sets_are_drawn_again(run, whole, data):
    path = run / "splits.npz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.warns(UserWarning, match=r"splits\.npz is no whole"):
        assert same(make(run).fit(*data).results_, whole)
    assert (run / "set-aside" / "000" / "splits.npz").is_file()


def test_joined_metrics_are_made_again(run, whole, data):
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    for wrong in ("".join(lines[:-3]), "".join([*lines[1:]]), "".join(lines * 2)):
        path.write_text(wrong)
        with pytest.raises(StoreError, match=r"metrics\.jsonl is damaged"):
            load_results(run)
    with pytest.warns(UserWarning, match=r"metrics\.jsonl does not hold what the"):
        make(run).fit(*data)
    assert path.read_text() == "".join(lines)


def test_another_run_s_files_are_not_believed(run, whole, data, tmp_path):
    other = tmp_path / "other"
    make(other, random_state=1).fit(*data)
    for name in ("metrics.jsonl", "thumbnails.npz"):
        shutil.copy(other / name, run / name)
    with pytest.raises(StoreError, match="another run's"):
        load_results(run)
    with pytest.warns(UserWarning, match="set aside in|another run's"):
        assert same(make(run).fit(*data).results_, whole)
    shutil.copy(other / "config.json", run / "config.json")
    with pytest.raises(StoreError, match="random_state was 1, is 0"):
        make(run).fit(*data)
    for path in (run / "metrics.jsonl", run / "first", run / "rounds"):
        with pytest.raises(StoreError, match="is damaged"):
            load_results(run)
        shutil.move(path, tmp_path / path.name)


def test_what_was_retrained_is_checked(run, data):
    made = make(run).fit(*data)
    table = made.retrain(*data, n_repeats=1)
    [path, *_] = sorted((run / "retrained").rglob("*.json"))
    path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.warns(UserWarning, match="repeat_000.json is damaged .*left out"):
        assert len(load_results(run).retrained) == len(table) - 1
    with pytest.warns(UserWarning, match="repeat_000.json is damaged.*set aside"):
        again = made.retrain(*data, n_repeats=1)
    columns = table.columns.drop("training_seconds")
    assert again[columns].equals(table[columns])


def test_starts_that_are_damaged_are_set_aside(run, whole, data):
    path = run / "starts.jsonl"
    assert len(RunStore(run).starts()) == 1
    path.write_text(path.read_text().replace("20", "21", 1))
    with pytest.raises(StoreError, match=r"starts\.jsonl is damaged"):
        load_results(run)
    with pytest.warns(UserWarning, match=r"starts\.jsonl is damaged.*set aside"):
        make(run).fit(*data)
    (run / "rounds" / "margin" / "seed_000" / "round_004.json").unlink()
    make(run).fit(*data)
    make(run).fit(*data)
    # A start that had nothing to do is none.
    assert len(load_results(run).starts) == 1


@pytest.mark.filterwarnings("ignore:Models of LogisticRegression are kept by joblib")
def test_a_damaged_model_is_not_read(data, tmp_path):
    make(tmp_path / "run", n_rounds=1, n_seeds=1, checkpoints=True).fit(*data)
    folder = tmp_path / "run" / "rounds" / "margin" / "seed_000"
    path = folder / "round_001.joblib"
    load_checkpoint(path)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"round_001\.joblib is damaged: its checksum"):
        load_checkpoint(path)


def test_what_a_kill_left_is_swept_and_nothing_else(run, data):
    ours = run / "rounds" / "margin" / "seed_000" / ".round_009.json.12-34.tmp"
    theirs = [run / ".notes.tmp", run / "rounds" / ".mine.1.tmp", run / "x" / ".a.tmp"]
    for path in (ours, *theirs):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(1))
    make(run).fit(*data)
    assert not ours.exists()
    assert all(path.exists() for path in theirs)
