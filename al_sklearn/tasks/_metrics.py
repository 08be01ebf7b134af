"""The one table of metrics: what each is called, and which way is better.

The loop, the store, statistics, pictures, reports, trackers and the command line all
read it; a metric of your own stands in it as ours do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeAlias

from sklearn.metrics import get_scorer, get_scorer_names

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.registry import same_function
from al_sklearn._core.types import Array, Function, Options

#: What ``scoring=`` may name, by the column that it fills.
Scorers: TypeAlias = "dict[str, Metric | Callable[..., Any]]"

#: The column of a scorer that has no name of its own.
NAMELESS: Final = "score"


@dataclass(frozen=True)
class Metric:
    """What there is to know about a number that is measured.

    Parameters
    ----------
    name : str
        Of the column in tables and of the key in the store.
    word : str, default=""
        For people, as in "macro F1"; the name where nothing is said.
    unit : str, default=""
        As on an axis; empty where it has none.
    lower_is_better : bool, default=False
        Its direction.
    is_share : bool, default=False
        Whether it runs from 0 to 1 and is shown in percent.
    function : callable, optional
        ``function(y_true, predictions) -> float``. Of a classification ``y_true`` are
        columns, shape (n,), and the predictions probabilities, shape (n, C). Without
        one it is a column that something else fills.
    needs_proba : bool, default=False
        Whether the order of probabilities is not enough: a model that gives only
        classes has NaN then.
    task : str, default="classification"
        What kind of labels it is about; empty where it is about none, as seconds.
    """

    name: str
    word: str = ""
    unit: str = ""
    lower_is_better: bool = False
    is_share: bool = False
    function: Callable[[Array, Any], float] | None = None
    needs_proba: bool = False
    task: str = "classification"

    def __post_init__(self) -> None:
        if not self.word:
            # The only way to set a field of a frozen class.
            object.__setattr__(self, "word", self.name)

    def __call__(self, y_true: Array, predictions: Any) -> float:
        """Measure predictions against what is true."""
        if self.function is None:
            raise TypeError(f"The metric {self.name!r} has no function to call.")
        return float(self.function(y_true, predictions))

    @property
    def title(self) -> str:
        """The word as a title begins, ``"Macro F1"``."""
        return self.word[:1].upper() + self.word[1:]

    @property
    def label(self) -> str:
        """The title with its unit, for an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def sign(self) -> int:
        """What a value is multiplied by so that more is better: 1 or -1."""
        return -1 if self.lower_is_better else 1

    def facts(self) -> Options:
        """Return all but the function, as plain data for a JSON file."""
        names = [field.name for field in fields(self) if field.name != "function"]
        return {name: getattr(self, name) for name in names}


_METRICS: Final[dict[str, Metric]] = {}
#: Names that the library measures by itself.
_OURS: Final[set[str]] = set()
#: Columns and keys of a round that are no metrics.
_TAKEN: Final = frozenset(
    {
        "strategy",
        "seed",
        "round",
        "n_labelled",
        "estimator",
        "repeat",
        "indices",
        "scores",
        "class_accuracy",
        "bought",
        "bought_outside",
        "bought_wrong",
        "stopping",
        "stopped",
    }
)


def own_metrics(*own: Metric) -> tuple[str, ...]:
    """Put the library's own metrics in the table, and return their names."""
    names = tuple(metric.name for metric in own)
    _METRICS.update(zip(names, own, strict=True))
    _OURS.update(names)
    return names


def register_metric(
    name: str,
    function: Callable[[Array, Any], float] | None = None,
    **facts: Any,
) -> Any:
    """Put a metric in the table, so that ``scoring=`` computes it by its name.

    Parameters
    ----------
    name : str
        Its name. A metric of yours may be registered again, as a notebook's cell does;
        the names that the library measures by itself are taken.
    function : callable, optional
        ``function(y_true, predictions) -> float``, see :class:`Metric`. Without it the
        call is a decorator for one.
    **facts
        Further fields of :class:`Metric`: ``word``, ``unit``, ``lower_is_better``,
        ``is_share``, ``needs_proba``, ``task``.

    Returns
    -------
    Metric
        What stands in the table; for a decorator, the function itself.

    Raises
    ------
    ValueError
        For a name that is the library's own, a scorer's of scikit-learn or another
        function's, or is no name of a column.
    TypeError
        For anything but a name and a function.

    Examples
    --------
    >>> from al_sklearn.tasks import get_metric, register_metric
    >>> @register_metric("second_best", word="share right in two", is_share=True)
    ... def second_best(y_true, proba):
    ...     return (proba.argsort(axis=1)[:, -2:] == y_true[:, None]).any(axis=1).mean()
    >>> get_metric("second_best").title
    'Share right in two'
    """
    if not isinstance(name, str):
        raise TypeError(
            f"register_metric takes a name first, as in @register_metric('mine'); got "
            f"{name!r}."
        )
    if function is None:

        def register(function: Callable[..., float]) -> Callable[..., float]:
            register_metric(name, function, **facts)
            return function

        return register
    if not callable(function):
        raise TypeError(f"A metric is a function, got {function!r}.")
    check_column(name)
    # Its column is there in every round, with other numbers.
    if name in _OURS:
        raise ValueError(f"{name!r} is a metric of the library; take another name.")
    if name in get_scorer_names():
        # scoring= could mean either.
        raise ValueError(f"{name!r} is a scorer of scikit-learn; take another name.")
    known = _METRICS.get(name)
    if known and known.function and not same_function(known.function, function):
        raise ValueError(f"The metric name {name!r} is taken by {known.function!r}.")
    _METRICS[name] = Metric(name, function=function, **facts)
    return _METRICS[name]


