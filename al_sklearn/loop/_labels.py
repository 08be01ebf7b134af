"""Tell: what has been asked, and what was answered."""

from __future__ import annotations

import numpy as np

from al_sklearn._core.types import Array
from al_sklearn.loop._problem import Problem
from al_sklearn.loop._rounds import Answers, Contradiction
from al_sklearn.pool import Pool
from al_sklearn.rows import n_rows


class Labels:
    """The labels that have been told, and the state of each row.

    Parameters
    ----------
    problem : Problem
        Whose rows they are of.
    """

    def __init__(self, problem: Problem):
        self._problem = problem
        self.pool = Pool(n_rows(problem.X))
        inside = np.zeros(len(self.pool), dtype=bool)
        inside[problem.train] = True
        for state, positions in (
            ("validation", problem.validation),
            ("test", problem.test),
        ):
            self.pool.move(positions, state)
            inside[positions] = True
        # What a hard pool has taken out is never asked for either.
        self.pool.move(np.flatnonzero(~inside), "skipped")
        self.contradictions: list[Contradiction] = []
        self.unsure: set[int] = set()
        self._values: Array | None = None
        self._new: list[int] = []

    def of(self, positions: Array) -> Array:
        """Return the labels told of these rows."""
        if self._values is None:
            raise ValueError("Nothing has been labelled yet.")
        return self._values[positions]

    def ask(self, positions: Array) -> None:
        """Note that these rows wait for an answer."""
        self.pool.move(positions, "pending")

    def tell(self, answers: Answers, number: int) -> None:
        """Take in answers; nothing is taken in where one of them cannot be."""
        self._check(answers)
        fresh: dict[int, None] = {}
        # One by one: a row may come twice, with two labels.
        values = self._room_for(answers.labels)
        for position, label in zip(
            answers.positions.tolist(), answers.labels, strict=True
        ):
            if position in fresh or self.pool.has(position, "labelled"):
                before = values[position]
                if not np.array_equal(before, label):
                    known = Contradiction(position, before, label, number)
                    self.contradictions.append(known)
            else:
                fresh[position] = None
            values[position] = label
        self.pool.move(np.fromiter(fresh, dtype=np.int64), "labelled")
        self._new += fresh
        # A label that is there is not taken back by somebody who could not say.
        self._move(answers.skipped, "skipped")
        self._move(answers.unsure, "pending")
        unsure = self.unsure.union(answers.unsure.tolist())
        self.unsure = {row for row in unsure if self.pool.has(row, "pending")}

    @property
    def new(self) -> Array:
        """Rows that no round has learnt from yet, in the order they came."""
        return np.array(self._new, dtype=np.int64)

    def end_round(self) -> None:
        """Note that a round has learnt from what is new."""
        self._new = []

    def _move(self, positions: Array, state: str) -> None:
        free = self.pool.mask("unlabelled") | self.pool.mask("pending")
        movable = np.unique(positions[free[positions]])
        self.pool.move(movable[~self.pool.mask(state)[movable]], state)

    def _check(self, answers: Answers) -> None:
        told = np.concatenate([answers.positions, answers.skipped, answers.unsure])
        n = len(self.pool)
        if len(told) and (told.min() < 0 or told.max() >= n):
            raise ValueError(
                f"Answers must be about rows 0 to {n - 1}, got {told.min()} … "
                f"{told.max()}."
            )
        # Labels of held-out rows would be learnt from.
        for state in ("test", "validation"):
            held = told[self.pool.mask(state)[told]]
            if len(held):
                raise ValueError(
                    f"Row {held[0]} is held out for {state}: it cannot be labelled."
                )
        # Images of no class have labels of their own, on purpose.
        if self._problem.outside is None and len(answers.labels):
            self._problem.task.check_known(answers.labels)

    def _room_for(self, labels: Array) -> Array:
        """Return the array of all labels, of a type that can hold these too."""
        values = self._values
        if len(labels) == 0:
            # Of no type worth keeping.
            return labels
        if values is None:
            shape = (len(self.pool), *labels.shape[1:])
            self._values = values = np.empty(shape, dtype=labels.dtype)
        else:
            # "cat", then "horse": numpy would cut the second to three letters.
            wide = np.result_type(values.dtype, labels.dtype)
            self._values = values = values.astype(wide, copy=False)
        return values
