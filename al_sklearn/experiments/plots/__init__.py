"""Pictures of a comparison, each drawn from a table or arrays.

Each takes, if wanted, axes to draw on, and returns the axes.

A strategy has the same colour in every picture, random sampling is grey. Where a
picture has several axes, ``ax`` takes an array of them, and an array comes back.
"""

from al_sklearn.experiments.plots._axes import legend_columns
from al_sklearn.experiments.plots._bought import (
    bought_histogram,
    bought_images,
    bought_rounds,
)
from al_sklearn.experiments.plots._class_counts import class_counts
from al_sklearn.experiments.plots._colours import readable_colour, strategy_styles
from al_sklearn.experiments.plots._comparisons import (
    critical_difference,
    pairwise_matrix,
    performance_profile,
)
from al_sklearn.experiments.plots._curves import (
    class_curves,
    gain_over_baseline,
    learning_curves,
    with_seconds,
)
from al_sklearn.experiments.plots._epochs import epoch_curves, epoch_groups
from al_sklearn.experiments.plots._images import bought_thumbnails, png_data_uri
from al_sklearn.experiments.plots._models import calibration, pr_curves
from al_sklearn.experiments.plots._pool_map import pool_coordinates, pool_map
from al_sklearn.experiments.plots._pool_sample import pool_features, pool_sample
from al_sklearn.experiments.plots._show_images import show_images

__all__ = [
    "bought_histogram",
    "bought_images",
    "bought_rounds",
    "bought_thumbnails",
    "calibration",
    "class_counts",
    "class_curves",
    "critical_difference",
    "epoch_curves",
    "epoch_groups",
    "gain_over_baseline",
    "learning_curves",
    "legend_columns",
    "pairwise_matrix",
    "performance_profile",
    "png_data_uri",
    "pool_coordinates",
    "pool_features",
    "pool_map",
    "pool_sample",
    "pr_curves",
    "readable_colour",
    "show_images",
    "strategy_styles",
    "with_seconds",
]
