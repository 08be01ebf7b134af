"""Ours against packages; each is asked for what it gives, on input without ties."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import _peers as peers
import numpy as np
import torch
from _verified import apart, as_good, check, picks
from scipy import stats
from scipy.cluster.hierarchy import fcluster, linkage

from al_sklearn.strategies import measures, selectors
from al_sklearn.tasks import expected_calibration_error, get_metric

N, B = 5000, 100


def probabilities(n: int = N, n_classes: int = 10) -> np.ndarray:
    """Rows of a Dirichlet distribution: nothing ties."""
    drawn = np.random.default_rng(0).dirichlet(np.full(n_classes, 0.5), n)
    return drawn.astype(np.float32)


def samples(n_samples: int = 20, n: int = 2000, n_classes: int = 5) -> np.ndarray:
    """Posterior samples around a mean each."""
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(1, n, n_classes))
    logits = logits + rng.normal(size=(n_samples, n, n_classes))
    proba = np.exp(logits)
    return (proba / proba.sum(axis=2, keepdims=True)).astype(np.float32)


def points(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Normal points."""
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return rows.astype(np.float32)


def knows(proba: np.ndarray) -> Any:
    """A classifier of scikit-activeml that knows the answers."""
    from skactiveml.base import SkactivemlClassifier

    class Knows(SkactivemlClassifier):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Knows:
            return self

        def predict_proba(self, X: Any) -> np.ndarray:
            return proba

    return Knows()


def coverage(X: np.ndarray, chosen: Any) -> float:
    """Mean distance from the pool to the nearest pick."""
    gaps = np.linalg.norm(X[:, None] - X[np.asarray(chosen)][None], axis=2)
    return float(gaps.min(axis=1).mean())


# Measures


@check("measures", "", "5,000 × 10 probabilities", package="scipy")
def scipy_entropies() -> dict[str, str]:
    """scipy.stats.entropy, and of the mean against each sample."""
    proba, drawn = probabilities().astype(np.float64), samples().astype(np.float64)
    # It makes rows sum to 1, which float32 left a little open.
    proba /= proba.sum(axis=1, keepdims=True)
    drawn /= drawn.sum(axis=2, keepdims=True)
    mean = drawn.mean(axis=0)
    divergence = stats.entropy(drawn, mean[None], axis=2).mean(axis=0)
    return {
        "entropy": apart(measures.entropy(proba), stats.entropy(proba, axis=1)),
        "consensus_entropy": apart(
            measures.consensus_entropy(drawn), stats.entropy(mean, axis=1)
        ),
        "kl_disagreement": apart(measures.kl_disagreement(drawn), divergence),
    }


def _top(name: str, ask: Callable[[str, np.ndarray, int], Any]) -> str:
    ours = {
        "least_confidence": measures.least_confidence,
        "margin": measures.margin,
        "entropy": measures.entropy,
    }[name]
    proba = probabilities()
    return picks(
        selectors.top_k(ours(proba), B)[0], np.asarray(ask(name, proba, B)).ravel()
    )


@check("measures", "its query functions", "100 of 5,000 × 10", package="modAL-python")
def modal() -> dict[str, str]:
    """By the size of the sets alone: some of its versions give the worst first."""
    words = {
        "least_confidence": "uncertainty_sampling",
        "margin": "margin_sampling",
        "entropy": "entropy_sampling",
    }
    return {
        name: _top(name, lambda n, P, k: peers.modal_uncertainty(words[n], P, k))
        for name in words
    }


@check(
    "measures", "`uncertainty_scores`", "100 of 5,000 × 10", package="scikit-activeml"
)
def skactiveml() -> dict[str, str]:
    """The best 100."""
    words = {
        "least_confidence": "least_confident",
        "margin": "margin_sampling",
        "entropy": "entropy",
    }
    return {
        name: _top(name, lambda n, P, k: peers.skactiveml_uncertainty(words[n], P, k))
        for name in words
    }


@check("measures", "its strategies", "100 of 5,000 × 10", package="small-text")
def small_text() -> dict[str, str]:
    """Least confidence, breaking ties (margin), entropy."""
    words = {
        "least_confidence": "LeastConfidence",
        "margin": "BreakingTies",
        "entropy": "PredictionEntropy",
    }
    return {
        name: _top(name, lambda n, P, k: peers.small_text_query(words[n], P, k))
        for name in words
    }


