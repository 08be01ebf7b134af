"""Checks of class labels: modAL's own, which work as they are."""

from modAL.utils.validation import check_class_labels, check_class_proba

__all__ = ["check_class_labels", "check_class_proba"]
