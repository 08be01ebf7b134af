"""What the pictures show: the data in the axes, their labels, and the same colour for a
strategy everywhere."""

import itertools
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from scipy import stats
from sklearn.metrics import average_precision_score, precision_recall_curve

from al_sklearn.experiments import plots
from al_sklearn.experiments import statistics as s
from al_sklearn.experiments.comparison._results import ComparisonResults
from al_sklearn.experiments.plots._colours import COLOURS, GREY, text_colour
from al_sklearn.experiments.plots._names import cut, short_names, shorten
from tests.experiments.test_statistics import CURVES, table
from tests.experiments.test_statistics_edges import STOPPED, ragged

mpl.use("Agg")
BUDGETS = [10, 20, 30]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def whole():
    made = table(CURVES, BUDGETS)
    generator = np.random.default_rng(0)
    made["query_seconds"] = np.where(made["round"] == 0, 0.0, made["seed"] + 1.0)
    made["training_seconds"] = 2.0
    for name in ("cat", "dog", "yak"):
        made[f"accuracy_{name}"] = made["accuracy"] + generator.normal(
            0, 0.01, len(made)
        )
        made[f"bought_{name}"] = generator.integers(0, 9, len(made))
    made["accuracy_emu"] = np.nan
    return made


def line(ax, label):
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found


def drawn(ax):
    """Draw, so that layout and text exist, and return the axes' texts."""
    ax.figure.canvas.draw()
    return [text.get_text() for text in ax.texts]


def overlaps(texts):
    """Pairs of texts whose boxes overlap."""
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_learning_curves_are_means_with_t_bands(whole):
    ax = plots.learning_curves(whole)
    curves = np.array(CURVES["good"])
    assert line(ax, "good").get_xdata().tolist() == BUDGETS
    assert line(ax, "good").get_ydata() == pytest.approx(curves.mean(axis=0))
    half = stats.t.ppf(0.975, 2) * curves.std(axis=0, ddof=1) / np.sqrt(3)
    bands = {
        to_hex(band.get_facecolor()[0]): band.get_paths()[0].vertices
        for band in ax.collections
    }
    edge = bands[to_hex(line(ax, "good").get_color())]
    assert {round(y, 9) for y in edge[:, 1]} >= {
        round(y, 9) for y in [*(curves.mean(0) + half), *(curves.mean(0) - half)]
    }
    assert line(ax, "random_sampling").get_linestyle() == "--"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("labels", "Accuracy")
    assert ax.get_title(loc="left") == "Accuracy (mean of 3 seeds, 95% interval)"
    assert sorted(drawn(ax)) == ["bad", "good", "random_sampling"]
    assert not overlaps(ax.texts)
    figure, given = plt.subplots()
    assert plots.learning_curves(whole, ax=given) is given
    assert given.figure is figure


def test_over_seconds(whole):
    ax = plots.learning_curves(whole, x="seconds")
    # A round costs 2 s of training and, but for the first, 1, 2, 3 s of queries: the
    # mean is 2.
    assert line(ax, "good").get_xdata() == pytest.approx([2, 6, 10])
    assert line(ax, "good").get_ydata() == pytest.approx(
        np.mean(CURVES["good"], axis=0)
    )
    assert ax.get_xlabel() == "seconds of queries and training"
    with pytest.raises(
        ValueError, match=r"need \['query_seconds', 'training_seconds'\]"
    ):
        plots.learning_curves(table(CURVES, BUDGETS), x="seconds")
    with pytest.raises(ValueError, match="Available: cost, n_labelled, seconds"):
        plots.learning_curves(whole, x="time")


