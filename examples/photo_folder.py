"""A folder of photos: decoded once, embedded by a pretrained network, and strategies
compared on what it sees.

Usage: python examples/photo_folder.py FOLDER [--skip PART …]

FOLDER holds one folder a class. Debian's package tuxpaint-stamps-default is one (its
drawings are no photos): python examples/photo_folder.py /usr/share/tuxpaint/stamps
--skip symbols cartoon
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn import StrategyComparison, load_dataset
from al_sklearn.datasets import ImageFiles
from al_sklearn.estimators import FrozenBackbone

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("folder")
parser.add_argument(
    "--skip",
    nargs="*",
    default=[],
    metavar="PART",
    help="leave out folders of these names",
)
parser.add_argument(
    "--side", type=int, default=224, help="pixels that photos are resized to"
)
parser.add_argument(
    "--least", type=int, default=20, help="leave out classes of fewer photos"
)
parser.add_argument("--rounds", type=int, default=6)
parser.add_argument("--seeds", type=int, default=5)
arguments = parser.parse_args()

data = load_dataset("folder", arguments.folder)
wanted = [
    (path, label)
    for path, label in zip(data.X_train, data.y_train, strict=True)
    if not set(arguments.skip) & set(Path(path).parts)
]
counts = Counter(label for _, label in wanted)
wanted = [(path, label) for path, label in wanted if counts[label] >= arguments.least]
y = np.array([label for _, label in wanted])
# Decoded and resized once, by several threads; the second run reads the pixels.
photos = ImageFiles([path for path, _ in wanted], arguments.side, cache="runs/photos")
print(f"{len(photos)} photos of {len(set(y))} classes: {', '.join(sorted(set(y)))}")

features = FrozenBackbone("efficientnet_lite0", cache="runs/embeddings").fit_transform(
    photos
)
n_classes = len(set(y))
comparison = StrategyComparison(
    make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    ["margin", "typiclust", "coreset", "badge"],
    n_initial=2 * n_classes,
    n_instances=n_classes,
    n_rounds=arguments.rounds,
    n_seeds=arguments.seeds,
    n_jobs=2,
)
comparison.fit(features, y)
print(
    comparison.summary()[["final", "aubc", "difference", "p_holm", "label_saving"]]
    .round(3)
    .to_string()
)
