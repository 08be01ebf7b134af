"""Networks for :class:`~al_sklearn.estimators.ImageClassifier`, by name."""

from al_sklearn.estimators.networks._build import (
    build_network,
    network_names,
    network_options,
)
from al_sklearn.estimators.networks._export import export_classifier
from al_sklearn.estimators.networks._layout import memory_format
from al_sklearn.estimators.networks._pretrained import (
    efficientnet_lite0,
    resolve_weights,
    statistics_of,
)
from al_sklearn.estimators.networks._registry import (
    NETWORKS,
    added_network,
    register_network,
)
from al_sklearn.estimators.networks._resnet import (
    resnet18,
    resnet20,
    resnet34,
    resnet50,
)
from al_sklearn.estimators.networks._shake_shake import shake_shake26
from al_sklearn.estimators.networks._small_cnn import small_cnn
from al_sklearn.estimators.networks._torchvision import torchvision_names
from al_sklearn.estimators.networks._vgg import vgg16
from al_sklearn.estimators.networks._wide_resnet import (
    wide_resnet28_2,
    wide_resnet28_10,
)

__all__ = [
    "NETWORKS",
    "added_network",
    "build_network",
    "efficientnet_lite0",
    "export_classifier",
    "memory_format",
    "network_names",
    "network_options",
    "register_network",
    "resnet18",
    "resnet20",
    "resnet34",
    "resnet50",
    "resolve_weights",
    "shake_shake26",
    "small_cnn",
    "statistics_of",
    "torchvision_names",
    "vgg16",
    "wide_resnet28_2",
    "wide_resnet28_10",
]
