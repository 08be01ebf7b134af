"""scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from al_sklearn.datasets._base import DataSource, ImageData, register_dataset


@register_dataset("digits")
class Digits(DataSource):
    """1,437 + 360 handwritten digits, 8x8 grey, from scikit-learn: needs no files."""

    needs_files = False

    def load(self, data_dir: Path | None) -> ImageData:
        """Scale them to uint8 and hold out the same 360, stratified, each time."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        bunch = load_digits()
        # They have 17 greys; uint8 is what images are here.
        images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
        X_train, X_test, y_train, y_test = train_test_split(
            images, bunch.target, test_size=360, stratify=bunch.target, random_state=0
        )
        return ImageData("digits", X_train, y_train, X_test, y_test)
