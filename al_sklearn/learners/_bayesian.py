"""`BayesianOptimizer`: a regressor that seeks an expensive function's highest value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import modAL.models
import numpy as np

from al_sklearn._core.random import RandomState
from al_sklearn.learners._active import ActiveLearner
from al_sklearn.learners.acquisition import max_EI
from al_sklearn.rows import take_row


class BayesianOptimizer(ActiveLearner, modAL.models.BayesianOptimizer):
    """A regressor with a standard deviation, and the best value that it was taught.

    A drop-in for ``modAL.models.BayesianOptimizer``, of which it is a subclass.

    Parameters
    ----------
    estimator : estimator object
        Its ``predict`` takes ``return_std=True``, as ``GaussianProcessRegressor`` does.
    query_strategy : callable or str, default=max_EI
    X_training, y_training, bootstrap_init, on_transformed, force_all_finite,
    random_state, **fit_kwargs
        As for :class:`ActiveLearner`.

    Attributes
    ----------
    X_max : row or None
        Where the highest value was: ``X[i]`` of an array, a Series of a DataFrame, a
        matrix of one row if sparse.
    y_max : float
        That value; minus infinity before anything was taught.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from al_sklearn import BayesianOptimizer
    >>> X = np.linspace(0, 6, 100)[:, None]
    >>> y = np.sin(X).ravel()
    >>> process = GaussianProcessRegressor(optimizer=None)
    >>> optimizer = BayesianOptimizer(process, X_training=X[::40], y_training=y[::40])
    >>> for _ in range(5):
    ...     indices, rows = optimizer.query(X)
    ...     _ = optimizer.teach(rows, y[indices])
    >>> bool(optimizer.y_max > 0.999)
    True
    """

    def __init__(
        self,
        estimator: Any,
        query_strategy: str | Callable = max_EI,
        X_training: Any = None,
        y_training: Any = None,
        bootstrap_init: bool = False,
        on_transformed: bool = False,
        force_all_finite: bool = True,
        random_state: RandomState = None,
        **fit_kwargs: Any,
    ):
        super().__init__(
            estimator,
            query_strategy,
            X_training,
            y_training,
            bootstrap_init,
            on_transformed,
            force_all_finite,
            random_state,
            **fit_kwargs,
        )

    def _forget_all(self) -> None:
        super()._forget_all()
        self.X_max: Any = None
        # Whatever is taught first is more.
        self.y_max = -np.inf

    def fit(
        self, X: Any, y: Any, bootstrap: bool = False, **fit_kwargs: Any
    ) -> BayesianOptimizer:
        """Forget what was taught, its maximum too, and fit.

        See :meth:`ActiveLearner.fit`.

        Parameters
        ----------
        X, y : any kind of rows
        bootstrap : bool, default=False
        **fit_kwargs

        Returns
        -------
        self
        """
        super().fit(X, y, bootstrap=bootstrap, **fit_kwargs)
        return self._find_max()

    def teach(self, X: Any, y: Any, *args: Any, **kwargs: Any) -> BayesianOptimizer:
        """Add values, fit, and keep the highest in mind.

        See :meth:`ActiveLearner.teach`.

        Parameters
        ----------
        X, y : any kind of rows
        *args, **kwargs
            As for :meth:`ActiveLearner.teach`.

        Returns
        -------
        self
        """
        super().teach(X, y, *args, **kwargs)
        self._set_max(X, y)
        return self

    def relabel(
        self, indices: Any, y: Any, refit: bool = True, **fit_kwargs: Any
    ) -> BayesianOptimizer:
        """Correct values; the maximum is looked for again.

        See :meth:`ActiveLearner.relabel`.

        Parameters
        ----------
        indices : int array of shape (m,)
        y : values of shape (m,)
        refit : bool, default=True
        **fit_kwargs

        Returns
        -------
        self
        """
        super().relabel(indices, y, refit, **fit_kwargs)
        return self._find_max()

    def forget(
        self, indices: Any, refit: bool = True, **fit_kwargs: Any
    ) -> BayesianOptimizer:
        """Withdraw values; the maximum is looked for again.

        See :meth:`ActiveLearner.forget`.

        Parameters
        ----------
        indices : int array of shape (m,)
        refit : bool, default=True
        **fit_kwargs

        Returns
        -------
        self
        """
        super().forget(indices, refit, **fit_kwargs)
        return self._find_max()

    def get_max(self) -> tuple[Any, float]:
        """Give the highest value so far and where it was.

        Returns
        -------
        X_max : row or None
        y_max : float
        """
        return self.X_max, self.y_max

    def _find_max(self) -> BayesianOptimizer:
        self.X_max, self.y_max = None, -np.inf
        self._set_max(self.X_training, self.y_training)
        return self

    # modAL's name for it, which subclasses call.
    def _set_max(self, X: Any, y: Any) -> None:
        values = np.asarray(y, dtype=np.float64).reshape(-1)
        best = int(np.argmax(values))
        # Of equals the first stays: the row that is known the longest.
        if values[best] > self.y_max:
            self.y_max = float(values[best])
            self.X_max = take_row(X, best)
