"""Fit, query, teach: ask for the labels of the images that a network is least sure
of.
"""

from al_sklearn import ActiveLearner, ImageClassifier, load_dataset
from al_sklearn.pool import Pool
from al_sklearn.strategies import bald

data = load_dataset("digits")
X, y = (
    data.X_train,
    data.y_train,
)  # uint8 images (n, 8, 8); y is what people would be asked for

pool = Pool(len(X))
pool.move(range(20), "labelled")
learner = ActiveLearner(
    ImageClassifier("small_cnn", random_state=0),
    query_strategy=bald,
    X_training=X[pool.labelled],
    y_training=y[pool.labelled],
)
for _ in range(4):
    unlabelled = pool.unlabelled
    indices, images = learner.query(X[unlabelled], n_instances=20, random_state=0)
    chosen = unlabelled[indices]
    learner.teach(images, y[chosen])  # here somebody would look at the images
    pool.move(chosen, "labelled")
    print(f"{len(pool.labelled)} labels: {learner.score(data.X_test, data.y_test):.3f}")
