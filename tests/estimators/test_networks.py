"""The networks take the images they are given, whatever their size and channels, and
are those of the papers."""

import copy
import importlib.util
import json
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from al_sklearn import inference
from al_sklearn.estimators._augment import flip_crop
from al_sklearn.estimators._folding import folded
from al_sklearn.estimators.networks import (
    NETWORKS,
    build_network,
    export_classifier,
    resnet18,
    resnet20,
    small_cnn,
    vgg16,
    wide_resnet28_2,
    wide_resnet28_10,
)
from al_sklearn.estimators.networks import _pretrained as pretrained
from al_sklearn.estimators.networks import _timm as timm_module
from al_sklearn.estimators.networks._shake_shake import Shake, _ShiftedShortcut

HEAVY = {"resnet18", "resnet34", "resnet50", "wide_resnet28_10"}


def n_weights(net):
    return sum(weights.numel() for weights in net.parameters())


def as_colour(digits, n, factor=4):
    """Digits as ``n`` colour images of 32x32 pixels."""
    X, y = digits
    big = np.kron(X[:n], np.ones((1, factor, factor), np.uint8))
    return np.stack([big, 255 - big, big // 2], axis=-1), y[:n]


def vgg16_bn_features():
    """Return torchvision's convolutions, without the 120 million weights of its linear
    layers."""
    vgg = pytest.importorskip("torchvision.models.vgg")
    return vgg.make_layers(vgg.cfgs["D"], batch_norm=True)


# ---- shapes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape"),
    # Sorted: workers that share the tests must find them in one order.
    [(name, (3, 9, 13)) for name in NETWORKS]
    + [
        (name, shape)
        for name in sorted(set(NETWORKS) - HEAVY)
        for shape in [(1, 8, 8), (1, 28, 28), (3, 64, 64)]
    ],
)
def test_shapes(name, shape):
    if name == "efficientnet_lite0":
        pytest.importorskip("efficientnet_lite_pytorch")
    net = build_network(name, {}, shape, 7)
    images = torch.rand(2, *shape)
    with torch.no_grad():
        assert net(images).shape == (2, 7)
        net.eval()
        assert isinstance(
            [part for part in net.modules() if isinstance(part, nn.Linear)][-1],
            nn.Linear,
        )
        torch.testing.assert_close(
            net(images)[1:2], net(images[1:2]), atol=1e-4, rtol=1e-3
        )


@pytest.mark.parametrize(
    ("name", "millions"),
    # wide_resnet28_10 and _2: the paper's 36.5 and 1.5; shake_shake26: the 2.9 of 26
    # 2x32d; resnet20: the paper's 0.27; the others are the counts that the CIFAR-10
    # forms of these networks are known by.
    [
        ("resnet20", 0.27),
        ("resnet18", 11.17),
        ("resnet34", 21.28),
        ("resnet50", 23.52),
        ("vgg16", 14.73),
        ("wide_resnet28_10", 36.48),
        ("wide_resnet28_2", 1.47),
        ("shake_shake26", 2.92),
    ],
)
def test_parameter_counts_on_cifar10(name, millions):
    with torch.device("meta"):
        net = build_network(name, {}, (3, 32, 32), 10)
    assert round(n_weights(net) / 1e6, 2) == millions
    # Without being asked to they have no dropout.
    assert not any(isinstance(part, nn.Dropout) for part in net.modules())


def test_layers_are_counted_as_the_papers_count_them():
    def n_kernels(net, size):
        return sum(
            isinstance(part, nn.Conv2d) and part.kernel_size == (size, size)
            for part in net.modules()
        )

    with torch.device("meta"):
        assert n_kernels(resnet20(), 3) == 19
        # Blocks of two in three stages of four, and the stem; the shortcuts are 1x1.
        assert (n_kernels(wide_resnet28_10(), 3), n_kernels(wide_resnet28_10(), 1)) == (
            25,
            3,
        )
        assert n_kernels(NETWORKS["shake_shake26"](), 3) == 2 * 24 + 1
        assert n_kernels(vgg16(), 3) == 13


def test_small_cnn_has_a_dropout_head_behind_all_convolutions():
    parts = list(small_cnn().modules())
    kinds = [type(part) for part in parts]
    assert kinds.count(nn.Dropout) == 2
    assert kinds.index(nn.Dropout) > max(
        i for i, kind in enumerate(kinds) if kind is nn.Conv2d
    )
    assert kinds[-1] is nn.Linear


def test_only_accepted_parameters_are_inferred():
    class Names(nn.Module):
        def __init__(self, n_outputs, in_chans, img_size, extra=1):
            super().__init__()
            self.got = (n_outputs, in_chans, img_size, extra)

    assert build_network(Names, {}, (3, 8, 8), 5).got == (5, 3, 8, 1)
    assert build_network(Names, {"extra": 2, "in_chans": 4}, (3, 8, 9), 5).got == (
        5,
        4,
        (8, 9),
        2,
    )


@pytest.mark.parametrize(
    ("image_size", "kernel", "pools"), [(32, 3, False), (64, 3, False), (65, 7, True)]
)
def test_the_stem_of_a_resnet_follows_the_image_size(image_size, kernel, pools):
    net = resnet18(3, 10, image_size)
    assert net.conv1.kernel_size == (kernel, kernel)
    assert isinstance(net.maxpool, nn.MaxPool2d) == pools
    assert not any(
        name.startswith("conv1")
        for name, _ in resnet18(3, 10, (8, 64)).maxpool.named_parameters()
    )


def test_resnets_are_torchvisions():
    models = pytest.importorskip("torchvision.models")
    theirs = models.resnet18().eval()
    ours = resnet18(3, 1000, 96).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))
    small = build_network("resnet18", {}, (3, 32, 32), 10)
    named = build_network("torchvision:resnet18", {}, (3, 32, 32), 10)
    shapes = [
        {name: value.shape for name, value in net.state_dict().items()}
        for net in (small, named)
    ]
    assert shapes[0] == shapes[1]


