"""The search itself: trials drawn by Optuna, trained, reported, pruned.

Reports come epoch by epoch.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.base import clone
from skorch.callbacks import Callback

from al_sklearn._core.progress import tqdm
from al_sklearn._core.random import preserve_global_rng
from al_sklearn.estimators._fitting import fit_seeded
from al_sklearn.estimators._reach import add_callback, inner_net
from al_sklearn.estimators._tuning_space import Params, Suggest
from al_sklearn.estimators._tuning_store import TrialJournal
from al_sklearn.estimators._validation import Part
from al_sklearn.estimators._workers import in_worker


def import_optuna() -> Any:
    """Return the module, imported when the first search needs it.

    Raises
    ------
    ImportError
        When Optuna is not installed; the message says what to install.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "TunedClassifier needs Optuna: pip install 'al-sklearn[tune]'"
        ) from error
    return optuna


class Diverged(ArithmeticError):
    """A loss or a score that is no number."""


def _finite(what: str, value: float, when: str = "") -> float:
    if not math.isfinite(value):
        raise Diverged(f"the {what} is {value}{when}")
    return value


@dataclass(frozen=True)
class Objective:
    """What a trial does with its parameters.

    Parameters
    ----------
    estimator : classifier
        Cloned for each training.
    parts : list of Part
        A trial's score is the mean over them; it is pruned by the first.
    scorer : callable
        ``scorer(estimator, X, y) -> float``, higher is better.
    seed : int
        Of every training: trials differ by their parameters alone.
    pruned : bool
        Whether to report every epoch of a net.
    threads : int or None
        Of torch and BLAS.
    """

    estimator: Any
    parts: Sequence[Part]
    scorer: Callable[..., float]
    seed: int
    pruned: bool
    threads: int | None = None

    def __call__(self, trial: Any, params: Params) -> Judged:
        judged = []
        for number, part in enumerate(self.parts):
            estimator = clone(self.estimator).set_params(**params)
            # One fold alone may prune: a trial's scores of different folds cannot be
            # compared with those of another's first.
            report = self.pruned and number == 0
            watch = Watch(estimator, trial, self.scorer, part, report)
            add_callback(estimator, "tuning", watch)
            fit_seeded(
                estimator,
                part.X,
                part.y,
                self.seed,
                X_val=part.X_val,
                y_val=part.y_val,
                only_open=True,
                threads=self.threads,
                **part.fit_params,
            )
            final = float(self.scorer(estimator, part.X_val, part.y_val))
            judged.append(watch.judge(_finite("score", final)))
        epochs = [best.epoch for best in judged if best.epoch is not None]
        return Judged(
            float(np.mean([best.score for best in judged])),
            # Folds may be at their best at different epochs.
            round(float(np.mean(epochs))) if len(epochs) == len(judged) else None,
        )


class Judged(NamedTuple):
    """What a trial is worth, and after which epoch; None where that says nothing."""

    score: float
    epoch: int | None


@dataclass(eq=False, repr=False)
class Watch(Callback):
    """Look at a net's score on the validation set after each epoch.

    The trial ends when it is pruned or diverges, and is judged by its best epoch.

    Parameters
    ----------
    estimator : net, or Pipeline that ends in it
        What is being fitted.
    trial : optuna.Trial
    scorer, part
        As in :class:`Objective`.
    report : bool
        Whether Optuna is told, and may prune.
    """

    estimator: Any
    trial: Any
    scorer: Callable[..., float]
    part: Part
    report: bool
    scores: list[float] = field(default_factory=list)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return none: it holds the very net that holds it."""
        return {}

    def judge(self, final: float) -> Judged:
        """Judge a training by its best epoch, or by what its end made of the epochs."""
        # What has no epochs is what it is in the end; averaged weights are no epoch's.
        if not self.scores or _averages(self.estimator):
            return Judged(final, None)
        best = int(np.argmax(self.scores))
        if _stops_early(self.estimator):
            # The best weights were put back: they are what the score is of.
            return Judged(final, best + 1)
        return Judged(self.scores[best], best + 1)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        epoch = len(net.history)
        loss = net.history[-1].get("train_loss", 0.0)
        _finite("training loss", loss, f" in epoch {epoch}")
        # Scoring must not move what the next epoch draws from.
        with preserve_global_rng():
            # A pipeline's steps before the net are fitted by now.
            score = float(self.scorer(self.estimator, self.part.X_val, self.part.y_val))
        self.scores.append(_finite("score", score, f" in epoch {epoch}"))
        if not self.report:
            return
        self.trial.report(score, epoch)
        if self.trial.should_prune():
            raise import_optuna().TrialPruned


def _averages(estimator: Any) -> bool:
    net = inner_net(estimator)
    return net is not None and bool(getattr(net[1], "swa", False))


def _stops_early(estimator: Any) -> bool:
    net = inner_net(estimator)
    return net is not None and getattr(net[1], "patience", None) is not None


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: with a score, with an error, or pruned, with neither."""

    score: float | None
    epoch: int | None
    error: Exception | None
    reported: dict[int, float]
    seconds: float


