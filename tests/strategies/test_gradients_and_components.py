"""Gradients as a measure beside any selector, and distances in principal components."""

import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from al_sklearn import inference, strategies
from al_sklearn.estimators import ImageClassifier
from al_sklearn.exceptions import CapabilityError
from al_sklearn.strategies import selectors


@pytest.fixture(scope="module")
def net(digits):
    X, y = digits
    return ImageClassifier(max_epochs=3, random_state=0).fit(X[:60], y[:60])


def test_gradients_weigh_a_coreset(net, digits):
    X = digits[0][100:180]
    known = digits[0][:60]
    chosen, _ = strategies.coreset(
        net, X, 10, measure="input_gradient", X_labelled=known
    )
    expected, _ = selectors.k_center(
        inference.embed(net, X),
        10,
        labelled=inference.embed(net, known),
        utilities=inference.input_gradient(net, X),
    )
    assert chosen.tolist() == expected.tolist()
    plain, _ = strategies.coreset(net, X, 10, X_labelled=known)
    assert plain.tolist() != chosen.tolist()


def test_gradients_order_what_is_labelled(net, digits):
    X, known = digits[0][100:180], digits[0][:60]
    chosen, _ = strategies.k_nearest(
        net, X, 10, measure="input_gradient", n_neighbors=3, X_labelled=known
    )
    expected, _ = selectors.k_nearest(
        inference.embed(net, X),
        10,
        labelled=inference.embed(net, known),
        utilities=inference.input_gradient(net, known),
        n_neighbors=3,
    )
    assert chosen.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["coreset", "k_nearest"])
@pytest.mark.parametrize("n_components", [2, 500])
def test_distances_in_principal_components(net, digits, name, n_components):
    X, known = digits[0][100:180], digits[0][:60]
    strategy = getattr(strategies, name)
    chosen, _ = strategy(
        net, X, 10, n_components=n_components, X_labelled=known, random_state=0
    )
    features = inference.embed(net, X)
    # No more than there are: then it is a rotation, and nobody moves.
    pca = PCA(min(n_components, *features.shape)).fit(features)
    labelled = pca.transform(inference.embed(net, known))
    select = selectors.k_center if name == "coreset" else selectors.k_nearest
    options = {}
    if name == "k_nearest":
        proba = net.predict_proba(known)
        options = {"utilities": strategies.measures.margin(proba), "n_neighbors": 5}
    expected, _ = select(pca.transform(features), 10, labelled=labelled, **options)
    if n_components == 2:
        assert chosen.tolist() == expected.tolist()
    else:
        assert len(set(chosen.tolist()) & set(expected.tolist())) >= 8
    with pytest.raises(ValueError, match="n_components must be an integer of at least"):
        strategy(net, X, 3, n_components=0, X_labelled=known)


def test_gradients_beside_any_selector_and_in_a_stream_of_their_own(net, digits):
    X = digits[0][100:180]
    for strategy in (
        strategies.weighted("input_gradient", "k_center"),
        strategies.stochastic("input_gradient"),
    ):
        chosen, _ = strategy(net, X, 5, random_state=0)
        assert len(set(chosen.tolist())) == 5


def test_who_has_no_gradients_says_so(digits):
    X, y = digits[0][:60].reshape(60, -1) / 255, digits[1][:60]
    model = LogisticRegression(max_iter=50).fit(X, y)
    with pytest.raises(CapabilityError, match="input_gradient"):
        strategies.coreset(model, X, 3, measure="input_gradient")
