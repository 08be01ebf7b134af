"""The named strategies: their contract, and that each is the pair of measure and
selector that it says."""

import inspect
import pickle
from functools import partial
from types import ModuleType

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import Dataset

from al_sklearn import inference, strategies
from al_sklearn.strategies import (
    badge,
    bald,
    catalogue,
    checks,
    coreset,
    get_strategy,
    margin,
    measures,
    mix,
    query_strategy,
    random_sampling,
    selectors,
    strategy_name,
    two_stage,
)
from al_sklearn.strategies._registry import FAMILIES, NEEDS, follows_contract

# Those that train something, with little training: test_learned.py sees that they
# learn, and from images too.
QUICK = {
    "active_transfer_learning": partial(
        strategies.active_transfer_learning, max_epochs=3
    ),
    "core_gcn": partial(strategies.core_gcn, max_epochs=5),
    "dal": partial(strategies.dal, n_batches=3, hidden=(16,), max_epochs=3),
    "vaal": partial(strategies.vaal, n_steps=4, space="embeddings"),
    "vaal_distance": partial(strategies.vaal_distance, n_steps=4, space="embeddings"),
}
CONFIGURED = [
    # An oracle takes labels that no battery has: test_uncertainty.py looks at it.
    *[
        QUICK.get(info.name, info.name)
        for info in catalogue()
        if "true_labels" not in info.needs
    ],
    partial(coreset, metric="cosine"),
    partial(coreset, metric="manhattan", measure="entropy"),
    partial(strategies.entropy, n_samples=5, normalize=True),
    mix((0.5, "margin"), (0.3, "coreset"), (0.2, "random_sampling")),
    two_stage("margin", "badge", factor=3),
    mix((1, two_stage("entropy", coreset)), (2, bald)),
]


@pytest.mark.parametrize("check", list(checks.yield_checks()), ids=lambda c: c.__name__)
@pytest.mark.parametrize("strategy", CONFIGURED, ids=strategy_name)
def test_contract(strategy, check):
    check(get_strategy(strategy), checks._taught(able_to_serve(strategy)))


def needs_of(strategy):
    function = get_strategy(strategy)
    function = function.func if isinstance(function, partial) else function
    return set(getattr(getattr(function, "info", None), "needs", ()))


class Worried(LogisticRegression):
    """Expects the largest loss where it is least sure."""

    def predict_loss(self, X):
        return -self.predict_proba(X).max(axis=1)


def able_to_serve(strategy):
    """A classifier for the battery that can give what the strategy needs; None for the
    battery's own forest."""
    if "input_gradient" in needs_of(strategy):
        return make_net()
    if "loss" in needs_of(strategy):
        return Worried(max_iter=200)
    # Cross-fitting fits it again and again.
    linear = (
        "last_layer" in needs_of(strategy)
        or strategy is QUICK["active_transfer_learning"]
    )
    return LogisticRegression(max_iter=200) if linear else None


def test_the_battery_finds_what_is_wrong():
    def inverted_length(
        classifier, X, n_instances=1, *, random_tie_break=False, random_state=None
    ):
        return np.arange(n_instances + 1), np.zeros(n_instances + 1)

    def global_rng(
        classifier, X, n_instances=1, *, random_tie_break=False, random_state=None
    ):
        return np.random.permutation(len(X))[:n_instances], np.zeros(n_instances)

    def writes(
        classifier, X, n_instances=1, *, random_tie_break=False, random_state=None
    ):
        if n_instances == 5:
            X[0] = 0
        return np.arange(n_instances), np.zeros(n_instances)

    def repeats(
        classifier, X, n_instances=1, *, random_tie_break=False, random_state=None
    ):
        return np.zeros(n_instances, dtype=np.int64), np.zeros(n_instances)

    def greedy(
        classifier, X, n_instances=1, *, random_tie_break=False, random_state=None
    ):
        return np.arange(n_instances), np.zeros(n_instances)

    for broken, message in (
        (inverted_length, "got shape"),
        (global_rng, "random_state=0 gave"),
        (writes, "wrote to X"),
        (repeats, "indices repeat"),
        (greedy, "must raise a ValueError"),
    ):
        with pytest.raises(
            AssertionError, match=f"{broken.__name__} fails check_.*{message}"
        ):
            checks.check_query_strategy(broken)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.4), nn.Linear(24, 10))

    def forward(self, x):
        return self.head(self.trunk(x))


