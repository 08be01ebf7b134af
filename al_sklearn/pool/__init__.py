"""Which position is labelled, unlabelled, pending, skipped, validation or test; and rows out of any kind of X.

Everything is said in integer positions of the X that the caller gave. A pool is masks over that X, never a
shrinking copy: :func:`view_rows` looks at some of its rows and reads them only when they are asked for.
"""

from al_sklearn.pool._pool import STATES, Pool
from al_sklearn.pool._rows import RowView, are_files, concat_rows, iter_chunks, n_rows, take_rows, view_rows

__all__ = ["STATES", "Pool", "RowView", "are_files", "concat_rows", "iter_chunks", "n_rows", "take_rows", "view_rows"]
