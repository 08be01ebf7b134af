"""STL-10, from its binary files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.datasets._base import ImageData, register_dataset
from al_sklearn.datasets._download import Remote
from al_sklearn.datasets._published import Archive, Labelled, check_from_one

# Bytes lie as (channel, column, row): Matlab writes the first axis fastest.
_SHAPE = (3, 96, 96)


@register_dataset("stl10")
class Stl10(Archive):
    """5,000 + 8,000 photos in ten classes, 96x96 colour, and 100,000 without label."""

    name = "stl10"
    folder = "stl10_binary"
    # Not unlabeled_X.bin: 2.7 GB, which many who want the labelled ones have not
    # fetched.
    needed = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
    remote = Remote(
        ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
        "md5:91f7769df0f17e558f3565bffb0c7dfb",
    )
    checksums: ClassVar[dict[str, str]] = {
        "train_X.bin": "md5:918c2871b30a85fa023e0c44e0bee87f",
        "train_y.bin": "md5:5a34089d4802c674881badbb80307741",
        "unlabeled_X.bin": "md5:5242ba1fed5e4be9e1e742405eb56ca4",
        "test_X.bin": "md5:7f263ba9f9e0b06b93213547f721ac82",
        "test_y.bin": "md5:36f9794fa4beb8a2c72628de14fa638e",
    }

    def load(self, data_dir: Path | None) -> ImageData:
        """Read the files; those without label stay on disk as ``X_unlabelled``."""
        folder = self._whole_folder(data_dir)
        names = folder / "class_names.txt"
        class_names = tuple(
            names.read_text().split() if names.is_file() else "0123456789"
        )
        X_train, y_train = _labelled(folder, "train", len(class_names))
        X_test, y_test = _labelled(folder, "test", len(class_names))
        unlabelled = folder / "unlabeled_X.bin"
        X_unlabelled = _images(unlabelled) if unlabelled.is_file() else None
        return ImageData(
            "stl10", X_train, y_train, X_test, y_test, class_names, X_unlabelled
        )


def _labelled(folder: Path, split: str, n_classes: int) -> Labelled:
    images = _images(folder / f"{split}_X.bin")
    labels_file = folder / f"{split}_y.bin"
    labels = np.fromfile(labels_file, np.uint8)
    # The files have no header: their lengths are all that can be compared.
    if len(images) != len(labels):
        raise ValueError(
            f"{folder} ({split}): {len(images)} images and {len(labels)} labels do "
            "not match."
        )
    check_from_one(labels_file, labels, n_classes)
    # In memory, unlike those without label: they are read anew in every epoch.
    return np.ascontiguousarray(images), labels.astype(np.int64) - 1


def _images(path: Path) -> Array:
    """A view of the file as images (n, 96, 96, 3).

    They are stored plane by plane, and each plane column by column.
    """
    size, image = path.stat().st_size, math.prod(_SHAPE)
    if size == 0 or size % image:
        raise ValueError(
            f"{path} holds {size:,} bytes, which are no whole images of {image:,}: "
            "delete it, and fetch it again."
        )
    # Mapped: the strange order costs nothing until a row is read.
    pixels = np.memmap(path, np.uint8, mode="r", shape=(size // image, *_SHAPE))
    return pixels.transpose(0, 3, 2, 1)
