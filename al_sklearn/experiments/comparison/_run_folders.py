"""Many runs at once: where they are, and what they found.

No more is read than that takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.types import Options
from al_sklearn.experiments.comparison._results import curves_of, runs_below
from al_sklearn.experiments.statistics import (
    BASELINE,
    Curve,
    aubc,
    shared_budgets,
)
from al_sklearn.experiments.store import RunStore
from al_sklearn.tasks import get_metric


def find_runs(folders: Iterable[str | os.PathLike[str]]) -> dict[str, Path]:
    """Find the runs in folders, however deep.

    Parameters
    ----------
    folders : iterable of path
        Runs, or folders of runs.

    Returns
    -------
    dict of str to Path
        By name: the folder's own for a run, the path below the folder for one in it. A
        run that is reached by several of the folders is there once.

    Raises
    ------
    FileNotFoundError
        When a folder is not there, or holds no run.
    """
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {folder}.")
        runs = runs_below(folder)
        if not runs:
            raise FileNotFoundError(
                f"{folder} holds no run: there is no config.json in it, nor below it."
            )
        for run in runs:
            # Reached through a link or twice on the command line.
            if run.resolve() in seen:
                continue
            seen.add(run.resolve())
            name = (
                str(run.relative_to(folder)) if run != folder else folder.resolve().name
            )
            found[name if name not in found else str(run)] = run
    return found


def summarize_runs(runs: Mapping[str, Path], metric: str = "accuracy") -> pd.DataFrame:
    """Return one row for each run and strategy.

    Means over seeds of what their curves share.

    Parameters
    ----------
    runs : dict of str to Path
        From :func:`find_runs`.
    metric : str, default="accuracy"

    Returns
    -------
    DataFrame
        ``run``, ``strategy``, ``seeds`` (that have begun), ``rounds`` (of the
        shortest), ``labels`` (there), ``final``, ``aubc``, ``vs_random`` (difference in
        AUBC, paired by seed over the rounds that both have), ``wins``.

    Raises
    ------
    ValueError
        For a metric that a run does not have.
    """
    rows = [row for name, folder in runs.items() for row in _rows(name, folder, metric)]
    columns = [
        "run",
        "strategy",
        "seeds",
        "rounds",
        "labels",
        "final",
        "aubc",
        "vs_random",
        "wins",
    ]
    table = pd.DataFrame(rows, columns=columns)
    table.attrs["lower_is_better"] = get_metric(metric).lower_is_better
    return table


def overall(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a strategy: runs, mean rank, mean difference and wins.

    The rank is by AUBC within the runs counted.

    Parameters
    ----------
    table : DataFrame
        From :func:`summarize_runs`; ranks turn around where
        ``attrs["lower_is_better"]``.
    """
    sign = 1 if table.attrs.get("lower_is_better") else -1
    known = table.dropna(subset=["aubc"])
    known = known.assign(
        rank=(sign * known["aubc"]).groupby(known["run"]).rank(),
        better=sign * known["vs_random"] < 0,
    )
    found = known.groupby("strategy", sort=False).agg(
        runs=("run", "nunique"),
        rank=("rank", "mean"),
        vs_random=("vs_random", "mean"),
        better=("better", "sum"),
    )
    return found.sort_values("rank").reset_index()


def _rows(name: str, folder: Path, metric: str) -> list[Options]:
    store = RunStore(folder)
    curves: dict[str, dict[int, Curve]] = {}
    for (strategy, seed), rounds in curves_of(store, store.config()).items():
        # A strategy's seed has begun where the first, shared model is there.
        if rounds:
            curves.setdefault(strategy, {})[seed] = _curve(rounds, metric)
    sign = get_metric(metric).sign
    rows = []
    for strategy, seeds in curves.items():
        # Of unfinished runs, what all seeds have: a mean over fewer would jump where
        # one ends.
        length = min(len(curve.values) for curve in seeds.values())
        labels = np.stack([curve.n_labelled[:length] for curve in seeds.values()])
        values = np.stack([curve.values[:length] for curve in seeds.values()])
        areas = [aubc(x, y) for x, y in zip(labels, values, strict=True)]
        row: Options = {
            "run": name,
            "strategy": strategy,
            "seeds": len(seeds),
            "rounds": length - 1,
            "labels": float(labels[:, -1].mean()),
            "final": float(values[:, -1].mean()),
            "aubc": float(np.mean(areas)),
            # Of the baseline itself, and where it was not run.
            "vs_random": np.nan,
            "wins": "",
        }
        if strategy != BASELINE and BASELINE in curves:
            random = curves[BASELINE]
            gains = [_difference(curve, random[seed]) for seed, curve in seeds.items()]
            row["vs_random"] = float(np.mean(gains))
            row["wins"] = f"{sum(sign * gain > 0 for gain in gains)}/{len(gains)}"
        rows.append(row)
    return rows


def _difference(curve: Curve, baseline: Curve) -> float:
    """Difference in AUBC over the budgets that both have, joined by straight lines."""
    # Beyond the shorter one's end there is nothing to be better than.
    grid = shared_budgets([curve, baseline])
    return float(aubc(grid, curve.at(grid) - baseline.at(grid)))


def _curve(rounds: list[Options], metric: str) -> Curve:
    points = np.array([_point(metrics, metric) for metrics in rounds])
    return Curve(points[:, 0], points[:, 1], stopped="")


def _point(metrics: Mapping[str, Any], metric: str) -> tuple[float, float]:
    if metric not in metrics:
        # Only what can be averaged is offered instead.
        numbers = [
            name for name, value in metrics.items() if isinstance(value, int | float)
        ]
        raise unknown_name(
            "metric", metric, [name for name in numbers if name != "round"]
        )
    return float(metrics["n_labelled"]), float(metrics[metric])
