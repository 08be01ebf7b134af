"""The listing of the public API, on which the changelog's differences rest."""

from tests.house.api import differences, lines


def test_the_listing_has_functions_classes_and_methods():
    found = lines()
    assert any(
        line.startswith("al_sklearn.strategies.margin(classifier, X, n_instances=1")
        for line in found
    )
    assert (
        "al_sklearn.StrategyComparison.fit(self, X, y, X_test=None, y_test=None, "
        "X_val=None, y_val=None, **fit_params)" in found
    )
    # The same in every process, so that two listings can be compared.
    assert not [line for line in found if " at 0x" in line]
    assert found == sorted(set(found))


def test_differences_name_what_came_and_what_went():
    assert differences(["a", "b(x)"], ["a", "b(y)"]) == ["-b(x)", "+b(y)"]
    assert differences(["a"], ["a"]) == []
