"""Experiments as YAML files: read, checked, and turned into comparisons.

They are checked key by key.
"""

from al_sklearn.experiments.configuration._file import ExperimentFile, read_experiment
from al_sklearn.experiments.configuration._problems import Key, Where
from al_sklearn.experiments.configuration._runs import (
    read_record,
    run_experiment,
    run_plugin,
)
from al_sklearn.experiments.configuration._yaml import read_yaml

__all__ = [
    "ExperimentFile",
    "Key",
    "Where",
    "read_experiment",
    "read_record",
    "read_yaml",
    "run_experiment",
    "run_plugin",
]
