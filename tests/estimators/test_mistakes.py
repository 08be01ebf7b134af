"""What is misspelt or cannot be is answered with what was meant, before training."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV
from torch import nn
from torch.nn.utils import parameters_to_vector
from torch.optim import RMSprop
from torch.utils.data import TensorDataset

from al_sklearn import ActiveLearner, Committee, ImageClassifier, StrategyComparison
from al_sklearn.datasets import Hdf5Rows, hdf5_by_name
from al_sklearn.estimators import (
    DeepEnsemble,
    FrozenBackbone,
    ImageDataset,
    LossPredictionClassifier,
)
from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import RowView


@pytest.fixture(scope="module")
def some(digits):
    X, y = digits
    few = y < 3
    return X[few][:60], y[few][:60]


# ---- words ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ImageClassifier, LossPredictionClassifier])
def test_a_misspelt_parameter_is_answered_at_once(kind):
    says = rf"Unknown parameter of {kind.__name__} 'max_epoch'. Did you mean 'max_epoc"
    with pytest.raises(ParameterError, match=says) as caught:
        kind(max_epoch=2)
    assert caught.value.parameters == ("max_epoch",)
    with pytest.raises(ParameterError, match=says):
        kind().set_params(max_epoch=2)
    kind(max_epochs=2, module__width=3, callbacks__print_log=None)


@pytest.mark.parametrize(
    ("params", "meant"),
    [
        ({"optimizer__wieght_decay": 0.1}, "optimizer__weight_decay"),
        ({"iterator_train__bach_size": 4}, "iterator_train__batch_size"),
        ({"iterator_valid__num_worker": 1}, "iterator_valid__num_workers"),
        ({"criterion__label_smothing": 0.1}, "criterion__label_smoothing"),
        ({"module": "resnet20", "module__widht": 4}, "module__width"),
        ({"dataset__image_sise": 8}, "dataset__image_size"),
        ({"compile__mod": "default"}, "compile__mode"),
        ({"optimizer": "Adm"}, "Adam"),
        ({"criterion": "CrossEntropy"}, "CrossEntropyLoss"),
    ],
)
def test_words_of_the_parts_are_answered_before_training(some, quick, params, meant):
    X, y = some
    net = quick().fit(X, y)
    before = net.predict_proba(X)
    with pytest.raises(ParameterError, match=f"Did you mean '{meant}'"):
        quick(**params).fit(X, y)
    kept = clone(net).set_params(warm_start=True).fit(X, y)
    state = dict(vars(kept))
    vars(kept).update(params)
    with pytest.raises(ParameterError, match=f"Did you mean '{meant}'"):
        kept.partial_fit(X, y)
    for name in params:
        del vars(kept)[name]
    vars(kept).update({name: state[name] for name in params if name in state})
    np.testing.assert_array_equal(kept.predict_proba(X), before)


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW", torch.optim.SGD])
def test_optimizers_and_losses_have_names(some, quick, optimizer):
    X, y = some
    net = quick(optimizer=optimizer, criterion="CrossEntropyLoss", lr=0.01).fit(X, y)
    kind = getattr(torch.optim, optimizer) if isinstance(optimizer, str) else optimizer
    assert type(net.optimizer_) is kind
    assert type(net.criterion_) is nn.CrossEntropyLoss
    assert clone(net).get_params()["optimizer"] == optimizer
    # On a fitted net it holds from the next fit on.
    assert type(net.set_params(optimizer="RMSprop").fit(X, y).optimizer_) is RMSprop
    with pytest.raises(ParameterError, match="iterator_train must be a class"):
        quick(iterator_train="DataLoader").fit(X, y)
    with pytest.raises(ParameterError, match="must be a class such as torch"):
        quick(optimizer=kind([torch.ones(1)], lr=0.1)).fit(X, y)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", torch.device("cuda"), "mps"])
def test_a_device_that_is_not_there_is_refused(some, quick, device, monkeypatch):
    X, y = some
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for asked in (
        lambda: quick(device=device).fit(X, y),
        lambda: quick().set_params(device=device),
        lambda: FrozenBackbone(nn.Linear(8, 2), device=device).fit(X),
    ):
        with pytest.raises(ParameterError, match=r"sees cpu alone.*device='auto'"):
            asked()


def test_what_is_no_device_is_refused(some, quick, monkeypatch):
    X, y = some
    with pytest.raises(ParameterError, match=r"'gpu' is no device.*'auto'.*cpu"):
        quick(device="gpu").fit(X, y)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ParameterError, match="sees cpu, cuda:0, cuda:1 alone"):
        quick(device="cuda:2").fit(X, y)


# ---- outputs and losses --------------------------------------------------------------


def ending(*layers):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3), *layers)


@pytest.mark.parametrize(
    ("layers", "gives"),
    [([nn.LogSoftmax(1)], "logarithms of probabilities"), ([], "logits")],
)
def test_nll_of_what_is_no_probability_is_refused(some, quick, layers, gives):
    X, y = some
    for criterion in (nn.NLLLoss, "NLLLoss", nn.NLLLoss()):
        with pytest.raises(ParameterError, match=f"the network gives {gives}"):
            quick(module=ending(*layers), criterion=criterion).fit(X, y)


def test_what_losses_take_is_taken(some, quick):
    X, y = some
    proba = quick(module=ending(nn.Softmax(1)), criterion=nn.NLLLoss).fit(X, y)
    assert np.isfinite(proba.history_[:, "train_loss"]).all()
    np.testing.assert_allclose(proba.predict_proba(X).sum(1), 1, atol=1e-5)
    logits = quick(module=ending()).fit(X, y)
    logs = quick(module=ending(nn.LogSoftmax(1))).fit(X, y)
    assert len(logits.history_) == len(logs.history_)


def test_two_softmaxes_are_noticed_once_a_training(some, quick):
    X, y = some
    with pytest.warns(UserWarning, match="takes a softmax of them again") as caught:
        net = quick(module=ending(nn.Softmax(1)), max_epochs=3).fit(X, y)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="takes a softmax of them again"):
        net.partial_fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.predict_proba(X)


# ---- sample_weight -------------------------------------------------------------------


def test_weights_are_those_of_the_loss(some, quick):
    """One step of SGD on the whole: the gradient is that of the weighted mean."""
    X, y = some
    weights = np.random.default_rng(0).random(60)
    one = {
        "module": ending(),
        "optimizer": torch.optim.SGD,
        "lr": 1.0,
        "batch_size": -1,
        "max_epochs": 1,
        "normalize": None,
    }
    for class_weight in (None, [1.0, 2.0, 5.0]):
        net = quick(class_weight=class_weight, **one).fit(X, y, sample_weight=weights)
        linear = net.module_[1]
        start = ending()
        start.load_state_dict(one["module"].state_dict())
        out = start(torch.as_tensor(X, dtype=torch.float32) / 255)
        each = nn.functional.cross_entropy(out, torch.as_tensor(y), reduction="none")
        of_class = torch.ones(3) if class_weight is None else torch.tensor(class_weight)
        of_class = of_class[torch.as_tensor(y)]
        w = torch.as_tensor(weights / weights.mean(), dtype=torch.float32)
        loss = (w * of_class * each).sum() / of_class.sum()
        loss.backward()
        expected = start[1].weight - start[1].weight.grad
        torch.testing.assert_close(linear.weight, expected, rtol=1e-4, atol=1e-6)
        assert net.history_[0, "train_loss"] == pytest.approx(loss.item(), rel=1e-4)


def test_a_weight_of_0_teaches_nothing_and_equal_ones_change_nothing(some, quick):
    X, y = some
    wrong = np.where(np.arange(60) < 30, y, (y + 1) % 3)
    weights = np.where(np.arange(60) < 30, 1.0, 0.0)
    net = quick(max_epochs=12, lr=0.01).fit(X, wrong, sample_weight=weights)
    assert (
        net.score(X, y)
        > 0.9
        > 0.6
        > quick(max_epochs=12, lr=0.01).fit(X, wrong).score(X, y)
    )
    plain = quick().fit(X, y).predict_proba(X)
    for equal in (np.ones(60), np.full(60, 7.0), 3, None):
        got = quick().fit(X, y, sample_weight=equal).predict_proba(X)
        np.testing.assert_array_equal(got, plain)


def test_weights_reach_every_batch_with_their_images(some, quick):
    X, y = some
    weights = np.linspace(0.1, 2, 60)
    options = {"batch_size": 7, "iterator_train__min_batches": 20, "augment": "flip"}
    net = quick(**options).fit(X, y, sample_weight=weights)
    workers = quick(**options, iterator_train__num_workers=1)
    workers.fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(workers.predict_proba(X), net.predict_proba(X))
    dataset = ImageDataset(X, y)
    again = quick(**options).fit(dataset, None, sample_weight=weights)
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    assert dataset.weights is None
    heavier = quick(**options).fit(X, y, sample_weight=5 * weights)
    np.testing.assert_allclose(
        heavier.predict_proba(X), net.predict_proba(X), atol=1e-4
    )
    # And what was weighed before weighs nothing in a training without weights.
    net.partial_fit(X, y)
    assert net._batch_weights_ is None


def test_weights_go_where_scikit_learn_and_learners_send_them(some, quick):
    X, y = some
    weights = np.where(y == 0, 3.0, 1.0)
    net = quick().fit(X, y, sample_weight=weights)
    learner = ActiveLearner(
        quick(), X_training=X[:30], y_training=y[:30], sample_weight=weights[:30]
    )
    learner.teach(X[30:], y[30:], sample_weight=weights[30:])
    np.testing.assert_array_equal(learner.predict_proba(X), net.predict_proba(X))
    voting = VotingClassifier([("net", quick())], voting="soft")
    voting.fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(voting.predict_proba(X), net.predict_proba(X))
    LossPredictionClassifier(max_epochs=1).fit(X, y, sample_weight=weights)
    DeepEnsemble(quick(), n_members=2).fit(X, y, sample_weight=weights)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (np.ones(3), r"each of the 60 images, got shape \(3,\)"),
        (-np.ones(60), "not negative and not all 0"),
        (np.zeros(60), "not all 0"),
        (np.full(60, np.nan), "must be finite"),
        ("balanced", "one number for each image, got 'balanced'; class_weight"),
    ],
)
def test_weights_are_checked(some, quick, weights, says):
    with pytest.raises(ParameterError, match=says):
        quick().fit(*some, sample_weight=weights)


def test_losses_that_cannot_be_weighed_say_so(some, quick):
    X, y = some
    weights = np.linspace(1, 2, 60)

    class Own(nn.Module):
        def forward(self, out, y):
            return nn.functional.cross_entropy(out, y)

    with pytest.raises(ParameterError, match="a criterion with a reduction"):
        quick(criterion=Own).fit(X, y, sample_weight=weights)
    net = ImageClassifier(iterator_train=torch.utils.data.DataLoader)
    with pytest.raises(ParameterError, match="iterator_train=ImageLoader"):
        net.fit(X, y, sample_weight=weights)


# ---- labels inside the data set ------------------------------------------------------


def test_a_data_set_that_holds_its_labels_is_scored_by_them(some, quick):
    X, y = some
    dataset = TensorDataset(torch.as_tensor(X), torch.as_tensor(y))
    net = quick(max_epochs=6).fit(dataset, None)
    assert net.score(dataset) == net.score(dataset, None) == net.score(X, y)
    ours = ImageDataset(X, y)
    assert net.score(ours) == net.score(torch.utils.data.Subset(ours, range(60)))
    weights = np.where(y == 0, 5.0, 1.0)
    assert net.score(dataset, None, weights) == net.score(X, y, weights)
    ensemble = DeepEnsemble(quick(), n_members=2, random_state=0).fit(dataset, None)
    assert ensemble.score(dataset, None) == ensemble.score(X, y)
    with pytest.raises(ValueError, match="y is missing"):
        net.score(X)
    # A part of one of ours is trained on as the images are.
    part = quick().fit(torch.utils.data.Subset(ours, range(30)), None)
    np.testing.assert_array_equal(
        part.predict_proba(X), quick().fit(X[:30], y[:30]).predict_proba(X)
    )


# ---- optimizers of one vector, lazy layers -------------------------------------------


@pytest.mark.parametrize("module", ["small_cnn", "resnet20"])
def test_weights_make_one_vector(some, quick, module):
    X, y = some[0][:8], some[1][:8]
    options = {"optimizer": "LBFGS", "optimizer__max_iter": 2, "max_epochs": 1}
    net = quick(module=module, lr=0.1, **options).fit(X, y)
    vector = parameters_to_vector(net.module_.parameters())
    assert vector.numel() == sum(part.numel() for part in net.module_.parameters())
    assert np.isfinite(net.history_[:, "train_loss"]).all()


def test_lbfgs_learns(some, quick):
    X, y = some
    net = quick(module=ending(), optimizer=torch.optim.LBFGS, lr=0.5, batch_size=-1)
    assert net.fit(X, y).score(X, y) > 0.9


class Lazy(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.conv, self.norm = nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d()
        self.out = nn.LazyLinear(n_classes)

    def forward(self, x):
        return self.out(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


def lazy_instance():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@pytest.mark.parametrize("module", [Lazy, lazy_instance()], ids=["class", "instance"])
@pytest.mark.parametrize(
    "params", [{}, {"module__dropout": 0.5, "module__resize": 12}], ids=str
)
def test_lazy_layers_find_their_sizes(some, quick, module, params):
    X, y = some
    if params and isinstance(module, nn.Module):
        pytest.skip("an instance of nn.Sequential takes no parameters")
    nets = [quick(module=module, **params).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(*(net.predict_proba(X) for net in nets))
    assert not any(map(nn.parameter.is_lazy, nets[0].module_.parameters()))


# ---- HDF5 in other processes ---------------------------------------------------------


@pytest.fixture
def hdf5(tmp_path, some):
    h5py = pytest.importorskip("h5py")
    X, _ = some
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["inside/x"] = X
    with h5py.File(tmp_path / "x.h5") as file:
        yield file["inside/x"]


@pytest.mark.parametrize("iterator", ["ImageLoader", "DataLoader"])
def test_workers_read_hdf5_by_name(some, quick, hdf5, iterator):
    X, y = some
    options = {"iterator_train__num_workers": 2, "iterator_valid__num_workers": 2}
    if iterator == "DataLoader":
        loader = torch.utils.data.DataLoader
        options |= {"iterator_train": loader, "iterator_valid": loader}
    net = ImageClassifier(max_epochs=1, random_state=0, **options).fit(hdf5, y)
    other = ImageClassifier(max_epochs=1, random_state=0, **options).fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(hdf5), other.predict_proba(X))


def test_hdf5_travels_by_its_name(some, hdf5):
    X, y = some
    part = RowView(hdf5, [7, 3, 3])
    for rows, expected in ((hdf5, X), (part, X[[7, 3, 3]])):
        dataset = pickle.loads(pickle.dumps(ImageDataset(rows, y[: len(rows)])))
        images, _ = dataset.batch(np.array([2, 0]))
        np.testing.assert_array_equal(images[:, 0], expected[[2, 0]])
    named = hdf5_by_name(part)
    assert isinstance(named.base, Hdf5Rows)
    np.testing.assert_array_equal(named, X[[7, 3, 3]])
    assert hdf5_by_name(X) is X


@pytest.mark.slow
def test_processes_read_hdf5_by_name(some, quick, hdf5):
    X, y = some
    one = DeepEnsemble(quick(), n_members=2, random_state=0).fit(X, y)
    two = DeepEnsemble(quick(), n_members=2, random_state=0, n_jobs=2).fit(hdf5, y)
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=1e-4)


@pytest.mark.slow
def test_comparisons_and_committees_read_hdf5_by_name(some, quick, hdf5):
    X, y = some
    options = {"n_initial": 9, "n_instances": 3, "n_rounds": 1, "n_seeds": 2}
    tables = [
        StrategyComparison(
            quick(), ["margin"], n_jobs=n_jobs, random_state=0, **options
        )
        .fit(rows, y, X, y)
        .results_["accuracy"]
        for rows, n_jobs in ((hdf5, 2), (X, 1))
    ]
    np.testing.assert_allclose(*tables, atol=0.1)
    members = [ActiveLearner(quick()) for _ in range(2)]
    Committee(members, n_jobs=2).fit(hdf5, y).predict(X)


def test_hdf5_that_is_open_for_writing_is_named(tmp_path, some, quick):
    h5py = pytest.importorskip("h5py")
    X, y = some
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        file["x"] = X
        with pytest.raises(
            ValueError, match=r"cannot read the HDF5 dataset '/x'.*n_jobs"
        ):
            DeepEnsemble(quick(), n_members=2, n_jobs=2).fit(file["x"], y)


# ---- searches go on as they did ------------------------------------------------------


def test_a_search_over_parts_still_works(some, quick):
    X, y = some
    search = GridSearchCV(
        quick(max_epochs=1), {"optimizer": ["Adam", "SGD"]}, cv=2, error_score="raise"
    )
    assert search.fit(X, y).best_score_ > 0
