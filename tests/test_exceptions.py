"""Errors are told apart by type, and each is the built-in that users expect."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import Perceptron

from al_sklearn import exceptions
from al_sklearn.exceptions import AlSklearnError, CapabilityError
from al_sklearn.strategies import margin, query_strategy, two_stage

BUILT_INS = {
    "CapabilityError": (TypeError,),
    "StoreError": (ValueError,),
    "StoreLockedError": (ValueError, RuntimeError),
    "StoreExistsError": (ValueError, FileExistsError),
    "ExperimentFileError": (ValueError,),
    "LabelFileError": (ValueError,),
    "ParameterError": (ValueError,),
}


def test_every_error_is_tested():
    assert {*BUILT_INS, "AlSklearnError"} == set(exceptions.__all__)


@pytest.mark.parametrize("name", BUILT_INS)
def test_each_is_the_built_in_and_survives_a_process(name):
    for caught in (*BUILT_INS[name], AlSklearnError):
        with pytest.raises(caught, match="what was given"):
            raise getattr(exceptions, name)("what was given")
    error = getattr(exceptions, name)("what was given")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == "what was given"


def test_a_missing_capability_names_strategy_and_capability():
    X, y = np.eye(6), [0, 1, 2, 0, 1, 2]
    classifier = Perceptron().fit(X, y)
    with pytest.raises(
        CapabilityError, match="strategy 'margin': Perceptron cannot give predict_proba"
    ) as caught:
        margin(classifier, X)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.strategy == "margin"
    # A composition does not put its own name over that of the strategy that asked.
    with pytest.raises(CapabilityError, match=r"^strategy 'margin': "):
        two_stage("margin", "random_sampling")(classifier, X)


def test_a_users_own_type_error_is_not_renamed(registered_here):
    """Its text is nobody's to read: "cannot give" made it a missing capability."""

    @query_strategy(family="uncertainty", reference="-", cost="O(n)")
    def stubborn(classifier, X, n_instances=1, *, random_state=None):
        """Raise an error of its own."""
        raise TypeError("my table cannot give a row for None")

    X = np.eye(3)
    with pytest.raises(TypeError) as caught:
        stubborn(DummyClassifier().fit(X, [0, 1, 2]), X)
    assert str(caught.value) == "my table cannot give a row for None"
    assert type(caught.value) is TypeError
