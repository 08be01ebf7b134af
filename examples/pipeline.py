"""Experiments are scikit-learn estimators: the strategy is one more parameter to search
over.
"""

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from al_sklearn import ActiveLearningExperiment

X, y = load_digits(return_X_y=True)
experiment = ActiveLearningExperiment(
    make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    n_initial=20,
    n_instances=20,
    n_rounds=5,
    random_state=0,
)
search = GridSearchCV(
    experiment,
    {
        "query_strategy": ["random_sampling", "margin", "entropy"],
        "estimator__logisticregression__C": [0.1, 1.0],
    },
    cv=3,
).fit(X, y)
print(search.best_params_, round(search.best_score_, 3))
print(search.best_estimator_.history_[["n_labelled", "accuracy"]])
