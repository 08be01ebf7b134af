"""What a strategy may ask of any classifier, and one adapter a kind of classifier.

This package is the only place that knows how to get something out of a classifier: a
fitted scikit-learn estimator, a skorch net, a ``Pipeline``, an ``ActiveLearner``, a
``Committee``, or a kind of your own (:func:`register_adapter`). An estimator takes part
by having a method of the same name as the function here. X of any kind that
:mod:`al_sklearn.pool` knows is read in chunks. Within one query (:func:`shared`) each
result is computed once, however many measures ask for it.
"""

# Registers the kinds that the library knows.
import al_sklearn.inference._kinds  # noqa: F401
from al_sklearn.inference._adapter import Adapter, adapter_of, register_adapter
from al_sklearn.inference._checks import proba_array
from al_sklearn.inference._features import (
    embed,
    gradient_factors,
    input_gradient,
    last_layer,
    network_inputs,
    proba_and_embed,
)
from al_sklearn.inference._predictions import (
    feature_dropout,
    predict_loss,
    predict_proba,
    sample_proba,
    sample_weights,
)
from al_sklearn.inference._questions import (
    classes_of,
    columns_of,
    gives,
    gives_loss,
    labelled_data,
    labelled_parts,
    labelled_rows,
    learns_features,
    readable,
    takes_nan,
    takes_sparse,
    unwrap,
    validation_data,
)
from al_sklearn.inference._sharing import shared
from al_sklearn.inference._taken import WithTaken
from al_sklearn.inference._votes import join_classes, join_votes

__all__ = [
    "Adapter",
    "WithTaken",
    "adapter_of",
    "classes_of",
    "columns_of",
    "embed",
    "feature_dropout",
    "gives",
    "gives_loss",
    "gradient_factors",
    "input_gradient",
    "join_classes",
    "join_votes",
    "labelled_data",
    "labelled_parts",
    "labelled_rows",
    "last_layer",
    "learns_features",
    "network_inputs",
    "predict_loss",
    "predict_proba",
    "proba_and_embed",
    "proba_array",
    "readable",
    "register_adapter",
    "sample_proba",
    "sample_weights",
    "shared",
    "takes_nan",
    "takes_sparse",
    "unwrap",
    "validation_data",
]
