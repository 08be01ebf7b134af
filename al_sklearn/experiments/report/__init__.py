"""One HTML file that tells what a comparison found to somebody who did not run it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from al_sklearn.experiments import statistics
from al_sklearn.experiments.plots._images import png_data_uri
from al_sklearn.experiments.report._facts import FACTS as FACTS
from al_sklearn.experiments.report._facts import ReportFacts as ReportFacts
from al_sklearn.experiments.report._figures import ReportData, figures
from al_sklearn.tasks import METRICS

_BASELINE = "random_sampling"
_ALPHA = 0.05
# Not shares: shown as they are, not in percent.
_ABSOLUTE = frozenset({"nll", "ece", "score"})
_WORDS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "nll": "negative log-likelihood",
    "ece": "calibration error",
    "score": "score",
}


class Results(Protocol):
    """What the report is made from; ``ComparisonResults`` is."""

    table: pd.DataFrame
    classes: np.ndarray
    thumbnails: dict[str, np.ndarray]
    config: dict[str, Any]

    @property
    def notes(self) -> list[str]:
        """What should be said beside every table."""

    def summary(
        self, metric: str = ..., *, level: float = ..., confidence: float = ...
    ) -> pd.DataFrame:
        """One row a strategy."""

    def pairwise(self, metric: str = ..., *, confidence: float = ...) -> pd.DataFrame:
        """One row a pair."""


def write_report(
    results: Results,
    path: str | os.PathLike[str],
    *,
    metric: str = "accuracy",
    class_names: Iterable[Any] | None = None,
    title: str | None = None,
    data: ReportData | None = None,
    command: str | None = None,
) -> Path:
    """Write the report of a comparison.

    Parameters
    ----------
    results : Results
        What was found.
    path : path
        The file; it needs nothing beside it, and nothing from the network.
    metric : str, default="accuracy"
        What is compared.
    class_names : iterable of str, optional
        Readable names, in the order of the classes.
    title : str, optional
        Heading of the page.
    data : ReportData, optional
        What only the data and the models can give: a map of the pool, probabilities;
        the classes of the pool, where the store does not know them.
    command : str, optional
        What the run was made with, to be shown.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        When there is not one name for each class.
    """
    names = [
        str(name)
        for name in (class_names if class_names is not None else results.classes)
    ]
    if len(names) != len(results.classes):
        raise ValueError(
            f"class_names must name the {len(results.classes)} classes, got "
            f"{len(names)} names."
        )
    data = data if data is not None else ReportData()
    if data.pool is None and "pool" in results.config:
        data = replace(
            data, pool=np.mean(results.config["pool"]["class_counts"], axis=0)
        )
    summary = results.summary(metric)
    n_seeds = int(summary["n_seeds"].iloc[0])
    environment = Environment(
        loader=PackageLoader("al_sklearn.experiments.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = environment.get_template("report.html.j2").render(
        title=title or "Which query strategy saves labels?",
        headline=[*_unfinished(results), *headline(summary, metric)],
        notes=list(dict.fromkeys([*results.notes, *summary.attrs.get("notes", [])])),
        protocol=_protocol(results),
        metric=_WORDS.get(metric, metric),
        summary=_summary_rows(summary, metric),
        savings=_saving_rows(results.table, metric, list(summary.index)),
        pairs=_pair_rows(results.pairwise(metric), metric),
        others=_other_metrics(results.table, list(summary.index)),
        figures=figures(
            results.table,
            results.classes,
            names,
            metric,
            _WORDS.get(metric, metric),
            summary,
            data,
        ),
        galleries=_galleries(results.thumbnails, list(summary.index), names),
        versions=results.config.get("versions", {}),
        settings=_settings(results.config["configuration"]),
        call=_call(results.config["configuration"]),
        command=command,
        n_seeds=n_seeds,
        in_points=metric not in _ABSOLUTE,
        smallest_p=f"{2.0 ** (1 - n_seeds):.3g}",
        fingerprint=results.config["data"].get("X", {}).get("hash", ""),
    )
    target.write_text(text, encoding="utf-8")
    return target


def headline(summary: pd.DataFrame, metric: str = "accuracy") -> list[str]:
    """Say in one to three sentences what a summary means.

    Parameters
    ----------
    summary : DataFrame
        From :func:`al_sklearn.experiments.statistics.summarize`.
    metric : str, default="accuracy"
        What it compares.

    Returns
    -------
    list of str
        A strategy beats random sampling where the Holm-adjusted p-value of the paired
        t-test on the AUBC is below 0.05 and the difference points the right way.
    """
    sign = -1 if metric in statistics.LOWER_IS_BETTER else 1
    word = _WORDS.get(metric, metric)
    others = summary.drop(index=_BASELINE)
    seeds = int(summary["n_seeds"].iloc[0])
    counted = "1 seed" if seeds == 1 else f"{seeds} seeds"
    if others.empty:
        return [
            f"Only random sampling was run ({counted}): there is nothing to compare "
            "it with."
        ]
    sure = others["p_holm"] < _ALPHA
    better = others[sure & (sign * others["difference"] > 0)]
    worse = others[sure & (sign * others["difference"] < 0)]
    unclear = others[~others.index.isin(better.index) & ~others.index.isin(worse.index)]
    sentences = []
    if seeds < 2:
        # The summary has the best first.
        return [
            f"With one seed nothing can be told from luck; {_plain(summary.index[0])} "
            f"has the best mean {word} over "
            "the budget."
        ]
    if better.empty:
        which = (
            others.index[0]
            if len(others) == 1
            else f"None of the {len(others)} strategies"
        )
        verb = "does not beat" if len(others) == 1 else "beats"
        sentences.append(
            f"{which} {verb} random sampling by more than luck can explain ({counted})."
        )
        closest = unclear.iloc[0] if len(unclear) else None
        if closest is not None and sign * closest["difference"] > 0:
            sentences.append(
                f"{unclear.index[0]} comes closest: {_gain(closest, metric)} better "
                "over the whole budget, in "
                f"{closest['wins']:.0f} of {counted}; the adjusted p-value is "
                f"{_p(closest['p_holm'])}."
            )
    else:
        name = better.index[0]
        best = better.iloc[0]
        gain, saving = _gain(best, metric), best["label_saving"]
        interval = _percent_range(
            best["label_saving_low"], best["label_saving_high"]
        ).replace("…", "to")
        if _percent(saving) == _percent(0):
            sentences.append(
                f"{name} beats random sampling: over the whole budget it is {gain} "
                f"better ({counted}). For random "
                f"sampling's final {word} it needs as many labels (95 % interval of "
                f"the share saved: {interval})."
            )
        elif saving > 0:
            sentences.append(
                f"{name} reaches random sampling's final {word} with "
                f"{_percent(saving)} fewer labels "
                f"(95 % interval {interval}, {counted}); over the whole budget it is "
                f"{gain} better."
            )
        else:
            but = (
                f"does not reach random sampling's final {word}"
                if math.isinf(saving)
                else f"needs {_percent(-saving)} more labels for random sampling's "
                f"final {word}"
            )
            sentences.append(
                f"{name} is {gain} better than random sampling over the whole budget "
                f"({counted}), but {but}."
            )
    rest = list(better.index[1:])
    if rest:
        sentences.append(
            f"{_list(rest)} {'beats' if len(rest) == 1 else 'beat'} random sampling "
            "too."
        )
    if len(worse):
        sentences.append(
            f"{_list(worse.index)} {'is' if len(worse) == 1 else 'are'} worse than "
            "random sampling."
        )
    if len(unclear) and not better.empty:
        verb = "does" if len(unclear) == 1 else "do"
        sentences.append(
            f"{_list(unclear.index)} {verb} not beat random sampling by more than "
            "luck can explain."
        )
    return sentences


def _unfinished(results: Results) -> list[str]:
    """Say that rounds are still to come.

    A curve that has just begun looks like one that ended low.
    """
    n_rounds = results.config["configuration"].get("n_rounds")
    ends = (
        results.table.sort_values("n_labelled")
        .groupby(["strategy", "seed"], sort=False)
        .last()
    )
    open_ = ends["n_labelled"] < ends["n_labelled"].max()
    if "stopped" in ends:
        open_ &= ~ends["stopped"].fillna("").astype(bool)
    if isinstance(n_rounds, int):
        open_ &= ends["round"] < n_rounds
    n_open = int(open_.sum())
    if not n_open:
        return []
    whose = (
        "1 strategy and seed has"
        if n_open == 1
        else f"{n_open} of {len(ends)} strategies and seeds have"
    )
    return [
        f"This run is not finished: {whose} rounds to come. What follows is of the "
        "rounds that are there."
    ]


def _plain(name: Any) -> str:
    return "random sampling" if name == _BASELINE else str(name)


def _gain(row: pd.Series, metric: str) -> str:
    sign = -1 if metric in statistics.LOWER_IS_BETTER else 1
    value = sign * row["difference"]
    low, high = sorted(
        sign * row[column] for column in ("difference_low", "difference_high")
    )
    between = "–" if low >= 0 else " to "
    if metric in _ABSOLUTE:
        return f"{value:.3f} ({low:.3f}{between}{high:.3f})"
    word = _WORDS.get(metric, metric)
    return (
        f"{value * 100:.1f} points of {word} "
        f"({low * 100:.1f}{between}{high * 100:.1f})".replace("(-", "(−")
    )


def _summary_rows(summary: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    sign = -1 if metric in statistics.LOWER_IS_BETTER else 1
    rows = []
    for name, row in summary.iterrows():
        is_baseline = name == _BASELINE
        sure = row["p_holm"] < _ALPHA
        verdict = "baseline" if is_baseline else "unclear"
        if sure and not is_baseline:
            verdict = "better" if sign * row["difference"] > 0 else "worse"
        rows.append(
            {
                "name": name,
                "verdict": verdict,
                "kind": verdict,
                "final": _with_interval(
                    row["final"], row["final_low"], row["final_high"], metric
                ),
                "aubc": _value(row["aubc"], metric),
                "rank": f"{row['rank']:.1f}",
                "difference": "–"
                if is_baseline
                else _signed(
                    row["difference"],
                    row["difference_low"],
                    row["difference_high"],
                    metric,
                ),
                "wins": "–"
                if is_baseline
                else f"{row['wins']:.0f} of {row['n_seeds']:.0f}",
                "saving": "–"
                if is_baseline
                else _saving(
                    row["label_saving"],
                    row["label_saving_low"],
                    row["label_saving_high"],
                ),
                "p": "–" if is_baseline else _p(row["p_holm"]),
                "query_seconds": _seconds(row.get("query_seconds", math.nan)),
            }
        )
    return rows


def _saving_rows(table: pd.DataFrame, metric: str, order: list[str]) -> dict[str, Any]:
    savings = statistics.saving_table(table, metric)
    levels = list(dict.fromkeys(savings["level"]))
    targets = [
        savings.loc[savings["level"] == level, "target"].iloc[0] for level in levels
    ]
    parts = {
        str(name): part.to_dict("records") for name, part in savings.groupby("strategy")
    }
    rows = [
        {
            "name": name,
            "cells": [
                _saving(row["label_saving"], row["low"], row["high"])
                for row in parts[name]
            ],
        }
        for name in order
        if name in parts
    ]
    heads = [
        f"{level * 100:.0f} % ({_value(target, metric)})"
        for level, target in zip(levels, targets, strict=True)
    ]
    return {"heads": heads, "rows": rows}


def _pair_rows(pairs: pd.DataFrame, metric: str) -> list[dict[str, str]]:
    rows = []
    for row in pairs.to_dict("records"):
        rows.append(
            {
                "pair": f"{row['strategy']} − {row['other']}",
                "difference": _signed(
                    row["difference"], row["low"], row["high"], metric
                ),
                "wins": f"{row['wins']} of {row['n_seeds']}",
                "p": _p(row["p_value"]),
                "p_holm": _p(row["p_holm"]),
                "p_wilcoxon": _p(row["p_wilcoxon_holm"]),
                "kind": "sure" if row["p_holm"] < _ALPHA else "unsure",
            }
        )
    return rows


def _other_metrics(table: pd.DataFrame, order: list[str]) -> dict[str, Any]:
    metrics = [
        name
        for name in (*METRICS, "score")
        if name in table.columns and table[name].notna().all()
    ]
    last = table[
        table["round"] == table.groupby(["strategy", "seed"])["round"].transform("max")
    ]
    means = last.groupby("strategy")[metrics].mean().loc[order]
    return {
        "heads": [_WORDS.get(name, name) for name in metrics],
        "rows": [
            {"name": name, "cells": [_value(row[m], m) for m in metrics]}
            for name, row in means.iterrows()
        ],
    }


def _galleries(
    thumbnails: dict[str, np.ndarray], strategies: list[str], names: list[str]
) -> list[dict[str, Any]]:
    galleries = []
    for strategy in strategies:
        rounds = []
        number = 1
        while (key := f"{strategy}/{number}/images") in thumbnails:
            codes = thumbnails[f"{strategy}/{number}/classes"]
            images = [
                {"src": png_data_uri(image), "name": names[code]}
                for image, code in zip(thumbnails[key], codes, strict=True)
            ]
            rounds.append({"number": number, "images": images})
            number += 1
        if rounds:
            galleries.append({"name": strategy, "rounds": rounds})
    return galleries


def _protocol(results: Results) -> list[tuple[str, str]]:
    """Say in words how the run was made.

    What an older store does not know is left out.
    """
    setting, data = results.config["configuration"], results.config["data"]
    table = results.table
    found = [
        (
            "Model",
            f"{_estimator(setting.get('estimator'))}{_training(setting.get('training'))}",
        )
    ]
    X = data.get("X", {})
    if "rows" in X:
        shape = X.get("shape")
        rows = f"{X['rows']:,}" + (
            f" of shape {' × '.join(map(str, shape[1:]))}"
            if shape and len(shape) > 1
            else ""
        )
        found.append(
            (
                "Images" if results.thumbnails else "Rows",
                f"{rows}, {len(results.classes)} classes",
            )
        )
    held_out = setting.get("test_size")
    if "X_test" in data:
        found.append(("Test set", f"{data['X_test']['rows']:,}, given"))
    elif held_out is not None:
        share = (
            f"{held_out * 100:.0f} %" if isinstance(held_out, float) else str(held_out)
        )
        found.append(("Test set", f"{share}, held out anew for each seed"))
    runs = table.groupby(["strategy", "seed"])
    first, last = runs["n_labelled"].min(), runs["n_labelled"].max()
    # The rounds of each run: with stopping or an adaptive rate, budgets differ from run
    # to run.
    batches = runs["round"].max()
    initial = (
        f" ({setting['initial']})" if isinstance(setting.get("initial"), str) else ""
    )
    up_to = (
        f"and {_range(batches)} {'batch' if batches.max() == 1 else 'batches'}, up to "
        f"{_range(last)} labels"
    )
    found.append(("Budget", f"{_range(first)} labels to begin with{initial}, {up_to}"))
    if "stopped" in table.columns:
        n_stopped = int(runs["stopped"].last().astype(bool).sum())
        found.append(("Ended early", f"{n_stopped} of {len(last)} runs"))
    n_seeds = table["seed"].nunique()
    found.append(
        (
            "Seeds",
            f"{n_seeds}; in each, all strategies share split, initial set and first "
            "model",
        )
    )
    if setting.get("threads_per_job"):
        found.append(("Threads", f"{setting['threads_per_job']} for each job"))
    return found


def _range(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _estimator(estimator: Any) -> str:
    """Return an estimator's short name; a pipeline's steps by theirs."""
    if not isinstance(estimator, dict) or "class" not in estimator:
        return str(estimator)
    kind = str(estimator["class"]).rpartition(".")[2]
    steps = estimator.get("steps")
    if kind == "Pipeline" and isinstance(steps, list):
        return " → ".join(
            _estimator(step[1])
            for step in steps
            if isinstance(step, list) and len(step) == 2
        )
    module = estimator.get("module")
    return f"{kind} ({module.rpartition('.')[2]})" if isinstance(module, str) else kind


def _training(training: Any) -> str:
    how = {
        "from_scratch": "fresh weights every round",
        "fine_tune": "each round goes on from the weights before, on all labels",
        "only_new": "each round goes on from the weights before, on the new batch",
    }
    return f", {how.get(training, training)}" if isinstance(training, str) else ""


def _settings(configuration: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return the whole configuration, one line a value: ``estimator.max_epochs``."""
    if isinstance(configuration, dict) and configuration:
        return [
            line
            for key, value in configuration.items()
            for line in _settings(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, str(configuration))]


