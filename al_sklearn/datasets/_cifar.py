"""CIFAR-10 and CIFAR-100, from the batches for Python."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from al_sklearn._core.checks import unknown_name
from al_sklearn.datasets._base import DataSource, ImageData, register_dataset
from al_sklearn.datasets._download import Remote, compare_checksums, extract, fetch


def _latin1(text: str, encoding: str) -> bytes:
    """How pickles of Python 3 spell bytes for Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


_ARRAY, _SCALAR = np.empty(0).__reduce__()[0], np.int64(0).__reduce__()[0]
_FROM_BUFFER = np.empty(0).__reduce_ex__(5)[0]
# All that arrays, numbers and bytes are made of, by the names that numpy 1 and 2 gave
# it.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _ARRAY
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _SCALAR
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _FROM_BUFFER
_ALLOWED["_codecs", "encode"] = _latin1


class _Unpickler(pickle.Unpickler):
    """Reads arrays, numbers and text, and nothing else.

    A pickle is a program: an ordinary one can run any command while it is read, and
    these come from the network.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no batch of CIFAR needs"
            )
        return _ALLOWED[module, name]


def read_batch(path: Path) -> dict[str, Any]:
    """Read a pickled batch as a dict with str keys.

    Raises
    ------
    ValueError
        When the file is damaged, no dict, or asks for more than arrays, numbers and
        text.
    """
    try:
        with path.open("rb") as file:
            # Written by Python 2: its strings are bytes, and latin1 reads any byte.
            batch = _Unpickler(file, encoding="latin1").load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ) as error:
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


class _Cifar(DataSource):
    folder: str
    train_files: tuple[str, ...]
    test_file: str
    meta_file: str
    remote: Remote
    checksums: ClassVar[dict[str, str]]

    def _load(
        self, name: str, data_dir: Path | None, labels_key: str, names_key: str
    ) -> ImageData:
        if data_dir is None:
            raise FileNotFoundError(
                f"{name} is read from files: give data_dir, the folder they are in or "
                "may be put in."
            )
        folder = self._folder(data_dir)
        for file in (*self.train_files, self.test_file, self.meta_file):
            if not (folder / file).is_file():
                raise FileNotFoundError(
                    f"{name}: no {file} in {folder}; give the folder with "
                    f"{self.folder} as data_dir, or download=True."
                )
        names = read_batch(folder / self.meta_file)[names_key]
        class_names = tuple(
            value.decode() if isinstance(value, bytes) else str(value)
            for value in names
        )
        train = [
            _images_and_labels(folder / file, labels_key, len(class_names))
            for file in self.train_files
        ]
        X_test, y_test = _images_and_labels(
            folder / self.test_file, labels_key, len(class_names)
        )
        X_train, y_train = (np.concatenate(part) for part in zip(*train, strict=True))
        return ImageData(name, X_train, y_train, X_test, y_test, class_names)

    def verify(self, data_dir: Path) -> None:
        """Compare the batches with their checksums.

        Nothing else would tell that a pixel has changed.
        """
        compare_checksums(self._folder(data_dir), self.checksums)

    def _folder(self, data_dir: Path) -> Path:
        return data_dir / self.folder if (data_dir / self.folder).is_dir() else data_dir

    def download(self, data_dir: Path, **options: Any) -> None:
        """Fetch and unpack the archive, unless its files are there."""
        # In either place: unpacked by us, or by the caller without the folder.
        files = (*self.train_files, self.test_file, self.meta_file)
        if not any(
            all((folder / file).is_file() for file in files)
            for folder in (data_dir / self.folder, data_dir)
        ):
            extract(
                fetch(
                    self.remote,
                    data_dir
                    / f"{self.folder.replace('-batches-py', '-python')}.tar.gz",
                ),
                data_dir,
            )


@register_dataset("cifar10")
class Cifar10(_Cifar):
    """50,000 + 10,000 photos in ten classes, 32x32 colour."""

    folder = "cifar-10-batches-py"
    train_files = tuple(f"data_batch_{i}" for i in range(1, 6))
    test_file = "test_batch"
    meta_file = "batches.meta"
    remote = Remote(
        ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
        "md5:c58f30108f718f92721af3b95e74349a",
    )

    checksums: ClassVar[dict[str, str]] = {
        "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
        "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
        "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "md5:40351d587109b95175f43aff81a1287e",
        "batches.meta": "md5:5ff9c542aee3614f3951f8cda6e48888",
    }

    def load(self, data_dir: Path | None) -> ImageData:
        """Read the five batches and the test batch."""
        return self._load("cifar10", data_dir, "labels", "label_names")


@register_dataset("cifar100")
class Cifar100(_Cifar):
    """50,000 + 10,000 photos, 32x32 colour, in 100 classes or 20 groups of them."""

    folder = "cifar-100-python"
    train_files = ("train",)
    test_file = "test"
    meta_file = "meta"
    remote = Remote(
        ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
        "md5:eb9058c3a382ffc7106e4002c42a8d85",
    )

    checksums: ClassVar[dict[str, str]] = {
        "train": "md5:16019d7e3df5f24257cddd939b257f8d",
        "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "md5:7973b15100ade9c7d40fb424638fde48",
    }

    def load(self, data_dir: Path | None, *, labels: str = "fine") -> ImageData:
        """Read the two files; labels are fine (100 classes) or coarse (20)."""
        if labels not in ("fine", "coarse"):
            raise unknown_name(
                "kind of labels of CIFAR-100", labels, ("coarse", "fine")
            )
        return self._load(
            "cifar100", data_dir, f"{labels}_labels", f"{labels}_label_names"
        )


def _images_and_labels(
    path: Path, labels_key: str, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    batch = read_batch(path)
    missing = {"data", labels_key} - set(batch)
    if missing:
        raise ValueError(
            f"{path} has no {sorted(missing)[0]!r}; it has "
            f"{', '.join(sorted(map(str, batch)))}."
        )
    data, labels = (
        np.asarray(batch["data"]),
        np.asarray(batch[labels_key], dtype=np.int64),
    )
    if (
        data.dtype != np.uint8
        or data.ndim != 2
        or data.shape[1] != 3072
        or labels.shape != (len(data),)
    ):
        raise ValueError(
            f"{path} should hold uint8 rows of 3,072 values and a label for each, it "
            f"holds {data.dtype} of shape "
            f"{data.shape} and {len(labels)} labels."
        )
    # What a damaged pickle holds may still be an array of the right shape.
    if labels.size and not 0 <= labels.min() <= labels.max() < n_classes:
        raise ValueError(
            f"{path} has labels from {labels.min()} to {labels.max()}, there are "
            f"{n_classes} classes."
        )
    # A row is the red, the green and the blue plane; images here have their channels
    # last.
    return np.ascontiguousarray(
        data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    ), labels
