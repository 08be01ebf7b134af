"""coreset, BADGE, entropy and BALD beside their peers, in one process.

    python benchmarks/bench_strategies.py [--quick] [--only coreset badge entropy bald
    topk] [--out docs/benchmarks.md]

Peers: scikit-activeml and modAL (extra `bench`), and baal and bmdal_reg where they can
be imported; what is not there is left out and said. "reference" is the textbook loop,
written here. A peer that would need more than a few minutes gets a smaller size, beside
us at the same size.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from _data import features, probabilities
from _harness import Measurement, Page, Row, measure

from al_sklearn.strategies import measures
from al_sklearn.strategies._engine.products import inner_products
from al_sklearn.strategies.selectors import gradient_kmeans_plusplus, k_center, top_k

REMARKS = """
Medians of five calls in one process (up to fifty where they take milliseconds, fewer where they take seconds), wall
seconds; "× ours" is seconds divided by those of al_sklearn **at the same size**. Features are 50 (or C) Gaussian
clusters through a ReLU, in float32, as the last layer of a network gives them; probabilities are softmax outputs. Peak
memory is the growth of the process while the function runs. "bound" is work that nobody can avoid who looks at all the
data once: the matrix product against the labelled points (k-center) or against the batch (BADGE), or reading every
probability.
"""


class Bench:
    """The cases; each adds its rows to the page."""

    def __init__(self, page: Page, quick: bool) -> None:
        self.page, self.quick = page, quick

    def ours(
        self,
        work: str,
        size: str,
        function: Callable[[], Any],
        note: Callable[[Any], str] = lambda result: "",
    ) -> Measurement:
        """Time al_sklearn; the first call of five also warms up."""
        taken = measure(function, repeats=5)
        row = Row(work, size, "**al_sklearn**", "ours", note=note(taken.result))
        self.page.add(row.fill(taken, taken))
        return taken

    def peer(
        self,
        work: str,
        size: str,
        who: str,
        ours: Measurement,
        function: Callable[[], Any],
        note: Callable[[Any], str] = lambda result: "",
        needs: str | None = None,
    ) -> None:
        """Time a peer that `needs` a package, a "bound" or a "reference" by the first
        word of `who`.
        """
        if needs is not None:
            try:
                import_module(needs)  # before the clock runs
            except ImportError as error:
                self.page.add(Row(work, size, who, note=f"not there: {error}"))
                return
        kind = next((k for k in ("bound", "reference") if who.startswith(k)), "peer")
        taken = measure(function, repeats=3)
        self.page.add(
            Row(work, size, who, kind, note=note(taken.result)).fill(taken, ours)
        )

    # k-center

    def coreset(self) -> None:
        """k-center greedy from many labelled points."""
        sizes = [(50_000, 512, 5_000, 1_000), (200_000, 128, 1_000, 1_000)]
        if self.quick:
            sizes = [(5_000, 128, 500, 200)]
        for n, d, n_labelled, b in sizes:
            work, size = "coreset", f"n={n} d={d} l={n_labelled} b={b}"
            both = features(n + n_labelled, d, 50)
            X, L = both[:n], both[n:]
            ours = self.ours(
                work, size, lambda X=X, L=L, b=b: k_center(X, b, labelled=L)
            )
            picks = ours.result[0]
            self.peer(work, size, "bound: X·Lᵀ", ours, lambda X=X, L=L: gemm(X, L))
            self.peer(
                work,
                size,
                "reference, float32 loop",
                ours,
                lambda X=X, L=L, b=b: loop(X, L, b),
                agreement(X, L, picks),
            )
            self.peer(
                work,
                size,
                "scikit-activeml CoreSet",
                ours,
                lambda both=both, n=n, b=b: skactiveml_coreset(both, n, b),
                agreement(X, L, picks),
                "skactiveml.pool",
            )
            self.peer(
                work,
                size,
                "bmdal_reg maxdist",
                ours,
                lambda X=X, L=L, b=b: bmdal("MaxDist", [X], [L], b),
                agreement(X, L, picks),
                "bmdal_reg.bmdal.selection",
            )

    # BADGE

    def badge(self) -> None:
        """k-means++ on gradient factors."""
        n, d, b = (3_000, 64, 100) if self.quick else (50_000, 512, 1_000)
        for n_classes in (10, 100):
            work, size = "badge", f"n={n} d={d} C={n_classes} b={b}"
            A, H = gradient_factors(n, d, n_classes)
            drawn = potential(A, H)
            ours = self.ours(
                work,
                size,
                lambda A=A, H=H: gradient_kmeans_plusplus(H, A, b, random_state=0),
                lambda result, drawn=drawn: drawn(result[0]),
            )
            self.peer(
                work,
                size,
                "bound: (H·Hᵦᵀ)(A·Aᵦᵀ)",
                ours,
                lambda A=A, H=H: (gemm(H, H[:b]), gemm(A, A[:b])),
            )
            self.peer(
                work,
                size,
                "reference, factorised loop",
                ours,
                lambda A=A, H=H: factorised_loop(A, H, b, 0),
                drawn,
            )
            self.peer(
                work,
                size,
                "bmdal_reg kmeanspp",
                ours,
                lambda A=A, H=H: bmdal("Kmeanspp", [A, H], [A[:1], H[:1]], b),
                drawn,
                "bmdal_reg.bmdal.selection",
            )
            # scikit-activeml makes the n × C·d matrix and goes over it for each pick: a
            # pool that it can hold.
            few, n_small = (
                (b, n) if self.quick else (200, 4_000 if n_classes == 10 else 1_000)
            )
            work, size = "badge", f"n={n_small} d={d} C={n_classes} b={few}"
            A, H = A[:n_small], H[:n_small]
            if not self.quick:
                ours = self.ours(
                    work,
                    size,
                    lambda A=A, H=H, few=few: gradient_kmeans_plusplus(
                        H, A, few, random_state=0
                    ),
                )
            self.peer(
                work,
                size,
                "scikit-activeml Badge",
                ours,
                lambda A=A, H=H, few=few: skactiveml_badge(A, H, few),
                potential(A, H),
                "skactiveml.pool",
            )

    # measures

    def entropy(self) -> None:
        """Entropy and the thousand highest."""
        n, k = (100_000, 1_000) if self.quick else (1_000_000, 1_000)
        P = probabilities(n, 10)
        work, size = "entropy + top", f"n={n} C=10 k={k}"
        ours = self.ours(work, size, lambda: top_k(measures.entropy(P), k))
        same = overlap(ours.result[0])
        self.peer(
            work, size, "bound: reading all", ours, lambda: torch.from_numpy(P).sum()
        )
        self.peer(
            work,
            size,
            "reference, numpy",
            ours,
            lambda: np.argsort(-entropy_numpy(P))[:k],
            same,
        )
        self.peer(
            work, size, "torch entr + topk", ours, lambda: torch_entropy_top(P, k), same
        )
        self.peer(
            work,
            size,
            "modAL entropy_sampling",
            ours,
            lambda: modal_entropy(P, k),
            same,
            "modAL.uncertainty",
        )
        # scikit-activeml makes a k × n matrix of utilities: a pool of which it takes
        # less than 1 GB.
        few = P[: min(n, 100_000)]
        size = f"n={len(few)} C=10 k={k}"
        if not self.quick:
            ours = self.ours(work, size, lambda: top_k(measures.entropy(few), k))
            same = overlap(ours.result[0])
        self.peer(
            work,
            size,
            "scikit-activeml",
            ours,
            lambda: skactiveml_entropy(few, k),
            same,
            "skactiveml.pool",
        )

    def topk(self) -> None:
        """Selection alone."""
        n, k = (100_000, 1_000) if self.quick else (1_000_000, 1_000)
        work, size = "top-k alone", f"n={n} k={k}"
        scores = np.random.default_rng(0).random(n, dtype=np.float32)
        ours = self.ours(work, size, lambda: top_k(scores, k))
        same = overlap(ours.result[0])
        self.peer(
            work,
            size,
            "numpy argpartition",
            ours,
            lambda: np.argpartition(scores, n - k)[n - k :],
            same,
        )
        self.peer(
            work,
            size,
            "torch topk",
            ours,
            lambda: torch.topk(torch.from_numpy(scores), k).indices,
            same,
        )

    def bald(self) -> None:
        """Mutual information of posterior samples, and the thousand highest."""
        sizes = (
            [(20, 5_000, 10)] if self.quick else [(20, 100_000, 10), (50, 50_000, 100)]
        )
        k = 1_000
        for n_samples, n, n_classes in sizes:
            work, size = "bald + top", f"T={n_samples} n={n} C={n_classes} k={k}"
            S = probabilities(n_samples, n, n_classes)
            ours = self.ours(work, size, lambda S=S: top_k(measures.bald(S), k))
            same = overlap(ours.result[0])
            self.peer(
                work,
                size,
                "bound: reading all",
                ours,
                lambda S=S: torch.from_numpy(S).sum(),
            )
            self.peer(
                work,
                size,
                "reference, numpy",
                ours,
                lambda S=S: np.argsort(-bald_numpy(S))[:k],
                same,
            )
            last = np.ascontiguousarray(
                np.moveaxis(S, 0, -1)
            )  # (n, C, T), as baal wants it
            self.peer(
                work,
                size,
                "baal BALD",
                ours,
                lambda last=last: baal_bald(last)[:k],
                same,
                "baal.active.heuristics",
            )
            self.peer(
                work,
                size,
                "scikit-activeml GreedyBALD",
                ours,
                lambda S=S: skactiveml_bald(S, k),
                same,
                "skactiveml.pool",
            )


# What peers are asked, and the textbook loops


def gemm(X: np.ndarray, L: np.ndarray) -> None:
    """The product X·Lᵀ in tiles, by the faster of torch's two libraries, thrown
    away.
    """
    rows, centres = torch.from_numpy(X), torch.from_numpy(L)
    with torch.inference_mode():
        for start in range(0, len(X), 4096):
            for first in range(0, len(L), 1024):
                inner_products(
                    rows[start : start + 4096], centres[first : first + 1024]
                )


def loop(X: np.ndarray, L: np.ndarray, b: int) -> np.ndarray:
    """k-center as everyone writes it: cached norms, one pass over the pool for each
    pick.
    """
    rows, centres = torch.from_numpy(X), torch.from_numpy(L)
    norms = rows.square().sum(dim=1)
    nearest = torch.full((len(X),), torch.inf)
    for start in range(0, len(L), 512):
        some = centres[start : start + 512]
        distances = norms[:, None] + some.square().sum(dim=1) - 2 * rows @ some.T
        nearest = torch.minimum(nearest, distances.amin(dim=1))
    picks = []
    for _ in range(b):
        best = int(nearest.argmax())
        picks.append(best)
        nearest = torch.minimum(nearest, norms + norms[best] - 2 * (rows @ rows[best]))
        nearest[best] = -torch.inf
    return np.array(picks)


def agreement(X: np.ndarray, L: np.ndarray, ours: np.ndarray) -> Callable[[Any], str]:
    """Whether a peer picked the same; if not, who is right at the first difference, by
    float64 differences.
    """

    def compare(result: Any) -> str:
        theirs = np.asarray(result)
        different = np.flatnonzero(theirs != ours)
        if len(different) == 0:
            return f"same {len(ours)} picks"
        first = int(different[0])
        rows = np.concatenate([L, X[ours[:first]]]).astype(np.float64)
        radii = [
            np.sqrt(np.square(rows - X[i].astype(np.float64)).sum(axis=1).min())
            for i in (ours[first], theirs[first])
        ]
        return (
            f"same first {first} picks, {len(np.intersect1d(ours, theirs))} of "
            f"{len(ours)} in all; there ours is at "
            f"{radii[0]:.9g}, theirs at {radii[1]:.9g} (float64)"
        )

    return compare


def overlap(ours: np.ndarray) -> Callable[[Any], str]:
    """How many of the same were picked, in whatever order."""
    return lambda theirs: (
        f"{len(np.intersect1d(ours, np.asarray(theirs)))} of {len(ours)} the same"
    )


def gradient_factors(n: int, d: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Residuals and embeddings of a linear layer on clusters."""
    H = features(n, d, n_classes)
    logits = (
        H
        @ np.random.default_rng(1).standard_normal((d, n_classes), dtype=np.float32)
        / np.float32(np.sqrt(d))
    )
    P = np.exp(logits)
    P /= P.sum(axis=1, keepdims=True)
    A = -P
    A[np.arange(n), P.argmax(axis=1)] += 1
    return A, H