@check("measures", "its heuristics", "20 samples of 2,000 × 5", package="baal")
def baal() -> dict[str, str]:
    """Scores, but for their sign."""
    from baal.active import heuristics

    drawn = samples()
    last, mean = drawn.transpose(1, 2, 0), drawn.mean(axis=0)
    deviation = drawn.astype(np.float64).std(axis=0).mean(axis=1)

    def score(name: str) -> np.ndarray:
        return np.asarray(getattr(heuristics, name)().compute_score(last))

    return {
        "bald": apart(measures.bald(drawn), score("BALD")),
        "max_entropy": apart(measures.max_entropy(drawn), score("Entropy")),
        "margin": apart(measures.margin(mean), 1 - np.abs(score("Margin"))),
        "least_confidence": apart(
            measures.least_confidence(mean), 1 - np.abs(score("Certainty"))
        ),
        "mean_std": f"{apart(measures.mean_std(drawn), deviation)} from the mean of "
        "standard deviations; baal's is that of variances",
    }


@check(
    "measures",
    "`batch_bald`, one pick",
    "20 samples of 2,000 × 5",
    package="scikit-activeml",
)
def skactiveml_bald() -> dict[str, str]:
    """Utilities of the first pick."""
    from skactiveml.pool import batch_bald

    drawn = samples()
    theirs = batch_bald(drawn.copy(), batch_size=1)[0]
    return {"bald": apart(measures.bald(drawn), theirs)}


@check("measures", "vote entropy, KL", "5 members, 400 × 4", package="modAL-python")
def modal_committee() -> dict[str, str]:
    """Its disagreement measures with a committee that knows the answers."""
    from modAL import disagreement

    drawn = samples(5, 400, 4).astype(np.float64)
    votes = drawn.argmax(axis=2).T

    class Committee(list):
        classes_ = np.arange(4)
        vote = staticmethod(lambda X, **k: votes)
        vote_proba = staticmethod(lambda X, **k: drawn.transpose(1, 0, 2))
        predict_proba = staticmethod(lambda X, **k: drawn.mean(axis=0))

    committee = Committee(range(5))
    largest = stats.entropy(drawn, drawn.mean(axis=0)[None], axis=2).max(axis=0)
    rows = np.zeros((400, 1))
    return {
        "vote_entropy": apart(
            measures.vote_entropy(drawn), disagreement.vote_entropy(committee, rows)
        ),
        "consensus_entropy": apart(
            measures.consensus_entropy(drawn),
            disagreement.consensus_entropy(committee, rows),
        ),
        "kl_disagreement": f"{apart(disagreement.KL_max_disagreement(committee, rows), largest)}"
        " from the largest of our divergences; modAL takes that, we the mean",
    }


@check("measures", "`information_density`", "800 × 6 features", package="modAL-python")
def modal_density() -> dict[str, str]:
    """Euclidean."""
    rows = points(800, 6)
    ours = measures.information_density(rows, metric="euclidean")
    return {"information_density, euclidean": apart(ours, peers.modal_density(rows))}


@check("measures", "GLOSH", "1,500 × 8, four clusters", package="hdbscan")
def hdbscan() -> dict[str, str]:
    """Outlier scores of the same clusters."""
    rows = points(1500, 8) + 6 * np.eye(8, dtype=np.float32)[np.arange(1500) % 4]
    theirs = peers.plain_hdbscan(rows, 10)[1]
    return {"glosh": apart(measures.glosh(rows, min_cluster_size=10), theirs)}


# Selectors


@check(
    "selectors",
    "greedy k-center",
    "100 of 2,000 × 16, 50 labelled",
    package="small-text",
)
def small_text_coreset() -> dict[str, str]:
    """The same loop."""
    rows, labelled = points(2000, 16), points(50, 16, 1)
    theirs = peers.small_text_coreset(np.concatenate([rows, labelled]), 2000, B)
    return {
        "k_center, euclidean": picks(
            selectors.k_center(rows, B, labelled=labelled)[0], theirs
        )
    }


