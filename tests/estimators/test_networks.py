"""The networks take the images they are given, whatever their size and channels."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from al_sklearn.estimators._augment import flip_crop
from al_sklearn.estimators.networks import NETWORKS, resnet20, small_cnn
from al_sklearn.estimators.networks._build import build_network


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (1, 28, 28), (3, 64, 64)])
def test_shapes(name, shape):
    net = build_network(name, {}, shape, 7)
    images = torch.rand(3, *shape)
    assert net(images).shape == (3, 7)
    net.eval()
    assert isinstance([part for part in net.modules() if isinstance(part, nn.Linear)][-1], nn.Linear)
    torch.testing.assert_close(net(images)[1:2], net(images[1:2]), atol=1e-5, rtol=1e-4)


def test_small_cnn_has_a_dropout_head_behind_all_convolutions():
    parts = list(small_cnn().modules())
    kinds = [type(part) for part in parts]
    assert kinds.count(nn.Dropout) == 2
    assert kinds.index(nn.Dropout) > max(i for i, kind in enumerate(kinds) if kind is nn.Conv2d)
    assert kinds[-1] is nn.Linear


def test_resnet20_is_the_papers():
    net = resnet20()
    # 19 convolutions of 3x3 and one linear layer; 0.27 million weights.
    assert sum(isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3) for part in net.modules()) == 19
    assert 0.26e6 < sum(p.numel() for p in net.parameters()) < 0.28e6
    assert not any(isinstance(part, nn.Dropout) for part in net.modules())
    assert any(isinstance(part, nn.Dropout) for part in resnet20(dropout=0.3).modules())


def test_only_accepted_parameters_are_inferred():
    class Names(nn.Module):
        def __init__(self, n_outputs, in_chans, img_size, extra=1):
            super().__init__()
            self.got = (n_outputs, in_chans, img_size, extra)

    assert build_network(Names, {}, (3, 8, 8), 5).got == (5, 3, 8, 1)
    assert build_network(Names, {"extra": 2, "in_chans": 4}, (3, 8, 9), 5).got == (5, 4, (8, 9), 2)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet18", (1, 8, 8)),
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
    ["vgg11", "densenet121", "googlenet", "inception_v3", "efficientnet_b0", "shufflenet_v2_x0_5", "mnasnet0_5",
     "convnext_tiny", "swin_t", "vit_b_16", "maxvit_t", "regnet_y_400mf"],
)  # fmt: skip
def test_every_family_of_torchvision(name):
    pytest.importorskip("torchvision")
    net = build_network(name, {}, (3, 32, 32), 4)
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 4)


def test_pretrained_weights_keep_their_trunk(monkeypatch):
    models = pytest.importorskip("torchvision.models")
    plain = models.resnet18(num_classes=1000)
    monkeypatch.setattr(models, "get_model_builder", lambda name: lambda weights: copy.deepcopy(plain))
    net = build_network("resnet18", {"weights": "DEFAULT"}, (1, 32, 32), 4)
    assert net.fc.out_features == 4
    assert torch.equal(net.layer1[0].conv1.weight, plain.layer1[0].conv1.weight)
    grey = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(net.conv1(grey), plain.conv1(grey.expand(2, 3, 32, 32)), atol=1e-5, rtol=1e-4)


def test_a_torchvision_model_trains(digits, quick):
    pytest.importorskip("torchvision")
    X, y = digits
    net = quick(module="squeezenet1_1", max_epochs=1).fit(np.kron(X[:16], np.ones((1, 4, 4), np.uint8)), y[:16])
    assert net.image_shape_ == (1, 32, 32)
    assert len(net.classes_) == net.forward(np.kron(X[:4], np.ones((1, 4, 4), np.uint8))).shape[1]


def test_flip_crop_moves_pixels_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    images = torch.arange(2 * 16 * 16.0).view(1, 2, 16, 16).expand(200, -1, -1, -1)
    out = flip_crop(images, generator)
    assert out.shape == images.shape
    # Each image is the original, mirrored or not, shifted by up to 2: its centre shows which.
    padded = nn.functional.pad(images[:1], (2, 2, 2, 2), mode="replicate")
    possible = [
        window
        for source in (padded, padded.flip(3))
        for top in range(5)
        for left in range(5)
        for window in [source[0, :, top : top + 16, left : left + 16]]
    ]
    found = {next(i for i, window in enumerate(possible) if torch.equal(window, image)) for image in out}
    assert len(found) > 40
    again = flip_crop(images, torch.Generator().manual_seed(0))
    assert torch.equal(out, again)