def _call(configuration: dict[str, Any]) -> str:
    """Return the comparison as somebody would write it.

    What is not plain is in the whole configuration.
    """
    plain = {
        name: value
        for name, value in configuration.items()
        if name not in ("estimator", "strategies")
        and isinstance(value, (bool, int, float, str))
    }
    options = "".join(f"    {name}={value!r},\n" for name, value in plain.items())
    strategies = [str(name) for name in configuration.get("strategies", ())]
    parts = [
        f"{name.partition(' ')[0]}(…)"
        for name in _estimator(configuration.get("estimator")).split(" → ")
    ]
    kind = parts[0] if len(parts) == 1 else f"make_pipeline({', '.join(parts)})"
    return f"StrategyComparison(\n    {kind},\n    {strategies!r},\n{options})"


def _value(value: float, metric: str) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if metric in _ABSOLUTE else f"{value * 100:.1f} %"


def _with_interval(value: float, low: float, high: float, metric: str) -> str:
    if math.isnan(low):
        return _value(value, metric)
    half = (high - low) / 2
    if metric in _ABSOLUTE:
        return f"{value:.3f} ± {half:.3f}"
    return f"{value * 100:.1f} ± {half * 100:.1f} %"


def _signed(value: float, low: float, high: float, metric: str) -> str:
    scale, digits = (1, 3) if metric in _ABSOLUTE else (100, 1)
    text = f"{value * scale:+.{digits}f}"
    if not math.isnan(low):
        text += f" ({low * scale:+.{digits}f} … {high * scale:+.{digits}f})"
    return text.replace("-", "−")


def _saving(value: float, low: float, high: float) -> str:
    if math.isinf(value):
        return "not reached"
    text = _percent(value)
    return text if math.isnan(low) else f"{text} ({_percent_range(low, high)})"


def _percent(value: float) -> str:
    return (
        f"{value * 100:.0f} %".replace("-", "−")
        if math.isfinite(value)
        else "not reached"
    )


def _percent_range(low: float, high: float) -> str:
    if math.isinf(low):
        return (
            f"not reached … {_percent(high)}" if math.isfinite(high) else "not reached"
        )
    if low < 0:
        return f"{_percent(low)} … {_percent(high)}"
    return f"{low * 100:.0f}–{high * 100:.0f} %"


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _seconds(value: float) -> str:
    if math.isnan(value):
        return "–"
    return (
        f"{value * 1000:.2g} ms"
        if value < 0.0995
        else f"{value:.2g} s"
        if value < 9.95
        else f"{value:.0f} s"
    )


def _list(names: Iterable[str]) -> str:
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last
