"""Rows after those of a DataFrame or Series, whose columns stay what they are.

pandas would join a column of categories to one that lists other categories, or a truth
to a number, as objects, without a word: whoever picks columns by their types drops them
then, and trees take codes for numbers.
"""

from __future__ import annotations

from typing import Any


def concat_frames(a: Any, b: Any) -> Any:
    """Return the rows of a DataFrame or Series followed by others.

    Columns of categories are joined to one of all their categories; numbers widen. What
    would turn a column into another kind is refused.

    Parameters
    ----------
    a : DataFrame or Series
    b : rows
        A frame, or what becomes one.

    Raises
    ------
    ValueError
        When the columns, or their types, do not fit together; the column is named.
    """
    import pandas as pd

    if not hasattr(b, "iloc"):
        # Named like what they join, or pandas would put them into columns of their own.
        names = {"columns": a.columns} if a.ndim == 2 else {"name": a.name}
        b = type(a)(b, **names).infer_objects()
    if a.ndim == 1:
        return pd.concat(_alike(a, b, a.name) if a.dtype != b.dtype else [a, b])
    if not a.columns.equals(b.columns):
        if set(a.columns) != set(b.columns):
            raise ValueError(
                f"Rows with columns {list(b.columns)} cannot follow rows with columns "
                f"{list(a.columns)}."
            )
        b = b[a.columns]
    types = zip(a.dtypes, b.dtypes, strict=True)
    # By position: two columns may have one name.
    unlike = [i for i, (known, new) in enumerate(types) if known != new]
    if unlike:
        # Shallow: what is not replaced is neither copied nor changed.
        a, b = a.copy(deep=False), b.copy(deep=False)
    for i in unlike:
        known, new = _alike(a.iloc[:, i], b.iloc[:, i], a.columns[i])
        a.isetitem(i, known)
        b.isetitem(i, new)
    return pd.concat([a, b])


def _alike(known: Any, new: Any, name: Any) -> list[Any]:
    """Return two columns as one kind, which pandas joins without changing it."""
    import pandas as pd

    categorical = isinstance(known.dtype, pd.CategoricalDtype)
    if categorical and isinstance(new.dtype, pd.CategoricalDtype):
        joined = _joined(known.dtype, new.dtype)
        if joined is None:
            raise _unlike(known, new, name)
        return [known.astype(joined), new.astype(joined)]
    if new.isna().all():
        # Nothing is said in it, whatever it is.
        return [known, _missing(new, known.dtype)]
    if known.isna().all() and not categorical:
        return [_missing(known, new.dtype), new]
    if categorical:
        values = new.dropna()
        if not values.isin(known.cat.categories).all():
            raise _unlike(known, new, name)
        return [known, new.astype(known.dtype)]
    if isinstance(new.dtype, pd.CategoricalDtype):
        new = new.astype(new.cat.categories.dtype)
    if _kind(known) != _kind(new):
        raise _unlike(known, new, name)
    return [known, new]


def _joined(known: Any, new: Any) -> Any:
    """Return the type of all categories of two; None where they cannot be joined."""
    import pandas as pd

    first, second = list(known.categories), list(new.categories)
    if set(second) <= set(first):
        # A part of an order is still in order, or says nothing of one.
        in_order = [one for one in first if one in set(second)] == second
        return known if in_order or not (known.ordered and new.ordered) else None
    if known.ordered or new.ordered:
        # Nobody says where between the others a category of one of them belongs.
        in_order = [one for one in second if one in set(first)] == first
        return new if known.ordered and new.ordered and in_order else None
    if _kind(known.categories) != _kind(new.categories):
        return None
    return pd.CategoricalDtype([*first, *(one for one in second if one not in first)])


def _missing(column: Any, dtype: Any) -> Any:
    """Return a column without values as one that joins another type."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(dtype):
        # Beside truths a missing one makes objects, which pandas says in its own way.
        return column.astype("boolean")
    if pd.api.types.is_numeric_dtype(dtype):
        return column.astype("float64")
    return column.astype(dtype)


def _kind(column: Any) -> str:
    import pandas as pd

    types = pd.api.types
    if types.is_bool_dtype(column.dtype):
        return "truth"
    if types.is_numeric_dtype(column.dtype):
        return "number"
    if types.is_object_dtype(column.dtype) or types.is_string_dtype(column.dtype):
        # Objects are what their values are: texts as a rule.
        inferred = types.infer_dtype(column, skipna=True)
        return "text" if inferred in ("string", "empty") else inferred
    return str(column.dtype)


def _unlike(known: Any, new: Any, name: Any) -> ValueError:
    import pandas as pd

    said = []
    for column in (known, new):
        dtype = column.dtype
        is_category = isinstance(dtype, pd.CategoricalDtype)
        said.append(
            f"category of {list(dtype.categories)}" if is_category else str(dtype)
        )
    return ValueError(
        f"Column {name!r} is {said[0]} in the rows known so far and {said[1]} in the "
        "new ones; give the new rows the same type."
    )
