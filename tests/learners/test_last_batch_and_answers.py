"""The last batch of a live loop, and answers that are none."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

from al_sklearn import ActiveLearner, Committee

X, Y = load_iris(return_X_y=True)


def learners(strategy="margin"):
    one = ActiveLearner(GaussianNB(), strategy, X[::5], Y[::5])
    members = [ActiveLearner(GaussianNB(), "margin", X[::5], Y[::5]) for _ in range(2)]
    return one, Committee(members, strategy)


@pytest.mark.parametrize("which", [0, 1])
def test_at_most_gives_what_is_left(which):
    learner = learners()[which]
    for given in ((10,), ()):
        options = {} if given else {"n_instances": 10}
        indices, rows = learner.query(X[:4], *given, at_most=True, **options)
        assert sorted(indices) == [0, 1, 2, 3] and len(rows) == 4
    assert len(learner.query(X, n_instances=10, at_most=True)[0]) == 10
    with pytest.raises(ValueError, match="n_instances must be from 1 to 4"):
        learner.query(X[:4], n_instances=10)
    with pytest.raises(ValueError, match="pool is empty"):
        learner.query(X[:0], n_instances=10, at_most=True)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("answer", "said"),
    [([0, 0, 0], "gave 3 \\(1 different\\)"), ([1, 2], "gave 2 \\(2 different\\)")],
)
def test_rows_named_twice_or_too_few(which, answer, said):
    def wrong(classifier, X, n_instances=1):
        return np.array(answer)

    learner = learners(wrong)[which]
    with pytest.raises(ValueError, match=f"'wrong' was asked for 3 .* {said}"):
        learner.query(X, n_instances=3)
    # Told no number, it gives as many as it wants.
    if len(set(answer)) == len(answer):
        assert learner.query(X)[0].tolist() == answer


def test_one_label_is_no_list():
    learner = ActiveLearner(GaussianNB(), "margin", X[::5], Y[::5].astype(str))
    with pytest.raises(ValueError, match=r"y is a single value, '1': .* \['1'\]"):
        learner.relabel(0, "1")


def test_a_bootstrap_keeps_every_class():
    known = np.r_[0:20, 50:70, 100:101]
    for seed in range(20):
        members = [ActiveLearner(GaussianNB(var_smoothing=0.01)) for _ in range(2)]
        committee = Committee(members, random_state=seed)
        committee.teach(X[known], Y[known], bootstrap=True)
        assert [len(member.classes_) for member in committee] == [3, 3]
    one = ActiveLearner(GaussianNB(var_smoothing=0.01), random_state=0)
    one.fit(X[known], Y[known], bootstrap=True)
    assert len(one.classes_) == 3


def test_what_no_bootstrap_can_keep_is_said():
    many = Committee([ActiveLearner(GaussianNB(var_smoothing=1.0))], random_state=0)
    # One row of each of sixty classes.
    with pytest.warns(UserWarning, match=r"Member 0 \(GaussianNB\): each of 100"):
        many.teach(X[:60], np.arange(60), bootstrap=True)
    two = ActiveLearner(GaussianNB(var_smoothing=1.0), random_state=0)
    two._bootstrap = lambda n: np.zeros(n, dtype=np.int64)
    with pytest.raises(ValueError, match=r"The learner: .* one class alone is left"):
        two.fit(X[45:55], Y[45:55], bootstrap=True)