def test_vgg16_has_torchvisions_convolutions_and_its_own_head():
    theirs, ours = vgg16_bn_features().eval(), vgg16().eval()
    ours.features.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(ours.features(images), theirs(images))
    with torch.device("meta"):
        assert (
            n_weights(build_network("torchvision:vgg16", {}, (3, 32, 32), 10)) > 100e6
        )


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("squeezenet1_1", (3, 32, 32)),
        ("mobilenet_v3_small", (1, 28, 28)),
        ("alexnet", (3, 32, 32)),
    ],
)
def test_torchvision_models_fit_small_images(name, shape):
    pytest.importorskip("torchvision")
    net = build_network(name, {}, shape, 4)
    net.eval()
    assert net(torch.rand(2, *shape)).shape == (2, 4)
    assert copy.deepcopy(net)(torch.rand(2, *shape)).shape == (2, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["vgg11", "densenet121", "googlenet", "inception_v3", "efficientnet_b0",
     "shufflenet_v2_x0_5", "mnasnet0_5", "convnext_tiny", "swin_t", "vit_b_16",
     "maxvit_t", "regnet_y_400mf"],
)  # fmt: skip
def test_every_family_of_torchvision(name):
    pytest.importorskip("torchvision")
    net = build_network(name, {"dropout": 0.4, "freeze": True}, (11, 32, 32), 4)
    assert net(torch.rand(2, 11, 32, 32)).shape == (2, 4)
    trained = [
        name for name, weights in net.named_parameters() if weights.requires_grad
    ]
    assert (
        1 <= len(trained) <= 2
        and len({name.rpartition(".")[0] for name in trained}) == 1
    )
    active = [
        part for part in net.modules() if isinstance(part, nn.Dropout) and part.training
    ]
    assert active and all(part.p == 0.4 for part in active)


