"""Images a second out of a folder of JPEGs: Pillow in a loop, beside threads, worker
processes and the cache.

    python benchmarks/bench_decoding.py [--quick] [--out docs/large-pools.md]

The folder holds crops of scikit-learn's two sample photos, enlarged to what a camera
gives, as JPEGs of quality 90. All ways are timed in this process, in turn, and give
images of 224 x 224. --out puts the table into the page.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from al_sklearn.datasets import ImageFiles
from al_sklearn.estimators import ImageDataset, ImageLoader

SIDE = 224
MARK = "## Decoding"


def write_photos(folder: Path, n: int, width: int) -> list[str]:
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    rng = np.random.default_rng(0)
    paths = []
    for i in range(n):
        photo = photos[i % 2]
        left, top = rng.integers(photo.width // 4), rng.integers(photo.height // 4)
        crop = photo.crop(
            (left, top, left + 3 * photo.width // 4, top + 3 * photo.height // 4)
        )
        paths.append(str(folder / f"{i:04d}.jpg"))
        crop.resize((width, 3 * width // 4), Image.Resampling.LANCZOS).save(
            paths[-1], quality=90
        )
    return paths


def pillow(paths: list[str]) -> np.ndarray:
    """What anybody would write."""
    return np.stack(
        [
            np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE)))
            for path in paths
        ]
    )


def ways(paths: list[str], cores: int, cache: Path) -> dict[str, Callable[[], object]]:
    kept = ImageFiles(paths, SIDE, cache=cache)

    def workers() -> None:
        for _ in ImageLoader(
            ImageDataset(paths, image_size=SIDE), 32, num_workers=cores
        ):
            pass

    return {
        "Pillow in a loop": lambda: pillow(paths),
        "ImageFiles, one thread": lambda: ImageFiles(paths, SIDE, n_threads=1)[:],
        f"ImageFiles, {cores} threads": lambda: ImageFiles(
            paths, SIDE, n_threads=cores
        )[:],
        f"ImageLoader, {cores} worker processes (with their start)": workers,
        "ImageFiles, kept on disk": lambda: kept[:],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="40 photos, once")
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--out", type=Path, help="put the table into this Markdown file"
    )
    arguments = parser.parse_args()
    n, repeats = (40, 1) if arguments.quick else (arguments.photos, arguments.repeats)
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(1)
    lines = [
        "| | "
        + " | ".join(
            f"{w}x{3 * w // 4}, images/s | times the loop" for w in (640, 1600)
        )
        + " |"
    ]
    lines.append("|" + "---|" * 5)
    columns: list[dict[str, float]] = []
    for width in (640, 1600):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            paths = write_photos(folder, n, width)
            jobs = ways(paths, cores, folder / "cache")
            seconds: dict[str, list[float]] = {name: [] for name in jobs}
            jobs[
                "ImageFiles, kept on disk"
            ]()  # the first pass decodes; it is the later ones that are shown
            for _ in range(repeats):
                for name, job in jobs.items():
                    start = time.perf_counter()
                    job()
                    seconds[name].append(time.perf_counter() - start)
            columns.append(
                {
                    name: n / statistics.median(values)
                    for name, values in seconds.items()
                }
            )
    for name in columns[0]:
        cells = [
            f"{column[name]:.0f} | {column[name] / column['Pillow in a loop']:.2f}"
            for column in columns
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    print("\n".join(lines))
    if arguments.out:
        options = " ".join(sys.argv[1:])
        made = (
            f"Made {datetime.date.today()} by `python "
            f"benchmarks/{Path(__file__).name} {options}` on {cores} cores of "
            f"{platform.machine()} {platform.system()}: {n} JPEGs of each size, "
            f"resized to {SIDE}x{SIDE}; medians of "
            f"{repeats}."
        )
        write(arguments.out, [made, "", *lines])


def write(path: Path, lines: list[str]) -> None:
    """Put the table before the page's figures of the large pool, in the place of an
    older one.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else "# Large pools\n"
    head, _, rest = text.partition(MARK)
    if not rest:
        head, figures, tail = text.partition("## Figures")
        rest = figures + tail
    else:
        figures = rest.find("\n## ")
        rest = rest[figures + 1 :] if figures >= 0 else ""
    path.write_text(
        f"{head.rstrip()}\n\n{MARK}\n\n"
        + "\n".join(lines)
        + f"\n\n{rest}".rstrip()
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
