"""One HTML file that says what a comparison has found, to somebody who did not run it."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from al_sklearn.experiments import plots, statistics
from al_sklearn.experiments._images import png_data_uri
from al_sklearn.experiments._metrics import METRICS

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

    def summary(self, metric: str = ..., *, level: float = ..., confidence: float = ...) -> pd.DataFrame:
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

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        When there is not one name for each class.
    """
    names = [str(name) for name in (class_names if class_names is not None else results.classes)]
    if len(names) != len(results.classes):
        raise ValueError(f"class_names must name the {len(results.classes)} classes, got {len(names)} names.")
    summary = results.summary(metric)
    n_seeds = int(summary["n_seeds"].iloc[0])
    environment = Environment(
        loader=PackageLoader("al_sklearn.experiments"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = environment.get_template("report.html.j2").render(
        title=title or "Which query strategy saves labels?",
        headline=headline(summary, metric),
        notes=results.notes,
        protocol=_protocol(results),
        metric=_WORDS.get(metric, metric),
        summary=_summary_rows(summary, metric),
        savings=_saving_rows(results.table, metric, list(summary.index)),
        pairs=_pair_rows(results.pairwise(metric), metric),
        others=_other_metrics(results.table, list(summary.index)),
        figures=_figures(results, metric, names),
        galleries=_galleries(results.thumbnails, list(summary.index), names),
        versions=results.config["versions"],
        n_seeds=n_seeds,
        smallest_p=f"{2.0 ** (1 - n_seeds):.3g}",
        fingerprint=results.config["data"]["X"].get("hash", ""),
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
        A strategy beats random sampling where the Holm-adjusted p-value of the paired t-test on the AUBC is below
        0.05 and the difference points the right way.
    """
    sign = -1 if metric in statistics.LOWER_IS_BETTER else 1
    word = _WORDS.get(metric, metric)
    others = summary.drop(index=_BASELINE)
    seeds = int(summary["n_seeds"].iloc[0])
    counted = "1 seed" if seeds == 1 else f"{seeds} seeds"
    if others.empty:
        return [f"Only random sampling was run ({counted}): there is nothing to compare it with."]
    sure = others["p_holm"] < _ALPHA
    better = others[sure & (sign * others["difference"] > 0)]
    worse = others[sure & (sign * others["difference"] < 0)]
    unclear = others[~others.index.isin(better.index) & ~others.index.isin(worse.index)]
    sentences = []
    if seeds < 2:
        first = others.index[0]
        sentences.append(
            f"With one seed nothing can be told from luck; {first} has the best mean {word} of the strategies."
        )
        return sentences
    if better.empty:
        which = others.index[0] if len(others) == 1 else f"None of the {len(others)} strategies"
        verb = "does not beat" if len(others) == 1 else "beats"
        sentences.append(f"{which} {verb} random sampling by more than luck can explain ({counted}).")
        closest = unclear.iloc[0] if len(unclear) else None
        if closest is not None and sign * closest["difference"] > 0:
            sentences.append(
                f"{unclear.index[0]} comes closest: {_gain(closest, metric)} better over the whole budget, in "
                f"{closest['wins']:.0f} of {counted}; the adjusted p-value is {_p(closest['p_holm'])}."
            )
    else:
        name = better.index[0]
        best = better.iloc[0]
        if best["label_saving"] > 0:
            sentence = (
                f"{name} reaches random sampling's final {word} with {_percent(best['label_saving'])} fewer labels "
                f"(95 % interval {_percent_range(best['label_saving_low'], best['label_saving_high'])}, {counted})"
            )
        else:
            sentence = f"{name} beats random sampling ({counted})"
        gain = _gain(best, metric)
        sentences.append(f"{sentence}; over the whole budget it is {gain} better.")
    rest = list(better.index[1:])
    if rest:
        sentences.append(f"{_list(rest)} {'beats' if len(rest) == 1 else 'beat'} random sampling too.")
    if len(worse):
        sentences.append(f"{_list(worse.index)} {'is' if len(worse) == 1 else 'are'} worse than random sampling.")
    if len(unclear) and not better.empty:
        verb = "does" if len(unclear) == 1 else "do"
        sentences.append(f"{_list(unclear.index)} {verb} not beat random sampling by more than luck can explain.")
    return sentences


def _gain(row: pd.Series, metric: str) -> str:
    sign = -1 if metric in statistics.LOWER_IS_BETTER else 1
    value = sign * row["difference"]
    low, high = sorted(sign * row[column] for column in ("difference_low", "difference_high"))
    between = "–" if low >= 0 else " to "
    if metric in _ABSOLUTE:
        return f"{value:.3f} ({low:.3f}{between}{high:.3f})"
    word = _WORDS.get(metric, metric)
    return f"{value * 100:.1f} points of {word} ({low * 100:.1f}{between}{high * 100:.1f})".replace("(-", "(−")


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
                "final": _with_interval(row["final"], row["final_low"], row["final_high"], metric),
                "aubc": _value(row["aubc"], metric),
                "rank": f"{row['rank']:.1f}",
                "difference": "–"
                if is_baseline
                else _signed(row["difference"], row["difference_low"], row["difference_high"], metric),
                "wins": "–" if is_baseline else f"{row['wins']:.0f} of {row['n_seeds']:.0f}",
                "saving": "–"
                if is_baseline
                else _saving(row["label_saving"], row["label_saving_low"], row["label_saving_high"]),
                "p": "–" if is_baseline else _p(row["p_holm"]),
                "query_seconds": _seconds(row.get("query_seconds", math.nan)),
            }
        )
    return rows


def _saving_rows(table: pd.DataFrame, metric: str, order: list[str]) -> dict[str, Any]:
    savings = statistics.saving_table(table, metric)
    levels = list(dict.fromkeys(savings["level"]))
    targets = [savings.loc[savings["level"] == level, "target"].iloc[0] for level in levels]
    parts = {str(name): part.to_dict("records") for name, part in savings.groupby("strategy")}
    rows = [
        {"name": name, "cells": [_saving(row["label_saving"], row["low"], row["high"]) for row in parts[name]]}
        for name in order
        if name in parts
    ]
    heads = [f"{level * 100:.0f} % ({_value(target, metric)})" for level, target in zip(levels, targets, strict=True)]
    return {"heads": heads, "rows": rows}


def _pair_rows(pairs: pd.DataFrame, metric: str) -> list[dict[str, str]]:
    rows = []
    for row in pairs.to_dict("records"):
        rows.append(
            {
                "pair": f"{row['strategy']} − {row['other']}",
                "difference": _signed(row["difference"], row["low"], row["high"], metric),
                "wins": f"{row['wins']} of {row['n_seeds']}",
                "p": _p(row["p_value"]),
                "p_holm": _p(row["p_holm"]),
                "p_wilcoxon": _p(row["p_wilcoxon_holm"]),
                "kind": "sure" if row["p_holm"] < _ALPHA else "unsure",
            }
        )
    return rows


def _other_metrics(table: pd.DataFrame, order: list[str]) -> dict[str, Any]:
    metrics = [name for name in (*METRICS, "score") if name in table.columns and table[name].notna().all()]
    last = table[table["round"] == table.groupby(["strategy", "seed"])["round"].transform("max")]
    means = last.groupby("strategy")[metrics].mean().loc[order]
    return {
        "heads": [_WORDS.get(name, name) for name in metrics],
        "rows": [{"name": name, "cells": [_value(row[m], m) for m in metrics]} for name, row in means.iterrows()],
    }


def _figures(results: Results, metric: str, names: list[str]) -> list[dict[str, str]]:
    table = results.table
    drawn = [
        (
            "Learning curves",
            "Each line is a mean over seeds; the band is its 95 % interval. Random sampling is grey and dashed.",
            7.6,
            4.6,
            lambda ax: plots.learning_curves(table, metric, ax=ax),
        ),
        (
            "Gain over random sampling",
            "The same, as differences within each seed. Where a band is clear of zero, luck hardly explains it.",
            7.6,
            4.2,
            lambda ax: plots.gain_over_baseline(table, metric, ax=ax),
        ),
        (
            "What was bought",
            "What a strategy buys more often than random sampling does, it finds harder.",
            7.6,
            3.6,
            lambda ax: plots.bought_histogram(table, list(results.classes), class_names=names, ax=ax),
        ),
    ]
    if results.table["seed"].nunique() > 1:
        drawn.append(
            (
                "Who beats whom",
                "Share of checkpoints at which the row is significantly better than the column (paired t-test at 5 %). "
                "The last row is each column's mean: its penalty, lower is better.",
                7.6,
                1.6 + 0.42 * table["strategy"].nunique(),
                lambda ax: plots.pairwise_matrix(table, metric, ax=ax),
            )
        )
    return [{"title": title, "caption": caption, "src": _svg(draw, w, h)} for title, caption, w, h, draw in drawn]


def _svg(draw: Any, width: float, height: float) -> str:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("The report's pictures need matplotlib: pip install al-sklearn[plots].") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    ax = figure.subplots()
    draw(ax)
    # The HTML around it has the heading.
    ax.set_title("", loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _galleries(thumbnails: dict[str, np.ndarray], strategies: list[str], names: list[str]) -> list[dict[str, Any]]:
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
    setting, data = results.config["configuration"], results.config["data"]
    table = results.table
    estimator = setting["estimator"]
    kind = estimator["class"].rpartition(".")[2] if isinstance(estimator, dict) else str(estimator)
    if isinstance(estimator, dict) and isinstance(estimator.get("module"), str):
        kind += f" ({estimator['module'].rpartition('.')[2]})"
    budgets = sorted(table["n_labelled"].unique())
    shape = data["X"].get("shape")
    images = f"{data['X']['rows']:,}" + (f" of shape {' × '.join(map(str, shape[1:]))}" if shape else "")
    given = "X_test" in data
    held_out = setting["test_size"]
    share = f"{held_out * 100:.0f} % of the images" if isinstance(held_out, float) else f"{held_out} images"
    test = f"{data['X_test']['rows']:,} images, given" if given else f"{share}, held out anew for each seed"
    how = {
        "from_scratch": "fresh weights every round",
        "fine_tune": "each round goes on from the weights before, on all labels",
        "only_new": "each round goes on from the weights before, on the new batch",
    }[setting["training"]]
    return [
        ("Model", f"{kind}, {how}"),
        ("Images", f"{images}, {len(results.classes)} classes"),
        ("Test set", test),
        ("Budget", f"{budgets[0]} labels ({setting['initial']}) and {len(budgets) - 1} batches up to {budgets[-1]}"),
        ("Seeds", f"{table['seed'].nunique()}; in each, all strategies share split, initial set and first model"),
        ("Threads", f"{setting['threads_per_job']} for each job"),
    ]


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
    return f"{value * 100:.0f} %".replace("-", "−") if math.isfinite(value) else "not reached"


def _percent_range(low: float, high: float) -> str:
    if math.isinf(low):
        return f"not reached … {_percent(high)}" if math.isfinite(high) else "not reached"
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
    return f"{value * 1000:.2g} ms" if value < 0.0995 else f"{value:.2g} s" if value < 9.95 else f"{value:.0f} s"


def _list(names: Iterable[str]) -> str:
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last
