"""What every composition shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from al_sklearn._core.random import RandomState, as_generator
from al_sklearn._core.types import Function
from al_sklearn.strategies._registry import Chosen, run_strategy, strategy_name


def written(part: str | Function) -> str:
    """Return a measure or selector as it would be written."""
    return part if isinstance(part, str) else strategy_name(part)


@dataclass(frozen=True, repr=False)
class Composition(ABC):
    """A strategy made of others: a value that compares equal, pickles and is called."""

    # The parts are given views of X, so that rows are read when they are asked for.
    reads_lazily: ClassVar[bool] = True

    @property
    @abstractmethod
    def __name__(self) -> str:
        """The composition, as it would be written."""

    def __repr__(self) -> str:
        # As written, which is what a table of strategies and a store hold.
        return self.__name__

    def __call__(
        self,
        classifier: Any,
        X: Any,
        n_instances: int = 1,
        *,
        random_tie_break: bool = False,
        random_state: RandomState = None,
    ) -> Chosen:
        """Choose ``n_instances`` of X; see the function that made this."""
        return self._run(
            classifier,
            X,
            n_instances,
            random_tie_break=random_tie_break,
            random_state=random_state,
        )

    def _run(
        self,
        classifier: Any,
        X: Any,
        n_instances: int,
        *,
        random_state: RandomState,
        **options: Any,
    ) -> Chosen:
        # One stream for all parts, which each moves on.
        options["random_state"] = as_generator(random_state)
        return run_strategy(
            self._choose, self.__name__, classifier, X, n_instances, options
        )

    @abstractmethod
    def _choose(
        self, classifier: Any, X: Any, n_instances: int, **ties: Any
    ) -> Chosen: ...
