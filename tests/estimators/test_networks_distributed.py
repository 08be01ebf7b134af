"""Training in two processes is training in one, on the same global batch."""

import importlib
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from al_sklearn import inference
from al_sklearn.estimators import ImageClassifier
from al_sklearn.estimators.networks import build_network

EXAMPLE = Path(__file__).parents[2] / "examples" / "many_processes.py"

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="torch without gloo"
)


class Plain(nn.Sequential):
    """No BatchNorm and no dropout: what a batch gives is the mean over its images,
    however they are divided."""

    def __init__(self, in_channels, n_classes):
        super().__init__(
            nn.Conv2d(in_channels, 8, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 64, n_classes),
        )


class Gradients(Callback):
    """Keeps the gradients of every step."""

    def initialize(self):
        self.steps_ = []
        return self

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.steps_.append([weights.grad.clone() for _, weights in named_parameters])


def fit(X, y, *callbacks):
    gradients = Gradients()
    net = ImageClassifier(
        Plain, optimizer=torch.optim.SGD, lr=0.2, max_epochs=3, batch_size=-1,
        iterator_train__min_batches=1, normalize=(0.5, 0.25), classes=range(10),
        callbacks=[*callbacks, gradients], random_state=0, device="cpu",
    )  # fmt: skip
    net.fit(X, y)
    kept = next(
        callback for _, callback in net.callbacks_ if isinstance(callback, Gradients)
    )
    return net, kept.steps_


def in_one_of_two_processes(rank, folder, X, y):
    torch.set_num_threads(1)
    sys.path.insert(0, str(EXAMPLE.parent))
    example = importlib.import_module(EXAMPLE.stem)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    try:
        mine = example.share(X, y)
        net, gradients = fit(*mine, example.DistributedTraining())
        deep = ImageClassifier(
            "resnet20", max_epochs=1, classes=range(10),
            callbacks=[example.DistributedTraining()], random_state=rank,
            iterator_train__min_batches=1, device="cpu",
        )  # fmt: skip
        deep.fit(*mine)
        assert type(deep.module_) is nn.Sequential
        pickle.loads(pickle.dumps(deep)).predict(X[:2])
        out = {
            "rows": len(mine[0]),
            "gradients": gradients,
            "weights": [weights.detach() for weights in net.module_.parameters()],
            "deep": [weights.detach() for weights in deep.module_.parameters()],
            "statistics": [deep.module_.image_mean, deep.module_.image_std],
        }
        torch.save(out, f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_gradients_are_those_of_one_process_on_the_global_batch(digits, tmp_path):
    X, y = (part[:41] for part in digits)
    torch.multiprocessing.spawn(
        in_one_of_two_processes, (str(tmp_path), X, y), nprocs=2
    )
    first, second = (
        torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)
    )
    # The odd one is left out, so that both take the same number of steps.
    assert first["rows"] == second["rows"] == 20
    net, expected = fit(X[:40], y[:40])
    assert len(expected) == 3
    for process in (first, second):
        for step, reference in zip(process["gradients"], expected, strict=True):
            torch.testing.assert_close(step, reference, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(
            process["weights"], list(net.module_.parameters()), atol=1e-6, rtol=1e-4
        )
    # One share's own gradient is another: that they agree is the averaging.
    _, alone = fit(X[:40:2], y[:40:2])
    assert not torch.allclose(alone[0][0], expected[0][0], atol=1e-4)
    # A deep network with BatchNorm is one network in both, though each began with other
    # weights.
    assert all(
        torch.equal(*pair) for pair in zip(first["deep"], second["deep"], strict=True)
    )
    assert all(
        torch.equal(*pair)
        for pair in zip(first["statistics"], second["statistics"], strict=True)
    )


@pytest.mark.parametrize(
    ("callbacks", "params"),
    [
        ([], {"patience": 2, "monitor": "train_loss"}),
        ([], {"schedule": "plateau"}),
        ([EarlyStopping(monitor="train_loss")], {}),
    ],
)
def test_what_each_process_would_decide_for_itself_is_refused(
    digits, callbacks, params, monkeypatch
):
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    X, y = digits
    distributed = importlib.import_module(EXAMPLE.stem).DistributedTraining()
    net = ImageClassifier(callbacks=[distributed, *callbacks], **params)
    with pytest.raises(ValueError, match="fixed number of epochs"):
        net.fit(X[:40], y[:40])


def test_data_parallel_around_a_network(digits):
    # Without a GPU it passes batches on: what is shown is that it trains, scores,
    # embeds and samples as the docs say.
    def on_all_gpus(in_channels, n_classes, image_size):
        shape = (in_channels, image_size, image_size)
        return nn.DataParallel(
            build_network("resnet20", {"dropout": 0.5}, shape, n_classes)
        )

    X, y = digits
    net = ImageClassifier(on_all_gpus, max_epochs=2, random_state=0, device="cpu").fit(
        X[:100], y[:100]
    )
    assert isinstance(net.module_, nn.DataParallel)
    assert net.predict_proba(X[:700]).shape == (700, 10)
    assert inference.embed(net, X[:5]).shape == (5, 64)
    samples = inference.sample_proba(net, X[:5], 2, random_state=0)
    assert not np.array_equal(samples[0], samples[1])


@pytest.mark.slow
def test_the_example_runs_as_documented(tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(EXAMPLE),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    (accuracy,) = re.findall(r"2 processes: ([\d.]+)", done.stdout)
    assert np.float64(accuracy) > 0.9
