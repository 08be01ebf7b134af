"""Every kind of data is queried and taught, of its own kind and lazily."""

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from skorch.helper import SliceDataset
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from al_sklearn.estimators import ImageClassifier
from al_sklearn.learners import ActiveLearner, Committee, DeepActiveLearner
from tests.learners.nets import TwoInputs, plain_net


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:240], y[:240]


class Images(Dataset):
    """Counts how many images are read; yields them alone or with a label that is
    wrong."""

    def __init__(self, images, labels=None):
        self.images, self.labels, self.reads = images, labels, 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        self.reads += 1
        image = torch.as_tensor(self.images[i])
        return image if self.labels is None else (image, self.labels[i])


def flat_classifier():
    return LogisticRegression(max_iter=300, C=0.01)


def memmap(X, tmp_path):
    np.save(tmp_path / "X.npy", X.reshape(len(X), -1))
    return np.load(tmp_path / "X.npy", mmap_mode="r")


FLAT = {
    "ndarray": lambda X, _: X.reshape(len(X), -1),
    "memmap": memmap,
    "csr matrix": lambda X, _: sp.csr_matrix(X.reshape(len(X), -1)),
    "csr array": lambda X, _: sp.csr_array(X.reshape(len(X), -1)),
    "DataFrame": lambda X, _: pd.DataFrame(
        X.reshape(len(X), -1), index=np.arange(len(X))[::-1]
    ).add_prefix("pixel"),
    "list": lambda X, _: X.reshape(len(X), -1).tolist(),
    "tensor": lambda X, _: torch.as_tensor(X.reshape(len(X), -1)),
}


def as_array(rows):
    return np.asarray(rows.todense() if sp.issparse(rows) else rows)


@pytest.mark.parametrize("kind", FLAT)
def test_kinds_for_scikit_learn(data, tmp_path, kind):
    X, y = data
    rows = FLAT[kind](X, tmp_path)
    flat = X.reshape(len(X), -1)
    start = slice(0, 40)
    learner = ActiveLearner(flat_classifier(), query_strategy="margin")
    learner.fit(
        sp.csr_matrix(rows)[:40] if "csr" in kind else rows[start], y[start].astype(str)
    )
    expected = ActiveLearner(flat_classifier(), query_strategy="margin").fit(
        flat[start], y[start].astype(str)
    )
    for _ in range(2):
        indices, chosen = learner.query(rows, n_instances=5)
        again, _ = expected.query(flat, n_instances=5)
        assert indices.tolist() == again.tolist()
        assert np.array_equal(as_array(chosen), flat[indices])
        learner.teach(chosen, y[indices].astype(str))
        expected.teach(flat[again], y[again].astype(str))
    assert np.array_equal(as_array(learner.X_training), expected.X_training)
    assert np.array_equal(learner.y_training, expected.y_training)
    if kind in ("DataFrame", "list"):
        assert type(learner.X_training) is type(rows)
    assert sp.issparse(learner.X_training) == sp.issparse(rows)


def hdf5(X, _, tmp_path):
    file = h5py.File(tmp_path / "X.h5", "w")
    return file.create_dataset("images", data=X)


def files(X, _, tmp_path):
    for i, image in enumerate(X):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    return [tmp_path / f"{i}.png" for i in range(len(X))]


