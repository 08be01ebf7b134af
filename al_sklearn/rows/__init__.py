"""Any kind of X by positions.

Rows, chunks, image files, one cache, index sets, fingerprints.
"""

from al_sklearn.rows._chunks import by_chunks, kept, stays_mapped
from al_sklearn.rows._decode import DAMAGED, Size, check_mode, decode_all, to_pixels
from al_sklearn.rows._fingerprint import (
    WHOLE_BYTES,
    ObjectHasher,
    describe,
    differences,
    fingerprint,
    versions,
)
from al_sklearn.rows._image_files import ImageFiles
from al_sklearn.rows._index_sets import (
    check_index_sets,
    read_index_sets,
    read_splits,
    write_index_sets,
)
from al_sklearn.rows._keyed_rows import KeyedRows, hashes
from al_sklearn.rows._labelled_dataset import with_labels
from al_sklearn.rows._numpy_files import read_numpy
from al_sklearn.rows._row_cache import cache_key, open_or_compute
from al_sklearn.rows._rows import (
    RowView,
    are_files,
    as_positions,
    concat_rows,
    iter_chunks,
    n_rows,
    take_rows,
    view_rows,
)

__all__ = [
    "DAMAGED",
    "WHOLE_BYTES",
    "ImageFiles",
    "KeyedRows",
    "ObjectHasher",
    "RowView",
    "Size",
    "are_files",
    "as_positions",
    "by_chunks",
    "cache_key",
    "check_index_sets",
    "check_mode",
    "concat_rows",
    "decode_all",
    "describe",
    "differences",
    "fingerprint",
    "hashes",
    "iter_chunks",
    "kept",
    "n_rows",
    "open_or_compute",
    "read_index_sets",
    "read_numpy",
    "read_splits",
    "stays_mapped",
    "take_rows",
    "to_pixels",
    "versions",
    "view_rows",
    "with_labels",
    "write_index_sets",
]