# ---- Shake-Shake ---------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(1, 5),
    channels=st.integers(1, 3),
    side=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_shake_is_convex_per_image_and_its_gradient_another(n, channels, side, seed):
    torch.manual_seed(seed)
    first = torch.randn(
        n, channels, side, side, dtype=torch.float64, requires_grad=True
    )
    second = torch.randn(
        n, channels, side, side, dtype=torch.float64, requires_grad=True
    )
    shake = Shake().train()
    out = shake(first, second)
    # Solved for the weight: alpha first + (1 - alpha) second = out, one alpha an image.
    alpha = ((out - second) / (first - second)).detach().flatten(1)
    torch.testing.assert_close(
        alpha, alpha[:, :1].expand_as(alpha), atol=1e-6, rtol=1e-6
    )
    upstream = torch.randn_like(out)
    ahead, behind = torch.autograd.grad(out, (first, second), upstream)
    beta = (ahead / upstream).flatten(1)
    torch.testing.assert_close(beta, beta[:, :1].expand_as(beta))
    torch.testing.assert_close(ahead + behind, upstream)
    for weights in (alpha[:, 0], beta[:, 0]):
        assert (weights > -1e-9).all() and (weights < 1 + 1e-9).all()
    assert (alpha[:, 0] - beta[:, 0]).abs().max() > 1e-6
    assert n == 1 or alpha[:, 0].unique().numel() == n
    assert torch.equal(shake.eval()(first, second), (first + second) / 2)


def test_shake_is_one_half_in_expectation():
    torch.manual_seed(0)
    first, second = (
        torch.ones(20_000, 1, 1, 1, requires_grad=True),
        torch.zeros(20_000, 1, 1, 1),
    )
    out = Shake().train()(first, second)
    out.sum().backward()
    for draws in (out.detach(), first.grad):
        # Uniform on [0, 1]: mean 1/2, variance 1/12; five standard errors.
        assert abs(draws.mean() - 0.5) < 5 * (1 / 12 / 20_000) ** 0.5
        assert abs(draws.var() - 1 / 12) < 0.003
    assert abs(np.corrcoef(out.detach().flatten(), first.grad.flatten())[0, 1]) < 0.05


def test_the_shifted_shortcut_sees_other_pixels_in_its_second_half():
    shortcut = _ShiftedShortcut(1, 2, 2)
    shortcut.bn = nn.Identity()
    for convolution in (shortcut.conv1, shortcut.conv2):
        nn.init.ones_(convolution.weight)
    image = torch.arange(16.0).view(1, 1, 4, 4)
    expected = torch.zeros(2, 2, 2)
    for row in range(2):
        for column in range(2):
            expected[0, row, column] = image[0, 0, 2 * row, 2 * column]
            if row and column:
                expected[1, row, column] = image[0, 0, 2 * row - 1, 2 * column - 1]
    assert torch.equal(shortcut(image)[0], expected)


# ---- pretrained weights --------------------------------------------------------------


@pytest.fixture
def weights_of(monkeypatch):
    """Serve a torchvision model's random weights as if they had been fetched."""
    models = pytest.importorskip("torchvision.models")

    def serve(plain):
        monkeypatch.setattr(pretrained, "_fetch", lambda name, url: None)
        monkeypatch.setattr(
            models.WeightsEnum,
            "get_state_dict",
            lambda self, *args, **kwargs: plain.state_dict(),
        )

    return serve


@pytest.mark.parametrize("channels", [1, 3, 11])
def test_pretrained_weights_keep_their_trunk(weights_of, channels):
    plain = resnet18(3, 1000, 96)
    weights_of(plain)
    net = build_network("resnet18", {"weights": "imagenet"}, (channels, 32, 32), 4)
    assert net.fc.out_features == 4
    assert torch.equal(net.layer1[0].conv1.weight, plain.layer1[0].conv1.weight)
    # The stem is that of the weights also for small images, and sees grey as it did.
    grey = torch.rand(2, 1, 32, 32)
    ours, theirs = (
        net.conv1(grey.expand(-1, channels, -1, -1)),
        plain.conv1(grey.expand(-1, 3, -1, -1)),
    )
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_pretrained_vgg16(weights_of):
    features = vgg16_bn_features()
    weights_of(nn.Sequential(OrderedDict(features=features)))
    net = vgg16(11, 4, weights="DEFAULT")
    assert torch.equal(net.features[3].weight, features[3].weight)
    assert net(torch.rand(2, 11, 32, 32)).shape == (2, 4)


