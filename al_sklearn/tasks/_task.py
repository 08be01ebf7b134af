"""What a task has to say, so that the rest of the house need not know which it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from al_sklearn._core.types import Array, Options
from al_sklearn.tasks._metrics import Metric, Scorers, get_metric


class Predictions(NamedTuple):
    """What a model says of some rows.

    Parameters
    ----------
    values : object
        In the task's plain form; of a classification probabilities, shape (n, C).
    graded : bool
        False where the model only names a label, and gives no probability to it.
    """

    values: Any
    graded: bool


class Task(ABC):
    """A kind of label; one object a data set.

    The loop, the protocol and the store ask it whatever depends on what a label is. A
    further kind is a subclass; nothing above this package changes for it.
    """

    #: The task's name, as in the catalogue of strategies.
    name: ClassVar[str]
    #: What labels are paid for in.
    cost_units: ClassVar[tuple[str, ...]] = ("images",)
    #: Metrics that every round has, the one that ``score`` returns first.
    metrics: ClassVar[tuple[str, ...]]
    #: Lists of a round with a number for each kind of label, and what the columns of
    #: their numbers begin with.
    lists: ClassVar[Mapping[str, str]]
    #: The sorted labels, where there is a list of them.
    classes: Any = None

    @staticmethod
    @abstractmethod
    def check_labels(y: Any, n: int, name: str = "y") -> Array:
        """Return ``n`` labels that can be learnt; raise a ``ValueError`` for others."""

    @abstractmethod
    def check_known(self, y: Array) -> None:
        """Raise a ``ValueError`` for labels that the task does not know."""

    @abstractmethod
    def encode(self, y: Array) -> Array:
        """Return labels as the metrics of the task want what is true."""

    @abstractmethod
    def strata(self, y: Array) -> Array:
        """Return the group of each label, from 0, that sets are stratified by."""

    @abstractmethod
    def same(self, y: Array, predictions: Predictions) -> Array:
        """Return how far each prediction agrees with a label, from 0 to 1, (n,)."""

    @abstractmethod
    def count(self, y: Array) -> list[int]:
        """Count the labels of each kind."""

    def cost(self, y: Array) -> dict[str, float]:
        """Return what these labels cost, in each of ``cost_units``."""
        return {"images": len(y)}

    @abstractmethod
    def predict(self, model: Any, X: Any, inference: Any) -> Predictions:
        """Ask a fitted model about rows.

        Parameters
        ----------
        model : fitted estimator
        X : rows
        inference : module
            :mod:`al_sklearn.inference`, which stands above this package: whoever asks
            hands it down.
        """

    @abstractmethod
    def as_estimator(self, predictions: Predictions) -> Any:
        """Return an estimator that has made these predictions already.

        Scikit-learn's scorers read it without a second pass over the rows.
        """

    @abstractmethod
    def measure_lists(
        self, y_true: Array, predictions: Predictions
    ) -> dict[str, list[float]]:
        """Return what is measured of each kind of label."""

    def measure(
        self, y: Array, predictions: Predictions, X: Any, scorers: Scorers
    ) -> Options:
        """Measure predictions of rows X against their labels.

        Parameters
        ----------
        y : labels of shape (n,)
        predictions : Predictions
        X : rows
            For scorers that look at them.
        scorers : dict of str to Metric or scorer
            Measured beside the task's own metrics, from
            :func:`al_sklearn.tasks.scorers_of`.

        Returns
        -------
        dict
            A number each, and a list each of ``lists`` that predictions can fill.
        """
        asked = {name: get_metric(name) for name in self.metrics} | scorers
        y_true = self.encode(y)
        measured: Options = {}
        for name, scorer in asked.items():
            if isinstance(scorer, Metric):
                graded = predictions.graded or not scorer.needs_proba
                value = scorer(y_true, predictions.values) if graded else np.nan
            else:
                value = scorer(self.as_estimator(predictions), X, y)
            measured[name] = float(value)
        return measured | self.measure_lists(y_true, predictions)
