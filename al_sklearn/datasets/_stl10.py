"""STL-10, from its binary files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from al_sklearn.datasets._base import DataSource, ImageData, register_dataset
from al_sklearn.datasets._download import Remote, compare_checksums, extract, fetch

_FOLDER = "stl10_binary"
_NEEDED = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
_SHAPE = (3, 96, 96)


@register_dataset("stl10")
class Stl10(DataSource):
    """5,000 + 8,000 photos in ten classes, 96x96 colour, and 100,000 without label."""

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
        if data_dir is None:
            raise FileNotFoundError(
                "stl10 is read from files: give data_dir, the folder they are in or "
                "may be put in."
            )
        folder = _folder(data_dir)
        for file in _NEEDED:
            if not (folder / file).is_file():
                raise FileNotFoundError(
                    f"stl10: no {file} in {folder}; give the folder with {_FOLDER} as "
                    "data_dir, or download=True."
                )
        names = folder / "class_names.txt"
        class_names = (
            tuple(names.read_text().split())
            if names.is_file()
            else tuple(map(str, range(10)))
        )
        X_train, y_train = _labelled(folder, "train", len(class_names))
        X_test, y_test = _labelled(folder, "test", len(class_names))
        unlabelled = folder / "unlabeled_X.bin"
        # 2.7 GB, which many who want the labelled ones have not fetched.
        X_unlabelled = _images(unlabelled) if unlabelled.is_file() else None
        return ImageData(
            "stl10", X_train, y_train, X_test, y_test, class_names, X_unlabelled
        )

    def verify(self, data_dir: Path) -> None:
        """Compare the files with their checksums.

        Nothing else would tell that a pixel has changed.
        """
        compare_checksums(_folder(data_dir), self.checksums)

    def download(self, data_dir: Path, **options: Any) -> None:
        """Fetch and unpack the archive, unless its files are there."""
        if not any(
            all((folder / file).is_file() for file in _NEEDED)
            for folder in (data_dir / _FOLDER, data_dir)
        ):
            extract(fetch(self.remote, data_dir / f"{_FOLDER}.tar.gz"), data_dir)


def _folder(data_dir: Path) -> Path:
    return data_dir / _FOLDER if (data_dir / _FOLDER).is_dir() else data_dir


def _labelled(
    folder: Path, split: str, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = (
        _images(folder / f"{split}_X.bin"),
        np.fromfile(folder / f"{split}_y.bin", np.uint8),
    )
    if len(images) != len(labels):
        raise ValueError(
            f"{folder} ({split}): {len(images)} images and {len(labels)} labels do "
            "not match."
        )
    # Counted from 1, as Matlab does.
    if labels.size and not 1 <= labels.min() <= labels.max() <= n_classes:
        raise ValueError(
            f"{folder / f'{split}_y.bin'} should have labels from 1 to {n_classes}, "
            f"it has {labels.min()} to "
            f"{labels.max()}."
        )
    return np.ascontiguousarray(images), labels.astype(np.int64) - 1


def _images(path: Path) -> np.ndarray:
    """A view of the file as images (n, 96, 96, 3).

    They are stored plane by plane, and each plane column by column.
    """
    size, image = path.stat().st_size, int(np.prod(_SHAPE))
    if size == 0 or size % image:
        raise ValueError(
            f"{path} holds {size:,} bytes, which are no whole images of {image:,}: "
            "delete it, and fetch it again."
        )
    # Mapped: the strange order costs nothing until a row is read.
    return np.memmap(
        path, np.uint8, mode="r", shape=(size // image, *_SHAPE)
    ).transpose(0, 3, 2, 1)
