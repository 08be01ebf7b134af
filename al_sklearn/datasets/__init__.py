"""Loaders of image data sets, by name."""

from al_sklearn.datasets._load import ImageData, dataset_names, load_dataset

__all__ = ["ImageData", "dataset_names", "load_dataset"]
