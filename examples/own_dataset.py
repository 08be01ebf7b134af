"""A data set of one's own, by name: photos whose file names say what they show.

Usage: python examples/own_dataset.py FOLDER
"""

import sys

import numpy as np

from al_sklearn.datasets import DataSource, ImageData, load_dataset, register_dataset


@register_dataset("named-photos")
class NamedPhotos(DataSource):
    """Photos in one folder, named like oak_0017.jpg; every fifth is for testing."""

    def load(self, data_dir, *, test_every=5):
        """List the files; a label is what stands before the last _ of a name."""
        files = np.array([str(path) for path in sorted(data_dir.glob("*_*.*"))])
        labels = np.array(
            [path.rpartition("/")[2].rpartition("_")[0] for path in files]
        )
        test = np.arange(len(files)) % test_every == 0
        return ImageData(
            "named-photos",
            files[~test].tolist(),
            labels[~test],
            files[test].tolist(),
            labels[test],
        )


data = load_dataset("named-photos", sys.argv[1], on_corrupt="skip", test_every=4)
print(data)
print("classes:", ", ".join(data.class_names))
for file, problem in data.skipped:
    print("skipped:", file, problem)
