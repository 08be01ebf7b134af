"""What makes batches: words honoured or refused, every image scored in its place."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from al_sklearn import ActiveLearner, ImageClassifier
from al_sklearn.estimators import (
    ImageDataset,
    ImageLoader,
    LossPredictionClassifier,
)
from al_sklearn.exceptions import ParameterError


@pytest.fixture(scope="module")
def halves():
    """Forty images of two kinds, dark and bright, in turn."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 40, (40, 8, 8)).astype(np.uint8)
    y = np.arange(40) % 2
    X[y == 1] += 200
    return X, y


def seen_in(loader):
    """The positions that a loader gives, batch by batch; X is their own number."""
    return [[int(image.max()) for image in images] for images, _ in loader]


def numbered(n):
    X = np.arange(n, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    return ImageDataset(X, np.arange(n) % 2)


# ---- the loader ----------------------------------------------------------------------


def test_a_sampler_says_which_images_are_seen():
    dataset = numbered(10)
    assert seen_in(ImageLoader(dataset, 2, sampler=[3, 1, 1, 7])) == [[3, 1], [1, 7]]
    # Again from the start, up to the number of batches asked for.
    again = ImageLoader(dataset, 2, sampler=[3, 1], min_batches=3)
    assert (len(again), seen_in(again)) == (3, [[3, 1]] * 3)
    # Of a part of a data set, positions are those of the part.
    part = Subset(dataset, [9, 8, 7])
    assert seen_in(ImageLoader(part, 2, sampler=[2, 0])) == [[7, 9]]
    by_batch = BatchSampler(SequentialSampler(range(10)), 4, drop_last=True)
    loader = ImageLoader(dataset, 2, batch_sampler=by_batch)
    assert (len(loader), seen_in(loader)) == (2, [[0, 1, 2, 3], [4, 5, 6, 7]])


def test_a_function_makes_the_sampler_of_the_labels():
    def of_class_1(y):
        return np.flatnonzero(y == 1).tolist()

    dataset = numbered(6)
    assert seen_in(ImageLoader(dataset, 9, sampler=of_class_1)) == [[1, 3, 5]]
    part = Subset(dataset, [5, 4, 1])
    assert seen_in(ImageLoader(part, 9, sampler=of_class_1)) == [[5, 1]]


def test_drop_last():
    loader = ImageLoader(numbered(10), 4, drop_last=True)
    assert (len(loader), seen_in(loader)) == (2, [[0, 1, 2, 3], [4, 5, 6, 7]])
    assert seen_in(ImageLoader(numbered(9), 4))[1] == [4, 5, 6, 7, 8]
    shuffled = ImageLoader(
        numbered(10), 4, True, torch.Generator().manual_seed(0), drop_last=True
    )
    assert [len(batch) for batch in seen_in(shuffled)] == [4, 4]
    with pytest.raises(ParameterError, match="no batch to train on: 3 images at"):
        ImageLoader(numbered(3), 4, drop_last=True, min_batches=8)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sampler": [1], "shuffle": True}, "sampler and shuffle each say the order"),
        ({"sampler": [1], "batch_sampler": [[1]]}, "sampler and batch_sampler each"),
        ({"batch_sampler": [[1]], "drop_last": True}, "drop_last is its own"),
        ({"collate_fn": list}, "no use for a collate_fn"),
        ({"pin_memory": True}, "pin_memory is for worker processes"),
        ({"prefetch_factor": 2, "timeout": 9}, "timeout, prefetch_factor is for"),
        ({"sampler": iter([1])}, "A sampler has a length"),
        ({"sampler": []}, "no batch to train on"),
        (
            {"sampler": WeightedRandomSampler(np.ones(9), 9)},
            "made for 9 images, here are 10: give a function",
        ),
        (
            {"batch_sampler": BatchSampler(SequentialSampler(range(12)), 2, False)},
            "made for 12 images, here are 10",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(options, says):
    with pytest.raises(ParameterError, match=says):
        ImageLoader(numbered(10), 4, **options)


@pytest.mark.parametrize("workers", [0, 1])
def test_positions_that_are_not_there_are_named(workers):
    for wrong in ([3, 10], [-1, 2]):
        loader = ImageLoader(numbered(10), 4, sampler=wrong, num_workers=workers)
        with pytest.raises(ParameterError, match=r"gave position .* 0 … 9"):
            list(loader)


def test_misspelt_words_are_refused():
    with pytest.raises(TypeError, match="bach_size"):
        ImageLoader(numbered(10), bach_size=4)


class Noisy(torch.utils.data.Dataset):
    """A data set that augments by torch's own generator."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.rand(1, 4, 4), index % 2


def test_workers_draw_anew_each_pass_and_may_stay():
    dataset = ImageDataset(Noisy(), [0, 1, 0, 1])
    generator = torch.Generator().manual_seed(0)
    options = {"num_workers": 1, "prefetch_factor": 2, "persistent_workers": True}
    loader = ImageLoader(dataset, 2, True, generator, **options)
    passes = [torch.cat([images for images, _ in loader]) for _ in range(2)]
    assert not set(passes[0].flatten().tolist()) & set(passes[1].flatten().tolist())
    first = loader._workers
    assert first is not None and list(loader) and loader._workers is first


# ---- training ------------------------------------------------------------------------


@pytest.mark.parametrize("iterator", [ImageLoader, DataLoader])
@pytest.mark.parametrize("name", ["sampler", "batch_sampler"])
def test_training_sees_what_the_sampler_gives(halves, iterator, name):
    X, y = halves
    X = X[:, ::2, ::2]
    three = SubsetRandomSampler([1, 3, 5])  # of one class only
    given = three if name == "sampler" else BatchSampler(three, 2, drop_last=False)
    net = ImageClassifier(
        max_epochs=8,
        lr=0.01,
        random_state=0,
        iterator_train=iterator,
        **{f"iterator_train__{name}": given},
    )
    net.fit(X, y)
    assert set(net.predict(X)) == {1}


def test_a_weighted_sampler_grows_with_the_labels(halves, quick):
    X, y = halves

    def even(y):
        counts = np.bincount(y)
        return WeightedRandomSampler(1 / counts[y], len(y))

    # One dark image among many bright ones.
    rows = np.r_[0, 1:40:2]
    net = quick(max_epochs=12, lr=0.01, iterator_train__sampler=even)
    learner = ActiveLearner(net, "margin", X_training=X[rows], y_training=y[rows])
    again = quick(max_epochs=12, lr=0.01, iterator_train__sampler=even)
    again.fit(X[rows], y[rows])
    np.testing.assert_array_equal(net.predict_proba(X), again.predict_proba(X))
    learner.teach(X[2:6], y[2:6])
    assert learner.score(X, y) == 1
    made = WeightedRandomSampler(np.ones(21), 21)
    stale = ActiveLearner(
        quick(iterator_train__sampler=made), X_training=X[rows], y_training=y[rows]
    )
    with pytest.raises(ParameterError, match="made for 21 images, here are 25"):
        stale.teach(X[2:6], y[2:6])


@pytest.mark.parametrize("iterator", [ImageLoader, DataLoader])
def test_fewer_labels_than_a_batch_with_drop_last_are_refused(halves, iterator):
    X, y = halves
    net = ImageClassifier(
        max_epochs=1,
        schedule="cosine",
        iterator_train=iterator,
        iterator_train__drop_last=True,
    )
    with pytest.raises(ParameterError, match="no batch to train on: 20 images"):
        net.fit(X[:20], y[:20])
    assert net.fit(X, y).history_[-1, "train_batch_count"] == (
        8 if iterator is ImageLoader else 1
    )


def test_a_plain_net_that_trained_on_no_batch_is_told(halves):
    X, y = halves
    X = X.reshape(40, -1).astype(np.float32)
    net = NeuralNetClassifier(
        nn.Linear(64, 2),
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        verbose=0,
        max_epochs=1,
        batch_size=32,
        iterator_train__drop_last=True,
    )
    with pytest.raises(ParameterError, match=r"trained on no batch.*20 rows at batch"):
        ActiveLearner(net, "margin", X_training=X[:20], y_training=y[:20])
    ActiveLearner(clone(net), "margin", X_training=X, y_training=y)


# ---- scoring -------------------------------------------------------------------------

NOT_IN_ORDER = [
    ("shuffle", True),
    ("drop_last", True),
    ("sampler", SequentialSampler(range(40))),
    ("batch_sampler", [[1, 2], [0]]),
]


@pytest.mark.parametrize(("option", "value"), NOT_IN_ORDER)
def test_scoring_takes_every_image_in_its_order(halves, quick, option, value):
    X, y = halves
    name = f"iterator_valid__{option}"
    says = rf"{name}=.* iterator_train__{option}"
    with pytest.raises(ParameterError, match=says) as caught:
        quick(**{name: value}).fit(X, y)
    assert caught.value.parameters == (name,)
    net = quick().fit(X, y)
    expected = net.predict_proba(X)
    with pytest.raises(ParameterError, match=says):
        net.set_params(**{name: value})
    np.testing.assert_array_equal(net.predict_proba(X), expected)
    # However it came there.
    setattr(net, name, value)
    with pytest.raises(ParameterError, match=says):
        net.predict(X)
    net.set_params(**{name: None if "sampler" in option else False})
    np.testing.assert_array_equal(net.predict_proba(X), expected)


class First(ImageLoader):
    """Somebody's own iterator, which gives the first batch alone."""

    def __iter__(self):
        yield next(super().__iter__())


@pytest.mark.parametrize("kind", [ImageClassifier, LossPredictionClassifier])
def test_images_are_counted(halves, kind):
    X, y = halves
    net = kind(max_epochs=1, iterator_valid__batch_size=16, random_state=0).fit(X, y)
    net.set_params(iterator_valid=First)
    asked = [net.predict, net.score if kind is ImageClassifier else net.predict_loss]
    for ask in asked:
        with pytest.raises(ParameterError, match="gave 16 of 40 images"):
            ask(X) if ask != net.score else ask(X, y)
