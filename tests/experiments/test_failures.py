"""One strategy that fails ends itself; what has changed is named."""

import sys
import types

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.linear_model import LogisticRegression

from al_sklearn.exceptions import StoreError
from al_sklearn.experiments import StrategyComparison, load_results
from al_sklearn.experiments.store import RunStore

pytestmark = [
    pytest.mark.filterwarnings("ignore:. seed.? cannot tell"),
    pytest.mark.filterwarnings("ignore:This query strategy returns no scores"),
]


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    y = np.arange(90) % 3
    return generator.normal(size=(90, 4)) + y[:, None], y


@pytest.fixture
def module():
    """A module of one's own, whose code can be written anew."""
    made = types.ModuleType("somebodys_strategies")
    sys.modules[made.__name__] = made

    def write(text):
        exec("import numpy as np\n" + text, vars(made))
        return made

    yield write
    del sys.modules[made.__name__]


MINE = """
def order(n):
    return np.arange(n)

def mine(classifier, X, n_instances=1):
    if {wrong}:
        raise ArithmeticError("too many labels")
    return order(len(X))[:n_instances]
"""
FAILS = MINE.format(wrong="classifier.X_training.shape[0] > 10")
WORKS = MINE.format(wrong="False")


def make(store, strategies, **options):
    options = {"n_initial": 6, "n_instances": 4, "n_rounds": 3, "n_seeds": 2} | options
    return StrategyComparison(
        options.pop("estimator", LogisticRegression()),
        strategies,
        threads_per_job=1,
        verbose=0,
        store=store,
        **options,
    )


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_failure_is_recorded_and_the_others_go_on(data, module, tmp_path, n_jobs):
    strategies = {"mine": module(FAILS).mine, "margin": "margin"}
    run = make(tmp_path / "run", strategies, n_jobs=n_jobs)
    says = r"mine failed in seed 0 \(round 3\), seed 1 \(round 3\): ArithmeticError"
    # Forked: a worker of another kind would have to import the module.
    with pytest.warns(UserWarning, match=says), parallel_config("multiprocessing"):
        run.fit(*data)
    assert sorted(run.failures_) == [("mine", 0), ("mine", 1)]
    failure = run.failures_["mine", 1]
    assert (failure["round"], failure["error"]) == (3, "ArithmeticError")
    assert "too many labels" in failure["traceback"]
    # What it did is in the table, and nobody is held against it.
    assert run.results_.groupby("strategy")["round"].max()["mine"] == 2
    for found in (run, load_results(tmp_path / "run")):
        summary = found.summary()
        assert sorted(summary.index) == ["margin", "random_sampling"]
        assert any("mine failed in seed 0" in note for note in summary.attrs["notes"])
        assert summary.loc["margin", "n_seeds"] == 2
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    run.report(tmp_path / "report.html")
    assert "mine failed in seed 0" in (tmp_path / "report.html").read_text()


def test_it_can_be_mended_or_left_out(data, module, tmp_path):
    strategies = {"mine": module(FAILS).mine, "margin": "margin"}
    with pytest.warns(UserWarning, match="mine failed"):
        make(tmp_path / "run", strategies).fit(*data)
    without = make(tmp_path / "run", {"margin": "margin"}).fit(*data)
    assert set(without.results_["strategy"]) == {"margin", "random_sampling"}
    assert not without.failures_
    # Others cannot be left out: they are part of the run.
    with pytest.raises(StoreError, match=r"strategies\.margin was"):
        make(tmp_path / "run", {"mine": strategies["mine"]}).fit(*data)
    mended = {"mine": module(WORKS).mine, "margin": "margin"}
    with pytest.warns(UserWarning, match="mine failed, and is another now"):
        again = make(tmp_path / "run", mended).fit(*data)
    assert not again.failures_
    whole = make(tmp_path / "whole", mended).fit(*data)
    assert again.results_["accuracy"].equals(whole.results_["accuracy"])
    assert load_results(tmp_path / "run").failures == {}


