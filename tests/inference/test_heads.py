"""What makes a network's output, and what the embedding is where no layer does."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn import functional as F
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from al_sklearn import ActiveLearner, ImageClassifier, inference
from al_sklearn.estimators import FrozenBackbone
from al_sklearn.estimators.networks import build_network
from al_sklearn.exceptions import CapabilityError
from al_sklearn.inference.modules import last_linear, layer_names, tapping


class Hidden(nn.Module):
    """A hidden linear layer, and behind it what a subclass ends with."""

    n_hidden = 6

    def __init__(self, n_classes=10):
        super().__init__()
        self.hidden = nn.Linear(64, self.n_hidden)
        self.make(n_classes)

    def make(self, n_classes):
        self.head = nn.Linear(self.n_hidden, n_classes)

    def features(self, x):
        return torch.relu(self.hidden(x.flatten(1)))

    def forward(self, x):
        return self.head(self.features(x))


class Tempered(Hidden):
    def make(self, n_classes):
        super().make(n_classes)
        self.scale, self.shift = nn.Parameter(torch.ones(1)), torch.zeros(n_classes)

    def forward(self, x):
        return super().forward(x) * self.scale.exp() + self.shift


class Normed(Hidden):
    def make(self, n_classes):
        super().make(n_classes)
        self.norm = nn.BatchNorm1d(n_classes)

    def forward(self, x):
        return F.dropout(self.norm(super().forward(x)), 0.5, self.training).squeeze()


class TwoAnswers(Hidden):
    def make(self, n_classes):
        super().make(n_classes)
        self.other = nn.Linear(3, 2)

    def forward(self, x):
        features = self.features(x)
        return self.head(features), self.other(features[:, :3])


class ByKeyword(Hidden):
    def forward(self, x):
        return self.head(input=self.features(x))


class SeveralDrops(Hidden):
    def forward(self, x):
        features = self.features(x)
        return torch.stack([self.head(F.dropout(features, 0.1, False))] * 3).mean(0)


class OverPlaces(Hidden):
    """Its head is applied to each place of a map, and averaged."""

    def forward(self, x):
        features = self.features(x)
        return self.head(torch.stack([features, features], dim=1)).mean(1)


class Cosine(Hidden):
    def make(self, n_classes):
        self.weight = nn.Parameter(torch.randn(n_classes, self.n_hidden))

    def forward(self, x):
        x = self.features(x)
        return 10 * F.linear(F.normalize(x), F.normalize(self.weight))


class Convolved(Hidden):
    def make(self, n_classes):
        self.head = nn.Conv2d(self.n_hidden, n_classes, 1)

    def forward(self, x):
        return self.head(self.features(x)[:, :, None, None]).mean((2, 3))


class Prototypes(Hidden):
    def make(self, n_classes):
        self.register_buffer("prototypes", torch.randn(n_classes, self.n_hidden))

    def forward(self, x):
        return -torch.cdist(self.features(x), self.prototypes)


class Residual(Hidden):
    """As wide as it has classes: the sizes alone tell nothing."""

    n_hidden = 10

    def make(self, n_classes):
        self.last = nn.Linear(10, n_classes)

    def forward(self, x):
        x = self.features(x)
        if self.training:
            return x + self.last(x)
        # In place, which no training would survive.
        x += self.last(x)
        return x


class Written(Hidden):
    """Puts what the layer gives into a tensor that held something else."""

    n_hidden = 10

    def make(self, n_classes):
        self.last = nn.Linear(10, n_classes)

    def forward(self, x):
        out = self.last(self.features(x))
        out[:, :5] = x.flatten(1)[:, :5]
        return out


MADE = {
    Hidden: "head",
    Tempered: "head",
    Normed: "head",
    TwoAnswers: "head",
    ByKeyword: "head",
    SeveralDrops: "head",
    OverPlaces: "head",
}
NOT_MADE = [Cosine, Convolved, Prototypes, Residual, Written]


def fitted(module, images, **params):
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        max_epochs=1,
        train_split=None,
        verbose=0,
        **params,
    )
    if module is TwoAnswers:
        net.get_loss = lambda y_pred, y, **_: F.cross_entropy(y_pred[0], y)
    return net.fit(*images)


@pytest.fixture(scope="module")
def images(digits):
    X, y = digits
    return X[:40, None].astype(np.float32) / 255, y[:40]


@pytest.mark.parametrize("module", MADE, ids=lambda module: module.__name__)
def test_the_layer_that_makes_the_output_is_found(module, images):
    net = module().eval()
    x = torch.as_tensor(images[0][:2])
    assert last_linear(net, lambda: net(x)) == MADE[module]
    assert last_linear(net, lambda: [net(x)]) == MADE[module]
    # And so it is in a network around it.
    outer = nn.Sequential(nn.Identity(), net, nn.Softmax(1))
    if module is not TwoAnswers:
        assert last_linear(outer, lambda: outer(x)) == f"1.{MADE[module]}"
    net = fitted(module, images)
    embeddings = inference.embed(net, images[0])
    with torch.no_grad():
        expected = net.module_.features(torch.as_tensor(images[0]))
    if module is OverPlaces:
        expected = torch.cat([expected, expected], dim=1)
    np.testing.assert_allclose(embeddings, expected, atol=1e-6)


@pytest.mark.parametrize("module", NOT_MADE, ids=lambda module: module.__name__)
def test_where_none_makes_it_that_is_said(module, images):
    X, _ = images
    net = module().eval()
    x = torch.as_tensor(X[:2])
    assert last_linear(net, lambda: net(x)) is None
    # Asked for what runs last alone, as ever.
    assert last_linear(net, lambda: [net(x)].clear()) is not None
    net = fitted(module, images)
    for asked in (
        lambda: inference.embed(net, X),
        lambda: inference.proba_and_embed(net, X),
        lambda: inference.gradient_factors(net, X),
        lambda: inference.last_layer(net, X),
        lambda: inference.feature_dropout(net, X),
        lambda: ActiveLearner(net, "coreset").query(X, n_instances=2),
    ):
        with pytest.raises(CapabilityError, match=r"no nn.Linear .* layer='output'"):
            asked()
    with pytest.raises(ValueError, match="makes the output, and in this network none"):
        build_network(module, {"freeze": True}, (1, 8, 8), 10)
    # What it gives, before any softmax.
    logits = inference.embed(net, X, layer="output")
    np.testing.assert_allclose(
        logits, net.forward(X).detach().numpy(), rtol=1e-5, atol=1e-6
    )
    indices, _ = ActiveLearner(net, "coreset").query(X, n_instances=3, layer="output")
    assert len(set(indices)) == 3


def test_the_output_of_every_kind_of_net(images, digits):
    X, y = images
    for module in (Hidden, TwoAnswers, Normed):
        net = fitted(module, images)
        given = net.forward(X)
        given = given[0] if isinstance(given, tuple) else given
        np.testing.assert_allclose(
            inference.embed(net, X, layer="output"), given.detach(), atol=1e-6
        )
    classifier = ImageClassifier(max_epochs=1, random_state=0).fit(X, y)
    logits = inference.embed(classifier, X, layer="output")
    np.testing.assert_allclose(
        np.exp(logits) / np.exp(logits).sum(1, keepdims=True),
        classifier.predict_proba(X),
        atol=1e-5,
    )
    with pytest.raises(ValueError, match=r"Unknown layer 'ouput'.*output, what the"):
        inference.embed(classifier, X, layer="ouput")


def test_a_layer_called_output_is_meant_where_there_is_one():
    net = nn.Sequential()
    net.add_module("output", nn.Linear(4, 3))
    net.add_module("after", nn.Softmax(1))
    assert layer_names(net) == ["output", "after"]
    seen = []
    with tapping(net, seen.append, "output"):
        given = net(torch.ones(2, 4))
    assert torch.allclose(seen[0].softmax(1), given)
    with tapping(net, seen.append, "output", before=True):
        net(torch.ones(2, 4))
    assert torch.equal(seen[1], torch.ones(2, 4))


class OwnFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


def test_what_cannot_be_followed_is_taken_as_ever(images):
    class Unseen(Hidden):
        def forward(self, x):
            return OwnFunction.apply(super().forward(x))

    net = Unseen()
    assert last_linear(net, lambda: net(torch.as_tensor(images[0][:2]))) == "head"


def test_nothing_is_left_behind(images):
    net = Cosine()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    last_linear(net, lambda: net(torch.as_tensor(images[0][:2])))
    assert all(torch.equal(before[name], value) for name, value in before.items())
    assert not any(p._forward_hooks or p._forward_pre_hooks for p in net.modules())


# ---- headless networks as backbones --------------------------------------------------


def transformer():
    vision = pytest.importorskip("torchvision.models.vision_transformer")
    torch.manual_seed(0)
    net = vision.VisionTransformer(8, 4, 1, 2, 16, 32)
    net.heads = nn.Identity()
    return net


class Tower(nn.Module):
    """CLIP's: a transformer whose token is multiplied with plain weights."""

    def __init__(self):
        super().__init__()
        self.body, self.proj = transformer(), nn.Parameter(torch.randn(16, 12))

    def forward(self, x):
        return self.body(x) @ self.proj


def convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def cut():
    """VGG's usual cut: the last layer taken away, its activation before it left."""
    torch.manual_seed(0)
    return nn.Sequential(
        *convolutional(), nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU()
    )


class Normalised(nn.Module):
    """As networks for faces end."""

    def __init__(self):
        super().__init__()
        self.body, self.fc = convolutional(), nn.Linear(5, 4)

    def forward(self, x):
        return F.normalize(self.fc(self.body(x)))


def scores(n):
    return nn.Sequential(*convolutional(), nn.Linear(5, n))


@pytest.mark.parametrize(
    ("make", "size"),
    [(transformer, 16), (Tower, 12), (convolutional, 5), (cut, 7), (Normalised, 4)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_headless_networks_embedding_is_its_output(make, size):
    net = make().eval()
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    backbone = FrozenBackbone(net, cache=False).fit(images)
    assert (backbone.layer_, backbone.get_feature_names_out().shape) == (
        "output",
        (size,),
    )
    with torch.no_grad():
        expected = net(torch.as_tensor(images).permute(0, 3, 1, 2) / 255)
    np.testing.assert_allclose(backbone.transform(images), expected, atol=1e-4)
    named = FrozenBackbone(net, layer="output", cache=False)
    np.testing.assert_array_equal(
        named.fit_transform(images), backbone.transform(images)
    )


@pytest.mark.parametrize("ending", [nn.Identity, lambda: nn.Softmax(1), nn.Sigmoid])
def test_a_head_is_left_out_of_the_embedding(ending):
    net = nn.Sequential(*scores(3), ending()).eval()
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    backbone = FrozenBackbone(net, cache=False).fit(images)
    assert (backbone.layer_, backbone.transform(images).shape) == (None, (3, 5))
    assert FrozenBackbone(net, layer="output").fit_transform(images).shape == (3, 3)


def test_timm_without_classes():
    timm = pytest.importorskip("timm")
    net = timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, img_size=32, patch_size=8, depth=1
    )
    images = np.zeros((2, 32, 32, 3), np.uint8)
    assert FrozenBackbone(net, cache=False).fit_transform(images).shape == (2, 192)


# ---- iterators of plain nets ---------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"drop_last": True}, r"32 of 40 rows \(drop_last=True\)"),
        ({"shuffle": True}, "order of a RandomSampler"),
        ({"sampler": RandomSampler(range(40))}, "order of a RandomSampler"),
        ({"sampler": SequentialSampler(range(32))}, "32 of 40 rows"),
        ({"sampler": range(39, -1, -1)}, "order of a range"),
    ],
)
def test_a_scoring_iterator_that_skips_or_shuffles_is_refused(images, params, says):
    X, _ = images
    net = fitted(Hidden, images, batch_size=16)
    for key, value in params.items():
        # Not by set_params, which skorch refuses on a fitted net.
        setattr(net, f"iterator_valid__{key}", value)
    for asked in (
        lambda: inference.predict_proba(net, X),
        lambda: inference.embed(net, X),
        lambda: inference.input_gradient(net, X),
        lambda: inference.feature_dropout(net, X),
        lambda: list(inference.network_inputs(net, X)),
        lambda: ActiveLearner(net, "coreset").query(X, n_instances=3),
    ):
        with pytest.raises(ValueError, match=f"iterator_valid of Neural.*{says}"):
            asked()


