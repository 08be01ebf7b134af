"""Networks that learn how large their own loss will be, and are asked for the images
where it is.

``python examples/learning_loss.py [NETWORK …]``: ``squeezenet1_1`` and ``resnet18`` by
default.
"""

import sys

import numpy as np
from scipy.stats import spearmanr

from al_sklearn import StrategyComparison, load_dataset
from al_sklearn.estimators import LossPredictionClassifier


def main() -> None:
    data = load_dataset("digits")
    for name in sys.argv[1:] or ["squeezenet1_1", "resnet18"]:
        net = LossPredictionClassifier(name, lr=5e-4, max_epochs=15, random_state=0)
        comparison = StrategyComparison(
            net,
            ["random_sampling", "learning_loss"],
            n_initial=100,
            n_instances=50,
            n_rounds=2,
            n_seeds=2,
        )
        comparison.fit(data.X_train, data.y_train, data.X_test, data.y_test)
        print(f"{name}: accuracy after each round, mean of 2 seeds")
        print(
            comparison.results_.pivot_table("accuracy", "n_labelled", "strategy").round(
                3
            )
        )
        # Images that nobody has trained on: does the head know which are hard?
        net.fit(data.X_train[:200], data.y_train[:200])
        proba = net.predict_proba(data.X_test)
        true = -np.log(
            proba[
                np.arange(len(proba)), np.searchsorted(net.classes_, data.y_test)
            ].clip(1e-12)
        )
        predicted = net.predict_loss(data.X_test)
        print(f"layers {', '.join(net.loss_layers_)}")
        print(
            f"rank correlation of predicted and true loss, {len(true)} test images: "
            f"{spearmanr(predicted, true)[0]:.2f}"
        )
        wrong = proba.argmax(axis=1) != np.searchsorted(net.classes_, data.y_test)
        hardest = np.argsort(-predicted)[: len(true) // 10]
        print(f"wrong predictions: {wrong.mean():.1%} of all", end=", ")
        print(f"{wrong[hardest].mean():.1%} of the tenth predicted hardest\n")


if __name__ == "__main__":
    main()
