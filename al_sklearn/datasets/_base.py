"""What a data set is here, and how one gets a name: read this to add your own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from al_sklearn._core.checks import check_same_length, unknown_name
from al_sklearn._core.types import Array, Options
from al_sklearn.rows import n_rows

T = TypeVar("T")


class Skipped(NamedTuple):
    """An image that was left out, and why."""

    file: str
    problem: str


# Compared by identity: == of two arrays is no truth value.
@dataclass(frozen=True, eq=False)
class ImageData:
    """Images and labels for training and testing.

    Attributes
    ----------
    name : str
    X_train : images
        uint8 (n, H, W) or (n, H, W, C), float (n, C, H, W), a list of file paths, or a
        lazy array of these (memmap, HDF5, Zarr), whose rows are read when they are
        asked for. Never augmented: classifiers do that, in training.
        None where nobody has labelled anything yet.
    y_train : ndarray of shape (n,), or None
        Labels: positions in ``class_names``, or names.
    X_test, y_test : the same, or None
        ``None`` where the data set brings no test set.
    class_names : tuple of str
        Taken from the labels when left out.
    X_unlabelled : images or None
        Images that the data set has no labels for.
    skipped : tuple of Skipped
        What ``on_corrupt="skip"`` left out, as ``(file, problem)``.
    X_val, y_val : images and labels, or None
        For validation, where the data set brings such a set beside its test set.

    Raises
    ------
    ValueError
        When images and labels differ in number.
    """

    name: str
    X_train: Any
    # An array, or None: whoever needs labels calls check_labelled first.
    y_train: Any
    X_test: Any = None
    y_test: Array | None = None
    class_names: tuple[str, ...] = ()
    X_unlabelled: Any = None
    skipped: tuple[Skipped, ...] = ()
    X_val: Any = None
    y_val: Array | None = None

    def __post_init__(self) -> None:
        for X, y in (
            (self.X_train, self.y_train),
            (self.X_test, self.y_test),
            (self.X_val, self.y_val),
        ):
            if X is not None:
                check_same_length(n_rows(X), 0 if y is None else len(y))
        if not self.class_names and self.y_train is not None:
            labels = np.unique(np.asarray(self.y_train))
            # A class that no image is of has a number, and so a name, all the same.
            names = (
                range(int(labels[-1]) + 1)
                if _are_positions(labels)
                else labels.tolist()
            )
            object.__setattr__(self, "class_names", tuple(map(str, names)))

    @property
    def X_pool(self) -> Any:
        """The pool's view of the training images.

        The same ones, in the same order, never augmented.
        """
        return self.X_train

    def check_labelled(self, what: str) -> None:
        """Raise a ``ValueError`` where there is no label at all.

        Parameters
        ----------
        what : str
            What needs labels; the message begins with it.
        """
        if self.y_train is None:
            n = 0 if self.X_unlabelled is None else n_rows(self.X_unlabelled)
            raise ValueError(
                f"{what} needs labels, and {self.name} has none: its {n:,} images are "
                "X_unlabelled. Put those that are labelled into class folders, or "
                "their labels into a table."
            )

    def __repr__(self) -> str:
        parts = ["no labels"]
        if self.X_train is not None:
            parts = [f"{n_rows(self.X_train):,} to train"]
            if self.X_val is not None:
                parts.append(f"{n_rows(self.X_val):,} for validation")
            if self.X_test is None:
                parts.append("no test set")
            else:
                parts.append(f"{n_rows(self.X_test):,} to test")
            parts.append(f"{len(self.class_names)} classes")
        if self.X_unlabelled is not None:
            parts.append(f"{n_rows(self.X_unlabelled):,} without label")
        if self.skipped:
            parts.append(f"{len(self.skipped):,} skipped")
        return f"ImageData({self.name!r}: {', '.join(parts)})"


class DataSource:
    """Base class of a data set with a name.

    Write ``load``, and ``download`` if it can be had; then register it.

    The keyword-only parameters of ``load`` are the options that :func:`load_dataset`
    takes for it; ``download`` gets the same ones. One named ``on_corrupt`` is given
    ``"raise"`` or ``"skip"``, for records that are no image files. The first line of
    the docstring is what a list of the data sets shows.

    Attributes
    ----------
    data_dir : Path or None
        Where the files are when the caller does not say.
    needs_files : bool
        False for what is computed or comes with a library: there is nothing to download
        then.

    See Also
    --------
    register_dataset : gives it its name.
    """

    data_dir: Path | None = None
    needs_files: bool = True
    definition: str  # where it is written; whoever registers it says so

    def load(self, data_dir: Path | None) -> ImageData:
        """Read the data set, lazily where it is large."""
        raise NotImplementedError(
            f"{type(self).__name__} must have a method load(data_dir)."
        )

    def verify(self, data_dir: Path) -> None:
        """Compare the files with their checksums, where these are known.

        Raises
        ------
        ValueError
            For the first file that differs.
        """

    def download(self, data_dir: Path, **options: Any) -> None:
        """Put the files into ``data_dir``, unless they are there."""
        raise ValueError(
            "This data set cannot be downloaded: leave out download, and give its "
            "folder as data_dir."
        )


_REGISTRY: dict[str, DataSource] = {}


def register_dataset(name: str) -> Callable[[T], T]:
    """Give a data set a name that :func:`load_dataset` and the command line know.

    Parameters
    ----------
    name : str

    Returns
    -------
    decorator
        For a class derived from :class:`DataSource`, or for a function ``load(data_dir,
        **options) -> ImageData``.

    Raises
    ------
    ValueError
        When another data set has that name.

    Examples
    --------
    >>> import numpy as np
    >>> from al_sklearn.datasets import load_dataset
    >>> @register_dataset("stripes")
    ... def stripes(data_dir, *, n=10):
    ...     "Horizontal and vertical stripes."
    ...     y = np.arange(n) % 2
    ...     image = np.indices((8, 8)) % 2 * np.uint8(255)
    ...     return ImageData("stripes", image[y].astype(np.uint8), y)
    >>> load_dataset("stripes", n=6)
    ImageData('stripes': 6 to train, no test set, 2 classes)
    """

    def register(source: T) -> T:
        given: Any = source
        made: Any = given() if isinstance(given, type) else DataSource()
        if not isinstance(given, type):
            # As the method itself: its signature says which options there are.
            made.load, made.__doc__ = given, given.__doc__
        made.definition = f"{given.__module__}.{given.__qualname__}"
        known = _REGISTRY.get(name)
        # The same definition again, as when a notebook's cell is run twice, takes the
        # place of the first. They are compared by name: the second run makes new
        # objects.
        if known is not None and known.definition != made.definition:
            raise ValueError(
                f"There is a data set {name!r} already ({known.definition}); choose "
                "another name."
            )
        _REGISTRY[name] = made
        return source

    return register


def dataset_names() -> list[str]:
    """Return the names that :func:`load_dataset` knows."""
    return sorted(_REGISTRY)


def dataset_summaries() -> dict[str, str]:
    """Return what each data set is, in one line, and its options, by name."""
    lines = {}
    for name, source in sorted(_REGISTRY.items()):
        lines[name] = (inspect.getdoc(source) or "").partition("\n")[0]
        if options := ", ".join(options_of(source)):
            lines[name] += f" Options: {options}."
    return lines


def find_source(name: str) -> DataSource:
    """Return the data set of that name.

    Raises
    ------
    ValueError
        For an unknown name; those that exist are listed.
    """
    if name not in _REGISTRY:
        raise unknown_name("data set", name, _REGISTRY)
    return _REGISTRY[name]


def options_of(source: DataSource) -> list[str]:
    """Return the names of the options that a data set takes of its own.

    Those that every data set takes are left out.
    """
    return [
        name
        for name, parameter in inspect.signature(source.load).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name != "on_corrupt"
    ]


def check_option(name: str, option: str) -> None:
    """Raise a ``ValueError`` unless the data set of that name takes the option."""
    allowed = options_of(find_source(name))
    if option not in allowed:
        raise unknown_name(f"option of the data set {name!r}", option, allowed)


def options_from_text(name: str, texts: Sequence[str]) -> Options:
    """Read options of a data set from words like ``bands=rgb``.

    A command line gives them in this form.

    Parameters
    ----------
    name : str
        Of the data set.
    texts : sequence of str
        ``option=value``; the value is taken for what the option's default is: yes or
        no, a whole number, or text.

    Raises
    ------
    ValueError
        For an option that the data set does not take, or a value of another kind.

    Examples
    --------
    >>> options_from_text("droughtwatch", ["bands=rgb", "classes=2"])
    {'bands': 'rgb', 'classes': 2}
    """
    from pydantic import TypeAdapter

    parameters = inspect.signature(find_source(name).load).parameters
    options: Options = {}
    for text in texts:
        option, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"An option is written as name=value, got {text!r}.")
        check_option(name, option)
        default = parameters[option].default
        # True and False are whole numbers to Python: the type itself is asked for.
        kind = type(default) if type(default) in (bool, int) else str
        try:
            options[option] = TypeAdapter(kind).validate_python(value)
        except ValueError:
            raise ValueError(
                f"{option} of {name!r} must be like {default!r}, got {value!r}."
            ) from None
    return options


def labels_and_names(*parts: Any) -> tuple[list[Array], tuple[str, ...]]:
    """Bring labels as they stand in a file to what :class:`ImageData` takes.

    Whole numbers from 0 stay as they are, names stay names, and any other numbers
    become positions among those that occur.

    Parameters
    ----------
    *parts : array-like of shape (n,)
        Labels of the training set, of the test set …

    Returns
    -------
    parts : list of ndarray
    class_names : tuple of str
    """
    arrays = [_plain(part) for part in parts]
    # An empty part has a type, but says nothing of the labels.
    values = np.unique(
        np.concatenate([array for array in arrays if array.size] or arrays)
    )
    # Larger numbers are no classes counted from 0 but codes of some kind, and nobody
    # has names for so many.
    if _are_positions(values) and values[-1] < 100_000:
        names = range(int(values[-1]) + 1)
        arrays = [array.astype(np.int64) for array in arrays]
    elif values.dtype.kind == "U":
        # Of one width, so that those of the test set compare with those of training.
        names = values.tolist()
        arrays = [array.astype(values.dtype) for array in arrays]
    else:
        names = values.tolist()
        arrays = [np.searchsorted(values, array).astype(np.int64) for array in arrays]
    return arrays, tuple(map(str, names))


def existing(
    data_dir: Path | None, must_be: str, there: Callable[[Path], bool]
) -> Path:
    """Return ``data_dir``, which the caller must have given.

    Raises
    ------
    FileNotFoundError
        When it is not there; ``must_be`` says what it must be.
    """
    if data_dir is None or not there(data_dir):
        raise FileNotFoundError(f"{must_be}, got {data_dir}.")
    return data_dir


def texts(values: Any) -> tuple[str, ...]:
    """Return text as str: HDF5 and pickles of Python 2 hold it as bytes."""
    return tuple(
        value.decode() if isinstance(value, bytes) else str(value)
        for value in np.asarray(values).tolist()
    )


def _are_positions(values: Array) -> bool:
    """Whether sorted labels are whole numbers from 0 on."""
    return values.dtype.kind in "iu" and len(values) > 0 and values[0] >= 0


def _plain(labels: Any) -> Array:
    """Labels as a 1-D array of numbers or str."""
    array = np.asarray(labels)
    # A column, as Matlab and pandas write one.
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            "There must be one label for each image, got labels of shape "
            f"{array.shape}."
        )
    if array.dtype.kind in "SO":
        return np.array(texts(array))
    if array.dtype.kind == "f":
        # Before the cast, which would make of NaN the smallest number there is.
        missing = np.isnan(array)
        if missing.any():
            raise ValueError(
                f"Image {missing.argmax()} has no label (NaN); leave such images out."
            )
        # Whole numbers that were saved as float, as Matlab saves all.
        if (array == np.round(array)).all():
            return array.astype(np.int64)
    return array