def test_a_stopped_curve_ends_and_its_stops_are_marked():
    ax = plots.learning_curves(ragged(STOPPED))
    assert line(ax, "margin").get_xdata().tolist() == [10, 20]
    assert line(ax, "random_sampling").get_xdata().tolist() == [10, 20, 30, 40]
    marks = np.concatenate(
        [
            c.get_offsets()
            for c in ax.collections
            if len(c.get_offsets()) and c.get_sizes().size
        ]
    )
    assert sorted(map(tuple, marks.tolist())) == [(20, 0.8), (30, 0.8)]
    gain = plots.gain_over_baseline(ragged(STOPPED))
    assert line(gain, "margin").get_ydata() == pytest.approx(
        [0, np.mean([0.2, 0.2, -0.1])]
    )


def test_several_runs_in_one_plot(whole):
    other = whole.assign(accuracy=whole["accuracy"] - 0.1)
    results = ComparisonResults(other, np.array([]), {}, {})
    ax = plots.learning_curves({"frozen": whole, "tuned": results})
    assert len(ax.lines) == 6
    frozen, tuned = line(ax, "good (frozen)"), line(ax, "good (tuned)")
    assert tuned.get_ydata() == pytest.approx(frozen.get_ydata() - 0.1)
    assert frozen.get_color() == tuned.get_color()
    assert frozen.get_linestyle() != tuned.get_linestyle()
    assert not overlaps([ax.texts[i] for i in range(6)] if drawn(ax) else [])
    fewer = plots.learning_curves({"all": whole, "two": whole[whole["seed"] < 2]})
    assert (
        fewer.get_title(loc="left") == "Accuracy (mean of 2 to 3 seeds, 95% interval)"
    )
    one = plots.learning_curves(whole[whole["seed"] == 0])
    assert one.get_title(loc="left") == "Accuracy (one seed: no interval)"
    assert not one.collections
    with pytest.raises(TypeError, match="got str"):
        plots.learning_curves("runs/a")
    with pytest.raises(ValueError, match="no runs"):
        plots.learning_curves({})


def test_gain_is_the_difference_seed_by_seed(whole):
    ax = plots.gain_over_baseline(whole)
    difference = np.array(CURVES["good"]) - np.array(CURVES["random_sampling"])
    assert line(ax, "good").get_ydata() == pytest.approx(difference.mean(axis=0))
    assert ax.get_ylabel() == "Accuracy minus random's, same seed"


def test_class_curves(whole):
    axes = plots.class_curves(
        whole,
        ["cat", "dog", "yak", "emu"],
        class_names=["cats", "dogs", "yaks", "emus"],
    )
    assert [ax.get_title(loc="left") for ax in axes] == ["cats", "dogs", "yaks", "emus"]
    for ax, name in zip(axes[:3], ("cat", "dog", "yak"), strict=True):
        expected = (
            whole[whole["strategy"] == "bad"]
            .groupby("n_labelled")[f"accuracy_{name}"]
            .mean()
        )
        assert line(ax, "bad").get_ydata() == pytest.approx(expected.to_numpy())
    assert not axes[3].lines
    assert axes[3].texts[0].get_text() == "no test images"
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "random_sampling",
        "good",
        "bad",
    ]
    _, given = plt.subplots(2, 2)
    assert list(plots.class_curves(whole, ["cat", "dog", "yak"], ax=given)) == list(
        given.ravel()[:3]
    )
    with pytest.raises(ValueError, match="3 axes are needed, got 1"):
        plots.class_curves(whole, ["cat", "dog", "yak"], ax=given[0, 0])


def test_pairwise_matrix_shows_penalties_and_adjusted_p_values():
    generator = np.random.default_rng(2)
    n = np.arange(20, 240, 20)
    results = table(
        {
            name: 0.4
            + 0.05 * np.log(n)
            + gain * (n > 20)
            + generator.normal(0, 0.01, (6, len(n)))
            for name, gain in {"random_sampling": 0.0, "a": 0.02, "b": 0.05}.items()
        },
        n,
    )
    ax = plots.pairwise_matrix(results)
    matrix = s.pairwise_penalty(results)
    assert np.array_equal(ax.images[0].get_array(), matrix.to_numpy())
    texts = np.array(drawn(ax)).reshape(4, 3)
    tests = s.penalty_tests(results).set_index(["strategy", "other"])
    p = tests.loc[("a", "b")]["p_holm"].min()
    assert texts[2, 1] == f"{matrix.loc['b', 'a']:.2f}\n" + (
        "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")
    )
    assert texts[0, 0] == "–"
    assert "\n" not in texts[0, 1]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "random_sampling",
        "a",
        "b",
        "penalty",
    ]
    assert not overlaps(ax.texts)
    one_seed = plots.pairwise_matrix(results[results["seed"] == 0])
    assert set(drawn(one_seed)) == {"–"}


