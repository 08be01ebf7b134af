"""Drive a loop with known labels: what people would take days for, at once."""

from __future__ import annotations

from collections.abc import Sequence

from al_sklearn.loop import Answers, Loop, Problem, Round


def first_round(loop: Loop) -> Round:
    """Tell the initial set, train on it and measure."""
    initial = loop.problem.initial
    with loop.turn():
        loop.tell(Answers(initial, loop.problem.known_labels(initial)))
        return loop.train()


def next_round(loop: Loop) -> Round:
    """Ask for a batch, tell its labels, train and measure."""
    with loop.turn():
        positions = loop.ask().positions
        loop.tell(Answers(positions, loop.problem.known_labels(positions)))
        return loop.train()


def is_done(problem: Problem, records: Sequence[Round]) -> bool:
    """Whether these rounds, the first among them, are all there will be."""
    if not records:
        return False
    last = records[-1]
    # A criterion may end the rounds before the budget does.
    stopped = bool(last.metrics.get("stopped"))
    return stopped or problem.is_over(last.round, last.metrics["n_labelled"])
