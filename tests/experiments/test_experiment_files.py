"""Experiment files: what they may say, what is said of what they may not, and that ours
run."""

import os
import pickle
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_sklearn.datasets import load_dataset
from al_sklearn.datasets._standins import _NAMES, make_standin
from al_sklearn.exceptions import CapabilityError, ParameterError
from al_sklearn.experiments import load_results
from al_sklearn.experiments.comparison._progress_lines import ProgressLines
from al_sklearn.experiments.configuration._file import (
    ExperimentFile,
    ExperimentFileError,
    read_experiment,
)
from al_sklearn.experiments.configuration._problems import Problem, Where
from al_sklearn.experiments.configuration._runs import (
    read_record,
    run_experiment,
    run_plugin,
)
from al_sklearn.experiments.configuration._yaml import read_yaml
from al_sklearn.experiments.report._facts import ReportFacts
from al_sklearn.strategies import Mix, coreset, strategy_name

EXAMPLES = sorted(
    (Path(__file__).parents[2] / "examples" / "experiments").glob("*.yaml")
)
BASE = {
    "data": {"name": "digits"},
    "estimator": {"LogisticRegression": {"C": 0.1, "max_iter": 200}},
    "strategies": ["margin"],
    "comparison": {"n_rounds": 2, "n_seeds": 2},
}


def text(**sections):
    lines = {
        "data": "data: {name: digits}",
        "estimator": "estimator: LogisticRegression",
        "strategies": "strategies: [margin]",
    } | sections
    return "\n".join(lines.values()) + "\n"


def errors(tmp_path, content):
    path = tmp_path / "experiment.yaml"
    path.write_text(content)
    with pytest.raises(ExperimentFileError) as found:
        read_experiment(path)
    return str(found.value).replace(str(path), "FILE")


# YAML


def test_scalars_are_those_of_yaml_1_2():
    value = read_yaml(
        "[1e-3, 5e-4, 1.5, -2, 010, no, on, true, null, ~, 1:30, 2020-01-01, .inf, "
        "'1']",
        "f",
    ).value
    numbers = [
        1e-3,
        5e-4,
        1.5,
        -2,
        "010",
        "no",
        "on",
        True,
        None,
        None,
        "1:30",
        "2020-01-01",
        np.inf,
        "1",
    ]
    assert value == numbers and [type(v) for v in value] == [type(v) for v in numbers]


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text("abc:#- 0", max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text("xyz", min_size=1), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_what_yaml_writes_is_read_back(value):
    import yaml

    assert read_yaml(yaml.safe_dump(value), "f").value == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "f, line 3: the key 'a' comes twice"),
        ("a: [1, 2\nb: 3\n", "f, line 2"),
        ("a: !!python/object/apply:os.system [echo]\n", "f"),
        ("a: &x [*x]\n", "an alias that holds itself"),
        ("? [1, 2]\n: 3\n", "a key must be one word"),
        ("a:\n\tb: 1\n", "f, line 2: a tab; YAML is indented with spaces"),
        ("a: 1\n---\nb: 2\n", "f, line 2: a second document"),
        (
            "- a\nb: 1\n",
            "f, line 2: indented otherwise than the lines before, or a list and keys "
            "side by side",
        ),
        ("a: \x00\n", "f is no YAML"),
        (f"a: {'[' * 3000}\n", "f is nested too deeply"),
        (
            "a: &a [1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 8)}]\n"
                for i in range(8)
            ),
            "more than 100,000 values",
        ),
    ],
)
def test_what_is_no_plain_yaml_is_refused(content, message):
    if "python/object" in content:
        # Nothing is called: the tag is a list's that is not looked at.
        assert read_yaml(content, "f").value == {"a": ["echo"]}
        return
    with pytest.raises(ExperimentFileError, match=message.replace("[", r"\[")):
        read_yaml(content, "f")


