"""Torch networks as scikit-learn estimators."""

from al_sklearn.estimators._data import ImageDataset
from al_sklearn.estimators._ensemble import DeepEnsemble
from al_sklearn.estimators._frozen_backbone import FrozenBackbone
from al_sklearn.estimators._image_classifier import ImageClassifier
from al_sklearn.estimators._laplace import LaplaceClassifier
from al_sklearn.estimators._loader import ImageLoader
from al_sklearn.estimators._loss_prediction import LossPredictionClassifier
from al_sklearn.estimators._snapshot import SnapshotEnsemble
from al_sklearn.estimators._temperature import TemperatureScaling
from al_sklearn.estimators._tuned import TunedClassifier
from al_sklearn.estimators.networks import export_classifier, register_network

__all__ = [
    "DeepEnsemble",
    "FrozenBackbone",
    "ImageClassifier",
    "ImageDataset",
    "ImageLoader",
    "LaplaceClassifier",
    "LossPredictionClassifier",
    "SnapshotEnsemble",
    "TemperatureScaling",
    "TunedClassifier",
    "export_classifier",
    "register_network",
]
