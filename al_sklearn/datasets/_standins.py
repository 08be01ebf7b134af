"""Small files in the true formats of data sets that are not at hand.

They are made of scikit-learn's digits.

They show that an experiment runs from its files to its report; what it finds on them
says nothing of the real data.
"""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.optional import require
from al_sklearn._core.types import Array, Options
from al_sklearn.datasets._cifar import Cifar10, Cifar100
from al_sklearn.datasets._droughtwatch import BANDS
from al_sklearn.datasets._mnist import EMNIST_CLASSES, IDX_FILES, emnist_files

_NAMES = ("cifar10", "cifar100", "mnist", "fashion-mnist", "emnist", "droughtwatch")


def has_standin(name: str) -> bool:
    """Whether there is a stand-in for a data set."""
    return name in _NAMES


def make_standin(
    name: str, folder: Path, n_train: int = 600, n_test: int = 200, **options: Any
) -> Path:
    """Write a stand-in's files.

    Parameters
    ----------
    name : str
        ``cifar10``, ``cifar100``, ``mnist``, ``fashion-mnist``, ``emnist`` or
        ``droughtwatch``.
    folder : Path
    n_train, n_test : int
        Images.
    **options
        Of the data set: ``split`` of ``emnist``.

    Returns
    -------
    Path
        The folder, as ``data_dir``.
    """
    if not has_standin(name):
        raise ValueError(
            f"There is no stand-in for {name!r}; there are for {', '.join(_NAMES)}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    if name.startswith("cifar"):
        _cifar(name, folder, n_train, n_test)
    elif name == "droughtwatch":
        _droughtwatch(folder, n_train, n_test)
    else:
        split = options.get("split", "balanced") if name == "emnist" else "mnist"
        files = emnist_files(split) if name == "emnist" else IDX_FILES
        _idx(files, folder, n_train, n_test, len(EMNIST_CLASSES[split]))
    return folder


def _digits(side: int, n: int, n_classes: int, offset: int) -> tuple[Array, Array]:
    """Digits of ``side`` x ``side`` pixels, (n, side, side) uint8.

    Beyond ten classes a class is a digit and a turn.
    """
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    # In turn, from another class on in each part: every class is there.
    y = (np.arange(n) + offset) % n_classes
    rng = np.random.default_rng(offset)
    found = np.empty((n, side, side), dtype=np.uint8)
    # Nearest neighbour: enlarged digits stay of few values, and files small.
    rows = np.arange(side) * 8 // side
    for i, label in enumerate(y):
        chosen = rng.choice(np.flatnonzero(digits == label % 10))
        turned = np.rot90(images[chosen].reshape(8, 8), k=int(label) // 10 % 4)
        image = turned[np.ix_(rows, rows)] * (255 / 16)
        # A fifth ten of classes is the first, dark on bright.
        found[i] = 255 - image if label // 40 % 2 else image
    return found, y.astype(np.uint8)


def _idx(
    files: tuple[str, ...], folder: Path, n_train: int, n_test: int, n_classes: int
) -> None:
    for (images, labels), (n, offset) in zip(
        (files[:2], files[2:]), ((n_train, 0), (n_test, 1)), strict=True
    ):
        X, y = _digits(28, n, n_classes, offset)
        if images.startswith("emnist"):
            # Stored column by column; the letters alone begin at 1.
            X = X.swapaxes(1, 2)
            y = y + np.uint8("letters" in images)
        for file, array in ((images, X), (labels, y)):
            # The code of bytes, the number of axes, and each one's length, big-endian.
            header = (
                bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            )
            # The fastest level: it is read once.
            packed = gzip.compress(header + array.tobytes(), 1)
            (folder / f"{file}.gz").write_bytes(packed)


def _cifar(name: str, folder: Path, n_train: int, n_test: int) -> None:
    source = Cifar10 if name == "cifar10" else Cifar100
    names = {"label_names": [f"digit {i}" for i in range(10)]}
    if name == "cifar100":
        names = {
            "fine_label_names": [f"class {i}" for i in range(100)],
            "coarse_label_names": [f"group {i}" for i in range(20)],
        }
    n_classes = max(map(len, names.values()))
    folder /= source.folder
    folder.mkdir(exist_ok=True)
    *train, test, meta = source.needed
    _pickle(names, folder / meta)
    for offset, file in enumerate((*train, test), start=int(name == "cifar10")):
        n = n_test if file == test else n_train // len(train)
        X, y = _digits(32, n, n_classes, offset)
        # Planes of red, green and blue: a digit in one colour of its own.
        tint = np.random.default_rng(offset).uniform(0.4, 1, (n, 3, 1, 1))
        data = (X[:, None] * tint).astype(np.uint8).reshape(n, 3072)
        # label_names are of labels, fine_label_names of fine_labels.
        labels = {
            f"{key.removesuffix('_names')}s": (y % len(words)).tolist()
            for key, words in names.items()
        }
        _pickle({"data": data, **labels}, folder / file)


def _pickle(content: Options, path: Path) -> None:
    # The protocol of the true files, which Python 2 wrote.
    path.write_bytes(pickle.dumps(content, protocol=2))


def _droughtwatch(folder: Path, n_train: int, n_test: int) -> None:
    """TFRecord files: the digits 0 to 3 in 11 bands, some of them darker."""
    writer_module = require(
        "tfrecord.writer", "DroughtWatch's stand-in is written by tfrecord"
    )
    for split, n, offset in (("train", n_train, 0), ("val", n_test, 1)):
        (folder / split).mkdir(exist_ok=True)
        path = folder / split / "part-r-00000"
        if path.exists():
            # Its pieces may have been converted: new files would be others.
            continue
        X, y = _digits(65, n, 4, offset)
        writer = writer_module.TFRecordWriter(str(path))
        for image, label in zip(X, y, strict=True):
            record = {
                band: ((image // (1 + i % 3)).astype(np.uint8).tobytes(), "byte")
                for i, band in enumerate(BANDS)
            }
            writer.write({**record, "label": (int(label), "int")})
        writer.close()