# Messages


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (
            {"data": "data: {nam: digits}"},
            ["FILE, line 1: data.nam is no key here. Did you mean 'name'?"],
        ),
        (
            {"data": "data: {name: digit}"},
            [
                "line 1: data.name must be a data set, got 'digit'. Did you mean "
                "'digits'?"
            ],
        ),
        (
            {"data": "data: {name: emnist, options: {splits: x}}"},
            ["data.options.splits is no key", "'split'"],
        ),
        (
            {"data": "data: {name: digits, pool_size: 0}"},
            ["data.pool_size must be a whole number from 1", "got 0"],
        ),
        (
            {"data": "data: {name: digits, download: maybe}"},
            ["data.download must be true or false; got 'maybe'"],
        ),
        (
            {"more": "estimators: x"},
            [
                "line 4: estimators is no key here. Did you mean 'estimator'? "
                "Allowed: comparison"
            ],
        ),
        (
            {"strategies": "strategies:\n - margin\n - marginn"},
            ["line 5: strategies[1] is wrong", "Did you mean 'margin'"],
        ),
        (
            {"strategies": "strategies:\n - coreset:\n    metrc: cosine"},
            [
                "line 5: strategies[0].coreset.metrc is no key here. Did you mean "
                "'metric'?"
            ],
        ),
        (
            {"strategies": "strategies: [{bald: {n_samples: many}}]"},
            ["strategies[0].bald.n_samples must be int or null, got 'many'"],
        ),
        (
            {"strategies": "strategies: [{mix: [0.5, margin]}]"},
            ["strategies[0].mix[0] must be a pair"],
        ),
        (
            {"strategies": "strategies: [{mix: [[0.5, margn]]}]"},
            ["strategies[0].mix[0][1] is wrong"],
        ),
        (
            {"strategies": "strategies: [margin, margin]"},
            ["strategies[1] is wrong: Two strategies are called 'margin'"],
        ),
        ({"strategies": "strategies: []"}, ["strategies must be a list of strategies"]),
        (
            {"estimator": "estimator: LogisticRegresion"},
            ["line 2: estimator names", "Did you mean 'LogisticRegression'?"],
        ),
        (
            {"estimator": "estimator: {LogisticRegression: {c: 1}}"},
            [
                "line 2: estimator.LogisticRegression.c is no key here.",
                "C, class_weight",
            ],
        ),
        (
            {"estimator": "estimator: {LogisticRegression: {C: -1}}"},
            [
                "estimator.LogisticRegression.C must be a float in the range (0",
                "got -1",
            ],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {module: resnet19}}"},
            ["module must be a network", "Did you mean"],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {augmnt: flip}}"},
            ["augmnt is no key", "'augment'"],
        ),
        (
            {"estimator": "estimator: sklearn.linear_model.Logistic"},
            ["sklearn.linear_model has no 'Logistic'"],
        ),
        (
            {"estimator": "estimator: no_such_package.Thing"},
            ["there is no module 'no_such_package'"],
        ),
        (
            {"estimator": "estimator: {A: 1, B: 2}"},
            ["estimator must be the name of an object"],
        ),
        (
            {"c": "comparison: {n_seed: 3}"},
            ["line 4: comparison.n_seed is no key here. Did you mean 'n_seeds'?"],
        ),
        (
            {"c": "comparison: {n_rounds: -3}"},
            ["line 4: comparison.n_rounds must be a whole number from 0", "got -3"],
        ),
        (
            {"c": "comparison: {training: scratch}"},
            ["comparison.training must be", "from_scratch"],
        ),
        (
            {"c": "comparison: {stopping: {Budgt: 100}}"},
            ["comparison.stopping names 'Budgt'", "Did you mean 'Budget'"],
        ),
        (
            {"c": "comparison: {pool: {LabelNoise: {rat: 0.1}}}"},
            ["comparison.pool.LabelNoise.rat is no key", "'rate'"],
        ),
        (
            {"g": "grid: {comparison.n_initial: 5}"},
            ["line 4: grid.comparison.n_initial must be a list of values"],
        ),
        (
            {"g": "grid: {comparisn.n_initial: [5]}"},
            [
                "line 4: grid.comparisn.n_initial must begin with a section. Did you "
                "mean 'comparison'?"
            ],
        ),
        (
            {"g": "grid: {comparison.n_initial: [5, 5]}"},
            ["grid has two runs called 'n_initial=5'"],
        ),
        (
            {"g": "grid: {comparison.n_initial: [5, -5]}"},
            ["line 4: comparison.n_initial must be", "got -5"],
        ),
        (
            {"data": "data: [digits]"},
            ["line 1: data must be a mapping", "got ['digits']"],
        ),
        ({"data": "data:"}, ["line 1: data must be a mapping", "got null"]),
        ({"data": "data: {name: [digits]}"}, ["line 1: data.name must be text"]),
        (
            {"data": "data: {name: mine, import: none.py}"},
            ["data.import must be a Python file that is there"],
        ),
        (
            {"data": "data: {name: digits, pool_size: true}"},
            ["data.pool_size must be a whole number", "got true"],
        ),
        (
            {"estimator": "estimator: StandardScaler"},
            ["line 2: estimator must be a classifier"],
        ),
        (
            {"estimator": "estimator: LinearRegression"},
            ["line 2: estimator must be a classifier"],
        ),
        (
            {"estimator": "estimator: [SVC, StandardScaler]"},
            ["line 2: estimator must be a list of transformers"],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {lr: fast}}"},
            [".lr must be a number above 0; got 'fast'"],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {lr: .nan}}"},
            [".lr must be a number above 0; got nan"],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {max_epochs: 0}}"},
            ["max_epochs must be a whole number from 1"],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {schedule: cosin}}"},
            ["schedule must be cosine", "Did you mean 'cosine'?"],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {augment: [flip, crp]}}"},
            ["augment must be", "'crop'"],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {device: gpu}}"},
            ["device must be auto, cpu, cuda"],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {class_weight: balancd}}"},
            ["class_weight must be balanced"],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {optimizer: Sgd}}"},
            ["torch.optim has no 'Sgd'"],
        ),
        (
            {
                "estimator": "estimator: {ImageClassifier: {optimizer: SGD, "
                "optimizer__momentm: 0.9}}"
            },
            ["optimizer__momentm is no key here. Did you mean 'optimizer__momentum'?"],
        ),
        (
            {"estimator": "estimator: {ImageClassifier: {optimizer__momentum: 0.9}}"},
            ["Adam has: amsgrad"],
        ),
        (
            {"strategies": "strategies: {}"},
            ["line 3: strategies must be a list of strategies"],
        ),
        ({"strategies": "strategies: {'': margin}"}, ["must be a name"]),
        (
            {"strategies": "strategies: [os.sep]"},
            ["strategies[0] must be a strategy", "cannot be called"],
        ),
        (
            {"strategies": "strategies: [two_stage]"},
            ["strategies[0] needs prefilter and select."],
        ),
        (
            {"strategies": "strategies:\n - margin\n - coreset:\n    metric: cosin"},
            [
                "line 6: strategies[1].coreset.metric must be euclidean or cosine or "
                "manhattan, got 'cosin'. Did you mean 'cosine'?"
            ],
        ),
        (
            {
                "strategies": "strategies: [{two_stage: {prefilter: margin, "
                "select: {coreset: {metric: x}}}}]"
            },
            ["two_stage.select.coreset.metric must be"],
        ),
        ({"c": "comparison: [1]"}, ["line 4: comparison must be a mapping"]),
        (
            {"c": "comparison: {n_seeds: .nan}"},
            ["comparison.n_seeds must be a whole number from 1; got nan"],
        ),
        (
            {"c": "comparison: {n_initial: true}"},
            ["comparison.n_initial must be a whole number", "got true"],
        ),
        (
            {"c": "comparison: {budget: -5}"},
            ["comparison.budget must be a whole number", "or null; got -5"],
        ),
        (
            {"c": "comparison: {n_rounds: null}"},
            ["n_rounds must be a whole number where neither budget nor stopping"],
        ),
        (
            {"c": "comparison: {n_jobs: 0}"},
            ["comparison.n_jobs must be a whole number from 1, -1 for one a core"],
        ),
        (
            {"c": "comparison: {scoring: accurcy}"},
            ["comparison.scoring must be", "Did you mean 'accuracy'?"],
        ),
        (
            {"c": "comparison: {initial: stratfied}"},
            ["comparison.initial must be", "Did you mean 'stratified'?"],
        ),
        (
            {"c": "comparison: {random_state: -1}"},
            ["random_state must be a whole number from 0 to 4294967295"],
        ),
        (
            {"c": "comparison: {stopping: Budgt}"},
            ["comparison.stopping names 'Budgt'", "Did you mean 'Budget'?"],
        ),
        (
            {"c": "comparison: {stopping: [Budget: 5]}"},
            ["must be a stopping criterion, not a list"],
        ),
        (
            {"c": "comparison: {pool: Budget}"},
            ["comparison.pool must be a hard pool", "ClassImbalance"],
        ),
        (
            {"c": "comparison: {callbacks: [LabelNoise]}"},
            ["comparison.callbacks[0] must be a callback", "TensorBoard"],
        ),
        (
            {"c": "comparison: {n_instances: {FixedRat: 5}}"},
            ["n_instances names 'FixedRat'", "'FixedRate'"],
        ),
        (
            {"g": "grid:\n  x:\n    a: {comparison.n_rond: 1}"},
            ["line 6: comparison.n_rond is no key"],
        ),
        (
            {
                "c": "comparison: {n_seeds: 3}",
                "g": "grid:\n  comparison.n_seeds: [2, 0]",
            },
            ["line 6: comparison.n_seeds must be"],
        ),
        (
            {
                "g": f"grid: {{comparison.n_initial: {list(range(2, 202))}, "
                f"comparison.n_rounds: {list(range(99))}}}"
            },
            ["grid asks for 19,800 runs"],
        ),
        (
            {"c": "comparison:\n  first_params: {max_itr: 5}"},
            ["line 5: comparison.first_params.max_itr is no key", "'max_iter'"],
        ),
        (
            {"estimator": "estimator:\n  ImageClassifier: {module__drop: 1}"},
            [
                "line 3: estimator.ImageClassifier.module__drop is no key",
                "'module__dropout'",
            ],
        ),
    ],
)
def test_each_error_names_the_key_and_what_is_allowed(tmp_path, sections, expected):
    message = errors(tmp_path, text(**sections))
    assert message.startswith("FILE") and all(part in message for part in expected), (
        message
    )


