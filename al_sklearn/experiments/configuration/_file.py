"""An experiment as a YAML file.

What it may say, what is wrong with it, and the runs that it asks for.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from al_sklearn._core.types import Options
from al_sklearn.datasets import dataset_names, find_source, options_of
from al_sklearn.exceptions import ExperimentFileError
from al_sklearn.experiments.comparison import StrategyComparison, name_strategies
from al_sklearn.experiments.configuration import _objects
from al_sklearn.experiments.configuration._grid import as_key, expand, put_in
from al_sklearn.experiments.configuration._models import (
    Comparison,
    Data,
    Experiment,
    check,
)
from al_sklearn.experiments.configuration._plugins import look_beside, run_plugin
from al_sklearn.experiments.configuration._problems import (
    Key,
    Lines,
    Places,
    Problem,
    Problems,
    did_you_mean,
    overlaid,
    place,
    raise_all,
    shown,
    unknown_key,
    written,
)
from al_sklearn.experiments.configuration._quick import shrunk
from al_sklearn.experiments.configuration._trust import Trust, check_plugin, under
from al_sklearn.experiments.configuration._yaml import read_yaml
from al_sklearn.strategies import strategy_name
from al_sklearn.tasks import scorers_of

__all__ = ["ExperimentFile", "ExperimentFileError", "Run", "read_experiment"]


@dataclass(frozen=True)
class Run:
    """One comparison that a file asks for.

    Attributes
    ----------
    name : str
        Of its folder; empty where there is no grid.
    settings : dict
        What differs within the grid, by key.
    spec : dict
        The file's content with the settings put in, without ``grid``.
    lines : dict
        Where the grid says so, by key.
    trust : Trust
        Whether what it names may be anything.
    """

    name: str
    settings: Options
    spec: Options
    lines: Places = field(default_factory=dict, repr=False, compare=False)
    trust: Trust = field(
        default_factory=lambda: Trust(False), repr=False, compare=False
    )

    def data(self) -> Options:
        """Return the section ``data``, complete."""
        # Not validated: a plugin may be gone when a finished run is read again.
        data = Data.model_construct(**{"name": "", **self.spec["data"]})
        return data.model_dump(by_alias=True) | self.spec["data"]

    def estimator(self) -> Any:
        """Make the classifier."""
        with under(self.trust):
            return _objects.build_estimator(self.spec["estimator"], ("estimator",))

    def strategies(self) -> Any:
        """Make the strategies."""
        with under(self.trust):
            return _objects.build_strategies(self.spec["strategies"], ("strategies",))

    def comparison(self, **more: Any) -> StrategyComparison:
        """Make the comparison, without the store and its like.

        ``more`` may name these, and goes before what the file says.
        """
        section = self.spec.get("comparison") or {}
        with under(self.trust):
            options = {name: _comparison_value(name, section[name]) for name in section}
        return StrategyComparison(self.estimator(), self.strategies(), **options | more)


class ExperimentFile:
    """What an experiment file asks for.

    Parameters
    ----------
    spec : dict
        The content: ``data``, ``estimator``, ``strategies``, ``comparison``, ``grid``,
        ``plugins``, ``title``, ``output``.
    name : str
        What messages call it.
    lines : dict, optional
        The line of each key, or the flag that says it.
    beside : str, optional
        The folder of the file, in which modules are found by their names.
    trust : bool, default=True
        Import and call whatever it names, as a Python script would be run. Without,
        only public names of al_sklearn, scikit-learn, skorch, torch, torchvision and
        installed plugins are imported, and only what an experiment needs is called:
        for records and files of others.

    Attributes
    ----------
    runs : list of Run
        The comparisons that it asks for.
    needs_trust : bool
        Whether it names anything that is refused without trust.

    Raises
    ------
    ExperimentFileError
        With everything that is wrong: each line names the key, what was given and what
        is allowed.

    Examples
    --------
    >>> from al_sklearn.experiments.configuration import ExperimentFile
    >>> spec = {"data": {"name": "digits"}, "estimator": "SVC", "strategies": ["lcmd"]}
    >>> ExperimentFile(spec).runs[0].estimator()
    SVC()
    """

    def __init__(
        self,
        spec: Any,
        name: str = "experiment",
        lines: Lines | None = None,
        beside: str | None = None,
        *,
        trust: bool = True,
    ):
        self.name = name
        self.beside = beside
        self._trust = Trust(trust)
        self.spec = spec
        self.lines: Lines = lines or {}
        problems = Problems(name, self.lines)
        with problems.collecting():
            _check_sections(spec)
        problems.raise_if_any()
        if trust:
            look_beside(beside)
        with under(self._trust):
            self._make_runs(problems)

    def _make_runs(self, problems: Problems) -> None:
        """Run the plugins, and take apart what the file says into runs."""
        spec = self.spec
        plugins = list(spec.get("plugins") or ())
        with problems.collecting():
            for i, plugin in enumerate(plugins):
                check_plugin(plugin, ("plugins", i))
        problems.raise_if_any()
        # They register what the rest may name.
        for plugin in plugins:
            run_plugin(plugin)
        # A grid that leads nowhere hides what its runs would say.
        points = expand(spec, self.lines, problems)
        problems.raise_if_any()
        self.runs = [Run(*point, self._trust) for point in points]
        for run in self.runs:
            with problems.at(run.lines):
                _check_run(run, problems)
        problems.raise_if_any()

    @property
    def needs_trust(self) -> bool:
        """Whether it names anything that is refused without trust."""
        return self._trust.needed

    @property
    def title(self) -> str:
        """The heading of reports."""
        return str(self.spec.get("title") or self.name)

    def blame(self, error: BaseException, run: Run, default: Key = ()) -> str:
        """Say which key of the file an error comes from that running it gave.

        Empty where that cannot be told.

        Parameters
        ----------
        error : exception
            It knows what it is about: a :class:`~al_sklearn.exceptions.ParameterError`
            its parameters, a :class:`~al_sklearn.exceptions.CapabilityError` its
            strategy, and what a strategy says of its parameters both.
        run : Run
            Which run it was.
        default : tuple, optional
            A key that it comes from where no other can be told.
        """
        lines = overlaid(self.lines, run.lines)
        # A parameter may say its section, where two have a key of that name.
        tails = [as_key(name) for name in getattr(error, "parameters", ())]
        named = [
            [key for key in lines if key[-len(tail) :] == tail and key[0] != "grid"]
            for tail in tails
        ]
        asked = _keys_of_strategy(getattr(error, "strategy", None), run)
        # Its own options first: another section may have a key of that name.
        below = [[key for key in keys if key[:2] in asked] for keys in named]
        found = [*below, *named, asked]
        # Where several keys have a name, as likely as not it is another one.
        key = next((keys[0] for keys in found if len(keys) == 1), default)
        if not any(key[:n] in lines for n in range(1, len(key) + 1)):
            return ""
        return f"{place(self.name, lines, key)}: {written(key).strip()}"

    def quick(self) -> ExperimentFile:
        """Return the same experiment in small.

        The first and the last run of the grid, cut down.

        Notes
        -----
        The pool has at most 60 images and the test set 30; at most 20 labels to begin
        with, 10 in a batch (a share of the pool stays one), 1 round, 2 seeds; 1 epoch
        of as many batches as the labels fill, 2 trials of tuning, images of at most 32
        pixels, ensembles of 2, 5 steps of VAAL. Strategies, networks and all other
        options stay.
        """
        small = copy.copy(self)
        kept = self.runs if len(self.runs) < 3 else [self.runs[0], self.runs[-1]]
        small.runs = [replace(run, spec=shrunk(run.spec)) for run in kept]
        return small


def read_experiment(
    path: str | os.PathLike[str],
    changes: Mapping[str, Any] | None = None,
    *,
    trust: bool = True,
) -> ExperimentFile:
    """Read and check an experiment file.

    Parameters
    ----------
    path : path
    changes : dict, optional
        Values by key, as ``{"comparison.n_seeds": 3}``, put in before anything is
        checked.
    trust : bool, default=True
        As for :class:`ExperimentFile`: reading a file makes the objects that it names.

    Returns
    -------
    ExperimentFile

    Raises
    ------
    ExperimentFileError
        With everything that is wrong in it.
    FileNotFoundError
        When there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no experiment file {path}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExperimentFileError(f"{path} is no text in UTF-8: {error}.") from error
    spec, found = read_yaml(text, str(path))
    # Strategies of one's own are kept beside the file that names them.
    beside = str(path.resolve().parent)
    lines: Places = {**found}
    problems = Problems(str(path), lines)
    if spec is not None and not isinstance(spec, Mapping):
        return ExperimentFile(spec, str(path), lines, beside, trust=trust)
    for key, value in (changes or {}).items():
        with problems.collecting():
            spec = put_in(spec, key, value, ("--set",))
            lines = overlaid(lines, {as_key(key): "--set"})
    problems.raise_if_any()
    return ExperimentFile(spec, str(path), lines, beside, trust=trust)


