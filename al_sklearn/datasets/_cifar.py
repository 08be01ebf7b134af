"""CIFAR-10 and CIFAR-100, from the batches for Python."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.plain_pickle import DAMAGED, read_plain_pickle
from al_sklearn._core.types import Options
from al_sklearn.datasets._base import ImageData, register_dataset, texts
from al_sklearn.datasets._download import Remote
from al_sklearn.datasets._published import Archive, Labelled, range_outside


def read_batch(path: Path) -> Options:
    """Read a pickled batch as a dict with str keys.

    Raises
    ------
    ValueError
        When the file is damaged, no dict, or asks for more than arrays, numbers and
        text.
    """
    try:
        with path.open("rb") as file:
            # These come from the network, and a pickle is a program: it is parsed.
            batch = read_plain_pickle(file)
    except DAMAGED as error:
        raise ValueError(
            f"{path} is no whole batch of CIFAR ({error or 'it ends too early'}): "
            "delete it, and fetch it again."
        ) from error
    if not isinstance(batch, dict):
        raise ValueError(
            f"{path} is no batch of CIFAR: it holds a {type(batch).__name__}, not a "
            "dict."
        )
    return {
        key.decode("latin1") if isinstance(key, bytes) else key: value
        for key, value in batch.items()
    }


class _Cifar(Archive):
    """Batches of images in ``needed``, the last but one to test, the last of names."""

    def _load(
        self, data_dir: Path | None, labels_key: str, names_key: str
    ) -> ImageData:
        folder = self._whole_folder(data_dir)
        *train, test, meta = (folder / file for file in self.needed)
        class_names = texts(read_batch(meta)[names_key])
        n_classes = len(class_names)
        parts = [_images_and_labels(path, labels_key, n_classes) for path in train]
        X_train, y_train = (np.concatenate(part) for part in zip(*parts, strict=True))
        X_test, y_test = _images_and_labels(test, labels_key, n_classes)
        return ImageData(self.name, X_train, y_train, X_test, y_test, class_names)


@register_dataset("cifar10")
class Cifar10(_Cifar):
    """50,000 + 10,000 photos in ten classes, 32x32 colour."""

    name = "cifar10"
    folder = "cifar-10-batches-py"
    remote = Remote(
        ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
        "md5:c58f30108f718f92721af3b95e74349a",
    )
    # torchvision's. Their order is that of the images: positions depend on it.
    checksums: ClassVar[dict[str, str]] = {
        "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
        "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
        "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "md5:40351d587109b95175f43aff81a1287e",
        "batches.meta": "md5:5ff9c542aee3614f3951f8cda6e48888",
    }
    needed = tuple(checksums)

    def load(self, data_dir: Path | None) -> ImageData:
        """Read the five batches and the test batch."""
        return self._load(data_dir, "labels", "label_names")


@register_dataset("cifar100")
class Cifar100(_Cifar):
    """50,000 + 10,000 photos, 32x32 colour, in 100 classes or 20 groups of them."""

    name = "cifar100"
    folder = "cifar-100-python"
    remote = Remote(
        ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
        "md5:eb9058c3a382ffc7106e4002c42a8d85",
    )
    checksums: ClassVar[dict[str, str]] = {
        "train": "md5:16019d7e3df5f24257cddd939b257f8d",
        "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "md5:7973b15100ade9c7d40fb424638fde48",
    }
    needed = tuple(checksums)

    def load(self, data_dir: Path | None, *, labels: str = "fine") -> ImageData:
        """Read the two files; labels are fine (100 classes) or coarse (20)."""
        if labels not in ("fine", "coarse"):
            raise unknown_name(
                "kind of labels of CIFAR-100", labels, ("coarse", "fine")
            )
        return self._load(data_dir, f"{labels}_labels", f"{labels}_label_names")


def _images_and_labels(path: Path, labels_key: str, n_classes: int) -> Labelled:
    """Return images (n, 32, 32, 3) and labels of a batch."""
    batch = read_batch(path)
    for key in ("data", labels_key):
        if key not in batch:
            raise ValueError(
                f"{path} has no {key!r}; it has {', '.join(sorted(map(str, batch)))}."
            )
    data = np.asarray(batch["data"])
    labels = np.asarray(batch[labels_key], dtype=np.int64)
    if data.dtype != np.uint8 or data.shape != (labels.size, 3072) or labels.ndim != 1:
        raise ValueError(
            f"{path} should hold uint8 rows of 3,072 values and a label for each, it "
            f"holds {data.dtype} of shape {data.shape} and {len(labels)} labels."
        )
    if found := range_outside(labels, 0, n_classes):
        raise ValueError(
            f"{path} has labels from {found}, there are {n_classes} classes."
        )
    # A row is the red, the green and the blue plane; images here have their channels
    # last, and are copied once so that every later batch is read in one piece.
    planes = data.reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
