"""What a run was made of, as plain JSON.

Its configuration, its data, the versions it ran on. Tensors and networks are known by
their classes' names: torch is imported by whoever has some, not here.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import pkgutil
import platform
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final

import joblib
import numpy as np
import scipy.sparse as sp
from joblib.hashing import NumpyHasher

from al_sklearn._core.home import without_home
from al_sklearn._core.optional import is_a
from al_sklearn._core.types import Array, Options
from al_sklearn.rows._rows import (
    RowView,
    byte_size,
    is_column,
    is_data_set,
    is_dict,
    is_tensor,
    iter_chunks,
    n_rows,
    take_rows,
)

_PACKAGES: Final = (
    "al-sklearn",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "skorch",
    "modAL-python",
    "joblib",
)
_OURS: Final = "al_sklearn."
# Above this, data that is not in memory is known by a sample of its rows: reading 100
# GB to resume a run is absurd.
WHOLE_BYTES: Final = 2**30
_SAMPLE_ROWS: Final = 256
# Files that are read when a run begins, and again where times have changed: seconds for
# photos on a disk, where a round reads as many.
_MORE_FILES: Final = 4096
_TIMES: Final = "times"
_CHUNK_ROWS: Final = 4096


@functools.singledispatch
def describe(value: Any) -> Any:
    """Say what a parameter is in plain JSON, the same in every process.

    Estimators are said by class and parameters, functions by name (those without an
    importable name by their code), arrays by shape, type and hash. Names are those of
    :func:`public_name`; the home folder is ``~``.
    """
    if isinstance(value, str):
        # What is described is kept and handed on; a path is the same one for whoever
        # has another home.
        return without_home(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if sp.issparse(value) or is_tensor(value):
        return fingerprint(value)
    if type(value).__module__ == "torch":
        # A torch.dtype, a torch.device.
        return str(value)
    described = {"class": public_name(type(value))}
    if hasattr(value, "get_params"):
        return described | describe(value.get_params(deep=False))
    if is_a(value, "torch.nn.Module"):
        state = {name: _hash(tensor) for name, tensor in value.state_dict().items()}
        return described | {"module": repr(value), "state": state}
    attributes = vars(value) if hasattr(value, "__dict__") else repr(value)
    return described | {"attributes": describe(attributes)}


def public_name(value: Any) -> str:
    """Name a class or function as its users import it.

    That is the shallowest public package that exports the very same object, among
    those its module lies in: a module that moves or is renamed behind its package
    changes no name. What no package exports has the name of its module.

    Parameters
    ----------
    value : class or function

    Returns
    -------
    str

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> public_name(LogisticRegression)
    'sklearn.linear_model.LogisticRegression'
    """
    module = getattr(value, "__module__", None) or ""
    name = getattr(value, "__qualname__", None) or value.__name__
    where = ""
    for part in module.split("."):
        if part.startswith("_"):
            break
        where = f"{where}.{part}".lstrip(".")
        # A package is imported before what lies in it, in every process alike.
        found = sys.modules.get(where)
        for step in name.split("."):
            found = getattr(found, step, None)
        if found is value:
            return f"{where}.{name}"
    return f"{module}.{name}"


def fingerprint(X: Any, known: Any = None) -> Options:
    """Know data again: kind, shape, type and a hash.

    Everything in memory is hashed whole, and so are files mapped into memory up to 1
    GiB; larger ones, and torch data sets, by up to 256 rows spread evenly. Names of
    files stand for what is in them: all names below the folder they share, all sizes,
    and the bytes of up to 256 files; when they were written does not matter.

    Parameters
    ----------
    X : rows
    known : dict, optional
        The fingerprint of what may be the same data. Where files have other times than
        those had, up to 4,096 of them are read, not 256: a folder that was copied is
        the same data, one that was edited is not.

    Returns
    -------
    dict
        Compare two of them by :func:`data_differences`.
    """
    if is_dict(X):
        before = known if isinstance(known, dict) else {}
        return {str(key): fingerprint(X[key], before.get(str(key))) for key in X}
    n = n_rows(X)
    files = _file_names(X)
    if files is not None:
        before = known if isinstance(known, dict) else {}
        return {"rows": n, **_of_files(files, before)}
    known = {"rows": n}
    if hasattr(X, "shape"):
        known["shape"] = list(map(int, X.shape))
    if hasattr(X, "dtype"):
        known["dtype"] = str(X.dtype)
    digest = hashlib.blake2b(digest_size=16)
    for part in _contents(X, n):
        digest.update(part)
    return known | {"hash": digest.hexdigest()}


def data_differences(stored: Any, now: Any) -> list[str]:
    """Name what differs between fingerprints of data, one short sentence each."""
    return differences(_without_times(stored), _without_times(now))


def _without_times(known: Any) -> Any:
    if not isinstance(known, dict):
        return known
    return {key: _without_times(known[key]) for key in known if key != _TIMES}


def _file_names(X: Any) -> list[str] | None:
    """Names of files, where rows are that; None of anything else."""
    is_list = isinstance(X, (list, tuple)) or (
        len(getattr(X, "shape", ())) == 1 and not is_tensor(X)
    )
    if not is_list or len(X) == 0:
        return None
    names = list(X)
    # One that is there, not all: a file that has gone is for whoever reads it to say.
    first = names[0]
    if not isinstance(first, (str, os.PathLike)) or not _is_file(first):
        return None
    return [os.fspath(name) for name in names]


def _is_file(name: Any) -> bool:
    try:
        return os.path.isfile(name)
    except ValueError:
        # A text with a zero in it is no name.
        return False


def _of_files(names: list[str], known: Mapping[str, Any]) -> Options:
    paths = [os.path.abspath(name) for name in names]
    try:
        shared = len(os.path.commonpath({os.path.dirname(path) for path in paths}))
    except ValueError:
        # Two drives of Windows.
        shared = 0
    digest, times = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=8)
    for path in paths:
        # Below what they share: a folder that was moved holds the same images.
        below = path[shared:]
        try:
            stat = os.stat(path)
        except OSError:
            size, time = -1, 0
        else:
            size, time = stat.st_size, stat.st_mtime_ns
        digest.update(f"{below}\0{size}\0".encode(errors="surrogateescape"))
        times.update(f"{time}\0".encode())
    _read_files(paths, _spread(len(paths)), digest)
    found = {"hash": digest.hexdigest(), _TIMES: times.hexdigest()}
    same_times = known.get(_TIMES) == found[_TIMES] and "more" in known
    if same_times:
        return found | {"more": known["more"]}
    more = hashlib.blake2b(digest_size=16)
    _read_files(paths, _spread(len(paths), _MORE_FILES), more)
    return found | {"more": more.hexdigest()}


def _read_files(names: list[str], positions: Array, digest: Any) -> None:
    for i in positions.tolist():
        try:
            with open(names[i], "rb") as file:
                content = hashlib.file_digest(file, "blake2b").digest()
        except OSError:
            # Whoever reads it as an image says what is wrong with it.
            content = b"-"
        digest.update(content)


def _contents(X: Any, n: int) -> Iterator[bytes | memoryview]:
    """Yield the bytes that data is known by, of whatever kind they are."""
    if sp.issparse(X):
        matrix = sp.csr_array(X)
        yield from map(_bytes_of, (matrix.indptr, matrix.indices, matrix.data))
    elif isinstance(X, (list, tuple)):
        yield _object_bytes(list(X))
    elif hasattr(X, "iloc") or (isinstance(X, np.ndarray) and X.dtype.kind in "OUS"):
        yield _object_bytes(X)
    elif is_column(X) or getattr(getattr(X, "dtype", None), "kind", "") == "T":
        # Text of numpy's and pandas' newer kinds has no bytes of its own.
        yield _object_bytes(list(X))
    elif is_data_set(X):
        for i in _spread(n):
            yield _object_bytes(X[int(i)])
    elif byte_size(X.shape, getattr(X, "dtype", None)) > WHOLE_BYTES and _is_mapped(X):
        yield _bytes_of(take_rows(X, _spread(n)))
    else:
        for _, rows in iter_chunks(X, _CHUNK_ROWS):
            yield _bytes_of(rows)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def differences(stored: Any, now: Any, where: str = "") -> list[str]:
    """Name what differs between two plain JSON values, one short sentence each."""
    if isinstance(stored, dict) and isinstance(now, dict):
        found = []
        # A dict of keys is a set that keeps their order.
        for key in dict.fromkeys([*stored, *now]):
            inside = f"{where}.{key}" if where else str(key)
            was = stored.get(key, _NOT_THERE)
            found += differences(was, now.get(key, _NOT_THERE), inside)
        return found
    if stored == now or _name_one_object(stored, now):
        return []
    return [f"{where} was {_short(stored)}, is {_short(now)}"]


class _NotThere:
    """Stands for what one of two values lacks."""

    def __repr__(self) -> str:
        return "not there"


_NOT_THERE: Final = _NotThere()


def _name_one_object(*names: Any) -> bool:
    """Whether names are of one thing of ours, which has moved and kept the first.

    Names of others are not looked up: a file must not decide what is imported.
    """
    if not all(isinstance(name, str) and name.startswith(_OURS) for name in names):
        return False
    try:
        was, is_now = map(pkgutil.resolve_name, names)
    except (ImportError, AttributeError, ValueError):
        return False
    return was is is_now


def _describe_function(function: Any, outer: tuple[Any, ...] = ()) -> Any:
    if function.__module__ != "__main__" and "<" not in function.__qualname__:
        return public_name(function)
    # No importable name: a lambda, a function inside another, a script's own. Its code
    # says what it does.
    code = function.__code__
    described = {"function": function.__qualname__, "code": code_hash(code)}
    # What it was made with decides what it does as well.
    defaults = [function.__defaults__, function.__kwdefaults__]
    if any(defaults):
        described["defaults"] = describe(defaults)
    inside = (*outer, function)
    enclosed = {}
    for key, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        value = cell.cell_contents
        if not isinstance(value, types.FunctionType):
            enclosed[key] = describe(value)
        elif value in inside:
            # A function that calls itself, or one that calls it, is described once.
            enclosed[key] = value.__qualname__
        else:
            enclosed[key] = _describe_function(value, inside)
    if enclosed:
        described["encloses"] = enclosed
    return described


def code_hash(code: types.CodeType) -> str:
    """Return a hash of what code does, wherever it stands and whatever comments say."""
    constants = [
        code_hash(c)
        if isinstance(c, types.CodeType)
        # The order of a set is another one in every process.
        else sorted(map(repr, c))
        if isinstance(c, frozenset)
        else c
        for c in code.co_consts
    ]
    text = repr((code.co_code, constants, code.co_names))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _hash(array: Any) -> str:
    return hashlib.blake2b(_bytes_of(array), digest_size=8).hexdigest()


class ObjectHasher(NumpyHasher):
    """joblib's hash, with tensors known by their values.

    Torch pickles them differently in every process.
    """

    def save(self, obj: Any) -> None:
        """Take in an object, and whatever it holds."""
        if is_tensor(obj):
            obj = "tensor", str(obj.dtype), tuple(obj.shape), _hash(obj)
        super().save(obj)


def _object_bytes(value: Any) -> bytes:
    return ObjectHasher("md5").hash(value).encode()


def _bytes_of(rows: Any) -> memoryview:
    """Look at an array's bytes without copying them, where they lie in order."""
    if is_tensor(rows):
        rows = rows.detach().cpu().contiguous()
        # Bytes of any type: numpy has no bfloat16, and torch no view of a scalar.
        rows = rows.reshape(-1).view(sys.modules["torch"].uint8).numpy()
    return np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data


