"""The best model of a run: which round has it, and the model itself."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

from al_sklearn._core.checks import unknown_name
from al_sklearn.experiments.comparison._results import curves_of
from al_sklearn.experiments.store import (
    FIRST,
    RunStore,
    load_checkpoint,
    rebuild,
)
from al_sklearn.tasks import get_metric


class BestRound(NamedTuple):
    """The round of a run whose model was best.

    Parameters
    ----------
    strategy : str
        Who bought the labels; ``first`` where the initial set alone did better than
        whatever came after it.
    seed, round, n_labelled : int
    metric : str
    value : float
        What the model reached.
    path : Path or None
        Where the model is kept; None where the run keeps none.
    """

    strategy: str
    seed: int
    round: int
    n_labelled: int
    metric: str
    value: float
    path: Path | None


def find_best(
    folder: str | os.PathLike[str],
    strategy: str | None = None,
    metric: str = "accuracy",
) -> BestRound:
    """Find the round whose model was best, over all seeds.

    Parameters
    ----------
    folder : path
        The ``store`` of a comparison, finished or not.
    strategy : str, optional
        Only this one's rounds; all strategies' by default.
    metric : str, default="accuracy"
        What is compared. The test set's are chosen by test data: the model is the best
        of those, and its value too good for new images. ``"validation_accuracy"`` is
        not, where the run has it.

    Returns
    -------
    BestRound
        Of equals the one with fewest labels.

    Raises
    ------
    FileNotFoundError
        When the folder holds no run.
    ValueError
        For an unknown strategy or metric, or a run without a finished round.
    """
    store = RunStore(folder)
    config = store.config()
    curves = curves_of(store, config)
    names = list(config["configuration"]["strategies"])
    if strategy is not None and strategy not in names:
        raise unknown_name("strategy of this run", strategy, names)
    sign = get_metric(metric).sign
    found: list[tuple[float, int, BestRound]] = []
    for (name, seed), rounds in curves.items():
        if strategy not in (None, name):
            continue
        for metrics in rounds:
            if metric not in metrics:
                numbers = [k for k, v in metrics.items() if isinstance(v, float)]
                raise unknown_name("metric", metric, numbers)
            value, number = float(metrics[metric]), int(metrics["round"])
            # Round 0 is nobody's: no strategy has bought yet.
            whose = name if number or strategy is not None else FIRST
            labels = int(metrics["n_labelled"])
            path = store.model_file(FIRST if number == 0 else name, seed, number)
            one = BestRound(whose, seed, number, labels, metric, value, path)
            # NaN is no best of anything.
            if not math.isnan(value):
                found.append((sign * value, -labels, one))
    if not found:
        raise ValueError(f"{store.folder} has no finished round yet.")
    return max(found, key=lambda item: item[:2])[2]


def load_best(
    folder: str | os.PathLike[str],
    strategy: str | None = None,
    metric: str = "accuracy",
    *,
    model: Any = None,
) -> Any:
    """Read the best model of a run that kept its models (``checkpoints=True``).

    Parameters
    ----------
    folder : path
        The ``store`` of a comparison.
    strategy : str, optional
        Only this one's rounds; all strategies' by default.
    metric : str, default="accuracy"
        As in :func:`find_best`.
    model : NeuralNet, optional
        A net of the same kind, fitted or initialised, that gets the weights. By default
        one is made of the estimator that the run keeps.

    Returns
    -------
    estimator
        Ready to predict.

    Raises
    ------
    FileNotFoundError
        When the folder holds no run, or the run no models.
    ValueError
        As :func:`find_best`, and when the weights do not fit.

    Notes
    -----
    What the run keeps of its estimator, and models other than networks, are pickles:
    they run code when they are read. Read only your own, or give ``model=``.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_digits
    >>> from al_sklearn.estimators import ImageClassifier
    >>> from al_sklearn.experiments import StrategyComparison, load_best
    >>> digits = load_digits()
    >>> X, y = digits.images[:200].astype("float32"), digits.target[:200]
    >>> net, folder = ImageClassifier(max_epochs=1), tempfile.mkdtemp() + "/run"
    >>> options = {"n_rounds": 0, "store": folder, "checkpoints": True, "verbose": 0}
    >>> comparison = StrategyComparison(net, ["margin"], **options).fit(X, y)
    >>> load_best(folder).predict(X[:2]).shape
    (2,)
    """
    best = find_best(folder, strategy, metric)
    if best.path is None:
        raise FileNotFoundError(
            f"{Path(folder)} keeps no model of round {best.round} of "
            f"{best.strategy!r}, seed {best.seed}: run it with checkpoints=True "
            "(--checkpoints)."
        )
    if best.path.suffix == ".safetensors" and model is None:
        model = rebuild(Path(folder), best.path)
    return load_checkpoint(best.path, model)