def make_net():
    return NeuralNetClassifier(
        Net,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=8,
        train_split=None,
        verbose=0,
    )


class Indexed(Dataset):
    """Returns its own index as the label: proof of which row was read."""

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], i


@pytest.fixture(scope="module")
def taught(digits):
    X, y = digits
    X = X.astype(np.float32) / 255
    flat = X.reshape(len(X), -1)
    torch.manual_seed(0)
    net = make_net()
    return {
        "net": (
            checks._Learner(net.fit(flat[:100], y[:100]), flat[:100], y[:100]),
            flat[100:400],
        ),
        "forest": (
            checks._Learner(
                RandomForestClassifier(15, random_state=0).fit(flat[:100], y[:100]),
                flat[:100],
                y[:100],
            ),
            flat[100:400],
        ),
        "pipeline": (
            checks._Learner(
                make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(
                    flat[:100], y[:100]
                ),
                flat[:100],
                y[:100],
            ),
            flat[100:400],
        ),
    }


def test_the_labelled_image_is_the_one_that_was_scored(taught):
    learner, X = taught["net"]
    data = Indexed(X)
    subset = torch.utils.data.Subset(data, np.arange(len(X))[::-1].copy())
    whole, _ = margin(learner, data, 10)
    reverse, scores = margin(learner, subset, 10)
    assert [subset[int(i)][1] for i in reverse] == [data[int(i)][1] for i in whole]
    utilities = measures.margin(inference.predict_proba(learner, X))
    np.testing.assert_allclose(
        [utilities[subset[int(i)][1]] for i in reverse], scores, atol=1e-6
    )


@pytest.mark.parametrize(
    "name", ["least_confidence", "margin", "ratio", "entropy", "max_entropy", "bald"]
)
def test_strategies_are_their_measure_and_the_top_of_it(name, taught):
    learner, X = taught["forest"]
    if name in ("max_entropy", "bald"):
        utilities = getattr(measures, name)(inference.sample_proba(learner, X))
    else:
        utilities = getattr(measures, name)(inference.predict_proba(learner, X))
        mean = inference.sample_proba(learner, X, 20).mean(axis=0)
        np.testing.assert_array_equal(
            get_strategy(f"{name}_mc")(learner, X, 9)[0],
            selectors.top_k(getattr(measures, name)(mean), 9)[0],
        )
    order = np.lexsort((np.arange(len(X)), -utilities))[:25]
    indices, scores = get_strategy(name)(learner, X, 25)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(scores, utilities[order])


def test_coreset_and_badge_are_their_selectors(taught):
    learner, X = taught["net"]
    embeddings = inference.embed(learner, X)
    labelled = inference.embed(learner, learner.X_training)
    np.testing.assert_array_equal(
        coreset(learner, X, 20)[0],
        selectors.k_center(embeddings, 20, labelled=labelled)[0],
    )
    np.testing.assert_array_equal(
        coreset(learner, X, 20, X_labelled=X[:5])[0],
        selectors.k_center(embeddings, 20, labelled=embeddings[:5])[0],
    )
    weights = measures.entropy(inference.predict_proba(learner, X))
    np.testing.assert_array_equal(
        coreset(learner, X, 20, measure="entropy")[0],
        selectors.k_center(embeddings, 20, labelled=labelled, utilities=weights)[0],
    )
    residuals, factors = inference.gradient_factors(learner, X)
    np.testing.assert_array_equal(
        badge(learner, X, 20, random_state=3)[0],
        selectors.gradient_kmeans_plusplus(factors, residuals, 20, random_state=3)[0],
    )
    # Without a classifier, and without a single label: X itself is the feature.
    np.testing.assert_array_equal(coreset(None, X, 9)[0], selectors.k_center(X, 9)[0])
    with pytest.raises(ValueError, match="Unknown measure 'margn'"):
        coreset(learner, X, 2, measure="margn")