@check(
    "selectors",
    "its strategies",
    "60 of 1,000 × 8, 30 labelled",
    package="scikit-activeml",
)
def skactiveml_geometric() -> dict[str, str]:
    """Where k-means is drawn, batches are compared by what they leave uncovered."""
    rows, labelled = points(1000, 8), points(30, 8, 1)
    both = np.concatenate([rows, labelled]).astype(np.float64)
    ask = peers.skactiveml_geometric
    found = {
        "k_center, euclidean": picks(
            selectors.k_center(rows, 60, labelled=labelled)[0],
            ask("CoreSet", both, 30, 60),
        )
    }
    unit = both / np.linalg.norm(both, axis=1, keepdims=True)
    ours = selectors.probcover(rows, 60, labelled=labelled, radius=0.6)[0]
    theirs = ask("ProbCover", unit, 30, 60, deltas=[0.6], n_classes=4)

    def covered(chosen: Any) -> int:
        known = np.concatenate([unit[1000:], unit[np.asarray(chosen)]])
        gaps = np.linalg.norm(unit[:1000, None] - known[None], axis=2)
        return int((gaps.min(axis=1) <= 0.6).sum())

    found["probcover"] = as_good(
        covered(ours), covered(theirs), "counts of neighbours tie, at random: covered"
    )
    ours = selectors.typiclust(rows, 60, labelled=labelled, random_state=0)[0]
    found["typiclust"] = as_good(
        coverage(unit[:1000], ours),
        coverage(unit[:1000], ask("TypiClust", unit, 30, 60)),
        "k-means is drawn: mean distance to the nearest pick",
    )
    from skactiveml.pool import MaxHerding

    y = np.r_[np.full(1000, np.nan), np.zeros(30)]
    theirs = MaxHerding(metric_dict={"gamma": 1.0}, random_state=0)
    found["max_herding"] = picks(
        selectors.max_herding(rows, 60, labelled=labelled, n_reference=1000)[0],
        theirs.query(both, y, batch_size=60),
    )
    return found


@check(
    "selectors",
    "facility location",
    "60 of 1,000 × 8, none labelled",
    package="apricot-select",
)
def apricot() -> dict[str, str]:
    """The same kernel, lazily greedy."""
    rows = points(1000, 8)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    ours = selectors.max_herding(rows, 60, n_reference=1000)[0]
    return {"max_herding": picks(ours, peers.apricot_facility_location(unit, 60))}


@check(
    "selectors",
    "its own selection",
    "40 of 1,500 × 16, none labelled",
    package="bmdal_reg",
)
def bmdal() -> dict[str, str]:
    """BAIT on features that carry the Fisher information; LCMD after the same first."""
    from bench_strategies import bmdal as choose

    rows, proba = points(1500, 16), probabilities(1500)
    unscaled = selectors.fisher_trace(rows, proba, 40, scaling="none")[0]
    first = int(np.square(rows.astype(np.float64)).sum(axis=1).argmax())
    theirs = choose("LargestClusterMaxDist", [rows], [rows[:0]], 40)
    ours = selectors.lcmd(rows, 39, labelled=rows[first : first + 1])[0]
    return {
        "fisher_trace, binary, scaling=none": picks(
            unscaled, peers.bmdal_bait(rows, proba, 40)
        ),
        "lcmd": f"{picks(ours, theirs[1:])} after its first, the point of largest norm; "
        "our first is the one nearest the mean",
    }


@check("selectors", "BatchBALD", "6 of 200 × 4, 10 samples", package="batchbald_redux")
def redux() -> dict[str, str]:
    """Exact as long as 10,000 configurations hold all: six picks of four classes."""
    drawn = samples(10, 200, 4)
    logs = torch.from_numpy(np.log(drawn.transpose(1, 0, 2).astype(np.float64)))
    ours = selectors.batch_bald(drawn, 6, n_configurations=10_000, random_state=0)[0]
    return {"batch_bald": picks(ours, peers.redux_batch_bald(logs, 6, 10_000))}


@check(
    "selectors", "`batch_bald`", "6 of 200 × 4, 10 samples", package="scikit-activeml"
)
def skactiveml_batch_bald() -> dict[str, str]:
    """The same, with its own draws."""
    drawn = samples(10, 200, 4)
    ours = selectors.batch_bald(drawn, 6, n_configurations=10_000, random_state=0)[0]
    theirs = peers.skactiveml_batch_bald(drawn, 6, 10_000)
    worth = peers.joint_information(drawn)
    return {
        "batch_bald": f"{picks(ours, theirs)}: ours is {worth(ours)}, theirs {worth(theirs)}"
    }


