"""The iterators over batches: light, vectorised, and never leaving one image over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from al_sklearn._core.types import Array
from al_sklearn.estimators._augment import Augment
from al_sklearn.estimators._data import labels_of, read_batch
from al_sklearn.exceptions import ParameterError


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
    sampler : iterable of int, or callable, optional
        The positions of one pass, in its order, as torch's samplers give them; it has a
        length. A function is given the labels (n,) and returns one: where labels are
        added round by round, a sampler made for the first round would never draw those
        that came later.
    batch_sampler : iterable of lists of int, or callable, optional
        The same by the batch, in place of ``batch_size``.
    drop_last : bool, default=False
        Whether a last batch that is not full is left out.
    collate_fn : None
        There is none: batches are read at once, not image by image.
    on_weights : callable, optional
        Told the weights (b,) of each batch's images before it is yielded, where the
        data set has some.
    pin_memory, timeout, worker_init_fn : optional
    multiprocessing_context, prefetch_factor, persistent_workers : optional
        As in :class:`torch.utils.data.DataLoader`, for ``num_workers`` > 0.

    Raises
    ------
    ParameterError
        For options that contradict each other, or leave no batch.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 256,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        min_batches: int = 1,
        num_workers: int = 0,
        *,
        sampler: Any = None,
        batch_sampler: Any = None,
        drop_last: bool = False,
        collate_fn: None = None,
        on_weights: Callable[[Array | None], None] | None = None,
        pin_memory: bool = False,
        timeout: float = 0,
        worker_init_fn: Any = None,
        multiprocessing_context: Any = None,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ):
        if batch_size < 1:
            raise ValueError(
                "batch_size must be at least 1, or -1 for all images, got "
                f"{batch_size}."
            )
        if collate_fn is not None:
            raise ParameterError(
                "ImageLoader reads whole batches and has no use for a collate_fn: use "
                "iterator_train=torch.utils.data.DataLoader, or augment=.",
                "collate_fn",
            )
        orders = {"sampler": sampler, "batch_sampler": batch_sampler}
        given = [name for name, order in orders.items() if order is not None]
        if len(given) > 1 or (given and shuffle):
            both = [*given, "shuffle"] if shuffle else given
            raise ParameterError(
                f"{' and '.join(both)} each say the order of the images: give one.",
                *both,
            )
        if batch_sampler is not None and drop_last:
            raise ParameterError(
                "A batch_sampler says what is in each batch: drop_last is its own.",
                "drop_last",
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.generator = generator if generator is not None else torch.Generator()
        if generator is None and shuffle:
            self.generator.seed()
        self.min_batches = min_batches
        self.num_workers = num_workers
        self.sampler = _order_for(sampler, dataset)
        self.batch_sampler = _order_for(batch_sampler, dataset)
        self.drop_last = drop_last
        self.on_weights = on_weights
        self.worker_options = {
            "pin_memory": pin_memory,
            "timeout": timeout,
            "worker_init_fn": worker_init_fn,
            "multiprocessing_context": multiprocessing_context,
            "prefetch_factor": prefetch_factor,
            "persistent_workers": persistent_workers,
        }
        useless = [name for name, value in self.worker_options.items() if value]
        if useless and num_workers == 0:
            raise ParameterError(
                f"{', '.join(useless)} is for worker processes: give num_workers of at "
                "least 1, too.",
                *useless,
            )
        # The workers' own draws (of a data set that augments) differ from pass to pass;
        # the order's generator gives what it gives without workers.
        seed = self.generator.initial_seed() % 2**63
        self._workers_generator = torch.Generator().manual_seed(seed)
        self._workers: DataLoader | None = None
        if self._batches_a_pass() == 0:
            raise ParameterError(
                f"There is no batch to train on: {len(dataset)} images at "
                f"batch_size={batch_size}, drop_last={drop_last}"
                f"{', ' + given[0] if given else ''}.",
                *(given or ["drop_last", "batch_size"]),
            )

    def _bounds(self, n: int) -> list[tuple[int, int]]:
        starts = list(range(0, n, self.batch_size))
        if self.drop_last:
            return [(at, at + self.batch_size) for at in starts[: n // self.batch_size]]
        if not starts:
            return []
        if len(starts) > 1 and n - starts[-1] == 1:
            # BatchNorm has no variance of one image: it is joined to the batch before.
            starts.pop()
        return list(zip(starts, [*starts[1:], n], strict=True))

    def _batches_a_pass(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)
        order = self.dataset if self.sampler is None else self.sampler
        return len(self._bounds(len(order)))

    def __len__(self) -> int:
        return max(self._batches_a_pass(), self.min_batches)

    def _one_pass(self) -> list[Array] | list[slice]:
        n = len(self.dataset)
        if self.batch_sampler is not None:
            return [_positions(batch, n) for batch in self.batch_sampler]
        if self.sampler is not None:
            order = _positions(self.sampler, n)
        elif self.shuffle:
            order = torch.randperm(n, generator=self.generator).numpy()
        else:
            return [slice(start, stop) for start, stop in self._bounds(n)]
        return [order[start:stop] for start, stop in self._bounds(len(order))]

    def _index_batches(self) -> Iterator[Array | slice]:
        todo = len(self)
        while todo > 0:
            batches = self._one_pass()[:todo]
            if not batches:
                raise ParameterError("The sampler gave no position.", "sampler")
            yield from batches
            todo -= len(batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Array]]:
        for images, labels, weights in self._read():
            if self.on_weights is not None:
                self.on_weights(weights)
            yield images, labels

    def _read(self) -> Iterable[tuple[Tensor, Array, Array | None]]:
        if self.num_workers == 0:
            # DataLoader costs more than the step itself on twenty images: this loop is
            # all that is needed.
            return (
                read_batch(self.dataset, indices) for indices in self._index_batches()
            )
        # Persistent workers live as long as the one that started them.
        workers = self._workers or DataLoader(
            _Batches(self.dataset),
            sampler=_EachPass(self._index_batches, len(self)),
            batch_size=None,
            num_workers=self.num_workers,
            generator=self._workers_generator,
            **self.worker_options,
        )
        if self.worker_options["persistent_workers"]:
            self._workers = workers
        return workers


def _order_for(order: Any, dataset: Any) -> Any:
    """Return a sampler for a data set: what was given, or what it makes of the labels.

    Raises
    ------
    ParameterError
        For one that has no length, or was made for another number of images.
    """
    if order is None:
        return None
    made = order(labels_of(dataset)) if callable(order) else order
    # Batches of a sampler: what it takes them from knows how many there are.
    inner = getattr(made, "sampler", made)
    for name in ("weights", "data_source"):
        known = getattr(inner, name, None)
        if known is not None and len(known) != len(dataset):
            raise ParameterError(
                f"{type(made).__name__} was made for {len(known)} images, here are "
                f"{len(dataset)}: give a function that makes it of the labels, as "
                "sampler=lambda y: WeightedRandomSampler(weights_of(y), len(y)).",
                "sampler",
            )
    if not isinstance(made, Sized):
        raise ParameterError(
            f"A sampler has a length and gives positions, got {type(made).__name__}.",
            "sampler",
        )
    return made


def _positions(order: Any, n: int) -> Array:
    """Return positions as an array, checked: those from the end would be a mistake."""
    positions = np.asarray([int(i) for i in order], dtype=np.int64)
    if positions.size and (positions.min() < 0 or positions.max() >= n):
        raise ParameterError(
            f"The sampler gave position {positions.max()} (smallest "
            f"{positions.min()}); allowed is 0 … {n - 1}, the images at hand.",
            "sampler",
        )
    return positions


class _EachPass(Sampler):
    """Batches of positions drawn anew for each pass, for workers."""

    def __init__(self, draw: Callable[[], Iterator[Array | slice]], n: int):
        self.draw = draw
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Any]:
        return self.draw()


class _Batches(Dataset):
    """A data set whose index is a whole batch of indices, for workers."""

    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __getitem__(self, indices: Array | slice) -> tuple[Tensor, Array, Array | None]:
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
