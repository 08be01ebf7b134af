"""Inner loops over probabilities and distances, compiled by numba.

Imported when the first is needed.

They hold no lock of Python's, so that threads run at once. What a row gets depends on
that row alone: no operation is reordered, so the last bit too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

# values whose terms are made before they are summed: they stay in a first-level cache
_CHUNK = 4096
# values of rows that are halved: what is left of them stays in a first-level cache
_HALVED_CHUNK = 16384
# the same of posterior samples, in a second-level one: long stretches of each are read
_SAMPLED_CHUNK = 16384


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call, and keep the code for the next process.

    It is kept where there is a place for it.
    """
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither this folder nor a user's cache can be written to
        return numba.njit(nogil=True, error_model="numpy")(function)


def _constants(kind: Any, n_terms: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Coefficients of 2 atanh(s) - 2 s in s³, s⁵ …, and what `_term` needs besides.

    The coefficients come highest first.
    """
    series = tuple(kind(2 / (2 * k + 1)) for k in range(n_terms, 0, -1))
    return series, tuple(map(kind, (np.log(2), 2, 1, 0, np.nan)))


# As many coefficients as the precision leaves visible for s up to 0.1716.
CONSTANTS = {
    np.dtype("f4"): _constants(np.float32, 4),
    np.dtype("f8"): _constants(np.float64, 10),
}


@intrinsic
def _mantissa_and_exponent(_context: Any, value: Any) -> Any:
    """Split a float: mantissa from √½ to √2 and exponent, as floats.

    Numba has no way to read a number's bits.
    """
    width = value.bitwidth
    kind, bits = np.dtype(f"f{width // 8}"), np.dtype(f"i{width // 8}")
    digits = np.finfo(kind).nmant
    one = int(np.ones(1, kind).view(bits)[0])
    offset = one - int(np.full(1, 0.5**0.5, kind).view(bits)[0])

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer, real = ir.IntType(width), context.get_value_type(value)
        shifted = builder.add(builder.bitcast(arguments[0], integer), integer(offset))
        low = builder.add(
            builder.and_(shifted, integer((1 << digits) - 1)), integer(one - offset)
        )
        high = builder.sub(
            builder.ashr(shifted, integer(digits)), integer(one >> digits)
        )
        parts = [builder.bitcast(low, real), builder.sitofp(high, real)]
        return context.make_tuple(builder, signature.return_type, parts)

    return numba.types.UniTuple(value, 2)(value), generate


@_compiled
def _term(p: Any, series: Any, numbers: Any) -> Any:
    """-p ln p of a value; NaN of NaN and of negative values.

    Negative values are no probabilities.

    ln p is the exponent's and the mantissa's, ln m = 2 atanh((m - 1) / (m + 1)) by its
    series. There are no branches, so that processors do many values at once. 0 gets a
    finite logarithm, and times 0 that is 0.
    """
    ln2, two, one, zero, nan = numbers
    mantissa, exponent = _mantissa_and_exponent(p)  # type: ignore[call-arg, var-annotated]
    s = (mantissa - one) / (mantissa + one)
    q = s * s
    rest = series[0]
    for k in range(1, len(series)):
        rest = rest * q + series[k]
    term = -p * (s * (two + q * rest) + exponent * ln2)
    return nan if p < zero else term


@_compiled
def _sum_rows(
    values: Any, n_classes: int, divisor: float, numbers: Any, out: Any
) -> None:
    """Sum of each of consecutive rows, divided.

    Groups of eight in their own precision, the groups in float64.
    """
    zero = numbers[3]
    for row in range(len(out)):
        total = 0.0
        i = row * n_classes
        end = i + n_classes
        while i + 8 <= end:
            left = (values[i] + values[i + 1]) + (values[i + 2] + values[i + 3])
            total += left + (
                (values[i + 4] + values[i + 5]) + (values[i + 6] + values[i + 7])
            )
            i += 8
        rest = zero
        while i < end:
            rest += values[i]
            i += 1
        out[row] = (total + rest) / divisor


@_compiled
def row_entropy(flat: Any, n_classes: int, series: Any, numbers: Any, out: Any) -> None:
    """Entropy of each row of (n, C), given as flat values."""
    rows = max(_CHUNK // n_classes, 1)
    terms = np.empty(rows * n_classes, flat.dtype)
    for first in range(0, len(out), rows):
        last = min(first + rows, len(out))
        p = flat[first * n_classes : last * n_classes]
        for i in range(len(p)):
            terms[i] = _term(p[i], series, numbers)
        _sum_rows(terms, n_classes, 1.0, numbers, out[first:last])


@_compiled
def sampled_entropies(
    flat: Any,
    n_samples: int,
    n_classes: int,
    start: int,
    stop: int,
    series: Any,
    numbers: Any,
    of_mean: Any,
    mean: Any,
) -> None:
    """Entropy of the mean, and mean of the entropies, of columns of (T, n, C).

    The array of samples is flat; the mean of the entropies is left out if its array is
    empty.

    The terms of all samples are added value by value, and their rows once. Groups of
    eight are added in their own precision, the groups in float64.
    """
    rows = max(_SAMPLED_CHUNK // n_classes, 1)
    size = rows * n_classes
    sums, terms = np.empty(size, flat.dtype), np.empty(size, flat.dtype)
    all_sums, all_terms = np.empty(size), np.empty(size)
    step = len(of_mean) * n_classes
    for first in range(start, stop, rows):
        last = min(first + rows, stop)
        used = (last - first) * n_classes
        all_sums[:] = 0
        all_terms[:] = 0
        for group in range(0, n_samples, 8):
            sums[:] = 0
            terms[:] = 0
            sample, end = group, min(group + 8, n_samples)
            while sample < end:
                begin = sample * step + first * n_classes
                if sample + 4 <= end:
                    _add_four(
                        flat[begin:],
                        step,
                        used,
                        len(mean) > 0,
                        series,
                        numbers,
                        sums,
                        terms,
                    )
                    sample += 4
                else:
                    _add_one(
                        flat[begin:], used, len(mean) > 0, series, numbers, sums, terms
                    )
                    sample += 1
            for i in range(used):
                all_sums[i] += sums[i]
                all_terms[i] += terms[i]
        if len(mean):
            _sum_rows(all_terms, n_classes, float(n_samples), numbers, mean[first:last])
        for i in range(used):
            sums[i] = all_sums[i] / n_samples
        for i in range(used):
            terms[i] = _term(sums[i], series, numbers)
        _sum_rows(terms, n_classes, 1.0, numbers, of_mean[first:last])


@_compiled
def _add_one(
    flat: Any,
    used: int,
    with_terms: bool,
    series: Any,
    numbers: Any,
    sums: Any,
    terms: Any,
) -> None:
    """Add a sample's values to the sums, and their terms."""
    p = flat[:used]
    for i in range(used):
        sums[i] += p[i]
    if with_terms:
        for i in range(used):
            terms[i] += _term(p[i], series, numbers)


@_compiled
def _add_four(
    flat: Any,
    step: int,
    used: int,
    with_terms: bool,
    series: Any,
    numbers: Any,
    sums: Any,
    terms: Any,
) -> None:
    """`_add_one` of four samples that lie ``step`` apart.

    The sums are read and written once for all.
    """
    p, q, r, s = (
        flat[:used],
        flat[step : step + used],
        flat[2 * step : 2 * step + used],
        flat[3 * step :][:used],
    )
    if with_terms:
        for i in range(used):
            sums[i] += (p[i] + q[i]) + (r[i] + s[i])
            left = _term(p[i], series, numbers) + _term(q[i], series, numbers)
            terms[i] += left + (
                _term(r[i], series, numbers) + _term(s[i], series, numbers)
            )
    else:
        for i in range(used):
            sums[i] += (p[i] + q[i]) + (r[i] + s[i])


@_compiled
def two_largest(block: Any, first: Any, second: Any) -> None:
    """The two largest values of each row of (r, C), NaN where the row has one.

    With one class the second is 0.
    """
    n, n_classes = block.shape
    for row in range(n):
        one = block[row, 0]
        two = one * 0 if n_classes == 1 else one - np.inf
        bad = one != one
        for column in range(1, n_classes):
            value = block[row, column]
            bad |= value != value
            two = max(two, min(one, value))
            one = max(one, value)
        first[row] = np.nan if bad else one
        second[row] = np.nan if bad else two


@_compiled
def _of_pairs(values: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = max(values[2 * i], values[2 * i + 1])


@_compiled
def _of_threes(values: Any, out: Any) -> None:
    for i in range(len(out)):
        j = 3 * i
        out[i] = max(max(values[j], values[j + 1]), values[j + 2])


@_compiled
def _of_fives(values: Any, out: Any) -> None:
    for i in range(len(out)):
        j = 5 * i
        left = max(values[j], values[j + 1])
        out[i] = max(max(left, max(values[j + 2], values[j + 3])), values[j + 4])


@_compiled
def _of_sevens(values: Any, out: Any) -> None:
    for i in range(len(out)):
        j = 7 * i
        left = max(max(values[j], values[j + 1]), max(values[j + 2], values[j + 3]))
        out[i] = max(left, max(max(values[j + 4], values[j + 5]), values[j + 6]))


@_compiled
def _of_rows(block: Any, out: Any) -> None:
    for row in range(len(out)):
        most = block[row, 0]
        for column in range(1, block.shape[1]):
            most = max(most, block[row, column])
        out[row] = most


@_compiled
def largest(values: Any, n_classes: int, out: Any) -> Any:
    """The largest value of each of consecutive rows of unsigned integers.

    Return the largest of all.

    Rows of up to 16 are halved until 1, 3, 5 or 7 values are left, and those have loops
    of their own: processors do many rows at once only where the length of a row is
    known to the compiler.
    """
    odd = n_classes
    while odd % 2 == 0:
        odd //= 2
    if n_classes > 16 or odd > 7:
        _of_rows(values.reshape(len(out), n_classes), out)
    else:
        rows = max(_HALVED_CHUNK // n_classes, 1)
        room, other = np.empty(rows * 8, values.dtype), np.empty(rows * 8, values.dtype)
        for first in range(0, len(out), rows):
            last = min(first + rows, len(out))
            some, found, width = (
                values[first * n_classes : last * n_classes],
                out[first:last],
                n_classes,
            )
            while width % 2 == 0 and width > 2:
                halved = room[: len(some) // 2]
                _of_pairs(some, halved)
                some, width = halved, width // 2
                room, other = other, room
            if width == 2:
                _of_pairs(some, found)
            elif width == 3:
                _of_threes(some, found)
            elif width == 5:
                _of_fives(some, found)
            elif width == 7:
                _of_sevens(some, found)
            else:
                found[:] = some
    most = values.dtype.type(0)
    for i in range(len(out)):
        most = max(most, out[i])
    return most


@_compiled
def where_not_below(values: Any, threshold: Any, positions: Any) -> int:
    """Put where values are not below the threshold (NaN never is) into ``positions``.

    Return how many, -1 for too many.

    Rarely is any of sixty-four, which is seen without a branch.
    """
    found = 0
    for start in range(0, len(values), 64):
        some = values[start : start + 64]
        n_hits = np.int32(0)
        for i in range(len(some)):
            n_hits += np.int32(not some[i] < threshold)
        if found + n_hits > len(positions):
            return -1
        if n_hits > 0:
            for i in range(len(some)):
                if not some[i] < threshold:
                    positions[found] = start + i
                    found += 1
    return found


@_compiled
def squared_distances(
    products: Any, row_sizes: Any, column_sizes: Any, two: Any, least: Any
) -> None:
    """Put |a|² + |b|² - 2ab where ab was, and lower ``least`` to column minima."""
    m, n = products.shape
    for i in range(m):
        size = row_sizes[i]
        for j in range(n):
            products[i, j] = (size + column_sizes[j]) - two * products[i, j]
        for j in range(n):
            least[j] = products[i, j] if products[i, j] < least[j] else least[j]


@_compiled
def _sum_long_rows(values: Any, room: Any, out: Any) -> None:
    """Sum of each row, in eight parts that are added to each other, then float64.

    Processors do many values of such parts at once.
    """
    m, n = values.shape
    part = n // 8
    quarters = part // 4 * 4
    for i in range(m):
        row = values[i]
        a, b, c, d = (
            row[:part],
            row[part : 2 * part],
            row[2 * part : 3 * part],
            row[3 * part : 4 * part],
        )
        e, f, g, h = (
            row[4 * part :][:part],
            row[5 * part :][:part],
            row[6 * part :][:part],
            row[7 * part :][:part],
        )
        for j in range(part):
            room[j] = ((a[j] + b[j]) + (c[j] + d[j])) + ((e[j] + f[j]) + (g[j] + h[j]))
        t, u, v, w = 0.0, 0.0, 0.0, 0.0
        for j in range(0, quarters, 4):
            t += room[j]
            u += room[j + 1]
            v += room[j + 2]
            w += room[j + 3]
        for j in range(quarters, part):
            t += room[j]
        for j in range(8 * part, n):
            u += row[j]
        out[i] = (t + u) + (v + w)


@_compiled
def similarity_sums(
    squares: Any, unit: Any, one: Any, over_columns: Any, over_rows: Any
) -> None:
    """Sums of 1 / (1 + unit · distance).

    Of each row, and added to ``over_rows`` of each column, in float64.

    Sixteen rows at a time in the precision of the squares, which are written over.
    """
    m, n = squares.shape
    group = np.empty(n, squares.dtype)
    for first in range(0, m, 16):
        last = min(first + 16, m)
        group[:] = 0
        for i in range(first, last):
            for j in range(n):
                similarity = one / (one + unit * np.sqrt(squares[i, j]))
                squares[i, j] = similarity
                group[j] += similarity
        for j in range(n):
            over_rows[j] += group[j]
        _sum_long_rows(squares[first:last], group, over_columns[first:last])


@_compiled
def count_near(
    products: Any,
    a: Any,
    b: Any,
    sure: float,
    perhaps: float,
    radius2: float,
    row_counts: Any,
    column_counts: Any,
    rows: Any,
    columns: Any,
) -> int:
    """Count, by row and by column, the pairs of unit vectors within a radius.

    The pairs are added to the counts; return how many there are.

    Pairs whose product is at least ``sure`` are within it, those under ``perhaps`` are
    not; between them the squared distance of ``a`` and ``b`` in float64 decides.
    ``rows`` and ``columns`` get the pairs; they are empty, or have room for all and for
    a row more.
    """
    m, n = products.shape
    total = 0
    hits = np.empty(n, np.uint8)
    for i in range(m):
        n_open = 0
        for j in range(n):
            hits[j] = products[i, j] >= sure
            n_open += (products[i, j] >= perhaps) - (products[i, j] >= sure)
        if n_open > 0:
            for j in range(n):
                if products[i, j] >= perhaps and products[i, j] < sure:
                    distance = 0.0
                    for k in range(a.shape[1]):
                        difference = np.float64(a[i, k]) - np.float64(b[j, k])
                        distance += difference * difference
                    hits[j] = distance <= radius2
        count = 0
        for j in range(n):
            count += hits[j]
            column_counts[j] += hits[j]
        row_counts[i] += count
        if count > 0 and len(rows):
            stored = total
            for j in range(n):
                # Written over by the next where it is no hit: cheaper than a branch.
                rows[stored] = i
                columns[stored] = j
                stored += hits[j]
        total += count
    return total


@_compiled
def add_edges(sources: Any, targets: Any, filled: Any, neighbours: Any) -> None:
    """Put each target among its source's neighbours.

    ``filled`` says where the source's next one goes.
    """
    for k in range(len(sources)):
        neighbours[filled[sources[k]]] = targets[k]
        filled[sources[k]] += 1


@_compiled
def forget(points: Any, starts: Any, neighbours: Any, counts: Any) -> None:
    """Take 1 from the count of every neighbour of the points."""
    for point in points:
        for k in range(starts[point], starts[point + 1]):
            counts[neighbours[k]] -= 1