def test_squeezenet_scores_as_with_its_convolution(weights_of):
    plain = pytest.importorskip("torchvision.models").squeezenet1_1()
    weights_of(plain)
    ours = build_network(
        "torchvision:squeezenet1_1", {"num_classes": 1000}, (3, 80, 80), 4
    ).eval()
    ours.features.load_state_dict(plain.features.state_dict())
    convolution = plain.classifier[1]
    ours.classifier.linear.load_state_dict(
        {"weight": convolution.weight.flatten(1), "bias": convolution.bias}
    )
    images = torch.rand(2, 3, 80, 80)
    with torch.no_grad():
        expected = convolution(plain.features(images)).mean((2, 3))
        torch.testing.assert_close(ours(images), expected, atol=1e-5, rtol=1e-4)
    assert build_network("squeezenet1_1", {"weights": "imagenet"}, (3, 80, 80), 4)(
        images
    ).shape == (2, 4)


def test_bands_of_a_fresh_stem_differ():
    weights = resnet18(11, 4, 96).conv1.weight
    assert weights.shape[1] == 11
    assert not torch.equal(weights[:, 0], weights[:, 1])
    # He's standard deviation, by the number of outputs.
    assert abs(weights.std() / (2 / (64 * 49)) ** 0.5 - 1) < 0.05


# ---- dropout, freeze, resize ---------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "own"),
    [("alexnet", 2), ("squeezenet1_1", 1), ("mobilenet_v3_small", 1),
     ("shufflenet_v2_x0_5", 0), ("resnet18", 0), ("resnet20", 0),
     ("shake_shake26", 0), ("vgg16", 0)],
)  # fmt: skip
def test_dropout_of_any_network(name, own):
    pytest.importorskip("torchvision")
    shape = (3, 32, 32)

    def probabilities(params):
        with torch.device("meta"):
            net = build_network(name, params, shape, 4)
        return [part.p for part in net.modules() if isinstance(part, nn.Dropout)]

    assert len(probabilities({})) == own
    assert probabilities({"dropout": 0.25}) == [0.25] * max(own, 1)
    assert [p for p in probabilities({"dropout": 0.0}) if p > 0] == []
    with torch.device("meta"):
        net = build_network(name, {"dropout": 0.25}, shape, 4)
    order = list(net.modules())
    last_dropout = max(
        i for i, part in enumerate(order) if isinstance(part, nn.Dropout)
    )
    assert last_dropout > max(
        i for i, part in enumerate(order) if isinstance(part, nn.Conv2d)
    )


@pytest.mark.parametrize("build", [wide_resnet28_2, wide_resnet28_10])
def test_wide_residual_networks_drop_between_the_convolutions_of_a_block(build):
    with torch.device("meta"):
        nets = [build(dropout=0.3), build()]
    parts = [
        [name for name, part in net.named_modules() if isinstance(part, nn.Dropout)]
        for net in nets
    ]
    blocks = [f"stage{stage}.{i}" for stage in (1, 2, 3) for i in range(4)]
    assert parts == [[f"{block}.dropout" for block in blocks], []]
    # By the definition: x + W2 drop(relu(bn(W1 relu(bn(x))))).
    torch.manual_seed(0)
    block = wide_resnet28_2(dropout=0.3).stage1[1].double()
    x = torch.randn(2, 32, 8, 8, dtype=torch.float64)
    torch.manual_seed(1)
    got = block(x)
    torch.manual_seed(1)
    hidden = block.conv1(block.bn1(x).relu())
    hidden = F.dropout(block.bn2(hidden).relu(), 0.3, training=True)
    torch.testing.assert_close(got, x + block.conv2(hidden))


class Backwards(nn.Module):
    """Registers its last layer first, and two of its layers share a name's
    beginning."""

    def __init__(self, n_classes):
        super().__init__()
        self.out = nn.Linear(6, n_classes)
        self.bn = nn.BatchNorm1d(6)
        self.first = nn.Linear(64, 6)

    def forward(self, x):
        return self.out(self.bn(self.first(x.flatten(1))))


@pytest.mark.parametrize("module", [Backwards, Backwards(3)])
def test_options_find_the_layer_that_runs_last(module):
    net = build_network(module, {"dropout": 0.5, "freeze": True}, (1, 8, 8), 3)
    assert [
        name for name, weights in net.named_parameters() if weights.requires_grad
    ] == [
        "out.linear.weight",
        "out.linear.bias",
    ]
    assert net.out.dropout.p == 0.5
    if isinstance(module, nn.Module):
        assert isinstance(module.out, nn.Linear) and all(
            weights.requires_grad for weights in module.parameters()
        )
        assert torch.equal(net.first.weight, module.first.weight)


