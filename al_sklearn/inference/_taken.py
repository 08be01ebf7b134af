"""A classifier in a query of which a part is chosen already."""

from __future__ import annotations

from typing import Any

from al_sklearn.inference._adapter import Adapter, adapter_of, register_adapter
from al_sklearn.rows import concat_rows


class WithTaken:
    """A classifier, and rows that will be labelled with what is chosen next.

    It is the classifier in all but ``X_taken``: :func:`labelled_rows` counts those rows
    among what is labelled, so that what covers a pool covers no place twice. Their
    labels are not known: :func:`labelled_data` does not have them.

    Parameters
    ----------
    classifier : estimator, Pipeline, ActiveLearner or Committee
    X_taken : any kind of rows
    """

    def __init__(self, classifier: Any, X_taken: Any):
        if isinstance(classifier, WithTaken):
            # A part of a part: what both have taken.
            X_taken = concat_rows(classifier.X_taken, X_taken)
            classifier = classifier.classifier
        self.classifier: Any = classifier
        self.X_taken: Any = X_taken

    def __getattr__(self, name: str) -> Any:
        # Before __init__ there is nothing to ask: copies and pickles look.
        if name.startswith("__") or "classifier" not in vars(self):
            raise AttributeError(name)
        return getattr(self.classifier, name)


@register_adapter(WithTaken)
def of_the_classifier(wrapped: WithTaken) -> Adapter:
    """It predicts with the classifier."""
    return adapter_of(wrapped.classifier)
