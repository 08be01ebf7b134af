"""al_sklearn.modal.acquisition: modAL's formulas, and what they give where the standard
deviation is 0."""

import modAL.acquisition
import numpy as np
import pytest
from scipy.stats import norm
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from al_sklearn.learners import BayesianOptimizer
from al_sklearn.modal import acquisition as ours

MEAN = np.array([0.0, 1.0, 2.0, -1.0])
STD = np.array([1.0, 0.5, 0.1, 2.0])


def test_formulas():
    z = (MEAN - 1.2 - 0.1) / STD
    assert np.allclose(ours.PI(MEAN, STD, 1.2, 0.1), norm.cdf(z))
    assert np.allclose(
        ours.EI(MEAN, STD, 1.2, 0.1), STD * (z * norm.cdf(z) + norm.pdf(z))
    )
    assert np.allclose(ours.UCB(MEAN, STD, 2.0), MEAN + 2 * STD)
    for name in ("PI", "EI"):
        assert np.allclose(
            getattr(ours, name)(MEAN, STD, 1.2, 0.1),
            getattr(modAL.acquisition, name)(MEAN, STD, 1.2, 0.1),
        )


def test_certain_values_give_no_nan():
    # modAL divides by 0 here: NaN where the mean is the maximum, as it is at the best
    # place known.
    mean, std = np.array([1.0, 2.0, 0.5]), np.zeros(3)
    assert ours.PI(mean, std, 1.0, 0).tolist() == [0, 1, 0]
    assert ours.EI(mean, std, 1.0, 0).tolist() == [0, 1, 0]


@pytest.fixture
def optimizer():
    X = np.linspace(0, 10, 60)[:, None]
    y = X.ravel() * np.sin(X.ravel())
    kernel = RBF(1.0, length_scale_bounds="fixed")
    return (
        X,
        y,
        BayesianOptimizer(
            GaussianProcessRegressor(kernel), X_training=X[::15], y_training=y[::15]
        ),
    )


@pytest.mark.parametrize("name", ["PI", "EI", "UCB"])
def test_strategies(optimizer, name):
    X, _, optimizer = optimizer
    utility = getattr(ours, f"optimizer_{name}")(optimizer, X)
    assert np.isfinite(utility).all()
    with np.errstate(all="ignore"):
        theirs = getattr(modAL.acquisition, f"optimizer_{name}")(optimizer, X)
    assert np.allclose(theirs[1:], utility[1:], atol=1e-6)
    indices, metrics = getattr(ours, f"max_{name}")(optimizer, X, n_instances=3)
    assert indices.tolist() == np.argsort(-utility, kind="stable")[:3].tolist()
    assert np.allclose(metrics, utility[indices])
    optimizer.query_strategy = getattr(ours, f"max_{name}")
    assert optimizer.query(X, n_instances=3)[0].tolist() == indices.tolist()


@pytest.mark.parametrize("name", ["PI", "EI", "UCB"])
def test_cold_start(name):
    class Unfitted:
        y_max = -np.inf

        def predict(self, X, return_std):
            raise NotFittedError

    utility = getattr(ours, f"optimizer_{name}")(Unfitted(), np.zeros((5, 2)))
    assert utility.shape == (5,)
    assert len(set(utility)) == 1
    assert getattr(ours, f"max_{name}")(Unfitted(), np.zeros((5, 2)), n_instances=2)[
        0
    ].tolist() == [0, 1]
