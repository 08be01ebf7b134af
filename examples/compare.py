"""Compare strategies, paired by seed and in parallel, and write a report."""

from functools import partial

from al_sklearn import ImageClassifier, StrategyComparison, load_dataset
from al_sklearn.strategies import coreset, mix

data = load_dataset("digits")
comparison = StrategyComparison(
    ImageClassifier("small_cnn"),
    [
        "margin",
        "badge",
        partial(coreset, metric="cosine"),
        mix((0.8, "margin"), (0.2, "random")),
    ],
    n_initial=20,
    n_instances=20,
    n_rounds=3,
    n_seeds=5,
    n_jobs=2,
    store="runs/example",  # killed at any moment, it goes on from here
)
comparison.fit(data.X_train, data.y_train, data.X_test, data.y_test)
print(comparison.summary()[["final", "aubc", "difference", "p_holm", "label_saving"]])
comparison.report("runs/example/report.html", class_names=data.class_names)
