"""A record or a check imports and calls only what an experiment needs."""

import json

import pytest
from typer.testing import CliRunner

from al_sklearn._core.sealed import sealed
from al_sklearn.cli import app
from al_sklearn.exceptions import ExperimentFileError
from al_sklearn.experiments.configuration import (
    ExperimentFile,
    read_experiment,
    read_record,
    run_experiment,
)

BASE = {
    "data": {"name": "digits", "flat": True, "pool_size": 100, "test_size": 50},
    "estimator": {"LogisticRegression": {"max_iter": 200}},
    "strategies": ["margin"],
    "comparison": {"n_seeds": 1, "n_rounds": 1, "n_initial": 20, "n_instances": 10},
}
NET = "ImageClassifier"

# What a record of somebody else's may try, by what it leaves behind or reads.
ATTACKS = {
    "a function of the system": {"estimator": {"os.system": "touch MARK"}},
    "through a package's own imports": {
        "estimator": {"torch.serialization.os.system": "touch MARK"}
    },
    "Python's own": {"estimator": {"builtins.exec": "open('MARK', 'w')"}},
    "in a pipeline": {
        "estimator": [{"subprocess.getoutput": "touch MARK"}, "LogisticRegression"]
    },
    "as an option": {
        "estimator": [
            {
                "sklearn.preprocessing.FunctionTransformer": {
                    "func": {"import": "os.system"}
                }
            },
            "LogisticRegression",
        ]
    },
    "a function of torch that reads pickles": {"estimator": {"torch.load": "MARK"}},
    "a function of scikit-learn that is no estimator": {
        "estimator": {"sklearn.datasets.load_svmlight_file": "MARK"}
    },
    "data sets of torchvision read pickles": {
        "estimator": {"torchvision.datasets.CIFAR10": {"root": "MARK"}}
    },
    "a private module": {"estimator": "al_sklearn.cli.__main__.main"},
    "as an optimizer": {"estimator": {NET: {"optimizer": "shutil.rmtree"}}},
    "as a network": {"estimator": {NET: {"module": "subprocess.run"}}},
    "as an augmentation": {"estimator": {NET: {"augment": {"import": "os.remove"}}}},
    "as a strategy": {"strategies": ["os.system"]},
    "as a strategy within another": {
        "strategies": [{"subsample": {"strategy": "os.system", "n_candidates": 20}}]
    },
    "as a criterion": {
        "comparison": BASE["comparison"] | {"stopping": {"os.system": "touch MARK"}}
    },
    "as a scorer": {
        "comparison": BASE["comparison"] | {"scoring": {"import": "os.system"}}
    },
    "as a first strategy": {
        "comparison": BASE["comparison"] | {"initial": {"os.system": "touch MARK"}}
    },
    "a cache of pickles": {
        "estimator": {
            "sklearn.pipeline.Pipeline": {
                "steps": [["a", "LogisticRegression"]],
                "memory": "MARK",
            }
        }
    },
    "weights read as pickles": {
        "estimator": {NET: {"torch_load_kwargs": {"weights_only": False}}}
    },
    "set for later trainings": {
        "comparison": BASE["comparison"] | {"later_params": {"memory": "MARK"}}
    },
    "models of the network": {"estimator": {"skorch.llm.ZeroShotClassifier": "MARK"}},
}


@pytest.fixture
def mark(tmp_path):
    """A plugin that leaves a mark, and the mark."""
    path = tmp_path / "mark"
    (tmp_path / "plugin.py").write_text(f"open({str(path)!r}, 'w').close()\n")
    return path


def folder_of(tmp_path, spec):
    folder = tmp_path / "run"
    folder.mkdir()
    record = {"experiment": spec, "name": "x", "quick": False, "report": False}
    record |= {"command": "x", "begun": []}
    # Whoever means harm can make a checksum too.
    (folder / ".experiment.json").write_text(sealed(record))
    return folder


@pytest.mark.parametrize("how", ["record", "file"])
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_what_does_harm_is_refused_before_it_is_called(attack, how, tmp_path, mark):
    spec = json.loads(json.dumps(BASE | attack).replace("MARK", str(mark)))
    with pytest.raises(ExperimentFileError, match="--trust"):
        if how == "record":
            read_record(folder_of(tmp_path, spec))
        else:
            # JSON is YAML.
            (tmp_path / "x.yaml").write_text(json.dumps(spec))
            read_experiment(tmp_path / "x.yaml", trust=False)
    assert not mark.exists()