@pytest.fixture
def scores():
    generator = np.random.default_rng(0)
    names = ["random_sampling", "margin", "entropy", "badge", "coreset"]
    return pd.DataFrame(
        generator.normal(0, 0.02, (12, 5)) + [0, 0.05, 0.02, 0.045, 0.02], columns=names
    )


def test_critical_difference_diagram(scores):
    ax = plots.critical_difference(scores)
    found = s.friedman_nemenyi(scores)
    texts = drawn(ax)
    for name, rank in found["ranks"].items():
        assert any(name in text and f"{rank:.2f}" in text for text in texts)
        # A line goes from the axis at the rank to the name.
        assert any(
            len(line.get_xdata()) == 3 and line.get_xdata()[0] == rank
            for line in ax.lines
        )
    bars = [line.get_xdata() for line in ax.lines if line.get_linewidth() > 3]
    ends = [
        (found["ranks"][group[0]], found["ranks"][group[-1]])
        for group in found["groups"]
    ]
    assert np.ravel(bars) == pytest.approx(
        np.ravel(ends) + np.tile([-0.04, 0.04], len(ends))
    )
    assert f"critical difference {found['critical_difference']:.2f}" in texts
    ruler = next(line for line in ax.lines if line.get_marker() == "|")
    assert np.ptp(ruler.get_xdata()) == pytest.approx(found["critical_difference"])
    assert "Mean rank over 12 data sets" in ax.get_title(loc="left")
    assert not overlaps(ax.texts)
    # Nothing is cut off.
    figure = ax.figure.get_window_extent()
    assert all(
        figure.x0 <= text.get_window_extent().x0
        and text.get_window_extent().x1 <= figure.x1
        for text in ax.texts
    )


def test_performance_profile(scores):
    ax = plots.performance_profile(scores)
    profile = s.performance_profile(scores)
    for name in scores:
        steps = line(ax, name)
        assert steps.get_xdata()[:-1] == pytest.approx(profile.index.to_numpy())
        assert steps.get_ydata()[:-1] == pytest.approx(profile[name].to_numpy())
        assert steps.get_drawstyle() == "steps-post"
    assert ax.get_ylabel() == "share of tasks"
    assert plots.performance_profile(scores * 0).get_xlim() == (0, 1)


def test_bought_against_the_pool(whole):
    ax = plots.bought_histogram(
        whole,
        ["cat", "dog", "yak"],
        class_names=["cats", "dogs", "yaks"],
        pool=[50, 30, 20],
    )
    later = whole[whole["round"] > 0]
    for container in ax.containers:
        own = later[later["strategy"] == container.get_label()]
        expected = [own[f"bought_{name}"].sum() / 3 for name in ("cat", "dog", "yak")]
        assert [bar.get_height() for bar in container] == pytest.approx(expected)
    bought = later[["bought_cat", "bought_dog", "bought_yak"]].sum().sum() / 9
    lines = ax.collections[-1].get_segments()
    assert [segment[0][1] for segment in lines] == pytest.approx(
        [0.5 * bought, 0.3 * bought, 0.2 * bought]
    )
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "cats",
        "dogs",
        "yaks",
    ]
    with pytest.raises(ValueError, match="for each of the 3 classes, got"):
        plots.bought_histogram(whole, ["cat", "dog", "yak"], pool=[1, 2])


