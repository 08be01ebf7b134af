"""Few labels: a classifier on the features of a pretrained network, without training
it, a GPU or a download.
"""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn import ActiveLearner, load_dataset
from al_sklearn.estimators import FrozenBackbone

data = load_dataset("digits")
model = make_pipeline(
    FrozenBackbone("efficientnet_lite0", image_size=28, cache="runs/embeddings"),
    StandardScaler(),
    LogisticRegression(max_iter=1000),
)
learner = ActiveLearner(
    model,
    query_strategy="typiclust",
    X_training=data.X_train[:10],
    y_training=data.y_train[:10],
)
X_pool, y_pool = data.X_train[10:], data.y_train[10:]  # y_pool stands for people
for _ in range(5):
    chosen, images = learner.query(X_pool, n_instances=10)
    learner.teach(images, y_pool[chosen])
    print(
        f"{len(learner.y_training)} labels: "
        f"{learner.score(data.X_test, data.y_test):.3f}"
    )