def potential(A: np.ndarray, H: np.ndarray) -> Callable[[Any], str]:
    """What a random draw can be compared by: the mean D² that it leaves, on some of the
    pool.
    """
    some = np.random.default_rng(0).permutation(len(A))[:2_000]

    def compare(result: Any) -> str:
        picks = np.asarray(result)
        a, h, ac, hc = (
            torch.from_numpy(x).double() for x in (A[some], H[some], A[picks], H[picks])
        )
        norms, centre_norms = (
            x.square().sum(dim=1) * y.square().sum(dim=1) for x, y in ((a, h), (ac, hc))
        )
        d2 = norms[:, None] + centre_norms - 2 * (a @ ac.T) * (h @ hc.T)
        return (
            f"leaves mean D² {float(d2.amin(dim=1).clamp(min=0).mean()):.4g}; "
            f"{len(np.unique(picks))} unique"
        )

    return compare


def factorised_loop(A: np.ndarray, H: np.ndarray, b: int, seed: int) -> np.ndarray:
    """BADGE with factors, one pass over the pool for each pick."""
    rng = np.random.default_rng(seed)
    a, h = torch.from_numpy(A), torch.from_numpy(H)
    norms = a.square().sum(dim=1) * h.square().sum(dim=1)
    picks = [int(norms.argmax())]
    nearest = torch.full((len(A),), torch.inf)
    while len(picks) < b:
        last = picks[-1]
        nearest = torch.minimum(
            nearest, norms + norms[last] - 2 * (a @ a[last]) * (h @ h[last])
        ).clamp_(min=0)
        nearest[picks] = 0
        cumulated = torch.cumsum(nearest.double(), 0).numpy()
        picks.append(
            int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
        )
    return np.array(picks)


