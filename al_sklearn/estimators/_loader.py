"""The iterators over batches: light, vectorised, and never leaving one image over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from al_sklearn._core.types import Array
from al_sklearn.estimators._augment import Augment
from al_sklearn.estimators._data import read_batch


class ImageLoader:
    """Iterate over an image data set in batches, each read from its source at once.

    A last batch of a single image is joined to the batch before it: BatchNorm cannot
    train on one image, and dropping it would lose a label somebody paid for.

    Parameters
    ----------
    dataset : ImageDataset or Subset of one
        What is read.
    batch_size : int, default=256
        Images in a batch.
    shuffle : bool, default=False
        Whether each pass is in a new random order.
    generator : torch.Generator, optional
        Draws the order; the global generator is never used.
    min_batches : int, default=1
        When one pass over the images has fewer batches, it is followed by further
        passes up to this number.
    num_workers : int, default=0
        Worker processes that read batches ahead, worth it for image files; 0 reads in
        this process.
    **dataloader_params
        Further parameters of :class:`torch.utils.data.DataLoader`, for ``num_workers``
        > 0.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 256,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        min_batches: int = 1,
        num_workers: int = 0,
        **dataloader_params: Any,
    ):
        if batch_size < 1:
            raise ValueError(
                "batch_size must be at least 1, or -1 for all images, got "
                f"{batch_size}."
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.generator = generator if generator is not None else torch.Generator()
        if generator is None and shuffle:
            self.generator.seed()
        self.min_batches = min_batches
        self.num_workers = num_workers
        self.dataloader_params = dataloader_params

    def _bounds(self) -> list[tuple[int, int]]:
        n = len(self.dataset)
        starts = list(range(0, n, self.batch_size))
        if len(starts) > 1 and n - starts[-1] == 1:
            # BatchNorm has no variance of one image: it is joined to the batch before.
            starts.pop()
        return list(zip(starts, [*starts[1:], n], strict=True))

    def __len__(self) -> int:
        return max(len(self._bounds()), self.min_batches)

    def _index_batches(self) -> Iterator[Array | slice]:
        bounds, n = self._bounds(), len(self.dataset)
        for todo in range(len(self), 0, -len(bounds)):
            batches = [slice(start, stop) for start, stop in bounds[:todo]]
            if self.shuffle:
                order = torch.randperm(n, generator=self.generator).numpy()
                yield from (order[batch] for batch in batches)
            else:
                yield from batches

    def __iter__(self) -> Iterator[tuple[Tensor, Array]]:
        if self.num_workers == 0:
            # DataLoader costs more than the step itself on twenty images: this loop is
            # all that is needed.
            return (
                read_batch(self.dataset, indices) for indices in self._index_batches()
            )
        return iter(
            DataLoader(
                _Batches(self.dataset),
                sampler=self._index_batches(),
                batch_size=None,
                num_workers=self.num_workers,
                # DataLoader draws a base seed for its workers: not from the order's
                # generator, nor the global one.
                generator=torch.Generator(),
                **self.dataloader_params,
            )
        )


class _Batches(Dataset):
    """A data set whose index is a whole batch of indices, for workers."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __getitem__(self, indices: Array | slice) -> tuple[Tensor, Array]:
        return read_batch(self.dataset, indices)


@dataclass(frozen=True)
class AugmentedLoader:
    """Pass on another iterator's batches with their images augmented.

    What training alone sees.

    Parameters
    ----------
    loader : iterable
        Gives (images, labels).
    augment : callable
        ``augment(images, generator) -> images``, float images in [0, 1] when they were
        uint8.
    generator : torch.Generator
        Handed to ``augment``.
    """

    loader: Any
    augment: Augment
    generator: torch.Generator

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Any]]:
        for images, labels in self.loader:
            # A copy either way: an augmentation may work in place, and the batch may be
            # the caller's own memory.
            raw = images.dtype == torch.uint8
            images = images.float().div_(255) if raw else images.clone()
            out = self.augment(images, self.generator)
            if getattr(out, "shape", None) != images.shape:
                got = getattr(out, "shape", type(out).__name__)
                raise ValueError(
                    f"augment must return images of shape {tuple(images.shape)}, got "
                    f"{got}."
                )
            yield out, labels
