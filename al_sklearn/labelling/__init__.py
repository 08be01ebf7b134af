"""People answer: what was asked of them out, what they answered in."""

from al_sklearn import formats
from al_sklearn.labelling._csv import read_labels, write_requests

__all__ = [
    "formats",
    "read_labels",
    "write_requests",
]
