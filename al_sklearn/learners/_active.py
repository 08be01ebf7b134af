"""`ActiveLearner` and what is made of it.

One estimator that says which labels it wants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import modAL.models
import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if

from al_sklearn._core.random import RandomState
from al_sklearn._core.types import Array, Options
from al_sklearn.inference import proba_array
from al_sklearn.learners._base import LearnerBase
from al_sklearn.learners._bootstrap import draw_with_classes
from al_sklearn.learners._checks import check_labelled, check_scale, check_words
from al_sklearn.learners._labelled import Labelled, split_weights
from al_sklearn.learners.training import (
    NEW_LABELS,
    check_forgets,
    mode_to_refit,
    mode_to_teach,
    train,
)
from al_sklearn.rows import concat_columns, n_rows
from al_sklearn.strategies import get_strategy, least_confidence


def _estimator_has(method: str) -> Callable[[Any], bool]:
    def check(self: Any) -> bool:
        # Its AttributeError says what is missing, as available_if wants it.
        getattr(self.estimator, method)
        return True

    return check


class SingleLearner(LearnerBase):
    """One estimator: prediction handed on to it. Base of the learners below."""

    estimator: Any
    on_transformed: bool
    force_all_finite: bool

    def _store(
        self,
        estimator: Any,
        query_strategy: str | Callable,
        on_transformed: bool,
        force_all_finite: bool,
        random_state: RandomState,
    ) -> None:
        if isinstance(estimator, type) or not hasattr(estimator, "fit"):
            raise TypeError(
                "estimator must be an object with fit, such as LogisticRegression(), "
                f"got {estimator!r}."
            )
        if not isinstance(force_all_finite, (bool, np.bool_)):
            raise TypeError(
                f"force_all_finite must be True or False, got {force_all_finite!r}."
            )
        # An unknown name is an error now, not at the first query.
        get_strategy(query_strategy)
        self.estimator = estimator
        self.query_strategy = query_strategy
        self.on_transformed = on_transformed
        self.force_all_finite = force_all_finite
        self.random_state = random_state

    def _members(self) -> Options:
        return {"estimator": self.estimator}

    @property
    def classes_(self) -> Array:
        """Classes that the estimator knows, in ``predict_proba``'s column order."""
        return self._fitted(self.estimator, "classes_")

    def _fit_estimator(
        self,
        data: Labelled,
        training: str | None,
        bootstrap: bool,
        fit_kwargs: Options,
    ) -> None:
        rows = None
        if bootstrap:
            rows = draw_with_classes(
                lambda: self._bootstrap(len(data)),
                self.estimator,
                data.y,
                "The learner",
            )
        self.estimator = train(
            self.estimator,
            data,
            training=training,
            bootstrap=rows,
            fit_kwargs=fit_kwargs,
        )

    def _bootstrap(self, n: int) -> Array:
        return self._generator().integers(n, size=n)

    def predict(self, X: Any, **predict_kwargs: Any) -> Any:
        """Predict with the estimator.

        Parameters
        ----------
        X : any kind of rows that the estimator takes
        **predict_kwargs
            Passed on to the estimator's ``predict``.

        Returns
        -------
        array of shape (n,)
        """
        return self.estimator.predict(
            X, **self._routed("predict", predict_kwargs)["estimator"]
        )

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Any, **predict_proba_kwargs: Any) -> Any:
        """Class probabilities from the estimator.

        Parameters
        ----------
        X : any kind of rows that the estimator takes
        **predict_proba_kwargs
            Passed on to the estimator's ``predict_proba``.

        Returns
        -------
        array of shape (n, n_classes)
            Columns follow ``classes_``.
        """
        kwargs = self._routed("predict_proba", predict_proba_kwargs)["estimator"]
        return proba_array(self.estimator.predict_proba(X, **kwargs))

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X: Any) -> Any:
        """Decision function of the estimator.

        Parameters
        ----------
        X : any kind of rows that the estimator takes

        Returns
        -------
        array of shape (n,) or (n, n_classes)
        """
        return self.estimator.decision_function(X)

    @available_if(_estimator_has("score"))
    def score(self, X: Any, y: Any, **score_kwargs: Any) -> Any:
        """Score of the estimator: accuracy or R² for those of scikit-learn.

        Parameters
        ----------
        X, y : any kind of rows that the estimator takes
        **score_kwargs
            Passed on to the estimator's ``score``, ``sample_weight`` for instance.

        Returns
        -------
        float
        """
        return self.estimator.score(
            X, y, **self._routed("score", score_kwargs)["estimator"]
        )

    def transform_without_estimating(self, X: Any) -> Any:
        """Transform rows as the last step of the estimator sees them.

        Parameters
        ----------
        X : any kind of rows

        Returns
        -------
        rows
            Through all steps but the last of a ``Pipeline``; for an ensemble of
            pipelines their outputs side by side; ``X`` itself where there is no
            pipeline.
        """
        # Heterogeneous ensembles (voting, stacking) hold fitted pipelines; other
        # ensembles hold none.
        members = [self.estimator]
        if hasattr(self.estimator, "named_estimators"):
            members += getattr(self.estimator, "estimators_", ())
        pipelines = [member for member in members if isinstance(member, Pipeline)]
        parts = [
            pipeline[:-1].transform(X) if len(pipeline) > 1 else X
            for pipeline in pipelines
        ]
        return concat_columns(parts) if parts else X


