"""Cluster-based active learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.cluster import AgglomerativeClustering, MiniBatchKMeans

from al_sklearn._core.checks import check_n_instances
from al_sklearn._core.random import RandomState, as_generator, as_seed
from al_sklearn._core.types import Array
from al_sklearn.modal._features import features_for
from al_sklearn.modal._sampling import Chosen
from al_sklearn.rows import n_rows

__all__ = ["HierarchicalClustering"]


@dataclass
class _Tree:
    """A hierarchy over labelled rows and pool, and what the labels say of each node."""

    children: Array  # (m - 1, 2): node m + i joins these two
    leaf_of_pool: Array  # (n,)
    n_pool: Array  # rows of the pool in each node
    lower: Array  # share of the majority label in each node, at least
    # Error of giving all its rows that label; 1 while that is not justified.
    error: Array

    @property
    def n_leaves(self) -> int:
        return len(self.children) + 1

    def pruning(self) -> list[int]:
        """Nodes that cover the tree with the smallest error.

        No deeper than the labels justify.
        """
        score = self.error.copy()
        split = np.zeros(len(score), dtype=bool)
        # Children stand before their parents: one pass from the leaves up.
        for i, pair in enumerate(self.children):
            node = self.n_leaves + i
            weights = self.n_pool[pair]
            # Nodes of labelled rows alone weigh nothing, and are never split for.
            total = weights.sum()
            below = (weights * score[pair]).sum() / total if total else 1.0
            if below < score[node]:
                score[node] = below
                split[node] = True
        return self._below(len(score) - 1, split)

    def members(self, node: int) -> Array:
        """Positions in the pool below a node."""
        is_joined = np.arange(len(self.error)) >= self.n_leaves
        leaves = self._below(node, is_joined)
        return np.flatnonzero(np.isin(self.leaf_of_pool, leaves))

    def _below(self, node: int, goes_on: Array) -> list[int]:
        """Nodes at which the way down from a node ends."""
        ends = []
        open_nodes = [node]
        while open_nodes:
            part = int(open_nodes.pop())
            if goes_on[part]:
                open_nodes.extend(self.children[part - self.n_leaves])
            else:
                ends.append(part)
        return ends


class HierarchicalClustering:
    """Hierarchical sampling (Dasgupta & Hsu, ICML 2008).

    Labels go to clusters that are large or not yet pure.

    modAL's class of this name is empty. This one is a query strategy: pass an instance
    as ``query_strategy``.

    Parameters
    ----------
    max_leaves : int, default=500
        Larger sets of rows are first gathered into so many small clusters, so that
        memory stays O(n d).
    beta : float, default=2.0
        How much surer the majority label must be than any other before a cluster takes
        it.
    random_state : int, Generator or None, default=None
        Draws rows within clusters. A ``random_state`` given to the call goes before it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from al_sklearn import ActiveLearner
    >>> from al_sklearn.modal.cluster import HierarchicalClustering
    >>> X, y = load_digits(return_X_y=True)
    >>> strategy = HierarchicalClustering(random_state=0)
    >>> learner = ActiveLearner(LogisticRegression(), query_strategy=strategy)
    >>> indices, rows = learner.query(X, n_instances=20)
    """

    def __init__(
        self, max_leaves: int = 500, beta: float = 2.0, random_state: RandomState = None
    ):
        self.max_leaves = max_leaves
        self.beta = beta
        self.random_state = random_state

    def __call__(
        self,
        classifier: Any,
        X: Any,
        n_instances: int = 1,
        *,
        random_state: RandomState = None,
    ) -> Chosen:
        """Choose rows.

        Parameters
        ----------
        classifier : ActiveLearner or Committee
            Its ``X_training`` and ``y_training``, if any; it need not be fitted.
        X : any kind of rows of numbers, n of them
            The pool.
        n_instances : int, default=1
        random_state : int, Generator or None, default=None

        Returns
        -------
        indices : int64 array of shape (n_instances,)
        scores : float array of shape (n_instances,)
            Weight of the cluster that each was drawn from: its share of the pool times
            its possible impurity.
        """
        n_instances = check_n_instances(n_instances, n_rows(X))
        rng = as_generator(self.random_state if random_state is None else random_state)
        tree = self._grow(classifier, X, rng)
        nodes = tree.pruning()
        clusters = [rng.permutation(tree.members(node)).tolist() for node in nodes]
        sizes = np.array([len(members) for members in clusters])
        weights = sizes * (1 - tree.lower[nodes]) / n_rows(X)
        indices = []
        chosen = []
        for _ in range(n_instances):
            left = np.array([len(members) > 0 for members in clusters])
            chances = weights * left
            if not chances.any():
                # All that is left looks pure: any cluster will do.
                chances = left.astype(np.float64)
            cluster = rng.choice(len(clusters), p=chances / chances.sum())
            indices.append(clusters[cluster].pop(0))
            chosen.append(cluster)
        return np.array(indices, dtype=np.int64), weights[chosen]

    def compute_errors(
        self, classifier: Any, X: Any, random_state: RandomState = None
    ) -> Array:
        """Estimate every row's error if given the majority label of its cluster.

        The rows are those of the pool.

        Parameters
        ----------
        classifier : ActiveLearner or Committee
        X : any kind of rows of numbers, n of them
        random_state : int, Generator or None, default=None

        Returns
        -------
        array of shape (n,)
            From 0 to 1; 1 where too little is known of the cluster.
        """
        rng = as_generator(self.random_state if random_state is None else random_state)
        tree = self._grow(classifier, X, rng)
        errors = np.ones(n_rows(X))
        for node in tree.pruning():
            errors[tree.members(node)] = tree.error[node]
        return errors

    def _grow(self, classifier: Any, X: Any, rng: np.random.Generator) -> _Tree:
        X_training = getattr(classifier, "X_training", None)
        labels = np.empty(0, dtype=np.int64)
        rows = _dense(features_for(classifier, X))
        if X_training is not None:
            known = _dense(features_for(classifier, X_training))
            rows = np.concatenate([known, rows])
            labels = np.unique(np.asarray(classifier.y_training), return_inverse=True)[
                1
            ]
        leaves = np.arange(len(rows))
        centres = rows
        if len(rows) > self.max_leaves:
            seed = as_seed(rng)
            means = MiniBatchKMeans(self.max_leaves, n_init=1, random_state=seed)
            means.fit(rows)
            # Clusters that stayed empty are no leaves.
            used, leaves = np.unique(means.labels_, return_inverse=True)
            centres = means.cluster_centers_[used]
        children = np.empty((0, 2), dtype=np.int64)
        if len(centres) > 1:
            tree = AgglomerativeClustering(1, compute_full_tree=True)
            children = tree.fit(centres).children_
        # One label at least, as if there were one: all of it is unknown.
        n_labels = labels.max(initial=0) + 1
        # Rows of each label in each node, and in the last column those of the pool.
        columns = np.append(labels, np.full(n_rows(X), n_labels))
        counts = np.zeros((len(centres), n_labels + 1))
        np.add.at(counts, (leaves, columns), 1)
        counts = _up(counts, children)
        lower, error = self._bounds(counts[:, :-1])
        return _Tree(children, leaves[len(labels) :], counts[:, -1], lower, error)

    def _bounds(self, counts: Array) -> tuple[Array, Array]:
        """Lower bound of the majority's share, and the error of taking it.

        The error is 1 where taking it is not admissible.
        """
        n = counts.sum(axis=1, keepdims=True)
        # Of a node without labels all is possible: its width is 1.
        at_least_one = np.maximum(n, 1)
        share = counts / at_least_one
        # Section 4 of the paper: normal, and 1 / n for what few labels hide.
        width = 1 / at_least_one + np.sqrt(share * (1 - share) / at_least_one)
        majority = np.arange(len(counts)), share.argmax(axis=1)
        lower = np.maximum(share - width, 0)[majority]
        upper = np.minimum(share + width, 1)
        # What remains is the most that any other label can have, 0 without one.
        upper[majority] = 0
        admissible = 1 - lower < self.beta * (1 - upper.max(axis=1))
        is_known = n[:, 0] > 0
        error = np.where(is_known & admissible, 1 - share[majority], 1.0)
        return lower, error


def _dense(features: Any) -> Array:
    dense = features.toarray() if hasattr(features, "toarray") else features
    return np.asarray(dense, dtype=np.float64)


def _up(of_leaves: Array, children: Array) -> Array:
    """Sum values of leaves into all nodes above them."""
    nodes = np.append(of_leaves, np.zeros((len(children), of_leaves.shape[1])), axis=0)
    for i, pair in enumerate(children):
        nodes[len(of_leaves) + i] = nodes[pair].sum(axis=0)
    return nodes
