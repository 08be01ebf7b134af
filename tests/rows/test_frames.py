"""Rows after those of a frame: its columns stay what they are, or the rows are
refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from al_sklearn import ActiveLearner, Committee
from al_sklearn.rows import concat_rows


def category(values, categories=None, ordered=False):
    return pd.Categorical(values, categories=categories, ordered=ordered)


def joined(known, new):
    left, right = pd.DataFrame({"c": known}), pd.DataFrame({"c": new})
    before = left.dtypes["c"], right.dtypes["c"]
    out = concat_rows(left, right)["c"]
    # What was given is not changed.
    assert (left.dtypes["c"], right.dtypes["c"]) == before
    series = concat_rows(left["c"], right["c"])
    assert series.dtype == out.dtype and series.equals(out)
    return out


def test_categories_are_joined():
    out = joined(category(["lo", "hi"]), category(["hi"]))
    assert list(out.cat.categories) == ["hi", "lo"] and list(out) == ["lo", "hi", "hi"]
    out = joined(category(["lo"]), category(["new"]))
    assert list(out.cat.categories) == ["lo", "new"]
    out = joined(category([2, 9]), category([2, 5]))
    assert list(out.cat.categories) == [2, 9, 5]
    # Values without a type of their own.
    assert list(joined(category(["a", "b"]), ["b", None]).cat.categories) == ["a", "b"]
    assert list(joined(category([2, 9]), [9]).cat.categories) == [2, 9]


def test_an_order_is_kept_or_the_rows_are_refused():
    low, high = ["low", "mid"], ["low", "mid", "high"]
    whole = category(["low"], high, ordered=True)
    for part in (low, ["mid", "high"], high):
        out = joined(whole, category(["mid"], part, ordered=True))
        assert out.cat.ordered and list(out.cat.categories) == high
    assert joined(category(["low"], low, ordered=True), whole).cat.ordered
    assert joined(whole, category(["mid"])).cat.ordered
    for wrong in (
        category(["mid"], ["mid", "low"], ordered=True),
        category(["huge"]),
        category(["huge"], ["low", "huge"], ordered=True),
    ):
        with pytest.raises(ValueError, match=r"Column 'c' is category of .* and"):
            joined(whole, wrong)


@pytest.mark.parametrize(
    ("known", "new"),
    [
        (category(["a"]), ["other"]),
        (category(["a"]), [1.0]),
        (category(["a"]), category([1])),
        ([1.0], ["text"]),
        (["text"], [1.0]),
        ([True], [1]),
        (pd.to_datetime(["2020-01-01"]), ["2020-01-01"]),
    ],
)
def test_what_would_become_another_kind_is_refused(known, new):
    with pytest.raises(ValueError, match=r"Column 'c' is .* give the new rows"):
        joined(known, new)


def test_what_widens_or_says_nothing_is_joined():
    assert joined([1, 2], [0.5]).dtype == float
    assert joined(np.array([1], np.int8), np.array([2], np.int64)).dtype == np.int64
    assert joined([0.5], [None]).dtype == float
    assert joined([1], [None]).dtype == float
    assert joined([None], [0.5]).dtype == float
    assert joined(["a"], category(["b"])).tolist() == ["a", "b"]
    assert joined(category(["a"]), [None]).dtype == "category"
    assert joined(pd.array([1], dtype="Int64"), [2]).tolist() == [1, 2]
    assert joined([True], [False]).dtype == bool
    assert joined(pd.to_datetime(["2020-01-01"]), [None]).dtype.kind == "M"


def test_columns_by_name_and_by_place():
    left = pd.DataFrame({"a": [1.0], "c": category(["x"])})
    turned = pd.DataFrame({"c": category(["y"]), "a": [2.0]})
    out = concat_rows(left, turned)
    assert list(out.columns) == ["a", "c"] and out["c"].dtype == "category"
    twice = pd.DataFrame([[1.0, "x"]], columns=["a", "a"]).infer_objects()
    out = concat_rows(twice, pd.DataFrame([[2.0, "y"]], columns=["a", "a"]))
    assert out.shape == (2, 2) and out.dtypes.iloc[0].kind == "f"
    assert concat_rows(left, np.array([[2.0, "x"]], dtype=object)).dtypes.equals(
        left.dtypes
    )
    with pytest.raises(ValueError, match="Rows with columns"):
        concat_rows(left, pd.DataFrame({"b": [1.0]}))


def table(n, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=n)
    words = category(np.where(labels, "hi", "lo"))
    return pd.DataFrame({"a": generator.random(n), "c": words}), labels


@pytest.mark.parametrize("training", [None, "only_new"])
def test_selectors_by_type_see_the_column_after_a_batch_of_one_category(training):
    frame, labels = table(80)
    by_type = make_column_transformer(
        (
            OneHotEncoder(categories="auto"),
            make_column_selector(dtype_include="category"),
        ),
        ("passthrough", make_column_selector(dtype_include="number")),
    )
    batch = pd.DataFrame({"a": [0.1, 0.2], "c": category(["hi", "hi"])})
    model = make_pipeline(by_type, LogisticRegression())
    if training == "only_new":
        model = make_pipeline(by_type, GaussianNB())
    learner = ActiveLearner(model, X_training=frame, y_training=labels)
    learner.teach(batch, [1, 1], training=training)
    assert learner.X_training["c"].dtype == "category"
    n_seen = learner.estimator[0].transform(frame[:1]).shape[1]
    # Of the batch alone the encoder knows what is in it; the column is there.
    assert n_seen == (3 if training is None else 2)
    with pytest.raises(ValueError, match="Column 'c'"):
        learner.teach(pd.DataFrame({"a": [0.1], "c": [3]}), [1])
    assert len(learner.X_training) == 82


def test_committees_keep_types_too():
    frame, labels = table(60)
    encoded = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["c"]), ("passthrough", ["a"])),
        LogisticRegression(),
    )
    committee = Committee([ActiveLearner(encoded)])
    committee.fit(frame, labels)
    committee.teach(pd.DataFrame({"a": [0.3], "c": category(["new"])}), [0])
    categories = committee.X_training["c"].cat.categories
    assert list(categories) == ["hi", "lo", "new"]