def test_a_network_keeps_options_of_its_own():
    class Own(Backwards):
        def __init__(self, n_classes, dropout=0.1, freeze=False):
            super().__init__(n_classes)
            self.got = (dropout, freeze)

    assert build_network(Own, {"dropout": 0.3, "freeze": True}, (1, 8, 8), 3).got == (
        0.3,
        True,
    )
    assert build_network(Own(3), {"dropout": 0.3}, (1, 8, 8), 3).got == (0.3, False)


@pytest.mark.parametrize(
    "name", ["squeezenet1_1", "mobilenet_v3_small", "resnet20", "small_cnn"]
)
def test_a_frozen_trunk_stays_as_it_was(digits, quick, name):
    images, labels = as_colour(digits, 24)
    net = quick(module=name, module__freeze=True, module__dropout=0.3, max_epochs=1)
    net.initialize(images, labels)
    before = copy.deepcopy(net.module_.state_dict())
    # The same seed: fit starts from these weights.
    net.fit(images, labels)
    for again in (net, pickle.loads(pickle.dumps(net))):
        again.partial_fit(images, labels)
        after = again.module_.state_dict()
        changed = {
            key for key, value in after.items() if not torch.equal(value, before[key])
        }
        assert len(changed) == 2 and {key.rpartition(".")[2] for key in changed} == {
            "weight",
            "bias",
        }
        again.module_.train()
        parts = list(again.module_.modules())[1:]
        assert not any(part.training for part in parts if isinstance(part, _BatchNorm))
        assert {type(part) for part in parts if part.training} == {
            nn.Linear,
            nn.Dropout,
        }
        again.module_.eval()
        assert not any(part.training for part in again.module_.modules())
    assert inference.sample_proba(net, images, 2, random_state=0).shape == (
        2,
        24,
        len(net.classes_),
    )


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), folded],
)
def test_copies_of_a_frozen_network_freeze_themselves(copied):
    net = build_network(
        "resnet20", {"freeze": True, "dropout": 0.5}, (3, 8, 8), 4
    ).train()
    other = copied(net)
    assert isinstance(other, nn.Sequential) and type(other) is type(net)
    active = {True: ["", "dropout", "fc"], False: []}
    for mode in (True, False):
        other.train(mode)
        assert [
            name for name, part in other.named_modules() if part.training
        ] == active[mode]
        if copied is not copy.copy:
            # copy.copy shares the parts themselves.
            assert [
                name for name, part in net.named_modules() if part.training
            ] == active[True]
    assert (
        len([weights for weights in other.parameters() if weights.requires_grad]) == 2
    )
    again = build_network(other, {"freeze": True}, (3, 8, 8), 4)
    torch.testing.assert_close(again.state_dict(), other.state_dict())


def test_resize_is_part_of_the_network():
    net = build_network("resnet20", {"resize": 16}, (3, 8, 8), 4).eval()
    plain = copy.deepcopy(net)
    plain._forward_pre_hooks.clear()
    images = torch.rand(2, 3, 8, 8)
    larger = nn.functional.interpolate(
        images, size=(16, 16), mode="bilinear", align_corners=False
    )
    assert torch.equal(net(images), plain(larger))
    # At more than 64 pixels the stem is ImageNet's; shrinking averages.
    large = build_network("resnet18", {"resize": 80}, (3, 32, 32), 4)
    assert large.conv1.kernel_size == (7, 7)
    stripes = torch.zeros(1, 3, 32, 32)
    stripes[..., ::2] = 1
    seen = []
    shrunk = build_network("resnet20", {"resize": 8}, (3, 32, 32), 4)
    shrunk.conv.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    shrunk(stripes.expand(2, -1, -1, -1))
    torch.testing.assert_close(
        seen[0][..., 2:6], torch.full((2, 3, 8, 4), 0.5), atol=0.05, rtol=0
    )