def test_random_sampling_is_uniform_and_never_the_whole_pool():
    counts = np.zeros(10)
    for seed in range(2000):
        counts[random_sampling(None, np.zeros((10, 1)), 3, random_state=seed)[0]] += 1
    assert abs(counts - 600).max() < 5 * np.sqrt(2000 * 0.3 * 0.7)
    assert len(random_sampling(None, np.zeros((10, 1)), 9)[0]) == 9
    first, second = (random_sampling(None, np.zeros((1000, 1)), 5)[0] for _ in range(2))
    assert not np.array_equal(first, second)


def test_a_constant_classifier_ties_by_position_or_at_random(taught):
    class Constant(LogisticRegression):
        def predict_proba(self, X):
            return np.full((len(X), 10), 0.1)

    X = taught["forest"][1]
    classifier = Constant(max_iter=200).fit(X[:50], np.arange(50) % 10)
    assert margin(classifier, X, 5)[0].tolist() == [0, 1, 2, 3, 4]
    at_random = margin(classifier, X, 5, random_tie_break=True, random_state=0)[0]
    assert at_random.tolist() != [0, 1, 2, 3, 4] and len(set(at_random.tolist())) == 5


def test_mix_shares_its_budget_exactly_and_computes_once(taught):
    learner, X = taught["forest"]

    class Counting:
        calls = 0

        def __init__(self, estimator):
            self.inner, self.classes_ = estimator, estimator.classes_

        def predict_proba(self, rows):
            Counting.calls += 1
            return self.inner.predict_proba(rows)

    counting = checks._Learner(
        Counting(learner.estimator), learner.X_training, learner.y_training
    )
    mixed = mix((0.5, "margin"), (0.25, "entropy"), (0.25, "least_confidence"))
    indices, _ = mixed(counting, X, 10)
    assert Counting.calls == 1
    assert (
        mixed._budgets(10) == [5, 3, 2]
        and sum(mixed._budgets(7)) == 7
        and mixed._budgets(1) == [1, 0, 0]
    )
    top = margin(learner, X, 5)[0]
    np.testing.assert_array_equal(indices[:5], top)
    assert len(set(indices.tolist())) == 10
    assert sorted(mixed(counting, X[:10], 10)[0].tolist()) == list(range(10))


def test_two_stage_maps_back_to_the_pool(taught):
    learner, X = taught["forest"]
    staged = two_stage("margin", "coreset", factor=4)
    indices, _ = staged(learner, X, 10)
    kept = margin(learner, X, 40)[0]
    assert set(indices.tolist()) <= set(kept.tolist())
    np.testing.assert_array_equal(indices, kept[coreset(learner, X[kept], 10)[0]])


def test_names_and_the_catalogue():
    infos = catalogue()
    assert len({info.name for info in infos}) == len(infos) >= 13
    for info in infos:
        assert info.family in FAMILIES and set(info.needs) <= set(NEEDS)
        assert (
            info.summary.endswith(".") and info.reference and info.cost.startswith("O(")
        )
        doc = info.function.__doc__
        assert all(
            part in doc
            for part in (
                "Parameters",
                "Returns",
                "Raises",
                "References",
                info.reference,
            )
        )
        assert get_strategy(info.name) is info.function and follows_contract(info.name)
    assert get_strategy("random") is random_sampling
    assert strategy_name("random") == "random_sampling"
    assert (
        strategy_name(partial(coreset, metric="cosine")) == "coreset(metric='cosine')"
    )
    assert (
        strategy_name(partial(coreset, measure=measures.entropy))
        == "coreset(measure=entropy)"
    )
    assert (
        strategy_name(mix((3, margin), (1, "random")))
        == "mix((3, margin), (1, random_sampling))"
    )
    assert (
        strategy_name(two_stage("margin", badge))
        == "two_stage(margin, badge, factor=10)"
    )
    assert pickle.loads(pickle.dumps(mix((1, margin)))) == mix((1, margin))
    assert follows_contract(partial(coreset)) and follows_contract(mix((1, margin)))
    assert not follows_contract(lambda classifier, X: [0])


