"""What the peers of bench_catalogue.py are asked, and the textbook loops."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

# Both are read when tqdm and numba are imported. numba's OpenMP layer would set the
# number of torch's threads.
os.environ["TQDM_DISABLE"] = "1"
os.environ["NUMBA_THREADING_LAYER"] = "workqueue"

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

np.Inf = np.inf  # noqa: NPY201 - bmdal_reg is written for numpy 1

# Uncertainty


def modal_uncertainty(name: str, P: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """A query function of modAL with a classifier that knows the answers."""
    from modAL import uncertainty

    result = getattr(uncertainty, name)(
        SimpleNamespace(predict_proba=lambda X: P), P, n_instances=k
    )
    return result[0] if isinstance(result, tuple) else result


def skactiveml_uncertainty(
    method: str, P: NDArray[np.float32], k: int
) -> NDArray[np.int64]:
    """What `UncertaintySampling(method).query` of scikit-activeml does with the
    probabilities.
    """
    from skactiveml.pool import uncertainty_scores
    from skactiveml.utils import simple_batch

    return simple_batch(
        uncertainty_scores(P, method=method), random_state=0, batch_size=k
    )


def small_text_query(name: str, P: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """A strategy of small-text with a classifier that knows the answers."""
    from small_text.query_strategies import strategies

    knows = SimpleNamespace(predict_proba=lambda dataset: P)
    return getattr(strategies, name)().query(
        knows, P, np.arange(len(P)), np.array([], dtype=int), None, n=k
    )


def small_text_bald(samples: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """BALD of small-text, which takes (n, T, C)."""
    from small_text.query_strategies.bayesian import BALD

    knows = SimpleNamespace(predict_proba=lambda dataset, dropout_sampling: samples)
    return BALD().query(
        knows, samples, np.arange(len(samples)), np.array([], dtype=int), None, n=k
    )


def small_text_coreset(both: NDArray[np.float32], n: int, b: int) -> NDArray[np.int64]:
    """Its greedy k-center: the pool first, then what is labelled."""
    from small_text.query_strategies.coresets import greedy_coreset

    return greedy_coreset(
        both,
        np.arange(n),
        np.arange(n, len(both)),
        b,
        distance_metric="euclidean",
        batch_size=1000,
    )


# BatchBALD


def skactiveml_batch_bald(S: NDArray[np.float32], b: int, m: int) -> NDArray[np.int64]:
    """The picks behind the utilities of scikit-activeml."""
    from skactiveml.pool import batch_bald

    return np.nanargmax(
        batch_bald(S.copy(), b, n_MC_samples=m, random_state=0), axis=1
    )  # it writes to its input


def redux_batch_bald(log_probs: torch.Tensor, b: int, m: int) -> NDArray[np.int64]:
    """batchbald_redux on (n, T, C) logarithms in float64."""
    from batchbald_redux.batchbald import get_batchbald_batch

    # it collects garbage at each pick; what all the other packages hold is not its
    # fault
    gc.freeze()
    try:
        return np.array(
            get_batchbald_batch(log_probs, b, m, dtype=torch.double).indices
        )
    finally:
        gc.unfreeze()


def baal_batch_bald(last: NDArray[np.float32], b: int, m: int) -> NDArray[np.int64]:
    """Baal on (n, C, T): its choice, ordered by score and not by pick."""
    from baal.active.heuristics import BatchBALD

    return np.asarray(BatchBALD(num_samples=b, num_draw=m // last.shape[2])(last))[:b]


def full_batch_bald(
    S: NDArray[np.float32], b: int, m: int, seed: int
) -> NDArray[np.int64]:
    """The full greedy in float64: all candidates at each pick; exact while C^picks ≤ m,
    then m drawn configurations.
    """
    rng = np.random.default_rng(seed)
    n_samples, n, n_classes = S.shape
    conditional = _entropy_sum(S.astype(np.float64)).mean(axis=0)
    weights, posteriors, picks = np.ones(1), np.full((1, n_samples), 1 / n_samples), []
    for i in range(b):
        gains = np.empty(n)
        for start in range(0, n, 256):
            rows = slice(start, start + 256)
            given = np.tensordot(
                posteriors, S[:, rows].astype(np.float64), axes=(1, 0)
            )  # (m, rows, C)
            gains[rows] = weights @ _entropy_sum(given) - conditional[rows]
        gains[picks] = -np.inf
        picks.append(int(gains.argmax()))
        if n_classes ** (i + 1) <= m:
            joint = (weights[:, None] * posteriors)[:, None, :] * S[
                :, picks[-1]
            ].T.astype(np.float64)
            joint = joint.reshape(-1, n_samples)
            weights = joint.sum(axis=1)
            posteriors = joint / weights[:, None]
        else:
            logs = _draw(S, picks, m, rng)
            posteriors = np.exp(logs - logs.max(axis=1, keepdims=True))
            posteriors /= posteriors.sum(axis=1, keepdims=True)
            weights = np.full(len(logs), 1 / len(logs))
    return np.array(picks)


def joint_information(S: NDArray[np.float32]) -> Callable[[Any], str]:
    """What a batch is worth: the information of its labels on the sample, estimated by
    20,000 draws, in nats.
    """

    def worth(picks: Any) -> str:
        n_samples = len(S)
        rng = np.random.default_rng(1)
        m = -(-20_000 // n_samples) * n_samples
        logs = _draw(S, list(picks), m, rng)
        own = logs[np.arange(m), np.repeat(np.arange(n_samples), m // n_samples)]
        largest = logs.max(axis=1)
        mean = largest + np.log(np.exp(logs - largest[:, None]).mean(axis=1))
        return f"worth {np.mean(own - mean):.4f} nats"

    return worth


def _draw(
    S: NDArray[np.float32], picks: list[int], m: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Logarithms of p(labels | t'), (m, T), for labels of the picks drawn equally often
    from each sample t.
    """
    n_samples = len(S)
    truth = np.repeat(np.arange(n_samples), m // n_samples)
    logs = np.zeros((len(truth), n_samples))
    for pick in picks:
        proba = S[:, pick].astype(np.float64)
        cumulative = np.cumsum(proba, axis=1)[truth]
        labels = (
            cumulative > rng.random(len(truth))[:, None] * cumulative[:, -1:]
        ).argmax(axis=1)
        logs += np.log(proba.T[labels])
    return logs


def _entropy_sum(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    return -(proba * np.log(np.maximum(proba, 1e-300))).sum(axis=-1)


# Geometric


def skactiveml_geometric(
    name: str, X: NDArray[np.float32], n_labelled: int, b: int, **options: Any
) -> NDArray:
    """A strategy of scikit-activeml on features whose last rows are labelled."""
    from skactiveml import pool

    y = np.full(len(X), np.nan)
    y[len(X) - n_labelled :] = 0
    return getattr(pool, name)(random_state=0, **options).query(X, y, batch_size=b)


def kernel(X: NDArray[np.float32]) -> NDArray[np.float64]:
    """The n × n Gaussian kernel."""
    from sklearn.metrics.pairwise import rbf_kernel

    return rbf_kernel(X.astype(np.float64), gamma=1.0)


def apricot_facility_location(X: NDArray[np.float32], b: int) -> NDArray[np.int64]:
    """Lazy greedy of apricot on the same kernel."""
    from apricot import FacilityLocationSelection

    return (
        FacilityLocationSelection(b, metric="precomputed", optimizer="lazy")
        .fit(kernel(X))
        .ranking
    )


# BAIT


def weighted_embeddings(
    H: NDArray[np.float32], P: NDArray[np.float32]
) -> NDArray[np.float32]:
    """√(p (1 - p)) h, whose outer product is the binary Fisher information."""
    confidence = P.max(axis=1, keepdims=True)
    return H * np.sqrt(confidence * (1 - confidence))


def naive_bait(
    H: NDArray[np.float32], P: NDArray[np.float32], b: int
) -> NDArray[np.int64]:
    """Forward 2b, backward b, in float64, with new quadratic forms of the whole pool
    for each pick.
    """
    G = weighted_embeddings(H.astype(np.float64), P.astype(np.float64))
    F, M = G.T @ G / len(G), np.eye(G.shape[1])
    picks: list[int] = []
    while len(picks) < 2 * b:
        inverse = np.linalg.inv(M)
        u = np.einsum("ij,ij->i", G @ inverse, G)
        q = np.einsum("ij,ij->i", G @ (inverse @ F @ inverse), G)
        gains = q / (1 + u)
        gains[picks] = -np.inf
        picks.append(int(gains.argmax()))
        M += np.outer(G[picks[-1]], G[picks[-1]])
    while len(picks) > b:
        inverse = np.linalg.inv(M)
        rows = G[picks]
        u = np.einsum("ij,ij->i", rows @ inverse, rows)
        q = np.einsum("ij,ij->i", rows @ (inverse @ F @ inverse), rows)
        dropped = picks.pop(int((q / (1 - u)).argmin()))
        M -= np.outer(G[dropped], G[dropped])
    return np.array(picks)


def bmdal_bait(
    H: NDArray[np.float32], P: NDArray[np.float32], b: int
) -> NDArray[np.int64]:
    """BAIT of bmdal_reg, forward and backward, on features that carry the binary Fisher
    information.
    """
    from bmdal_reg.bmdal import selection
    from bmdal_reg.bmdal.feature_data import TensorFeatureData
    from bmdal_reg.bmdal.feature_maps import IdentityFeatureMap

    def wrap(rows: NDArray[np.float32]) -> Any:
        return selection.Features(
            IdentityFeatureMap(rows.shape[1]), TensorFeatureData(torch.from_numpy(rows))
        )

    G = weighted_embeddings(H, P)
    choose = selection.BaitFeatureSpaceSelectionMethod(
        wrap(G),
        wrap(G[:0]),
        sel_with_train=False,
        noise_sigma=1.0,
        overselection_factor=2.0,
        verbosity=0,
    )
    return choose.select(b).numpy()


# Clusters


def plain_hdbscan(
    X: NDArray[np.float32], min_cluster_size: int
) -> tuple[NDArray, NDArray]:
    """Labels and GLOSH scores of hdbscan itself."""
    from hdbscan import HDBSCAN

    fitted = HDBSCAN(min_cluster_size=min_cluster_size).fit(X)
    return fitted.labels_, fitted.outlier_scores_


# Hybrid


def modal_ranked_batch(
    X: NDArray[np.float32], U: NDArray, L: NDArray[np.float32], b: int
) -> NDArray[np.int64]:
    """Ranked batch of modAL, for a learner that was taught `L`."""
    from modAL.batch import ranked_batch

    learner = SimpleNamespace(on_transformed=False, X_training=L)
    return ranked_batch(learner, X, U, n_instances=b, metric="euclidean", n_jobs=1)


def modal_density(X: NDArray[np.float32]) -> NDArray[np.float64]:
    """Information density of modAL."""
    from modAL.density import information_density

    return information_density(X, "euclidean")


# MC dropout


def dropout_passes(
    module: nn.Module, images: torch.Tensor, n_samples: int
) -> NDArray[np.float32]:
    """Every pass through the whole net, dropout modules in training mode: (T, n, C)."""
    module = deepcopy(module).eval()
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.train()
    return _passes(module, images, n_samples)


def baal_passes(
    module: nn.Module, images: torch.Tensor, n_samples: int
) -> NDArray[np.float32]:
    """The same with the dropout modules of baal."""
    from baal.bayesian.dropout import patch_module

    return _passes(patch_module(module, inplace=False).eval(), images, n_samples)


def _passes(
    module: nn.Module, images: torch.Tensor, n_samples: int
) -> NDArray[np.float32]:
    with torch.inference_mode():
        samples = [
            torch.cat([module(batch) for batch in images.split(128)]).softmax(dim=1)
            for _ in range(n_samples)
        ]
    return torch.stack(samples).numpy()