IMAGES = {
    "array": lambda X, y, _: X,
    "hdf5": hdf5,
    "tensor": lambda X, y, _: torch.as_tensor(X),
    "files": files,
    "data set": lambda X, y, _: Images(X),
    "data set with other labels": lambda X, y, _: Images(X, 9 - y),
    "subset": lambda X, y, _: Subset(Images(np.concatenate([X, X])), range(len(X))),
    "concatenated": lambda X, y, _: ConcatDataset([Images(X[:100]), Images(X[100:])]),
    "slice data set": lambda X, y, _: SliceDataset(
        TensorDataset(torch.as_tensor(X), torch.as_tensor(y)), idx=0
    ),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_kinds_for_image_classifiers(data, tmp_path, kind):
    X, y = data
    pool = IMAGES[kind](X, y, tmp_path)

    def make():
        return ActiveLearner(
            ImageClassifier(max_epochs=3, verbose=0, random_state=0),
            query_strategy="entropy",
        )

    learner, expected = make(), make()
    labelled, indices = np.arange(60), None
    from al_sklearn.pool import take_rows

    learner.fit(take_rows(pool, labelled), y[labelled])
    expected.fit(X[labelled], y[labelled])
    indices, rows = learner.query(pool, n_instances=12)
    again, images = expected.query(X, n_instances=12)
    assert indices.tolist() == again.tolist()
    if isinstance(pool, (Dataset, list, SliceDataset)):
        # The rows that were chosen are still only names of rows.
        assert not isinstance(rows, (np.ndarray, torch.Tensor))
    learner.teach(rows, y[indices])
    expected.teach(images, y[again])
    assert np.allclose(
        learner.predict_proba(pool), expected.predict_proba(X), atol=1e-5
    )


def test_a_pool_on_disk_is_read_only_where_it_must_be(data):
    X, y = data
    pool = Images(X)
    learner = ActiveLearner(
        ImageClassifier(max_epochs=1, verbose=0), query_strategy="random"
    )
    learner.fit(Subset(pool, range(30)), y[:30])
    pool.reads = 0
    indices, rows = learner.query(pool, n_instances=5)
    learner.teach(rows, y[indices], refit=False)
    assert pool.reads == 0
    assert isinstance(learner.X_training, Subset)
    assert learner.X_training.dataset is pool


@pytest.mark.parametrize("labels_inside", [False, True])
@pytest.mark.parametrize("learner_class", [ActiveLearner, DeepActiveLearner])
def test_a_plain_net_learns_the_labels_that_were_taught(
    data, labels_inside, learner_class
):
    X, y = data[0][:120], data[1][:120]
    pool = Images(X, 9 - y if labels_inside else None)
    learner = learner_class(plain_net(lr=0.02, max_epochs=15))
    learner.fit(pool, y.tolist())
    assert np.mean(learner.predict(X) == y) > 0.9
    learner.teach(Subset(pool, range(40)), y[:40])
    assert np.mean(learner.predict(X) == y) > 0.8


def test_a_dict_of_arrays(data):
    X, y = data
    pool = {"top": X[:, :4], "bottom": X[:, 4:]}
    learner = ActiveLearner(plain_net(TwoInputs, max_epochs=20))
    learner.fit({name: part[:100] for name, part in pool.items()}, y[:100])
    indices, rows = learner.query(pool, n_instances=20)
    assert sorted(rows) == ["bottom", "top"]
    assert np.array_equal(rows["top"], X[indices, :4])
    learner.teach(rows, y[indices], bootstrap=True)
    assert len(learner.X_training["top"]) == 120
    assert learner.score(pool, y) > 0.7
    with pytest.raises(TypeError, match="same keys"):
        learner.teach({"top": X[:2]}, y[:2])
    with pytest.raises(ValueError, match="same length"):
        learner.teach({"top": X[:2], "bottom": X[:3]}, y[:2])


def test_images_of_four_axes_and_tensors_on_a_plain_net(data):
    X, y = data
    images = X[:, None].astype(np.float32)
    for pool, labels in [(images, y), (torch.as_tensor(images), torch.as_tensor(y))]:
        learner = ActiveLearner(
            plain_net(), X_training=pool[:50], y_training=labels[:50]
        )
        indices, rows = learner.query(pool, n_instances=7)
        assert type(rows) is type(pool)
        assert rows.shape == (7, 1, 8, 8)
        learner.teach(rows, labels[indices])
        assert learner.X_training.shape == (57, 1, 8, 8)
        assert type(learner.y_training) is type(labels)


class Nearest(ClassifierMixin, BaseEstimator):
    """Works on a Series of file names."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.seen_ = list(X)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def test_a_series_of_file_names():
    names = pd.Series([f"{i}.png" for i in range(20)], index=range(20, 0, -1))
    labels = pd.Series(["cat", "dog"] * 10, index=names.index)
    learner = ActiveLearner(Nearest(), X_training=names[:4], y_training=labels[:4])
    _, rows = learner.query(names[4:], n_instances=2)
    assert rows.tolist() == ["4.png", "5.png"]
    learner.teach(rows, labels[rows.index])
    assert learner.estimator.seen_ == [f"{i}.png" for i in range(6)]
    assert learner.X_training.index.tolist() == [20, 19, 18, 17, 16, 15]


def test_subsets_stay_one_subset_however_much_is_taught(data):
    X, y = data
    pool = Images(X)
    learner = ActiveLearner(
        Nearest(), X_training=Subset(pool, [0, 1]), y_training=y[:2]
    )
    for i in range(2, 30):
        learner.teach(Subset(pool, [i]), y[i : i + 1], refit=False)
    assert learner.X_training.indices == list(range(30))
    other = ActiveLearner(Nearest(), X_training=pool, y_training=y)
    for i in range(30):
        other.teach(Subset(Images(X), [i]), y[i : i + 1], refit=False)
    assert len(other.X_training.datasets) == 31


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: plain_net(max_epochs=12),
        lambda: ImageClassifier(max_epochs=12, verbose=0),
    ],
)
def test_a_committee_of_nets_in_parallel(data, make):
    X, y = data
    committee = Committee(
        [ActiveLearner(make()) for _ in range(2)], random_state=0, n_jobs=2
    )
    committee.fit(X[:100], y[:100])
    one, two = (m.predict_proba(X) for m in committee)
    assert not np.allclose(one, two)
    alone = Committee([ActiveLearner(make()) for _ in range(2)], random_state=0).fit(
        X[:100], y[:100]
    )
    assert np.allclose([m.predict_proba(X) for m in alone], [one, two], atol=1e-5)
    indices, rows = committee.query(X, 6)
    committee.teach(rows, y[indices])
    assert committee.score(X, y) > 0.6
