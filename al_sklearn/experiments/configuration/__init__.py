"""Experiments as YAML files: described by models, read, checked, made into comparisons.

The names below are imported when they are first used: the models alone, of which the
command line's flags are made, need neither torch nor scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from al_sklearn._core.lazy import lazy_names

if TYPE_CHECKING:
    from al_sklearn.experiments.configuration._file import (
        ExperimentFile,
        Run,
        read_experiment,
    )
    from al_sklearn.experiments.configuration._models import (
        Comparison,
        Data,
        Experiment,
        Net,
        Section,
        fields_of,
        flag_of,
        kinds_of,
        words_of,
    )
    from al_sklearn.experiments.configuration._plugins import run_plugin
    from al_sklearn.experiments.configuration._problems import Key, Where
    from al_sklearn.experiments.configuration._runs import (
        Outcome,
        Record,
        data_of,
        read_record,
        run_experiment,
    )
    from al_sklearn.experiments.configuration._yaml import Document, read_yaml

_HOMES = {
    "Comparison": "_models",
    "Data": "_models",
    "Document": "_yaml",
    "Experiment": "_models",
    "ExperimentFile": "_file",
    "Key": "_problems",
    "Net": "_models",
    "Outcome": "_runs",
    "Record": "_runs",
    "Run": "_file",
    "Section": "_models",
    "Where": "_problems",
    "data_of": "_runs",
    "fields_of": "_models",
    "flag_of": "_models",
    "kinds_of": "_models",
    "read_experiment": "_file",
    "read_record": "_runs",
    "read_yaml": "_yaml",
    "run_experiment": "_runs",
    "run_plugin": "_plugins",
    "words_of": "_models",
}

__all__ = [
    "Comparison",
    "Data",
    "Document",
    "Experiment",
    "ExperimentFile",
    "Key",
    "Net",
    "Outcome",
    "Record",
    "Run",
    "Section",
    "Where",
    "data_of",
    "fields_of",
    "flag_of",
    "kinds_of",
    "read_experiment",
    "read_record",
    "read_yaml",
    "run_experiment",
    "run_plugin",
    "words_of",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
