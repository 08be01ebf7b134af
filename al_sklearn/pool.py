"""The state of every position: masks over an X that is never copied."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from al_sklearn._core.files import replacing
from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Array
from al_sklearn.rows import (
    RowView,
    are_files,
    as_positions,
    concat_rows,
    iter_chunks,
    n_rows,
    read_numpy,
    take_rows,
    view_rows,
)

__all__ = [
    "STATES",
    "Pool",
    "RowView",
    "are_files",
    "concat_rows",
    "iter_chunks",
    "n_rows",
    "take_rows",
    "view_rows",
]

# Saved pools hold positions in this tuple: new states are added at its end.
STATES: Final = ("unlabelled", "labelled", "pending", "validation", "test", "skipped")
_LABELLED: Final = STATES.index("labelled")


class Pool:
    """The state of every position of an X, each in exactly one.

    A position is ``unlabelled``, ``labelled``, ``pending`` (sent to people),
    ``skipped`` (people would not or could not label it), or held out for ``validation``
    or ``test``.

    Parameters
    ----------
    n : int
        Number of positions; all start unlabelled.

    Attributes
    ----------
    unlabelled, labelled, pending, skipped, validation, test : int64 array
        The positions in each state; labelled ones in the order they came, the others
        increasing.

    Notes
    -----
    A pool holds one byte a position, and eight more for each labelled one. Asking for
    the state of a position takes the same time however large the pool is; a mask or the
    positions of one state, one pass over the bytes.

    Examples
    --------
    >>> pool = Pool(6)
    >>> pool.move([4, 1], "labelled")
    >>> pool.labelled, pool.unlabelled
    (array([4, 1]), array([0, 2, 3, 5]))
    >>> pool.state_of(4), pool.has(4, "pending")
    ('labelled', False)
    >>> pool.counts()["unlabelled"]
    4
    """

    def __init__(self, n: int):
        if n < 1:
            raise ValueError(f"A pool needs at least one position, got {n}.")
        self._state = np.zeros(n, dtype=np.uint8)
        self._labelled: list[Array] = []

    def __len__(self) -> int:
        return len(self._state)

    def __contains__(self, position: object) -> bool:
        return isinstance(position, (int, np.integer)) and 0 <= int(position) < len(
            self
        )

    def __repr__(self) -> str:
        counts = (f"{count} {state}" for state, count in self.counts().items() if count)
        return f"Pool({', '.join(counts)})"

    def __getattr__(self, name: str) -> Array:
        if name in STATES:
            return self.positions(name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def positions(self, state: str) -> Array:
        """Return the positions in ``state``, int64."""
        code = self._code(state)
        if code == _LABELLED:
            order = (
                np.concatenate(self._labelled)
                if self._labelled
                else np.empty(0, np.int64)
            )
            self._labelled = [order]
            return order.copy()
        return np.flatnonzero(self._state == code).astype(np.int64, copy=False)

    def mask(self, state: str) -> Array:
        """Return which positions are in ``state``, bool (n,)."""
        return self._state == self._code(state)

    def counts(self) -> dict[str, int]:
        """Return how many positions are in each state."""
        return {
            state: int(np.count_nonzero(self._state == code))
            for code, state in enumerate(STATES)
        }

    def state_of(self, position: int) -> str:
        """Return the state of one position."""
        return STATES[self._state[position]]

    def has(self, position: int, state: str) -> bool:
        """Whether one position is in ``state``."""
        return bool(self._state[position] == self._code(state))

    def view(self, X: Any, state: str = "unlabelled", within: Any = None) -> RowView:
        """Look at the rows of X in ``state`` without reading them.

        Parameters
        ----------
        X : any kind of rows, as many as the pool has positions
        state : str, default="unlabelled"
        within : int array, slice or bool mask, optional
            Only these positions, in the order given.

        Returns
        -------
        RowView
            Its ``indices`` are positions in X: ``view.indices[chosen]`` says in the
            caller's positions what a strategy chose from the view. A view of a view
            still knows those of X.

        Raises
        ------
        ValueError
            When X has another number of rows than the pool.
        """
        if n_rows(X) != len(self):
            raise ValueError(
                f"X has {n_rows(X)} rows, the pool {len(self)} positions: they must "
                "be the same."
            )
        if within is None:
            return RowView(X, self.positions(state))
        wanted = as_positions(within, len(self))
        return RowView(X, wanted[self._state[wanted] == self._code(state)])

    def batches(
        self,
        size: int,
        state: str = "unlabelled",
        *,
        random_state: RandomState = None,
        part: tuple[int, int] = (0, 1),
    ) -> Iterator[Array]:
        """Yield the positions in ``state``, ``size`` at a time.

        They are the same in every process.

        Parameters
        ----------
        size : int
            Positions in a batch; the last may have fewer.
        state : str, default="unlabelled"
        random_state : int or SeedSequence, optional
            Shuffle, the same way wherever the pool and the number are the same. By
            default they come increasing (labelled ones as they came).
        part : (int, int), default=(0, 1)
            ``(i, k)``: every k-th batch from the i-th on. Processes that take i = 0 …
            k-1 share the work and never meet.

        Yields
        ------
        positions : int64 array of shape (size,)

        Raises
        ------
        ValueError
            For a size below 1 or a part that is none of ``k``.
        """
        number, n_parts = part
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}.")
        if not 0 <= number < n_parts:
            raise ValueError(f"part must be (i, k) with 0 <= i < k, got {part}.")
        positions = self.positions(state)
        if random_state is not None:
            positions = as_generator(random_state).permutation(positions)
        return (
            positions[start : start + size]
            for start in range(number * size, len(positions), n_parts * size)
        )

    def move(self, indices: Any, state: str) -> None:
        """Put positions into ``state``.

        Parameters
        ----------
        indices : int array, slice or bool mask
        state : str
            One of ``STATES``.

        Raises
        ------
        ValueError
            When a position comes twice, or is already in that state, or the state is
            unknown; nothing is moved then.
        """
        code = self._code(state)
        indices = as_positions(indices, len(self))
        if _repeats(indices, len(self)):
            raise ValueError(
                "A position can be moved only once in one call; some come twice."
            )
        before = self._state[indices]
        already = indices[before == code]
        if len(already):
            raise ValueError(
                f"Position {already[0]} (and {len(already) - 1} more) is already "
                f"{state}."
            )
        self._state[indices] = code
        if np.any(before == _LABELLED):
            order = self.positions("labelled")
            self._labelled = [order[self._state[order] == _LABELLED]]
        if code == _LABELLED:
            self._labelled.append(indices.copy())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the pool to one ``.npz`` file of plain arrays, whole or not at all."""
        with replacing(Path(path)) as file:
            np.savez_compressed(
                file, state=self._state, labelled=self.positions("labelled")
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Pool:
        """Read a pool written by :meth:`save`.

        Raises
        ------
        ValueError
            When the file is not a pool, or its labelled positions contradict its
            states.
        """
        content = read_numpy(path)
        if not isinstance(content, dict) or set(content) != {"state", "labelled"}:
            held = sorted(content) if isinstance(content, dict) else "one array"
            raise ValueError(f"{path} is not a saved pool: it holds {held}.")
        state = content["state"]
        order = content["labelled"].astype(np.int64)
        if (
            state.dtype != np.uint8
            or state.ndim != 1
            or len(state) == 0
            or order.ndim != 1
        ):
            raise ValueError(
                f"{path} is not a saved pool: its states are {state.dtype} of shape "
                f"{state.shape}."
            )
        if state.max() >= len(STATES):
            raise ValueError(f"{path} holds a state that this version does not know.")
        pool = cls(len(state))
        pool._state[:] = state
        if not np.array_equal(np.sort(order), np.flatnonzero(pool._state == _LABELLED)):
            raise ValueError(
                f"{path} is damaged: its labelled positions do not match its states."
            )
        pool._labelled = [order]
        return pool

    @staticmethod
    def _code(state: str) -> int:
        if state not in STATES:
            raise ValueError(
                f"Unknown state {state!r}. Available: {', '.join(STATES)}."
            )
        return STATES.index(state)


def _repeats(positions: Array, n: int) -> bool:
    """Whether a position comes twice.

    Marking is quicker than sorting once there are many.
    """
    if len(positions) < n // 64:
        return len(np.unique(positions)) < len(positions)
    seen = np.zeros(n, dtype=bool)
    seen[positions] = True
    return int(np.count_nonzero(seen)) < len(positions)
