"""The pool in two dimensions: what is known, what was bought last, what is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from al_sklearn._core.optional import require
from al_sklearn._core.random import RandomState, as_seed
from al_sklearn._core.types import Array, Options
from al_sklearn.experiments.plots._axes import several_axes, undress
from al_sklearn.experiments.plots._colours import COLOURS, GREY, INK, strategy_styles
from al_sklearn.experiments.plots._names import short_names, shorten

# As scikit-learn's documentation of t-SNE advises: less noise, and faster distances.
_N_COMPONENTS = 50


def pool_coordinates(
    features: Any,
    *,
    method: str = "tsne",
    random_state: RandomState = 0,
    **options: Any,
) -> Array:
    """Bring images or embeddings to two dimensions.

    Once, so that every strategy's picture has the same map.

    Parameters
    ----------
    features : array of shape (n, ...)
        Embeddings, for example from :func:`al_sklearn.inference.embed`, or images,
        which are flattened. Wider ones are brought to 50 principal components first.
    method : {"tsne", "umap"}, default="tsne"
        scikit-learn's t-SNE, or UMAP where ``umap-learn`` is installed.
    random_state : int, Generator, RandomState or None, default=0
        Of either.
    **options
        For ``TSNE`` or ``UMAP``.

    Returns
    -------
    float array of shape (n, 2)

    References
    ----------
    van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008. McInnes et
    al., "UMAP: Uniform Manifold Approximation and Projection", JOSS 3, 2018.
    """
    if method not in ("tsne", "umap"):
        raise ValueError(f"method must be 'tsne' or 'umap', got {method!r}.")
    rows = np.asarray(features, dtype=np.float32).reshape(len(features), -1)
    if len(rows) < 5:
        raise ValueError(f"A map needs at least 5 images, got {len(rows)}.")
    # One seed for both steps: the map is the same in every process.
    seed = as_seed(random_state)
    if rows.shape[1] > _N_COMPONENTS:
        rows = PCA(min(_N_COMPONENTS, len(rows)), random_state=seed).fit_transform(rows)
    if method == "tsne":
        # Its neighbours must be fewer than the images.
        options = {
            "perplexity": min(30.0, (len(rows) - 1) / 3),
            "init": "pca",
            **options,
        }
        return TSNE(n_components=2, random_state=seed, **options).fit_transform(rows)
    umap = require("umap", "method='umap'", "umap-learn; or use method='tsne'")
    mapper = umap.UMAP(n_components=2, random_state=seed, **options)
    return np.asarray(mapper.fit_transform(rows))


def pool_map(
    coordinates: Any,
    batches: Mapping[str, Sequence[Any]],
    *,
    positions: Any = None,
    round_number: int = -1,
    y: Any = None,
    class_names: Sequence[Any] | None = None,
    ax: Any = None,
    n_columns: int = 3,
) -> Array:
    """Draw the pool with known, new and unknown images, an axes a strategy.

    Parameters
    ----------
    coordinates : float array of shape (n, 2)
        From :func:`pool_coordinates`.
    batches : mapping of str to sequence of int arrays
        For each strategy the initial set and each round's batch, as positions in X:
        ``queries_`` of an experiment, or ``{name: comparison.queries_[name, 0] for name
        in comparison.strategies_}``.
    positions : int array of shape (n,), optional
        Positions in X of the rows of ``coordinates``; all of X by default. Bought
        images that are not among them are not drawn.
    round_number : int, default=-1
        The round whose batch is new; those before are known. The last by default.
    y : array of shape (n,), optional
        Classes of the rows of ``coordinates``, for colours.
    class_names : sequence of str, optional
        In the order of the sorted classes.
    ax : array of matplotlib Axes, optional
        Where to draw, one a strategy; a new figure by default.
    n_columns : int, default=3
        Axes in a row of a new figure.

    Returns
    -------
    array of matplotlib Axes
        Each with three collections: unknown, known, new.
    """
    at = np.asarray(coordinates, dtype=np.float64)
    rows = np.arange(len(at)) if positions is None else np.asarray(positions)
    if at.ndim != 2 or at.shape[1] != 2 or len(rows) != len(at):
        raise ValueError(
            f"coordinates must be (n, 2), with a position each; got {at.shape} and "
            f"{len(rows)}."
        )
    colours, names = _class_colours(y, len(at), class_names)
    axes = several_axes(ax, len(batches), n_columns, (3.5, 3.3))
    shown = short_names(batches, 34)
    for one, strategy in zip(axes, strategy_styles(batches), strict=True):
        own = [np.asarray(batch, dtype=np.int64) for batch in batches[strategy]]
        # From the end, as Python counts.
        last = round_number if round_number >= 0 else len(own) + round_number
        if not 0 <= last < len(own):
            raise ValueError(
                f"{strategy} has the rounds 0 to {len(own) - 1}, got "
                f"round_number={round_number}."
            )
        new = np.isin(rows, own[last])
        # An empty array first: round 0 has nothing before it.
        known = np.isin(
            rows, np.concatenate([np.empty(0, dtype=np.int64), *own[:last]])
        )
        undress(one)
        looks: list[tuple[str, Array, Options, str]] = [
            (
                "unknown",
                ~(new | known),
                {"s": 7, "alpha": 0.45, "linewidths": 0},
                "#9aa0a6",
            ),
            (
                "known",
                known,
                {"s": 26, "edgecolors": INK, "linewidths": 0.7},
                COLOURS[5],
            ),
            (
                "new",
                new,
                {"s": 90, "marker": "*", "edgecolors": INK, "linewidths": 0.7},
                COLOURS[1],
            ),
        ]
        for label, mask, look, plain in looks:
            one.scatter(
                *at[mask].T,
                c=plain if colours is None else colours[mask],
                label=label,
                **look,
            )
        one.set_title(shown[strategy], loc="left", fontsize=10)
    if ax is None:
        _legend(axes[0].figure, colours is not None, names)
    return axes


def _class_colours(
    y: Any, n: int, class_names: Sequence[Any] | None
) -> tuple[Array | None, list[tuple[str, Any]]]:
    """Return a colour for each image, and the classes' names with theirs.

    None without classes.
    """
    if y is None:
        return None, []
    classes, codes = np.unique(np.asarray(y), return_inverse=True)
    if len(codes) != n:
        raise ValueError(
            f"y has a class for each of the {n} coordinates, got {len(codes)}."
        )
    names = [str(name) for name in (classes if class_names is None else class_names)]
    if len(names) != len(classes):
        raise ValueError(
            f"class_names must name the {len(classes)} classes, got {len(names)} names."
        )
    # Two more, yellow and grey, that lines do without: dots are outlined.
    if len(classes) <= len(COLOURS) + 2:
        palette = np.array([*COLOURS, "#F0E442", "#9aa0a6"])[: len(classes)]
        return palette[codes], list(zip(names, palette, strict=True))
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0, 1, len(classes)))
    # More names than anybody can tell apart by colour: none is said.
    return shades[codes], []


def _legend(figure: Any, coloured: bool, names: list[tuple[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    fills = [GREY] * 3 if coloured else ["#9aa0a6", COLOURS[5], COLOURS[1]]
    looks: list[tuple[str, Options]] = [
        (
            "unknown",
            {"marker": "o", "markersize": 4, "markeredgewidth": 0, "alpha": 0.6},
        ),
        (
            "known",
            {
                "marker": "o",
                "markersize": 6,
                "markeredgecolor": INK,
                "markeredgewidth": 0.7,
            },
        ),
        (
            "new",
            {
                "marker": "*",
                "markersize": 11,
                "markeredgecolor": INK,
                "markeredgewidth": 0.7,
            },
        ),
    ]
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            markerfacecolor=fill,
            color=fill,
            label=label,
            **look,
        )
        for (label, look), fill in zip(looks, fills, strict=True)
    ]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=3, frameon=False, fontsize=8
    )
    classes = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="s",
            markersize=6,
            color=colour,
            label=shorten(name),
        )
        for name, colour in names
    ]
    if classes:
        figure.legend(
            handles=classes,
            loc="outside lower left",
            ncols=5,
            frameon=False,
            fontsize=8,
        )
