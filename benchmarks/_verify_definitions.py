"""Ours against the definitions, written slowly in tests/strategies/references_*.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from _verified import apart, check, picks
from scipy.stats import chisquare

from al_sklearn.strategies import measures, selectors
from tests.strategies import (
    references_bayesian,
    references_geometric,
    references_hybrid,
    references_measures,
    references_outliers,
    references_selectors,
)

DRAWS = 6_000


def probabilities(n: int, n_classes: int, seed: int = 0) -> np.ndarray:
    """Rows of a Dirichlet distribution; a quarter of them twice, a tenth certain."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(n_classes, 0.5), n)
    proba[: n // 4] = proba[n // 4 : 2 * (n // 4)]
    proba[-(n // 10) :] = np.eye(n_classes)[np.arange(n // 10) % n_classes]
    return proba


def samples(n_samples: int, n: int, n_classes: int) -> np.ndarray:
    """Posterior samples: some rows agree in all of them."""
    drawn = np.stack([probabilities(n, n_classes, seed) for seed in range(n_samples)])
    drawn[:, :5] = drawn[:1, :5]
    return drawn


def points(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Normal points, a quarter of them twice."""
    rows = np.random.default_rng(seed).normal(size=(n, d))
    rows[: n // 4] = rows[n // 4 : 2 * (n // 4)]
    return rows


def drawn_as(
    draw: Callable[[np.random.Generator], Any], expected: dict[tuple[int, ...], float]
) -> str:
    """How likely the draws are if the definition's probabilities are true."""
    rng = np.random.default_rng(0)
    counts = Counter(tuple(draw(rng).tolist()) for _ in range(DRAWS))
    if not set(counts) <= set(expected):
        return "what cannot be was drawn"
    p = np.array(list(expected.values()))
    seen = np.array([counts[key] for key in expected])
    # What is rare is counted together, as the test asks.
    rare = p * DRAWS < 5
    p, seen = np.r_[p[~rare], p[rare].sum()], np.r_[seen[~rare], seen[rare].sum()]
    if p[-1] * DRAWS < 1:
        p, seen = p[:-1], seen[:-1]
    p = p / p.sum() * seen.sum()
    return f"{DRAWS:,} draws, χ² test p = {chisquare(seen, p).pvalue:.2f}"


@check("measures", "definition", "2,000 × 10 probabilities, ties and zeros")
def of_probabilities() -> dict[str, str]:
    """One row at a time."""
    proba = probabilities(2000, 10)
    return {
        name: apart(
            getattr(measures, name)(proba),
            [getattr(references_measures, name)(row) for row in proba],
        )
        for name in ("least_confidence", "margin", "ratio", "entropy")
    }


@check("measures", "definition", "12 samples of 300 × 5 probabilities, ties and zeros")
def of_samples() -> dict[str, str]:
    """One row at a time."""
    drawn = samples(12, 300, 5)
    targets = drawn[:, 50:70]
    found = {}
    for module, names in (
        (references_measures, ("max_entropy", "bald")),
        (
            references_bayesian,
            (
                "mean_std",
                "variation_ratio",
                "vote_entropy",
                "consensus_entropy",
                "kl_disagreement",
            ),
        ),
    ):
        for name in names:
            theirs = [getattr(module, name)(drawn[:, i]) for i in range(300)]
            found[name] = apart(getattr(measures, name)(drawn), theirs)
    theirs = [references_bayesian.epig(drawn[:, i], targets) for i in range(300)]
    found["epig"] = apart(measures.epig(drawn, targets), theirs)
    clean = drawn.mean(axis=0)
    differ = [
        [s.argmax() != c.argmax() for s in drawn[:, i]] for i, c in enumerate(clean)
    ]
    found["disagreement"] = apart(
        measures.disagreement(drawn, clean), np.mean(differ, axis=1)
    )
    return found


@check("measures", "definition", "200 × 12 activations, 40 labelled, ties")
def of_activations() -> dict[str, str]:
    """Ranks, counted."""
    rows = np.maximum(points(200, 12), 0).round(1)
    labelled = np.maximum(points(40, 12, 1), 0).round(1)
    return {
        name: apart(
            getattr(measures, name)(rows, labelled),
            getattr(references_outliers, name)(rows, labelled),
        )
        for name in ("outliers_mean", "outliers_max")
    }


@check("measures", "definition", "200 × 6 features, duplicates")
def of_features() -> dict[str, str]:
    """Whole matrices of similarities; mixed features for growing ε, in steps of 1/2000."""
    rows, rng = points(200, 6), np.random.default_rng(1)
    found = {}
    for metric in ("cosine", "dot", "euclidean"):
        theirs = references_hybrid.information_density(rows, metric)
        ours = measures.information_density(rows, metric=metric)
        found[f"information_density, {metric}"] = apart(ours, theirs)
    weights, bias = rng.normal(size=(4, 6)), rng.normal(size=4)
    anchors, some = rows[:3], rows[:60]
    theirs = np.array(
        [references_hybrid.flip_distance(z, weights, bias, anchors, 2000) for z in some]
    )
    ours = measures.flip_distance(some, weights, bias, anchors)
    inside = theirs <= 1
    found["flip_distance"] = f"{apart(ours[inside], theirs[inside])}, a step's size"
    centred = np.linalg.norm(rows - rows.mean(axis=0), axis=1)
    found["distance_to_mean"] = apart(measures.distance_to_mean(rows), centred)
    return found


@check("selectors", "definition", "600 × 8 features, duplicates, 30 labelled")
def geometric() -> dict[str, str]:
    """Full matrices, one pick at a time."""
    rows, labelled = points(600, 8), points(30, 8, 1)
    utilities = np.random.default_rng(2).integers(0, 9, 600) / 9
    found = {}
    for metric in ("euclidean", "manhattan", "cosine"):
        found[f"k_center, {metric}"] = picks(
            selectors.k_center(rows, 60, labelled=labelled, metric=metric)[0],
            references_selectors.k_center(rows, 60, labelled, metric)[0],
        )
    found["k_center, weighted"] = picks(
        selectors.k_center(rows, 60, labelled=labelled, utilities=utilities)[0],
        references_selectors.k_center(rows, 60, labelled, weights=utilities)[0],
    )
    of_seeds = utilities[:30]
    found["k_nearest"] = picks(
        selectors.k_nearest(
            rows, 60, labelled=labelled, utilities=of_seeds, n_neighbors=3
        )[0],
        references_geometric.k_nearest(rows, labelled, of_seeds, 60, 3)[0],
    )
    found["lcmd"] = picks(
        selectors.lcmd(rows, 60, labelled=labelled)[0],
        references_geometric.lcmd(rows, 60, labelled)[0],
    )
    theirs = references_geometric.probcover(rows, 60, 0.5, labelled)[0]
    ours = selectors.probcover(rows, 60, labelled=labelled, radius=0.5)[0]
    found["probcover"] = picks(ours[: len(theirs)], theirs)
    for name, weights in (("max_herding", None), ("max_herding, weighted", utilities)):
        found[name] = picks(
            selectors.max_herding(
                rows, 40, labelled=labelled, utilities=weights, n_reference=600
            )[0],
            references_geometric.max_herding(rows, 40, labelled, weights)[0],
        )
    return found


@check(
    "selectors", "definition", "200 × 5 features, 3 classes, duplicates, 20 labelled"
)
def fisher() -> dict[str, str]:
    """Traces before and after, for every candidate, again and again."""
    rows, labelled = points(200, 5), points(20, 5, 1)
    proba, known = probabilities(200, 3), probabilities(20, 3, 1)
    found = {}
    for likelihood in ("binary", "categorical"):
        for scaling in ("authors", "none"):
            ours = selectors.fisher_trace(
                rows,
                proba,
                10,
                labelled=labelled,
                labelled_proba=known,
                likelihood=likelihood,
                regularization=0.5,
                scaling=scaling,
            )
            theirs = references_hybrid.bait(
                rows, proba, 10, labelled, known, likelihood, 0.5, 2, scaling
            )
            found[f"fisher_trace, {likelihood}, scaling={scaling}"] = (
                f"{picks(ours[0], theirs[0])}, scores {apart(ours[1], theirs[1])} apart"
            )
    return found


@check("selectors", "definition", "300 × 4 features, duplicates, 20 labelled")
def ranked() -> dict[str, str]:
    """Cardoso's score of every candidate, again and again."""
    rows, labelled = points(300, 4), points(20, 4, 1)
    utilities = np.random.default_rng(2).random(300)
    ours = selectors.ranked_batch(rows, utilities, 60, labelled=labelled)
    theirs = references_hybrid.ranked_batch(rows, utilities, 60, labelled)
    same = f"{picks(ours[0], theirs[0])}, scores {apart(ours[1], theirs[1])} apart"
    values = np.round(utilities, 1)
    top = references_selectors.top_k(values, 60)[0]
    return {"ranked_batch": same, "top_k": picks(selectors.top_k(values, 60)[0], top)}


@check("selectors", "definition", "7 samples of 12 × 3 probabilities")
def joint() -> dict[str, str]:
    """Every configuration of labels enumerated."""
    drawn = np.random.default_rng(0).dirichlet(np.ones(3), (7, 12))
    ours = selectors.batch_bald(drawn, 4, random_state=0)
    theirs = references_bayesian.batch_bald_exact(drawn, 4)
    same = f"{picks(ours[0], theirs[0])}, gains {apart(ours[1], theirs[1])} apart"
    return {"batch_bald": same}


@check("selectors", "definition", "every ordered draw of 3 out of 5 or 6")
def draws() -> dict[str, str]:
    """Probabilities worked out, and many draws counted."""
    rng = np.random.default_rng(3)
    proba, rows = rng.dirichlet(np.ones(3), 5), rng.normal(size=(6, 2))
    residuals = rng.normal(size=(6, 2))
    gradients = references_selectors.gradients(residuals, rows)
    first = int(np.square(gradients).sum(axis=1).argmax())
    found = {}
    for combine in ("sum", "distance"):
        found[f"falcun, combine={combine}"] = drawn_as(
            lambda g, combine=combine: selectors.falcun(
                proba, 3, gamma=3, combine=combine, random_state=g
            )[0],
            references_hybrid.falcun_distribution(proba, 3, 3, combine),
        )
    found["kmeans_plusplus"] = drawn_as(
        lambda g: selectors.kmeans_plusplus(rows, 3, random_state=g)[0],
        references_selectors.seeding_distribution(rows, 3),
    )
    found["gradient_kmeans_plusplus"] = drawn_as(
        lambda g: selectors.gradient_kmeans_plusplus(
            rows, residuals, 3, random_state=g
        )[0],
        references_selectors.seeding_distribution(gradients, 3, first),
    )
    utilities = rng.random(5) + 0.1
    for kind, weights in (
        ("power", utilities**2),
        ("softmax", np.exp(2 * utilities)),
        ("softrank", 1.0 / (np.argsort(np.argsort(-utilities)) + 1) ** 2),
    ):
        found[f"stochastic_top_k, {kind}"] = drawn_as(
            lambda g, kind=kind: selectors.stochastic_top_k(
                utilities, 1, kind=kind, beta=2, random_state=g
            )[0],
            {(i,): float(w) for i, w in enumerate(weights / weights.sum())},
        )
    return found
