"""A classifier that finds its own hyper-parameters on held-out labels.

They are held out of those that it was given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from al_sklearn import inference
from al_sklearn._core.checks import check_count, unknown_name
from al_sklearn._core.on_behalf import whose
from al_sklearn._core.random import take_turn
from al_sklearn._core.threads import threads_per_job
from al_sklearn._core.types import Array, Options
from al_sklearn.datasets import hdf5_by_name
from al_sklearn.estimators import _tuning_search as tuning
from al_sklearn.estimators._fitting import draw_seeds, fit_seeded
from al_sklearn.estimators._reach import Wrapper
from al_sklearn.estimators._tuning_space import default_space, read_space
from al_sklearn.estimators._tuning_store import (
    TrialJournal,
    TuningStore,
    describe_estimator,
)
from al_sklearn.estimators._validation import (
    Part,
    as_rows,
    check_held_out,
    check_labels,
    check_validation,
    make_parts,
)
from al_sklearn.rows import concat_rows, describe, fingerprint

_ALLOWED = {
    "sampler": ("tpe", "random"),
    "refit": ("all", "training"),
    "tune": ("every_fit", "once", "once_per_size"),
}


def _gives(method: str) -> Callable[[Any], bool]:
    return lambda tuned: hasattr(
        getattr(tuned, "best_estimator_", tuned.estimator), method
    )


class TunedClassifier(Wrapper):
    """Search for hyper-parameters with Optuna, and train with the best.

    The search runs at each ``fit``, or once.

    Trials are measured on a validation set that is part of the labelled rows and so of
    the labelling budget. Test data plays no part.

    Parameters
    ----------
    estimator : classifier
        An :class:`ImageClassifier`, another skorch net, any scikit-learn classifier, or
        a pipeline; cloned.
    space : dict, callable or None, default=None
        What to try, by the names of the estimator's parameters:

        - ``(low, high)``: a number in between, whole when both are; ``(low, high,
          "log")`` on a log scale.
        - ``[a, b, …]``: one of these values.
        - ``{"name": {parameter: value, …}, …}``: one of these sets of parameters. The
          entry's own name is only a label.
        - an Optuna distribution.

        Or ``space(trial) -> dict`` of parameters, for what depends on what. None is
        TorchAL's space, for an ``ImageClassifier`` or a pipeline that ends in one:
        ``lr`` 1e-5 … 1e-2 and weight decay 1e-8 … 1e-3 on log scales, ``batch_size`` 8,
        16, … 512, SGD with momentum 0.9 or Adam; and, where the net has
        ``augment="rand_augment"``, 1 … 15 of all operations with a magnitude of 3.3 …
        30 (what TorchAL calls 1 … 9).
    n_trials : int, default=50
        Parameters tried in a search.
    sampler : {"tpe", "random"}, default="tpe"
        Tree-structured Parzen estimator, or independent draws.
    pruner : {"successive_halving", None}, default="successive_halving"
        Whether trials of a net that are behind after 1, 4, 16 … epochs end there. Nets
        alone, and pipelines that end in one, have epochs.
    validation : float or int, default=0.2
        Share of the labelled rows held out, stratified, or number of folds (a trial
        then trains as many times, and is pruned by the first fold). Every class keeps a
        row to learn from. ``fit(…, X_val=, y_val=)`` goes before it. A net gets them as
        validation data, for early stopping; its trial is judged by its best epoch.
    refit : {"all", "training"}, default="all"
        Which labels ``best_estimator_`` learns from. ``"all"``: the held-out ones too,
        because they were paid for; no score of it is known then, and an experiment
        writes no ``validation_accuracy``. A net trains for as many epochs as the best
        trial's best one, without early stopping: nothing is left to watch.
        ``"training"``: without them, so that ``best_score_`` is an honest estimate but
        for the choice among trials, and they can serve for calibration.
    tune : {"every_fit", "once", "once_per_size"}, default="every_fit"
        When to search. ``"once"``: at the first ``fit`` of this object, whose
        parameters later ones use. ``"once_per_size"``: at the first ``fit`` with so
        many labels, that is once for each round.
    store : path, optional
        JSON file through which clones and processes share what a search has found, with
        ``tune`` other than ``"every_fit"``. Experiments clone the classifier for each
        round, so they need it. While one process searches others that want the same
        wait for it. Beside it lies ``….trials``, Optuna's own file: a search that was
        killed goes on from its finished trials.
    scoring : str, callable or None, default=None
        A scikit-learn scorer; None is accuracy.
    n_jobs : int, optional
        Trials at the same time, in processes, drawn so many at once.
    random_state : int, Generator, RandomState or None, default=None
        Fixes the split, the trials and every training; each ``random_state`` that is
        None in the estimator is set. With the same ``n_jobs`` the same trials come
        again.
    verbose : int, default=0
        1 shows a progress bar over the trials, though not in worker processes.

    Attributes
    ----------
    best_estimator_ : classifier
        Trained with the best parameters.
    best_params_ : dict
        For ``estimator.set_params(**best_params_)``.
    best_score_ : float
        Of the best trial, on its validation set.
    trials_ : DataFrame
        All trials of the search: ``number``, ``state`` (complete, pruned, failed),
        ``score``, ``epochs`` that were reported, ``seconds``, ``error``, and
        ``params_…``.
    study_ : optuna.Study or None
        None where the parameters came from the store.
    n_labelled_ : int
        Labels used, those of the validation set among them: what counts in a budget.
    n_validation_ : int
        Labels a trial was measured on.
    classes_ : array of shape (n_classes,)
        Class labels.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : A grid, without pruning.

    Notes
    -----
    ``embed``, ``sample_proba``, ``gradient_factors`` and ``predict_loss`` of
    :mod:`al_sklearn.inference` go through to ``best_estimator_``. A trial whose
    training fails or diverges is recorded, and fatal only when all do. After Ctrl-C
    ``trials_`` and ``study_`` hold what was done, and ``KeyboardInterrupt`` is raised:
    a classifier that was not trained must not pass for one.

    References
    ----------
    Akiba, Sano, Yanase, Ohta, Koyama. Optuna: A Next-generation Hyperparameter
    Optimization Framework. KDD 2019. Munjal, Hayat, Hayat, Sourati, Khan. Towards
    Robust and Reproducible Active Learning using Neural Networks. CVPR 2022 (TorchAL).
    Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar. A System for
    Massively Parallel Hyperparameter Tuning. MLSys 2020 (successive halving,
    asynchronous).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_digits(return_X_y=True)
    >>> space = {"C": (1e-4, 1e2, "log")}
    >>> model = LogisticRegression(max_iter=500)
    >>> tuned = TunedClassifier(model, space, n_trials=8, random_state=0, verbose=0)
    >>> tuned = tuned.fit(X[:200] / 16, y[:200])
    >>> sorted(tuned.best_params_), len(tuned.trials_)
    (['C'], 8)
    >>> tuned.n_labelled_, tuned.n_validation_
    (200, 40)
    """

    _found: dict[str, Mapping[str, Any]]

    def __init__(
        self,
        estimator: Any,
        space: Any = None,
        n_trials: int = 50,
        *,
        sampler: str = "tpe",
        pruner: str | None = "successive_halving",
        validation: float | int = 0.2,
        refit: str = "all",
        tune: str = "every_fit",
        store: str | os.PathLike[str] | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.space = space
        self.n_trials = n_trials
        self.sampler = sampler
        self.pruner = pruner
        self.validation = validation
        self.refit = refit
        self.tune = tune
        self.store = store
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        **fit_params: Any,
    ) -> TunedClassifier:
        """Search where ``tune`` wants it, and train with the best parameters.

        Parameters
        ----------
        X : any kind of rows, n of them
        y : labels of shape (n,)
        X_val, y_val : rows and labels, optional
            A validation set of one's own, in place of ``validation``. Its labels count
            in the budget; never give test data.
        **fit_params
            Handed to the estimator's ``fit``; those with one value a row follow their
            rows.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            When Optuna is not installed (extra ``tune``).
        ValueError
            For settings that do not exist or fit together, or when no row can be held
            out.
        Exception
            When every trial failed: that of the first one.
        """
        tuning.import_optuna()
        self._check_settings(fit_params, X_val, y_val)
        space = default_space(self.estimator) if self.space is None else self.space
        # Before any training: a wrong entry is told at once.
        suggest = read_space(space)
        X = as_rows(X)
        y = check_labels(y, X, self)
        # One for the split, one for the sampler, one for every training.
        seeds = draw_seeds(self.random_state, 3)
        if X_val is None:
            parts = list(make_parts(X, y, self.validation, seeds[0], fit_params))
        else:
            y_val = check_labels(y_val, X_val, self)
            parts = [Part(X, y, X_val, y_val, fit_params)]
        n_validation = sum(len(part.y_val) for part in parts)
        n_labelled = len(y) + (0 if X_val is None else n_validation)
        found = self._find(parts, suggest, space, n_labelled, seeds)
        # From the choices as Optuna knows them, which a file can hold, to objects.
        self.best_params_ = suggest(
            tuning.import_optuna().trial.FixedTrial(found["choices"])
        )
        self.best_score_ = found["score"]
        self.trials_ = pd.DataFrame(found["trials"])
        self.n_labelled_, self.n_validation_ = n_labelled, n_validation
        if self.refit == "training":
            X, y, fit_params = parts[0].X, parts[0].y, parts[0].fit_params
        elif X_val is not None:
            X, y = concat_rows(X, X_val), np.concatenate([y, y_val])
        estimator = clone(self.estimator).set_params(**self.best_params_)
        watched = self.refit == "training"
        tuning.end_at(estimator, found.get("epoch"), watched)
        self.best_estimator_ = fit_seeded(
            estimator,
            X,
            y,
            seeds[2],
            X_val=parts[0].X_val if watched else None,
            y_val=parts[0].y_val if watched else None,
            only_open=True,
            **fit_params,
        )
        self.classes_ = self.best_estimator_.classes_
        self._copy_shape(self.best_estimator_)
        return self

    @property
    def learns_from_validation(self) -> bool:
        """Whether what predicts has learnt from the validation set in the end."""
        return self.refit == "all"

    def _check_settings(self, fit_params: Options, X_val: Any, y_val: Any) -> None:
        for name, allowed in _ALLOWED.items():
            if getattr(self, name) not in allowed:
                raise unknown_name(name, getattr(self, name), allowed)
        if self.pruner not in ("successive_halving", None):
            raise ValueError(
                f"pruner must be 'successive_halving' or None, got {self.pruner!r}."
            )
        check_count("n_trials", self.n_trials)
        check_validation(self.validation)
        if self.store is not None and self.tune == "every_fit":
            raise ValueError(
                "store is for tune='once' and tune='once_per_size': with 'every_fit' "
                "nothing is used again."
            )
        check_held_out(X_val, y_val)
        if X_val is not None and fit_params and self.refit == "all":
            raise ValueError(
                f"The rows of X_val have no {', '.join(sorted(fit_params))}: use "
                "refit='training', or let validation= "
                "hold rows out of X."
            )
        if (
            X_val is None
            and self.refit == "training"
            and isinstance(self.validation, (int, np.integer))
        ):
            raise ValueError(
                "refit='training' needs one training set: give a share as "
                "validation=, not folds."
            )

    def _find(
        self,
        parts: list[Part],
        suggest: Any,
        space: Any,
        n_labelled: int,
        seeds: list[int],
    ) -> Mapping[str, Any]:
        """Return what an earlier search found if ``tune`` allows that, or search."""
        if self.tune == "every_fit":
            return self._search(parts, suggest, seeds)
        key = "all" if self.tune == "once" else str(n_labelled)
        if self.tune == "once_per_size" and whose():
            key = f"{whose()}: {key}"
        about = {
            "estimator": describe_estimator(self.estimator),
            "space": describe(space),
        }
        if self.store is None:
            # set_params between two fits begins a search of its own.
            if getattr(self, "_about", None) != about:
                self._about, self._found = about, {}
            if key not in self._found:
                self._found[key] = self._search(parts, suggest, seeds)
            return self._found[key]
        store = TuningStore(self.store, about)
        # A search that somebody else made has left no study.
        self.study_ = None
        if key not in store.read():
            # The generators before the file, as a search inside an experiment takes
            # them: two threads would else wait for each other's.
            with take_turn(), store.lock():
                # Another process may have found it while this one waited.
                if key not in store.read():
                    journal = store.journal(key, self._depends_on(parts, seeds))
                    store.write(key, self._search(parts, suggest, seeds, journal))
        return store.read()[key]

    def _depends_on(self, parts: list[Part], seeds: list[int]) -> Options:
        """What trials depend on beside estimator and space, but for their number."""
        return {
            "seeds": seeds,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "scoring": describe(self.scoring),
            "labels": [
                [fingerprint(part.y), fingerprint(part.y_val)] for part in parts
            ],
        }

    def _search(
        self,
        parts: list[Part],
        suggest: Any,
        seeds: list[int],
        journal: TrialJournal | None = None,
    ) -> Options:
        n_jobs = effective_n_jobs(self.n_jobs)
        if n_jobs > 1:
            # An open HDF5 file can go to no other process.
            parts = [
                replace(part, X=hdf5_by_name(part.X), X_val=hdf5_by_name(part.X_val))
                for part in parts
            ]
        objective = tuning.Objective(
            estimator=self.estimator,
            parts=parts,
            scorer=get_scorer("accuracy" if self.scoring is None else self.scoring),
            seed=seeds[2],
            pruned=self.pruner is not None,
            threads=threads_per_job(n_jobs) if n_jobs > 1 else None,
        )
        with tuning.quiet():
            study = tuning.search(
                objective, suggest, self, seeds[1], self._keep, journal
            )
            self._keep(study)
        best = tuning.best_trial(self.study_)
        return {
            "choices": best.params,
            "score": best.value,
            "epoch": best.user_attrs.get("best_epoch"),
            "trials": self.trials_.to_dict("records"),
        }

    def _keep(self, study: Any) -> None:
        self.study_ = study
        self.trials_ = tuning.trials_table(study)

    def predict(self, X: Any) -> Array:
        """Return the best classifier's labels, (n,)."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.predict(X)

    @available_if(_gives("predict_proba"))
    def predict_proba(self, X: Any) -> Array:
        """Return the best classifier's probabilities, (n, n_classes)."""
        check_is_fitted(self, "best_estimator_")
        return inference.proba_array(self.best_estimator_.predict_proba(X))

    @available_if(_gives("decision_function"))
    def decision_function(self, X: Any) -> Array:
        """Return the best classifier's decision function."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.decision_function(X)
