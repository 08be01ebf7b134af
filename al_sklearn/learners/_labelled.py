"""What a learner knows: labelled rows, and what belongs to each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from al_sklearn._core.checks import check_same_length
from al_sklearn._core.types import Array, Options
from al_sklearn.learners._checks import check_follows, check_several
from al_sklearn.rows import concat_rows, follows_on_scale, n_rows, take_rows


@dataclass(frozen=True)
class Labelled:
    """Labelled rows and what belongs to each row, such as a weight.

    Parameters
    ----------
    X, y : any kind of rows, or both None
        Never changed in place: they may be the caller's own.
    weights : dict of name to array of shape (n,)
        Fit arguments with one value a row (``sample_weight``, ``step__sample_weight``,
        ``groups``).
    """

    X: Any = None
    y: Any = None
    weights: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return 0 if self.X is None else n_rows(self.X)

    def take(self, indices: Array) -> Labelled:
        """Return the rows at ``indices``."""
        weights = {name: values[indices] for name, values in self.weights.items()}
        return Labelled(take_rows(self.X, indices), take_rows(self.y, indices), weights)

    def as_last(self, new: Labelled) -> Labelled:
        """Return new rows that these end with, their columns typed as those of all."""
        if not (hasattr(self.X, "iloc") or hasattr(self.y, "iloc")):
            return new
        end = np.arange(len(self) - len(new), len(self))
        X, y = take_rows(self.X, end), take_rows(self.y, end)
        return Labelled(X, y, new.weights)

    def extend(self, new: Labelled) -> Labelled:
        """Return these rows followed by ``new``."""
        if self.X is None:
            return new
        # Bytes and shares of white are one scale, but not one number.
        known_X, new_X = follows_on_scale(self.X, new.X)
        check_follows("X", known_X, new_X)
        check_follows("y", self.y, new.y)
        return Labelled(
            concat_rows(known_X, new_X),
            concat_rows(self.y, new.y),
            self.extend_weights(new),
        )

    def extend_weights(self, new: Labelled) -> dict[str, Array]:
        """Weights of these rows followed by those of ``new``.

        A row without a weight weighs 1; one without a group has none.
        """
        joined = {}
        for name in {*self.weights, *new.weights}:
            parts = [part for part in (self, new) if len(part)]
            lacking = [part for part in parts if name not in part.weights]
            if lacking and name.rpartition("__")[2] == "groups":
                raise ValueError(
                    f"{name} must be given with all rows or with none: "
                    f"{len(lacking[0])} of {sum(map(len, parts))} rows have no group."
                )
            joined[name] = np.concatenate(
                [part.weights.get(name, np.ones(len(part))) for part in parts]
            )
        return joined

    def relabel(self, indices: Any, y: Any) -> Labelled:
        """Return the same rows with the labels at ``indices`` replaced."""
        positions = self._positions(indices)
        check_several("y", y)
        check_same_length(len(positions), n_rows(y))
        check_follows("y", self.y, y)
        # Old and new labels one after the other, then one of either for each row: what
        # was taught is never written to.
        order = np.arange(len(self))
        order[positions] = len(self) + np.arange(len(positions))
        corrected = take_rows(concat_rows(self.y, y), order)
        if hasattr(corrected, "iloc"):
            # A Series takes the index of its rows, which stayed.
            corrected.index = self.y.index
        return Labelled(self.X, corrected, self.weights)

    def forget(self, indices: Any) -> Labelled:
        """Return the rows without those at ``indices``."""
        kept = np.delete(np.arange(len(self)), self._positions(indices))
        if len(kept) == 0:
            raise ValueError(
                f"All {len(self)} rows would be forgotten: clone the learner to start "
                "from nothing."
            )
        return self.take(kept)

    def _positions(self, indices: Any) -> Array:
        positions = np.atleast_1d(np.asarray(indices))
        # A mask is as good as positions.
        if positions.dtype == bool and positions.shape == (len(self),):
            positions = np.flatnonzero(positions)
        if positions.ndim != 1 or (positions.size and positions.dtype.kind not in "iu"):
            raise ValueError(
                f"indices must be integer positions in X_training, got {indices!r}."
            )
        if positions.size and (positions.min() < 0 or positions.max() >= len(self)):
            raise ValueError(
                f"indices must be positions in X_training, from 0 to {len(self) - 1}, "
                f"got {indices!r}."
            )
        if len(np.unique(positions)) != len(positions):
            raise ValueError("indices must name each row once; some come twice.")
        return positions.astype(np.int64)


def extend_each(known: Sequence[Labelled], new: Sequence[Labelled]) -> list[Labelled]:
    """Extend each of ``known`` by its part of ``new``.

    Those that share rows share the result, joined only once.
    """
    # By identity: comparing rows would read them.
    joined: dict[tuple[int, int], Labelled] = {}
    extended = []
    for old, part in zip(known, new, strict=True):
        key = (id(old.X), id(old.y))
        if key not in joined:
            joined[key] = old.extend(part)
        extended.append(
            Labelled(joined[key].X, joined[key].y, old.extend_weights(part))
        )
    return extended


def split_weights(
    fit_kwargs: Options, n_new: int, n_all: int
) -> tuple[dict, dict, dict]:
    """Split fit arguments into weights of new rows, of all rows, and the rest."""
    of_new: dict[str, Array] = {}
    of_all: dict[str, Array] = {}
    others: Options = {}
    for name, value in fit_kwargs.items():
        # Only what has one value a row can be split, and only these are known to.
        if value is None or name.rpartition("__")[2] not in ("sample_weight", "groups"):
            others[name] = value
            continue
        values = np.asarray(value)
        # Where there are as many new rows as rows in all, both mean the same.
        if len(values) == n_new:
            of_new[name] = values
        elif len(values) == n_all:
            of_all[name] = values
        else:
            raise ValueError(
                f"{name} must have one value for each row taught ({n_new}), got "
                f"{len(values)}."
            )
    return of_new, of_all, others