class ActiveLearner(SingleLearner, modAL.models.ActiveLearner):
    """An estimator, the labels it has seen and a strategy for those it wants next.

    A drop-in for ``modAL.models.ActiveLearner``, of which it is a subclass.

    Parameters
    ----------
    estimator : estimator object
        Anything with ``fit`` and ``predict``: a scikit-learn estimator or ``Pipeline``,
        a skorch net.
    query_strategy : callable or str, default=least_confidence
        ``strategy(learner, X_pool, ...)`` returning indices or ``(indices, scores)``,
        or the name of one in :func:`al_sklearn.strategies.catalogue`.
    X_training, y_training : any kind of rows, optional
        Labelled rows to start from; the estimator is fitted on them at once, as in
        modAL. An estimator that is fitted already needs them, too: :meth:`teach` trains
        it again, on the rows that the learner knows.
    bootstrap_init : bool, default=False
        Whether that first fit is on a bootstrap sample of them.
    on_transformed : bool, default=False
        Whether ranked batch sampling measures distances after the estimator's own
        transformations.
    force_all_finite : bool, default=True
        Whether NaN and infinite values are refused when taught.
    random_state : int, Generator, RandomState, SeedSequence or None, default=None
        Makes bootstrap samples repeatable, and strategies that take a ``random_state``.
        It does not seed the estimator, which has its own.
    **fit_kwargs
        Passed on to the estimator's ``fit`` with ``X_training``.

    Attributes
    ----------
    X_training, y_training : any kind of rows or None
        All rows that were taught, with their labels.
    X_val, y_val : any kind of rows or None
        Rows and labels kept for validation, for strategies that train clones or look at
        them; a loop sets them in each round.
    classes_, n_features_in_, feature_names_in_
        Those of the fitted estimator.

    Raises
    ------
    TypeError
        When ``estimator`` has no ``fit``, fit arguments come without data to fit, or
        one of them is a parameter of this class misspelt.
    ValueError
        When only one of ``X_training`` and ``y_training`` is given, or they do not fit
        together.

    Notes
    -----
    ``get_params``, ``set_params`` and ``clone`` know every parameter but the data: a
    clone is an unfitted learner that has seen no labels.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from al_sklearn import ActiveLearner
    >>> X, y = load_iris(return_X_y=True)
    >>> learner = ActiveLearner(
    ...     LogisticRegression(), X_training=X[::10], y_training=y[::10]
    ... )
    >>> indices, rows = learner.query(X, n_instances=5)
    >>> learner.teach(rows, y[indices]).score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        estimator: Any,
        query_strategy: str | Callable = least_confidence,
        X_training: Any = None,
        y_training: Any = None,
        bootstrap_init: bool = False,
        on_transformed: bool = False,
        force_all_finite: bool = True,
        random_state: RandomState = None,
        **fit_kwargs: Any,
    ):
        self._store(
            estimator, query_strategy, on_transformed, force_all_finite, random_state
        )
        self.bootstrap_init = bootstrap_init
        self._forget_all()
        check_words(self, fit_kwargs, estimator)
        if X_training is not None:
            self.fit(X_training, y_training, bootstrap=bootstrap_init, **fit_kwargs)
        elif y_training is not None:
            raise ValueError("y_training was given without X_training.")
        elif fit_kwargs:
            raise TypeError(
                f"{type(self).__name__} got {', '.join(sorted(fit_kwargs))}: "
                "arguments of fit are for X_training, "
                "and none was given. A parameter may be misspelt."
            )

    def _forget_all(self) -> None:
        self.X_training = None
        self.y_training = None
        self._weights: dict[str, Array] = {}

    @property
    def _known(self) -> Labelled:
        return Labelled(self.X_training, self.y_training, self._weights)

    @_known.setter
    def _known(self, data: Labelled) -> None:
        self.X_training, self.y_training = data.X, data.y
        self._weights = dict(data.weights)

    def fit(
        self, X: Any, y: Any, bootstrap: bool = False, **fit_kwargs: Any
    ) -> ActiveLearner:
        """Forget what was taught, store ``X`` and ``y`` and fit the estimator on them.

        Parameters
        ----------
        X, y : any kind of rows
            Stored as they are, not copied.
        bootstrap : bool, default=False
            Whether to fit on a bootstrap sample; all rows are stored all the same.
        **fit_kwargs
            Passed on to the estimator's ``fit``. ``sample_weight`` stays with its rows
            from then on.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When lengths differ, X is empty, or values are missing.
        """
        check_labelled(X, y, self.force_all_finite)
        # Fitted again, it draws the same again.
        self._stream = None
        kwargs = self._routed("fit", fit_kwargs)["estimator"]
        weights, _, others = split_weights(kwargs, n_rows(X), n_rows(X))
        data = Labelled(X, y, weights)
        # Stored after the fit: one that fails leaves the learner as it was.
        self._fit_estimator(data, None, bootstrap, others)
        self._known = data
        return self

    def teach(
        self,
        X: Any,
        y: Any,
        bootstrap: bool = False,
        only_new: bool = False,
        training: str | None = None,
        refit: bool = True,
        store: bool = True,
        **fit_kwargs: Any,
    ) -> ActiveLearner:
        """Add labelled rows to what is known and train the estimator again.

        Parameters
        ----------
        X, y : any kind of rows
            The new rows and their labels, of the kind taught before.
        bootstrap : bool, default=False
            Whether to train on a bootstrap sample.
        only_new : bool, default=False
            modAL's word for ``training="only_new"``.
        training : str or None, default=None
            - None: call the estimator's ``fit`` with all rows known; its own
              ``warm_start``, if it has one, decides whether it starts again.
            - ``"from_scratch"``: all rows, from new weights, whatever ``warm_start``
              says.
            - ``"fine_tune"``: all rows, from the present weights (``warm_start``).
            - ``"only_new"``: call ``fit`` with the new rows alone; an estimator without
              ``warm_start`` then knows nothing else.
            - ``"incremental"``: the new rows alone, from the present weights
              (``partial_fit``, else ``warm_start``). The first one, of a learner that
              knows nothing, may be given all ``classes``.
        refit : bool, default=True
            False only stores the rows; train later with :meth:`refit`.
        store : bool, default=True
            Whether the rows join ``X_training``. With ``only_new``, modAL 0.4.1 stored
            them and 0.4.2.1 did not.
        **fit_kwargs
            Passed on to the estimator's ``fit``. ``sample_weight`` has one value for
            each new row (older rows keep theirs, or weigh 1), or one for each row
            known, new ones last.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When the rows do not fit together or those known so far, or the options
            contradict each other. Nothing is stored then, nor when the estimator fails.

        Warns
        -----
        UserWarning
            When the estimator is fitted and the learner knows no row: what it has
            learnt would be lost.
        """
        mode = mode_to_teach(training, only_new, refit, bootstrap, store)
        check_labelled(X, y, self.force_all_finite)
        kwargs = self._routed("fit", fit_kwargs)["estimator"]
        known = self._known
        check_scale(self.estimator, known.X, X)
        of_new, of_all, others = split_weights(
            kwargs, n_rows(X), len(known) + n_rows(X)
        )
        if of_all:
            # Weights for all rows: old ones are weighed anew.
            n = len(known)
            older = {name: values[:n] for name, values in of_all.items()}
            known = Labelled(known.X, known.y, {**known.weights, **older})
            of_new |= {name: values[n:] for name, values in of_all.items()}
        new = Labelled(X, y, of_new)
        if self.X_training is None:
            check_forgets(self, self.estimator, mode)
        # Joined before training, so that rows that do not fit together are found first.
        everything = known.extend(new)
        if refit:
            taught = everything.as_last(new) if mode in NEW_LABELS else everything
            self._fit_estimator(taught, mode, bootstrap, others)
        if store:
            self._known = everything
        return self

    def refit(
        self, bootstrap: bool = False, training: str | None = None, **fit_kwargs: Any
    ) -> ActiveLearner:
        """Train the estimator on everything known.

        After ``teach(..., refit=False)``, or to bootstrap anew.

        Parameters
        ----------
        bootstrap : bool, default=False
            Whether to train on a bootstrap sample.
        training : {None, "from_scratch", "fine_tune"}, default=None
            As for :meth:`teach`.
        **fit_kwargs
            Passed on to the estimator's ``fit``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When nothing is known yet, or ``training`` wants new rows.
        """
        if self.X_training is None:
            raise ValueError("Nothing is known yet: call fit or teach first.")
        mode = mode_to_refit(training)
        known = self._known
        _, of_all, others = split_weights(
            self._routed("fit", fit_kwargs)["estimator"], -1, len(known)
        )
        known = Labelled(known.X, known.y, {**known.weights, **of_all})
        self._fit_estimator(known, mode, bootstrap, others)
        self._known = known
        return self

    def relabel(
        self, indices: Any, y: Any, refit: bool = True, **fit_kwargs: Any
    ) -> ActiveLearner:
        """Correct labels that were taught.

        Parameters
        ----------
        indices : int array of shape (m,)
            Positions in ``X_training``.
        y : labels of shape (m, ...)
            The right ones. The array that was taught is not changed; ``y_training``
            becomes a new one.
        refit : bool, default=True
            Whether to train again at once.
        **fit_kwargs
            Passed on to the estimator's ``fit``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When positions are outside ``X_training``, come twice, or there is not one
            label for each.
        """
        self._known = self._known.relabel(indices, y)
        return self.refit(**fit_kwargs) if refit else self

    def forget(
        self, indices: Any, refit: bool = True, **fit_kwargs: Any
    ) -> ActiveLearner:
        """Withdraw rows that were taught; the positions of later rows move up.

        Parameters
        ----------
        indices : int array of shape (m,)
            Positions in ``X_training``.
        refit : bool, default=True
            Whether to train again at once.
        **fit_kwargs
            Passed on to the estimator's ``fit``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When positions are outside ``X_training``, come twice, or nothing would be
            left.
        """
        self._known = self._known.forget(indices)
        return self.refit(**fit_kwargs) if refit else self

    # The steps of modAL's teach, under its names: a subclass written for modAL has a
    # teach of its own that is made of them. So they call this class's by its name, not
    # the subclass's, which would call them again.

    def _add_training_data(self, X: Any, y: Any) -> None:
        """Store labelled rows without training."""
        ActiveLearner.teach(self, X, y, refit=False)

    def _fit_to_known(self, bootstrap: bool = False, **fit_kwargs: Any) -> Any:
        """Train on all rows known."""
        return ActiveLearner.refit(self, bootstrap, **fit_kwargs)

    def _fit_on_new(
        self, X: Any, y: Any, bootstrap: bool = False, **fit_kwargs: Any
    ) -> Any:
        """Train on these rows alone, which are not stored."""
        return ActiveLearner.teach(
            self, X, y, bootstrap, only_new=True, store=False, **fit_kwargs
        )
