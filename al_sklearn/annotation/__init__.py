"""People: what was asked of them out, what they answered in."""

from al_sklearn.labelling import read_labels, write_requests

__all__ = ["read_labels", "write_requests"]
