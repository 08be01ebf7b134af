"""The summary as a table for a paper: the report's numbers, in LaTeX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from al_sklearn.experiments.report._words import (
    interval_text,
    p_text,
    saving_text,
    signed_text,
    value_text,
    verdicts,
)
from al_sklearn.tasks import get_metric

# Signs that LaTeX reads as something else, and those of ours that its fonts may lack.
_SIGNS: Final = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "…": r"\dots{}",
    "’": "'",
}


def latex_table(
    summary: pd.DataFrame, metric: str = "accuracy", *, label: str | None = None
) -> str:
    r"""Write a summary as a LaTeX table, with the numbers that the report shows.

    Parameters
    ----------
    summary : DataFrame
        From :func:`al_sklearn.experiments.statistics.summarize`.
    metric : str, default="accuracy"
        What it compares.
    label : str, optional
        For ``\ref``.

    Returns
    -------
    str
        A ``table`` for the package ``booktabs``: a row a strategy, best first, with
        95 % intervals over seeds and Holm's p-values. What is significantly better than
        random sampling is bold.

    Examples
    --------
    >>> import pandas as pd
    >>> from al_sklearn.experiments.statistics import summarize
    >>> rows = [("random_sampling", 0, n, n / 100) for n in (10, 20)]
    >>> rows += [("margin", 0, n, n / 90) for n in (10, 20)]
    >>> columns = ["strategy", "seed", "n_labelled", "accuracy"]
    >>> table = latex_table(summarize(pd.DataFrame(rows, columns=columns)))
    >>> print(table.splitlines()[0])
    \begin{table}
    """
    known = get_metric(metric)
    points = ", points" if known.is_share else ""
    heads = (
        "Strategy",
        f"Final {known.word}",
        "AUBC",
        f"AUBC minus random's{points}",
        "Seeds won",
        "Labels saved",
        "p (Holm)",
        "Rank",
    )
    judged = summary.assign(verdict=verdicts(summary, metric)).reset_index()
    n_seeds = int(summary["n_seeds"].iloc[0])
    counted = "1 seed" if n_seeds == 1 else f"{n_seeds} seeds"
    caption = (
        f"{known.title} of query strategies, best first: mean over {counted} with 95 % "
        "intervals. AUBC: area under the budget curve. Labels saved: to random "
        "sampling's final value. p: paired t-test on the AUBC, adjusted by Holm. Bold: "
        "better than random sampling at 5 %."
    )
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_plain(caption)}}}",
        *([rf"  \label{{{label}}}"] if label else []),
        rf"  \begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"    \toprule",
        f"    {' & '.join(map(_plain, heads))} \\\\",
        r"    \midrule",
        *(f"    {_row(row, metric)} \\\\" for row in judged.to_dict("records")),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(row: Mapping[Any, Any], metric: str) -> str:
    difference, won, saved = "–", "–", "–"
    # Random sampling is what the others are held against.
    if row["verdict"] != "baseline":
        difference = signed_text(
            row["difference"], row["difference_low"], row["difference_high"], metric
        )
        won = f"{row['wins']} of {row['n_seeds']}"
        saved = saving_text(
            row["label_saving"], row["label_saving_low"], row["label_saving_high"]
        )
    cells = [
        str(row["strategy"]),
        interval_text(row["final"], row["final_low"], row["final_high"], metric),
        value_text(row["aubc"], metric),
        difference,
        won,
        saved,
        p_text(row["p_holm"]),
        f"{row['rank']:.1f}",
    ]
    written = [_plain(cell) for cell in cells]
    if row["verdict"] == "better":
        written = [rf"\textbf{{{cell}}}" for cell in written]
    return " & ".join(written)


def _plain(text: str) -> str:
    return "".join(_SIGNS.get(sign, sign) for sign in text)