def test_all_errors_are_said_at_once(tmp_path):
    message = errors(
        tmp_path,
        text(
            data="data: {name: digit}",
            estimator="estimator: Nothing",
            c="comparison: {n_seeds: 0}",
        ),
    )
    assert len(message.splitlines()) == 3
    assert "is missing" in errors(tmp_path, "data: {name: digits}\n")
    assert "must be a mapping" in errors(tmp_path, "- 1\n")
    assert "this file is empty" in errors(tmp_path, "# nothing\n")
    with pytest.raises(FileNotFoundError, match="no experiment file"):
        read_experiment(tmp_path / "none.yaml")


# Objects


def test_strategies_with_options_and_compositions():
    spec = [
        "margin",
        {"coreset": {"metric": "cosine"}},
        {"mix": [[0.7, "margin"], [0.3, {"bald": {"n_samples": 3}}]]},
        {"two_stage": {"prefilter": "margin", "select": "coreset", "factor": 5}},
        {"subsample": {"strategy": "badge", "n_candidates": 50}},
    ]
    [run] = ExperimentFile(BASE | {"strategies": spec}).runs
    built = run.strategies()
    assert isinstance(built[1], partial) and built[1].keywords == {"metric": "cosine"}
    assert isinstance(built[2], Mix) and "bald(n_samples=3)" in strategy_name(built[2])
    assert "two_stage" in strategy_name(built[3]) and "subsample" in strategy_name(
        built[4]
    )
    [run] = ExperimentFile(
        BASE
        | {"strategies": {"far": {"coreset": {"metric": "cosine"}}, "near": "margin"}}
    ).runs
    assert (
        list(run.strategies()) == ["far", "near"]
        and run.strategies()["far"].func is coreset
    )