def run_trial(trial: Any, params: Params, objective: Objective) -> Outcome:
    """Train and measure one trial; whatever goes wrong in training is its outcome."""
    optuna = import_optuna()
    started = time.perf_counter()
    judged, error = Judged(math.nan, None), None
    score: float | None = None
    with quiet():
        try:
            judged = objective(trial, params)
            score = judged.score
        except optuna.TrialPruned:
            pass
        # Anything may go wrong with parameters nobody has tried: it is kept, and raised
        # when nothing else comes out.
        except Exception as problem:  # noqa: BLE001
            error = problem
    reported = trial.study.trials[trial.number].intermediate_values
    seconds = time.perf_counter() - started
    return Outcome(score, judged.epoch, error, reported, seconds)


def search(
    objective: Objective,
    suggest: Suggest,
    settings: Any,
    seed: int,
    on_interrupt: Callable[[Any], None],
    journal: TrialJournal | None = None,
) -> Any:
    """Run the trials and return the study.

    Trials that run at once are drawn together and told in order, so that the study
    depends on the seed and the number of jobs, not on who was first; each draws from a
    seed of its own, so that a search that goes on draws what it would have drawn.

    Parameters
    ----------
    objective : Objective
    suggest : callable
        From a trial to its parameters.
    settings : TunedClassifier
        Says ``n_trials``, ``sampler``, ``n_jobs`` and ``verbose``.
    seed : int
        Of the sampler.
    on_interrupt : callable
        Given the study after Ctrl-C.
    journal : TrialJournal, optional
        Keeps every finished trial; those that it has are not made again.

    Raises
    ------
    Exception
        When every trial failed: the first one's own.
    KeyboardInterrupt
        After Ctrl-C; ``on_interrupt(study)`` was called before.
    """
    optuna = import_optuna()
    n_trials = int(settings.n_trials)
    states = optuna.trial.TrialState
    samplers, pruners = optuna.samplers, optuna.pruners
    kinds = {"tpe": samplers.TPESampler, "random": samplers.RandomSampler}
    # The first rung is the first epoch; without intermediate values this pruner prunes
    # nothing.
    halving = pruners.SuccessiveHalvingPruner(min_resource=1)
    study = optuna.create_study(
        direction="maximize",
        pruner=halving if objective.pruned else pruners.NopPruner(),
    )
    first_error: Exception | None = None
    # More would be asked for, and judged by nothing.
    at_once = min(effective_n_jobs(settings.n_jobs), n_trials)
    hidden = not settings.verbose or in_worker()
    if journal is not None:
        # Whole rounds of what runs at once: those drawn together saw the same trials.
        known = journal.trials()[:n_trials]
        whole = (
            len(known) if len(known) == n_trials else len(known) // at_once * at_once
        )
        study.add_trials(known[:whole])
    bar = tqdm(total=n_trials, desc="trials", unit="trial", leave=False, disable=hidden)
    try:
        with bar, Parallel(n_jobs=at_once) as parallel:
            bar.update(len(study.trials))
            while len(study.trials) < n_trials:
                left = n_trials - len(study.trials)
                asked, params = [], []
                for number in range(n_trials - left, n_trials)[:at_once]:
                    sequence = np.random.SeedSequence([seed, number])
                    own = int(sequence.generate_state(1)[0])
                    study.sampler = kinds[settings.sampler](seed=own)
                    asked.append(study.ask())
                    params.append(suggest(asked[-1]))
                for given in params:
                    # A name that does not exist is a mistake, not a trial that failed.
                    clone(objective.estimator).set_params(**given)
                # Copies: each trial is judged by the trials that ended before it began.
                outcomes = parallel(
                    delayed(run_trial)(copy.deepcopy(trial), given, objective)
                    for trial, given in zip(asked, params, strict=True)
                )
                for trial, outcome in zip(asked, outcomes, strict=True):
                    _tell(study, trial, outcome)
                    first_error = first_error or outcome.error
                    bar.update()
                if journal is not None:
                    journal.add([study.trials[trial.number] for trial in asked])
                if finished(study):
                    bar.set_postfix(best=f"{best_trial(study).value:.4f}")
    except KeyboardInterrupt:
        for trial in study.get_trials(states=[states.RUNNING]):
            study.tell(trial.number, state=states.FAIL)
        on_interrupt(study)
        n_done = len(study.get_trials(states=[states.COMPLETE]))
        raise KeyboardInterrupt(
            f"The search was stopped: {n_done} complete trials are kept in trials_ "
            "and study_; nothing was refitted."
        ) from None
    if first_error is None and not finished(study):
        said = study.trials[0].user_attrs.get("error")
        raise ValueError(f"All {n_trials} trials failed; the first said: {said}")
    if first_error is not None and not finished(study):
        first_error.add_note(
            f"All {n_trials} trials failed; this is what the first said."
        )
        raise first_error
    return study


