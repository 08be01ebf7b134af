"""Flags and the models that they are made from: what is said once holds everywhere."""

from __future__ import annotations

import inspect
import re

import pytest
from typer.main import get_command

from al_sklearn.cli import app
from al_sklearn.estimators import ImageClassifier
from al_sklearn.experiments import StrategyComparison
from al_sklearn.experiments.configuration import Comparison, Data, Net, fields_of
from tests.cli.test_cli import QUICK, run

# What the command took when its flags were written by hand, each with a value of its
# own.
TAKEN = {
    "--dataset": "digits",
    "--data-dir": "somewhere",
    "--option": "split=letters",
    "--on-corrupt": "skip",
    "--import": "mine.py",
    "--download": None,
    "--strategies": "margin",
    "--strategy": "coreset: {metric: cosine}",
    "--seeds": "2",
    "--initial": "0.1",
    "--batch": "5",
    "--labelling-rate": "FixedRate: 5",
    "--rounds": "1",
    "--stopping": "Budget: 200",
    "--random-initial": None,
    "--pool-size": "200",
    "--test-size": "100",
    "--model": "resnet20",
    "--epochs": "1",
    "--learning-rate": "1e-2",
    "--batch-size": "16",
    "--optimizer": "AdamW",
    "--weight-decay": "1e-4",
    "--momentum": "0.9",
    "--schedule": "cosine",
    "--warmup-epochs": "0.5",
    "--augment": "flip,crop",
    "--class-weight": "{1: 5}",
    "--patience": "3",
    "--validation": "0.2",
    "--swa": None,
    "--dropout": "0.2",
    "--weights": "imagenet",
    "--freeze": None,
    "--image-size": "32",
    "--device": "cpu",
    "--amp": "bf16",
    "--compile": None,
    "--ensemble": "2",
    "--learning-loss": None,
    "--tune": "2",
    "--frozen": "resnet18",
    "--estimator": "LogisticRegression: {C: 0.1}",
    "--flat": None,
    "--training": "fine_tune",
    "--scoring": "roc_auc_ovr",
    "--set": "n_jobs=2",
    "--jobs": "2",
    "--threads": "1",
    "--random-state": "3",
    "--on-error": "raise",
    "--on-change": "record",
    "--output": "runs/mine",
    "--resume": None,
    "--report": None,
    "--no-report": None,
    "--quiet": None,
}


@pytest.fixture
def asked(monkeypatch):
    """What would be run, instead of running it."""
    experiments = []
    monkeypatch.setattr(
        "al_sklearn.cli._compare.execute",
        lambda experiment, *args, **options: experiments.append(experiment),
    )
    return experiments


@pytest.mark.parametrize("flag", TAKEN)
def test_every_flag_of_before_is_taken(flag, asked, tmp_path):
    value = TAKEN[flag]
    if flag == "--import":
        value = tmp_path / value
        value.write_text("")
    # Some mean nothing without another one.
    also = {
        "--option": ["--dataset", "emnist"],
        "--momentum": ["--optimizer", "SGD"],
        "--weights": ["--model", "vgg16"],
        "--estimator": ["--flat"],
    }.get(flag, [])
    result = run("compare", *also, flag, *([] if value is None else [value]))
    assert result.exit_code == 0, result.output
    assert len(asked) == 1


def test_flags_land_at_their_keys(asked):
    run(
        *[
            *QUICK,
            "--batch",
            "0.1",
            "--augment",
            "flip,crop",
            "--class-weight",
            "{1: 5}",
        ],
        *["--epochs", "1e1", "--device", "cuda:1", "--patience-share", "0.25"],
        *["--validation-size", "40", "--ensemble", "3", "--data-dir", "2020"],
        *["--splits", "1", "--scoring", "nll", "--random-initial", "--swa"],
    )
    [experiment] = asked
    net = experiment.spec["estimator"]["DeepEnsemble"]["estimator"]["ImageClassifier"]
    assert net.pop("train_split")["skorch.dataset.ValidSplit"]["cv"] == 0.25
    assert net == {
        "max_epochs": 10,
        "augment": ["flip", "crop"],
        "class_weight": {1: 5},
        "device": "cuda:1",
        "swa": True,
    }
    assert experiment.spec["data"] == {"name": "digits", "dir": "2020", "options": {}}
    assert experiment.spec["comparison"] == {
        "n_seeds": 1,
        "n_rounds": 1,
        "n_instances": 0.1,
        "validation_size": 40,
        "splits": "1",
        "scoring": "nll",
        "initial": "random",
    }


@pytest.mark.parametrize(
    ("model", "thing"), [(Comparison, StrategyComparison), (Net, ImageClassifier)]
)
def test_models_have_the_defaults_of_what_they_describe(model, thing):
    parameters = inspect.signature(thing).parameters
    for key, field in fields_of(model).items():
        # What has a prefix goes to a part, and says nothing by default.
        if "__" in key:
            assert field.default is None or field.default is False
        elif key != "optimizer":
            assert field.default == parameters[key].default, key
    if model is Comparison:
        # Sections of their own, or flags.
        other = {"estimator", "strategies", "store", "resume", "verbose"}
        assert set(fields_of(model)) == set(parameters) - other


def test_help_says_what_each_key_is_for():
    page = re.sub(r"\s+", " ", run("compare", "--help").output)
    for model in (Data, Comparison, Net):
        for field in fields_of(model).values():
            assert field.description.endswith((".", "…"))
            flag = field.json_schema_extra["flag"]
            assert flag is None or f"{flag} " in page
            assert flag is None or field.description in page
    assert "[default: 20]" in page and "[default: digits]" in page


def test_both_ways_to_ask_for_the_version():
    assert run("--version").output == run("version").output


def test_short_help_everywhere():
    for name, command in get_command(app).commands.items():
        assert run(name, "-h").output == run(name, "--help").output, command


def test_numbers_by_commas_are_numbers(asked):
    result = run("compare", "--looks", "5,10, 20", "--image-size", "32,64")
    assert result.exit_code == 0, result.output
    assert asked[0].spec["comparison"] == {"looks": [5, 10, 20]}
    assert asked[0].spec["estimator"]["ImageClassifier"]["image_size"] == [32, 64]
    for wrong, given in (("5,ten", "got [5, 'ten']"), ("5", "got 5")):
        result = run("compare", "--looks", wrong)
        assert result.exit_code == 2
        words = re.sub(r"\s+", " ", result.output)
        assert "compare, --looks: comparison.looks" in words, words
        assert given in words or "ten" in words, words