def _keys_of_strategy(name: str | None, run: Run) -> list[Key]:
    """Return where the strategies stand that are that function."""
    if name is None:
        return []
    built = run.strategies()
    named = built.items() if isinstance(built, Mapping) else enumerate(built)
    return [
        ("strategies", key)
        for key, one in named
        if strategy_name(one.func if isinstance(one, partial) else one) == name
    ]


def _check_sections(spec: Any) -> None:
    if not isinstance(spec, Mapping):
        given = "this file is empty" if spec is None else f"got {shown(spec)}"
        raise Problem(
            (),
            "an experiment must be a mapping with data, estimator and strategies; "
            f"{given}.",
        )
    raise_all(check(Experiment, spec, ()))


def _check_run(run: Run, problems: Problems) -> None:
    """Take note of all that is wrong with one run."""
    with problems.collecting():
        # A grid may have put something else there.
        _check_sections(run.spec)
    data, section = run.spec.get("data"), run.spec.get("comparison") or {}
    if isinstance(data, Mapping):
        problems.add(*check(Data, data, ("data",)), *_wrong_data(data))
        if isinstance(plugin := data.get("import"), str):
            with problems.collecting():
                check_plugin(plugin, ("data", "import"))
    wrong = check(Comparison, section, ("comparison",))
    problems.add(*wrong)
    names = set(section) - {problem.key[-1] for problem in wrong}
    # What is wrong by its type is not made into an object.
    for name in section:
        if name in names:
            with problems.collecting():
                _comparison_value(name, section[name])
    with problems.collecting():
        estimator = run.estimator()
        _check_params(estimator, {name: section[name] for name in names})
    with problems.collecting():
        _check_names(run.strategies())
    # Without an end the rounds would go on until the pool is empty.
    ends = [section.get(name) for name in ("budget", "stopping")]
    if section.get("n_rounds", 0) is None and all(end is None for end in ends):
        problems.add(
            Problem(
                ("comparison", "n_rounds"),
                "must be a whole number where neither budget nor stopping is given.",
            )
        )


