"""How much of a number is the luck of one training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from al_sklearn._core.types import Options


def training_spread(retrained: pd.DataFrame, metric: str = "accuracy") -> pd.DataFrame:
    """One row a strategy: how far trainings of the very same labels lie apart.

    Parameters
    ----------
    retrained : DataFrame
        What :meth:`StrategyComparison.retrain` returns.
    metric : str, default="accuracy"
        A column.

    Returns
    -------
    DataFrame
        ``estimator``, ``strategy``, ``n_labelled`` (mean over seeds, after the last
        round that was trained again), ``mean``, ``lowest``, ``highest``, ``repeats``
        (fewest of a set), ``within`` (standard deviation between trainings of one set,
        pooled over seeds; NaN of one training) and ``between`` (that of the seeds'
        means; NaN of one seed).

    Examples
    --------
    >>> import pandas as pd
    >>> from al_sklearn.experiments.statistics import training_spread
    >>> rows = [("same", "margin", 0, 5, i, 100, a) for i, a in enumerate([0.8, 0.9])]
    >>> columns = ["estimator", "strategy", "seed", "round", "repeat", "n_labelled"]
    >>> table = pd.DataFrame(rows, columns=[*columns, "accuracy"])
    >>> training_spread(table)[["mean", "lowest", "highest", "within"]].round(3)
       mean  lowest  highest  within
    0  0.85     0.8      0.9   0.071
    """
    if metric not in retrained.columns:
        raise ValueError(
            f"The table lacks {metric!r}; it has {list(retrained.columns)}."
        )
    last = retrained.groupby(["estimator", "strategy"])["round"].transform("max")
    rows: list[Options] = []
    used = retrained[retrained["round"] == last]
    for (estimator, strategy), part in used.groupby(
        ["estimator", "strategy"], sort=False
    ):
        sets = part.groupby("seed")[metric]
        means, counts = sets.mean(), sets.size()
        # Pooled: each seed's own mean taken out, so that easy splits do not count.
        freedom = int((counts - 1).sum())
        squares = float((sets.var(ddof=1).fillna(0) * (counts - 1)).sum())
        rows.append(
            {
                "estimator": estimator,
                "strategy": strategy,
                "n_labelled": float(part["n_labelled"].mean()),
                "mean": float(part[metric].mean()),
                "lowest": float(part[metric].min()),
                "highest": float(part[metric].max()),
                "repeats": int(counts.min()),
                "within": np.sqrt(squares / freedom) if freedom else np.nan,
                "between": float(means.std(ddof=1)) if len(means) > 1 else np.nan,
            }
        )
    return pd.DataFrame(rows)
