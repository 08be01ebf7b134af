"""Which networks are laid out otherwise, because torch would damage their memory."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from al_sklearn import ImageClassifier
from al_sklearn.estimators import FrozenBackbone, LossPredictionClassifier
from al_sklearn.estimators.networks import build_network, memory_format

PLAIN, LAST = torch.contiguous_format, torch.channels_last

# In a process of its own, which a fault would kill; oneDNN reads the variable once. The
# same trainings without oneDNN are what they are compared with.
ON_AVX2 = """
import numpy as np, torch
from torch import nn
from al_sklearn import ImageClassifier
from al_sklearn.estimators import FrozenBackbone, LossPredictionClassifier

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X, y = rng.integers(0, 256, (32, 16, 16, 3), dtype=np.uint8), np.arange(32) % 2

class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.main = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.shortcut = nn.Conv2d(4, 8, 1, stride=2)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = torch.relu(self.main(x) + self.shortcut(x))
        return self.fc(x.mean((2, 3)))

def numbers():
    for kind in (ImageClassifier, LossPredictionClassifier):
        net = kind(Residual, max_epochs=2, random_state=0).fit(X, y)
        yield net.history_[:, "train_loss"]
        yield net.predict_proba(X)
    yield FrozenBackbone(net.module_, verbose=False, cache=False).transform(X)

found = list(numbers())
with torch.backends.mkldnn.flags(enabled=False):
    wanted = list(numbers())
for got, want in zip(found, wanted, strict=True):
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
resnet = ImageClassifier("resnet20", module__width=4, max_epochs=1).fit(X, y)
assert np.isfinite(resnet.predict_proba(X)).all()
"""


def test_narrow_residual_networks_train_on_avx2():
    done = subprocess.run(
        [sys.executable, "-c", ON_AVX2],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("channels", range(1, 8))
@pytest.mark.parametrize("stride", [2, 3, (1, 2), (2, 1)])
def test_strided_1x1_convolutions_of_few_channels_are_laid_out_plainly(
    channels, stride
):
    narrow = nn.Conv2d(channels, 16, 1, stride=stride)
    assert memory_format(nn.Sequential(nn.Sequential(narrow))) is PLAIN


def test_transposed_convolutions_to_few_channels_are_laid_out_plainly():
    narrow = nn.ConvTranspose2d(8, 4, 1, stride=2, output_padding=1)
    assert memory_format(narrow) is PLAIN


@pytest.mark.parametrize(
    "part",
    [
        nn.Conv2d(8, 16, 1, stride=2),
        nn.Conv2d(4, 16, 1),
        nn.Conv2d(8, 16, 1, stride=2, groups=4),
        nn.Conv2d(4, 16, 3, stride=2),
        nn.ConvTranspose2d(4, 8, 1, stride=2, output_padding=1),
        nn.ConvTranspose2d(8, 4, 2, stride=2),
        nn.Conv2d(4, 16, (1, 3), stride=2),
        nn.Conv2d(3, 16, 3, padding=1),
        nn.Linear(3, 2),
    ],
)
def test_other_layers_keep_channels_last(part):
    assert memory_format(nn.Sequential(part)) is LAST


@pytest.mark.parametrize("name", ["small_cnn", "resnet20"])
def test_networks_as_they_come_keep_channels_last(name):
    assert memory_format(build_network(name, {}, (3, 32, 32), 10)) is LAST


@pytest.mark.parametrize(("width", "layout"), [(4, PLAIN), (16, LAST)])
@pytest.mark.parametrize("kind", [ImageClassifier, LossPredictionClassifier])
def test_batches_have_the_layout(kind, width, layout):
    X, y = np.zeros((4, 16, 16, 3), np.uint8), np.arange(4) % 2
    net = kind("resnet20", module__width=width, max_epochs=1).fit(X, y)
    seen = []
    first = next(part for part in net.module_.modules() if isinstance(part, nn.Conv2d))
    first.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    net.predict(X)
    frozen = FrozenBackbone(net.module_, verbose=False, cache=False)
    frozen.transform(X)
    assert len(seen) > 1
    # Weights lie plainly: optimizers may join them to one vector.
    assert first.weight.is_contiguous()
    assert all(batch.is_contiguous(memory_format=layout) for batch in seen)