def test_estimators_pipelines_and_nested_objects():
    spec = {
        "TunedClassifier": {
            "estimator": {
                "ImageClassifier": {
                    "module": "resnet20",
                    "optimizer": {"import": "torch.optim.SGD"},
                }
            },
            "space": {"lr": {"range": [1e-4, 1e-2, "log"]}, "batch_size": [16, 32]},
        }
    }
    tuned = ExperimentFile(BASE | {"estimator": spec}).runs[0].estimator()
    assert (
        tuned.estimator.optimizer.__name__ == "SGD"
        and tuned.estimator.module == "resnet20"
    )
    assert tuned.space == {"lr": (1e-4, 1e-2, "log"), "batch_size": [16, 32]}
    steps = [
        "StandardScaler",
        {"PCA": 5},
        {"sklearn.linear_model.LogisticRegression": {"C": 2}},
    ]
    pipeline = ExperimentFile(BASE | {"estimator": steps}).runs[0].estimator()
    assert list(pipeline.named_steps) == ["standardscaler", "pca", "logisticregression"]
    assert pipeline["pca"].n_components == 5 and pipeline["logisticregression"].C == 2
    split = {
        "ImageClassifier": {
            "train_split": {"ValidSplit": {"cv": 0.2, "stratified": True}},
            "module__dropout": 0.2,
        }
    }
    net = ExperimentFile(BASE | {"estimator": split}).runs[0].estimator()
    assert net.train_split.cv == 0.2 and net.get_params()["module__dropout"] == 0.2


def test_criteria_rates_hard_pools_and_cold_starts():
    section = {
        "stopping": {"AnyOf": [{"Budget": 100}, "StabilizingPredictions"]},
        "n_instances": {"AdaptiveRate": {"gain": 0.05}},
        "pool": [{"LabelNoise": 0.1}, {"ClassImbalance": {"ratio": 10}}],
        "initial": "typiclust",
        "first_params": {"max_iter": 300},
    }
    comparison = ExperimentFile(BASE | {"comparison": section}).runs[0].comparison()
    assert (
        comparison.stopping.criteria[0].n_labels == 100
        and comparison.n_instances.gain == 0.05
    )
    assert [type(part).__name__ for part in comparison.pool] == [
        "LabelNoise",
        "ClassImbalance",
    ]
    assert comparison.initial.__name__ == "typiclust" and comparison.first_params == {
        "max_iter": 300
    }


# Grids and sizes


def test_grid_is_every_combination_each_with_its_settings():
    grid = {
        "estimator.LogisticRegression.C": [0.1, 1],
        "size": {
            "small": {"comparison.n_initial": 10},
            "large": {"comparison.n_initial": 50, "data.pool_size": 500},
        },
    }
    runs = ExperimentFile(BASE | {"grid": grid}).runs
    assert [run.name for run in runs] == [
        f"C={C}+size={size}" for C in ("0.1", "1") for size in ("small", "large")
    ]
    assert [run.estimator().C for run in runs] == [0.1, 0.1, 1, 1]
    assert [run.comparison().n_initial for run in runs] == [10, 50, 10, 50]
    assert [run.data()["pool_size"] for run in runs] == [None, 500, None, 500]
    assert runs[3].settings == {
        "estimator.LogisticRegression.C": 1,
        "comparison.n_initial": 50,
        "data.pool_size": 500,
    }
    steps = {
        "estimator": ["StandardScaler", {"LogisticRegression": {"C": 1}}],
        "grid": {},
    }
    steps["grid"] = {
        "estimator.LogisticRegression.C": [2],
        "estimator.0": ["MinMaxScaler"],
    }
    pipeline = ExperimentFile(BASE | steps).runs[0].estimator()
    assert (
        list(pipeline.named_steps) == ["minmaxscaler", "logisticregression"]
        and pipeline[-1].C == 2
    )