def test_calibration():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 4, 300)
    proba = generator.dirichlet(np.ones(4), 300)
    proba[np.arange(300), y] += 0.5
    proba /= proba.sum(axis=1, keepdims=True)
    ax = plots.calibration(
        y,
        {"plain": proba, "cold": proba**3 / (proba**3).sum(axis=1, keepdims=True)},
        n_bins=8,
    )
    curve = s.reliability_curve(y, proba, 8)
    curve = curve[curve["n"] > 0]
    label = f"plain, ECE {s.expected_calibration_error(y, proba, 8):.3f}"
    assert line(ax, label).get_xdata() == pytest.approx(curve["confidence"].to_numpy())
    assert line(ax, label).get_ydata() == pytest.approx(curve["accuracy"].to_numpy())
    dots = next(c for c in ax.collections if len(c.get_offsets()) == len(curve))
    assert np.ptp(dots.get_sizes()) > 0
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    with pytest.raises(ValueError, match="a class for each row of proba"):
        plots.calibration(y[:5], proba)
    with pytest.raises(ValueError, match="integers from 0 to 3"):
        plots.calibration(y + 1, proba)


def test_precision_and_recall_against_scikit_learn():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 200)
    proba = generator.dirichlet(np.ones(4), 200)
    proba[np.arange(200), y] += 0.4
    ax = plots.pr_curves(y, proba, class_names=["ant", "bee", "cow", "dodo"])
    labels = [line.get_label() for line in ax.lines]
    # Nobody is a dodo.
    assert [label.split()[0] for label in labels] == ["ant", "bee", "cow", "all"]
    for c, drawn_line in enumerate(ax.lines[:3]):
        precision, recall, _ = precision_recall_curve(y == c, proba[:, c])
        assert drawn_line.get_xdata() == pytest.approx(recall)
        assert drawn_line.get_ydata() == pytest.approx(precision)
        assert labels[c].endswith(f"{average_precision_score(y == c, proba[:, c]):.3f}")
    truth = np.eye(4)[y].ravel()
    assert (
        labels[3]
        == f"all together  {average_precision_score(truth, proba.ravel()):.3f}"
    )
    with pytest.raises(ValueError, match="must name the 4 classes, got 2"):
        plots.pr_curves(y, proba, class_names=["ant", "bee"])


def test_many_classes_have_the_worst_in_colour():
    generator = np.random.default_rng(0)
    y = np.arange(240) % 12
    proba = generator.dirichlet(np.ones(12), 240)
    proba[np.arange(240), y] += y / 10
    ax = plots.pr_curves(y, proba)
    named = [
        line.get_label().split()[0]
        for line in ax.lines
        if not line.get_label().startswith("_")
    ]
    assert len(ax.lines) == 13
    assert len(named) == 6
    average = [average_precision_score(y == c, proba[:, c]) for c in range(12)]
    assert named[:5] == [str(c) for c in np.argsort(average)[:5]]


@pytest.fixture(scope="module")
def pool(digits):
    X, y = digits
    return X[:150], y[:150], plots.pool_coordinates(X[:150])


def test_coordinates_are_two_dimensional_repeatable_and_close_in_class(pool):
    X, y, at = pool
    assert at.shape == (150, 2)
    assert np.array_equal(at, plots.pool_coordinates(X))
    # Neighbours on the map are of one class far more often than the one in ten of
    # chance.
    distances = np.linalg.norm(at[:, None] - at[None], axis=-1) + np.diag(
        np.full(150, np.inf)
    )
    assert (y[distances.argmin(axis=1)] == y).mean() > 0.7
    assert plots.pool_coordinates(X[:6]).shape == (6, 2)
    with pytest.raises(ValueError, match="at least 5 images, got 3"):
        plots.pool_coordinates(X[:3])
    with pytest.raises(ValueError, match="must be 'tsne' or 'umap', got 'pca'"):
        plots.pool_coordinates(X, method="pca")