def test_iterators_that_give_every_row_in_order_are_taken(images):
    X, _ = images
    net = fitted(Hidden, images, batch_size=16)
    expected = inference.predict_proba(net, X)
    for params in (
        {"drop_last": True, "batch_size": 20},
        {"sampler": range(40)},
        {"shuffle": False, "num_workers": 0},
    ):
        other = fitted(Hidden, images, batch_size=16)
        for key, value in params.items():
            setattr(other, f"iterator_valid__{key}", value)
        np.testing.assert_allclose(
            inference.predict_proba(other, X), expected, rtol=1e-5
        )
    by_batch = BatchSampler(SequentialSampler(range(40)), 7, drop_last=False)
    other.iterator_valid = lambda dataset, **_: DataLoader(
        dataset, batch_sampler=by_batch
    )
    np.testing.assert_allclose(inference.predict_proba(other, X), expected, rtol=1e-5)


class Halves:
    """An iterator of one's own that gives other numbers of rows."""

    def __init__(self, dataset, batch_size, times):
        self.loader, self.times = DataLoader(dataset, batch_size), times

    def __iter__(self):
        batches = [*self.loader]
        yield from batches * 2 if self.times == 2 else batches[:1]


@pytest.mark.parametrize(("times", "says"), [(2, "more than 40"), (0.5, "16 of 40")])
def test_rows_are_counted(images, times, says):
    X, _ = images
    net = fitted(
        Hidden,
        images,
        batch_size=16,
        iterator_valid=Halves,
        iterator_valid__times=times,
    )
    with pytest.raises(ValueError, match=f"gave {says} rows"):
        inference.embed(net, X)


def test_each_row_has_one_predicted_loss(images):
    X, _ = images

    with pytest.raises(ValueError, match=r"shape \(39, 1\) for 40 rows"):
        inference.predict_loss(Own(np.ones((39, 1))), X)
    assert inference.predict_loss(Own(np.ones((40, 1))), X).shape == (40,)


class Own:
    def __init__(self, losses):
        self.losses = losses

    def predict_loss(self, X):
        return self.losses
