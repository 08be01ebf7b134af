"""One's own photos: a folder of class folders, read file by file.

Usage: python examples/own_images.py FOLDER [SIDE]
"""

import sys

from sklearn.model_selection import train_test_split

from al_sklearn import ActiveLearner, ImageClassifier, load_dataset
from al_sklearn.annotation import write_requests

folder, side = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 32
data = load_dataset("folder", folder)  # X is a list of paths: nothing is read yet
known, unknown, labels, _ = train_test_split(
    data.X_train, data.y_train, train_size=0.3, stratify=data.y_train, random_state=0
)
learner = ActiveLearner(
    ImageClassifier("small_cnn", image_size=side, augment="flip_crop", random_state=0),
    query_strategy="margin",
    X_training=known,
    y_training=labels,
)
indices, files, scores = learner.query(unknown, n_instances=10, return_metrics=True)
path = write_requests("requests", indices, scores, names=files)
print(
    f"Fill in the column 'label' of {path}; read_labels(path) gives the answers back "
    "for teach()."
)
