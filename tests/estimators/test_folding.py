"""Networks folded for scoring: the same numbers, and nothing of the network itself is
changed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from al_sklearn import inference
from al_sklearn.estimators import ImageClassifier
from al_sklearn.estimators import _image_classifier as image_classifier
from al_sklearn.estimators._folding import _MaxPool2x2, folded
from al_sklearn.estimators.networks import resnet20, small_cnn
from al_sklearn.estimators.networks._options import freeze


def _stirred(net):
    """The network with BatchNorm statistics and weights that are not those of a fresh
    one."""
    generator = torch.Generator().manual_seed(0)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in (
                (part.running_mean, -1, 1),
                (part.running_var, 0.2, 3),
            ):
                tensor.copy_(
                    torch.rand(tensor.shape, generator=generator) * (high - low) + low
                )
            with torch.no_grad():
                part.weight.uniform_(-2, 2, generator=generator)
                part.bias.uniform_(-1, 1, generator=generator)
    return net


def _kinds(net):
    return [type(part).__name__ for part in net.modules()]


class _Shared(nn.Module):
    """What the convolution gives goes on beside the BatchNorm, as in networks that
    normalise before they convolve."""

    __module__ = "torch.nn.pretended"  # so that it is traced, as torchvision's are

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x):
        x = self.conv(x)
        return self.norm(x) + x


class _Counting(nn.Module):
    calls = 0

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
        self.linear = nn.Linear(2, 3)

    def forward(self, x):
        self.calls += 1
        return self.linear(self.norm(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("build", [small_cnn, resnet20])
def test_the_same_numbers_without_a_batch_norm(build):
    net = _stirred(build(1, 5)).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    kinds = _kinds(net)
    fast = folded(net)
    x = torch.rand(7, 1, 17, 14)
    with torch.inference_mode():
        torch.testing.assert_close(fast(x), net(x), rtol=1e-4, atol=1e-5)
    assert "BatchNorm2d" not in _kinds(fast)
    assert _kinds(net) == kinds
    assert all(
        torch.equal(before[name], value) for name, value in net.state_dict().items()
    )


def test_modes_are_the_copys_own():
    net = small_cnn(1, 3).train()
    fast = folded(net)
    assert all(part.training for part in net.modules())
    assert not any(part.training for part in fast.modules())


def test_a_convolution_with_two_readers_is_left_alone():
    net = _stirred(_Shared()).eval()
    x = torch.rand(2, 1, 6, 6)
    with torch.inference_mode():
        assert torch.equal(folded(net)(x), net(x))


def test_a_layer_with_a_hook_keeps_what_the_hook_sees():
    net = _stirred(small_cnn(1, 3)).eval()
    seen = []
    net.features[0].register_forward_hook(lambda _, __, out: seen.append(out.clone()))
    x = torch.rand(2, 1, 8, 8)
    with torch.inference_mode():
        net(x)
        folded(net)(x)
    assert len(seen) == 2
    assert torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("frozen", [False, True])
def test_ones_own_network_is_not_traced(frozen):
    net = _Counting().eval()
    if frozen:  # which makes it of a class of this package's
        freeze(net, (1, 8, 8))
    calls = net.calls
    assert folded(net) is net
    assert net.calls == calls


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_forward_pass_of_the_instances_own_is_the_one_that_runs():
    scripted = torch.jit.script(
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    )
    replaced = small_cnn(1, 3).eval()
    replaced.features.forward = lambda x: torch.zeros(len(x), 64, 1, 1)
    compiled = small_cnn(1, 3).eval()
    compiled.compile(backend="eager")
    for net in (scripted, replaced, compiled):
        assert folded(net) is net


def test_hooks_of_blocks_see_tensors_alone_and_what_they_give_goes_on():
    block = nn.Sequential(nn.Conv2d(1, 2, 3))
    net = _stirred(nn.Sequential(block, nn.BatchNorm2d(2))).eval()
    seen = []

    def double(_, __, out):
        seen.append(type(out))
        return 2 * out

    block.register_forward_hook(double)
    x = torch.rand(2, 1, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(folded(net)(x), net(x))
    assert seen == [torch.Tensor] * 2


def test_threads_that_score_at_once_do_not_meet():
    nets = [_stirred(resnet20(1, 3)).eval() for _ in range(2)]
    x = torch.rand(4, 1, 8, 8)
    call = nn.Module.__call__

    def score(net):
        with torch.inference_mode():
            return folded(net)(x)

    alone = [score(net) for net in nets]
    with ThreadPoolExecutor(4) as threads:
        for expected, found in zip(
            alone * 10, threads.map(score, nets * 10), strict=True
        ):
            assert torch.equal(expected, found)
    assert nn.Module.__call__ is call


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 3, 5, 7), (2, 1, 2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_is_torchs(shape, dtype):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    x[0, 0, 0, 1] = torch.nan
    for layout in (torch.contiguous_format, torch.channels_last):
        given = x.contiguous(memory_format=layout)
        torch.testing.assert_close(
            _MaxPool2x2()(given),
            nn.functional.max_pool2d(given, 2),
            rtol=0,
            atol=0,
            equal_nan=True,
        )


@pytest.fixture(scope="module")
def fitted():
    X, y = load_digits().images.astype(np.float32), load_digits().target
    return ImageClassifier(max_epochs=3, random_state=0).fit(X[:200], y[:200]), X


def test_every_inference_agrees_with_the_network_as_it_is(fitted, monkeypatch):
    net, X = fitted
    X = X[:700]  # enough that folding is used
    layer = "features.0"

    def everything():
        return {
            "predict_proba": net.predict_proba(X),
            "proba": inference.predict_proba(net, X),
            "embed": inference.embed(net, X),
            "layer": inference.embed(net, X, layer=layer),
            "samples": inference.sample_proba(net, X, 3, random_state=0),
        }

    weights = {name: value.clone() for name, value in net.module_.state_dict().items()}
    fast = everything()
    monkeypatch.setattr(image_classifier, "_FOLDED_IMAGES", 10**9)
    for name, plain in everything().items():
        np.testing.assert_allclose(
            fast[name], plain, rtol=1e-4, atol=1e-5, err_msg=name
        )
    assert "BatchNorm2d" in _kinds(net.module_)
    assert all(
        torch.equal(weights[name], value)
        for name, value in net.module_.state_dict().items()
    )


def test_weights_are_folded_anew_at_every_call(fitted):
    net, X = fitted
    before = net.predict_proba(X[:600])
    weight = net.module_.features[1].weight
    kept = weight.detach().clone()
    try:
        weight.data.mul_(1.5)  # which leaves no trace in the tensor's version
        assert np.abs(net.predict_proba(X[:600]) - before).max() > 1e-3
    finally:
        weight.data.copy_(kept)