def test_umap_is_asked_for_by_name(pool, monkeypatch):
    X, _, _ = pool
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match="pip install umap-learn"):
        plots.pool_coordinates(X, method="umap")

    class UMAP:
        def __init__(self, **options):
            self.options = options

        def fit_transform(self, rows):
            assert rows.shape == (150, 50)
            assert self.options.keys() == {
                "n_components",
                "random_state",
                "n_neighbors",
            }
            return rows[:, :2]

    monkeypatch.setitem(sys.modules, "umap", type(sys)("umap"))
    sys.modules["umap"].UMAP = UMAP
    assert plots.pool_coordinates(X, method="umap", n_neighbors=5).shape == (150, 2)


def test_pool_map_parts_known_new_and_unknown(pool):
    _, _, at = pool
    batches = {
        "margin": [np.array([0, 1, 2]), np.array([10, 11]), np.array([20, 149])],
        "random_sampling": [
            np.array([0, 1, 2]),
            np.array([30, 31]),
            np.array([40, 41]),
        ],
    }
    axes = plots.pool_map(at, batches)
    assert [ax.get_title(loc="left") for ax in axes] == ["random_sampling", "margin"]
    unknown, known, new = axes[1].collections
    assert np.array_equal(known.get_offsets(), at[[0, 1, 2, 10, 11]])
    assert np.array_equal(new.get_offsets(), at[[20, 149]])
    assert len(unknown.get_offsets()) == 143
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "unknown",
        "known",
        "new",
    ]
    # All pictures have one map.
    assert axes[0].get_xlim() == pytest.approx(axes[1].get_xlim())
    earlier = plots.pool_map(at, batches, round_number=1)[1].collections
    assert (len(earlier[1].get_offsets()), len(earlier[2].get_offsets())) == (3, 2)
    first = plots.pool_map(at, batches, round_number=0)[1].collections
    assert (len(first[1].get_offsets()), len(first[2].get_offsets())) == (0, 3)
    with pytest.raises(
        ValueError, match="margin has the rounds 0 to 2, got round_number=3"
    ):
        plots.pool_map(at, {"margin": batches["margin"]}, round_number=3)


def test_pool_map_by_class_and_of_a_part_of_the_pool(pool):
    _, y, at = pool
    positions = np.arange(150) * 2 + 1
    batches = {"margin": [positions[:5], np.array([positions[7], 300])]}
    _, given = plt.subplots()
    (ax,) = plots.pool_map(at, batches, positions=positions, y=y, ax=given)
    _, known, new = ax.collections
    assert np.array_equal(known.get_offsets(), at[:5])
    assert np.array_equal(new.get_offsets(), at[[7]])
    colours = [to_hex(colour) for colour in known.get_facecolors()]
    assert all(
        (a == b) == (i == j)
        for i, a in zip(y[:5], colours, strict=True)
        for j, b in zip(y[:5], colours, strict=True)
    )
    (ax,) = plots.pool_map(
        at,
        batches,
        positions=positions,
        y=y,
        class_names=[f"digit {i}" for i in range(10)],
    )
    assert [text.get_text() for text in ax.figure.legends[1].get_texts()] == [
        f"digit {i}" for i in range(10)
    ]
    (many,) = plots.pool_map(at, batches, positions=positions, y=np.arange(150))
    assert len(many.figure.legends) == 1
    for wrong, words in [
        ({"y": y[:4]}, "each of the 150 coordinates, got 4"),
        ({"positions": [1]}, "a position each"),
    ]:
        with pytest.raises(ValueError, match=words):
            plots.pool_map(at, batches, **wrong)


