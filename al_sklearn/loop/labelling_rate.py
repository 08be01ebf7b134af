"""How many labels to buy next.

The same number each round, or more where labels bring little.

A rate has no state: it is given the curve so far, and answers with the size of the next
batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Final

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

__all__ = ["AdaptiveRate", "FixedRate", "LabellingRate"]


_FROM_1: Final = Interval(Integral, 1, None, closed="left")
# Of a share: none at all, or all of it, is no gain to plan with.
_GAIN: Final = Interval(Real, 0, 1, closed="neither")


class LabellingRate(BaseEstimator):
    """Base of all rates; one of your own has a :meth:`next_batch`."""

    #: The metric of a round that the rate wants to see; None where it looks at none.
    metric: str | None = None
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    def next_batch(
        self, n_labelled: Sequence[int], values: Sequence[float] = ()
    ) -> int:
        """Return the size of the next batch.

        Parameters
        ----------
        n_labelled : sequence of int
            Labels used after each round so far, the initial set first.
        values : sequence of float
            The metric after each of these rounds.

        Returns
        -------
        int
            At least 1.
        """
        raise NotImplementedError(f"{type(self).__name__} has no next_batch().")


class FixedRate(LabellingRate):
    """The same number every round.

    Parameters
    ----------
    n_instances : int, default=20
        Images a round.
    """

    _parameter_constraints: ClassVar = {"n_instances": [_FROM_1]}

    def __init__(self, n_instances: int = 20):
        self.n_instances = n_instances

    def next_batch(
        self, n_labelled: Sequence[int], values: Sequence[float] = ()
    ) -> int:
        """Return the same number every round."""
        self._validate_params()
        return int(self.n_instances)


class AdaptiveRate(LabellingRate):
    """As many labels as the gain that is wanted needs, by the last batch's gain.

    With a_i the metric after round i and η_i the size of the batch after it, the last
    batch brought ``δ = max(min_gain, a_i - a_{i-1}) / η_{i-1}`` a label; the next has
    ``ceil(min(max_instances, min(gain, 1 - a_i) / δ))`` images, and at least one.

    Parameters
    ----------
    n_first : int, default=20
        The first batch, when there is no gain yet to judge by.
    gain : float, default=0.02
        What the next batch should bring.
    max_instances : int, default=200
        Largest batch.
    min_gain : float, default=0.001
        Taken for the gain where it was smaller, or a loss.
    metric : str, default="accuracy"
        A share, from 0 to 1, better when higher. In an experiment it is measured on the
        test set; a live learner has it from a validation set.

    Examples
    --------
    The last 20 labels brought five points, 0.0025 each: for the next two, eight labels
    are enough.

    >>> from al_sklearn.loop.labelling_rate import AdaptiveRate
    >>> AdaptiveRate(n_first=20, gain=0.02).next_batch([20, 40], [0.60, 0.65])
    8
    """

    _parameter_constraints: ClassVar = {
        "n_first": [_FROM_1],
        "gain": [_GAIN],
        "max_instances": [_FROM_1],
        "min_gain": [_GAIN],
        "metric": [str],
    }

    def __init__(
        self,
        n_first: int = 20,
        *,
        gain: float = 0.02,
        max_instances: int = 200,
        min_gain: float = 0.001,
        metric: str = "accuracy",
    ):
        self.n_first = n_first
        self.gain = gain
        self.max_instances = max_instances
        self.min_gain = min_gain
        self.metric = metric

    def next_batch(
        self, n_labelled: Sequence[int], values: Sequence[float] = ()
    ) -> int:
        """Return the size of the next batch.

        Parameters
        ----------
        n_labelled : sequence of int
            Labels used after each round so far, the initial set first.
        values : sequence of float
            The metric after each of these rounds.

        Returns
        -------
        int
            At least 1.

        Raises
        ------
        ValueError
            When the two differ in length, the labels do not increase, or the metric is
            no share.
        """
        self._validate_params()
        if len(n_labelled) != len(values) or len(values) == 0:
            raise ValueError(
                f"One value for each budget is needed, got {len(n_labelled)} and "
                f"{len(values)}."
            )
        if not all(0 <= value <= 1 for value in values[-2:]):
            raise ValueError(
                f"{self.metric} must be from 0 to 1, got {list(values[-2:])}."
            )
        if len(values) == 1:
            return min(int(self.n_first), int(self.max_instances))
        bought = n_labelled[-1] - n_labelled[-2]
        # The gain is a label's: of no label there is none.
        if bought <= 0:
            raise ValueError(
                "n_labelled must increase from round to round, got "
                f"{list(n_labelled[-2:])}."
            )
        gain_of_a_label = max(self.min_gain, values[-1] - values[-2]) / bought
        # No more than is left up to 1, however much is wanted.
        wanted = min(self.gain, 1 - values[-1]) / gain_of_a_label
        # Rounded first: 0.02 / 0.0025 must not become 9 for an error in the last bit.
        return max(1, math.ceil(round(min(self.max_instances, wanted), 9)))
