"""A pool of a million images in one file: memory and time of a query, beside a plain
torch loop over the same file.

    python benchmarks/bench_pool.py [--quick] [--out docs/large-pools.md]

The images are Fashion-MNIST's where Debian's package is installed (else scikit-learn's
digits, enlarged), repeated with small shifts. Every line of the table is a process of
its own, so that its memory is its own. The plain loop has the same network in
evaluation mode, the same batches and layout, reads batch by batch, and keeps the
probabilities. --out puts the figures into the page, after its text.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

LIMIT = "1 GB"
FIGURES = "## Figures"
# Of the jobs that are about disk and selection rather than about the network's speed.
PART = 100_000


def images(
    n: int, seed: int = 0
) -> tuple[Iterator[np.ndarray], np.ndarray, np.ndarray, str]:
    """Pieces of the pool, and real images with labels to train on."""
    import torch
    from sklearn.datasets import load_digits

    from al_sklearn import load_dataset

    try:
        data = load_dataset("fashion-mnist")
        X, y, name = np.asarray(data.X_train), np.asarray(data.y_train), "Fashion-MNIST"
    except FileNotFoundError:
        bunch = load_digits()
        small = torch.tensor(bunch.images * (255 / 16), dtype=torch.float32)[:, None]
        large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")[
            :, 0
        ]
        X, y, name = large.round().to(torch.uint8).numpy(), bunch.target, "digits"
    rng = np.random.default_rng(seed)

    def pieces() -> Iterator[np.ndarray]:
        for start in range(0, n, 20_000):
            rows = X[rng.integers(len(X), size=min(20_000, n - start))]
            shifts = rng.integers(-2, 3, size=(2, len(rows)))
            down, right = (
                (np.arange(28)[None] - shift[:, None]) % 28 for shift in shifts
            )
            yield rows[
                np.arange(len(rows))[:, None, None], down[:, :, None], right[:, None, :]
            ]

    return pieces(), X[:2000], y[:2000], name


def prepare(folder: Path, n: int) -> str:
    """Write pool.npy and, where h5py is installed, pool.h5; train the network; return
    what the images are.
    """
    from al_sklearn import ImageClassifier

    pieces, X, y, name = images(n)
    try:
        import h5py
    except ImportError:
        h5py = None
    pool = np.lib.format.open_memmap(folder / "pool.npy", "w+", np.uint8, (n, 28, 28))
    file = None if h5py is None else h5py.File(folder / "pool.h5", "w")
    rows = (
        None
        if file is None
        else file.create_dataset("images", (n, 28, 28), np.uint8, chunks=(1024, 28, 28))
    )
    start = 0
    for piece in pieces:
        pool[start : start + len(piece)] = piece
        if rows is not None:
            rows[start : start + len(piece)] = piece
        start += len(piece)
    pool.flush()
    if file is not None:
        file.close()
    net = ImageClassifier("small_cnn", max_epochs=3, random_state=0).fit(X, y)
    (folder / "net.pickle").write_bytes(pickle.dumps(net))
    return name


def opened(folder: Path, kind: str) -> Any:
    if kind == "memmap":
        return np.load(folder / "pool.npy", mmap_mode="r")
    import h5py

    return h5py.File(folder / "pool.h5")["images"]


def plain_loop(net: Any, X: Any) -> np.ndarray:
    """What anybody would write: batches out of the file, through the network,
    probabilities kept.
    """
    import torch

    module, batch = net.module_.eval(), net._scoring_batch_size()
    mean, std = (
        torch.from_numpy(part).view(1, -1, 1, 1) for part in net.image_statistics_
    )
    scale, shift = 1 / (255 * std), mean / std
    out = np.empty((len(X), len(net.classes_)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(X), batch):
            rows = torch.from_numpy(np.array(X[start : start + batch]))[:, None].float()
            rows = (
                rows.mul_(scale)
                .sub_(shift)
                .contiguous(memory_format=torch.channels_last)
            )
            out[start : start + batch] = module(rows).softmax(dim=1).numpy()
    return out


def status_mb(name: str) -> float:
    """One size out of /proc; getrusage's would still hold the process that started this
    one.
    """
    with open("/proc/self/status") as status:
        return next(
            int(line.split()[1]) / 1024
            for line in status
            if line.startswith(name + ":")
        )


class Memory:
    """Largest memory that is this process' own (without mapped files and libraries)
    while it works.
    """

    def __enter__(self) -> Memory:
        self.own_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.own_mb = max(self.own_mb, status_mb("RssAnon"))

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def jobs(net: Any, X: Any, b: int, folder: Path) -> dict[str, Callable[[], Any]]:
    from al_sklearn import inference
    from al_sklearn.pool import view_rows
    from al_sklearn.strategies import margin, subsample, without_near_duplicates

    part = view_rows(X, slice(0, min(PART, len(X))))
    return {
        "plain loop": lambda: plain_loop(net, X),
        "margin": lambda: margin(net, X, b),
        "embed": lambda: inference.proba_and_embed(net, part)[1].shape,
        "coreset of a part": lambda: subsample("coreset", 20_000)(
            net, X, b, random_state=0
        ),
        "without near-duplicates": lambda: without_near_duplicates("margin", 0.999)(
            net, part, b
        ),
    }


def work(job: str, kind: str, folder: Path, b: int, threads: int) -> dict[str, Any]:
    """One job, in this process."""
    import torch

    from al_sklearn.config import config_context

    torch.set_num_threads(threads)
    net = pickle.loads((folder / "net.pickle").read_bytes())
    X = opened(folder, kind)
    net.predict_proba(X[:2000])  # first calls are not its time
    cache = folder / "cache" if job == "embed" else None
    with Memory() as memory, config_context(max_memory=LIMIT, cache=cache):
        wall, cpu = time.perf_counter(), time.process_time()
        jobs(net, X, b, folder)[job]()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "seconds": wall,
        "cpu": cpu,
        "own": memory.own_mb,
        "peak": status_mb("VmHWM"),
    }


def run(job: str, kind: str, folder: Path, b: int, threads: int) -> dict[str, Any]:
    command = [
        sys.executable,
        __file__,
        "--worker",
        job,
        "--kind",
        kind,
        "--folder",
        str(folder),
    ]
    done = subprocess.run(
        [*command, "--instances", str(b), "--threads", str(threads)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{job} on {kind} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def bookkeeping(n: int) -> list[str]:
    """Milliseconds of what a pool of n positions does."""
    from al_sklearn import Pool

    rng = np.random.default_rng(0)
    order = rng.permutation(n)
    pool = Pool(n)
    pool.move(order[: n // 10], "labelled")
    start = n // 10
    lines = ["| bookkeeping | milliseconds |", "|---|---|"]

    def move() -> None:
        nonlocal start
        pool.move(order[start : start + 1000], "labelled")
        start += 1000

    def there_and_back() -> None:
        pool.move(order[-n // 2 :], "pending")
        pool.move(order[-n // 2 :], "unlabelled")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.npz"
        for name, action in (
            ("1,000 more labelled", move),
            ("positions unlabelled", lambda: pool.unlabelled),
            (
                "state of 1,000 positions, one by one",
                lambda: [pool.state_of(i) for i in range(1000)],
            ),
            ("how many in each state", pool.counts),
            (f"{n // 2:,} positions sent to people and back", there_and_back),
            ("save and load", lambda: (pool.save(path), Pool.load(path))),
        ):
            taken = []
            for _ in range(9):
                begun = time.perf_counter()
                action()
                taken.append(1000 * (time.perf_counter() - begun))
            lines.append(f"| {name} | {sorted(taken)[4]:.2g} |")
    return lines


def imports() -> list[str]:
    """Seconds of imports in a new process, and whether torchvision came along."""
    code = "import time; t = time.perf_counter(); {}; t = time.perf_counter() - t; "
    code += "import sys; print(t, 'torchvision' in sys.modules)"
    lines = ["| import | seconds | torchvision imported |", "|---|---|---|"]
    for name in ("", "ActiveLearner", "ImageClassifier"):
        statement = f"from al_sklearn import {name}" if name else "import al_sklearn"
        taken = []
        for _ in range(3):
            out = subprocess.run(
                [sys.executable, "-c", code.format(statement)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
            taken.append(float(out[0]))
        lines.append(
            f"| `{statement}` | {sorted(taken)[1]:.2g} | "
            f"{'yes' if out[1] == 'True' else 'no'} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="50,000 images")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument(
        "--instances", type=int, default=1_000, help="how many are asked for"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="torch threads",
    )
    parser.add_argument(
        "--out", type=Path, help="put the figures into this Markdown file"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="where the pool is written (default: a temporary folder)",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    b, threads = arguments.instances, arguments.threads
    if arguments.worker:
        print(
            json.dumps(
                work(arguments.worker, arguments.kind, arguments.folder, b, threads)
            )
        )
        return
    n = 50_000 if arguments.quick else arguments.images
    begun = time.perf_counter()
    table = [
        "| work | file | seconds | CPU s | × the plain loop | peak memory, MB | of it "
        "its own, MB |"
    ]
    table.append("|" + "---|" * 7)

    def add(name: str, kind: str, result: dict[str, Any], plain: float | None) -> None:
        ratio = "" if plain is None else f"{result['seconds'] / plain:.2f}"
        numbers = [f"{result['seconds']:.1f}", f"{result['cpu']:.1f}", ratio]
        cells = [name, kind, *numbers, f"{result['peak']:.0f}", f"{result['own']:.0f}"]
        print("  ".join(cells), flush=True)
        table.append("| " + " | ".join(cells) + " |")

    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder = Path(temporary)
        name = prepare(folder, n)
        size = (folder / "pool.npy").stat().st_size / 2**20
        kinds = ["memmap"] + (["HDF5"] if (folder / "pool.h5").exists() else [])
        for kind in kinds:
            # Before and after, where the machine's mood would decide; the mean of both
            # is what we are held against.
            first = run("plain loop", kind, folder, b, threads)
            add("plain torch loop", kind, first, None)
            ours = run("margin", kind, folder, b, threads)
            second = first
            if kind == "memmap":
                second = run("plain loop", kind, folder, b, threads)
                add("plain torch loop, again", kind, second, None)
            add(
                f"margin, {b:,} of {n:,}",
                kind,
                ours,
                (first["seconds"] + second["seconds"]) / 2,
            )
        some = min(PART, n)
        for label in (f"embed {some:,}, kept on disk", "the same, asked again"):
            add(label, "memmap", run("embed", "memmap", folder, b, threads), None)
        add(
            f"subsample(coreset, 20,000), {b:,} of {n:,}",
            "memmap",
            run("coreset of a part", "memmap", folder, b, threads),
            None,
        )
        add(
            f"without_near_duplicates(margin), {b:,} of {some:,}",
            "memmap",
            run("without near-duplicates", "memmap", folder, b, threads),
            None,
        )
    shown = [*table, "", *bookkeeping(n), "", *imports()]
    print("\n".join(shown[len(table) :]))
    print(f"all of it: {time.perf_counter() - begun:.0f} s")
    if arguments.out:
        options = " ".join(sys.argv[1:])
        made = (
            f"Made {datetime.date.today()} by `python "
            f"benchmarks/{Path(__file__).name} {options}` with {threads} "
            f"threads on {platform.machine()} {platform.system()}: {n:,} {name} "
            f"images of 28x28 ({size:.0f} MB), "
            f'`small_cnn`, `max_memory="{LIMIT}"`. Peak memory is the whole '
            "process': Python and "
            "torch with their libraries (some hundred MB) and the pages of mapped "
            "files are in it."
        )
        write(arguments.out, [made, "", *shown])


def write(path: Path, lines: list[str]) -> None:
    """Put the figures after the page's text, in the place of older ones."""
    text = (
        path.read_text(encoding="utf-8").partition(FIGURES)[0].rstrip()
        if path.exists()
        else "# Large pools"
    )
    path.write_text(
        f"{text}\n\n{FIGURES}\n\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