def entropy_numpy(P: np.ndarray) -> np.ndarray:
    """As it is written in papers' code."""
    return -(P * np.log(P + 1e-12)).sum(axis=-1)


def bald_numpy(S: np.ndarray) -> np.ndarray:
    """As it is written in papers' code."""
    return entropy_numpy(S.mean(axis=0)) - entropy_numpy(S).mean(axis=0)


def torch_entropy_top(P: np.ndarray, k: int) -> np.ndarray:
    """Two calls of torch."""
    return torch.topk(
        torch.special.entr(torch.from_numpy(P)).sum(dim=1), k
    ).indices.numpy()


def skactiveml_coreset(both: np.ndarray, n: int, b: int) -> np.ndarray:
    """The pool first, then the labelled points, as its `query` wants them."""
    from skactiveml.pool import CoreSet

    y = np.full(len(both), np.nan)
    y[n:] = 0
    return CoreSet(random_state=0).query(both, y, batch_size=b)


def skactiveml_badge(A: np.ndarray, H: np.ndarray, b: int) -> np.ndarray:
    """Its `query` with a classifier that knows the answers."""
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge

    P = A.copy()
    P[np.arange(len(A)), A.argmax(axis=1)] -= 1
    P = -P

    class Knows(SkactivemlClassifier):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Knows:
            return self

        def predict_proba(self, X: Any) -> np.ndarray:
            return P

    y = np.full(len(H), np.nan)
    return np.array(
        Badge(random_state=0).query(H, y, Knows(), fit_clf=False, batch_size=b)
    )