def test_unknown_names_and_bad_compositions_say_what_is_allowed():
    with pytest.raises(
        ValueError,
        match=r"Unknown strategy 'margn'. Did you mean 'margin'\? "
        r"Available: active_transfer_learning, ",
    ):
        get_strategy("margn")
    with pytest.raises(TypeError, match="a name or a callable, got int"):
        get_strategy(3)
    with pytest.raises(ValueError, match="at least one"):
        mix()
    with pytest.raises(ValueError, match="must be positive"):
        mix((0, "margin"))
    with pytest.raises(TypeError, match="pairs"):
        mix("margin")
    with pytest.raises(ValueError, match="factor must be"):
        two_stage("margin", "badge", factor=0.5)
    with pytest.raises(ValueError, match="is taken"):

        @query_strategy(family="uncertainty", reference="-", cost="O(n)")
        def margin(classifier, X, n_instances=1):
            """Taken."""

    with pytest.raises(ValueError, match="Unknown family 'magic'"):
        query_strategy(family="magic", reference="-", cost="O(n)")
    with pytest.raises(ValueError, match="Unknown need 'luck'"):
        query_strategy(family="hybrid", needs=("luck",), reference="-", cost="O(n)")


def test_a_cell_run_twice_replaces_its_strategy(registered_here):
    cell = """
@query_strategy(family="uncertainty", reference="-", cost="O(n)", aliases=("firsts",))
def of_a_cell(classifier, X, n_instances=1, *, random_state=None):
    \"\"\"Answer {score}.\"\"\"
    return np.arange(n_instances), np.full(n_instances, {score}.0)
"""
    names = {"__name__": "__main__", "query_strategy": query_strategy, "np": np}
    for score in (1, 2):
        exec(cell.format(score=score), names)
        for name in ("of_a_cell", "firsts"):
            assert get_strategy(name)(None, np.zeros((3, 1)), 1)[1] == score
    # Another module's function of that name is another strategy.
    with pytest.raises(ValueError, match="'of_a_cell' is taken"):
        exec(cell.format(score=3), names | {"__name__": "elsewhere"})
    with pytest.raises(ValueError, match="'firsts' is taken"):
        exec(
            cell.format(score=3).replace("of_a_cell", "another"),
            names | {"__name__": "__main__"},
        )
    assert get_strategy("firsts")(None, np.zeros((3, 1)), 1)[1] == 2


@pytest.mark.parametrize("name", strategies.__all__)
def test_strategies_are_what_is_imported(name):
    """Pickles and stored runs name the public place, whatever file it is written in."""
    value = getattr(strategies, name)
    if isinstance(value, ModuleType):
        pytest.skip("a module")
    below = ("al_sklearn.strategies.measures", "al_sklearn.strategies.selectors")
    assert value.__module__ in ("al_sklearn.strategies", *below)
    assert pickle.loads(pickle.dumps(value)) is value


def test_twins_are_one_strategy_with_an_option(taught):
    learner, X = taught["forest"]
    for twin, strategy, options in (
        ("margin_mc", "margin", {"n_samples": 20}),
        ("vaal_distance", "vaal", {"by": "distance"}),
        ("outliers_max", "outliers_mean", {"reduce": "max"}),
        ("outliers_mean_entropy", "outliers_mean", {"measure": "entropy"}),
        ("cluster_outlier_combined", "cluster", {"outlier_share": 0.2}),
    ):
        function, base = get_strategy(twin), get_strategy(strategy)
        small = {"n_steps": 3} if strategy == "vaal" else {}
        got = function(learner, X, 7, random_state=0, **small)
        expected = base(learner, X, 7, random_state=0, **small, **options)
        np.testing.assert_array_equal(got[0], expected[0])
        assert strategy_name(twin) == function.info.name == twin
        assert getattr(strategies, twin) is function
        own, known = (inspect.signature(of).parameters for of in (function, base))
        assert list(own) == list(known)
        for option, value in options.items():
            assert own[option].default == value != known[option].default
            assert f"{option} : " in function.__doc__
            assert f"default={value!r}" in function.__doc__


