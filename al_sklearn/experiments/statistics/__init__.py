"""Honest numbers about learning curves, from plain arrays and from tidy tables.

A tidy table has one row a round, with the columns ``strategy``, ``seed``,
``n_labelled`` and one for each metric: ``StrategyComparison.results_`` is one.
Strategies are compared seed by seed, because those of one seed share the split, the
initial set and the first model. Three columns are read where they are there: ``round``
(needed where seeds have budgets of their own, as with an adaptive labelling rate),
``stopped`` (why a run ended before its time, in its last row) and ``dataset`` (in the
functions over several data sets). Tables joined by ``pd.concat`` are read as one,
whatever their index. ``attrs["looks"]`` are looks that were named beforehand.

A curve that ends early, because a criterion stopped it or because it had a smaller
budget, is compared over the budgets that the compared strategies share, between rounds
on a straight line; the label saving uses each strategy's whole curve. What was cut or
left out is said in ``attrs["notes"]`` of the table.
"""

from al_sklearn.experiments.statistics._ceiling import (
    CEILING,
    ceiling_note,
    ceiling_values,
    without_ceiling,
)
from al_sklearn.experiments.statistics._costs import cost_table, with_costs
from al_sklearn.experiments.statistics._curves import (
    BASELINE,
    Curve,
    Curves,
    aubc,
    flat_table,
    labels_needed,
    paired_curves,
    read_curves,
    shared_budgets,
)
from al_sklearn.experiments.statistics._intervals import (
    Interval,
    bootstrap_interval,
    mean_interval,
    wilson_interval,
)
from al_sklearn.experiments.statistics._looks import (
    added_note,
    check_looks,
    sequential_levels,
    sequential_p_values,
)
from al_sklearn.experiments.statistics._pairs import (
    compare_pairs,
    holm,
    paired_p_values,
    win_rate,
    win_rates,
)
from al_sklearn.experiments.statistics._penalty import pairwise_penalty, penalty_tests
from al_sklearn.experiments.statistics._power import (
    POWER,
    ComparisonPlan,
    detectable_effect,
    paired_power,
    plan_comparison,
)
from al_sklearn.experiments.statistics._saving import (
    SAVING_LEVELS,
    label_saving,
    saving_table,
)
from al_sklearn.experiments.statistics._spread import training_spread
from al_sklearn.experiments.statistics._summary import gap_closed, summarize
from al_sklearn.experiments.statistics._tasks import (
    friedman_nemenyi,
    mean_ranks,
    n_datasets,
    performance_profile,
    task_scores,
)
from al_sklearn.tasks import expected_calibration_error, reliability_curve
from al_sklearn.tasks import metrics as _metrics

#: The library's own metrics of which less is better; one of yours says it where it is
#: registered.
LOWER_IS_BETTER = frozenset(
    name for name, metric in _metrics().items() if metric.lower_is_better
)

__all__ = [
    "BASELINE",
    "CEILING",
    "LOWER_IS_BETTER",
    "POWER",
    "SAVING_LEVELS",
    "ComparisonPlan",
    "Curve",
    "Curves",
    "Interval",
    "added_note",
    "aubc",
    "bootstrap_interval",
    "ceiling_note",
    "ceiling_values",
    "check_looks",
    "compare_pairs",
    "cost_table",
    "detectable_effect",
    "expected_calibration_error",
    "flat_table",
    "friedman_nemenyi",
    "gap_closed",
    "holm",
    "label_saving",
    "labels_needed",
    "mean_interval",
    "mean_ranks",
    "n_datasets",
    "paired_curves",
    "paired_p_values",
    "paired_power",
    "pairwise_penalty",
    "penalty_tests",
    "performance_profile",
    "plan_comparison",
    "read_curves",
    "reliability_curve",
    "saving_table",
    "sequential_levels",
    "sequential_p_values",
    "shared_budgets",
    "summarize",
    "task_scores",
    "training_spread",
    "wilson_interval",
    "win_rate",
    "win_rates",
    "with_costs",
    "without_ceiling",
]
