"""The report stands alone, says what matters first, and shows the images; the plots
return axes."""

import html
import re
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from al_sklearn.experiments import (
    ComparisonResults,
    StrategyComparison,
    load_results,
    plots,
)
from al_sklearn.experiments.plots._images import thumbnails
from al_sklearn.experiments.report import (
    ReportData,
    headline,
    latex_table,
    write_report,
)
from al_sklearn.experiments.report._charts import learning_chart
from al_sklearn.experiments.report._page import unfinished_note
from al_sklearn.experiments.report._words import interval_text
from al_sklearn.experiments.statistics import summarize

mpl.use("Agg")


def flatten(X):
    return np.asarray(X, dtype=float).reshape(len(X), -1) / 255


@pytest.fixture(scope="module")
def comparison(digits, tmp_path_factory):
    X, y = digits
    model = make_pipeline(
        FunctionTransformer(flatten), LogisticRegression(max_iter=500)
    )
    store = tmp_path_factory.mktemp("report") / "run"
    options = {
        "n_rounds": 4,
        "n_seeds": 5,
        "verbose": 0,
        "threads_per_job": 1,
        "store": store,
    }
    return StrategyComparison(model, ["margin", "entropy"], **options).fit(X, y)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.sources, self.open, self.problems, self.alts, self.ids, self.levels = (
            [],
            [],
            [],
            [],
            [],
            [],
        )
        self.labels = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.sources += [
            value for key, value in attributes.items() if key in ("src", "href")
        ]
        self.labels += [attributes["aria-label"]] if "aria-label" in attributes else []
        if tag == "img":
            self.alts.append(attributes.get("alt"))
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in ("img", "meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.problems.append(tag)


def test_one_file_that_needs_nothing_else(comparison, tmp_path):
    path = comparison.report(tmp_path / "deep" / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.sources
    links = [source[1:] for source in page.sources if source.startswith("#")]
    assert set(links) <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert all(source.startswith(("data:image/", "#")) for source in page.sources)
    assert None not in page.alts
    # No level is left out.
    assert page.levels[0] == 1
    assert max(np.diff(page.levels)) == 1
    # Four charts that answer, and pictures with a text in their place.
    assert len([alt for alt in page.alts if alt]) == 3
    charts = [label for label in page.labels if "Arrow keys" in label]
    assert len(charts) == 4
    assert re.match(
        r"Line chart of accuracy over the number of labels\. "
        r"In the end: .*margin 0\.\d{3}",
        charts[0],
    )
    # It may ask nobody for anything.
    assert "default-src 'none'" in text
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    assert not page.open
    assert not page.problems
    assert "nan" not in re.sub(r"data:[^\"]*", "", text).lower().replace("nanum", "")
    # Two strategies and random, three rounds, sixteen images each.
    assert (
        sum(source.startswith("data:image/png") for source in page.sources)
        == 3 * 3 * 16
    )
    assert path.stat().st_size < 3_000_000


def rows_of(text, title):
    """The table of numbers under a chart, as a screen reader has it."""
    part = text.partition(f'aria-label="Numbers: {title}"')[2].partition("</table>")[0]
    rows = re.findall(r"<tr.*?</tr>", part, flags=re.DOTALL)
    return [
        [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in rows
    ]


def test_the_numbers_of_a_chart_are_its_table(comparison, tmp_path):
    text = comparison.report(tmp_path / "r.html").read_text(encoding="utf-8")
    head, *rows = rows_of(text, "Learning curves")
    table = comparison.results_
    assert head == ["Strategy", *map(str, sorted(table["n_labelled"].unique()))]
    assert {row[0] for row in rows} == set(table["strategy"])
    for name, *cells in rows:
        own = table[table["strategy"] == name].groupby("n_labelled")["accuracy"]
        for cell, mean in zip(cells, own.mean(), strict=True):
            assert cell.startswith(f"{100 * mean:.1f} ± ")
    gains = rows_of(text, "Gain over random sampling")
    assert {row[0] for row in gains[1:]} == {"margin", "entropy"}
    assert all(" … " in cell for row in gains[1:] for cell in row[2:])
    seconds = rows_of(text, "Learning curves over computing time")
    assert all(" after " in cell for row in seconds[1:] for cell in row[1:])
    shares = rows_of(text, "How often near the best")
    assert all(cell.endswith(" %") for row in shares[1:] for cell in row[1:])


def test_bands_end_where_shares_do():
    table = results({"random_sampling": 0.35, "margin": 0.42}, noise=0.2)
    table["accuracy"] = table["accuracy"].clip(0, 1)
    chart = learning_chart(table, "accuracy")
    top = min(float(tick.at[:-1]) for tick in chart.y_ticks if tick.text == "100 %")
    heights = [
        float(place.split()[1]) / 10
        for line in chart.lines
        for place in re.split("[MLZ]", line.band)
        if place
    ]
    assert min(heights) >= top - 0.02
    for draw in (plots.learning_curves, plots.gain_over_baseline):
        for band in draw(table).collections:
            for path in band.get_paths():
                assert np.abs(path.vertices[:, 1]).max() <= 1
    plt.close("all")


def test_charts_without_a_value_or_a_difference():
    table = results({"random_sampling": 0, "margin": 0}, 1)
    table["accuracy"] = 0.5
    chart = learning_chart(table, "accuracy")
    assert {line.last for line in chart.lines} == {"50.0 %"}
    assert not any(line.band for line in chart.lines)
    assert all("nan" not in line.curve for line in chart.lines)


@pytest.mark.parametrize("paper", ["#ffffff", "#17191c"])
def test_colours_can_be_read_on_either_paper(paper):
    def luminance(colour):
        rgb = np.array(mpl.colors.to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722] + 0.05

    names = ["random_sampling", *(f"strategy {i}" for i in range(8))]
    for style in plots.strategy_styles(names).values():
        shown = plots.readable_colour(style["color"], paper)
        low, high = sorted(map(luminance, (shown, paper)))
        assert high / low >= 4.5


def test_the_summary_for_a_paper(comparison):
    table = comparison.to_latex(label="tab:digits")
    assert table.startswith("\\begin{table}") and "\\label{tab:digits}" in table
    rows = [line for line in table.splitlines() if line.endswith("\\\\")]
    assert len(rows) == 4 and all(row.count(" & ") == 7 for row in rows)
    assert any("random\\_sampling" in row for row in rows)
    text = words_of_summary(comparison)
    for row in rows[1:]:
        plain = row.replace("\\textbf{", "").replace("}", "").replace("\\_", "_")
        final = plain.split(" & ")[1].replace("$\\pm$", "±").replace("\\%", "%")
        assert final in text
    made = results({"random_sampling": 0, "a_better & 50 % {x}": 0.1})
    bold = latex_table(summarize(made))
    assert "\\textbf{a\\_better \\& 50 \\% \\{x\\}}" in bold
    assert bold.count("\\textbf") == 8 and "10 seeds" not in bold


def words_of_summary(comparison):
    summary = comparison.summary()
    return [
        interval_text(row["final"], row["final_low"], row["final_high"], "accuracy")
        for _, row in summary.iterrows()
    ]


def test_names_are_escaped_and_classes_named(comparison, tmp_path):
    names = ["<script>alert(1)</script>", *(f"digit {i}" for i in range(1, 10))]
    text = comparison.report(
        tmp_path / "r.html", class_names=names, title="<b>Mine</b>"
    ).read_text()
    assert "<script>" not in text
    assert "<b>Mine" not in text
    assert "digit 7" in text
    with pytest.raises(ValueError, match="must name the 10 classes, got 2"):
        comparison.report(tmp_path / "r.html", class_names=["a", "b"])


def test_the_report_can_be_made_again_from_the_store(comparison, tmp_path):
    read = load_results(comparison.store)
    again = read.report(tmp_path / "again.html").read_text()
    assert "The images that were bought" in again
    for metric in ("macro_f1", "nll"):
        read.report(tmp_path / "other.html", metric=metric)


def words(path):
    """What a report says, without its pictures and its style."""
    text = re.sub(
        r"<style>.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    assert not Page(text).open
    text = html.unescape(re.sub(r"<[^>]+>", " ", text))
    assert "nan" not in text.lower().split()
    return re.sub(r"\s+", " ", text)


def made_up(table, classes=(0, 1), configuration=None):
    """Results of a store that says as little as a report needs."""
    configuration = {"strategies": {}} if configuration is None else configuration
    return ComparisonResults(
        table, np.asarray(classes), {}, {"configuration": configuration, "data": {}}
    )


def test_what_was_stopped_and_left_out_is_said(tmp_path):
    table = results({"random_sampling": 0, "margin": 0.05})
    table["stopped"] = ""
    # Margin stops two rounds early in seed 0; seed 4 of random has lost its last round.
    table = table.drop(
        table.query("strategy == 'margin' and seed == 0 and round > 6").index
    )
    table.loc[
        table.eval("strategy == 'margin' and seed == 0 and round == 6"), "stopped"
    ] = "target reached"
    table = table.drop(
        table.query("strategy == 'random_sampling' and seed == 4 and round == 8").index
    )
    found = made_up(table)
    notes = found.summary().attrs["notes"]
    assert len(notes) >= 2
    text = words(write_report(found, tmp_path / "r.html"))
    for note in notes:
        assert " ".join(note.split()) in text
    assert "20 labels to begin with, and 6–8 batches, up to 140–180 labels" in text
    assert "Ended early 1 of 10 runs" in text


def test_budgets_of_an_adaptive_rate_are_not_added_up(tmp_path):
    table = results({"random_sampling": 0, "margin": 0.05})
    own = table["strategy"] == "margin"
    table.loc[own, "n_labelled"] += table.loc[own, "round"] * 3
    text = words(write_report(made_up(table), tmp_path / "r.html"))
    assert "20 labels to begin with, and 8 batches, up to 180–204 labels" in text


@pytest.mark.parametrize(
    "gains", [{"random_sampling": 0}, {"random_sampling": 0, "margin": 0.05}]
)
@pytest.mark.parametrize("n_seeds", [1, 2])
def test_one_strategy_and_one_seed(tmp_path, gains, n_seeds):
    text = words(write_report(made_up(results(gains, n_seeds)), tmp_path / "r.html"))
    assert ("Only random sampling was run" in text) == (len(gains) == 1)
    assert "Learning curves" in text
    assert ("Who beats whom" in text) == (len(gains) == n_seeds == 2)


def test_odd_names(tmp_path):
    odd = ["a/b $x_$ 50 %", "<b>&amp;</b>", "_private", "n" * 90, "$unclosed"]
    table = results(
        {"random_sampling": 0} | {name: 0.01 * i for i, name in enumerate(odd)}
    )
    table = table.assign(
        **{"accuracy_$c$": 0.5, "accuracy_d": 0.5, "bought_$c$": 3, "bought_d": 4}
    )
    text = words(
        write_report(
            made_up(table, ["$c$", "d"]), tmp_path / "r.html", metric="accuracy"
        )
    )
    for name in odd:
        assert " ".join(name.split()) in text
    assert "What was bought" in text


def test_rows_that_are_no_images(digits, tmp_path):
    X, y = digits
    model = LogisticRegression(max_iter=300)
    options = {"n_rounds": 1, "n_seeds": 5, "verbose": 0, "threads_per_job": 1}
    comparison = StrategyComparison(model, ["margin"], **options).fit(
        X.reshape(len(X), -1) / 255, y
    )
    text = words(comparison.report(tmp_path / "r.html"))
    assert "The images that were bought" not in text
    assert "Rows 1,797 of shape 64, 10 classes" in text
    assert "and 1 batch, up to 40 labels" in text


def test_what_the_data_add(comparison, digits, tmp_path):
    _, y = digits
    generator = np.random.default_rng(0)
    proba = generator.dirichlet(np.ones(10), 200)
    data = ReportData(
        pool=np.bincount(y),
        coordinates=generator.normal(size=(len(y), 2)),
        queries={
            name: comparison.queries_[name, 0] for name in ("random_sampling", "margin")
        },
        y=y,
        test_codes=y[:200],
        proba={"margin": proba},
    )
    path = write_report(
        load_results(comparison.store),
        tmp_path / "r.html",
        data=data,
        command="python <mine>.py",
    )
    text = words(path)
    assert "The black line is what buying blindly would give." in text
    for title in ("Map of the pool", "Calibration", "Precision and recall: margin"):
        assert title in text
    assert "python <mine>.py" in text
    assert "make_pipeline(FunctionTransformer(…), LogisticRegression(…))" in text
    assert path.stat().st_size < 1_500_000


def test_the_same_run_gives_the_same_file(comparison, tmp_path):
    read = load_results(comparison.store)
    assert (
        read.report(tmp_path / "a.html").read_bytes()
        == read.report(tmp_path / "b.html").read_bytes()
    )


def results(gains, n_seeds=5, noise=0.004):
    """A tidy table in which each strategy is so much better than random from the second
    round on."""
    generator = np.random.default_rng(0)
    n = np.arange(20, 200, 20)
    base = 0.5 + 0.1 * np.log(n / 20)
    rows = []
    for seed in range(n_seeds):
        luck = generator.normal(0, 0.02)
        for name, gain in gains.items():
            curve = (
                base
                + luck
                + gain * (n > 20)
                + generator.normal(0, noise, len(n)) * (n > 20)
            )
            rows += [(name, seed, r, n[r], value) for r, value in enumerate(curve)]
    return pd.DataFrame(
        rows, columns=["strategy", "seed", "round", "n_labelled", "accuracy"]
    )


def seen(summary):
    """The difference that the unclear strategies would have shown, in points."""
    unclear = summary["p_holm"] > 0.05
    return f"{np.ceil(summary['detectable'][unclear].max() * 1000) / 10:.1f}"


def test_the_headline_says_what_was_saved_and_what_does_not_help():
    summary = summarize(
        results(
            {
                "random_sampling": 0,
                "margin": 0.06,
                "badge": 0.05,
                "entropy": 0,
                "bad": -0.1,
            }
        )
    )
    first, *rest = headline(summary)
    assert re.match(
        r"margin reaches random sampling's final accuracy with \d\d % fewer labels "
        r"\(95 % interval \d\d–\d\d %, 5 seeds\); over the whole budget it is "
        r"\d\.\d points of accuracy \(\d\.\d–\d\.\d\) better\.$",
        first,
    )
    assert rest == [
        "badge beats random sampling too.",
        "bad is worse than random sampling.",
        "entropy does not beat random sampling by more than luck can explain (5 "
        f"seeds): they would have found a difference of {seen(summary)} points of "
        "accuracy four times in five, a smaller one less often.",
    ]


def test_the_headline_claims_nothing_where_nothing_is_better():
    summary = summarize(
        results({"random_sampling": 0, "margin": 0.001, "entropy": 0}, noise=0.02)
    )
    # A difference of a point would not have been found: nothing is said of luck.
    assert summary["detectable"].max() > 0.01
    told = f"a difference of {seen(summary)} points of accuracy four times in five"
    assert headline(summary)[0] == (
        "Whether any of the 2 strategies beats random sampling, 5 seeds do not show: "
        f"they would have found {told}, a smaller one less often."
    )
    summary = summarize(results({"random_sampling": 0, "margin": -0.001}, noise=0.02))
    told = f"a difference of {seen(summary)} points of accuracy four times in five"
    assert headline(summary)[0] == (
        "Whether margin beats random sampling, 5 seeds do not show: they would have "
        f"found {told}, a smaller one less often."
    )
    # Ten times as quiet, it would have been found.
    summary = summarize(results({"random_sampling": 0, "margin": 0}, noise=0.002))
    assert summary["detectable"].max() < 0.01
    assert headline(summary)[0].startswith(
        "margin does not beat random sampling by more than luck can explain (5 seeds): "
        "they would have found a difference of 0."
    )
    same = results({"random_sampling": 0, "margin": 0}, noise=0)
    assert headline(summarize(same))[0] == (
        "margin does not beat random sampling by more than luck can explain (5 seeds): "
        "in no seed is there any difference."
    )
    # Nobody has said which difference of a loss matters.
    losses = results({"random_sampling": 0, "margin": 0}, noise=0.002)
    losses = losses.rename(columns={"accuracy": "nll"})
    assert "luck" not in headline(summarize(losses, "nll"), "nll")[0]
    assert headline(summarize(results({"random_sampling": 0})))[0].startswith(
        "Only random sampling was run"
    )
    one = headline(summarize(results({"random_sampling": 0, "a": 1}, n_seeds=1)))
    assert one == [
        "With one seed nothing can be told from luck; a has the best mean accuracy "
        "over the budget."
    ]
    worse = headline(summarize(results({"random_sampling": 0, "a": -1}, n_seeds=1)))
    assert "random sampling has the best mean accuracy" in worse[0]


def test_the_headline_where_a_better_strategy_saves_no_label():
    """On the way it is better, in the end it is not."""
    n = np.arange(20, 200, 20)

    def told(ends, wide=0.0):
        rows = []
        for seed in range(6):
            luck = 0.01 * seed
            base = 0.5 + luck + 0.04 * np.arange(len(n))
            early = base + 0.1 + 0.002 * seed
            early[-1] = base[-1] + ends + wide * (-1) ** seed
            early[:-1] = np.minimum(early[:-1], early[-1] - 0.001)
            for name, curve in {"random_sampling": base, "early": early}.items():
                rows += [(name, seed, r, n[r], value) for r, value in enumerate(curve)]
        table = pd.DataFrame(
            rows, columns=["strategy", "seed", "round", "n_labelled", "accuracy"]
        )
        return headline(summarize(table))

    gain = r"\d\.\d points of accuracy \(\d\.\d–\d\.\d\)"
    (lost,) = told(-0.05)
    assert re.fullmatch(
        f"early is {gain} better than random sampling over the whole budget \\(6 "
        "seeds\\), but does not reach random "
        r"sampling's final accuracy\.",
        lost,
    )
    (same,) = told(0.0)
    assert re.fullmatch(
        f"early beats random sampling: over the whole budget it is {gain} better \\(6 "
        "seeds\\). For random sampling's "
        r"final accuracy it needs as many labels "
        r"\(95 % interval of the share saved: 0–0 %\)\.",
        same,
    )
    (unsure,) = told(0.002, wide=0.01)
    assert re.search(
        r"with \d+ % fewer labels \(95 % interval not reached to \d+ %, 6 seeds\)",
        unsure,
    )


def test_the_headline_where_all_are_worse_and_without_random_sampling(tmp_path):
    table = results({"random_sampling": 0, "a": -0.1, "b": -0.2})
    assert headline(summarize(table)) == [
        "None of the 2 strategies beats random sampling (5 seeds).",
        "a and b are worse than random sampling.",
    ]
    with pytest.raises(
        ValueError,
        match="baseline 'random_sampling' is not in the table; it has \\['a', 'b'\\]",
    ):
        write_report(
            made_up(table[table["strategy"] != "random_sampling"]), tmp_path / "r.html"
        )


def test_a_run_that_is_not_finished_says_so_first(tmp_path):
    whole = results({"random_sampling": 0, "margin": 0.05})
    margin = whole["strategy"] == "margin"
    # Every seed of margin is at its second round: on the table alone, a strategy that
    # ended there.
    path = write_report(
        made_up(whole[~margin | (whole["round"] < 2)], configuration={"n_rounds": 8}),
        tmp_path / "r.html",
    )
    leads = re.findall('<p class="lead">(.*?)</p>', path.read_text(encoding="utf-8"))
    assert leads == [
        "This run is not finished: 5 of 10 strategies and seeds have rounds to come. "
        "What follows is of the rounds that are there."
    ]
    for finished in (
        made_up(whole, configuration={"n_rounds": 8}),
        # A budget of its own for each seed, by an adaptive rate; and what a criterion
        # ended.
        made_up(
            whole.assign(n_labelled=whole["n_labelled"] + whole["seed"]),
            configuration={"n_rounds": 8},
        ),
        made_up(
            whole.assign(
                stopped=np.where(margin & (whole["round"] == 1), "enough", "")
            )[~margin | (whole["round"] < 2)]
        ),
    ):
        assert unfinished_note(finished) == []


def test_the_store_knows_the_classes_of_the_pool(tmp_path):
    table = results({"random_sampling": 0, "margin": 0.05}).assign(
        bought_0=3, bought_1=7
    )
    found = made_up(table)
    found.config["pool"] = {"class_counts": [[30, 70]] * 5}
    assert "The black line is what buying blindly would give." in words(
        write_report(found, tmp_path / "r.html")
    )


def test_plots_return_the_axes_they_were_given(comparison):
    table = comparison.results_
    for draw in (
        plots.learning_curves,
        plots.gain_over_baseline,
        plots.pairwise_matrix,
    ):
        _, ax = plt.subplots()
        assert draw(table, ax=ax) is ax
        made = draw(table)
        assert made.figure is not ax.figure
    assert (
        plots.bought_histogram(table, comparison.classes_).get_ylabel()
        == "images bought"
    )
    ax = comparison.plot("nll")
    assert ax.get_ylabel() == "Negative log-likelihood (nats)"
    plt.close("all")


def test_curves_and_bands_are_the_numbers(comparison):
    ax = comparison.plot()
    random = comparison.results_.query("strategy == 'random_sampling'")
    means = random.groupby("n_labelled")["accuracy"].mean()
    line = ax.get_lines()[0]
    assert line.get_xdata().tolist() == means.index.tolist()
    assert np.allclose(line.get_ydata(), means)
    band = ax.collections[0].get_paths()[0].vertices
    last = random[random["n_labelled"] == 100]["accuracy"]
    assert np.isclose(
        band[:, 1][band[:, 0] == 100].max(),
        last.mean() + 2.7764 * last.std() / np.sqrt(5),
        atol=1e-4,
    )
    labels = [text.get_text() for text in ax.texts]
    assert sorted(labels) == ["entropy", "margin", "random_sampling"]
    plt.close("all")


def test_end_labels_do_not_cover_each_other():
    gains = {"random_sampling": 0.0, **{f"strategy_{i}": 0.001 * i for i in range(9)}}
    ax = plots.learning_curves(results(gains, noise=0))
    low, high = ax.get_ylim()
    heights = sorted(text.xyann[1] for text in ax.texts)
    assert np.diff(heights).min() > 0.03 * (high - low)
    assert heights[0] >= low - 1e-9
    assert heights[-1] <= high + 1e-9
    plt.close("all")


@pytest.mark.parametrize(
    ("rows", "shape"),
    [
        (np.zeros((3, 8, 8), np.uint8), (3, 8, 8)),
        (np.zeros((3, 1, 8, 8), np.float32), (3, 8, 8)),
        (np.zeros((3, 3, 8, 8), np.float32), (3, 8, 8, 3)),
        (np.zeros((3, 8, 8, 3), np.uint8), (3, 8, 8, 3)),
        (np.zeros((3, 13, 8, 8), np.float32), (3, 8, 8, 3)),
        # Satellites: eleven bands, behind as bytes, in front as numbers.
        (np.zeros((2, 64, 64, 11), np.uint8), (2, 64, 64, 3)),
        (np.zeros((2, 11, 64, 64), np.float32), (2, 64, 64, 3)),
        (np.zeros((2, 11, 11, 11), np.uint8), (2, 11, 11, 3)),
        (np.zeros((2, 64, 64, 11), np.uint16), (2, 64, 64, 3)),
        (np.zeros((2, 3, 8, 8), np.uint8), (2, 8, 8, 3)),
        (np.zeros((2, 8, 8, 3), np.float32), (2, 8, 8, 3)),
        (np.zeros((3, 200, 100), np.uint8), (3, 64, 32)),
        (torch.zeros(3, 1, 8, 8), (3, 8, 8)),
        ([np.zeros((8, 8), np.uint8), np.zeros((6, 4), np.uint8)], (2, 8, 8)),
        (np.zeros((3, 64)), None),
        (pd.DataFrame({"a": [1, 2]}), None),
    ],
)
def test_thumbnails_of_any_kind(rows, shape):
    got = thumbnails(rows)
    assert (got if got is None else got.shape) == shape
    assert got is None or got.dtype == np.uint8


def test_thumbnails_of_files_and_data_sets(digits, tmp_path):
    X, y = digits
    for i in range(3):
        Image.fromarray(X[i]).save(tmp_path / f"{i}.png")
    got = thumbnails([tmp_path / f"{i}.png" for i in range(3)])
    assert np.array_equal(got, X[:3])
    dataset = torch.utils.data.TensorDataset(
        torch.as_tensor(X[:3, None]), torch.as_tensor(y[:3])
    )
    assert np.array_equal(thumbnails(dataset), X[:3])
    assert np.array_equal(thumbnails(X[:2] / 255.0), X[:2])


def test_bands_are_shown_as_they_lie(digits):
    bands = np.random.default_rng(0).integers(0, 255, (2, 16, 20, 11), dtype=np.uint8)
    got = thumbnails(bands)
    assert np.array_equal(got, bands[..., :3])
    moved = np.moveaxis(bands, -1, 1).astype(np.float32) / 255
    assert np.array_equal(thumbnails(moved), bands[..., :3])