def _tell(study: Any, trial: Any, outcome: Outcome) -> None:
    states = import_optuna().trial.TrialState
    for step, value in outcome.reported.items():
        trial.report(value, step)
        # Asking notes at which rung the trial was: later trials are judged by it.
        trial.should_prune()
    trial.set_user_attr("seconds", outcome.seconds)
    trial.set_user_attr("best_epoch", outcome.epoch)
    if outcome.score is not None:
        study.tell(trial, outcome.score)
    elif outcome.error is None:
        study.tell(trial, state=states.PRUNED)
    else:
        trial.set_user_attr("error", f"{type(outcome.error).__name__}: {outcome.error}")
        study.tell(trial, state=states.FAIL)


def finished(study: Any) -> list[Any]:
    """Return the complete trials; where there are none, those pruned."""
    # The last value that was reported is a pruned trial's; failed ones have none.
    scored = [trial for trial in study.trials if trial.value is not None]
    return [trial for trial in scored if trial.state.name == "COMPLETE"] or scored


def best_trial(study: Any) -> Any:
    """Return the trial of the highest score, the first of several."""
    return max(finished(study), key=lambda trial: trial.value)


def trials_table(study: Any) -> pd.DataFrame:
    """Return one row a trial, with its state, score and ``params_…``.

    Number, epochs reported, seconds and error are there too.
    """
    names = {"FAIL": "failed"}
    rows = [
        {
            "number": trial.number,
            "state": names.get(trial.state.name, trial.state.name.lower()),
            "score": np.nan if trial.value is None else trial.value,
            "epochs": len(trial.intermediate_values),
            "seconds": trial.user_attrs.get("seconds", np.nan),
            "error": trial.user_attrs.get("error"),
            **{f"params_{name}": value for name, value in trial.params.items()},
        }
        for trial in study.trials
    ]
    return pd.DataFrame(rows)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's lines about each trial, leaving its logging as it was."""
    logging = import_optuna().logging
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def end_at(estimator: Any, epoch: int | None, watched: bool) -> None:
    """Let a net that is trained with the best parameters end where its trial was best.

    Parameters
    ----------
    estimator : classifier
        Unfitted; changed. What has no epochs stays as it is.
    epoch : int or None
        The best trial's best one.
    watched : bool
        Whether early stopping has a validation set to watch.
    """
    found = inner_net(estimator)
    if found is None:
        return
    prefix, net = found
    patient = getattr(net, "patience", None) is not None
    if patient and watched:
        # It stops by itself, with the best weights.
        return
    params: Params = {}
    if epoch is not None:
        # A warm-up must end before the training does.
        warmup = math.floor(getattr(net, "warmup_epochs", 0)) + 1
        params["max_epochs"] = min(max(epoch, warmup), net.max_epochs)
    if patient:
        params["patience"] = None
    if not watched and getattr(net, "monitor", "auto") not in ("auto", "train_loss"):
        params["monitor"] = "auto"
    estimator.set_params(**{f"{prefix}{name}": value for name, value in params.items()})
