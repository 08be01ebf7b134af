import pytest

from al_sklearn.estimators import ImageClassifier


@pytest.fixture
def quick():
    """Make a classifier that trains in a few hundredths of a second."""

    def make(**params):
        params = {
            "max_epochs": 2,
            "iterator_train__min_batches": 1,
            "random_state": 0,
            **params,
        }
        return ImageClassifier(**params)

    return make
