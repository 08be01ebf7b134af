"""A loop that people answer: some late, some never, some twice."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from al_sklearn.learners import ActiveLearner
from al_sklearn.loop import Answers, Loop, Problem
from al_sklearn.loop.stopping import Budget
from al_sklearn.strategies import entropy, margin, random_sampling, typiclust

X, Y = load_digits(return_X_y=True)
X, Y = X[:200] / 16, Y[:200]
MODEL = LogisticRegression(max_iter=200)


def live(strategy=margin, labelled=30, **options):
    """A loop that nobody knows the labels of, with some told."""
    loop = Loop(Problem.of(MODEL, X, range(10), n_instances=5, **options), strategy)
    if labelled:
        loop.tell(Answers(np.arange(labelled), Y[:labelled]))
        loop.train()
    return loop


def test_a_round():
    loop = live()
    batch = loop.ask()
    assert (batch.round, batch.strategy, len(batch.positions)) == (1, "strategy", 5)
    assert np.array_equal(loop.pending, np.sort(batch.positions))
    loop.tell(Answers(batch.positions, Y[batch.positions]))
    record = loop.train()
    assert record.round == 1
    assert np.array_equal(record.indices, batch.positions)
    assert np.array_equal(record.scores, batch.scores)
    assert record.metrics["query_seconds"] == pytest.approx(batch.seconds)
    assert record.metrics["n_labelled"] == loop.n_labelled == 35
    assert sum(record.metrics["bought"]) == 5
    assert 0 <= record.metrics["batch_accuracy"] <= 1
    assert "accuracy" not in record.metrics
    assert len(loop.pending) == 0


def test_it_asks_as_a_learner_by_hand_would():
    loop = live(random_ties=False)
    learner = ActiveLearner(MODEL, "margin", X[:30], Y[:30])
    expected, _ = learner.query(X[30:], n_instances=5)
    assert np.array_equal(loop.ask().positions, expected + 30)
    assert isinstance(loop.learner, ActiveLearner)
    assert np.array_equal(loop.learner.y_training, Y[:30])


def test_missing_answers_stay_pending_and_come_late():
    loop = live()
    first = loop.ask().positions
    loop.tell(Answers(first[:2], Y[first[:2]]))
    assert np.array_equal(loop.pending, np.sort(first[2:]))
    loop.train()
    second = loop.ask().positions
    assert not np.isin(second, first).any()
    late = np.concatenate([second[:1], first[2:4]])
    loop.tell(Answers(late, Y[late]))
    record = loop.train()
    assert np.array_equal(record.indices, late)
    assert loop.n_labelled == 35
    assert np.array_equal(loop.pending, np.sort([*second[1:], first[4]]))


def test_skipped_rows_are_not_asked_again_but_may_be_answered():
    loop = live()
    batch = loop.ask().positions
    loop.tell(Answers(skipped=batch[:2]))
    assert len(loop.pending) == 3
    assert not np.isin(loop.ask(160).positions, batch).any()
    loop.tell(Answers(batch[:1], Y[batch[:1]]))
    assert batch[0] in loop.labelled


def test_unsure_rows_stay_pending_until_somebody_knows():
    loop = live()
    batch = loop.ask().positions
    loop.tell(Answers(batch[:3], Y[batch[:3]], unsure=batch[3:]))
    assert np.array_equal(loop.unsure, np.sort(batch[3:]))
    assert np.array_equal(loop.pending, np.sort(batch[3:]))
    loop.tell(Answers(batch[3:4], Y[batch[3:4]], skipped=batch[4:]))
    assert len(loop.unsure) == len(loop.pending) == 0
    # Nobody asked for these.
    loop.tell(Answers(unsure=[199]))
    assert loop.pending.tolist() == [199]


def test_the_last_of_two_labels_counts_and_both_are_kept():
    loop = live()
    batch = loop.ask().positions
    one, two = batch[:2]
    loop.tell(Answers([one, two, one], [3, 4, 5]))
    loop.tell(Answers([two], [4]))
    record = loop.train()
    assert record.indices.tolist() == [one, two]
    loop.tell(Answers([two], [6]))
    kept = [tuple(part) for part in loop.contradictions]
    assert kept == [(one, 3, 5, 1), (two, 4, 6, 2)]
    assert loop.train().metrics["n_labelled"] == 32
    loop.ask(1)
    assert loop.learner.y_training[-2:].tolist() == [5, 6]


def test_a_skip_takes_no_label_back():
    loop = live()
    loop.tell(Answers(skipped=[0], unsure=[1]))
    assert loop.n_labelled == 30
    assert len(loop.pending) == len(loop.unsure) == 0


def test_words_may_get_longer():
    names = np.array(["cat", "dog", "hippopotamus"])
    loop = Loop(Problem.of(MODEL, X, names), margin)
    loop.tell(Answers([0, 1], ["cat", "dog"]))
    loop.tell(Answers([2], ["hippopotamus"]))
    loop.train()
    assert loop.model.classes_.tolist() == names.tolist()


@pytest.mark.parametrize(
    ("answers", "match"),
    [
        (Answers([200], [1]), "rows 0 to 199"),
        (Answers([5], [11]), "none of the classes"),
        (Answers([5], ["six"]), "none of the"),
        (Answers(skipped=[-1]), "rows 0 to 199"),
    ],
)
def test_wrong_answers_change_nothing(answers, match):
    loop = live()
    with pytest.raises(ValueError, match=match):
        loop.tell(answers)
    assert loop.n_labelled == 30


def test_answers_fit_together():
    with pytest.raises(ValueError, match="length"):
        Answers([1, 2], [3])
    with pytest.raises(TypeError, match="positions must be integers"):
        Answers([0.5], [3])


def test_held_out_rows_cannot_be_labelled():
    options = {"train": np.arange(100), "test": np.arange(100, 200)}
    loop = live(X_test=X[100:], y_test=Y[100:], **options)
    with pytest.raises(ValueError, match="held out for test"):
        loop.tell(Answers([150], [3]))
    assert loop.ask(70).positions.max() < 100


def test_with_a_test_set_it_measures():
    loop = live(X_test=X[:30], y_test=Y[:30])
    batch = loop.ask().positions
    loop.tell(Answers(batch, Y[batch]))
    assert loop.train().metrics["accuracy"] > 0.9


def test_a_cold_start_asks_before_it_has_a_model():
    loop = live(typiclust, labelled=0)
    with pytest.raises(ValueError, match="Nothing has been labelled"):
        loop.train()
    batch = loop.ask(20).positions
    loop.tell(Answers(batch, Y[batch]))
    record = loop.train()
    assert record.round == 0
    assert np.isnan(record.metrics["batch_accuracy"])
    assert len(loop.ask().positions) == 5


def test_asking_twice_asks_for_other_rows():
    loop = live(random_sampling)
    first, second = loop.ask().positions, loop.ask().positions
    assert not np.isin(first, second).any()
    again = live(random_sampling)
    assert np.array_equal(again.ask().positions, first)
    assert np.array_equal(again.ask().positions, second)


def test_budget_counts_what_is_pending():
    loop = live(budget=38)
    assert len(loop.ask().positions) == 5
    assert len(loop.ask().positions) == 3
    with pytest.raises(ValueError, match="30 rows are labelled and 8 pending"):
        loop.ask()


def test_it_ends_when_nothing_is_left():
    loop = live(random_sampling)
    batch = loop.ask(170).positions
    assert not loop.finished
    with pytest.raises(ValueError, match="170 rows are pending"):
        loop.ask()
    loop.tell(Answers(batch[:100], Y[batch[:100]], skipped=batch[100:]))
    loop.train()
    assert loop.finished


def test_a_criterion_stops_it():
    loop = live(stopping=Budget(35))
    batch = loop.ask().positions
    loop.tell(Answers(batch, Y[batch]))
    record = loop.train()
    assert loop.finished
    assert loop.stopped == record.metrics["stopped"] == "Budget(n_labels=35)"


def test_the_global_generators_stay_as_they_are():
    random.seed(0)
    before = random.getstate()
    loop = live(entropy)
    loop.ask()
    assert random.getstate() == before


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["label", "skip", "unsure"]), st.integers(0, 19)),
        max_size=40,
    )
)
def test_whatever_is_told_each_row_is_in_one_state(told):
    problem = Problem.of(MODEL, X[:20], range(10))
    loop = Loop(problem, random_sampling)
    last, skipped = {}, set()
    for number, (what, position) in enumerate(told):
        if what == "label":
            last[position] = number % 10
            loop.tell(Answers([position], [number % 10]))
        elif what == "skip":
            loop.tell(Answers(skipped=[position]))
            skipped.add(position)
        else:
            loop.tell(Answers(unsure=[position]))
    assert sorted(loop.labelled) == sorted(last)
    states = [*loop.labelled, *loop.pending, *loop.unlabelled]
    assert len(states) == len(set(states))
    assert set(range(20)) - set(states) <= skipped
    assert set(loop.unsure) <= set(loop.pending)
    if last:
        assert loop._labels.of(np.array(list(last))).tolist() == list(last.values())


def test_labels_of_another_type_are_no_labels():
    """To numpy "3" is 3: all labels told before would become text."""
    loop = live()
    with pytest.raises(ValueError, match=r"\['3'\] are none of the classes"):
        loop.tell(Answers([50], ["3"]))
    with pytest.raises(ValueError, match=r"1-D, got the shape \(1, 1\)"):
        loop.tell(Answers([50], [[3]]))
    assert loop.train().metrics["n_labelled"] == 30
    assert loop.model.classes_.dtype.kind == "i"


def test_only_answers_are_told():
    with pytest.raises(TypeError, match="must be Answers, got dict"):
        live().tell({50: 3})


def test_a_training_that_fails_is_no_round():
    loop = live(labelled=0)
    threes = np.flatnonzero(Y == 3)[:5]
    loop.tell(Answers(threes, Y[threes]))
    with pytest.raises(ValueError, match="only one class"):
        loop.train()
    assert loop.round == -1
    others = np.flatnonzero(Y == 4)[:5]
    loop.tell(Answers(others, Y[others]))
    first = loop.train()
    assert first.round == 0
    assert first.indices.tolist() == [*threes, *others]


@pytest.mark.filterwarnings("ignore:training='only_new'")
def test_only_new_rows_of_fewer_classes_begin_again():
    """A warm start has another shape of weights then."""
    warm = LogisticRegression(max_iter=200, warm_start=True)
    loop = Loop(Problem.of(warm, X, range(10), training="only_new"), margin)
    for rows in (np.arange(30), np.flatnonzero(Y < 2)[-8:]):
        loop.tell(Answers(rows, Y[rows]))
        loop.train()
    assert loop.model.classes_.tolist() == [0, 1]
