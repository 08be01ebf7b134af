"""Images of any kind as batches of tensors, read only when their batch comes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from skorch.dataset import Dataset as SkorchDataset
from skorch.helper import SliceDataset
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from al_sklearn._core.checks import check_same_length
from al_sklearn._core.optional import loaded
from al_sklearn._core.types import Array, Options
from al_sklearn.datasets import hdf5_by_name
from al_sklearn.estimators._shape import ImageShape
from al_sklearn.rows import (
    COLOUR,
    GREY,
    PixelRange,
    RowView,
    Size,
    are_files,
    as_positions,
    channels_come_first,
    common_mode,
    decode_all,
    file_names,
    is_column,
    is_data_set,
    mode_of,
    mode_of_files,
    n_rows,
    plain_labels,
    take_rows,
    to_pixels,
)

_KINDS = (
    "X must be images: an array, memmap, HDF5 dataset or tensor of shape (n, H, W), "
    "(n, H, W, C) uint8 or "
    "(n, C, H, W) float, a list or a column of image files, or a torch Dataset"
)
_FEW = (1, 2, 3, 4)
# Says what files are read as, once that has to be known.
Mode = Callable[[], str | None]
# Names that the parts of an item have, where items are dicts, as Hugging Face's are.
_IMAGES: Final = ("image", "img", "pixel_values")
_LABELS: Final = ("label", "labels", "target")
# torchvision's data sets whose items have their labels from one attribute.
_TORCHVISION_LABELS: Final = {
    "DatasetFolder": "samples",
    "MNIST": "targets",
    "CIFAR10": "targets",
    "SVHN": "labels",
    "STL10": "labels",
}
# Images that are read to know the range of all, in so many parts; as many as the mean
# is taken of.
_RANGE_IMAGES: Final = 1000
_RANGE_PARTS: Final = 32


def image_tensor(rows: Any, batched: bool = True) -> Tensor:
    """Bring images to (n, C, H, W), uint8 or float32.

    What is in that layout already is not copied.

    The rule: ``uint8`` has its channels last, float has them first, and no channel axis
    means grey. A tensor of torch of ``uint8`` whose channels can only come first is
    taken as it is.

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
    is_tensor = isinstance(rows, Tensor)
    comes_first = is_tensor and channels_come_first(rows if batched else rows[None])
    if not is_tensor:
        rows = np.asarray(rows)
        if rows.dtype.kind == "f":
            # From any other width or order of bytes.
            rows = rows.astype(np.float32, copy=False)
        elif rows.dtype.kind in "OSUT":
            raise ValueError(f"{_KINDS}; got entries of {_kind_of_entry(rows)}.")
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
    if comes_first:
        return rows
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


def _kind_of_entry(rows: Array) -> str:
    """Name what an array of no numbers holds."""
    first = rows.flat[0] if rows.size else None
    return rows.dtype.name if first is None else type(first).__name__


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
    labels = np.asarray(plain_labels(y))
    # Before anything compares them: a comparison with pandas' NA has no truth value.
    if pd.isna(labels).any():
        raise ValueError(
            "y contains missing labels (NaN or None); give one class for each image."
        )
    labels = column_or_1d(labels)
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
    crop : bool, default=False
        Cut the middle out in the proportions of ``image_size`` first, instead of
        squashing the whole.

    Attributes
    ----------
    weights : array of shape (n,), float32, or None
        What each image counts in the loss, if not the same.
    mode : {"RGB", "L", "I;16"} or None
        What image files, and PIL images of a data set, are read as. None looks at them,
        when the first is read: colour as soon as one of them has colour.
    known_range : PixelRange or None
        The range of the pixels that these images follow; other scales are refused.
    seen_range : PixelRange
        The range of the pixels read so far.

    Raises
    ------
    ValueError
        When X is empty, not images, or not as long as ``y``.
    """

    weights: Array | None = None
    mode: str | None = None
    known_range: PixelRange | None = None

    def __init__(
        self, X: Any, y: Any = None, image_size: Size = None, crop: bool = False
    ):
        # skorch's own constructor would look into X; its callbacks need no more than X
        # and y.
        self.images = X = _by_position(X)
        self.image_size = image_size
        self.crop = crop
        self.seen_range = PixelRange()
        self._read = _reader(X, image_size, self.image_mode, crop)
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
            When a pixel is NaN or infinite, the images differ in shape, or their pixels
            have another scale than those they follow.
        """
        images = image_tensor(self._read(indices))
        found = PixelRange(has_bytes=images.dtype == torch.uint8)
        if not found.has_bytes and images.numel() > 0:
            # The cheapest pass that no NaN and no infinity survives.
            low, high = map(float, torch.aminmax(images))
            if not math.isfinite(low) or not math.isfinite(high):
                self._complain(images, indices)
            found = PixelRange(low, high)
        self._note(found)
        if self.y is None:
            return images, np.zeros(len(images), dtype=np.int64)
        return images, self.y[indices]

    def _note(self, found: PixelRange) -> None:
        joined = self.seen_range | found
        if joined.has_bytes and joined.is_beyond:
            self.seen_range.check(found)
        if self.known_range is not None:
            self.known_range.check(found)
        self.seen_range = joined

    def image_shape(self) -> ImageShape:
        """Return (C, H, W) of the first image."""
        channels, height, width = image_tensor(self._read(np.array([0]))).shape[1:]
        if min(channels, height, width) == 0:
            raise ValueError(
                f"{_KINDS}; got images of shape {(channels, height, width)} (C, H, W)."
            )
        return channels, height, width

    def image_mode(self) -> str | None:
        """Return what image files and PIL images are read as; None for arrays."""
        if self.mode is None:
            self.mode = _mode_of_images(self.images)
        return self.mode

    def mode_to_keep(self, channels: int) -> str | None:
        """Return what later files are read as, after a fit on these images.

        None where neither they nor their channels tell.
        """
        return self.image_mode() or {1: GREY, 3: COLOUR}.get(channels)

    def pixel_range(self) -> PixelRange:
        """Return the range of the pixels seen so far, or of a sample where none was.

        Raises
        ------
        ValueError
            As :meth:`batch`.
        """
        if self.seen_range == PixelRange():
            positions = np.linspace(0, len(self) - 1, min(len(self), _RANGE_IMAGES))
            for part in np.array_split(positions.astype(np.int64), _RANGE_PARTS):
                if len(part) > 0 and not self.seen_range.has_bytes:
                    self.batch(part)
        return self.seen_range

    def __getstate__(self) -> Options:
        # The reader is made of functions, which worker processes that are not forked
        # could not receive; nor could they an open HDF5 file.
        state = {key: value for key, value in vars(self).items() if key != "_read"}
        return {**state, "images": hdf5_by_name(self.images)}

    def __setstate__(self, state: Options) -> None:
        self.__dict__.update(state)
        self._read = _reader(self.images, self.image_size, self.image_mode, self.crop)

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


