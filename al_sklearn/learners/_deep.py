"""`DeepActiveLearner`: a net that is trained on each batch and stores none."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from numbers import Integral
from typing import Any

from al_sklearn._core.random import RandomState
from al_sklearn.learners._active import SingleLearner
from al_sklearn.learners._checks import check_labelled
from al_sklearn.learners._labelled import Labelled, split_weights
from al_sklearn.rows import n_rows
from al_sklearn.strategies import least_confidence

try:
    from modAL.models import DeepActiveLearner as _ModalLearner
except ImportError:
    # modAL 0.4.1 has none.
    from modAL.models.base import BaseLearner as _ModalLearner


class DeepActiveLearner(SingleLearner, _ModalLearner):
    """A skorch net, or anything with ``partial_fit``, that keeps no data.

    Each ``teach`` trains on what it is given.

    A drop-in for ``modAL.models.DeepActiveLearner`` of modAL 0.4.2, of which it is a
    subclass where there is one. :class:`ActiveLearner` takes nets too, and keeps their
    data.

    Parameters
    ----------
    estimator : skorch net
        Initialised at once, as in modAL, unless it is already, or finds out the shape
        of its input at its first fit.
    query_strategy : callable or str, default=least_confidence
    on_transformed, force_all_finite, random_state
        As for :class:`ActiveLearner`.

    Attributes
    ----------
    X_training, y_training : None
        Nothing is stored.
    num_epochs : int
        Epochs of one fit, the net's ``max_epochs``.
    batch_size : int
        The net's.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from al_sklearn import DeepActiveLearner, ImageClassifier
    >>> digits = load_digits()
    >>> X, y = digits.images.astype("uint8") * 15, digits.target
    >>> net = ImageClassifier(max_epochs=2, verbose=0, random_state=0)
    >>> learner = DeepActiveLearner(net)
    >>> indices, images = learner.teach(X[:100], y[:100]).query(X[100:], n_instances=10)
    >>> learner.X_training is None
    True
    """

    # Strategies that look for labelled rows see that there are none.
    X_training = None
    y_training = None

    def __init__(
        self,
        estimator: Any,
        query_strategy: str | Callable = least_confidence,
        on_transformed: bool = False,
        force_all_finite: bool = True,
        random_state: RandomState = None,
    ):
        self._store(
            estimator, query_strategy, on_transformed, force_all_finite, random_state
        )
        initialize = getattr(estimator, "initialize", None)
        if (
            initialize is not None
            and not getattr(estimator, "initialized_", False)
            # A net that can be shown data builds its network when it has seen some.
            and "X" not in inspect.signature(initialize).parameters
        ):
            initialize()

    def fit(
        self, X: Any, y: Any, bootstrap: bool = False, **fit_kwargs: Any
    ) -> DeepActiveLearner:
        """Train from new weights on ``X`` and ``y``; nothing is stored.

        Parameters
        ----------
        X, y : any kind of rows
        bootstrap : bool, default=False
            Whether to train on a bootstrap sample.
        **fit_kwargs
            Passed on to the estimator's ``fit``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When lengths differ, X is empty, or values are missing.
        """
        self._stream = None
        return self.teach(X, y, warm_start=False, bootstrap=bootstrap, **fit_kwargs)

    def teach(
        self,
        X: Any,
        y: Any,
        warm_start: bool = True,
        bootstrap: bool = False,
        **fit_kwargs: Any,
    ) -> DeepActiveLearner:
        """Train on ``X`` and ``y``.

        Parameters
        ----------
        X, y : any kind of rows
        warm_start : bool, default=True
            True goes on from the present weights (the estimator's ``partial_fit``),
            False starts from new ones (``fit``).
        bootstrap : bool, default=False
            Whether to train on a bootstrap sample.
        **fit_kwargs
            Passed on to ``partial_fit`` or ``fit``.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            When ``warm_start`` is True and the estimator has no ``partial_fit``.
        ValueError
            When lengths differ, X is empty, or values are missing.
        """
        if warm_start and not hasattr(self.estimator, "partial_fit"):
            raise TypeError(
                f"{type(self.estimator).__name__} has no partial_fit and cannot go on "
                "from its present weights: use "
                "warm_start=False, or ActiveLearner."
            )
        check_labelled(X, y, self.force_all_finite)
        weights, _, others = split_weights(
            self._routed("fit", fit_kwargs)["estimator"], n_rows(X), n_rows(X)
        )
        # modAL's word for it is warm_start, and its rows are the new ones alone.
        mode = "incremental" if warm_start else "from_scratch"
        self._fit_estimator(Labelled(X, y, weights), mode, bootstrap, others)
        return self

    def _fit_on_new(
        self, X: Any, y: Any, bootstrap: bool = False, **fit_kwargs: Any
    ) -> Any:
        """Train from new weights: modAL's step, which subclasses of it call."""
        # By the class's name: the subclass's own teach may be what calls this.
        return DeepActiveLearner.teach(self, X, y, False, bootstrap, **fit_kwargs)

    @property
    def num_epochs(self) -> int:
        """Number of epochs of one fit."""
        return self.estimator.max_epochs

    @num_epochs.setter
    def num_epochs(self, value: int) -> None:
        self.estimator.set_params(max_epochs=_positive("num_epochs", value))

    @property
    def batch_size(self) -> int:
        """Images in one batch."""
        return self.estimator.batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self.estimator.set_params(batch_size=_positive("batch_size", value))


def _positive(name: str, value: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    return int(value)