@check(
    "selectors", "`ranked_batch`", "60 of 800 × 6, 30 labelled", package="modAL-python"
)
def modal_ranked() -> dict[str, str]:
    """Cardoso's."""
    rows, labelled = points(800, 6), points(30, 6, 1)
    utilities = np.random.default_rng(2).random(800)
    np.bool = bool  # type: ignore[misc] # modAL 0.4.1 asks numpy 1 for it
    theirs = peers.modal_ranked_batch(rows, utilities, labelled, 60)
    return {
        "ranked_batch": picks(
            selectors.ranked_batch(rows, utilities, 60, labelled=labelled)[0],
            np.asarray(theirs).ravel(),
        )
    }


@check("selectors", "average linkage", "200 × 4, 12 clusters", package="scipy")
def scipy_linkage() -> dict[str, str]:
    """Which are together."""
    rows = points(200, 4).astype(np.float64)
    theirs = fcluster(linkage(rows, "average"), 12, "maxclust")
    ours = selectors.average_linkage(rows, 12)
    both = {*zip(ours.tolist(), theirs.tolist(), strict=True)}
    same = len(both) == len(set(ours.tolist())) == len(set(theirs.tolist()))
    return {"average_linkage": "the same clusters" if same else f"{len(both)} overlaps"}


@check("selectors", "`Falcun`", "200 × 4 probabilities", package="scikit-activeml")
def skactiveml_falcun() -> dict[str, str]:
    """Probabilities of the next pick after the same ones, from their utilities."""
    from skactiveml.pool import Falcun

    proba = probabilities(200, 4).astype(np.float64)
    y = np.full(200, np.nan)
    query, chances = Falcun(random_state=0).query(
        np.zeros((200, 1)),
        y,
        knows(proba),
        fit_clf=False,
        batch_size=4,
        return_utilities=True,
    )
    margin = measures.margin(proba)
    words = []
    dist = margin.copy()
    for i in range(4):
        left = np.setdiff1d(np.arange(200), query[:i])
        scaled = (dist[left] - dist[left].min()) / np.ptp(dist[left])
        p = (scaled + margin[left]) ** 10
        gap = np.abs(p / p.sum() - chances[i][left]).sum() / 2
        words.append(f"{gap:.3f}")
        dist = np.minimum(dist, np.abs(proba - proba[query[i]]).sum(axis=1))
    return {
        "falcun, combine=sum": "total variation of the first four draws "
        + ", ".join(words)
        + ": it scales distances that are scaled already, and not for the first"
    }


@check("selectors", "`Badge`", "40 of 1,000 × 8, 5 classes", package="scikit-activeml")
def skactiveml_badge() -> dict[str, str]:
    """Both draw: compared by the mean D² that twenty batches leave."""
    from bench_strategies import skactiveml_badge as choose

    rows, proba = points(1000, 8), probabilities(1000, 5)
    residuals = -proba
    residuals[np.arange(1000), proba.argmax(axis=1)] += 1
    gradients = np.einsum("nc,nd->ncd", residuals, rows).reshape(1000, -1)

    def leaves(chosen: Any) -> float:
        gaps = [np.square(gradients - gradients[c]).sum(axis=1) for c in chosen]
        return float(np.min(gaps, axis=0).mean())

    ours = [
        leaves(
            selectors.gradient_kmeans_plusplus(rows, residuals, 40, random_state=s)[0]
        )
        for s in range(20)
    ]
    theirs = leaves(choose(residuals, rows, 40))
    return {
        "gradient_kmeans_plusplus": f"mean D² left {np.mean(ours):.3f} ± "
        f"{np.std(ours, ddof=1):.3f} (20 draws), theirs {theirs:.3f} (one draw)"
    }


# Metrics


@check("metrics", "", "5,000 × 6, a class missing", package="scikit-learn")
def scikit_learn_metrics() -> dict[str, str]:
    """float64 and float32, a certain wrong answer among them."""
    from sklearn import metrics

    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, 5000)
    found = {}
    for dtype in (np.float64, np.float32):
        proba = rng.dirichlet(np.ones(6), 5000).astype(dtype)
        proba[0] = np.eye(6)[(y[0] + 1) % 6]
        predicted = proba.argmax(axis=1)
        theirs = {
            "accuracy": metrics.accuracy_score(y, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, predicted),
            "macro_f1": metrics.f1_score(y, predicted, average="macro"),
            "nll": metrics.log_loss(y, proba, labels=range(6)),
        }
        for name, value in theirs.items():
            ours = get_metric(name)(y, proba)
            found[f"{name}, {np.dtype(dtype)}"] = apart(ours, value)
    return found