def test_quick_cuts_sizes_and_nothing_else():
    spec = BASE | {
        "estimator": {
            "DeepEnsemble": {
                "estimator": {"ImageClassifier": {"module": "resnet18"}},
                "n_members": 5,
            }
        },
        "comparison": {
            "n_initial": 0.1,
            "n_instances": 500,
            "training": "from_scratch",
        },
        "grid": {"comparison.random_state": [1, 2, 3]},
    }
    small = ExperimentFile(spec).quick()
    assert [run.name for run in small.runs] == ["random_state=1", "random_state=3"]
    comparison, data = small.runs[0].comparison(), small.runs[0].data()
    sizes = (
        comparison.n_initial,
        comparison.n_instances,
        comparison.n_rounds,
        comparison.n_seeds,
    )
    assert sizes == (20, 10, 1, 2) and (data["pool_size"], data["test_size"]) == (
        60,
        30,
    )
    assert (
        comparison.estimator.n_members == 2
        and comparison.estimator.estimator.max_epochs == 1
    )
    assert comparison.estimator.estimator.module == "resnet18"


def test_changes_go_in_before_the_check(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text(text())
    changed = read_experiment(
        path, {"comparison.n_seeds": 3, "estimator.LogisticRegression.C": 5}
    )
    assert (
        changed.runs[0].comparison().n_seeds == 3 and changed.runs[0].estimator().C == 5
    )
    with pytest.raises(
        ExperimentFileError, match=r"yaml, --set: comparison\.n_seeds must be"
    ):
        read_experiment(path, {"comparison.n_seeds": 0})
    with pytest.raises(
        ExperimentFileError,
        match=r"yaml, --set: estimator\.LogisticRegression\.c is no key",
    ):
        read_experiment(path, {"estimator": {"LogisticRegression": {"c": 5}}})
    path.write_text("- 1\n")
    with pytest.raises(ExperimentFileError, match="must be a mapping with data"):
        read_experiment(path, {"comparison.n_seeds": 3})


def test_words_name_objects_everywhere():
    section = {
        "n_instances": "AdaptiveRate",
        "stopping": "StabilizingPredictions",
        "pool": "LabelNoise",
    }
    net = {"ImageClassifier": {"optimizer": "SGD", "optimizer__momentum": 0.9}}
    comparison = (
        ExperimentFile(BASE | {"estimator": net, "comparison": section})
        .runs[0]
        .comparison()
    )
    names = [type(getattr(comparison, name)).__name__ for name in section]
    assert (
        names == list(section.values())
        and comparison.estimator.optimizer.__name__ == "SGD"
    )


# Running


def test_a_grid_runs_resumes_and_refuses_another(tmp_path):
    spec = BASE | {
        "title": "A grid",
        "grid": {"estimator.LogisticRegression.C": [0.1, 1]},
    }
    spec = spec | {
        "data": {"name": "digits", "flat": True, "pool_size": 200, "test_size": 100}
    }
    said = []
    outcomes = run_experiment(
        ExperimentFile(spec, "x.yaml"),
        tmp_path / "out",
        report=False,
        verbose=0,
        say=said.append,
    )
    assert [outcome.folder.name for outcome in outcomes] == ["C=0.1", "C=1"] and len(
        said
    ) == 2
    table = load_results(tmp_path / "out" / "C=1").table
    assert len(table) == 2 * 2 * 3 and table["accuracy"].between(0, 1).all()
    together = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert set(together["run"]) == {"C=0.1", "C=1"}
    with pytest.raises(FileExistsError, match="al-sklearn resume"):
        run_experiment(
            ExperimentFile(spec), tmp_path / "out", verbose=0, say=said.append
        )
    # One round is lost: resume does that one alone, and finds the same.
    lost = (
        tmp_path / "out" / "C=1" / "rounds" / "margin" / "seed_001" / "round_002.json"
    )
    kept = (
        tmp_path / "out" / "C=0.1" / "rounds" / "margin" / "seed_001" / "round_002.json"
    )
    before = os.stat(kept).st_mtime_ns
    lost.unlink()
    again, quick, report = read_record(tmp_path / "out")
    assert (again.spec, quick, report) == (spec, False, False)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file; name a folder"):
        run_experiment(
            ExperimentFile(spec), tmp_path / "file", verbose=0, say=said.append
        )
    run_experiment(
        again, tmp_path / "out", resume=True, report=False, verbose=0, say=said.append
    )
    resumed = load_results(tmp_path / "out" / "C=1").table
    columns = ["strategy", "seed", "round", "n_labelled", "accuracy", "nll"]
    pd.testing.assert_frame_equal(resumed[columns], table[columns])
    assert os.stat(kept).st_mtime_ns == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        run_experiment(
            ExperimentFile(spec), tmp_path / "other", verbose=0, say=said.append
        )
    with pytest.raises(FileNotFoundError, match="no experiment to resume"):
        read_record(tmp_path / "other")


def run_of(tmp_path, content, **options):
    path = tmp_path / "experiment.yaml"
    path.write_text(content)
    said = []
    run_experiment(
        read_experiment(path), tmp_path / "out", verbose=0, say=said.append, **options
    )
    return said


FLAT = "data: {name: digits, flat: true, pool_size: 100, test_size: 50}"
SMALL = (
    "comparison: {n_seeds: 1, n_rounds: 1, n_initial: 20, n_instances: 10, "
    "on_error: raise}"
)


@pytest.mark.parametrize(
    ("sections", "where"),
    [
        ({"data": "data: {name: digits, pool_size: 5000}"}, "line 1: data.pool_size"),
        ({"data": "data: {name: folder, dir: none}"}, "line 1: data"),
        ({"data": "data: {name: csv}"}, "line 1: data"),
        ({"c": SMALL.replace("20", "2000")}, "line 4: comparison.n_initial"),
        ({"c": SMALL.replace("}", ", splits: nowhere}")}, "line 4: comparison.splits"),
        (
            {"strategies": "strategies:\n - margin\n - learning_loss"},
            "line 5: strategies[1]",
        ),
        (
            {"strategies": "strategies:\n - margin\n - probcover: {radius: -1}"},
            "line 5: strategies[1].probcover.radius",
        ),
        # The comparison has a key of that name too.
        (
            {"strategies": "strategies:\n - refine: {n_rounds: 0}"},
            "line 4: strategies[0].refine.n_rounds",
        ),
    ],
)
def test_what_only_running_shows_is_said_with_its_key(tmp_path, sections, where):
    with pytest.raises((ValueError, TypeError, OSError)) as found:
        run_of(tmp_path, text(**({"data": FLAT, "c": SMALL} | sections)), report=False)
    [note] = [note for note in found.value.__notes__ if isinstance(note, Where)]
    assert note == f"{tmp_path / 'experiment.yaml'}, {where}"


@pytest.mark.filterwarnings("ignore:.*seed:UserWarning")
def test_what_failed_before_its_first_round_is_no_obstacle(tmp_path):
    grid = {"g": "grid: {comparison.n_rounds: [1, 2]}"}
    with pytest.raises(ValueError, match="n_initial"):
        run_of(
            tmp_path,
            text(data=FLAT, c=SMALL.replace("20", "2000"), **grid),
            report=False,
        )
    # A store was begun, and its first training failed.
    wrong = "estimator: {sklearn.ensemble.VotingClassifier: {estimators: []}}"
    with pytest.raises(ValueError, match="estimators"):
        run_of(
            tmp_path, text(data=FLAT, c=SMALL, estimator=wrong, **grid), report=False
        )
    assert (tmp_path / "out" / "n_rounds=1" / "config.json").is_file()
    (tmp_path / "out" / "n_rounds=1" / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="not empty"):
        run_of(tmp_path, text(data=FLAT, c=SMALL), report=False)
    assert (tmp_path / "out" / "n_rounds=1" / "mine.txt").is_file()
    (tmp_path / "out" / "n_rounds=1" / "mine.txt").unlink()
    (tmp_path / "out" / "n_rounds=1").rmdir()
    said = run_of(tmp_path, text(data=FLAT, c=SMALL), report=False)
    assert "1 strategy, 1 seed, 20 + 1 × 10 labels" in said[0]
    assert len(load_results(tmp_path / "out").table) == 4
    with pytest.raises(FileExistsError, match="al-sklearn resume"):
        run_of(tmp_path, text(data=FLAT, c=SMALL), report=False)
    (tmp_path / "out" / ".experiment.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        read_record(tmp_path / "out")


@pytest.mark.filterwarnings("ignore:.*seed:UserWarning")
def test_reports_know_the_classes_and_the_command(tmp_path):
    data = (
        FLAT.replace("}", ", import: mine.py}")
        .replace("digits", "named")
        .replace("mine.py", str(tmp_path / "m.py"))
    )
    (tmp_path / "m.py").write_text(
        "from al_sklearn.datasets import ImageData, load_dataset, register_dataset\n"
        "@register_dataset('named-digits')\n"
        "def load(data_dir):\n"
        "    d = load_dataset('digits')\n"
        "    names = tuple(f'number {i}' for i in range(10))\n"
        "    return ImageData('named', d.X_train, d.y_train, d.X_test, d.y_test, "
        "names)\n"
    )
    try:
        run_of(
            tmp_path,
            text(data=data.replace("named", "named-digits"), c=SMALL),
            command="al-sklearn run x.yaml",
        )
    finally:
        from al_sklearn.datasets import _base

        _base._REGISTRY.pop("named-digits", None)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "al-sklearn run x.yaml" in page and "number 7" in page
    facts = ReportFacts.read(tmp_path / "out")
    assert (
        facts.command == "al-sklearn run x.yaml" and facts.class_names[7] == "number 7"
    )
    facts.report(load_results(tmp_path / "out"), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == page
    assert ReportFacts.read(tmp_path) == ReportFacts()


def test_a_plugin_that_fails_is_named_with_its_line(tmp_path):
    (tmp_path / "m.py").write_text("x = 1\ny = x / 0\n")
    with pytest.raises(ExperimentFileError, match=r"m\.py, line 2: ZeroDivisionError"):
        run_plugin(str(tmp_path / "m.py"))


@pytest.mark.filterwarnings("ignore:.*seed:UserWarning")
def test_lines_for_a_log(tmp_path):
    [run] = ExperimentFile(BASE | {"comparison": {"n_rounds": 2, "n_seeds": 3}}).runs
    said = []
    with ProgressLines(run.comparison(), tmp_path, said.append, seconds=0.05):
        time.sleep(0.5)
    assert said and set(said) == {"0 of at most 15 rounds after 0 min"}
    quiet = []
    with ProgressLines(run.comparison(), tmp_path, quiet.append):
        pass
    assert quiet == []


def test_quick_downloads_nothing_that_it_has_a_stand_in_for(tmp_path, monkeypatch):
    def download(self, data_dir, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr("al_sklearn.datasets._cifar.Cifar10.download", download)
    spec = BASE | {
        "data": {
            "name": "cifar10",
            "dir": str(tmp_path / "none"),
            "download": True,
            "flat": True,
        }
    }
    spec["comparison"] = {"n_rounds": 0, "n_seeds": 1}
    with pytest.raises(ConnectionError, match="no network"):
        run_experiment(ExperimentFile(spec), tmp_path / "full", verbose=0, say=str)
    said = []
    run_experiment(
        ExperimentFile(spec),
        tmp_path / "out",
        quick=True,
        report=False,
        verbose=0,
        say=said.append,
    )
    assert "takes stand-ins" in said[0]


def test_missing_files_are_only_stood_in_for_when_quick(tmp_path):
    spec = BASE | {"data": {"name": "cifar10", "dir": str(tmp_path / "none")}}
    with pytest.raises(FileNotFoundError, match="cifar10"):
        run_experiment(ExperimentFile(spec), tmp_path / "out", verbose=0, say=str)


@pytest.mark.parametrize("name", _NAMES)
def test_standins_are_read_by_the_true_readers(name, tmp_path):
    data = load_dataset(name, make_standin(name, tmp_path, 100, 100))
    n_classes = {"cifar100": 100, "emnist": 47, "droughtwatch": 4}.get(name, 10)
    assert (
        set(np.unique(data.y_train)) == set(range(n_classes))
        and len(data.y_test) == 100
    )
    # Real digits, the right way up: a nearest neighbour knows most of them.
    X, X_test = (
        np.asarray(part[:], dtype=np.float32).reshape(100, -1)
        for part in (data.X_train, data.X_test)
    )
    nearest = ((X_test[:, None] - X[None]) ** 2).sum(axis=2).argmin(axis=1)
    if n_classes == 10 and not name.startswith("cifar"):
        assert np.mean(data.y_train[nearest] == data.y_test) > 0.7


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_right(path):
    experiment = read_experiment(path)
    assert experiment.runs and experiment.spec["title"]
    for small in experiment.quick().runs:
        comparison = small.comparison()
        assert comparison.n_rounds == 1 and len(comparison.strategies) == len(
            small.spec["strategies"]
        )


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_examples_run_in_small(path, tmp_path):
    for module in {
        "satellite": ["tfrecord", "h5py"],
        "tuning_each_round": ["optuna"],
    }.get(path.stem, []):
        pytest.importorskip(module)
    outcomes = run_experiment(
        read_experiment(path), tmp_path / "out", quick=True, verbose=0, say=str
    )
    for outcome in outcomes:
        assert (outcome.folder / "report.html").stat().st_size > 10_000
        assert set(outcome.comparison.results_["strategy"]) == set(
            outcome.comparison.strategies_
        )


def test_a_problem_knows_its_key():
    assert Problem(("a", 1), "is wrong").key == ("a", 1)


def test_all_is_said_at_once_inside_of_objects_too(tmp_path):
    message = errors(
        tmp_path,
        """
data: {name: digits, pool_sise: 5}
estimator:
  DeepEnsemble:
    n_members: many
    estimator:
      ImageClassifier: {lr: -1, max_epochs: 0, optimizer__momentum: 1, augmnt: flip}
strategies:
  - marginn
  - coreset: {metrc: cosine, metric: cosin}
  - mix: [[0.5, {bald: {n_samples: x}}], [half, margin]]
comparison:
  n_seed: 3
  stopping: {AnyOf: [{Budget: many}, {NoGain: {n_round: 2}}]}
""",
    )
    starts = [
        "line 2: data.pool_sise is no key",
        "line 5: estimator.DeepEnsemble.n_members must be int",
        "line 7: estimator.DeepEnsemble.estimator.ImageClassifier.lr must be",
        "line 7: estimator.DeepEnsemble.estimator.ImageClassifier.max_epochs must",
        "line 7: estimator.DeepEnsemble.estimator.ImageClassifier.optimizer__momentum",
        "line 7: estimator.DeepEnsemble.estimator.ImageClassifier.augmnt is no key",
        "line 9: strategies[0] is wrong: Unknown strategy 'marginn'",
        "line 10: strategies[1].coreset.metrc is no key",
        "line 10: strategies[1].coreset.metric must be euclidean",
        "line 11: strategies[2].mix[0][1].bald.n_samples must be int",
        "line 11: strategies[2].mix[1] must be a pair",
        "line 13: comparison.n_seed is no key",
        "line 14: comparison.stopping.AnyOf.criteria[0].Budget.n_labels must be",
        "line 14: comparison.stopping.AnyOf.criteria[1].NoGain.n_round is no key",
    ]
    lines = message.splitlines()
    for start in starts:
        assert any(line.startswith(f"FILE, {start}") for line in lines), message
    assert len(lines) == len(starts)


def test_names_of_ones_own_are_found_by_the_file_that_registers_them(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import numpy as np\n"
        "from al_sklearn.estimators import register_network\n"
        "from al_sklearn.strategies import measures, query_strategy\n"
        "@measures.register_measure('proba')\n"
        "def my_gini(proba):\n"
        "    return 1 - (proba**2).sum(axis=1)\n"
        "@register_network('my_network')\n"
        "def build(in_channels, n_classes, image_size, width=3):\n"
        "    raise NotImplementedError\n"
    )
    sections = {
        "plugins": f"plugins: ['{plugin}']",
        "estimator": "estimator: {ImageClassifier: {module: my_network, "
        "module__width: 2}}",
        "strategies": "strategies: [{stochastic: my_gini}]",
    }
    path = tmp_path / "experiment.yaml"
    path.write_text(text(**sections))
    [run] = read_experiment(path).runs
    assert "my_gini" in strategy_name(run.strategies()[0])
    wrong = text(**sections).replace("module__width", "module__widht")
    assert "Did you mean 'module__width'?" in errors(tmp_path, wrong)
    assert "plugins must be a list of Python files" in errors(
        tmp_path, text(plugins="plugins: mine.py")
    )
    with pytest.raises(ExperimentFileError, match="ModuleNotFoundError"):
        ExperimentFile(BASE | {"plugins": ["no_such_module"]})


@pytest.mark.filterwarnings("ignore:.*seed:UserWarning")
@pytest.mark.parametrize("by_import", [True, False])
def test_a_stopping_rule_of_ones_own_goes_by_its_dotted_name(
    tmp_path, monkeypatch, by_import
):
    """Alone or in a combination, and with its options checked like any other's."""
    # A name of its own: a module stays imported after this test.
    module = f"own_rules_{by_import}".lower()
    (tmp_path / f"{module}.py").write_text(
        "from al_sklearn.experiments.stopping import StoppingCriterion\n"
        "class Rounds(StoppingCriterion):\n"
        "    def __init__(self, n_rounds: int = 3):\n"
        "        self.n_rounds = n_rounds\n"
        "    def decide(self, observation):\n"
        "        self.memory['n'] = self.memory.get('n', 0) + 1\n"
        "        return self.memory['n'] >= self.n_rounds\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sections = {"data": FLAT, "plugins": f"plugins: [{module}]"}
    if by_import:
        del sections["plugins"]
    rule = f"{module}.Rounds: {{n_rounds: 2}}"
    protocol = "n_initial: 20, n_instances: 5, n_rounds: 6, n_seeds: 1"
    alone = f"comparison: {{{protocol}, stopping: {{{rule}}}}}"
    combined = f"comparison: {{{protocol}, stopping: {{AnyOf: [{{{rule}}}]}}}}"
    path = tmp_path / "experiment.yaml"
    for name, comparison in (("alone", alone), ("combined", combined)):
        path.write_text(text(**sections, c=comparison))
        [outcome] = run_experiment(
            read_experiment(path), tmp_path / name, verbose=0, report=False
        )
        assert outcome.comparison.results_["round"].max() == 1
    wrong = alone.replace("n_rounds: 2", "n_rounds: two")
    said = errors(tmp_path, text(**sections, c=wrong))
    assert (
        f"comparison.stopping.{module}.Rounds.n_rounds must be int, got 'two'" in said
    )
    wrong = alone.replace("n_rounds: 2", "n_round: 2")
    assert "Did you mean 'n_rounds'?" in errors(tmp_path, text(**sections, c=wrong))


def test_errors_know_their_keys_by_type_and_not_by_text():
    spec = BASE | {"strategies": [{"coreset": {"metric": "cosine"}}, "learning_loss"]}
    lines = {
        ("comparison", "n_initial"): 4,
        ("data", "metric"): 5,
        ("strategies", 0, "coreset", "metric"): 6,
        ("strategies", 1): 7,
        ("grid",): 9,
    }
    experiment = ExperimentFile(spec, "FILE", lines)
    [run] = experiment.runs

    def blamed(error, default=()):
        return experiment.blame(error, run, default)

    about = ParameterError("too many", "n_initial")
    assert blamed(about) == "FILE, line 4: comparison.n_initial"
    assert blamed(pickle.loads(pickle.dumps(about))) == blamed(about)
    assert blamed(ValueError("n_initial=3 'learning_loss' n_initial must")) == ""
    about = ParameterError("no such metric", "metric")
    about.strategy = "coreset"
    assert blamed(pickle.loads(pickle.dumps(about))) == (
        "FILE, line 6: strategies[0].coreset.metric"
    )
    unable = CapabilityError("no loss is predicted")
    unable.strategy = "learning_loss"
    assert blamed(unable) == "FILE, line 7: strategies[1]"
