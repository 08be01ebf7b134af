"""Any kind of X by positions: rows, chunks, files, one cache, index sets, fingerprints.

The names below are imported when they are first used: some of their modules need torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from al_sklearn._core.lazy import lazy_names as _lazy_names

if TYPE_CHECKING:
    from al_sklearn.rows._cache import (
        KeyedRows,
        cache_key,
        file_key,
        hashes,
        open_or_compute,
    )
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
    from al_sklearn.rows._labelled_dataset import with_labels
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
    )

_HOMES = {
    "DAMAGED": "_decode",
    "ImageFiles": "_image_files",
    "KeyedRows": "_cache",
    "ObjectHasher": "_fingerprint",
    "RowView": "_rows",
    "Size": "_decode",
    "WHOLE_BYTES": "_fingerprint",
    "are_files": "_rows",
    "as_positions": "_rows",
    "by_chunks": "_chunks",
    "cache_key": "_cache",
    "check_index_sets": "_index_sets",
    "check_mode": "_decode",
    "concat_columns": "_rows",
    "concat_rows": "_rows",
    "decode_all": "_decode",
    "describe": "_fingerprint",
    "differences": "_fingerprint",
    "file_key": "_cache",
    "fingerprint": "_fingerprint",
    "hashes": "_cache",
    "is_data_set": "_rows",
    "iter_chunks": "_rows",
    "kept": "_chunks",
    "n_rows": "_rows",
    "open_or_compute": "_cache",
    "read_index_sets": "_index_sets",
    "read_numpy": "_numpy_files",
    "read_splits": "_index_sets",
    "stays_mapped": "_chunks",
    "take_row": "_rows",
    "take_rows": "_rows",
    "to_pixels": "_decode",
    "versions": "_fingerprint",
    "view_rows": "_rows",
    "with_labels": "_labelled_dataset",
    "write_index_sets": "_index_sets",
}

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
    "concat_columns",
    "concat_rows",
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

__getattr__, __dir__ = _lazy_names(__name__, _HOMES)