def _by_position(X: Any) -> Any:
    """A pandas column, or an array of strings or objects, as a list of its entries."""
    if isinstance(X, (list, tuple, RowView)):
        return X
    if are_files(X):
        return file_names(X)
    is_objects = isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype == object
    return list(X) if is_column(X) or is_objects else X


def _reader(X: Any, image_size: Size, mode: Mode, crop: bool) -> Callable[[Any], Any]:
    """Return a function from indices to the images of these rows, in that order.

    ``mode`` says what files and PIL images are read as, once one of them is read.
    """
    if isinstance(X, RowView) and (are_files(X) or not hasattr(X.base, "dtype")):
        # Names of files, lists and data sets: taking some of them reads no image.
        X = _by_position(X.rows())
    if is_data_set(X):
        return _dataset_reader(X, image_size, mode, crop)
    if are_files(X):
        return lambda indices: _stack(
            decode_all(_some(X, indices), image_size, mode(), crop=crop)
        )
    if isinstance(X, (list, tuple)):
        return lambda indices: _stack(
            [_in_list(item, image_size, mode, crop) for item in _some(X, indices)]
        )
    if getattr(X, "shape", None) is None or getattr(X, "dtype", None) is None:
        raise ValueError(f"{_KINDS}; got {type(X).__name__}.")
    if image_size is not None:
        raise ValueError(
            "image_size= resizes image files; X is an array, whose images have one "
            "size already."
        )
    if not channels_come_first(X):
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


def _dataset_reader(
    X: Any, image_size: Size, mode: Mode, crop: bool
) -> Callable[[Any], Any]:
    # Where the images lie in an array, a batch is taken from it at once instead of item
    # by item.
    slices = isinstance(X, SliceDataset) and X.idx == 0
    if type(X) is Subset or (slices and type(X).transform is SliceDataset.transform):
        inner = _dataset_reader(X.dataset, image_size, mode, crop)
        rows = np.asarray(X.indices_ if slices else X.indices)
        return lambda indices: inner(rows[indices])
    if type(X) is TensorDataset:
        return _reader(X.tensors[0], image_size, mode, crop)
    if type(X) is SkorchDataset and not isinstance(X.X, dict):
        return _reader(_by_position(X.X), image_size, mode, crop)
    if type(X) is ImageDataset:
        return X._read
    return lambda indices: _stack(
        [_image_of(item, image_size, mode, crop) for item in _some(X, indices)]
    )


def _mode_of_images(X: Any) -> str | None:
    """What files and PIL images are read as together; None for anything else."""
    if isinstance(X, RowView):
        X = _by_position(X.rows()) if not hasattr(X.base, "dtype") else X
    if type(X) is SkorchDataset and not isinstance(X.X, dict):
        X = _by_position(X.X)
    if type(X) is ImageDataset:
        return X.image_mode()
    if are_files(X):
        return mode_of_files(file_names(X))
    if not isinstance(X, (list, tuple)) and not is_data_set(X):
        return None
    if n_rows(X) == 0 or not gives_pil(X[0]):
        return None
    # Read one after the other until one has colour, which most often is the first.
    items = (_picture(X[i]) for i in range(n_rows(X)))
    return common_mode(mode_of(image) if _is_pil(image) else None for image in items)


