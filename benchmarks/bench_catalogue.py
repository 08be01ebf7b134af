"""The whole catalogue beside its peers, in one process: the cases of
bench_strategies.py and those of the rest.

    python benchmarks/bench_catalogue.py [--quick] [--only coreset batchbald ...] [--out
    docs/benchmarks.md]

The peers are those of benchmarks/peers.txt and peers-no-deps.txt (`make bench` installs
them); what is not there, fails or takes too long is said in the table, and the rest
goes on.
"""

from __future__ import annotations

import argparse
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import _peers as peers
import numpy as np
import torch
from _harness import Measurement, Row
from _pages import Goal, GoalPage, write_page
from bench_scoring import load
from bench_strategies import (
    REMARKS,
    Bench,
    agreement,
    features,
    gemm,
    overlap,
    probabilities,
)

from al_sklearn.estimators import ImageClassifier
from al_sklearn.inference import predict_proba
from al_sklearn.strategies import bald, get_strategy, measures, selectors

CASES = [
    "coreset",
    "badge",
    "entropy",
    "margin",
    "ratio",
    "least_confidence",
    "topk",
    "bald",
    "dropout_head",
    "batchbald",
    "typiclust",
    "probcover",
    "max_herding",
    "bait",
    "hdbscan",
    "ranked_batch",
    "density",
]

# The table of goals that the catalogue was built for.
GOALS = {
    "coreset": Goal(
        {"": 20, "scikit-activeml": 30}, bound=1.5, at=("n=50000", "n=200000")
    ),
    "badge": Goal({"": 12}, at=("n=50000",)),
    "entropy + top": Goal({"": 4}, at=("n=1000000",)),
    "margin + top": Goal({"": 4}, at=("n=1000000",)),
    "ratio + top": Goal({"": 4}, at=("n=1000000",)),
    "least confidence + top": Goal({"": 4}, at=("n=1000000",)),
    "top-k alone": Goal(seconds=0.002),
    "bald + top": Goal({"": 7}),
    "BALD, dropout in the head": Goal(bound=1.5, at=("resnet20",)),
    "BatchBALD": Goal({"": 15}),
    "TypiClust": Goal({"scikit-activeml": 5}),
    "ProbCover": Goal({"scikit-activeml": 15}),
    "MaxHerding": Goal({"scikit-activeml": 20}, at=("all as reference",)),
    "GLOSH": Goal({"hdbscan": 1}),
    "clusters": Goal({"hdbscan": 1}),
    "ranked batch": Goal({"modAL": 20}),
    "information density": Goal({"modAL": 8}),
}

MORE_REMARKS = """
Other bounds: for BALD of a net, one plain forward pass; for BatchBALD, the logarithm of every probability; for
TypiClust, one assignment of all to the clusters; for ProbCover and information density, half of all inner products; for
MaxHerding, those with the 2,000 points that stand for the pool; for BAIT, the 6 b inner products with every point; for
ranked batch, the distances to what is labelled. Goals are checked at the sizes they were set for.

Posterior samples of BatchBALD are those of a linear softmax layer whose weights have a posterior, on clusters; "worth"
is the information of a batch on the sample, estimated by 20,000 draws. Clusters of k-means and covers are compared by
the mean distance that they leave from the pool to the nearest pick.

Peers: baal, bmdal_reg, batchbald_redux and apricot-select are installed without what they ask for (their own pins
cannot be had or bring much else); what they import of it is installed beside, and `np.Inf` of numpy 1 is put back for
bmdal_reg. A peer that would need minutes or n × n memory gets a smaller size, with al_sklearn at the same size beside.
"""