def skactiveml_entropy(P: np.ndarray, k: int) -> np.ndarray:
    """What `UncertaintySampling(method="entropy").query` does with the
    probabilities.
    """
    from skactiveml.pool import uncertainty_scores
    from skactiveml.utils import simple_batch

    return simple_batch(
        uncertainty_scores(P, method="entropy"), random_state=0, batch_size=k
    )


def skactiveml_bald(S: np.ndarray, k: int) -> np.ndarray:
    """What `GreedyBALD.query` does with the samples."""
    from skactiveml.pool import batch_bald
    from skactiveml.utils import simple_batch

    return simple_batch(
        batch_bald(S.copy(), batch_size=1)[0], random_state=0, batch_size=k
    )  # it writes to its input


def baal_bald(last: np.ndarray) -> np.ndarray:
    """Its heuristic, all of the pool ranked."""
    from baal.active.heuristics import BALD

    return BALD()(last)


def modal_entropy(P: np.ndarray, k: int) -> np.ndarray:
    """Its query function with a classifier that knows the answers."""
    from modAL.uncertainty import entropy_sampling

    result = entropy_sampling(
        SimpleNamespace(predict_proba=lambda X: P), P, n_instances=k
    )
    return result[0] if isinstance(result, tuple) else result


def bmdal(
    method: str, parts: list[np.ndarray], labelled: list[np.ndarray], b: int
) -> np.ndarray:
    """A selection of bmdal_reg on plain features (one part) or products of two."""
    np.Inf = np.inf  # noqa: NPY201 - its pin on numpy 1 is this name
    from bmdal_reg.bmdal import selection
    from bmdal_reg.bmdal.feature_data import ListFeatureData, TensorFeatureData
    from bmdal_reg.bmdal.feature_maps import IdentityFeatureMap, ProductFeatureMap

    def wrap(arrays: list[np.ndarray]) -> selection.Features:
        maps = [IdentityFeatureMap(a.shape[1]) for a in arrays]
        data = [TensorFeatureData(torch.from_numpy(a)) for a in arrays]
        if len(arrays) == 1:
            return selection.Features(maps[0], data[0])
        return selection.Features(ProductFeatureMap(maps), ListFeatureData(data))

    choose = getattr(selection, f"{method}SelectionMethod")
    return (
        choose(
            wrap(parts), wrap(labelled), sel_with_train=method == "MaxDist", verbosity=0
        )
        .select(b)
        .numpy()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cases = ["coreset", "badge", "entropy", "topk", "bald"]
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, seconds instead of minutes"
    )
    parser.add_argument(
        "--only", nargs="+", choices=cases, default=cases, help="which work"
    )
    parser.add_argument(
        "--threads", type=int, help="torch threads (default: torch's own)"
    )
    parser.add_argument("--out", type=Path, help="write the page to this Markdown file")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")  # peers' deprecations
    page = Page("Strategies beside their peers")
    bench = Bench(page, arguments.quick)
    for case in arguments.only:
        getattr(bench, case)()
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(page.markdown(REMARKS))


if __name__ == "__main__":
    main()