def _labels_of(X: Any, indices: Sequence[int]) -> Any:
    """Labels of some items of a torch Dataset, as its items say them.

    Without reading the images where it is known where its items have them from.
    """
    if type(X) is Subset:
        return _labels_of(X.dataset, [X.indices[i] for i in indices])
    if type(X) is TensorDataset and len(X.tensors) > 1:
        return X.tensors[1][list(indices)]
    known = _known_labels(X)
    if known is not None:
        return check_labels(known)[list(indices)]
    # Without labels skorch's own gives a 0 beside each image.
    says = is_data_set(X) and not isinstance(X, SliceDataset)
    if says and type(X) is not SkorchDataset and hasattr(X, "__len__"):
        first = _label_of(X[indices[0]])
        if first is not None:
            return [first, *(_label_of(X[i]) for i in indices[1:])]
    raise ValueError(
        "y is missing: give labels, or a torch Dataset whose items are (image, label)."
    )


def _known_labels(X: Any) -> Any:
    """Labels that a data set's items are made from; None where only its items tell.

    ``targets`` and ``labels`` are names that people give to other things too, and a
    subclass may change what an item says.
    """
    if type(X) is SkorchDataset:
        return X.y
    if getattr(X, "target_transform", None) is not None:
        return None
    for name, attribute in _TORCHVISION_LABELS.items():
        kind: Any = loaded(f"torchvision.datasets.{name}")
        if kind is None or not isinstance(X, kind):
            continue
        # What its own method reads, nobody else's.
        if type(X).__getitem__ is not kind.__getitem__:
            return None
        found = getattr(X, attribute)
        return [sample[1] for sample in found] if attribute == "samples" else found
    return None


def _label_of(item: Any) -> Any:
    """Return the label of a data set's item; None where it has none."""
    if isinstance(item, Mapping):
        return next((item[name] for name in _LABELS if name in item), None)
    is_pair = isinstance(item, (tuple, list)) and len(item) == 2
    return item[1] if is_pair else None


def _some(X: Any, indices: Array | slice) -> list[Any]:
    return [X[i] for i in as_positions(indices, len(X)).tolist()]


def _stack(rows: Iterable[Any]) -> Tensor:
    images = [image_tensor(image, batched=False)[0] for image in rows]
    shapes = {tuple(image.shape) for image in images}
    if len(shapes) > 1:
        raise ValueError(
            f"All images must have one shape, got {sorted(shapes)} (C, H, W); "
            "image_size= resizes image files, mode= says whether they are read in "
            "colour."
        )
    if len({image.dtype for image in images}) > 1:
        images = _as_shares(images)
    batch = torch.stack(images)
    # image_tensor reads uint8 as channels last: hand it over in that layout (a view).
    return batch.permute(0, 2, 3, 1) if batch.dtype == torch.uint8 else batch


def _as_shares(images: list[Tensor]) -> list[Tensor]:
    """Images of bytes and of floats within 0 … 1, all as floats."""
    floats = [image for image in images if image.dtype != torch.uint8]
    bytes_seen = PixelRange(has_bytes=True)
    for image in floats:
        # Beyond 0 … 1 nobody knows what white is.
        bytes_seen.check(PixelRange.of(image))
    return [
        image.float() / 255 if image.dtype == torch.uint8 else image for image in images
    ]


def _picture(item: Any) -> Any:
    """Return the image of a data set's item, which may have a label beside it."""
    if isinstance(item, Mapping):
        name = next((name for name in _IMAGES if name in item), None)
        if name is None:
            raise ValueError(
                f"The items of X are dicts of {', '.join(map(repr, item))}; the image "
                f"must be called {' or '.join(map(repr, _IMAGES))}."
            )
        return item[name]
    return item[0] if isinstance(item, (tuple, list)) else item


def gives_pil(item: Any) -> bool:
    """Whether an item of a data set, or of a list, holds a PIL image."""
    return _is_pil(_picture(item))


def _is_pil(image: Any) -> bool:
    return hasattr(image, "convert") and hasattr(image, "resize")


def _image_of(item: Any, image_size: Size, mode: Mode, crop: bool) -> Any:
    image = _picture(item)
    if _is_pil(image):
        return to_pixels(image, image_size, mode(), crop=crop)
    if image_size is not None and getattr(image, "shape", None):
        raise ValueError(
            "image_size= resizes image files; this torch Dataset gives arrays: resize "
            "them in it."
        )
    return image


def _in_list(item: Any, image_size: Size, mode: Mode, crop: bool) -> Any:
    """An entry of a list of images: one that PIL or a dict holds, or an array."""
    if isinstance(item, Mapping) or _is_pil(item):
        return _image_of(item, image_size, mode, crop)
    return item