@pytest.mark.parametrize("key", ["plugins", "import"])
def test_files_are_only_run_where_that_is_asked_for(key, tmp_path, mark):
    plugin = str(tmp_path / "plugin.py")
    spec = BASE | {"plugins": [plugin]}
    if key == "import":
        spec = BASE | {"data": BASE["data"] | {"import": plugin}}
    folder = folder_of(tmp_path, spec)
    with pytest.raises(ExperimentFileError, match=f"{key}.*asks to run"):
        read_record(folder)
    assert not mark.exists()
    record = read_record(folder, trust=True)
    assert record.experiment.needs_trust
    if key == "plugins":
        assert mark.exists()


def test_the_command_line(tmp_path, mark):
    spec = BASE | {"estimator": {"os.system": f"touch {mark}"}}
    file = tmp_path / "x.yaml"
    file.write_text(json.dumps(spec))
    folder = folder_of(tmp_path, spec)
    for asked in (["run", str(file), "--check"], ["resume", str(folder)]):
        done = CliRunner().invoke(app, asked)
        assert done.exit_code == 2 and "--trust" in done.output
        assert "os.system" in done.output
        assert not mark.exists()
    done = CliRunner().invoke(app, ["run", str(file), "--check", "--trust"])
    # It is called, and is no classifier.
    assert done.exit_code == 2 and mark.exists()


@pytest.mark.filterwarnings("ignore:.*seed:UserWarning")
def test_a_run_with_code_of_ones_own_says_how_it_is_resumed(tmp_path, monkeypatch):
    (tmp_path / "own_models_of_test.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n"
        "class Mine(LogisticRegression):\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    spec = BASE | {"estimator": {"own_models_of_test.Mine": {"max_iter": 200}}}
    experiment = ExperimentFile(spec)
    assert experiment.needs_trust
    folder = tmp_path / "out"
    run_experiment(experiment, folder, verbose=0, report=False, say=lambda _: None)
    again = CliRunner().invoke(app, ["resume", str(folder)])
    assert again.exit_code == 2 and "asks for own_models_of_test.Mine" in again.output
    with pytest.raises(FileExistsError, match=r"resume .*out --trust goes on"):
        run_experiment(experiment, folder, verbose=0, report=False)
    done = CliRunner().invoke(app, ["resume", str(folder), "--trust", "--quiet"])
    assert done.exit_code == 0, done.output


def test_what_an_experiment_needs_is_made_without_trust():
    spec = BASE | {
        "data": {"name": "digits"},
        "estimator": {
            NET: {
                "module": "torchvision.models.resnet18",
                "optimizer": "SGD",
                "criterion": {"import": "torch.nn.CrossEntropyLoss"},
                "augment": {"import": "torchvision.transforms.v2.RandomErasing"},
                "train_split": {"skorch.dataset.ValidSplit": {"cv": 0.2}},
                "callbacks": [{"skorch.callbacks.EarlyStopping": {"patience": 3}}],
                "iterator_train": {"import": "torch.utils.data.DataLoader"},
            }
        },
        "strategies": [
            "margin",
            "al_sklearn.strategies.entropy",
            {"coreset": {"metric": "cosine"}},
            {"mix": [[0.5, "margin"], [0.5, "random_sampling"]]},
            {"two_stage": {"prefilter": "margin", "select": "coreset", "factor": 3}},
        ],
        "comparison": BASE["comparison"]
        | {
            "stopping": {"AnyOf": [{"Budget": 50}, "StabilizingPredictions"]},
            "scoring": ["accuracy", "f1_macro"],
            "pool": [{"LabelNoise": 0.1}],
            "initial": "typiclust",
            "later_params": {"max_epochs": 2},
        },
    }
    experiment = ExperimentFile(spec, trust=False)
    assert not experiment.needs_trust
    assert experiment.runs[0].estimator().optimizer.__name__ == "SGD"
    pipeline = BASE | {
        "estimator": [
            "StandardScaler",
            {"PCA": {"n_components": 5}},
            {
                "sklearn.gaussian_process.GaussianProcessClassifier": {
                    "kernel": {"sklearn.gaussian_process.kernels.RBF": 2.0}
                }
            },
        ]
    }
    assert not ExperimentFile(pipeline, trust=False).needs_trust
