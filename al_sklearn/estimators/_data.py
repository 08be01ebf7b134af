"""Images of any kind as batches of tensors, read only when their batch comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from skorch.dataset import Dataset as SkorchDataset
from skorch.helper import SliceDataset
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from al_sklearn._core.checks import check_same_length
from al_sklearn._core.types import Array, Options
from al_sklearn.datasets import hdf5_by_name
from al_sklearn.estimators._shape import ImageShape
from al_sklearn.rows import (
    RowView,
    Size,
    are_files,
    as_positions,
    decode_all,
    n_rows,
    take_rows,
    to_pixels,
)

_KINDS = (
    "X must be images: an array, memmap, HDF5 dataset or tensor of shape (n, H, W), "
    "(n, H, W, C) uint8 or "
    "(n, C, H, W) float, a list of image files, or a torch Dataset"
)
_FEW = (1, 2, 3, 4)


def image_tensor(rows: Any, batched: bool = True) -> Tensor:
    """Bring images to (n, C, H, W), uint8 or float32.

    What is in that layout already is not copied.

    The rule: ``uint8`` has its channels last, float has them first, and no channel axis
    means grey.

    Parameters
    ----------
    rows : ndarray, tensor or PIL image
        Images (n, …), or one image when ``batched`` is False.
    batched : bool, default=True
        Whether the first axis counts images.

    Raises
    ------
    ValueError
        For anything else, shapes that look like the other layout, and other types of
        number.
    """
    if not isinstance(rows, Tensor):
        rows = np.asarray(rows)
        if rows.dtype.kind == "f":
            # From any other width or order of bytes.
            rows = rows.astype(np.float32, copy=False)
        elif rows.dtype != np.uint8:
            raise ValueError(_bad_type(rows.dtype))
        if not rows.flags.writeable:
            # torch warns about read-only memory, although nothing here writes to it.
            rows = rows.copy()
        rows = torch.from_numpy(np.ascontiguousarray(rows))
    if not batched:
        rows = rows[None]
    raw = rows.dtype == torch.uint8
    if not raw and not rows.is_floating_point():
        raise ValueError(_bad_type(rows.dtype))
    _check_layout(tuple(rows.shape), raw)
    rows = rows if raw else rows.float()
    if rows.ndim == 3:
        # Grey is taken for granted where there is no channel axis.
        return rows.unsqueeze(1)
    return rows.permute(0, 3, 1, 2) if raw else rows


def _check_layout(shape: tuple[int, ...], raw: bool) -> None:
    if len(shape) == 2:
        raise ValueError(
            f"{_KINDS}; got shape {shape}. Rows that are flattened images can be "
            "reshaped: X.reshape(n, H, W)."
        )
    if len(shape) not in (3, 4):
        raise ValueError(f"{_KINDS}; got shape {shape}.")
    channels_first = len(shape) == 4 and shape[1] in _FEW and shape[3] not in _FEW
    channels_last = len(shape) == 4 and shape[3] in _FEW and shape[1] not in _FEW
    if raw and channels_first:
        raise ValueError(
            f"uint8 images have their channels last, (n, H, W, C); shape {shape} "
            "looks like channels first: "
            "move the axis, or give float images."
        )
    if channels_last and not raw:
        raise ValueError(
            f"Float images have their channels first, (n, C, H, W); shape {shape} "
            "looks like channels last: "
            "move the axis, or give uint8 images."
        )


def _bad_type(dtype: Any) -> str:
    return (
        f"Images must be uint8 (0 … 255) or float, got {dtype}: use "
        "X.astype(numpy.uint8), "
        "or scale to [0, 1] as float32."
    )


def check_labels(y: Any) -> Array:
    """Return labels of any type as a 1-D array.

    Raises
    ------
    ValueError
        For continuous targets, missing labels, or more than one label an image.
    """
    if isinstance(y, SliceDataset):
        y = [y[i] for i in range(len(y))]
    if isinstance(y, Tensor):
        y = y.detach().cpu().numpy()
    elif isinstance(y, Sequence) and len(y) and isinstance(y[0], Tensor):
        y = [value.item() for value in y]
    labels = column_or_1d(np.asarray(y))
    if pd.isna(labels).any():
        raise ValueError(
            "y contains missing labels (NaN or None); give one class for each image."
        )
    if labels.size:
        check_classification_targets(labels)
    return labels


class ImageDataset(SkorchDataset):
    """Images and labels, read batch by batch from wherever they are.

    Parameters
    ----------
    X : array-like, list of files, torch Dataset or SliceDataset
        The images; see :class:`~al_sklearn.estimators.ImageClassifier`.
    y : array-like of shape (n,), optional
        Labels as the caller gave them.
    image_size : int or (height, width), optional
        What image files are resized to.

    Attributes
    ----------
    weights : array of shape (n,), float32, or None
        What each image counts in the loss, if not the same.

    Raises
    ------
    ValueError
        When X is empty, not images, or not as long as ``y``.
    """

    weights: Array | None = None

    def __init__(self, X: Any, y: Any = None, image_size: Size = None):
        # skorch's own constructor would look into X; its callbacks need no more than X
        # and y.
        self.images = X
        self.image_size = image_size
        self._read = _reader(X, image_size)
        self._len = n_rows(X)
        if self._len == 0:
            raise ValueError("X is empty: give at least one image.")
        self.y = None if y is None else check_labels(y)
        if self.y is not None:
            check_same_length(self._len, len(self.y))

    def __len__(self) -> int:
        return self._len

    @property
    def X(self) -> ImageDataset:
        """What skorch's callbacks score.

        This data set, which they can index whatever the images are in.
        """
        return self

    @property
    def shape(self) -> tuple[int]:
        """``(n,)``, so that scikit-learn may give an array of indices at once."""
        return (len(self),)

    def __getitem__(self, index: Any) -> Any:
        """Return one image (C, H, W) and its label (0 where there is none).

        A ``Subset`` for several indices.
        """
        if not isinstance(index, (int, np.integer)):
            return Subset(self, np.arange(len(self))[index].tolist())
        images, labels = self.batch(np.array([index]))
        return images[0], labels[0]

    def batch(self, indices: Array | slice) -> tuple[Tensor, Array]:
        """Return images (b, C, H, W) and labels (b,), in the order of ``indices``.

        The images are uint8 or float32.

        Raises
        ------
        ValueError
            When a pixel is NaN or infinite, or the images differ in shape.
        """
        images = image_tensor(self._read(indices))
        # One sum is the cheapest pass that no NaN and no infinity survives.
        if images.dtype != torch.uint8 and not torch.isfinite(images.sum()):
            self._complain(images, indices)
        if self.y is None:
            return images, np.zeros(len(images), dtype=np.int64)
        return images, self.y[indices]

    def image_shape(self) -> ImageShape:
        """Return (C, H, W) of the first image."""
        channels, height, width = image_tensor(self._read(np.array([0]))).shape[1:]
        if min(channels, height, width) == 0:
            raise ValueError(
                f"{_KINDS}; got images of shape {(channels, height, width)} (C, H, W)."
            )
        return channels, height, width

    def __getstate__(self) -> Options:
        # The reader is made of functions, which worker processes that are not forked
        # could not receive; nor could they an open HDF5 file.
        state = {key: value for key, value in vars(self).items() if key != "_read"}
        return {**state, "images": hdf5_by_name(self.images)}

    def __setstate__(self, state: Options) -> None:
        self.__dict__.update(state, _read=_reader(state["images"], state["image_size"]))

    def labels(self) -> Array:
        """Return the labels given, or else those that a torch Dataset holds.

        Raises
        ------
        ValueError
            When there are none.
        """
        if self.y is None:
            self.y = check_labels(_labels_of(self.images, range(len(self))))
        return self.y

    def _complain(self, images: Tensor, indices: Array | slice) -> None:
        bad = ~torch.isfinite(images).flatten(1).all(1)
        if bad.any():
            where = as_positions(indices, len(self))[bad.numpy()]
            raise ValueError(
                f"X contains NaN or infinite pixels (first in image {where[0]})."
            )


def without_subsets(dataset: Any, indices: Any = ()) -> tuple[Any, Any]:
    """Return what ``Subset`` s are of, and where rows of them are in it."""
    while isinstance(dataset, Subset):
        indices = np.asarray(dataset.indices)[indices]
        dataset = dataset.dataset
    return dataset, indices


def read_batch(
    dataset: Any, indices: Array | slice
) -> tuple[Tensor, Array, Array | None]:
    """Read one batch of an :class:`ImageDataset` or of ``Subset`` s of one.

    Its images, their labels, and their weights where the data set has some.
    """
    whole, positions = without_subsets(dataset, indices)
    weights = None if whole.weights is None else whole.weights[positions]
    return *whole.batch(positions), weights


def labels_of(dataset: Any) -> Array:
    """Return the labels of an :class:`ImageDataset`, without reading an image.

    ``Subset`` objects of one will do too.
    """
    whole, positions = without_subsets(dataset, slice(None))
    return whole.labels()[positions]


def _reader(X: Any, image_size: Size) -> Callable[[Any], Any]:
    """Return a function from indices to the images of these rows, in that order."""
    if isinstance(X, RowView) and (are_files(X) or not hasattr(X.base, "dtype")):
        # Names of files, lists and data sets: taking some of them reads no image.
        X = X.rows()
    if isinstance(X, (SliceDataset, Dataset)):
        return _dataset_reader(X, image_size)
    if are_files(X):
        return lambda indices: _stack(decode_all(_some(X, indices), image_size))
    if isinstance(X, (list, tuple)):
        return lambda indices: _stack(_some(X, indices))
    if getattr(X, "shape", None) is None or getattr(X, "dtype", None) is None:
        raise ValueError(f"{_KINDS}; got {type(X).__name__}.")
    if image_size is not None:
        raise ValueError(
            "image_size= resizes image files; X is an array, whose images have one "
            "size already."
        )
    _check_layout(tuple(X.shape), raw=str(X.dtype).rpartition(".")[2] == "uint8")
    by_process = {os.getpid(): X}

    def read(indices: Any) -> Any:
        # A worker that was forked opens an HDF5 file anew: read through the handle of
        # its parent, it would give wrong bytes.
        process = os.getpid()
        if process not in by_process:
            by_process[process] = hdf5_by_name(X)
        return take_rows(by_process[process], indices)

    return read


def _dataset_reader(X: Any, image_size: Size) -> Callable[[Any], Any]:
    # Where the images lie in an array, a batch is taken from it at once instead of item
    # by item.
    slices = isinstance(X, SliceDataset) and X.idx == 0
    if type(X) is Subset or (slices and type(X).transform is SliceDataset.transform):
        inner = _dataset_reader(X.dataset, image_size)
        rows = np.asarray(X.indices_ if slices else X.indices)
        return lambda indices: inner(rows[indices])
    if type(X) is TensorDataset:
        return _reader(X.tensors[0], image_size)
    if type(X) is SkorchDataset and not isinstance(X.X, dict):
        return _reader(X.X, image_size)
    if type(X) is ImageDataset:
        return X._read
    return lambda indices: _stack(
        [_image_of(item, image_size) for item in _some(X, indices)]
    )


def _labels_of(X: Any, indices: Sequence[int]) -> Any:
    """Labels of some items of a torch Dataset, if possible without the images."""
    if isinstance(X, Subset):
        return _labels_of(X.dataset, [X.indices[i] for i in indices])
    if isinstance(X, TensorDataset) and len(X.tensors) > 1:
        return X.tensors[1][list(indices)]
    for name in ("targets", "labels", "y"):
        found = getattr(X, name, None)
        if found is not None and not callable(found) and len(found) == len(X):
            return check_labels(found)[list(indices)]
    if isinstance(X, Dataset) and hasattr(X, "__len__"):
        first = X[indices[0]]
        if isinstance(first, (tuple, list)) and len(first) == 2:
            return [first[1], *(X[i][1] for i in indices[1:])]
    raise ValueError(
        "y is missing: give labels, or a torch Dataset whose items are (image, label)."
    )


def _some(X: Any, indices: Array | slice) -> list[Any]:
    return [X[i] for i in as_positions(indices, len(X)).tolist()]


def _stack(rows: Iterable[Any]) -> Tensor:
    images = [image_tensor(image, batched=False)[0] for image in rows]
    shapes = {tuple(image.shape) for image in images}
    if len(shapes) > 1:
        raise ValueError(
            f"All images must have one shape, got {sorted(shapes)} (C, H, W); "
            "image_size= resizes image files."
        )
    if len({image.dtype for image in images}) > 1:
        raise ValueError("All images must be of one type, got both uint8 and float.")
    batch = torch.stack(images)
    # image_tensor reads uint8 as channels last: hand it over in that layout (a view).
    return batch.permute(0, 2, 3, 1) if batch.dtype == torch.uint8 else batch


def _image_of(item: Any, image_size: Size) -> Any:
    """Return the image of a data set's item, which may have a label beside it."""
    image = item[0] if isinstance(item, (tuple, list)) else item
    if hasattr(image, "convert") and hasattr(image, "resize"):
        return to_pixels(image, image_size)
    if image_size is not None and getattr(image, "shape", None):
        raise ValueError(
            "image_size= resizes image files; this torch Dataset gives arrays: resize "
            "them in it."
        )
    return image
