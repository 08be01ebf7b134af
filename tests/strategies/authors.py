"""What authors' own code answered, recorded, and what ours answers to the same input.

Research code is no package that could be installed, and none of it is copied: it was
run once, at the commit that a record names, on an input that is made here from a seed,
and its answer was written to authors_picks.json. Where it draws at random, the draw was
replaced by the most probable outcome, or the random part was given."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.special import softmax

from al_sklearn.strategies import measures, selectors

RECORDS = json.loads(Path(__file__).with_name("authors_picks.json").read_text())


@dataclass(frozen=True)
class Input:
    """A pool, what is labelled, and the last layer of a network, from a seed.

    Rounded to three digits, so that no library's last bit can change it.
    """

    seed: int
    n: int
    d: int
    n_classes: int
    n_labelled: int
    blobs: int = 0

    @cached_property
    def drawn(self):
        rng = np.random.default_rng(self.seed)
        rows = rng.normal(size=(self.n + self.n_labelled, self.d))
        if self.blobs:
            # Far apart: any k-means finds them.
            centres = 12 * rng.normal(size=(self.blobs, self.d))
            rows += centres[np.arange(len(rows)) % self.blobs]
        weights = rng.normal(size=(self.n_classes, self.d)) * 2 / np.sqrt(self.d)
        bias = rng.normal(size=self.n_classes) / 4
        # Noisy labels, all classes among them.
        scores = rows @ weights.T + bias + rng.gumbel(size=(len(rows), self.n_classes))
        labels = scores.argmax(axis=1)[self.n :]
        labels[: self.n_classes] = np.arange(self.n_classes)[: len(labels)]
        return rows.round(3), weights.round(3), bias.round(3), labels

    @property
    def features(self):
        return self.drawn[0][: self.n]

    @property
    def labelled(self):
        return self.drawn[0][self.n :]

    @property
    def weights(self):
        return self.drawn[1]

    @property
    def bias(self):
        return self.drawn[2]

    @property
    def labels(self):
        return self.drawn[3]

    @property
    def proba(self):
        return softmax(self.features @ self.weights.T + self.bias, axis=1)

    @property
    def labelled_proba(self):
        return softmax(self.labelled @ self.weights.T + self.bias, axis=1)

    def passes(self, n_samples, p=0.75):
        """Probabilities of passes in which features were dropped, (T, n, C)."""
        rng = np.random.default_rng(self.seed + 1)
        kept = rng.random((n_samples, *self.features.shape)) >= p
        dropped = kept * self.features / (1 - p)
        return softmax(dropped @ self.weights.T + self.bias, axis=2)

    def samples(self, n_samples):
        """Posterior samples, (T, n, C): another last layer each."""
        rng = np.random.default_rng(self.seed + 2)
        weights = self.weights + rng.normal(size=(n_samples, *self.weights.shape))
        logits = np.einsum("nd,tcd->tnc", self.features, weights / np.sqrt(self.d))
        return softmax(logits, axis=2)


def normalised(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def falcun(given, b, *, combine):
    # So large a power draws the most probable each time.
    return selectors.falcun(given.proba, b, gamma=1e5, combine=combine, random_state=0)


def bait(given, b, *, likelihood, regularization):
    return selectors.fisher_trace(
        given.features,
        given.proba,
        b,
        labelled=given.labelled,
        labelled_proba=given.labelled_proba,
        likelihood=likelihood,
        regularization=regularization,
    )


def alfa_mix(given, b):
    anchors = measures.class_means(given.labelled, given.labels)
    distances = measures.flip_distance(
        given.features, given.weights, given.bias, anchors
    )
    return measures.flipped(distances, b, n_features=given.d).nonzero()


def drop_query(given, b, *, n_samples):
    shares = measures.disagreement(given.passes(n_samples), given.proba)
    return measures.disagreeing(shares, b, n_samples=n_samples).nonzero()


def coreset(given, b):
    return selectors.k_center(given.features, b, labelled=given.labelled)


def probcover(given, b, *, radius):
    return selectors.probcover(
        given.features, b, labelled=given.labelled, radius=radius
    )


def typiclust(given, b):
    return selectors.typiclust(
        given.features, b, labelled=given.labelled, random_state=0
    )


def herding(given, b, *, bandwidth, weighted):
    return selectors.max_herding(
        given.features,
        b,
        labelled=given.labelled,
        utilities=measures.margin(given.proba) if weighted else None,
        bandwidth=bandwidth,
        n_reference=given.n,
    )


def clue(given, b, *, temperature):
    logits = given.features @ given.weights.T + given.bias
    weights = measures.entropy(softmax(logits / temperature, axis=1))
    return selectors.weighted_kmeans(
        given.features, b, utilities=weights, random_state=0
    )


def epig(given, b, *, n_samples):
    samples = given.samples(n_samples)
    # The first candidates are the targets.
    return (measures.epig(samples, samples[:, :b]),)


def bald(given, b, *, n_samples):
    return (measures.bald(given.samples(n_samples)),)


OURS = {
    function.__name__: function
    for function in (
        falcun,
        bait,
        alfa_mix,
        drop_query,
        coreset,
        probcover,
        typiclust,
        herding,
        clue,
        epig,
        bald,
    )
}


def ours(record):
    """Our answer to what a record was asked."""
    given = Input(**record["input"])
    return OURS[record["what"]](given, record["b"], **record["options"])[0]


def difference(record):
    """How far ours is from the record: a number, or how many picks are shared."""
    theirs, mine = record["answer"], np.asarray(ours(record))
    if record["kind"] == "values":
        return float(np.abs(mine - theirs).max())
    if record["kind"] == "order":
        shared = next(
            (i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b),
            len(theirs),
        )
        return shared - len(theirs)
    return len(set(mine.tolist()) & set(theirs)) - len(set(theirs) | set(mine.tolist()))
