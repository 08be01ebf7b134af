"""What strategies, metrics and titles are called in a picture."""

from __future__ import annotations

from collections.abc import Iterable


def baseline_name(baseline: str) -> str:
    """Return what a title calls the baseline."""
    return "random sampling" if baseline == "random_sampling" else shorten(baseline)


def title(what: str, n_seeds: int | tuple[int, int], confidence: float) -> str:
    """Say what is drawn and how sure it is.

    Of several runs, the fewest and the most seeds.
    """
    fewest, most = n_seeds if isinstance(n_seeds, tuple) else (n_seeds, n_seeds)
    if most == 1:
        return f"{what} (one seed: no interval)"
    counted = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"{what} (mean of {counted} seeds, {confidence:.0%} interval)"


def cut(name: str, length: int, head: float = 0.6) -> str:
    """Cut a long name in its middle, with a share of what is left before it."""
    if len(name) <= length:
        return name
    # One letter is the ellipsis.
    first = round((length - 1) * head)
    return f"{name[:first]}…{name[len(name) - (length - 1 - first) :]}"


def shorten(name: str, length: int = 24) -> str:
    """Cut a long name to its place, and keep matplotlib from reading it.

    A dollar would begin a formula, and a legend leaves out what begins with an
    underscore.
    """
    shown = cut(name, length).replace("$", r"\$")
    # A thin space: the name looks the same.
    return f"\u2009{shown}" if shown.startswith("_") else shown


def short_names(names: Iterable[str], length: int = 24) -> dict[str, str]:
    """Return each name as a picture shows it: cut where long, all different."""
    given = list(dict.fromkeys(names))
    # Where in the name the cut is: most differ at an end, partials near it.
    for head in (0.6, 1.0, 0.0, 0.8, 0.4, 0.2):
        shown = [cut(name, length, head) for name in given]
        if len(set(shown)) == len(given):
            break
    else:
        # What tells them apart is nowhere near an end: numbers do.
        shown = [
            name if len(name) <= length else f"{cut(name, length - 4)} {i}"
            for i, name in enumerate(given, 1)
        ]
    return {
        name: shorten(short, length) for name, short in zip(given, shown, strict=True)
    }
