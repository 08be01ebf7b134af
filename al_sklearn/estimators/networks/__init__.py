"""Networks for :class:`~al_sklearn.estimators.ImageClassifier`, by name."""

from al_sklearn.estimators.networks._resnet import resnet20
from al_sklearn.estimators.networks._small_cnn import small_cnn

# The networks of this package; torchvision's models are looked up only when none of these is asked for.
NETWORKS = {"resnet20": resnet20, "small_cnn": small_cnn}

__all__ = ["NETWORKS", "resnet20", "small_cnn"]
