"""Masks for dropout on embeddings."""

from __future__ import annotations

import numpy as np

from al_sklearn._core.types import Array

# Masks are drawn for so many rows at a time, wherever batches and chunks begin: the
# answer depends on neither. A block of 256 rows of 2048 features fills 2 MB.
_MASK_ROWS = 256


class FeatureMasks:
    """Masks different for every row and sample, the same however rows are batched."""

    def __init__(self, p: float, seed: int):
        self.p = p
        self.seed = seed
        self._blocks: dict[tuple[int, int], tuple[int, Array]] = {}

    def factors(self, sample: int, start: int, stop: int, d: int) -> Array:
        """(stop - start, d) float32: 0 with probability p, else 1 / (1 - p)."""
        last = (stop - 1) // _MASK_ROWS
        numbers = range(start // _MASK_ROWS, last + 1)
        blocks = [self._block(sample, number, d) for number in numbers]
        first = numbers.start * _MASK_ROWS
        return np.concatenate(blocks)[start - first : stop - first]

    def _block(self, sample: int, number: int, d: int) -> Array:
        # Rows come in order: the latest block of each sample is the one asked for.
        known = self._blocks.get((sample, d))
        if known is not None and known[0] == number:
            return known[1]
        rng = np.random.default_rng([self.seed, sample, number])
        # Sixteen random bits a value: several times faster than floats, and as good for
        # a share.
        raw = rng.bytes(2 * _MASK_ROWS * d)
        bits = np.frombuffer(raw, dtype=np.uint16).reshape(_MASK_ROWS, d)
        is_kept = bits >= round(self.p * 2**16)
        mask = is_kept.astype(np.float32) / np.float32(1 - self.p)
        self._blocks[sample, d] = number, mask
        return mask
