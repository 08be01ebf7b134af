"""What a set of labels says about the posterior.

Particles, and the entropy of more labels given them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from al_sklearn._core.types import Floats, Ints
from al_sklearn.strategies._engine import arrays as blocks
from al_sklearn.strategies._engine.distances import exact_float32, tiles

_TILE_COLUMNS = 2048  # pairs of row and class that meet the particles at a time
# Products whose logarithms are taken at a time: 512 KiB of float32, and as much again,
# in a second-level cache.
_TILE_VALUES = 2**17
_DEVICE_VALUES = 2**26  # an accelerator's: few large steps


@dataclass(frozen=True)
class Particles:
    """M configurations of labels.

    The probability of each, and the posterior over the T samples given it.

    Each posterior sums to 1, so that no product of many probabilities ever gets too
    small for float32.

    Attributes
    ----------
    weights : float64 array of shape (M,)
        Sum to 1.
    posteriors : float64 array of shape (M, T)
        Rows sum to 1.
    """

    weights: Floats
    posteriors: Floats

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def of(cls, joint: Floats) -> Particles:
        """From p(configuration, sample), (M, T); what has probability 0 is left out."""
        weights = joint.sum(axis=1)
        possible = weights > 0
        if not possible.all():
            joint, weights = joint[possible], weights[possible]
        return cls(weights, joint / weights[:, None])

    def split(self, proba: Floats) -> Particles:
        """Every configuration with every label of one more candidate, (T, C)."""
        joint = self.posteriors[:, None, :] * proba.T * self.weights[:, None, None]
        return Particles.of(joint.reshape(-1, joint.shape[2]))

    def given(self, likelihoods: Floats) -> Particles:
        """The same configurations, each with one more label.

        The label has probabilities (M, T) under the samples.
        """
        posteriors = self.posteriors * likelihoods
        return Particles(
            self.weights, posteriors / posteriors.sum(axis=1, keepdims=True)
        )

    def merged(self, groups: Ints) -> Particles:
        """One particle per group, which gives entropies that are never lower.

        Entropies given the groups are never below those given the particles (Jensen).
        """
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
        joint = (self.posteriors * self.weights[:, None])[order]
        return Particles.of(np.add.reduceat(joint, starts, axis=0))

    def mean_entropy(
        self, samples: Any, rows: Any = slice(None), dtype: Any = None
    ) -> Floats:
        """Mean over configurations of the entropy of every row's label.

        This is E_m H(y | m), the entropy given a configuration m.

        Parameters
        ----------
        samples : array or tensor of shape (T, n, C)
            Class probabilities.
        rows : slice or int array, optional
            Which of the n.
        dtype : torch.dtype, optional
            Of the products: that of the samples, at least float32, by default.
        """
        positions = np.arange(samples.shape[1])[rows]
        n_classes = samples.shape[2]
        kind = blocks.compute_dtype(samples) if dtype is None else dtype
        entropies = np.empty(len(positions))
        with torch.inference_mode(), exact_float32():
            for tile in tiles(len(positions), max(_TILE_COLUMNS // n_classes, 1)):
                key: Any = positions[tile]
                if key[-1] - key[0] + 1 == len(key):
                    # In a row: a view instead of a copy.
                    key = slice(int(key[0]), int(key[-1]) + 1)
                part = blocks.block_of(samples, key, kind)
                sums = self._sums(part.reshape(len(part), -1))
                entropies[tile] = -sums.reshape(-1, n_classes).sum(axis=1)
        return entropies

    def _sums(self, columns: torch.Tensor) -> Floats:
        """Σ_m weight · y ln y with y = posteriors @ columns, for every column."""
        total = columns.new_zeros(columns.shape[1], dtype=torch.float64)
        rows = _TILE_VALUES if columns.device.type == "cpu" else _DEVICE_VALUES
        for tile in tiles(len(self), max(rows // columns.shape[1], 1)):
            posteriors = torch.from_numpy(self.posteriors[tile]).to(columns)
            weights = torch.from_numpy(self.weights[tile]).to(columns)
            total += weights @ blocks.p_log_p(torch.mm(posteriors, columns))
        return total.cpu().numpy()