def test_what_leaves_nothing_to_compare_is_raised(data, module, tmp_path):
    mine = module(FAILS).mine
    with pytest.raises(ArithmeticError, match="too many labels") as error:
        make(tmp_path / "all", {"mine": mine}).fit(*data)
    assert "In round 3 of 'mine', seed 0." in error.value.__notes__
    assert RunStore(tmp_path / "all").failure("mine", 1)["round"] == 3
    strategies = {"mine": mine, "margin": "margin"}
    with pytest.raises(ArithmeticError, match="too many labels"):
        make(tmp_path / "raise", strategies, on_error="raise").fit(*data)
    with pytest.raises(ValueError, match="on_error"):
        make(None, strategies, on_error="ignore").fit(*data)


def test_an_error_that_cannot_be_sent_is_raised_all_the_same(data, module, tmp_path):
    text = WORKS + (
        "class Odd(Exception):\n"
        "    def __init__(self, a, b):\n"
        "        super().__init__(a)\n"
        "def fails(classifier, X, n_instances=1):\n"
        "    raise Odd('both', lambda: 1)\n"
    )
    with pytest.raises(RuntimeError, match="Odd: both"):
        make(tmp_path / "run", {"fails": module(text).fails}).fit(*data)


def unfinished(run, store, data):
    run.fit(*data)
    for path in store.glob("rounds/*/*/round_003.json"):
        path.unlink()


def test_changed_code_is_named_and_refused_unless_asked_for(data, module, tmp_path):
    store = tmp_path / "run"
    unfinished(make(store, {"mine": module(WORKS).mine}), store, data)
    # Comments and places are no code.
    same = module("# a remark\n" + WORKS.replace("\n\ndef", "\n\n\n\n# more\ndef")).mine
    unfinished(make(store, {"mine": same}), store, data)
    other = module(WORKS.replace("np.arange(n)", "np.arange(n)[::-1]")).mine
    says = r"of other code: the code of somebodys_strategies\.order\. .*on_change="
    with pytest.raises(StoreError, match=says):
        make(store, {"mine": other}).fit(*data)
    with pytest.warns(
        UserWarning, match="goes on though this has changed: the code of"
    ):
        made = make(store, {"mine": other}, on_change="record").fit(*data)
    [note] = [note for note in made.summary().attrs["notes"] if "Gone on" in note]
    assert "the code of somebodys_strategies.order" in note
    # It is no news the next time.
    make(store, {"mine": other}).fit(*data)
    read = load_results(store)
    assert note in read.notes
    assert [bool(start["changed"]) for start in read.starts] == [False, False, True]
    read.report(tmp_path / "report.html")
    assert "somebodys_strategies.order" in (tmp_path / "report.html").read_text()


def test_changed_code_of_an_estimator_is_named(data, module, tmp_path):
    text = (
        "from sklearn.linear_model import LogisticRegression\n"
        "SCALE = {}\n"
        "class Mine(LogisticRegression):\n"
        "    def fit(self, X, y):\n"
        "        return super().fit(X * SCALE, y)\n"
    )
    store = tmp_path / "run"
    run = make(store, ["margin"], estimator=module(text.format(1)).Mine())
    unfinished(run, store, data)
    other = module(text.format(0.1)).Mine()
    with pytest.raises(StoreError, match=r"the code of somebodys_strategies\.Mine"):
        make(store, ["margin"], estimator=other).fit(*data)


def test_versions_of_every_start_are_kept(data, tmp_path, monkeypatch):
    from al_sklearn.rows import versions

    store = tmp_path / "run"
    unfinished(make(store, ["margin"]), store, data)
    place = "al_sklearn.experiments.comparison._comparison.versions"
    monkeypatch.setattr(place, lambda: {**versions(), "torch": "9.9"})
    with pytest.warns(UserWarning, match="other versions: torch was"):
        made = make(store, ["margin"]).fit(*data)
    kept = [start["versions"]["torch"] for start in RunStore(store).starts()]
    assert kept == [versions()["torch"], "9.9"]
    assert any("with other versions: torch was" in note for note in made._results.notes)