def test_the_bought_images_themselves(digits):
    X, y = digits
    queries = {
        ("margin", 0): [np.arange(5), np.array([7, 9]), np.array([11, 13])],
        ("random_sampling", 0): [np.arange(5), np.array([8, 10]), np.array([12, 14])],
    }
    thumbnails = plots.bought_thumbnails(X, y, queries)
    axes = plots.bought_images(thumbnails, class_names=[f"d{i}" for i in range(10)])
    assert [ax.get_title(loc="left") for ax in axes] == ["random_sampling", "margin"]
    canvas = axes[1].images[0].get_array()
    assert np.array_equal(canvas[:8, :8], X[7])
    assert np.array_equal(canvas[:8, 10:18], X[9])
    below = canvas.shape[0] // 2
    assert np.array_equal(canvas[below : below + 8, 10:18], X[13])
    assert drawn(axes[1]) == [f"d{y[i]}" for i in (7, 9, 11, 13)]
    assert [label.get_text() for label in axes[1].get_yticklabels()] == [
        "round 1",
        "round 2",
    ]
    assert all(label.get_window_extent().x0 >= 0 for label in axes[1].get_yticklabels())
    colour = plots.bought_thumbnails(np.repeat(X[..., None], 3, axis=-1), y, queries)
    assert plots.bought_images(colour)[0].images[0].get_array().shape[-1] == 3
    with pytest.raises(ValueError, match="There are no images"):
        plots.bought_images({})


def test_a_strategy_has_one_colour_everywhere(whole, scores):
    """Whoever else is in the picture, and in whatever order."""
    names = [
        "random_sampling",
        "margin",
        "entropy",
        "badge",
        "coreset",
        "bald",
        "typiclust",
    ]
    colours = {
        name: style["color"] for name, style in plots.strategy_styles(names).items()
    }
    assert len(set(colours.values())) == 7
    for some in (
        names[::-1],
        ["badge"],
        ["random_sampling", "typiclust"],
        [*names, "my_own", "another"],
    ):
        for name, style in plots.strategy_styles(some).items():
            assert style["color"] == colours.get(name, style["color"])
    ax = plots.performance_profile(scores)
    assert all(line(ax, name).get_color() == colours[name] for name in scores)
    texts = {
        text.get_text(): text.get_color()
        for text in plots.critical_difference(scores).texts
    }
    for name in scores:
        assert next(
            colour for text, colour in texts.items() if name in text
        ) == text_colour(colours[name])
    # More strategies than colours: then colour and dash together are unlike.
    many = plots.strategy_styles([f"strategy {i}" for i in range(30)])
    assert (
        len({(style["color"], str(style["linestyle"])) for style in many.values()})
        == 30
    )


# How people without one kind of cone see, on linear RGB: Machado, Oliveira and
# Fernandes, "A physiologically-based model for simulation of color vision deficiency",
# IEEE TVCG 15, 2009, severity 1.
VISION = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}


