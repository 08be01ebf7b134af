"""DroughtWatch: satellite images, converted from TFRecord to HDF5 once.

The images show Northern Kenya.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.optional import require
from al_sklearn._core.progress import tqdm
from al_sklearn._core.types import Array
from al_sklearn.datasets._base import (
    DataSource,
    ImageData,
    Skipped,
    existing,
    register_dataset,
)
from al_sklearn.datasets._download import Remote, fetch_archive
from al_sklearn.datasets._lazy import Hdf5Rows
from al_sklearn.datasets._tfrecord import read_records

BANDS = tuple(f"B{i}" for i in range(1, 12))
_SIDE = 65
_SHAPE = (_SIDE, _SIDE, len(BANDS))
_SPLITS = ("train", "val")
_CLASSES = {4: ("0 cows", "1 cow", "2 cows", "3+ cows"), 2: ("0 cows", "1+ cows")}
# Records in a piece: what an interruption costs at most, and what is held in memory
# (24 MB).
_PIECE = 512


@register_dataset("droughtwatch")
class DroughtWatch(DataSource):
    """86,317 + 10,778 satellite images of grazing land, 65x65 in 11 bands.

    The labels say how many cows the land can feed.

    The labels are experts' on the ground: 0, 1, 2, 3 or more cows. The bands are
    Landsat 8's B1 to B11.
    """

    remote = Remote(
        ("https://storage.googleapis.com/wandb_datasets/dw_train_86K_val_10K.zip",),
        "sha256:e6ad6a0a203aa7813245a713f1d156f1a8c2f8747bc9438be387144440fc3e1e",
    )

    def load(
        self,
        data_dir: Path | None,
        *,
        bands: str | Sequence[str] = "all",
        classes: int = 4,
        hdf5_dir: str | os.PathLike[str] | None = None,
        on_corrupt: str = "raise",
    ) -> ImageData:
        """Read the HDF5 files, made first where they are not there yet.

        They are made from the TFRecord files.

        Parameters
        ----------
        data_dir : Path
            Folder with ``train`` and ``val``, which hold ``part-…`` files; or with the
            HDF5 files.
        bands : {"all", "rgb"} or sequence of str, default="all"
            ``"rgb"`` is B4, B3, B2; or names, also separated by commas.
        classes : {4, 2}, default=4
            2 asks for cows or none.
        hdf5_dir : path, optional
            Where the HDF5 files are; ``data_dir`` by default.
        on_corrupt : {"raise", "skip"}, default="raise"
            What to do with damaged records while converting.
        """
        data_dir = existing(
            data_dir,
            "droughtwatch: data_dir must be the folder with train and val, or the one "
            "to download to",
            Path.is_dir,
        )
        channels = _channels(bands)
        if classes not in _CLASSES:
            raise ValueError(
                f"droughtwatch has 4 classes, or 2; got classes={classes!r}."
            )
        target = data_dir if hdf5_dir is None else Path(hdf5_dir)
        train, test = (
            _converted(split, data_dir, target, on_corrupt) for split in _SPLITS
        )
        skipped = _attribute(train, "skipped") + _attribute(test, "skipped")
        return ImageData(
            "droughtwatch",
            Hdf5Rows(train, "images", channels),
            _labels(train, classes),
            Hdf5Rows(test, "images", channels),
            _labels(test, classes),
            _CLASSES[classes],
            skipped=tuple(Skipped(*row) for row in skipped),
        )

    def download(self, data_dir: Path, **options: Any) -> None:
        """Fetch and unpack the archive (4.3 GB), unless its files are there."""
        # None where it was not given.
        target = Path(options.get("hdf5_dir") or data_dir)
        for split in _SPLITS:
            # Converted once, the 4.3 GB are needed no more.
            if not _hdf5(target, split).is_file() and not _parts(data_dir, split):
                fetch_archive(self.remote, data_dir)


def _channels(bands: str | Sequence[str]) -> list[int] | None:
    if bands == "all":
        return None
    if bands == "rgb":
        # Landsat counts from the blue end: red, green and blue are these.
        names: Sequence[str] = ("B4", "B3", "B2")
    else:
        names = bands.split(",") if isinstance(bands, str) else bands
    if not names:
        raise ValueError("bands is empty: give 'all', 'rgb', or names from B1 to B11.")
    for name in names:
        if name not in BANDS:
            raise unknown_name("band", name, ("all", "rgb", *BANDS))
    # In the caller's order: a network knows its channels by their places.
    return [BANDS.index(name) for name in names]


def _hdf5(folder: Path, split: str) -> Path:
    return folder / f"droughtwatch_{split}.h5"


def _parts(data_dir: Path, split: str) -> list[Path]:
    for root in (data_dir, data_dir / "droughtwatch_data", data_dir / "data"):
        # "…gstmp" is what an interrupted copy from the cloud leaves.
        paths = sorted(root.glob(f"{split}/part-*"))
        if found := [path for path in paths if path.suffix != ".gstmp"]:
            return found
    return []


def _converted(split: str, data_dir: Path, target: Path, on_corrupt: str) -> Path:
    """Path of the HDF5 file of a split, which is made when it is not there."""
    path, parts = _hdf5(target, split), _parts(data_dir, split)
    if path.is_file():
        if parts and _attribute(path, "sources") != _sources(parts):
            raise ValueError(
                f"{path} was made from other files than those in {parts[0].parent}: "
                "delete it."
            )
        return path
    if not parts:
        raise FileNotFoundError(
            f"droughtwatch: no {path.name} in {target}, and no files {split}/part-… "
            f"in {data_dir} to make it from; give the folder with train and val as "
            "data_dir, or download=True."
        )
    convert(parts, path, on_corrupt)
    return path


def convert(parts: Sequence[Path], path: Path, on_corrupt: str) -> None:
    """Convert TFRecord files of DroughtWatch to one HDF5 file.

    The HDF5 file is there whole or not at all.

    The images become ``images`` (n, 65, 65, 11) uint8, the labels ``labels`` (n,).
    Pieces are kept beside ``path`` while this works: when it is stopped at any moment,
    the next call goes on after the last piece.

    Parameters
    ----------
    parts : sequence of Path
        The files, in the order that their records are wanted in.
    path : Path
    on_corrupt : {"raise", "skip"}
        Damaged records: stop, or leave them out and list them in the file's attribute
        ``skipped``.

    Raises
    ------
    ValueError
        For a damaged record, which is named, when ``on_corrupt="raise"``.
    """
    sources = _sources(parts)
    folder = path.with_name(f".{path.name}.pieces")
    folder.mkdir(parents=True, exist_ok=True)
    # A kill leaves the piece that was being written under another name.
    for leftover in folder.glob("*.tmp"):
        leftover.unlink()
    pieces = sorted(folder.glob("*.h5"))
    if pieces and _attribute(pieces[0], "sources") != sources:
        # Of an earlier set of files.
        for piece in pieces:
            piece.unlink()
        pieces = []
    # Each piece says where the next one begins, so that none is decoded twice.
    part, offset = _attribute(pieces[-1], "next") if pieces else (0, 0)
    # Bytes before each file, for the bar.
    before = [0, *itertools.accumulate(size for _, size in sources)]
    records = _records(parts, part, offset, on_corrupt)
    with tqdm(
        total=before[-1],
        initial=before[part] + offset,
        desc=f"converting {path.stem}",
        unit="B",
        unit_scale=True,
    ) as bar:
        while batch := list(itertools.islice(records, _PIECE)):
            found, following = zip(*batch, strict=True)
            good = [one for one in found if not isinstance(one, Skipped)]
            skipped = [one for one in found if isinstance(one, Skipped)]
            piece = folder / f"{len(pieces):06d}.h5"
            with _whole_hdf5(
                piece, sources, next=following[-1], skipped=skipped
            ) as file:
                images = np.array([image for image, _ in good], np.uint8)
                # Of a shape even where nothing of a piece could be read.
                file["images"] = images.reshape(-1, *_SHAPE)
                file["labels"] = np.array([label for _, label in good], np.uint8)
            pieces.append(piece)
            part, offset = following[-1]
            bar.update(before[part] + offset - bar.n)
    _join(pieces, path, sources)
    # Only now: until the whole is there, they are all that an interruption leaves.
    shutil.rmtree(folder)


def _records(
    parts: Sequence[Path], part: int, offset: int, on_corrupt: str
) -> Iterator[tuple[Any, tuple[int, int]]]:
    """Yield image and label of each record, or what was skipped; and where to go on."""
    for number in range(part, len(parts)):
        for record in read_records(parts[number], offset):
            decoded: Any = record.problem or _decode(record.content)
            if isinstance(decoded, str):
                if on_corrupt == "raise":
                    raise ValueError(
                        f"{parts[number]}: {decoded}. Fetch the file again, or leave "
                        "such records out with on_corrupt='skip'. What was converted "
                        "so far is kept."
                    )
                decoded = Skipped(str(parts[number]), decoded)
            yield decoded, (number, record.end)
        # Of the first file alone: the others are read from their beginnings.
        offset = 0


def _decode(content: bytes) -> tuple[Array, int] | str:
    """Image (65, 65, 11) and label of a ``tf.train.Example``, or what is wrong."""
    example_pb2 = require("tfrecord.example_pb2", "Reading TFRecord")
    errors = require("google.protobuf.message", "Reading TFRecord")
    try:
        feature = example_pb2.Example.FromString(content).features.feature
    except errors.DecodeError as error:
        return f"a record is no tf.train.Example ({error})"
    image = np.empty(_SHAPE, np.uint8)
    for channel, band in enumerate(BANDS):
        # Of a feature that is not there it holds no values.
        values = feature[band].bytes_list.value
        # Some bands have a few bytes more than the image: those come after it.
        if len(values) != 1 or len(values[0]) < _SIDE * _SIDE:
            return f"a record has no whole band {band}"
        pixels = np.frombuffer(values[0], np.uint8, _SIDE * _SIDE)
        image[..., channel] = pixels.reshape(_SIDE, _SIDE)
    label = list(feature["label"].int64_list.value)
    if len(label) != 1 or not 0 <= label[0] <= 3:
        return f"a record has the label {label}, which should be one of 0, 1, 2, 3"
    return image, label[0]


def _join(pieces: Sequence[Path], path: Path, sources: list[list[Any]]) -> None:
    skipped = [problem for piece in pieces for problem in _attribute(piece, "skipped")]
    labels = [Hdf5Rows(piece, "labels")[:] for piece in pieces]
    n = sum(map(len, labels))
    if n == 0:
        raise ValueError(
            f"{path.name}: not one record can be read from {sources[0][0]} and what "
            "follows it."
        )
    with _whole_hdf5(path, sources, skipped=skipped, bands=BANDS) as file:
        file["labels"] = np.concatenate(labels)
        # In one block, not in chunks: rows are read in any order.
        images = file.create_dataset("images", (n, *_SHAPE), np.uint8)
        start = 0
        # Piece by piece: all of them are 4 GB.
        for piece in pieces:
            rows = Hdf5Rows(piece, "images")[:]
            images[start : start + len(rows)] = rows
            start += len(rows)


@contextmanager
def _whole_hdf5(
    path: Path, sources: list[list[Any]], **attributes: Any
) -> Iterator[Any]:
    """An HDF5 file that takes its name only once it is whole."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with require("h5py", "Writing HDF5").File(temporary, "w") as file:
            yield file
            # As text: HDF5 has no attributes that are lists of pairs.
            for name, value in {"sources": sources, **attributes}.items():
                file.attrs[name] = json.dumps(value)
        os.replace(temporary, path)
    except BaseException:
        # Ctrl-C too.
        temporary.unlink(missing_ok=True)
        raise


def _sources(parts: Sequence[Path]) -> list[list[Any]]:
    # Names and sizes: checksums of 4 GB at each load would take longer than the load.
    return [[path.name, path.stat().st_size] for path in parts]


def _attribute(path: Path, name: str) -> Any:
    with require("h5py", "Reading HDF5").File(path, "r") as file:
        return json.loads(file.attrs[name])


def _labels(path: Path, classes: int) -> Array:
    # Of two classes the second is all that are not 0.
    return np.minimum(Hdf5Rows(path, "labels")[:].astype(np.int64), classes - 1)
