"""Pictures by setting, over costs, of classes round by round, of the pool from a run's
folder, and of images; strategies beside their file; names of classes in tags."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from al_sklearn.estimators import ImageClassifier
from al_sklearn.experiments import load_results, plots
from al_sklearn.experiments.statistics import cost_table, with_costs
from al_sklearn.rows import ImageFiles, decode_all
from tests.cli.test_cli import run

mpl.use("Agg")


def table(gain=0.0, names=("random_sampling", "margin"), batch=20, seeds=5):
    rows = [
        (name, seed, i, 20 + batch * i, min(0.9, 0.5 + 0.05 * i + gain + 0.01 * seed))
        for name in names
        for seed in range(seeds)
        for i in range(6)
    ]
    columns = ["strategy", "seed", "round", "n_labelled", "accuracy"]
    return pd.DataFrame(rows, columns=columns)


def test_settings_have_colours_and_whole_names():
    runs = {
        f"optimizer__weight_decay=1e-{i},augmentation=flip_crop_and_jitter": table(
            i / 100, names=("margin",)
        )
        for i in range(5)
    }
    ax = plots.learning_curves(runs, by="setting")
    lines = [line for line in ax.lines if line.get_label() in runs]
    assert [line.get_label() for line in lines] == list(runs)
    assert len({line.get_color() for line in lines}) == 5
    assert {text.get_text() for text in ax.texts} == set(runs)
    two = plots.learning_curves({"a": table(), "b": table(0.1)}, by="setting")
    assert "a: margin" in [line.get_label() for line in two.lines]
    with pytest.raises(ValueError, match="'strategy' or 'setting'"):
        plots.learning_curves(runs, by="colour")
    plt.close("all")


def test_curves_over_costs():
    found = table()
    ax = plots.learning_curves(found, x="cost", label_cost=0.5, training_cost=30)
    at = next(line for line in ax.lines if line.get_label() == "margin").get_xdata()
    assert np.allclose(at, [0.5 * (20 + 20 * i) + 30 * (i + 1) for i in range(6)])
    assert ax.get_xlabel() == "cost of labels and trainings"
    with pytest.raises(ValueError, match="label_cost must be a number from 0"):
        with_costs(found, -1)
    with pytest.raises(ValueError, match="horizontal axis"):
        plots.learning_curves(found, x="price")
    plt.close("all")


def test_what_a_goal_costs_depends_on_what_a_training_costs():
    found = pd.concat(
        [
            table(names=("random_sampling",), seeds=1),
            # Half the labels a round, twice the rounds: .05 a round all the same.
            table(names=("small",), batch=10, seeds=1),
        ]
    )
    costs = cost_table(found, 0.7, ratios=(0, 10, 100))
    # .7 is reached in round 4: 100 and 60 labels, five trainings each.
    assert costs.loc["random_sampling"].tolist() == pytest.approx([100, 150, 600])
    assert costs.loc["small"].tolist() == pytest.approx([60, 110, 560])
    assert cost_table(found, 0.99).isna().all(axis=None)
    # A goal between two rounds is paid for with the later one's training.
    between = cost_table(found, 0.68, ratios=(0, 10))
    assert between.loc["random_sampling"].tolist() == pytest.approx([92, 142])
    losses = found.assign(nll=1 - found["accuracy"])
    assert np.allclose(cost_table(losses, 0.3, "nll", ratios=(0, 10, 100)), costs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("pictures")
    (where / "my_picks.py").write_text(
        "import numpy as np\n"
        "def last(classifier, X, n_instances=1, *, offset=0, random_state=None):\n"
        "    chosen = len(X) - 1 - offset - np.arange(n_instances)\n"
        "    return chosen, np.arange(n_instances, 0, -1, dtype=float)\n"
    )
    (where / "e.yaml").write_text(
        "data: {name: digits, flat: true, pool_size: 150, test_size: 60}\n"
        "estimator: {LogisticRegression: {max_iter: 500}}\n"
        "strategies: [margin, my_picks.last: {offset: 1}]\n"
        "comparison: {n_rounds: 2, n_seeds: 2}\n"
    )
    return where


def test_a_strategy_beside_its_file_is_found(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = run("run", folder / "e.yaml", "--quiet", "--output", folder / "run")
    assert done.exit_code == 0, done.output
    assert "last" in " ".join(load_results(folder / "run").table["strategy"].unique())
    # Another process knows where it was.
    import sys

    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(folder)])
    monkeypatch.delitem(sys.modules, "my_picks")
    assert run("resume", folder / "run", "--quiet", "--trust").exit_code == 0
    for kind in ("map", "counts"):
        drawn = run(
            *["plot", folder / "run", "--kind", kind, "--trust"],
            *["-o", tmp_path / "p.png"],
        )
        assert drawn.exit_code == 0, drawn.output
        with Image.open(tmp_path / "p.png") as picture:
            assert picture.size[0] > 300
    told = run("stats", folder / "run", "--target", "0.5", "--ratios", "0,20")
    assert told.exit_code == 0 and "a training: 20" in told.output
    assert (
        run("stats", folder / "run", "--target", "0.5", "--ratios", "x").exit_code == 2
    )
    for flags in (["--x", "cost", "--training-cost", 9], ["--by", "setting"]):
        drawn = run("plot", folder / "run", *flags, "-o", tmp_path / "p.png")
        assert drawn.exit_code == 0, drawn.output


def test_classes_round_by_round():
    classes = list(range(12))
    rng = np.random.default_rng(0)
    found = table().assign(**{f"bought_{c}": rng.integers(0, 4, 60) for c in classes})
    axes = plots.class_counts(found, classes, class_names=[f"c{i}" for i in classes])
    own = found[found["strategy"] == "margin"]
    line = axes[1].lines[3]
    expected = own.groupby("seed")["bought_3"].cumsum().groupby(own["round"]).mean()
    assert line.get_label() == "c3"
    assert np.allclose(line.get_ydata(), expected)
    with pytest.raises(ValueError, match="lacks 'bought_13'"):
        plots.class_counts(found, [13])
    plt.close("all")


def test_images_are_shown(digits, tmp_path):
    X, y = digits
    axes = plots.show_images(X, y, positions=[3, 5], class_names=list("abcdefghij"))
    assert [ax.get_title(loc="left") for ax in axes] == [
        "abcdefghij"[y[i]] for i in (3, 5)
    ]
    assert np.array_equal(axes[1].images[0].get_array(), X[5])
    assert len(plots.show_images(X, n_images=5)) == 5
    Image.fromarray(X[0]).save(tmp_path / "a.png")
    assert len(plots.show_images([tmp_path / "a.png"])) == 1
    with pytest.raises(ValueError, match="no images"):
        plots.show_images(X.reshape(len(X), -1))
    plt.close("all")


def test_the_sample_of_a_map_has_what_was_bought():
    batches = {"margin": [np.arange(10), np.arange(20, 30)]}
    chosen = plots.pool_sample(batches, 1000, 100)
    assert len(chosen) == 100 and np.isin(np.r_[0:10, 20:30], chosen).all()
    many = {"margin": [np.arange(900)]}
    chosen = plots.pool_sample(many, 1000, 100)
    assert len(chosen) == 100 and (chosen >= 900).sum() == 50
    assert plots.pool_sample(batches, 40, 100).tolist() == list(range(40))


def test_the_middle_is_cut_out_or_the_whole_is_squashed(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide.transpose(1, 0, 2)).save(tmp_path / "tall.png")
    paths = [tmp_path / "wide.png", tmp_path / "tall.png"]
    cut = decode_all(paths, 20, crop=True)
    assert all((image == 255).all() for image in cut)
    squashed = decode_all(paths, 20)
    assert all(0 < image.mean() < 128 for image in squashed)
    # Other proportions than a square; nothing to cut where they fit.
    (flat,) = decode_all(paths[:1], (10, 30), crop=True)
    assert flat.shape == (10, 30, 3) and 60 < flat.mean() < 110
    files = ImageFiles(paths, 20, crop=True)
    assert (files[:] == 255).all()
    assert files.token() != ImageFiles(paths, 20).token()
    kept = ImageFiles(paths, 20, crop=True, cache=tmp_path / "cache")
    assert (kept[:] == 255).all() and (kept[:] == 255).all()
    whole = ImageFiles(paths, 20, cache=tmp_path / "cache")
    assert not (whole[:] == 255).all()
    net = ImageClassifier(image_size=20, dataset__crop=True, max_epochs=1)
    net.fit(paths, [0, 1])
    assert float(net.get_dataset(paths).batch(slice(None))[0].float().mean()) == 255


def test_tags_have_the_names_of_classes(digits, tmp_path):
    pytest.importorskip("tensorboard")
    from sklearn.linear_model import LogisticRegression
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from al_sklearn.experiments import ActiveLearningExperiment
    from al_sklearn.experiments.tracking import TensorBoard

    X, y = digits[0][:200].reshape(200, -1) / 255, digits[1][:200]
    names = [f"digit {i}" for i in range(10)]
    for given, tag in ((names, "digit 3"), (None, "3")):
        tracker = TensorBoard(tmp_path / tag, n_embeddings=0, class_names=given)
        ActiveLearningExperiment(
            LogisticRegression(max_iter=500), n_rounds=0, callbacks=[tracker]
        ).fit(X, y)
        (where,) = (tmp_path / tag).glob("*/random_sampling/seed_000")
        tags = EventAccumulator(str(where)).Reload().Tags()["scalars"]
        assert f"bought/{tag}" in tags and f"class_accuracy/{tag}" in tags