def linear(colour):
    rgb = np.array(mpl.colors.to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear sRGB, under D65."""
    to_xyz = [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
    x, y, z = np.cbrt(np.array(to_xyz) @ np.clip(rgb, 1e-6, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
def test_any_colour_vision_tells_the_colours_apart(vision):
    seen = [
        lab(np.array(VISION[vision]) @ linear(colour)) for colour in (*COLOURS, GREY)
    ]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]) > 15


def test_names_in_colour_can_be_read():
    for colour in COLOURS:
        assert (
            1.05 / (linear(text_colour(colour)) @ [0.2126, 0.7152, 0.0722] + 0.05)
            >= 4.5
        )
    # What is dark enough stays.
    assert to_hex(text_colour("#200060")) == "#200060"


def test_thirty_strategies_with_long_names():
    generator = np.random.default_rng(0)
    names = [
        "random_sampling",
        *(f"uncertainty times diversity of metric number {i}" for i in range(29)),
    ]
    made = table({name: generator.uniform(0.5, 0.9, (3, 3)) for name in names}, BUDGETS)
    made["query_seconds"] = made["training_seconds"] = 1.0
    for label in ("cat", "dog"):
        made[f"accuracy_{label}"] = made["accuracy"]
        made[f"bought_{label}"] = generator.integers(0, 9, len(made))
    for ax in (plots.learning_curves(made), plots.gain_over_baseline(made)):
        drawn(ax)
        assert len(ax.texts) == 30
        # The words alone: the lines that lead to them cross.
        boxes = sorted(
            (mpl.text.Text.get_window_extent(text) for text in ax.texts),
            key=lambda box: box.y0,
        )
        assert all(
            below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes)
        )
        assert ax.get_position().width > 0.4
    (own, *_) = plots.class_curves(made, ["cat", "dog"])
    for ax in (
        own,
        plots.performance_profile(s.task_scores(made, by="seed")),
        plots.bought_histogram(made, ["cat", "dog"], pool=[1, 2]),
    ):
        # A warning, and so an error, where names leave no room.
        ax.figure.canvas.draw()
        (legend,) = ax.figure.legends or [ax.get_legend()]
        assert len(legend.get_texts()) >= 30
        box = legend.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= ax.figure.bbox.width + 1
        assert box.y1 <= ax.figure.bbox.height + 1
    matrix = plots.pairwise_matrix(made)
    assert not drawn(matrix)
    assert [other.get_ylabel() for other in matrix.figure.axes[1:]] == [
        "share of checkpoints"
    ]
    labels = matrix.get_xticklabels()
    assert len({label.get_text() for label in labels}) == 30
    assert not overlaps(labels)


def test_names_are_shown_as_they_are():
    assert cut("a" * 10 + "b" * 10, 11) == "aaaaaa…bbbb"
    assert cut("short", 5) == "short"
    assert shorten("$x_1$") == r"\$x_1\$"
    # Wherever the difference is, cut names stay apart.
    for pattern in (
        "{} of strategies with long names",
        "strategies with long names {}",
        "a{}" + 30 * "z" + "{}b",
    ):
        long = [pattern.format(i, i) for i in range(30)]
        short = short_names(long, 20)
        assert list(short) == long
        assert len(set(short.values())) == 30
        assert max(map(len, short.values())) <= 20
    hidden = ["x" * 40 + str(i) + "y" * 40 for i in range(12)]
    assert len(set(short_names(hidden, 20).values())) == 12
    odd = ["_hidden", "$x_1$ and $", "random_sampling"]
    made = table(dict.fromkeys(odd, CURVES["good"]), BUDGETS)
    made["accuracy_cat"], made["bought_cat"] = made["accuracy"], 3
    for ax in (
        plots.class_curves(made, ["cat"])[0],
        plots.performance_profile(s.task_scores(made)),
        plots.bought_histogram(made, ["cat"]),
    ):
        ax.figure.canvas.draw()
        (legend,) = ax.figure.legends or [ax.get_legend()]
        texts = [
            text.get_text().replace("\\", "").strip("\u2009")
            for text in legend.get_texts()
        ]
        assert sorted(texts) == sorted(odd)


def test_on_axes_without_a_layout_a_legend_has_the_names(whole):
    _, axes = plt.subplots(1, 2)
    for ax in (
        plots.learning_curves(whole, ax=axes[0]),
        plots.gain_over_baseline(whole, ax=axes[1]),
    ):
        assert not ax.texts
        assert "good" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_axes_of_labels_have_whole_numbers_and_shares_end_at_one(whole):
    wide = whole.assign(accuracy=0.9 + 0.09 * (whole["seed"] - 1))
    ax = plots.learning_curves(wide)
    drawn(ax)
    assert ax.get_ylim()[1] <= 1.02
    assert all(float(label.get_text()).is_integer() for label in ax.get_xticklabels())
    for one in plots.class_curves(
        whole.assign(accuracy_cat=wide["accuracy"], accuracy_dog=0.2), ["cat", "dog"]
    ):
        low, high = one.get_ylim()
        # They share their axis: what the second needs is not cut by the first.
        assert low <= 0.2
        assert high <= 1.02
    assert (
        plots.learning_curves(whole.assign(nll=2.0), "nll").get_ylabel()
        == "Negative log-likelihood (nats)"
    )


def test_without_matplotlib_it_says_what_to_install(whole, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install al-sklearn\[plots\]"):
        plots.learning_curves(whole)
