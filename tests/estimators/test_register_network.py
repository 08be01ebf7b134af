"""Networks of one's own under a name."""

import pickle

import cloudpickle
import numpy as np
import pytest
from torch import nn

from al_sklearn import ImageClassifier
from al_sklearn.estimators import register_network
from al_sklearn.estimators.networks import NETWORKS
from al_sklearn.experiments.configuration import read_experiment

X, Y = np.zeros((6, 8, 8), np.uint8), np.arange(6) % 2


@pytest.fixture(autouse=True)
def networks():
    before = dict(NETWORKS)
    yield NETWORKS
    NETWORKS.clear()
    NETWORKS.update(before)


def one_layer(in_channels, image_size, n_classes, bias=True):
    n_pixels = in_channels * image_size**2
    return nn.Sequential(nn.Flatten(), nn.Linear(n_pixels, n_classes, bias=bias))


def test_a_registered_network_is_found_by_its_name(networks):
    assert register_network("mine")(one_layer) is one_layer
    net = ImageClassifier("mine", max_epochs=1, module__bias=False).fit(X, Y)
    assert [type(part) for part in net.module_] == [nn.Flatten, nn.Linear]
    assert net.module_[1].bias is None
    assert "mine" in networks


def test_a_class_can_be_registered():
    @register_network("mine")
    class Mine(nn.Sequential):
        def __init__(self, n_outputs):
            super().__init__(nn.Flatten(), nn.Linear(64, n_outputs))

    net = ImageClassifier("mine", max_epochs=1).fit(X, Y)
    assert type(net.module_) is Mine


def test_a_cell_run_twice_replaces_its_network(networks):
    def cell(bias):
        @register_network("mine")
        def mine(n_classes):
            return nn.Sequential(nn.Flatten(), nn.Linear(64, n_classes, bias=bias))

        return mine

    cell(True)
    second = cell(False)
    assert networks["mine"] is second
    with pytest.raises(ValueError, match=r"'mine' is taken by .*cell"):
        register_network("mine")(one_layer)
    with pytest.raises(ValueError, match="'resnet18' is taken by al_sklearn"):
        register_network("resnet18")(one_layer)


def test_what_cannot_be_registered_is_said():
    with pytest.raises(TypeError, match="builds a network, got Linear"):
        register_network("mine")(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="no colon and no dot"):
        register_network("timm:mine")


def test_unknown_networks_are_compared_with_registered_ones():
    register_network("my_network")(one_layer)
    with pytest.raises(ValueError, match="Did you mean 'my_network'"):
        ImageClassifier("my_netwrk").fit(X, Y)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_pickled_classifier_brings_its_network(networks, dumps):
    # A comparison's worker has never seen the cell that registered it.
    register_network("mine")(one_layer)
    stored = dumps(ImageClassifier("mine", max_epochs=1, random_state=0).fit(X, Y))
    del networks["mine"]
    net = pickle.loads(stored)
    assert "_registered_network" not in vars(net)
    assert net.fit(X, Y).predict(X).shape == (6,)


def test_experiment_files_know_registered_networks(tmp_path):
    register_network("mine")(one_layer)
    path = tmp_path / "run.yaml"
    path.write_text(
        "data: {name: digits}\n"
        "estimator: {ImageClassifier: {module: mine, max_epochs: 1}}\n"
        "strategies: [random_sampling]\n",
        encoding="utf-8",
    )
    read_experiment(path)
