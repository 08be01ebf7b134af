"""Hold the library against what nobody here wrote, and write docs/verification.md.

    PYTHONPATH=. python benchmarks/verify.py --out docs/verification.md

Run it where the packages of benchmarks/peers.txt, peers-no-deps.txt and
verify-peers.txt are installed (`make verify` makes such an environment); what is not
there, or fails, is said in its row. The section "Intervals and tests" of the page is
somebody else's, and kept as it is.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import warnings
from collections.abc import Iterable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# First: it silences the peers' progress bars. The checks register themselves.
import _peers  # noqa: F401
import _verify_definitions  # noqa: F401
import _verify_peers  # noqa: F401
import numpy as np
import torch
from _verified import CHECKS, SECTIONS, Row
from _verify_facts import DIFFERENCES, STRATEGIES, WHOLE_PAGE

from tests.strategies import authors

KEPT = "## Intervals and tests"
TITLES = {
    "measures": "Measures",
    "selectors": "Selectors",
    "metrics": "Metrics",
    "estimators": "Estimators",
}


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Markdown."""
    header = list(header)
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def from_records() -> list[list[str]]:
    """One line a record of what authors' code answered."""
    lines = []
    for record in authors.RECORDS:
        difference = authors.difference(record)
        n = len(record["answer"])
        if record["kind"] == "values":
            found = f"{n} values, {difference:.1e} apart"
        elif difference == 0:
            order = " in order" if record["kind"] == "order" else ""
            found = f"the same {n}{order}"
        else:
            found = f"{n + difference} of {n} the same: {record['why']}"
        given = record["input"]
        size = f"{given['n']} × {given['d']}, {given['n_classes']} classes, " + (
            f"{given['n_labelled']} labelled, b = {record['b']}"
        )
        options = ", ".join(f"{k}={v}" for k, v in record["options"].items())
        source = (
            f"{record['repository']} `{record['commit'][:10]}` ({record['committed']})"
        )
        code = f"{source}, `{record['file'].rsplit('/', 1)[-1]}`"
        name = f"`{record['what']}`" + (f", {options}" if options else "")
        lines.append([name, code, size, record["recorded"], found])
    return lines


def from_checks() -> dict[str, list[Row]]:
    """What every check found, by section."""
    found: dict[str, list[Row]] = {section: [] for section in SECTIONS}
    for one in CHECKS:
        for row in one.rows():
            print(f"{row.name:34} {row.against:44} {row.found}", flush=True)
            found[row.section].append(row)
    return found


def page(rows: dict[str, list[Row]], kept: str) -> str:
    """The whole page."""
    strategies = [
        [f"`{name}`", f"{made_of}", f"`{test}`"]
        for name, (made_of, test) in STRATEGIES.items()
    ]
    lines = WHOLE_PAGE.format(
        today=datetime.date.today(),
        python=platform.python_version(),
        numpy=np.__version__,
        torch=torch.__version__.split("+")[0],
    ).splitlines()
    lines += ["", "## Strategies", ""]
    lines += table(("strategy", "what it is made of", "its own test"), strategies)
    lines += ["", "## Authors' own code", ""]
    header = ("what", "code", "input", "recorded", "largest difference")
    lines += table(header, from_records())
    for section in SECTIONS:
        # What belongs together stands together.
        ordered = sorted(rows[section], key=lambda row: row.name)
        cells = [
            [f"`{name.split(',')[0]}`" + name[len(name.split(",")[0]) :], *others]
            for name, *others in ((r.name, r.against, r.on, r.found) for r in ordered)
        ]
        lines += ["", f"## {TITLES[section]}", ""]
        lines += table(("what", "held against", "on", "largest difference"), cells)
    lines += ["", "## Where we differ on purpose", ""]
    lines += table(("what", "who differs", "how", "why"), DIFFERENCES)
    return "\n".join(lines) + "\n" + (f"\n{kept}" if kept else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="page to write; printed alone without")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    before = out.read_text() if out and out.exists() else ""
    start = before.find(KEPT)
    text = page(from_checks(), before[start:] if start >= 0 else "")
    if out:
        out.write_text(text)


if __name__ == "__main__":
    main()