def test_a_measure_is_a_name_or_a_function_everywhere(taught):
    learner, X = taught["forest"]

    def gini(proba):
        return 1 - (proba**2).sum(axis=1)

    def spread(samples):
        return samples.std(axis=0).sum(axis=1)

    for measure in ("margin", "bald", measures.entropy, gini, spread):
        for strategy in (
            partial(coreset, measure=measure),
            partial(strategies.k_nearest, measure=measure),
            partial(strategies.density_weighted, measure=measure),
            partial(strategies.outliers_mean, measure=measure),
            strategies.weighted(measure, "k_center"),
            strategies.stochastic(measure),
        ):
            assert len(set(strategy(learner, X, 5, random_state=0)[0])) == 5
    np.testing.assert_array_equal(
        coreset(learner, X, 5, measure="margin")[0],
        coreset(learner, X, 5, measure=measures.margin)[0],
    )


@pytest.mark.parametrize(
    ("strategy", "old", "new"),
    [
        ("coreset", "weight_by", "measure"),
        ("k_nearest", "uncertainty", "measure"),
        ("outliers_mean", "layers", "layer"),
        ("core_gcn", "n_epochs", "max_epochs"),
        ("active_transfer_learning", "X_validation", "X_val"),
    ],
)
def test_an_old_spelling_names_the_new_one(strategy, old, new):
    with pytest.raises(TypeError, match=f"takes no '{old}'; it is called '{new}'"):
        get_strategy(strategy)(None, np.eye(3), 1, **{old: None})


def test_an_unknown_option_says_which_there_are():
    X = np.eye(4)
    with pytest.raises(
        TypeError, match=r"random_sampling takes no 'seed'\. Options: random_state, "
    ):
        random_sampling(None, X, 2, seed=3)


def test_large_half_precision_values_are_not_nan(taught):
    X = np.zeros((40, 640), np.float16)
    X[:20], X[20:] = 200, -200
    assert len(random_sampling(None, X, 3, random_state=0)[0]) == 3
    X[7, 3] = np.nan
    with pytest.raises(ValueError, match="NaN, first in row 7"):
        random_sampling(None, X, 3)


@pytest.mark.parametrize(
    "strategy",
    [info.name for info in catalogue() if "true_labels" not in info.needs],
)
def test_breaking_ties_at_random_changes_nothing_where_nothing_ties(strategy):
    """Continuous features, and a classifier whose probabilities are continuous too."""
    if strategy in ("variation_ratio", "vote_entropy", "probcover", "outliers_max"):
        pytest.skip("it counts votes, points in balls or ranks, and counts tie")
    if strategy == "refine":
        pytest.skip("the few it covers at last lie so far apart that they tie")
    X = np.random.default_rng(0).normal(size=(660, 64)).astype(np.float32)
    y = np.arange(60) % 4
    X[:60] += y[:, None]
    torch.manual_seed(0)
    of_nets = {"input_gradient", "samples", "feature_dropout"} & needs_of(strategy)
    classifier = make_net() if of_nets else Worried(max_iter=200)
    learner = checks._Learner(classifier.fit(X[:60], y), X[:60], y)
    untied = {
        # Both of a cluster of two are as far from its centre: more candidates.
        "alfa_mix": partial(strategies.alfa_mix, alpha_cap=1.0),
    }
    function = {**QUICK, **untied}.get(strategy, get_strategy(strategy))
    by_position, at_random = (
        function(learner, X[60:], 6, random_tie_break=ties, random_state=3)
        for ties in (False, True)
    )
    np.testing.assert_array_equal(at_random[0], by_position[0])
    np.testing.assert_array_equal(at_random[1], by_position[1])