def _check_params(estimator: Any, section: Mapping[str, Any]) -> None:
    """Compare ``first_params`` and ``later_params`` with what can be set."""
    # Names as for set_params, at any depth, as the loop takes them.
    known = estimator.get_params(deep=True)
    raise_all(
        [
            unknown_key(("comparison", name, option), known)
            for name in ("first_params", "later_params")
            for option in section.get(name) or ()
            if option not in known
        ]
    )


def _check_names(strategies: Any) -> None:
    try:
        name_strategies(strategies)
    except ValueError as error:
        key: Key = ("strategies",)
        # Of a list it is the one that comes again.
        if isinstance(strategies, list):
            names = [strategy_name(one) for one in strategies]
            again = [i for i, name in enumerate(names) if name in names[:i]]
            key += tuple(again[:1])
        raise Problem(key, f"is wrong: {error}") from error


def _wrong_data(data: Mapping[str, Any]) -> list[Problem]:
    """Compare the data set's name and its options with those that there are."""
    name, options, known = data.get("name"), data.get("options"), dataset_names()
    if not isinstance(name, str) or not name:
        # Said already.
        return []
    if name in known:
        given = options if isinstance(options, Mapping) else {}
        allowed = options_of(find_source(name))
        unknown = [option for option in given if option not in allowed]
        return [unknown_key(("data", "options", one), allowed) for one in unknown]
    # What that file registers is not known before it is run.
    if data.get("import") is not None:
        return []
    text = (
        f"must be a data set, got {name!r}.{did_you_mean(name, known)} Allowed: "
        f"{', '.join(known)}."
    )
    return [Problem(("data", "name"), text)]


def _comparison_value(name: str, value: Any) -> Any:
    key: Key = ("comparison", name)
    if name == "initial":
        return _objects.build_initial(value, key)
    if name in _objects.KINDS and not (value is None or isinstance(value, int | float)):
        return _objects.build_kind(value, key)
    option = _objects.build_option(value, key)
    if name == "scoring":
        try:
            scorers_of(option)
        except (TypeError, ValueError) as error:
            raise Problem(key, f"must be a scorer, or several: {error}") from error
    return option