def _spread(n: int, most: int = _SAMPLE_ROWS) -> Array:
    """Positions from the first to the last, so many of them."""
    places = np.linspace(0, n - 1, min(n, most))
    return np.unique(places.astype(np.int64))


def _is_mapped(X: Any) -> bool:
    """Whether an array's rows are read from somewhere: a file, HDF5, Zarr."""
    base = X.base if isinstance(X, RowView) else X
    is_array = isinstance(base, np.ndarray) or is_tensor(base)
    return isinstance(base, np.memmap) or not is_array


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _describe_items(items: Any) -> list[Any]:
    return [describe(item) for item in items]


# The kinds that describe knows, subclasses too; all others it asks what they have.
_BY_KIND: Final = {
    list: _describe_items,
    tuple: _describe_items,
    # Sets come in another order in every process.
    set: lambda items: sorted(map(str, items)),
    frozenset: lambda items: sorted(map(str, items)),
    Mapping: lambda items: {str(key): describe(item) for key, item in items.items()},
    functools.partial: lambda made: {
        "partial": describe(made.func),
        "args": describe(made.args),
        "keywords": describe(made.keywords),
    },
    type: public_name,
    types.BuiltinFunctionType: public_name,
    types.FunctionType: _describe_function,
    types.MethodType: _describe_function,
    os.PathLike: lambda path: without_home(os.fspath(path)),
    np.ufunc: public_name,
    np.generic: np.generic.item,
    np.ndarray: fingerprint,
    np.dtype: str,
    np.random.Generator: joblib.hash,
    np.random.RandomState: joblib.hash,
}
for _kind, _say in _BY_KIND.items():
    describe.register(_kind, _say)
