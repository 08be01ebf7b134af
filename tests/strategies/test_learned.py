"""Strategies that train something: their definitions, that they learn, and that nothing
else changes."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import Dataset

from al_sklearn import StrategyComparison, inference
from al_sklearn.estimators import (
    DeepEnsemble,
    ImageClassifier,
    LossPredictionClassifier,
)
from al_sklearn.learners import ActiveLearner
from al_sklearn.strategies import (
    active_transfer_learning,
    checks,
    core_gcn,
    dal,
    learning_loss,
    measures,
    selectors,
    vaal,
    vaal_distance,
)
from al_sklearn.strategies.named._learned import _dal as _learned_dal
from al_sklearn.strategies.named._learned import _errors as _learned_errors
from al_sklearn.strategies.named._learned import _gcn as _learned_gcn
from al_sklearn.strategies.named._learned import _training as _learned_training
from al_sklearn.strategies.named._learned import _vaal as _learned_vaal
from al_sklearn.strategies.named._learned._inputs import read_inputs

from . import references_learned as reference

NEEDS_LABELS = [dal, core_gcn, vaal, vaal_distance, active_transfer_learning]


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    return X.reshape(len(X), -1).astype(np.float32) / 255, y


@pytest.fixture(scope="module")
def half(flat):
    """Labelled: 80 digits from 0 to 4. Candidates and held-out rows: all digits.
    ``new`` says which are above 4."""
    X, y = flat
    low = np.flatnonzero(y < 5)
    labelled, rest = low[:80], np.setdiff1d(np.arange(len(X)), low[:160])
    held_out = np.concatenate([low[80:160], rest[rest % 2 == 1][:300]])
    pool = rest[rest % 2 == 0][:400]
    return {
        "labelled": X[labelled],
        "pool": X[pool],
        "new": y[pool] > 4,
        "held": X[held_out],
        "held_new": y[held_out] > 4,
    }


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# What they share


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-8, 8), st.booleans()), min_size=2, max_size=12))
def test_class_weighted_loss_is_its_definition(rows):
    logits, target = (
        np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)
    )
    weights = _learned_training.balanced_weights(torch.from_numpy(target))
    assert weights.mean().item() == pytest.approx(1)
    if 0 < target.sum() < len(target):
        got = _learned_training.binary_loss(
            torch.from_numpy(logits), torch.from_numpy(target), weights
        )
        assert got.item() == pytest.approx(
            reference.balanced_loss(logits, target), rel=1e-9
        )


def test_shapes_that_would_broadcast_raise():
    logits, target = torch.zeros(5, 1), torch.zeros(5)
    with pytest.raises(
        ValueError, match=r"must all have shape \(n,\), got \(5, 1\), \(5,\)"
    ):
        _learned_training.binary_loss(logits, target)
    with pytest.raises(ValueError, match=r"\(5,\), \(5,\), \(1,\)"):
        _learned_training.binary_loss(target, target, torch.ones(1))
    with pytest.raises(ValueError, match=r"shape \(n, 1\)"):
        _learned_training.score_rows(torch.nn.Linear(3, 2), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="must both have shape"):
        _learned_gcn.graph_loss(logits, target.bool(), 1.2)
    x, z = torch.zeros(2, 1, 4, 4), torch.zeros(2, 3)
    with pytest.raises(ValueError, match="Shapes must match"):
        _learned_vaal.negative_elbo(x, x[:, :, :1], z, z, 1.0)
    with pytest.raises(ValueError, match="Shapes must match"):
        _learned_vaal.negative_elbo(x, x, z, z[:1], 1.0)


@pytest.mark.parametrize("strategy", NEEDS_LABELS, ids=lambda s: s.__name__)
def test_nothing_labelled_is_said(strategy, flat):
    X, y = flat
    model = LogisticRegression(max_iter=300).fit(X[:40], y[:40])
    for labelled in (None, X[:0]):
        with pytest.raises(ValueError, match="labelled"):
            strategy(
                checks._Learner(model, labelled, None if labelled is None else y[:0]),
                X[40:60],
                3,
            )


# The contract on raw features and with the defaults that the shared battery cuts short.


@pytest.mark.parametrize("check", list(checks.yield_checks()), ids=lambda c: c.__name__)
@pytest.mark.parametrize(
    "strategy",
    [
        partial(vaal, n_steps=2),
        partial(vaal_distance, n_steps=2),
        partial(core_gcn, max_epochs=2, select="uncertain", max_candidates=20),
        partial(
            active_transfer_learning, max_epochs=2, n_batches=3, embeddings=True, cv=2
        ),
        partial(dal, n_batches=2, fresh=True, hidden=(8,), max_epochs=2),
    ],
    ids=lambda s: s.func.__name__,
)
def test_contract(strategy, check):
    check(strategy, checks._taught(LogisticRegression(max_iter=300)))


# DAL


def test_dal_network_learns_and_its_stop_counts_both_classes(half):
    pool, held, known = _learned_training.standardized(
        half["pool"], half["held"], half["labelled"]
    )
    features = torch.cat([pool, known])
    target = (torch.arange(len(features)) < len(pool)).float()
    options = {"hidden": (64, 64), "batch_size": 64, "lr": 3e-3}
    first = _learned_training.perceptron([64, 64, 64, 1], generator())
    network, history = _learned_training.train_binary(
        features,
        target,
        max_epochs=30,
        target_accuracy=0.98,
        generator=generator(),
        **options,
    )
    moved = [
        not torch.equal(a, b)
        for a, b in zip(first.parameters(), network.parameters(), strict=True)
    ]
    assert all(moved) and history[-1][0] < 0.5 * history[0][0]
    assert history[-1][1] >= 0.98 and all(
        accuracy < 0.98 for _, accuracy in history[:-1]
    )
    # On rows that neither side was trained on, it knows digits that are not among the
    # labelled.
    assert (
        roc_auc_score(half["held_new"], _learned_training.score_rows(network, held))
        > 0.8
    )
    # One labelled row among hundreds: saying "unlabelled" to all is half right, not
    # 99.7 %.
    alone = torch.ones(len(features))
    alone[-1] = 0
    _, history = _learned_training.train_binary(
        torch.zeros_like(features),
        alone,
        max_epochs=2,
        target_accuracy=0.98,
        generator=generator(),
        **options,
    )
    assert len(history) == 2 and history[-1][1] == pytest.approx(0.5, abs=0.01)


def test_dal_retrains_between_parts_with_what_was_chosen_as_labelled(half, monkeypatch):
    seen, networks = [], []
    train = _learned_training.train_binary

    def spy(features, target, **options):
        seen.append(target.clone())
        network, history = train(features, target, **options)
        networks.append(pickle.dumps(network.state_dict()))
        return network, history

    monkeypatch.setattr(_learned_dal.training, "train_binary", spy)
    indices, _ = dal(
        None,
        half["pool"],
        23,
        X_labelled=half["labelled"],
        hidden=(32,),
        max_epochs=3,
        random_state=0,
    )
    n = len(half["pool"])
    assert len(seen) == 10 and len(set(networks)) == 10
    sizes = [int(n - target[:n].sum()) for target in seen]
    assert sizes == [0, 3, 6, 9, 11, 13, 15, 17, 19, 21]
    for size, target in zip(sizes, seen, strict=True):
        assert set(np.flatnonzero(target[:n].numpy() == 0)) == set(
            indices[:size].tolist()
        )
        assert not target[n:].any()


def test_dal_chooses_what_is_not_labelled_yet(half):
    indices, scores = dal(
        None, half["pool"], 40, n_batches=1, X_labelled=half["labelled"], random_state=0
    )
    assert half["new"][indices].mean() > half["new"].mean() + 0.2
    assert np.isfinite(scores).all()


# VAAL


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 3))
def test_elbo_is_its_definition(seed, beta):
    rng = np.random.default_rng(seed)
    x, again = rng.normal(size=(2, 3, 1, 4, 5))
    mean, log_variance = rng.normal(size=(2, 3, 2))
    got = _learned_vaal.negative_elbo(
        *map(torch.from_numpy, (x, again, mean, log_variance)), beta
    )
    assert got.item() == pytest.approx(
        reference.negative_elbo(x, again, mean, log_variance, beta)
    )


def test_a_larger_image_weighs_its_reconstruction_more():
    # The mean over pixels beside the sum over latent units would not tell the sizes
    # apart.
    z = torch.zeros(2, 3)
    small, large = (
        _learned_vaal.negative_elbo(
            torch.ones(2, 1, side, side), torch.zeros(2, 1, side, side), z, z, 1.0
        )
        for side in (4, 8)
    )
    assert small == 8 and large == 32


def adversaries(shape=(64,), **options):
    options = {
        "latent": 8,
        "hidden": 32,
        "beta": 0.1,
        "adversary_weight": 1.0,
        "lr": 1e-3,
        **options,
    }
    return _learned_vaal.Adversaries(
        shape, generator=generator(), device=torch.device("cpu"), **options
    )


def state(network):
    return [value.clone() for value in network.state_dict().values()]


def same(before, network):
    return [
        torch.equal(a, b)
        for a, b in zip(before, network.state_dict().values(), strict=True)
    ]


def test_each_optimiser_moves_its_own_network_alone(half):
    pair = adversaries()
    known, other = (
        torch.from_numpy(half["labelled"][:16]),
        torch.from_numpy(half["pool"][:16]),
    )
    auto, disc = state(pair.autoencoder), state(pair.discriminator)
    pair.fit_autoencoder(known, other)
    assert not any(same(auto, pair.autoencoder)) and all(same(disc, pair.discriminator))
    assert all(parameter.grad is None for parameter in pair.discriminator.parameters())
    auto = state(pair.autoencoder)
    pair.fit_discriminator(known, other)
    assert all(same(auto, pair.autoencoder)) and not any(same(disc, pair.discriminator))


def test_vaal_networks_learn(half):
    known, other, held = _learned_vaal.as_rows(
        [torch.from_numpy(half[key]) for key in ("labelled", "pool", "held")],
        torch.device("cpu"),
    )
    options = {
        "latent": 8,
        "hidden": 32,
        "beta": 0.1,
        "adversary_weight": 1.0,
        "lr": 2e-3,
    }
    pair, history = _learned_vaal.train_adversaries(
        known, other, n_steps=150, batch_size=64, generator=generator(), **options
    )
    elbo, _, found = np.array(history).T
    assert (
        elbo[-10:].mean() < 0.6 * elbo[:3].mean()
        and found[-10:].mean() < 0.9 * found[0]
    )
    # Images of its own kind that it was not trained on are reconstructed better than by
    # their mean.
    rows = held.take(slice(0, 200))
    with torch.no_grad():
        again, _, _ = pair.autoencoder(rows, torch.zeros(len(rows), 8))
    assert (rows - again).square().mean() < 0.7 * rows.square().mean()
    assert roc_auc_score(half["held_new"], -pair.labelled_logits(held.batches())) > 0.75
    # The trained pair is the one that chooses.
    got = vaal(
        None, half["pool"], 30, X_labelled=half["labelled"], n_steps=150, random_state=0
    )
    assert half["new"][got[0]].mean() > half["new"].mean() + 0.1


def test_vaal_distance_is_k_center_in_the_latent_space(half, monkeypatch):
    latents = []
    monkeypatch.setattr(
        _learned_vaal.Adversaries,
        "latent",
        lambda self, batches, whole=_learned_vaal.Adversaries.latent: (
            latents.append(whole(self, batches)) or latents[-1]
        ),
    )
    got = vaal_distance(
        None, half["pool"], 9, X_labelled=half["labelled"], n_steps=10, random_state=0
    )
    pool, known = latents
    assert len(pool) == len(half["pool"]) and len(known) == len(half["labelled"])
    np.testing.assert_array_equal(
        got[0], selectors.k_center(pool, 9, labelled=known)[0]
    )


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 17, 30), (1, 5, 64), (11, 64, 64), (1, 1, 3)]
)
def test_the_autoencoder_fits_images_of_any_size(shape):
    pair = adversaries(shape, hidden=16)
    rows = torch.randn((4, *shape), generator=generator())
    again, mean, log_variance = pair.autoencoder(rows, torch.zeros(4, 8))
    assert again.shape == rows.shape and mean.shape == log_variance.shape == (4, 8)
    pair.fit_autoencoder(rows[:2], rows[2:])


class Images(Dataset):
    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i]


def test_images_are_read_as_the_network_reads_them(digits):
    X, y = digits
    net = ImageClassifier(
        max_epochs=1, iterator_train__min_batches=1, random_state=0
    ).fit(X[:40], y[:40])
    expected = read_inputs("vaal", net, X[:60], 64)
    assert expected.shape == (60, 1, 8, 8) and expected.dtype == torch.uint8
    for rows in (torch.from_numpy(X[:60]), list(X[:60]), Images(X[:60])):
        assert torch.equal(read_inputs("vaal", net, rows, 64), expected)
    # Without a net arrays of three and four axes are images too, uint8 with the
    # channels last.
    assert torch.equal(read_inputs("vaal", None, X[:60], 64), expected)
    assert torch.equal(read_inputs("vaal", None, X[:60, :, :, None], 64), expected)
    large = np.repeat(np.repeat(X[:4], 10, axis=1), 20, axis=2)
    small = read_inputs("vaal", None, large, 64)
    assert small.shape == (4, 1, 32, 64) and small.dtype == torch.uint8
    assert abs(small.float().mean() - large.mean()) < 1
    got = vaal(
        checks._Learner(net, X[:40], y[:40]), X[40:100], 5, n_steps=3, random_state=0
    )[0]
    plain = vaal(None, X[40:100], 5, X_labelled=X[:40], n_steps=3, random_state=0)[0]
    np.testing.assert_array_equal(got, plain)
    with pytest.raises(ValueError, match="they must be the same"):
        vaal(None, X[40:60], 2, X_labelled=X[:9, :4], n_steps=1)


# Active transfer learning


def test_held_out_predictions_are_held_out(flat):
    """Labels that are noise: whoever judges rows it was trained on finds them right,
    held out they are mostly wrong."""
    from sklearn.tree import DecisionTreeClassifier

    X, _ = flat
    noise = np.random.default_rng(0).integers(0, 10, 90)
    tree = DecisionTreeClassifier(random_state=0).fit(X[:90], noise)
    assert (tree.predict(X[:90]) == noise).all()
    _, wrong = _learned_errors._cross_fitted(
        tree, X[:90], noise, None, False, 3, np.random.default_rng(0)
    )
    assert wrong.mean() > 0.75


def test_the_head_learns_what_will_be_wrong(flat):
    X, y = flat
    model = LogisticRegression(max_iter=500).fit(X[:150], y[:150])
    wrong_in_pool = model.predict(X[150:]) != y[150:]
    known, wrong = _learned_errors._cross_fitted(
        model, X[:150], y[:150], None, False, 3, np.random.default_rng(0)
    )
    pool, held = _learned_training.standardized(
        _learned_errors._seen(model, X[150:], None, False), known
    )
    options = {"hidden": (), "batch_size": 1024, "lr": 1e-2, "weight_decay": 0.1}
    head, history = _learned_training.train_binary(
        held,
        torch.from_numpy(wrong.astype(np.float32)),
        max_epochs=40,
        generator=generator(),
        **options,
    )
    assert history[-1][0] < history[0][0]
    assert not torch.equal(
        head[0].weight, _learned_training.perceptron([10, 1], generator())[0].weight
    )
    assert roc_auc_score(wrong_in_pool, _learned_training.score_rows(head, pool)) > 0.8
    learner = checks._Learner(model, X[:150], y[:150])
    indices, _ = active_transfer_learning(learner, X[150:], 60, random_state=0)
    assert wrong_in_pool[indices].mean() > 2 * wrong_in_pool.mean()


def test_validation_rows_take_the_place_of_cross_fitting(flat, monkeypatch):
    X, y = flat
    model = LogisticRegression(max_iter=300).fit(X[:60], y[:60])

    def refuse(*_):
        raise AssertionError("trained a clone although there are validation rows")

    monkeypatch.setattr(_learned_errors, "cross_fit", refuse)
    for embeddings in (False, True):
        indices, _ = active_transfer_learning(
            model,
            X[300:],
            60,
            X_val=X[60:300],
            y_val=y[60:300],
            embeddings=embeddings,
            random_state=0,
        )
        wrong = model.predict(X[300:]) != y[300:]
        assert wrong[indices].mean() > 1.5 * wrong.mean()
    with pytest.raises(ValueError, match="together, or neither"):
        active_transfer_learning(model, X[300:], 3, X_val=X[60:300])
    with pytest.raises(ValueError, match="same length"):
        active_transfer_learning(model, X[300:], 3, X_val=X[60:300], y_val=y[60:90])


def test_string_labels_missing_classes_and_too_few(flat):
    X, y = flat
    names = np.array([f"digit {value}" for value in y])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(
        X[:60], names[:60]
    )
    learner = checks._Learner(model, X[:60], names[:60])
    assert (
        len(
            set(
                active_transfer_learning(
                    learner, X[60:], 9, embeddings=True, random_state=0
                )[0]
            )
        )
        == 9
    )
    # A class with one row is missing in the clone that does not see it.
    rows = np.concatenate(
        [
            np.flatnonzero(y == 0)[:8],
            np.flatnonzero(y == 1)[:8],
            np.flatnonzero(y == 2)[:1],
        ]
    )
    model = LogisticRegression().fit(X[rows], y[rows])
    known, wrong = _learned_errors._cross_fitted(
        model, X[rows], y[rows], None, False, 3, np.random.default_rng(0)
    )
    assert known.shape == (17, 3) and wrong[-1]
    few = checks._Learner(model, X[rows[[0, 8]]], y[rows[[0, 8]]])
    with pytest.raises(
        ValueError, match="Cross-fitting needs labelled rows of two classes"
    ):
        active_transfer_learning(few, X[:20], 3, random_state=0)


def test_where_nothing_is_wrong_it_says_so_and_asks_for_the_least_confident(flat):
    X, y = flat
    model = LogisticRegression(max_iter=300).fit(X[:60], y[:60])
    right = model.predict(X[100:200])
    with pytest.warns(UserWarning, match="100 held-out predictions are all right"):
        indices, _ = active_transfer_learning(
            model, X[300:], 5, X_val=X[100:200], y_val=right
        )
    np.testing.assert_array_equal(
        indices,
        selectors.top_k(measures.least_confidence(model.predict_proba(X[300:])), 5)[0],
    )


# CoreGCN


@pytest.mark.parametrize("kind", ["positive", "signed", "zeros"])
def test_the_graph_is_its_matrix(kind):
    features = np.random.default_rng(0).normal(size=(12, 5))
    features = features if kind == "signed" else np.abs(features)
    if kind == "zeros":
        features[[2, 7]] = 0
    graph = _learned_gcn.CosineGraph(torch.from_numpy(features))
    matrix = reference.graph_matrix(features)
    np.testing.assert_allclose(
        (graph @ torch.eye(12, dtype=torch.float64)).numpy(), matrix, atol=1e-10
    )
    assert np.isfinite(matrix).all()


def test_graph_loss_is_its_definition():
    rng = np.random.default_rng(0)
    logits, labelled = rng.normal(size=20), rng.random(20) < 0.4
    got = _learned_gcn.graph_loss(
        torch.from_numpy(logits), torch.from_numpy(labelled), 1.2
    )
    assert got.item() == pytest.approx(reference.graph_loss(logits, labelled, 1.2))


GRAPH = {
    "hidden": 32,
    "max_epochs": 60,
    "lr": 1e-2,
    "dropout": 0.3,
    "weight_decay": 5e-4,
    "unlabelled_weight": 1.2,
}


def test_the_graph_network_learns(half):
    rows = torch.from_numpy(np.concatenate([half["pool"], half["labelled"]]))
    labelled = torch.arange(len(rows)) >= len(half["pool"])
    before = _learned_gcn.train_graph(
        rows, labelled, generator=generator(), **{**GRAPH, "max_epochs": 1}
    )
    after = _learned_gcn.train_graph(rows, labelled, generator=generator(), **GRAPH)
    assert after.history[-1] < 0.85 * after.history[0] and not np.allclose(
        before.features, after.features
    )
    # Among the candidates, of which none is labelled, those like the labelled digits
    # look labelled.
    assert roc_auc_score(half["new"], -after.proba[: len(half["new"])]) > 0.75


def test_core_gcn_is_k_center_on_the_hidden_features_and_sees_no_class(
    half, monkeypatch
):
    results = []
    train = _learned_gcn.train_graph
    monkeypatch.setattr(
        _learned_gcn,
        "train_graph",
        lambda *args, **options: results.append(train(*args, **options)) or results[-1],
    )
    n = len(half["pool"])
    options = {"X_labelled": half["labelled"], "max_epochs": 5, "random_state": 0}
    indices, _ = core_gcn(None, half["pool"], 12, **options)
    features = results[0].features
    np.testing.assert_array_equal(
        indices, selectors.k_center(features[:n], 12, labelled=features[n:])[0]
    )
    uncertain, scores = core_gcn(None, half["pool"], 12, select="uncertain", **options)
    np.testing.assert_allclose(
        scores, -np.sort(np.abs(results[1].proba[:n] - 0.1))[:12]
    )
    assert scores[0] == -abs(results[1].proba[uncertain[0]] - 0.1)
    # Labels do not leak: whatever the classes of the labelled rows, or none at all, the
    # answer is the same.
    for y in (np.zeros(80, int), np.arange(80), None):
        learner = checks._Learner(LogisticRegression(), half["labelled"], y)
        learner.estimator = None
        np.testing.assert_array_equal(
            core_gcn(learner, half["pool"], 12, max_epochs=5, random_state=0)[0],
            indices,
        )
    # A part of the pool drawn at random, never smaller than what is asked for.
    part, _ = core_gcn(None, half["pool"], 12, max_candidates=20, **options)
    assert len(results[-1].features) == 20 + 80 and len(set(part.tolist())) == 12
    assert len(core_gcn(None, half["pool"], 30, max_candidates=20, **options)[0]) == 30


# Learning loss


class Fixed:
    """Predicts the losses it was given, by the first feature."""

    classes_ = np.arange(2)

    def __init__(self, shape=None):
        self.shape = shape

    def predict_loss(self, X):
        X = np.asarray(X)
        return X[:, 0] if self.shape is None else X[:, : self.shape]


def test_learning_loss_takes_the_top_of_a_random_part():
    X = np.random.default_rng(0).permutation(400)[:, None] * np.ones((1, 3))
    indices, scores = learning_loss(Fixed(), X, 5, subset_factor=None)
    np.testing.assert_array_equal(scores, [399, 398, 397, 396, 395])
    np.testing.assert_array_equal(X[indices, 0], scores)
    drawn = [learning_loss(Fixed(), X, 5, random_state=seed)[1] for seed in range(200)]
    # The best of 50 of 400: their mean rank is known.
    assert np.mean([scores[0] for scores in drawn]) == pytest.approx(
        400 - 401 / 51, abs=2
    )
    assert len(learning_loss(Fixed(), X[:9], 9)[0]) == 9
    # A column is one number a row; two are not.
    column = learning_loss(Fixed(1), X, 5, subset_factor=None)
    np.testing.assert_array_equal(column[0], indices)
    with pytest.raises(ValueError, match=r"\(50, 2\)"):
        learning_loss(Fixed(2), X, 5)
    with pytest.raises(ValueError, match="diverge"):
        learning_loss(Fixed(), np.full((20, 2), np.inf), 2)
    with pytest.raises(ValueError, match="subset_factor"):
        learning_loss(Fixed(), X, 5, subset_factor=0.5)


def test_the_network_that_was_trained_is_the_one_that_selects(digits):
    X, y = digits
    net = LossPredictionClassifier(
        max_epochs=3, iterator_train__min_batches=1, random_state=0
    ).fit(X[:60], y[:60])
    learner = ActiveLearner(
        net, query_strategy=learning_loss, X_training=X[:60], y_training=y[:60]
    )
    indices, rows = learner.query(X[60:200], n_instances=10, subset_factor=None)
    expected = np.argsort(-learner.estimator.predict_loss(X[60:200]), kind="stable")[
        :10
    ]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(rows, X[60:200][indices])


# Beside networks and in comparisons


@pytest.mark.parametrize("strategy", NEEDS_LABELS, ids=lambda s: s.__name__)
def test_the_task_network_is_left_as_it_was(strategy, digits):
    X, y = digits
    net = ImageClassifier(
        "resnet20", max_epochs=1, iterator_train__min_batches=1, random_state=0
    ).fit(X[:40], y[:40])
    quick = {
        dal: {"max_epochs": 2},
        core_gcn: {"max_epochs": 2},
        active_transfer_learning: {"max_epochs": 2, "cv": 2},
    }
    options = quick.get(strategy, {"n_steps": 2})
    before = {
        key: value.clone() for key, value in net.module_.state_dict().items()
    }  # BatchNorm's buffers among them
    optimizer, history = pickle.dumps(net.optimizer_.state_dict()), len(net.history)
    rng = torch.get_rng_state(), np.random.get_state()[1].copy()
    strategy(
        checks._Learner(net, X[:40], y[:40]), X[40:80], 4, random_state=0, **options
    )
    assert all(
        torch.equal(value, before[key])
        for key, value in net.module_.state_dict().items()
    )
    assert not any(part.training for part in net.module_.modules())
    assert (
        pickle.dumps(net.optimizer_.state_dict()) == optimizer
        and len(net.history) == history
    )
    assert torch.equal(torch.get_rng_state(), rng[0]) and np.array_equal(
        np.random.get_state()[1], rng[1]
    )


def test_they_run_in_a_comparison(digits):
    X, y = digits
    strategies = [
        learning_loss,
        partial(dal, max_epochs=2),
        partial(vaal, n_steps=2),
        partial(vaal_distance, n_steps=2),
        partial(core_gcn, max_epochs=2),
        partial(active_transfer_learning, max_epochs=2, cv=2),
    ]
    net = LossPredictionClassifier(max_epochs=1, iterator_train__min_batches=1)
    comparison = StrategyComparison(
        net, strategies, n_initial=20, n_instances=5, n_rounds=1, n_seeds=1
    )
    with pytest.warns(UserWarning):
        comparison.fit(X[:120], y[:120], X[120:160], y[120:160]).summary()
    assert comparison.results_.groupby("strategy").n_labelled.max().eq(25).all()


def test_an_ensemble_embeds_for_them(digits):
    X, y = digits
    net = ImageClassifier(max_epochs=1, iterator_train__min_batches=1)
    ensemble = DeepEnsemble(net, n_members=2, random_state=0).fit(X[:40], y[:40])
    learner = checks._Learner(ensemble, X[:40], y[:40])
    assert inference.embed(ensemble, X[:3]).shape == (3, 256)
    assert len(dal(learner, X[40:80], 4, max_epochs=2, random_state=0)[0]) == 4
    assert len(core_gcn(learner, X[40:80], 4, max_epochs=2, random_state=0)[0]) == 4
