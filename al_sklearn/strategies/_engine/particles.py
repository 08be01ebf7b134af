"""What a set of labels says about the posterior.

Particles, and the entropy of more labels given them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from al_sklearn.strategies._engine import arrays as blocks
from al_sklearn.strategies._engine.distances import exact_float32, tiles

_TILE_COLUMNS = 2048  # pairs of row and class that meet the particles at a time
_THREAD_VALUES = 2**16  # products whose logarithms a thread takes at a time
_TILE_PARTICLES = 1024  # with the columns 8 MB of float32: in the last-level cache


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

    weights: NDArray[np.float64]
    posteriors: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def of(cls, joint: NDArray[np.float64]) -> Particles:
        """From p(configuration, sample), (M, T); what has probability 0 is left out."""
        weights = joint.sum(axis=1)
        possible = weights > 0
        if not possible.all():
            joint, weights = joint[possible], weights[possible]
        return cls(weights, joint / weights[:, None])

    def split(self, proba: NDArray[np.float64]) -> Particles:
        """Every configuration with every label of one more candidate, (T, C)."""
        joint = self.posteriors[:, None, :] * proba.T * self.weights[:, None, None]
        return Particles.of(joint.reshape(-1, joint.shape[2]))

    def given(self, likelihoods: NDArray[np.float64]) -> Particles:
        """The same configurations, each with one more label.

        The label has probabilities (M, T) under the samples.
        """
        posteriors = self.posteriors * likelihoods
        return Particles(
            self.weights, posteriors / posteriors.sum(axis=1, keepdims=True)
        )

    def merged(self, groups: NDArray[np.int64]) -> Particles:
        """One particle per group, which gives entropies that are never lower.

        Entropies given the groups are never below those given the particles (Jensen).
        """
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
        joint = (self.posteriors * self.weights[:, None])[order]
        return Particles.of(np.add.reduceat(joint, starts, axis=0))

    def mean_entropy(
        self, samples: Any, rows: Any = slice(None), dtype: Any = None
    ) -> NDArray[np.float64]:
        """Mean over configurations of the entropy of every row's label.

        This is E_m H(y | m), the entropy given a configuration m.

        Parameters
        ----------
        samples : array or tensor of shape (T, n, C)
            Class probabilities.
        rows : slice or int array, optional
            Which of the n.
        dtype : dtype, optional
            Of the products: that of the samples, at least float32, by default.
        """
        n = len(range(samples.shape[1])[rows]) if isinstance(rows, slice) else len(rows)
        n_classes = samples.shape[2]
        step = max(_TILE_COLUMNS // n_classes, 1)
        entropies = np.empty(n)
        positions = np.arange(samples.shape[1])[rows]
        with ThreadPoolExecutor(torch.get_num_threads()) as pool, exact_float32():
            for tile in tiles(n, step):
                key = positions[tile]
                if len(key) and key[-1] - key[0] + 1 == len(
                    key
                ):  # in a row: a view instead of a copy
                    key = slice(int(key[0]), int(key[-1]) + 1)
                part = samples[:, key]
                if blocks.on_device(part):
                    sums = self._sums_on_device(part, dtype)
                else:
                    part = part.numpy() if blocks.is_tensor(part) else part
                    kind = dtype or blocks.compute_dtype(part)
                    columns = np.ascontiguousarray(
                        part.reshape(len(part), -1), dtype=kind
                    )
                    sums = self._sums(columns, pool)
                entropies[tile] = -sums.reshape(-1, n_classes).sum(axis=1)
        return entropies

    def _sums(
        self, columns: NDArray[Any], pool: ThreadPoolExecutor
    ) -> NDArray[np.float64]:
        """Σ_m weight · y ln y with y = posteriors @ columns, for every column."""
        dtype, scratches = columns.dtype, blocks.Scratches()
        total = np.zeros(columns.shape[1])
        products = np.empty((min(_TILE_PARTICLES, len(self)), columns.shape[1]), dtype)
        step = max(_THREAD_VALUES // columns.shape[1], 1)
        for tile in tiles(len(self), len(products)):
            weights = self.weights[tile].astype(dtype)
            y = np.matmul(
                self.posteriors[tile].astype(dtype),
                columns,
                out=products[: len(weights)],
            )

            def some(part: slice, y: Any = y, weights: Any = weights) -> NDArray[Any]:
                return weights[part] @ blocks.p_log_p(y[part], scratches.own())

            for sums in pool.map(some, tiles(len(weights), step)):
                total += sums
        return total

    def _sums_on_device(self, part: Any, dtype: Any) -> NDArray[np.float64]:
        kind = (
            torch.float64
            if dtype == np.float64 or part.dtype == torch.float64
            else torch.float32
        )
        columns = part.reshape(len(part), -1).to(kind)
        total = torch.zeros(columns.shape[1], dtype=torch.float64, device=part.device)
        for tile in tiles(len(self), max(2**26 // columns.shape[1], 1)):
            y = torch.from_numpy(self.posteriors[tile]).to(part.device, kind) @ columns
            weights = torch.from_numpy(self.weights[tile]).to(part.device, kind)
            total += weights @ (y * y.clamp_min(torch.finfo(kind).tiny).log())
        return total.cpu().numpy()