@pytest.mark.parametrize(
    ("module", "params", "message"),
    [
        ("resnet21", {}, "Did you mean 'resnet20'"),
        ("keras:resnet18", {}, "Unknown library of networks 'keras'"),
        ("torchvision:resnet21", {}, "Unknown torchvision network"),
        ("squeezenet1_1", {"dropout": 1.5}, "from 0 to below 1, got 1.5"),
        ("squeezenet1_1", {"resize": 0}, "whole number from 1 on, got 0"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten()),
            {"freeze": True},
            "in this network none does",
        ),
    ],
)
def test_what_cannot_be_is_said(module, params, message):
    with pytest.raises(ValueError, match=message):
        build_network(module, params, (3, 32, 32), 4)


# ---- timm ----------------------------------------------------------------------------


def test_without_timm_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(timm_module, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install timm"):
        build_network("timm:resnet18", {}, (3, 32, 32), 4)


@pytest.mark.parametrize(
    "name",
    ["resnet10t", "mobilenetv3_small_050", "convnext_atto", "vit_tiny_patch16_224"],
)
def test_timm(name):
    pytest.importorskip("timm")
    net = build_network(
        f"timm:{name}", {"dropout": 0.4, "freeze": True}, (11, 32, 32), 4
    )
    assert net(torch.rand(2, 11, 32, 32)).shape == (2, 4)
    active = [
        part for part in net.modules() if isinstance(part, nn.Dropout) and part.training
    ]
    assert len(active) == 1 and active[0].p == 0.4
    trained = [weights for weights in net.parameters() if weights.requires_grad]
    assert sum(weights.numel() for weights in trained) == 4 * trained[0].shape[1] + 4


def test_timms_weights_from_a_file(tmp_path):
    timm = pytest.importorskip("timm")
    plain = timm.create_model("resnet10t")
    torch.save(plain.state_dict(), tmp_path / "weights.pth")
    params = {
        "weights": "imagenet",
        "pretrained_cfg_overlay": {"file": str(tmp_path / "weights.pth")},
    }
    net = build_network("timm:resnet10t", params, (11, 32, 32), 4)
    assert torch.equal(net.layer1[0].conv1.weight, plain.layer1[0].conv1.weight)
    # The stem is that of the weights, for eleven bands.
    assert (
        net.conv1[0].weight.shape[1] == 11
        and net.conv1[0].stride == plain.conv1[0].stride
    )
    assert net(torch.rand(2, 11, 32, 32)).shape == (2, 4)


def test_timms_names_and_weights_are_checked():
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match="Did you mean 'resnet18'"):
        build_network("timm:resnet_18", {}, (3, 32, 32), 4)
    with pytest.raises(ValueError, match="'imagenet', got 'IMAGENET1K_V1'"):
        build_network("timm:resnet18", {"weights": "IMAGENET1K_V1"}, (3, 32, 32), 4)


# ---- export --------------------------------------------------------------------------


@pytest.fixture
def fitted(digits, quick):
    X, y = digits
    return quick(max_epochs=3).fit(
        X[:60], np.array([f"digit {label}" for label in y[:60]])
    ), X[60:70]


def test_exported_program_scores_as_the_classifier(fitted, tmp_path):
    net, images = fitted
    expected = net.predict_proba(images)
    path = export_classifier(net, tmp_path / "net.pt2")
    extra = {"classifier.json": ""}
    program = torch.export.load(path, extra_files=extra).module()
    for n in (1, 2, 10):
        with torch.no_grad():
            out = program(torch.from_numpy(images[:n, :, :, None]))
        np.testing.assert_allclose(out, expected[:n], atol=1e-5)
    about = json.loads(extra["classifier.json"])
    assert about == {
        "classes": net.classes_.tolist(),
        "image_shape": [1, 8, 8],
        "input_type": "uint8",
    }
    np.testing.assert_array_equal(net.predict_proba(images), expected)
    as_float = torch.export.load(
        export_classifier(net, tmp_path / "f.pt2", input_type="float32")
    ).module()
    scaled = torch.from_numpy(images[:, None] / np.float32(255))
    np.testing.assert_allclose(as_float(scaled).detach(), expected, atol=1e-5)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["f.pt2", "net.pt2"]


@pytest.mark.slow
def test_exported_onnx_scores_as_the_classifier(fitted, tmp_path):
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    reference = pytest.importorskip("onnx.reference")
    net, images = fitted
    model = onnx.load(export_classifier(net, tmp_path / "net.onnx"))
    runtime = reference.ReferenceEvaluator(model)
    for n in (1, 4):
        (proba,) = runtime.run(None, {"images": images[:n, :, :, None]})
        np.testing.assert_allclose(proba, net.predict_proba(images[:n]), atol=1e-5)
    assert {prop.key for prop in model.metadata_props} >= {
        "classes",
        "image_shape",
        "input_type",
    }


