"""What is on disk: whole or not at all, known again, refused when it is another run,
and exact after a kill."""

import errno
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from al_sklearn.estimators import ImageClassifier
from al_sklearn.exceptions import StoreError, StoreExistsError, StoreLockedError
from al_sklearn.experiments import (
    StrategyComparison,
    load_checkpoint,
    load_results,
    load_runs,
)
from al_sklearn.experiments.comparison import summarize_runs
from al_sklearn.experiments.store import RunStore, slug
from al_sklearn.loop import Round
from al_sklearn.rows import versions
from tests.experiments._killable import comparison

CLOCK = {"query_seconds", "training_seconds", "peak_memory_mb"}


def contents(folder):
    """Everything in a run but the clock: every metric to the last bit, every index and
    score."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            values = json.loads(path.read_text())
            found[name] = json.dumps(
                {
                    key: value
                    for key, value in values.items()
                    if key not in (*CLOCK, "checksum")
                }
            )
        elif path.suffix == ".npz":
            with np.load(path) as file:
                found[name] = {key: file[key].tobytes() for key in file.files}
    return found


def run_in_process(
    store, model, n_jobs=1, training="from_scratch", n_rounds=4, kill_when=None
):
    """Run it elsewhere; kill -9 once ``kill_when(seconds, rounds)`` says so. True if it
    was killed."""
    command = [
        sys.executable,
        "-m",
        "tests.experiments._killable",
        str(store),
        model,
        str(n_jobs),
        training,
    ]
    command.append(str(n_rounds))
    # Its own session: all of its workers are killed with it.
    process = subprocess.Popen(
        command,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
    )
    began = time.monotonic()
    while process.poll() is None:
        rounds = sum(1 for _ in Path(store).rglob("round_*.json"))
        if kill_when is not None and kill_when(time.monotonic() - began, rounds):
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True
        time.sleep(0.0005)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return False


def kill_and_resume(
    tmp_path, model, waits, n_jobs=1, training="from_scratch", n_rounds=4
):
    """Kill once so many more rounds are there, resume, again and again; compare with a
    run that nobody touched."""
    comparison(tmp_path / "whole", model, 1, training, n_rounds)
    expected = contents(tmp_path / "whole")
    generator = np.random.default_rng(len(waits))
    killed = 0
    for wait in waits:
        moment = sum(1 for _ in (tmp_path / "cut").rglob("round_*.json")) + wait
        # A few milliseconds after a round was seen: anywhere in the next one, or while
        # it is written.
        extra = generator.uniform(0, 0.02)
        seen = []

        def now(seconds, rounds, moment=moment, extra=extra, seen=seen):
            if rounds >= moment and not seen:
                seen.append(seconds)
            return bool(seen) and seconds - seen[0] >= extra

        killed += run_in_process(
            tmp_path / "cut", model, n_jobs, training, n_rounds, now
        )
    table = comparison(tmp_path / "cut", model, n_jobs, training, n_rounds).results_
    assert contents(tmp_path / "cut") == expected
    assert not list((tmp_path / "cut").rglob(".*.tmp"))
    whole = comparison(tmp_path / "whole", model, 1, training, n_rounds).results_
    assert table.drop(columns=list(CLOCK)).equals(whole.drop(columns=list(CLOCK)))
    return killed


def test_killed_in_the_middle_of_rounds_it_ends_with_the_same_bits(tmp_path):
    assert kill_and_resume(tmp_path, "logistic", [1, 4, 8]) == 3


def test_fine_tuning_is_replayed(tmp_path):
    assert kill_and_resume(tmp_path, "sgd", [7], training="fine_tune") == 1


@pytest.mark.slow
def test_ten_random_kills(tmp_path):
    # 122 rounds in all, at most four between two kills: each of the ten comes while
    # there is something to do.
    waits = np.random.default_rng(0).integers(0, 5, size=10).tolist()
    assert kill_and_resume(tmp_path, "logistic", waits, n_rounds=20) == 10


@pytest.mark.slow
@pytest.mark.parametrize("training", ["fine_tune", "incremental"])
def test_kills_while_training_goes_on(tmp_path, training):
    assert kill_and_resume(tmp_path, "sgd", [2, 6, 5, 5], training=training) >= 3


@pytest.mark.slow
def test_kills_with_two_workers(tmp_path):
    assert kill_and_resume(tmp_path, "logistic", [1, 4, 4, 4], n_jobs=2) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("training", ["from_scratch", "fine_tune"])
def test_kills_of_a_network(tmp_path, training):
    assert kill_and_resume(tmp_path, "cnn", [1, 3, 5, 3], training=training) >= 3


@pytest.fixture
def setting(digits):
    X, y = digits
    X = X[:400].reshape(400, -1) / 255.0

    def make(store, **options):
        options = {
            "n_rounds": 1,
            "n_seeds": 5,
            "verbose": 0,
            "threads_per_job": 1,
            **options,
        }
        strategies = options.pop("strategies", ["margin"])
        return StrategyComparison(
            options.pop("estimator", LogisticRegression(max_iter=500)),
            strategies,
            store=store,
            **options,
        )

    return make, X, y[:400]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"n_instances": 21}, "n_instances was 20, is 21"),
        ({"n_rounds": 2}, "n_rounds was 1, is 2"),
        ({"n_seeds": 6}, "n_seeds was 5, is 6"),
        ({"random_state": 1}, "random_state was 0, is 1"),
        (
            {"estimator": LogisticRegression(C=0.5, max_iter=500)},
            "estimator.C was 1.0, is 0.5",
        ),
        (
            {"strategies": ["margin", "entropy"]},
            "strategies.entropy was not there, is 'al_sklearn",
        ),
        ({"training": "fine_tune"}, "training was 'from_scratch', is 'fine_tune'"),
        ({"threads_per_job": 2}, "threads_per_job was 1, is 2"),
    ],
)
def test_another_configuration_is_refused_by_name(setting, tmp_path, change, names):
    make, X, y = setting
    make(tmp_path / "run").fit(X, y)
    before = contents(tmp_path / "run")
    with pytest.raises(StoreError, match="another configuration") as error:
        make(tmp_path / "run", **change).fit(X, y)
    assert names in str(error.value)
    assert contents(tmp_path / "run") == before


def test_other_data_are_refused(setting, tmp_path):
    make, X, y = setting
    make(tmp_path / "run").fit(X, y)
    other = X.copy()
    other[7, 7] += 1e-9
    with pytest.raises(StoreError, match=r"other data: X\.hash was"):
        make(tmp_path / "run").fit(other, y)
    with pytest.raises(ValueError, match=r"other data: y\.hash was"):
        make(tmp_path / "run").fit(X, np.roll(y, 1))
    with pytest.raises(ValueError, match=r"other data: X\.rows was 400, is 390"):
        make(tmp_path / "run").fit(X[:390], y[:390])


def test_other_versions_are_said(setting, tmp_path, monkeypatch):
    make, X, y = setting
    place = "al_sklearn.experiments.comparison._comparison.versions"
    monkeypatch.setattr(place, lambda: {**versions(), "numpy": "1.0"})
    make(tmp_path / "run").fit(X, y)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=r"begun with other versions: numpy was '1.0'"):
        make(tmp_path / "run").fit(X, y)


def test_resume_false_and_foreign_folders_are_refused(setting, tmp_path):
    make, X, y = setting
    make(tmp_path / "run").fit(X, y)
    with pytest.raises(StoreExistsError, match="holds a run already"):
        make(tmp_path / "run", resume=False).fit(X, y)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(StoreExistsError, match="not empty and holds no run"):
        make(tmp_path / "mine").fit(X, y)
    assert [p.name for p in (tmp_path / "mine").iterdir() if p.suffix] == ["thesis.txt"]


def test_a_future_format_is_refused(setting, tmp_path):
    make, X, y = setting
    make(tmp_path / "run").fit(X, y)
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(
        StoreError, match="format 99, a newer layout; this version reads format 4 alone"
    ):
        load_results(tmp_path / "run")


def test_nothing_is_overwritten_and_nothing_trained_again(setting, tmp_path):
    make, X, y = setting
    first = make(tmp_path / "run").fit(X, y)
    times = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "run").rglob("*.*")
        if path.is_file()
    }

    class Broken(LogisticRegression):
        """Same name and parameters; training it again would show."""

        def fit(self, X, y):
            raise AssertionError("trained again")

    Broken.__module__, Broken.__qualname__ = (
        "sklearn.linear_model",
        LogisticRegression.__qualname__,
    )
    again = make(tmp_path / "run", estimator=Broken(max_iter=500)).fit(X, y)
    assert again.results_.equals(first.results_)
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_full_disk_leaves_only_whole_files(setting, tmp_path, monkeypatch):
    make, X, y = setting
    expected = make(tmp_path / "whole").fit(X, y)
    written = []

    def fsync(handle):
        written.append(handle)
        if len(written) > 25:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        make(tmp_path / "full").fit(X, y)
    monkeypatch.undo()
    assert not list((tmp_path / "full").rglob("*.tmp"))
    again = make(tmp_path / "full").fit(X, y)
    assert again.results_.drop(columns=list(CLOCK)).equals(
        expected.results_.drop(columns=list(CLOCK))
    )
    assert contents(tmp_path / "full") == contents(tmp_path / "whole")


def test_a_full_disk_says_what_to_do(setting, tmp_path, monkeypatch):
    make, X, y = setting
    monkeypatch.setattr(
        "os.fsync",
        lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    with pytest.raises(
        OSError,
        match=r"finished rounds are kept in .*run: make room and run the same again",
    ) as error:
        make(tmp_path / "run").fit(X, y)
    assert error.value.errno == 28


def test_a_disk_that_is_truly_full(setting, tmp_path):
    make, X, y = setting
    expected = make(tmp_path / "whole").fit(X, y)
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system of its own needs the right to mount one")
    try:
        with pytest.raises(
            OSError,
            match=r"No space left on device\. All finished rounds are kept in .*run",
        ) as error:
            make(disk / "run").fit(X, y)
        assert error.value.errno == errno.ENOSPC
        assert not list(disk.rglob(".*.tmp"))
        kept = {path: path.read_bytes() for path in disk.rglob("round_*.json")}
        assert 5 < len(kept) < 15
        subprocess.run(
            ["mount", "-o", "remount,size=4m", disk], check=True, capture_output=True
        )
        again = make(disk / "run").fit(X, y)
        assert again.results_.drop(columns=list(CLOCK)).equals(
            expected.results_.drop(columns=list(CLOCK))
        )
        assert contents(disk / "run") == contents(tmp_path / "whole")
        assert {path: path.read_bytes() for path in kept} == kept
    finally:
        subprocess.run(["umount", disk], check=True)


def test_files_that_may_not_grow(setting, tmp_path):
    """The system's own limit, which needs no rights: index sets do not fit."""
    script = (
        "import resource, sys\n"
        "from tests.experiments._killable import comparison\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "comparison(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        "File too large. All finished rounds are kept" in done.stderr.splitlines()[-1]
    )
    assert [
        path.name for path in (tmp_path / "run").iterdir() if path.name != ".lock"
    ] == ["config.json"]
    assert len(comparison(tmp_path / "run").results_) == 3 * 2 * 5


def test_the_disk_s_error_is_said_behind_the_block_too(tmp_path, monkeypatch):
    store = RunStore(tmp_path / "run")
    record = Round(
        1,
        np.arange(2),
        np.array([np.nan, -np.inf]),
        {
            "round": 1,
            "n_labelled": 2,
            "accuracy": 0.1,
            "class_accuracy": [np.nan, 1.0],
        },
    )
    with store.writer() as write:
        write("margin", 0, record)
    [read] = store.read("margin", 0)
    np.testing.assert_array_equal(read.scores, record.scores)
    assert np.isnan(read.metrics["class_accuracy"][0])
    monkeypatch.setattr(
        "os.fsync",
        lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    with pytest.raises(OSError, match="make room"), store.writer() as write:
        write("margin", 1, record)
    assert not store.read("margin", 1)


def test_a_damaged_or_older_config_is_refused_by_name(setting, tmp_path):
    make, X, y = setting
    make(tmp_path / "run").fit(X, y)
    path = tmp_path / "run" / "config.json"
    whole = path.read_text()
    path.write_text(whole[:100])
    with pytest.raises(
        ValueError, match=r"config\.json is damaged .*begin the run anew"
    ):
        load_results(tmp_path / "run")
    path.write_text("[]")
    with pytest.raises(StoreError, match="has format None, which is none"):
        load_results(tmp_path / "run")
    path.write_text(json.dumps({"format": 4, "configuration": {}, "data": {}}))
    with pytest.raises(StoreError, match=r"is damaged .no 'versions'."):
        load_results(tmp_path / "run")


@pytest.mark.parametrize("older", [1, 2, 3])
def test_an_older_layout_is_refused_by_name_and_stays_as_it_is(
    setting, tmp_path, older
):
    """Formats 1 to 3 came with no release."""
    make, X, y = setting
    path = tmp_path / "run" / "config.json"
    path.parent.mkdir()
    written = json.dumps({"format": older, "versions": {"al-sklearn": "0.0.9"}})
    path.write_text(written)
    says = (
        rf"format {older}, an older layout; this version reads format 4 alone\. It was "
        r"written by al-sklearn 0\.0\.9: read it with that, or begin the run anew"
    )
    for use in (load_results, lambda folder: make(folder).fit(X, y)):
        with pytest.raises(StoreError, match=says):
            use(tmp_path / "run")
    with pytest.raises(StoreError, match=says):
        summarize_runs({"old": tmp_path / "run"})
    assert path.read_text() == written
    assert [item.name for item in path.parent.iterdir() if item.suffix == ".json"] == [
        "config.json"
    ]


def test_a_finished_run_is_read_from_one_file_and_a_half_one_from_its_rounds(
    setting, tmp_path
):
    make, X, y = setting
    made = make(tmp_path / "run").fit(X, y)
    whole = load_results(tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    assert load_results(tmp_path / "run").table.equals(whole.table)
    assert whole.table.equals(made.results_)
    next((tmp_path / "run" / "rounds" / "margin").rglob("round_001.json")).unlink()
    assert len(load_results(tmp_path / "run").table) == len(whole.table) - 1


def copies(source, folder, n):
    for number in range(n):
        shutil.copytree(source, folder / f"group_{number % 7}" / f"run_{number:04d}")


def test_a_folder_of_runs_is_read_whole(setting, tmp_path):
    make, X, y = setting
    made = make(tmp_path / "one").fit(X, y)
    copies(tmp_path / "one", tmp_path / "many", 20)
    (tmp_path / "many" / "notes.txt").write_text("mine")
    runs = load_runs(tmp_path / "many")
    assert len(runs) == 20
    assert next(iter(runs)) == "group_0/run_0000"
    assert all(found.table.equals(made.results_) for found in runs.values())
    assert list(load_runs(tmp_path / "one")) == ["."]
    with pytest.raises(FileNotFoundError, match=r"no config\.json in it or below"):
        load_runs(tmp_path / "one" / "rounds")


@pytest.mark.filterwarnings("ignore:Models of LogisticRegression are kept by joblib")
def test_models_are_kept_by_joblib_with_a_word_of_warning(setting, tmp_path):
    make, X, y = setting
    with pytest.warns(UserWarning, match="kept by joblib: such a file runs code"):
        make(tmp_path / "run", checkpoints=True).fit(X, y)
    files = sorted(
        path.relative_to(tmp_path / "run")
        for path in (tmp_path / "run").rglob("*.joblib")
    )
    assert len(files) == 5 + 5 * 2
    model = load_checkpoint(
        tmp_path / "run" / "rounds" / "margin" / "seed_003" / "round_001.joblib"
    )
    test = RunStore(tmp_path / "run").splits()["test_3"]
    record = RunStore(tmp_path / "run").read("margin", 3)[0]
    assert model.score(X[test], y[test]) == record.metrics["accuracy"]
    # It changes no number: a run may go on without.
    make(tmp_path / "run").fit(X, y)
    with pytest.raises(ValueError, match="give store="):
        make(None, checkpoints=True).fit(X, y)


@pytest.mark.filterwarnings("ignore:1 seed cannot tell")
def test_networks_are_kept_as_safetensors(digits, tmp_path):
    X, y = digits
    X, y = X[:150], y[:150]
    net = ImageClassifier("small_cnn", max_epochs=1, random_state=0)
    options = {"n_rounds": 1, "n_seeds": 1, "verbose": 0, "threads_per_job": 1}
    StrategyComparison(
        net, ["margin"], store=tmp_path / "run", checkpoints=True, **options
    ).fit(X, y)
    path = tmp_path / "run" / "rounds" / "margin" / "seed_000" / "round_001.safetensors"
    store = RunStore(tmp_path / "run")
    splits, record = store.splits(), store.read("margin", 0)[0]
    bought = np.concatenate([splits["initial_0"], record.indices])
    loaded = load_checkpoint(path, net.initialize(X[bought], y[bought]))
    test = splits["test_0"]
    assert loaded.score(X[test], y[test]) == record.metrics["accuracy"]
    with pytest.raises(ValueError, match="give model="):
        load_checkpoint(path)
    with pytest.raises(ValueError, match="do not fit"):
        load_checkpoint(path, ImageClassifier("resnet20").initialize(X[:20], y[:20]))
    with pytest.raises(ValueError, match="models are kept as"):
        load_checkpoint(tmp_path / "run" / "config.json")
    with pytest.raises(FileNotFoundError, match="There is no model"):
        load_checkpoint(tmp_path / "no.joblib")


def test_two_processes_on_one_run_are_refused(setting, tmp_path):
    make, X, y = setting
    with (
        RunStore(tmp_path / "run").lock(),
        pytest.raises(
            StoreLockedError,
            match=rf"Another process is writing .*: process {os.getpid()} on .*since",
        ),
    ):
        make(tmp_path / "run").fit(X, y)
    script = (
        "import sys, time\n"
        "from al_sklearn.experiments.store import RunStore\n"
        "with RunStore(sys.argv[1]).lock():\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "run")], stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(
            StoreLockedError, match=rf"process {other.pid} on {platform.node()}"
        ) as error:
            make(tmp_path / "run").fit(X, y)
        # What it was before it had a type of its own.
        assert isinstance(error.value, RuntimeError)
        assert not (tmp_path / "run" / "config.json").exists()
    finally:
        other.kill()
        other.communicate()
    # The system takes the lock from the dead.
    make(tmp_path / "run").fit(X, y)
    assert not (tmp_path / "run" / ".writer.json").exists()


def test_the_pool_s_classes_are_kept(setting, tmp_path):
    make, X, y = setting
    made = make(tmp_path / "run", validation_size=30).fit(X, y)
    splits = RunStore(tmp_path / "run").splits()
    kept = load_results(tmp_path / "run").pool_counts
    assert kept.columns.tolist() == made.classes_.tolist()
    for seed in range(5):
        pool = np.concatenate([splits[f"train_{seed}"], splits[f"validation_{seed}"]])
        assert kept.loc[seed].tolist() == np.bincount(y[pool], minlength=10).tolist()


def test_readers_name_what_is_damaged(setting, tmp_path):
    make, X, y = setting
    made = make(tmp_path / "run").fit(X, y)
    joined = tmp_path / "run" / "metrics.jsonl"
    whole = joined.read_text()
    for wrong in (
        whole[:-20],
        whole.replace("0.8", "0.9"),
        "\n".join(whole.split()[1:]),
    ):
        joined.write_text(wrong)
        with pytest.raises(
            ValueError,
            match=r"metrics\.jsonl is damaged .*remove it: the rounds are read instead",
        ):
            load_results(tmp_path / "run")
    joined.unlink()
    assert load_results(tmp_path / "run").table.equals(made.results_)
    path = tmp_path / "run" / "rounds" / "margin" / "seed_002" / "round_001.json"
    path.write_text(path.read_text()[:50])
    with pytest.raises(
        ValueError, match=r"round_001\.json is damaged .*that round is made anew"
    ):
        load_results(tmp_path / "run")


def test_tables_of_many_runs_need_only_what_is_joined(setting, tmp_path):
    make, X, y = setting
    made = make(tmp_path / "run").fit(X, y)
    from_rounds = tmp_path / "from_rounds"
    shutil.copytree(
        tmp_path / "run", from_rounds, ignore=shutil.ignore_patterns("metrics.jsonl")
    )
    shutil.rmtree(tmp_path / "run" / "rounds")
    tables = [
        summarize_runs({"run": folder}) for folder in (tmp_path / "run", from_rounds)
    ]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    final = made.results_.query("strategy == 'margin' and round == 1")[
        "accuracy"
    ].mean()
    assert tables[0].set_index("strategy").loc["margin", "final"] == pytest.approx(
        final
    )


def test_an_unset_seed_and_threads_stay_what_the_run_began_with(setting, tmp_path):
    make, X, y = setting
    first = make(tmp_path / "run", random_state=None, threads_per_job=None).fit(X, y)
    again = make(
        tmp_path / "run", random_state=None, threads_per_job=None, n_jobs=None
    ).fit(X, y)
    assert again.results_.equals(first.results_)


def test_results_are_read_without_data_and_models(setting, tmp_path):
    make, X, y = setting
    made = make(tmp_path / "run").fit(X, y)
    read = load_results(tmp_path / "run")
    assert read.table.equals(made.results_)
    assert read.summary().equals(made.summary())
    with pytest.raises(FileNotFoundError, match="holds no run"):
        load_results(tmp_path)


def test_splits_can_be_shared_and_are_checked(setting, tmp_path):
    make, X, y = setting
    make(tmp_path / "run").fit(X, y)
    store = RunStore(tmp_path / "run")
    splits = store.splits()
    assert sorted(splits) == sorted(
        f"{part}_{s}" for part in ("train", "test", "initial") for s in range(5)
    )
    assert len(splits["train_0"]) + len(splits["test_0"]) == 400
    assert not np.array_equal(splits["test_0"], splits["test_1"])
    np.savez(
        tmp_path / "run" / "splits.npz", **{**splits, "test_3": splits["train_3"][:5]}
    )
    with pytest.raises(StoreError, match="seed 3: 'train' and 'test' share positions"):
        store.splits()
    np.savez(
        tmp_path / "run" / "splits.npz", **{**splits, "initial_2": splits["test_2"][:5]}
    )
    with pytest.raises(StoreError, match="seed 2: 'initial' is no part of 'train'"):
        store.splits()


def test_the_last_round_is_the_highest_number_and_not_the_last_name(tmp_path):
    store = RunStore(tmp_path, durable=False)
    assert store.last("margin", 0) is None
    # Numbers have three digits at least: of 1000 and 999 the name says the opposite.
    for number in (1, 1000, 999):
        metrics = {"round": number, "n_labelled": 2, "seconds": float(number)}
        store.write("margin", 0, Round(number, np.arange(2), np.zeros(2), metrics))
    assert store.last("margin", 0)["seconds"] == 1000
    assert store.count([("margin", 0), ("entropy", 0)]) == 3


def test_names_become_folders_that_differ():
    names = [
        "margin",
        "coreset(metric='cosine')",
        "coreset(metric=cosine)",
        "../up",
        "a/b",
        "ü" * 300,
    ]
    folders = [slug(name) for name in names]
    assert len(set(folders)) == len(names)
    assert folders[0] == "margin"
    assert all(
        "/" not in folder and not folder.startswith(".") and len(folder) < 100
        for folder in folders
    )
