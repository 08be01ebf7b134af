"""What a comparison found, in sentences."""

from __future__ import annotations

import pandas as pd

from al_sklearn.experiments.report._templates import template
from al_sklearn.experiments.report._words import (
    could_tell,
    plain_name,
    seen_text,
    verdicts,
)
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
        t-test on the AUBC is below 0.05 and the difference points the right way. Of the
        others it says which difference would have been found; that luck explains what
        there is, it says only where a difference of a point would have been.
    """
    known = get_metric(metric)
    verdict = verdicts(summary, metric)
    gain = known.sign * summary["difference"]
    rows = summary.assign(verdict=verdict, gain=gain).reset_index().to_dict("records")
    # In the order of the summary, which has the best first.
    groups = {
        word: [row for row in rows if row["verdict"] == word]
        for word in ("better", "worse", "unclear")
    }
    # Of those that stay open, what the most uncertain one would have shown.
    seen = summary["detectable"][verdict == "unclear"].max()
    text = template("headline.txt.j2").render(
        **groups,
        # Random sampling is what they are held against.
        others=[row for row in rows if row["verdict"] != "baseline"],
        leader=plain_name(summary.index[0]),
        n_seeds=int(summary["n_seeds"].iloc[0]),
        metric=metric,
        word=known.word,
        seen=seen_text(seen, metric),
        unit=f" points of {known.word}" if known.is_share else "",
        could_tell=could_tell(seen, metric),
        # No spread and no effect: every seed has the same area twice.
        same=seen == 0,
        tested=bool(summary["p_holm"].notna().any()),
    )
    return text.strip().split("\n\n")
