"""Any kind of X by positions: rows, chunks, files, one cache, index sets, fingerprints.

Frameworks are found in ``sys.modules``, never imported here: whoever has their data has
imported them, and nobody else waits for torch.
"""

from al_sklearn.rows._cache import (
    KeyedRows,
    cache_key,
    file_key,
    hashes,
    open_or_compute,
)
from al_sklearn.rows._chunks import by_chunks, kept, stays_mapped
from al_sklearn.rows._code import code_of
from al_sklearn.rows._decode import DAMAGED, Size, check_mode, decode_all, to_pixels
from al_sklearn.rows._fingerprint import (
    WHOLE_BYTES,
    ObjectHasher,
    data_differences,
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
from al_sklearn.rows._numpy_files import read_numpy
from al_sklearn.rows._rows import (
    RowView,
    are_files,
    as_positions,
    concat_columns,
    concat_rows,
    is_data_set,
    iter_chunks,
    n_rows,
    take_row,
    take_rows,
    view_rows,
    with_labels,
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
    "code_of",
    "concat_columns",
    "concat_rows",
    "data_differences",
    "decode_all",
    "describe",
    "differences",
    "file_key",
    "fingerprint",
    "hashes",
    "is_data_set",
    "iter_chunks",
    "kept",
    "n_rows",
    "open_or_compute",
    "read_index_sets",
    "read_numpy",
    "read_splits",
    "stays_mapped",
    "take_row",
    "take_rows",
    "to_pixels",
    "versions",
    "view_rows",
    "with_labels",
    "write_index_sets",
]
