"""The errors that are told apart by their type, never by their text.

Each is also the built-in error that users of scikit-learn expect, so that code which
knows nothing of these types catches them all the same.
"""

from __future__ import annotations

__all__ = [
    "AlSklearnError",
    "CapabilityError",
    "ExperimentFileError",
    "LabelFileError",
    "ParameterError",
    "StoreError",
    "StoreExistsError",
    "StoreLockedError",
]


class AlSklearnError(Exception):
    """What every error of this module is.

    Examples
    --------
    >>> from al_sklearn.exceptions import AlSklearnError, StoreError
    >>> issubclass(StoreError, AlSklearnError)
    True
    """


class CapabilityError(AlSklearnError, TypeError):
    """A classifier cannot give what it was asked for.

    Also a :class:`TypeError`. The message names the classifier, the capability and what
    would provide it; where a strategy asked, the strategy as well.

    Parameters
    ----------
    message : str
        The classifier, the capability and what would provide it.

    Attributes
    ----------
    capability : str or None
        The function of :mod:`al_sklearn.inference` that was asked: ``"sample_proba"``.
    estimator : str or None
        The name of the classifier's class.
    instead : str or None
        What would provide it.
    strategy : str or None
        The name of the strategy that asked, once one is known to have.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Perceptron
    >>> from al_sklearn.exceptions import CapabilityError
    >>> from al_sklearn.strategies import margin
    >>> X, y = np.eye(4), [0, 1, 0, 1]
    >>> try:
    ...     margin(Perceptron().fit(X, y), X)
    ... except CapabilityError as error:
    ...     print(error.strategy)
    margin
    """

    capability: str | None = None
    estimator: str | None = None
    instead: str | None = None
    strategy: str | None = None

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.strategy is None else f"strategy {self.strategy!r}: {text}"


class LabelFileError(AlSklearnError, ValueError):
    """A label file holds something that cannot be, or that must not be read.

    The message names the file, the line or element, and what was expected. Also a
    :class:`ValueError`.

    Examples
    --------
    >>> from al_sklearn.exceptions import LabelFileError
    >>> try:
    ...     raise LabelFileError("a.txt: line 1: the class -1 is below 0.")
    ... except ValueError as error:
    ...     print(error)
    a.txt: line 1: the class -1 is below 0.
    """


class ParameterError(AlSklearnError, ValueError):
    """A parameter has a value that cannot be, as only the data or a training show.

    Also a :class:`ValueError`. Experiment files and the command line find the key, the
    line or the flag by it.

    Parameters
    ----------
    message : str
        What was given and what is allowed.
    *parameters : str
        The parameters it is about, the one that is to blame first.

    Attributes
    ----------
    parameters : tuple of str
        As given.
    strategy : str or None
        The name of the strategy whose parameters they are, where it is one's.

    Examples
    --------
    >>> from al_sklearn.exceptions import ParameterError
    >>> error = ParameterError("n_initial=200 is more than 100 images.", "n_initial")
    >>> error.parameters
    ('n_initial',)
    """

    strategy: str | None = None

    def __init__(self, message: str, *parameters: str):
        super().__init__(message)
        self.parameters = parameters


class StoreError(AlSklearnError, ValueError):
    """A run's folder does not hold what it should.

    It holds another run, an older layout or damaged files. Also a :class:`ValueError`.

    Examples
    --------
    >>> from al_sklearn.exceptions import StoreError
    >>> try:
    ...     raise StoreError("runs/a holds another run.")
    ... except ValueError as error:
    ...     print(error)
    runs/a holds another run.
    """


class StoreLockedError(StoreError, RuntimeError):
    """Another process is at work in a run's folder.

    Also a :class:`RuntimeError`.

    Examples
    --------
    >>> from al_sklearn.exceptions import StoreLockedError
    >>> try:
    ...     raise StoreLockedError("Another process writes to runs/a.")
    ... except RuntimeError as error:
    ...     print(error)
    Another process writes to runs/a.
    """


class StoreExistsError(StoreError, FileExistsError):
    """A folder holds a run, or something else, where a new run was asked for.

    Also a :class:`FileExistsError`.

    Examples
    --------
    >>> from al_sklearn.exceptions import StoreExistsError
    >>> try:
    ...     raise StoreExistsError("runs/a holds a run already.")
    ... except FileExistsError as error:
    ...     print(error)
    runs/a holds a run already.
    """


class ExperimentFileError(AlSklearnError, ValueError):
    """An experiment file says something that cannot be.

    The message names the keys, where they stand and what is allowed. Also a
    :class:`ValueError`.

    Examples
    --------
    >>> from al_sklearn.exceptions import ExperimentFileError
    >>> try:
    ...     raise ExperimentFileError("line 3: n_rounds: -1 is not 1 or more.")
    ... except ValueError as error:
    ...     print(error)
    line 3: n_rounds: -1 is not 1 or more.
    """
