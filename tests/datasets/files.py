"""Small files in the true formats, written through the formats' own libraries where
there are any."""

import gzip
import struct

import numpy as np
from PIL import Image


def write_idx(path, array, compress=True):
    codes = {np.dtype("uint8"): 0x08, np.dtype("float32"): 0x0D}
    raw = struct.pack(">HBB", 0, codes[array.dtype], array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    raw += array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw) if compress else raw)


def write_mnist(folder, compress=True):
    rng = np.random.default_rng(0)
    suffix = ".gz" if compress else ""
    written = {}
    for split, n in (("train", 30), ("t10k", 12)):
        written[split] = (
            rng.integers(0, 256, (n, 28, 28), dtype=np.uint8),
            (np.arange(n) % 10).astype(np.uint8),
        )
        write_idx(
            folder / f"{split}-images-idx3-ubyte{suffix}", written[split][0], compress
        )
        write_idx(
            folder / f"{split}-labels-idx1-ubyte{suffix}", written[split][1], compress
        )
    return written


def make_folder(folder, classes=("cat", "dog"), n=3):
    for label in classes:
        (folder / label / "inner").mkdir(parents=True)
        for i in range(n):
            Image.fromarray(np.full((4, 5, 3), i, np.uint8)).save(
                folder / label / "inner" / f"{i}.png"
            )
        (folder / label / "notes.txt").write_text("no image")


def sum_of_two(rows):
    """Here, where no torch is imported: a process that is spawned imports this
    module."""
    return int(rows[[5, 3]].sum())
