"""Torch modules from outside: modes put back, the last linear layer found."""

import pytest
import torch
from torch import nn

from al_sklearn.inference.modules import (
    evaluating,
    last_linear,
    linears,
    modes_kept,
    tapping,
)


class Crossed(nn.Module):
    """Registered in another order than it runs, with a part that never does."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3, 2)
        self.first = nn.Linear(4, 3)
        self.idle = nn.Linear(5, 5)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.last(self.drop(self.first(x)))


def test_modes_are_put_back_part_by_part_whatever_happens():
    net = Crossed()
    net.drop.eval()
    modes = [part.training for part in net.modules()]
    with pytest.raises(KeyError), evaluating(net):
        assert not any(part.training for part in net.modules())
        assert not torch.is_grad_enabled()
        raise KeyError
    assert [part.training for part in net.modules()] == modes
    assert torch.is_grad_enabled()
    with evaluating(net, gradients=True):
        assert torch.is_grad_enabled()
    with modes_kept(net, net.first):
        net.eval()
    assert [part.training for part in net.modules()] == modes


def test_the_linear_layer_that_runs_last_is_found_by_running():
    net = Crossed()
    assert list(linears(net)) == ["last", "first", "idle"]
    assert last_linear(net, lambda: net(torch.zeros(2, 4))) == "last"
    assert last_linear(net, lambda: None) is None
    assert last_linear(nn.ReLU(), lambda: None) is None
    alone = nn.Linear(2, 2)
    name = last_linear(alone, lambda: alone(torch.zeros(1, 2)))
    assert alone.get_submodule(name) is alone


def test_a_tap_sees_each_forward_pass_and_is_removed():
    net, seen = Crossed(), []
    with evaluating(net):
        with tapping(net, seen.append):
            net(torch.ones(2, 4))
        assert [value.shape[1] for value in seen] == [4, 3]
        with tapping(net, seen.append, "first"):
            net(torch.ones(2, 4))
        torch.testing.assert_close(seen[2], seen[1])
        net(torch.ones(2, 4))
    assert len(seen) == 3
    assert not any(
        part._forward_hooks or part._forward_pre_hooks for part in net.modules()
    )
