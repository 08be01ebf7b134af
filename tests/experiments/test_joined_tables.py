"""Tables joined by ``pd.concat``, and rows that are no data sets."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from al_sklearn.experiments import plots
from al_sklearn.experiments import statistics as s
from tests.experiments.test_statistics import table

BUDGETS = [10, 20, 30, 40]
NAMES = ("random_sampling", "margin", "entropy", "badge")


def run(seeds, shift=0.0):
    """One run with these seeds: seconds, classes and purchases as a store has them."""
    generator = np.random.default_rng(0)
    curves = {
        name: 0.5
        + shift
        + 0.01 * i
        + np.cumsum(generator.uniform(0, 0.1, (8, 4)), axis=1)[list(seeds)]
        for i, name in enumerate(NAMES)
    }
    found = table(curves, BUDGETS)
    found["seed"] = found["seed"].map(dict(enumerate(seeds)))
    return found.assign(
        query_seconds=np.where(found["round"] == 0, 0.0, 1.0),
        training_seconds=2.0 + found["round"],
        accuracy_a=found["accuracy"] / 2,
        bought_a=3 + found["round"],
        stopped="",
    )


def every_table(results):
    """All that the statistics say of one data set."""
    yield s.summarize(results)
    yield s.compare_pairs(results)
    yield s.saving_table(results)
    yield s.pairwise_penalty(results)
    yield s.penalty_tests(results)
    yield s.win_rates(results)
    yield s.gap_closed(results, oracle="badge")
    yield s.task_scores(results, by="seed")
    yield s.plan_comparison(results, 0.1).table


@pytest.mark.parametrize(
    "join",
    [
        pd.concat,
        lambda parts: pd.concat(parts, keys=["first", "second"]),
        lambda parts: pd.concat(dict(zip("ab", parts, strict=True)), names=["run"]),
        # An index that has a column's name must not stand in its way.
        lambda parts: pd.concat(
            [part.set_index("strategy", drop=False) for part in parts]
        ),
        lambda parts: pd.concat(
            [part.set_index(["strategy", "seed"]) for part in parts]
        ),
    ],
)
def test_joined_tables_are_read_as_one(join):
    joined = join([run(range(3)), run(range(3, 8))])
    plain = run(range(8))
    for got, expected in zip(every_table(joined), every_table(plain), strict=True):
        pd.testing.assert_frame_equal(got, expected)


def test_joined_tables_are_drawn_as_one():
    joined, plain = pd.concat([run(range(3)), run(range(3, 8))]), run(range(8))
    for draw in (
        plots.learning_curves,
        lambda results: plots.learning_curves(results, x="seconds"),
        plots.gain_over_baseline,
        plots.pairwise_matrix,
        lambda results: plots.class_curves(results, ["a"])[0],
        lambda results: plots.bought_histogram(results, ["a"]),
    ):
        ours, theirs = draw(joined), draw(plain)
        for mine, other in zip(ours.lines, theirs.lines, strict=True):
            assert np.allclose(mine.get_xydata(), other.get_xydata())
        assert [t.get_text() for t in ours.texts] == [
            t.get_text() for t in theirs.texts
        ]
        assert [p.get_height() for p in ours.patches if hasattr(p, "get_height")] == [
            p.get_height() for p in theirs.patches if hasattr(p, "get_height")
        ]
        plt.close("all")


def test_data_sets_named_by_the_join():
    parts = {"digits": run(range(8)), "fashion": run(range(8), 0.1)}
    named = pd.concat(parts, names=["dataset"])
    assigned = pd.concat([part.assign(dataset=name) for name, part in parts.items()])
    for by in ("dataset", "seed"):
        pd.testing.assert_frame_equal(
            s.task_scores(named, by=by), s.task_scores(assigned, by=by)
        )
    assert s.win_rates(named).loc["margin", "n"] == 16


def test_seeds_and_runs_of_one_data_set_are_no_data_sets():
    scores = s.task_scores(run(range(8)), by="seed")
    words = "The 8 rows are of 1 data set: seeds of one data set"
    with pytest.raises(ValueError, match=words):
        s.friedman_nemenyi(scores)
    # However they are named.
    for index in (
        pd.Index(range(8), name="seed"),
        pd.Index(["digits"] * 8),
        pd.MultiIndex.from_product([["digits"], range(8)], names=["dataset", "run"]),
    ):
        with pytest.raises(ValueError, match=words):
            s.friedman_nemenyi(scores.set_axis(index))
    two = pd.concat([scores, scores + [0, 0.1, 0, 0]], keys=["x", "y"])
    two = two.rename_axis(["dataset", "of", "seed"])
    with pytest.raises(ValueError, match="The 16 rows are of 2 data sets"):
        s.friedman_nemenyi(two)
    # One row is one data set.
    one = s.task_scores(run(range(8)))
    with pytest.raises(ValueError, match="at least 2 data sets and 3 strategies"):
        s.friedman_nemenyi(one)
    ranks = s.mean_ranks(scores)
    assert ranks.mean() == 2.5
    expected = scores.rank(axis=1, ascending=False).mean()
    assert ranks.to_dict() == pytest.approx(expected.to_dict())
    with pytest.raises(ValueError, match="some are NaN"):
        s.mean_ranks(scores.where(scores > scores.iloc[0, 0]))


def test_the_picture_of_one_run_has_no_test():
    scores = s.task_scores(run(range(8)), by="seed")
    ax = plots.critical_difference(scores)
    assert ax.get_title(loc="left") == (
        "Mean rank over 8 seeds of one data set, 1 is best"
    )
    texts = [text.get_text() for text in ax.texts]
    assert not [text for text in texts if "critical" in text]
    # Neither bars that join strategies nor a ruler.
    assert not [line for line in ax.lines if line.get_linewidth() > 3]
    assert not [line for line in ax.lines if line.get_marker() == "|"]
    for name, rank in s.mean_ranks(scores).items():
        assert any(name in text and f"{rank:.2f}" in text for text in texts)
    one = plots.critical_difference(s.task_scores(run(range(8))))
    assert one.get_title(loc="left") == "Mean rank over 1 data set, 1 is best"
    # Of several data sets the seeds of each are one row.
    both = pd.concat({"a": run(range(8)), "b": run(range(8), 0.1)}, names=["dataset"])
    by_seed = plots.critical_difference(s.task_scores(both, by="seed"))
    by_dataset = plots.critical_difference(s.task_scores(both))
    assert [t.get_text() for t in by_seed.texts] == [
        t.get_text() for t in by_dataset.texts
    ]
    assert "over 2 data sets" in by_seed.get_title(loc="left")
    plt.close("all")
