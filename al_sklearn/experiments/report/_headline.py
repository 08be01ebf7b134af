"""What a comparison found, in sentences."""

from __future__ import annotations

import math

import pandas as pd

from al_sklearn.experiments.report._words import (
    ALPHA,
    gain_text,
    listed,
    p_text,
    percent,
    percent_range,
    plain_name,
)
from al_sklearn.experiments.statistics import BASELINE
from al_sklearn.tasks import get_metric


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
    sign = get_metric(metric).sign
    word = get_metric(metric).word
    # It is what they are held against.
    others = summary.drop(index=BASELINE)
    seeds = int(summary["n_seeds"].iloc[0])
    counted = "1 seed" if seeds == 1 else f"{seeds} seeds"
    if others.empty:
        return [
            f"Only random sampling was run ({counted}): there is nothing to compare "
            "it with."
        ]
    # Adjusted: with twenty strategies one would be significant by luck.
    sure = others["p_holm"] < ALPHA
    better = others[sure & (sign * others["difference"] > 0)]
    worse = others[sure & (sign * others["difference"] < 0)]
    unclear = others[~others.index.isin(better.index) & ~others.index.isin(worse.index)]
    sentences = []
    if seeds < 2:
        # The summary has the best first.
        return [
            "With one seed nothing can be told from luck; "
            f"{plain_name(summary.index[0])} has the best mean {word} over the budget."
        ]
    # Said plainly, and before anything that was gained.
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
                f"{unclear.index[0]} comes closest: "
                f"{gain_text(closest, metric)} better over the whole budget, in "
                f"{closest['wins']:.0f} of {counted}; the adjusted p-value is "
                f"{p_text(closest['p_holm'])}."
            )
    else:
        name = better.index[0]
        best = better.iloc[0]
        gain, saving = gain_text(best, metric), best["label_saving"]
        interval = percent_range(
            best["label_saving_low"], best["label_saving_high"]
        ).replace("…", "to")
        if percent(saving) == percent(0):
            sentences.append(
                f"{name} beats random sampling: over the whole budget it is {gain} "
                f"better ({counted}). For random "
                f"sampling's final {word} it needs as many labels (95 % interval of "
                f"the share saved: {interval})."
            )
        elif saving > 0:
            sentences.append(
                f"{name} reaches random sampling's final {word} with "
                f"{percent(saving)} fewer labels "
                f"(95 % interval {interval}, {counted}); over the whole budget it is "
                f"{gain} better."
            )
        else:
            but = (
                f"does not reach random sampling's final {word}"
                if math.isinf(saving)
                else f"needs {percent(-saving)} more labels for random sampling's "
                f"final {word}"
            )
            sentences.append(
                f"{name} is {gain} better than random sampling over the whole budget "
                f"({counted}), but {but}."
            )
    rest = list(better.index[1:])
    if rest:
        sentences.append(
            f"{listed(rest)} {'beats' if len(rest) == 1 else 'beat'} random sampling "
            "too."
        )
    if len(worse):
        sentences.append(
            f"{listed(worse.index)} {'is' if len(worse) == 1 else 'are'} worse than "
            "random sampling."
        )
    if len(unclear) and not better.empty:
        verb = "does" if len(unclear) == 1 else "do"
        sentences.append(
            f"{listed(unclear.index)} {verb} not beat random sampling by more than "
            "luck can explain."
        )
    return sentences
