"""Image data sets by name, one's own beside them.

Index sets, tables and class folders in and out.
"""

# Imported for the names they register.
from al_sklearn.datasets import (  # noqa: F401
    _arrays,
    _cifar,
    _digits,
    _droughtwatch,
    _folders,
    _mnist,
    _stanford_dogs,
    _stl10,
    _svhn,
    _tables,
)
from al_sklearn.datasets._base import (
    DataSource,
    ImageData,
    Skipped,
    dataset_names,
    dataset_summaries,
    find_source,
    options_from_text,
    options_of,
    register_dataset,
)
from al_sklearn.datasets._check import ImageSurvey, check_images, survey_images
from al_sklearn.datasets._export import export_image_folder
from al_sklearn.datasets._lazy import Hdf5Rows, hdf5_by_name
from al_sklearn.datasets._load import load_dataset
from al_sklearn.datasets._standins import has_standin, make_standin
from al_sklearn.datasets._tables import write_table
from al_sklearn.rows import (
    ImageFiles,
    check_index_sets,
    read_index_sets,
    read_splits,
    write_index_sets,
)

__all__ = [
    "DataSource",
    "Hdf5Rows",
    "ImageData",
    "ImageFiles",
    "ImageSurvey",
    "Skipped",
    "check_images",
    "check_index_sets",
    "dataset_names",
    "dataset_summaries",
    "export_image_folder",
    "find_source",
    "has_standin",
    "hdf5_by_name",
    "load_dataset",
    "make_standin",
    "options_from_text",
    "options_of",
    "read_index_sets",
    "read_splits",
    "register_dataset",
    "survey_images",
    "write_index_sets",
    "write_table",
]