def get_metric(name: str) -> Metric:
    """Return what is known of a metric, or of any other column of results.

    Parameters
    ----------
    name : str
        A name in the table, ``accuracy_<class>``, or a scorer's.

    Returns
    -------
    Metric
        For a name that nobody registered, as a scikit-learn scorer's: more is better,
        and it is no share.
    """
    if name in _METRICS:
        return _METRICS[name]
    if name.startswith("accuracy_"):
        return Metric(name, is_share=True)
    return Metric(name)


def metrics(task: str | None = None) -> dict[str, Metric]:
    """Return the table, or what of it belongs to one task, by name."""
    return {
        name: metric
        for name, metric in _METRICS.items()
        if task is None or metric.task == task
    }


def know_metrics(known: Iterable[Metric | Mapping[str, Any]]) -> None:
    """Take in metrics that another process registered, unless their names are taken.

    A worker, or whoever reads a store, never ran the line that registered them, and
    must know all the same which way is better.
    """
    for metric in known:
        found = metric if isinstance(metric, Metric) else Metric(**metric)
        _METRICS.setdefault(found.name, found)


def scoring_names() -> list[str]:
    """Return the names that ``scoring=`` may give: metrics and scikit-learn's scorers.

    Returns
    -------
    list of str
        Sorted.
    """
    computed = {name for name, metric in _METRICS.items() if metric.function}
    return sorted(computed | set(get_scorer_names()))


def scorers_of(scoring: Any) -> Scorers:
    """Return what ``scoring=`` asks for, by the name of its column.

    Parameters
    ----------
    scoring : str, callable, Metric, list of these, dict of str to these, or None
        A name is a metric's or a scikit-learn scorer's; a callable is a scorer,
        ``scorer(estimator, X, y) -> float``. Its column has the scorer's name, a
        function's ``__name__``, or the dict's key; a scorer without a name has
        ``"score"``.

    Returns
    -------
    dict of str to Metric or callable

    Raises
    ------
    ValueError
        For an unknown name, a column that comes twice or is taken.
    TypeError
        For anything that is no scorer.

    Examples
    --------
    >>> from al_sklearn.tasks import scorers_of
    >>> list(scorers_of(["roc_auc_ovr", "nll"]))
    ['roc_auc_ovr', 'nll']
    """
    if scoring is None:
        return {}
    if isinstance(scoring, Mapping):
        pairs = [(str(name), _scorer(part, name)) for name, part in scoring.items()]
    else:
        parts = scoring if isinstance(scoring, (list, tuple)) else [scoring]
        pairs = [(_name_of(part), _scorer(part)) for part in parts]
    # A dict: columns come in the order in which they were asked for.
    found: Scorers = {}
    for name, scorer in pairs:
        if name in found:
            raise ValueError(
                f"Two scorers of scoring= would fill the column {name!r}; give a dict "
                "of names to scorers."
            )
        # What is measured anyway may be asked for, but nothing else under its name.
        if _METRICS.get(name) != scorer:
            check_column(name)
            if name in _OURS:
                raise ValueError(
                    f"{name!r} is a column of every round; scoring= must call its "
                    "scorer something else."
                )
        found[name] = scorer
    return found


def check_column(name: str) -> None:
    """Raise a ``ValueError`` for a name that no metric's column can have."""
    if not isinstance(name, str) or not name.isprintable() or not name.strip():
        raise ValueError(f"A metric needs a printable name, got {name!r}.")
    if name in _TAKEN or name.startswith(("accuracy_", "bought_")):
        raise ValueError(
            f"{name!r} is a column of results that is no metric, or a class's; take "
            "another name."
        )


def _name_of(scorer: Any) -> str:
    if isinstance(scorer, str):
        return scorer
    if isinstance(scorer, Metric):
        return scorer.name
    name = getattr(scorer, "__name__", "")
    # A lambda's is no name.
    return name if name.isidentifier() else NAMELESS


def _scorer(given: Any, name: str | None = None) -> Metric | Function:
    """Return the metric or the scorer that is meant, called ``name``."""
    if isinstance(given, str):
        if given not in scoring_names():
            raise unknown_name("scoring", given, scoring_names())
        metric = _METRICS.get(given)
        given = metric if metric and metric.function else get_scorer(given)
    if isinstance(given, Metric):
        if given.function is None:
            raise ValueError(f"The metric {given.name!r} has no function to call.")
        return given if name is None else replace(given, name=str(name))
    if not callable(given):
        raise TypeError(
            "scoring must be a scorer, its name, a list of them, or a dict of names "
            f"to them; got {given!r}."
        )
    return given


# Of every task: what a round costs, and the column of a scorer without a name.
own_metrics(
    Metric("query_seconds", "seconds of the query", lower_is_better=True, task=""),
    Metric(
        "training_seconds", "seconds of the training", lower_is_better=True, task=""
    ),
    Metric("peak_memory_mb", "peak memory", unit="MB", lower_is_better=True, task=""),
)
_METRICS[NAMELESS] = Metric(NAMELESS, task="")