def test_export_says_what_it_cannot_write(fitted, tmp_path, monkeypatch):
    net, _ = fitted
    with pytest.raises(ValueError, match=r"end with '.pt2' or '.onnx', got 'net.pth'"):
        export_classifier(net, tmp_path / "net.pth")
    with pytest.raises(ValueError, match="Unknown input_type 'int8'"):
        export_classifier(net, tmp_path / "net.pt2", input_type="int8")
    with pytest.raises(TypeError, match="writes an ImageClassifier, got list"):
        export_classifier([], tmp_path / "net.pt2")
    from sklearn.exceptions import NotFittedError

    from al_sklearn.estimators.networks import _export

    with pytest.raises(NotFittedError):
        export_classifier(type(net)(), tmp_path / "net.pt2")
    monkeypatch.setattr(_export, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install onnxscript"):
        export_classifier(net, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


# ---- each once, whole, at its real size ----------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*NETWORKS, "squeezenet1_1", "mobilenet_v3_small", "timm:efficientnet_b0"]
)
def test_each_trains_embeds_samples_and_exports(digits, quick, tmp_path, name):
    for needed, package in (
        ("timm:", "timm"),
        ("efficientnet_lite0", "efficientnet_lite_pytorch"),
    ):
        if name.startswith(needed) and importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    images, labels = as_colour(digits, 12)
    net = quick(module=name, module__dropout=0.5, max_epochs=2, batch_size=4)
    net.fit(images, labels)
    assert net.image_shape_ == (3, 32, 32)
    weights = copy.deepcopy(net.module_.state_dict())
    net.partial_fit(images, labels)
    learned = [
        key
        for key, value in net.module_.named_parameters()
        if not torch.equal(value, weights[key])
    ]
    assert len(learned) == len(list(net.module_.parameters()))
    proba = net.predict_proba(images)
    assert np.isfinite(proba).all()
    embedded = inference.embed(net, images)
    assert (
        embedded.shape[0] == 12 and np.isfinite(embedded).all() and embedded.std() > 0
    )
    samples = inference.sample_proba(net, images, 3, random_state=0)
    assert samples.shape == (3, *proba.shape) and not np.allclose(
        samples[0], samples[1]
    )
    program = torch.export.load(export_classifier(net, tmp_path / "net.pt2")).module()
    with torch.no_grad():
        np.testing.assert_allclose(program(torch.from_numpy(images)), proba, atol=1e-4)


def test_a_torchvision_model_trains(digits, quick):
    pytest.importorskip("torchvision")
    images, labels = as_colour(digits, 16)
    net = quick(module="squeezenet1_1", max_epochs=1).fit(images, labels)
    assert inference.embed(net, images).shape == (16, 512)


def test_eleven_bands(quick):
    rng = np.random.default_rng(0)
    images, labels = rng.random((8, 11, 32, 32), dtype=np.float32), np.arange(8) % 2
    net = quick(module="resnet20", max_epochs=1).fit(images, labels)
    assert net.image_shape_ == (11, 32, 32)
    assert net.predict_proba(images).shape == (8, 2)


def test_flip_crop_moves_pixels_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    images = torch.arange(2 * 16 * 16.0).view(1, 2, 16, 16).expand(200, -1, -1, -1)
    out = flip_crop(images, generator)
    assert out.shape == images.shape
    # Each image is the original, mirrored or not, shifted by up to 2: its centre shows
    # which.
    padded = nn.functional.pad(images[:1], (2, 2, 2, 2), mode="replicate")
    possible = [
        window
        for source in (padded, padded.flip(3))
        for top in range(5)
        for left in range(5)
        for window in [source[0, :, top : top + 16, left : left + 16]]
    ]
    found = {
        next(i for i, window in enumerate(possible) if torch.equal(window, image))
        for image in out
    }
    assert len(found) > 40
    again = flip_crop(images, torch.Generator().manual_seed(0))
    assert torch.equal(out, again)