@check(
    "metrics", "`CalibrationError`, l1", "5,000 × 6, 15 bins", package="torchmetrics"
)
def torchmetrics_ece() -> dict[str, str]:
    """Bins of equal width."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(0)
    y, proba = rng.integers(0, 6, 5000), probabilities(5000, 6)
    theirs = multiclass_calibration_error(
        torch.from_numpy(proba),
        torch.from_numpy(y),
        num_classes=6,
        n_bins=15,
        norm="l1",
    )
    return {"ece": apart(expected_calibration_error(y, proba), float(theirs))}


@check("metrics", "`ECE`", "5,000 × 6, 15 bins", package="netcal")
def netcal_ece() -> dict[str, str]:
    """Bins of equal width."""
    from netcal.metrics import ECE

    rng = np.random.default_rng(0)
    y, proba = rng.integers(0, 6, 5000), probabilities(5000, 6)
    return {
        "ece": apart(expected_calibration_error(y, proba), ECE(15).measure(proba, y))
    }


# Estimators


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X / 16, y


@check(
    "estimators",
    "calibration by temperature",
    "digits: 300, 300 held out",
    package="scikit-learn",
)
def scikit_learn_temperature() -> dict[str, str]:
    """CalibratedClassifierCV(method="temperature") of classifiers that are fitted."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB

    from al_sklearn.estimators import TemperatureScaling

    X, y = _digits()
    found = {}
    for name, model in (
        ("logistic regression", LogisticRegression(C=1e3, max_iter=2000)),
        ("naive Bayes, most p nearly 0 or 1", GaussianNB(var_smoothing=1e-3)),
        ("a forest of 10, exact zeros", RandomForestClassifier(10, random_state=0)),
    ):
        inside = model.fit(X[:300], y[:300])
        theirs = CalibratedClassifierCV(FrozenEstimator(inside), method="temperature")
        theirs.fit(X[300:600], y[300:600])
        ours = TemperatureScaling(model).fit(X[:300], y[:300], X[300:600], y[300:600])
        beta = theirs.calibrated_classifiers_[0].calibrators[0].beta_
        gap = apart(ours.predict_proba(X[600:]), theirs.predict_proba(X[600:]))
        found[f"TemperatureScaling, {name}"] = (
            f"probabilities {gap} apart; T {ours.temperature_:.4g}, theirs {1 / beta:.4g}"
        )
    return found


@check(
    "estimators",
    "last layer, full and Kronecker",
    "digits: 300 labels",
    package="laplace-torch",
)
def laplace_torch() -> dict[str, str]:
    """The same weights and prior; means of 20,000 samples each.

    Their probit takes each logit's own variance, ours that of the difference of two.
    """
    from laplace import Laplace
    from sklearn.linear_model import LogisticRegression

    from al_sklearn.estimators import LaplaceClassifier

    X, y = _digits()
    X = X[:, 20:36].astype(np.float32)
    found = {}
    for hessian, word in (("full", "full"), ("kron", "kron")):
        ours = LaplaceClassifier(
            LogisticRegression(max_iter=2000),
            hessian=hessian,
            prior_precision=1.0,
            predictive="mc",
            n_samples=20_000,
            random_state=0,
        ).fit(X[:300], y[:300])
        layer = torch.nn.Linear(16, 10)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(ours.weights_[:, :-1]))
            layer.bias.copy_(torch.from_numpy(ours.weights_[:, -1]))
        data = torch.utils.data.TensorDataset(
            torch.from_numpy(X[:300]), torch.from_numpy(y[:300])
        )
        theirs = Laplace(
            torch.nn.Sequential(layer),
            "classification",
            subset_of_weights="all",
            hessian_structure=word,
            prior_precision=1.0,
        )
        theirs.fit(torch.utils.data.DataLoader(data, batch_size=300))
        torch.manual_seed(0)
        predicted = theirs(
            torch.from_numpy(X[300:600]), link_approx="mc", n_samples=20_000
        )
        gap = apart(ours.predict_proba(X[300:600]), predicted.detach().numpy())
        found[f"LaplaceClassifier, {hessian}"] = f"means of samples {gap} apart"
    return found


warnings.filterwarnings("ignore", module="skactiveml|baal|modAL|netcal|laplace")
