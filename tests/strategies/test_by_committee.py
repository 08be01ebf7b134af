"""Committees: trained for a query, weighed votes, and parts of a mix that know what
earlier parts took."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from al_sklearn import ActiveLearner, ActiveLearningExperiment, Committee
from al_sklearn.inference import WithTaken, labelled_rows, sample_proba, sample_weights
from al_sklearn.modal.disagreement import vote_entropy_sampling
from al_sklearn.strategies import (
    by_committee,
    coreset,
    get_strategy,
    k_nearest,
    measures,
    mix,
    strategy_name,
    suggest_strategy,
)

X, Y = load_digits(return_X_y=True)
X, Y = X[:300] / 16, Y[:300]
TREE = DecisionTreeClassifier(max_features=8)


def learner(estimator=TREE, strategy="margin"):
    return ActiveLearner(estimator, strategy, X[:60], Y[:60], random_state=0)


def test_a_committee_of_the_tasks_model_beside_other_strategies():
    for name in ("vote_entropy", "bald", "variation_ratio", vote_entropy_sampling):
        strategy = by_committee(name, n_members=4)
        one = strategy(learner(), X[60:], 5, random_state=3)
        again = strategy(learner(), X[60:], 5, random_state=3)
        assert np.array_equal(one[0], again[0]) and len(set(one[0])) == 5
    other = by_committee("bald", 4)(learner(), X[60:], 5, random_state=4)
    bald = by_committee("bald", 4)(learner(), X[60:], 5, random_state=3)
    assert not np.array_equal(other[0], bald[0])
    ran = ActiveLearningExperiment(
        TREE,
        by_committee("vote_entropy"),
        n_initial=30,
        n_instances=5,
        n_rounds=1,
        random_state=0,
    ).fit(X, Y)
    assert ran.history_["n_labelled"].tolist() == [30, 35]
    assert strategy_name(by_committee("CoreSet")) == (
        "by_committee(coreset, n_members=3)"
    )


def test_it_is_what_a_committee_of_clones_chooses():
    strategy = by_committee("bald", n_members=3)
    made = []

    def spy(committee, X, n_instances=1, **options):
        made.append(committee)
        return np.arange(n_instances), np.zeros(n_instances)

    by_committee(spy, 3)(learner(), X[60:], 2, random_state=1)
    (committee,) = made
    assert len(committee) == 3 and committee.n_classes_ == 10
    members = [ActiveLearner(member) for member in committee]
    chosen = strategy(learner(), X[60:], 5, random_state=1)
    expected = measures.bald(np.moveaxis(Committee(members).vote_proba(X[60:]), 1, 0))
    np.testing.assert_allclose(np.sort(expected)[::-1][:5], chosen[1])
    assert committee.predict(X[:4]).shape == committee.vote(X[:4]).shape[:1]


def test_members_that_say_the_same_and_nothing_labelled():
    same = learner(GaussianNB(var_smoothing=0.1))
    with pytest.warns(UserWarning, match="3 members .* say the same: GaussianNB"):
        by_committee("bald")(same, X[60:], 2)
    chosen = by_committee("bald", bootstrap=True)(same, X[60:], 2, random_state=0)
    assert (chosen[1] > 0).all()
    with pytest.raises(ValueError, match="trains its members on what is labelled"):
        by_committee("bald")(TREE, X, 2)
    with pytest.raises(ValueError, match="n_members must be"):
        by_committee("bald", 1)
    with pytest.raises(ValueError, match="Unknown strategy"):
        by_committee("no such thing")


# ---- votes that weigh ----------------------------------------------------------------


def voting(weights=None, names="abc"):
    parts = {
        "a": LogisticRegression(max_iter=50),
        "b": GaussianNB(var_smoothing=0.01),
        "c": DecisionTreeClassifier(random_state=0),
        "d": "drop",
    }
    members = [(name, parts[name]) for name in names]
    model = VotingClassifier(members, voting="soft", weights=weights)
    return model.fit(X[:60], Y[:60])


OF_VOTES = ("bald", "consensus_entropy", "kl_disagreement", "vote_entropy")
WEIGHED = (*OF_VOTES, "max_entropy", "mean_std", "variation_ratio")


@pytest.mark.parametrize("name", WEIGHED)
def test_a_member_without_weight_is_none(name):
    strategy = get_strategy(name)

    def choose(model):
        return strategy(model, X[60:], 6, random_tie_break=False)

    none, without = choose(voting([1, 1, 0])), choose(voting(names="ab"))
    assert np.array_equal(none[0], without[0])
    assert np.array_equal(none[1], without[1])
    # Weights of members that were dropped are passed over.
    dropped = choose(voting([1, 5, 1], names="adb"))
    assert np.array_equal(dropped[1], without[1])
    same, equal = choose(voting()), choose(voting([2, 2, 2]))
    assert np.array_equal(same[1], equal[1])


def as_many(samples, counts):
    """Each sample as often as it weighs: what whole weights mean."""
    return np.repeat(samples, counts, axis=0)


@pytest.mark.parametrize("name", WEIGHED)
def test_whole_weights_are_repeated_samples(name):
    generator = np.random.default_rng(0)
    samples = generator.dirichlet(np.ones(4), size=(5, 30))
    samples[:, 3] = samples[0, 3]
    samples[:, 4] = [0, 1, 0, 0]
    counts = np.array([1, 3, 2, 0, 1])
    measure = getattr(measures, name)
    expected = measure(as_many(samples, counts))
    got = measure(samples, weights=counts)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    if name == "kl_disagreement":
        np.testing.assert_allclose(
            measure(samples, reduction="max", weights=counts),
            measure(as_many(samples, counts), reduction="max"),
            atol=1e-12,
        )
    for wrong in ([1, 2], [1, -1, 1, 1, 1], np.zeros(5), [np.nan, 1, 1, 1, 1]):
        with pytest.raises(ValueError, match="weights must be one number from 0 on"):
            measure(samples, weights=wrong)


def test_a_strategy_weighs_as_the_measure_does():
    model = voting([3, 1, 1])
    weights = sample_weights(model)
    np.testing.assert_allclose(weights, [0.6, 0.2, 0.2])
    utilities = measures.bald(sample_proba(model, X[60:]), weights=weights)
    chosen = get_strategy("bald")(model, X[60:], 6)
    np.testing.assert_allclose(chosen[1], np.sort(utilities)[::-1][:6])
    mean = get_strategy("entropy")(model, X[60:], 6, n_samples=9)
    np.testing.assert_allclose(mean[1], get_strategy("entropy")(model, X[60:], 6)[1])
    # Fewer than there are: drawn by their weights, and then they count the same.
    assert sample_weights(model, 2) is None and len(sample_proba(model, X[:3], 2)) == 2
    assert sample_weights(TREE.fit(X, Y)) is None


# ---- mix -----------------------------------------------------------------------------


def test_later_parts_of_a_mix_know_what_earlier_parts_took():
    known = learner()
    pool = X[60:]
    first, _ = get_strategy("margin")(known, pool, 4)
    mixed, _ = mix((0.5, "margin"), (0.5, "coreset"))(known, pool, 8)
    assert np.array_equal(mixed[:4], first)
    together = np.concatenate([X[:60], pool[first]])
    expected, _ = coreset(known, pool, 4, X_labelled=together)
    assert np.array_equal(mixed[4:], expected)
    near, _ = mix((0.5, "margin"), (0.5, "k_nearest"))(known, pool, 8)
    fresh = k_nearest(known, pool, 8, X_labelled=together)[0]
    assert np.array_equal(near[4:], fresh[~np.isin(fresh, first)][:4])
    # Without a model too, and inside another mix.
    cold, _ = mix((0.5, "kmeans_sampling"), (0.5, "coreset"))(None, pool, 8)
    expected, _ = coreset(None, pool, 8, X_labelled=pool[cold[:4]])
    assert np.array_equal(cold[4:], expected[~np.isin(expected, cold[:4])][:4])
    inner = mix((0.5, "coreset"), (0.5, "max_herding"))
    nested, _ = mix((0.5, "margin"), (0.5, inner))(known, pool, 8)
    assert len(set(nested)) == 8 and np.array_equal(nested[:4], first)


@pytest.mark.parametrize("name", ["coreset", "max_herding", "outliers_mean"])
def test_later_parts_read_images_beside_flat_rows_taught(name):
    known, pool = learner(), X[60:]
    both = mix((0.5, "coreset"), (0.5, name))
    flat, scores = both(known, pool, 8, random_state=0)
    images = both(known, pool.reshape(-1, 8, 8), 8, random_state=0)
    assert np.array_equal(images[0], flat)
    np.testing.assert_allclose(images[1], scores)


def test_what_was_taken_is_seen_by_who_looks():
    known = learner()
    wrapped = WithTaken(WithTaken(known, X[100:102]), X[200:201])
    rows = labelled_rows(wrapped)
    assert np.array_equal(rows, np.concatenate([X[:60], X[100:102], X[200:201]]))
    assert labelled_rows(WithTaken(TREE, X[:2])).shape == (2, 64)
    assert labelled_rows(TREE) is None
    assert wrapped.X_training is known.X_training
    with pytest.raises(AttributeError):
        _ = wrapped.nothing_of_the_kind
    seen = []

    def theirs(classifier, X, n_instances=1, **options):
        seen.append(classifier)
        return np.arange(n_instances), np.zeros(n_instances)

    mix((0.5, "margin"), (0.5, theirs))(known, X[60:], 4)
    assert seen == [known]


# ---- names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("entropy_sampling", "entropy"),
        ("margin_sampling", "margin"),
        ("uncertainty_sampling", "least_confidence"),
        ("UncertaintySampling", "least_confidence"),
        ("CoreSet", "coreset"),
        ("k_center_greedy", "coreset"),
        ("k_greedy_center", "coreset"),
        ("DAL", "dal"),
        ("entropy_pt", "entropy"),
        ("mb_outliers_mean", "outliers_mean"),
        ("mb_outliers_mean_least_confidence", "outliers_mean_least_confidence"),
        ("RandomSampling", "random_sampling"),
        ("TypiClust", "typiclust"),
        ("UHerding", "u_herding"),
        ("GreedyBALD", "bald"),
        ("DiscriminativeAL", "dal"),
    ],
)
def test_other_names_for_the_same(theirs, ours):
    assert get_strategy(theirs) is get_strategy(ours)
    assert strategy_name(theirs) == ours


# Every strategy that scikit-activeml 1.0 has for classification, regression and pools.
ACTIVEML = (
    "BatchBALD Badge Clue ContrastiveAL CoreSet CostEmbeddingAL DiscriminativeAL "
    "DropQuery EpistemicUncertaintySampling ExpectedErrorReduction "
    "ExpectedModelChangeMaximization ExpectedModelOutputChange "
    "ExpectedModelVarianceReduction Falcun FourDs GreedyBALD GreedySamplingTarget "
    "GreedySamplingX KLDivergenceMaximization LabelCardinalityInconsistency "
    "MaxHerding MaxLossReductionMaxConfidence MonteCarloEER "
    "ParallelUtilityEstimationWrapper ProbabilisticAL ProbCover QueryByCommittee "
    "Quire RandomSampling RegressionTreeBasedAL SubSamplingWrapper TypiClust "
    "UHerding UncertaintySampling ValueOfInformationEER"
)


@pytest.mark.parametrize("name", ACTIVEML.split())
def test_every_name_of_scikit_activeml_is_answered(name):
    try:
        get_strategy(name)
    except ValueError as error:
        assert f"Of {name!r} there is here: " in str(error)


def test_letters_alone_suggest_nothing():
    for name in ("qbc", "QueryByCommittee"):
        with pytest.raises(ValueError, match="there is here: by_committee"):
            get_strategy(name)
    for name in ("entropic", "bold", "bas"):
        with pytest.raises(ValueError, match=f"Unknown strategy '{name}'. Available"):
            get_strategy(name)
    assert suggest_strategy("typiclsut", ["typiclust"]) == " Did you mean 'typiclust'?"