@contextmanager
def limited(seconds: float, what: str) -> Iterator[None]:
    """Raise TimeoutError in what runs longer, as soon as it comes back to Python."""

    def stop(number: int, frame: Any) -> None:
        raise TimeoutError(f"{what} stopped after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Catalogue(Bench):
    """All cases; no failure of a peer ends the run."""

    def __init__(self, page: GoalPage, quick: bool, limit: float) -> None:
        super().__init__(page, quick)
        self.limit = limit
        self.taken: dict[tuple[str, str], Measurement] = {}

    def ours(
        self,
        work: str,
        size: str,
        function: Callable[[], Any],
        note: Callable[[Any], str] = lambda result: "",
    ) -> Measurement:
        """Time al_sklearn, and keep it for peers that are added later."""
        self.taken[work, size] = super().ours(work, size, function, note)
        return self.taken[work, size]

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
        """Time a peer; if it fails or takes too long, say so."""
        try:
            with limited(self.limit, who):
                super().peer(work, size, who, ours, function, note, needs)
        except Exception as error:  # noqa: BLE001 - a peer may fail in any way
            self.page.add(
                Row(
                    work,
                    size,
                    who,
                    note=f"failed: {type(error).__name__}: {_first_line(error)}",
                )
            )

    def run(self, case: str) -> None:
        """One case; what fails of our own is said in the table."""
        try:
            getattr(self, case)()
        except Exception as error:  # noqa: BLE001 - the other cases are still wanted
            self.page.add(
                Row(
                    case,
                    "",
                    "**al_sklearn**",
                    note=f"failed: {type(error).__name__}: {_first_line(error)}",
                )
            )

    # Cases of bench_strategies.py with more peers

    def coreset(self) -> None:
        """The same, and small-text, which computes all distances again for each
        pick.
        """
        super().coreset()
        n, d, n_labelled, b = (
            (1_000, 32, 100, 10) if self.quick else (5_000, 128, 500, 50)
        )
        work, size = "coreset", f"n={n} d={d} l={n_labelled} b={b}"
        both = features(n + n_labelled, d, 50)
        X, L = both[:n], both[n:]
        ours = self.ours(work, size, lambda: selectors.k_center(X, b, labelled=L))
        self.peer(work, size, "bound: X·Lᵀ", ours, lambda: gemm(X, L))
        same = agreement(X, L, ours.result[0])
        self.peer(
            work,
            size,
            "small-text",
            ours,
            lambda: peers.small_text_coreset(both, n, b),
            same,
            "small_text.query_strategies.coresets",
        )

    def bald(self) -> None:
        """The same, and small-text."""
        super().bald()
        sizes = (
            [(20, 5_000, 10)] if self.quick else [(20, 100_000, 10), (50, 50_000, 100)]
        )
        k = 1_000
        for n_samples, n, n_classes in sizes:
            work, size = "bald + top", f"T={n_samples} n={n} C={n_classes} k={k}"
            ours = self.taken[work, size]
            S = np.ascontiguousarray(
                np.moveaxis(probabilities(n_samples, n, n_classes), 0, 1)
            )  # (n, T, C)
            same = overlap(ours.result[0])
            self.peer(
                work,
                size,
                "small-text BALD",
                ours,
                lambda S=S: peers.small_text_bald(S, k),
                same,
                "small_text.query_strategies.bayesian",
            )

    # Uncertainty

    def margin(self) -> None:
        """Margin and the thousand highest."""

        def by_torch(P: np.ndarray) -> torch.Tensor:
            two = torch.topk(torch.from_numpy(P), 2, dim=1).values
            return two[:, 1] - two[:, 0]

        self._uncertainty(
            "margin", by_torch, "margin_sampling", "margin_sampling", "BreakingTies"
        )

    def ratio(self) -> None:
        """Ratio of the two largest, and the thousand highest; no peer has it."""

        def by_torch(P: np.ndarray) -> torch.Tensor:
            two = torch.topk(torch.from_numpy(P), 2, dim=1).values
            return two[:, 1] / two[:, 0]

        self._uncertainty("ratio", by_torch)

    def least_confidence(self) -> None:
        """Least confidence and the thousand highest."""
        self._uncertainty(
            "least_confidence",
            lambda P: -torch.from_numpy(P).amax(dim=1),
            "uncertainty_sampling",
            "least_confident",
            "LeastConfidence",
        )

    def _uncertainty(
        self,
        name: str,
        by_torch: Callable[[np.ndarray], torch.Tensor],
        modal: str | None = None,
        skactiveml: str | None = None,
        small_text: str | None = None,
    ) -> None:
        n, k = (100_000, 1_000) if self.quick else (1_000_000, 1_000)
        measure = getattr(measures, name)
        P = probabilities(n, 10)
        work, size = f"{name.replace('_', ' ')} + top", f"n={n} C=10 k={k}"
        ours = self.ours(work, size, lambda: selectors.top_k(measure(P), k))
        same = overlap(ours.result[0])
        self.peer(
            work, size, "bound: reading all", ours, lambda: torch.from_numpy(P).sum()
        )
        self.peer(
            work,
            size,
            "torch + topk",
            ours,
            lambda: torch.topk(by_torch(P), k).indices.numpy(),
            same,
        )
        if modal is not None:
            function = f"modAL {modal}"
            self.peer(
                work,
                size,
                function,
                ours,
                lambda: peers.modal_uncertainty(modal, P, k),
                same,
                "modAL.uncertainty",
            )
        if skactiveml is None or small_text is None:
            return
        # scikit-activeml makes a k × n matrix of utilities, small-text calls Python for
        # each row.
        few = P[: min(n, 20_000)]
        size = f"n={len(few)} C=10 k={k}"
        ours = self.ours(work, size, lambda: selectors.top_k(measure(few), k))
        same = overlap(ours.result[0])
        self.peer(
            work,
            size,
            "scikit-activeml",
            ours,
            lambda: peers.skactiveml_uncertainty(skactiveml, few, k),
            same,
            "skactiveml.pool",
        )
        self.peer(
            work,
            size,
            f"small-text {small_text}",
            ours,
            lambda: peers.small_text_query(small_text, few, k),
            same,
            "small_text.query_strategies.strategies",
        )

    # Bayesian

    def dropout_head(self) -> None:
        """BALD of nets whose dropout is in the head, beside one plain pass."""
        n_samples, b = (5, 10) if self.quick else (50, 100)
        nets = [
            (
                "small_cnn, where the head is a good part",
                "small_cnn",
                {},
                200 if self.quick else 1_000,
            ),
            (
                "resnet20, where it is small",
                "resnet20",
                {"module__dropout": 0.5},
                50 if self.quick else 250,
            ),
        ]
        for name, module, options, n in nets:
            X, y = load(n + 200, 28)
            net = ImageClassifier(module, max_epochs=1, random_state=0, **options).fit(
                X[:200], y[:200]
            )
            X = X[200:]
            work, size = (
                "BALD, dropout in the head",
                f"{name}, n={n} 28×28 T={n_samples}",
            )
            ours = self.ours(
                work,
                size,
                lambda net=net, X=X: bald(
                    net, X, b, n_samples=n_samples, random_state=0
                ),
            )
            self.peer(
                work,
                size,
                "bound: one plain pass",
                ours,
                lambda net=net, X=X: predict_proba(net, X),
            )
            images = torch.from_numpy(X)[:, None].float() / 255
            for who, passes, needs in (
                ("reference, whole passes", peers.dropout_passes, None),
                ("baal, whole passes", peers.baal_passes, "baal.bayesian.dropout"),
            ):
                self.peer(
                    work,
                    size,
                    who,
                    ours,
                    lambda net=net, images=images, passes=passes: passes(
                        net.module_, images, n_samples
                    ),
                    needs=needs,
                )

    def batchbald(self) -> None:
        """The batch of the largest joint information."""
        n_samples, n, n_classes, b, m = (
            (10, 300, 4, 4, 100) if self.quick else (100, 10_000, 10, 10, 1_000)
        )
        S = posterior(n_samples, n, n_classes)
        worth = peers.joint_information(S)
        work = "BatchBALD"
        size = f"T={n_samples} n={n} C={n_classes} b={b}, {m} configurations"

        def ours_with(m: int) -> Callable[[], Any]:
            return lambda: selectors.batch_bald(
                S, b, n_configurations=m, random_state=0
            )

        # Configurations are drawn once more than m are possible, each its own way:
        # until then picks must agree.
        n_exact = 1 + int(np.log(m) / np.log(n_classes) + 1e-9)
        ours = self.ours(work, size, ours_with(m), lambda result: worth(result[0]))
        first = ours.result[0][:n_exact]

        def compare(picks: Any) -> str:
            same = "same" if np.array_equal(picks[:n_exact], first) else "not the same"
            return f"{same} first {n_exact} picks (the exact ones); {worth(picks)}"

        self.peer(work, size, "bound: the logarithm of all", ours, lambda: np.log(S))
        self.peer(
            work,
            size,
            "reference, full greedy float64",
            ours,
            lambda: peers.full_batch_bald(S, b, m, 0),
            compare,
        )
        self.peer(
            work,
            size,
            "scikit-activeml batch_bald",
            ours,
            lambda: peers.skactiveml_batch_bald(S, b, m),
            compare,
            "skactiveml.pool",
        )
        logs = torch.from_numpy(np.moveaxis(S, 0, 1)).double().log()
        self.peer(
            work,
            size,
            "batchbald_redux",
            ours,
            lambda: peers.redux_batch_bald(logs, b, m),
            compare,
            "batchbald_redux.batchbald",
        )
        last = np.ascontiguousarray(np.moveaxis(S, 0, -1))
        self.peer(
            work,
            size,
            "baal BatchBALD",
            ours,
            lambda: peers.baal_batch_bald(last, b, m),
            lambda picks: (
                f"{overlap(ours.result[0])(picks)}, drawn from the first on; "
                f"{worth(picks)}"
            ),
            "baal.active.heuristics",
        )
        size = f"T={n_samples} n={n} C={n_classes} b={b}, {10 * m} configurations"
        self.ours(work, size, ours_with(10 * m), lambda result: worth(result[0]))

    # Geometric

    def typiclust(self) -> None:
        """Typical points of clusters of which few are labelled."""
        n, d, n_labelled, b = (
            (2_000, 32, 40, 10) if self.quick else (50_000, 128, 400, 100)
        )
        work, size = (
            "TypiClust",
            f"n={n} d={d} l={n_labelled} b={b} ({n_labelled + b} clusters)",
        )
        both = unit_rows(features(n + n_labelled, d, 50))
        X, L = both[:n], both[n:]
        left = distance_left(X)
        ours = self.ours(
            work,
            size,
            lambda: selectors.typiclust(X, b, labelled=L, random_state=0),
            lambda result: left(result[0]),
        )
        self.peer(
            work,
            size,
            "bound: X·centresᵀ",
            ours,
            lambda: gemm(both, both[: n_labelled + b]),
        )
        self.peer(
            work,
            size,
            "scikit-activeml TypiClust",
            ours,
            lambda: peers.skactiveml_geometric("TypiClust", both, n_labelled, b),
            left,
            "skactiveml.pool",
        )

    def probcover(self) -> None:
        """Balls that cover the pool: all of the large pool, and a pool whose n × n
        matrices the peer can hold.
        """
        n_large, n, d, b = (
            (3_000, 1_000, 32, 20) if self.quick else (50_000, 8_000, 128, 100)
        )
        work = "ProbCover"
        X = unit_rows(features(n_large, d, 50))
        radius = nearby_distance(X)
        size = f"n={n_large} d={d} b={b}, radius {radius:.2f}"
        ours = self.ours(
            work, size, lambda: selectors.probcover(X, b, radius=radius, random_state=0)
        )
        self.peer(
            work, size, "bound: half of X·Xᵀ", ours, lambda: gemm(X, X[: n_large // 2])
        )
        few = X[:n]
        covered = coverage(few, radius)
        for chosen, ours_options, peer_options in (
            (f"radius {radius:.2f}", {"radius": radius}, {"deltas": [radius]}),
            ("radius by purity", {"n_clusters": 10}, {"n_classes": 10}),
        ):
            size = f"n={n} d={d} b={b}, {chosen}"
            note = covered if "radius" in ours_options else lambda result: ""
            ours = self.ours(
                work,
                size,
                lambda options=ours_options: selectors.probcover(
                    few, b, random_state=0, **options
                ),
                lambda result, note=note: note(result[0]),
            )
            self.peer(
                work,
                size,
                "bound: half of X·Xᵀ",
                ours,
                lambda: gemm(few, few[: n // 2]),
            )
            self.peer(
                work,
                size,
                "scikit-activeml ProbCover",
                ours,
                lambda options=peer_options: peers.skactiveml_geometric(
                    "ProbCover", few, 0, b, **options
                ),
                note,
                "skactiveml.pool",
            )

    def max_herding(self) -> None:
        """Kernel coverage: of a sample that stands for the pool, and of all of it, as
        the peers do.
        """
        n_large, n, d, b = (
            (3_000, 800, 32, 20) if self.quick else (50_000, 8_000, 128, 100)
        )
        work = "MaxHerding"
        X = unit_rows(features(n_large, d, 50))
        size = f"n={n_large} d={d} b={b}"
        ours = self.ours(
            work, size, lambda: selectors.max_herding(X, b, random_state=0)
        )
        self.peer(work, size, "bound: X·referenceᵀ", ours, lambda: gemm(X, X[:2_000]))
        few = X[:n]
        value = kernel_coverage(few)
        theirs = None
        for name, n_reference in (
            ("all as reference", n),
            ("a sample as reference", None),
        ):
            size = f"n={n} d={d} b={b}, {name}"
            ours = self.ours(
                work,
                size,
                lambda n_reference=n_reference: selectors.max_herding(
                    few, b, n_reference=n_reference, random_state=0
                ),
                lambda result: value(result[0]),
            )

            def compare(picks: Any, ours: Measurement = ours) -> str:
                return f"{overlap(ours.result[0])(picks)}; {value(picks)}"

            self.peer(
                work, size, "bound: X·referenceᵀ", ours, lambda: gemm(few, few[:2_000])
            )
            if theirs is not None:  # the same call, timed once
                # Its picks are of the whole pool, not of a sample: no agreement to
                # report.
                ratio = theirs.seconds and theirs.seconds / ours.seconds
                again = replace(
                    theirs, size=size, ratio=ratio, note="timed above, all as reference"
                )
                self.page.add(again)
                continue
            self.peer(
                work,
                size,
                "scikit-activeml MaxHerding",
                ours,
                lambda: peers.skactiveml_geometric(
                    "MaxHerding", few, 0, b, metric_dict={"gamma": 1.0}
                ),
                compare,
                "skactiveml.pool",
            )
            theirs = self.page.rows[-1]
            peers_first(lambda: peers.apricot_facility_location(few[:100], 2))
            self.peer(
                work,
                size,
                "apricot FacilityLocation",
                ours,
                lambda: peers.apricot_facility_location(few, b),
                compare,
                "apricot",
            )

    # Outliers and clusters

    def hdbscan(self) -> None:
        """GLOSH and clusters through hdbscan, beside hdbscan alone."""
        n, d, n_centres, b = (
            (2_000, 8, 10, 50) if self.quick else (50_000, 32, 50, 1_000)
        )
        X = features(n, d, n_centres)
        size = f"n={n} d={d} b={b}"
        plain = None
        for work, name in (("GLOSH", "outlier"), ("clusters", "cluster")):
            choose = get_strategy(name)
            ours = self.ours(
                work, size, lambda choose=choose: choose(None, X, b, random_state=0)
            )

            def compare(result: Any, ours: Measurement = ours) -> str:
                labels, scores = result
                most = np.argsort(-np.nan_to_num(scores, nan=-1), kind="stable")[:b]
                return f"{overlap(ours.result[0])(most)}; {labels.max() + 1} clusters"

            if plain is not None:  # the same call, timed once
                self.page.add(
                    replace(
                        plain,
                        work=work,
                        ratio=plain.seconds and plain.seconds / ours.seconds,
                        note="",
                    )
                )
                continue
            self.peer(
                work,
                size,
                "hdbscan",
                ours,
                lambda: peers.plain_hdbscan(X, min_cluster_size=50),
                compare,
                "hdbscan",
            )
            plain = self.page.rows[-1]

    # Hybrid

    def bait(self) -> None:
        """Fisher information, beside the textbook loop."""
        sizes = (
            [(3_000, 32, 10), (1_000, 32, 5)]
            if self.quick
            else [(100_000, 384, 100), (20_000, 384, 20)]
        )
        for n, d, b in sizes:
            work, size = "BAIT", f"n={n} d={d} C=10 b={b}"
            H = features(n, d, 50)
            P = softmax(
                H
                @ np.random.default_rng(1).standard_normal((d, 10), dtype=np.float32)
                / np.float32(d**0.5)
            )
            ours = self.ours(
                work, size, lambda H=H, P=P, b=b: selectors.fisher_trace(H, P, b)
            )
            same = same_in_order(ours.result[0])
            self.peer(
                work,
                size,
                "bound: H·(6 b rows)ᵀ",
                ours,
                lambda H=H, b=b: gemm(H, H[: 6 * b]),
            )
            self.peer(
                work,
                size,
                "reference, float64 loop",
                ours,
                lambda H=H, P=P, b=b: peers.naive_bait(H, P, b),
                same,
            )
            self.peer(
                work,
                size,
                "bmdal_reg BAIT",
                ours,
                lambda H=H, P=P, b=b: peers.bmdal_bait(H, P, b),
                same,
                "bmdal_reg.bmdal.selection",
            )

    def ranked_batch(self) -> None:
        """Cardoso's ranked batch: beside modAL, and at a size where that has no
        chance.
        """
        sizes = (
            [(500, 16, 20, 10)]
            if self.quick
            else [(5_000, 64, 100, 50), (100_000, 64, 1_000, 1_000)]
        )
        for n, d, n_labelled, b in sizes:
            work, size = "ranked batch", f"n={n} d={d} l={n_labelled} b={b}"
            both = features(n + n_labelled, d, 50)
            X, L = both[:n], both[n:]
            U = measures.least_confidence(probabilities(n, 10)).astype(np.float64)
            ours = self.ours(
                work,
                size,
                lambda X=X, U=U, L=L, b=b: selectors.ranked_batch(X, U, b, labelled=L),
            )
            self.peer(work, size, "bound: X·Lᵀ", ours, lambda X=X, L=L: gemm(X, L))
            if n > 5_000:
                continue
            same = same_in_order(ours.result[0])
            self.peer(
                work,
                size,
                "modAL ranked_batch",
                ours,
                lambda X=X, U=U, L=L, b=b: peers.modal_ranked_batch(X, U, L, b),
                same,
                "modAL.batch",
            )

    def density(self) -> None:
        """Mean similarity to the pool."""
        n, d = (1_000, 16) if self.quick else (10_000, 64)
        work, size = "information density", f"n={n} d={d} euclidean"
        X = features(n, d, 50)
        ours = self.ours(
            work, size, lambda: measures.information_density(X, metric="euclidean")
        )

        def compare(density: np.ndarray) -> str:
            return (
                "largest relative difference "
                f"{np.max(np.abs(density / ours.result - 1)):.1e}"
            )

        self.peer(work, size, "bound: half of X·Xᵀ", ours, lambda: gemm(X, X[: n // 2]))
        self.peer(
            work,
            size,
            "modAL information_density",
            ours,
            lambda: peers.modal_density(X),
            compare,
            "modAL.density",
        )


# Data, and what picks are compared by


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:160]


def peers_first(function: Callable[[], Any]) -> None:
    """Let a peer compile before the clock runs; if it cannot, its own row says so."""
    try:
        function()
    except Exception as error:  # noqa: BLE001 - as in `peer`
        print(f"not compiled: {_first_line(error)}", flush=True)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis, in place."""
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=-1, keepdims=True)
    return logits


def posterior(n_samples: int, n: int, n_classes: int, d: int = 32) -> np.ndarray:
    """Probabilities (T, n, C) of linear softmax layers drawn around one, on
    clusters.
    """
    rng = np.random.default_rng(0)
    H = features(n, d, n_classes)
    W = rng.standard_normal((d, n_classes), dtype=np.float32)
    drawn = W + 0.5 * rng.standard_normal((n_samples, d, n_classes), dtype=np.float32)
    return softmax(np.matmul(H, drawn) * np.float32(2 / d**0.5))


def unit_rows(X: np.ndarray) -> np.ndarray:
    """Rows of length 1, as TypiClust, ProbCover and MaxHerding want them; the peers are
    given them so.
    """
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X


def distances(X: np.ndarray, Y: np.ndarray) -> torch.Tensor:
    """Euclidean, of float32 rows."""
    return torch.cdist(
        torch.from_numpy(X), torch.from_numpy(Y), compute_mode="use_mm_for_euclid_dist"
    )


def nearby_distance(X: np.ndarray) -> float:
    """A radius within which one point in a hundred lies."""
    some = X[:1_000]
    return round(
        float(
            torch.quantile(
                distances(some, some).flatten()[:: max(1, len(some) // 100)],
                0.01 + 1e-3,
            )
        ),
        2,
    )


def distance_left(X: np.ndarray) -> Callable[[Any], str]:
    """The mean distance from the pool to the nearest pick."""

    def compare(picks: Any) -> str:
        picks = np.asarray(picks)
        left = float(distances(X, X[picks]).amin(dim=1).mean())
        return f"leaves a mean distance of {left:.4f}; {len(np.unique(picks))} unique"

    return compare


def coverage(X: np.ndarray, radius: float) -> Callable[[Any], str]:
    """The share of the pool within the radius of a pick."""

    def told(picks: Any) -> str:
        near = distances(X, X[np.asarray(picks)]) <= radius
        return f"covers {float(near.any(dim=1).double().mean()):.4f}"

    return told


def kernel_coverage(X: np.ndarray) -> Callable[[Any], str]:
    """The mean over the pool of the largest kernel to a pick."""

    def told(picks: Any) -> str:
        least = distances(X, X[np.asarray(picks)]).amin(dim=1).double()
        return f"coverage {float(least.square().neg().exp().mean()):.5f}"

    return told


def same_in_order(ours: np.ndarray) -> Callable[[Any], str]:
    """How long a peer picks the same."""

    def compare(result: Any) -> str:
        theirs = np.asarray(result)
        different = np.flatnonzero(theirs != ours)
        if len(different) == 0:
            return f"same {len(ours)} picks"
        return f"same first {different[0]} picks; {overlap(ours)(theirs)}"

    return compare


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, seconds instead of minutes"
    )
    parser.add_argument(
        "--only", nargs="+", choices=CASES, default=CASES, help="which work"
    )
    parser.add_argument(
        "--threads", type=int, help="torch threads (default: torch's own)"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=300,
        help="seconds for all calls of one peer at one size",
    )
    parser.add_argument("--out", type=Path, help="write the page to this Markdown file")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")  # peers' deprecations
    page = GoalPage("Strategies beside their peers", goals=GOALS)
    catalogue = Catalogue(page, arguments.quick, arguments.limit)
    for case in arguments.only:
        catalogue.run(case)
    if arguments.out:
        write_page(
            arguments.out, page.markdown(f"{REMARKS.strip()}\n\n{MORE_REMARKS.strip()}")
        )


if __name__ == "__main__":
    main()
