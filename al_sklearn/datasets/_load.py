"""``load_dataset``: a name in, training and test images out."""

from __future__ import annotations

import inspect
import os
import warnings
from pathlib import Path
from typing import Any

from al_sklearn.datasets._base import ImageData, check_option, find_source
from al_sklearn.datasets._check import check_files
from al_sklearn.rows import look_alikes


def load_dataset(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    download: bool = False,
    on_corrupt: str | None = None,
    n_jobs: int = -1,
    **options: Any,
) -> ImageData:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        One of :func:`dataset_names`: ``digits``, ``mnist``, ``fashion-mnist``,
        ``emnist``, ``cifar10``, ``cifar100``, ``svhn``, ``stl10``, ``imagenet``,
        ``stanford-dogs``, ``droughtwatch``; ``folder``, ``csv``, ``parquet``, ``hdf5``,
        ``npy``, ``npz``, ``zarr`` for data of one's own; and what
        :func:`register_dataset` added.
    data_dir : path, optional
        Folder of its files; for a table or an array file that file itself. ``digits``
        need none, and ``fashion-mnist`` is looked for where Debian's package
        ``dataset-fashion-mnist`` puts it.
    download : bool, default=False
        Fetch missing files into ``data_dir``. A download that broke off goes on where
        it stopped; checksums are compared.
    on_corrupt : {None, "raise", "skip"}, default=None
        Check everything before anything else: each image, where a data set is files of
        images, the records of ``droughtwatch``, and the checksums of CIFAR's and
        STL-10's files. ``"raise"`` stops at the first one that cannot be read;
        ``"skip"`` leaves such images and records out, and lists them in ``skipped`` of
        what is returned and in ``skipped.csv`` beside the data. None checks nothing.
    n_jobs : int, default=-1
        Threads of that check; -1 for one a core.
    **options
        Options of the data set: ``split`` of ``emnist``, ``bands`` of ``droughtwatch``,
        ``label_column`` of ``csv`` and so on; :func:`dataset_summaries` lists them,
        ``docs/datasets.md`` explains them.

    Returns
    -------
    ImageData

    Raises
    ------
    ValueError
        For an unknown name or option (those that exist are listed), a damaged file, a
        wrong checksum, or images and labels that do not match.
    FileNotFoundError
        When files are missing; which, and what to do.
    ImportError
        When a library is missing; which, and how it is installed.
    ConnectionError
        When a download failed; the same call goes on with it.

    Examples
    --------
    >>> load_dataset("digits")
    ImageData('digits': 1,437 to train, 360 to test, 10 classes)
    """
    source = find_source(name)
    if on_corrupt not in (None, "raise", "skip"):
        raise ValueError(
            f"on_corrupt must be None, 'raise' or 'skip', got {on_corrupt!r}."
        )
    # Before anything is fetched: a wrong word must not cost gigabytes.
    for option in options:
        check_option(name, option)
    folder = source.data_dir if data_dir is None else Path(data_dir).expanduser()
    if download and source.needs_files:
        if data_dir is None or folder is None:
            raise FileNotFoundError(
                f"{name}: give data_dir, the folder that the files are put into."
            )
        source.download(folder, **options)
    # Checksums first: they are quicker than decoding, and say which file it is.
    if on_corrupt is not None and folder is not None and folder.is_dir():
        source.verify(folder)
    # Some formats meet their damage while they are read.
    if "on_corrupt" in inspect.signature(source.load).parameters:
        options["on_corrupt"] = on_corrupt or "raise"
    data = source.load(folder, **options)
    _say_look_alikes(data)
    return data if on_corrupt is None else check_files(data, folder, on_corrupt, n_jobs)


def _say_look_alikes(data: ImageData) -> None:
    """Warn of classes whose names look the same: they are most likely one class."""
    pairs = look_alikes(list(data.class_names))
    if pairs:
        first = " and ".join(map(ascii, pairs[0]))
        warnings.warn(
            f"{data.name}: the classes {first} look the same, and are two classes; "
            "give both one name if they are one."
        )
