"""What goes in and out of a loop: batches, answers, finished rounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from al_sklearn._core.checks import check_same_length
from al_sklearn._core.types import Array, Options
from al_sklearn.rows import n_rows


class Batch(NamedTuple):
    """What is asked for.

    Parameters
    ----------
    round : int
        The round that will learn from the answers; those that come later are learnt
        from in the round that they come in.
    positions : int64 array of shape (b,)
        Rows of X, the most useful first.
    scores : float array of shape (b,)
        What the strategy said of them; NaN where it says nothing.
    strategy : str
        Who asks.
    seconds : float
        How long it took to choose.
    """

    round: int
    positions: Array
    scores: Array
    strategy: str
    seconds: float


@dataclass(frozen=True)
class Answers:
    """What was answered; of a batch that is asked for any part may be missing.

    Parameters
    ----------
    positions : int array of shape (m,), default=()
        Rows of X that have a label now, of any batch, in any order. One that comes
        twice with two labels contradicts itself: the last one counts.
    labels : array of shape (m, ...), default=()
        Their labels.
    skipped : int array, default=()
        Rows that cannot be labelled: they are not asked for again.
    unsure : int array, default=()
        Rows that whoever answered could not decide: they stay pending, for somebody
        else.

    Examples
    --------
    >>> from al_sklearn.loop import Answers
    >>> Answers([7, 3], ["cat", "dog"], skipped=[9]).labels.tolist()
    ['cat', 'dog']
    """

    positions: Any = ()
    labels: Any = ()
    skipped: Any = ()
    unsure: Any = ()

    def __post_init__(self) -> None:
        for name in ("positions", "skipped", "unsure"):
            # Empty lists are floats to numpy, and no positions.
            given = np.asarray(getattr(self, name))
            if given.size and given.dtype.kind not in "iu":
                raise TypeError(f"{name} must be integers, got {given.dtype}.")
            object.__setattr__(self, name, given.astype(np.int64).reshape(-1))
        object.__setattr__(self, "labels", np.asarray(self.labels))
        check_same_length(len(self.positions), n_rows(self.labels))


class Contradiction(NamedTuple):
    """Two labels for one row; the second one counts.

    Parameters
    ----------
    position : int
    before, after : labels
    round : int
        The round that was to come when the second was told.
    """

    position: int
    before: Any
    after: Any
    round: int


@dataclass
class Round:
    """What one round did: which images, and how good the model is with them.

    The model has learnt from those images.

    Parameters
    ----------
    round : int
        0 is the initial set.
    indices, scores : arrays
        The images bought, as positions in X, and what the strategy said of them (NaN
        for the initial set).
    metrics : dict
        Plain numbers and lists, as the store writes them.
    """

    round: int
    indices: Array
    scores: Array
    metrics: Options = field(default_factory=dict)
