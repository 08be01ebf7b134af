"""Colours and dashes that stay with their strategy in every picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import numpy as np

from al_sklearn._core.types import Array, Options
from al_sklearn.experiments.statistics import CEILING

# Okabe and Ito's colours and two dark ones, which people with any colour vision can
# tell apart.
COLOURS: Final = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#602000",
    "#200060",
)


GREY: Final = "#5f6368"


INK: Final = "#202124"


DASHES: Final = ("-", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))


# Strategies that are often compared do not share a colour.
_OWN: Final = {
    "margin": 0,
    "entropy": 1,
    "badge": 2,
    "coreset": 3,
    "bald": 4,
    "least_confidence": 5,
    "typiclust": 6,
    "batch_bald": 7,
}


def strategy_styles(
    names: Iterable[str], baseline: str = "random_sampling"
) -> dict[str, Options]:
    """Return a colour and a dash for each strategy, the same in every picture.

    Parameters
    ----------
    names : iterable of str
        The strategies.
    baseline : str, default="random_sampling"
        Grey and dashed, and first, so that the others lie over it.

    Returns
    -------
    dict of str to dict
        ``color`` and ``linestyle``, as matplotlib takes them. The colour comes from the
        name; only where two names of one picture would share it, the later in the
        alphabet takes the next.
    """
    given = list(dict.fromkeys(names))
    taken: dict[int, str] = {}
    # Those with a colour of their own first: nobody may take it from them.
    for name in sorted(given, key=lambda name: (name not in _OWN, name)):
        if name in (baseline, CEILING):
            continue
        wanted = _OWN.get(name)
        if wanted is None:
            # Python's own hash is another in every process.
            wanted = hashlib.blake2b(name.encode(), digest_size=4).digest()[0] % len(
                COLOURS
            )
        around = range(wanted, wanted + len(COLOURS))
        # A dash is used again only when all colours of the one before are taken.
        rows = range(len(taken) // len(COLOURS), len(taken) + 1)
        slots = (
            row * len(COLOURS) + slot % len(COLOURS) for row in rows for slot in around
        )
        taken[next(slot for slot in slots if slot not in taken)] = name
    styles: dict[str, Options] = {}
    if baseline in given:
        styles[baseline] = {"color": GREY, "linestyle": "--"}
    slots_of = {name: slot for slot, name in taken.items()}
    if CEILING in given:
        # Thin and dark: nobody's line, which all may reach.
        styles[CEILING] = {"color": INK, "linestyle": (0, (1, 2))}
    for name in given:
        if name not in (baseline, CEILING):
            row, column = divmod(slots_of[name], len(COLOURS))
            styles[name] = {
                "color": COLOURS[column],
                "linestyle": DASHES[row % len(DASHES)],
            }
    return styles


def text_colour(colour: str) -> tuple[float, ...]:
    """Return a colour, darkened until small letters of it can be read on white."""
    from matplotlib.colors import to_rgb

    return tuple(to_rgb(readable_colour(colour, "#ffffff")))


def readable_colour(colour: str, paper: str) -> str:
    """Return a colour, changed until small letters of it can be read on a paper.

    That is a contrast of 4.5, as WCAG 2 asks. On light paper it is darkened, on dark
    paper lightened.

    Parameters
    ----------
    colour, paper : str
        As matplotlib takes them.

    Returns
    -------
    str
        ``#rrggbb``.
    """
    from matplotlib.colors import to_hex, to_rgb

    rgb = np.array(to_rgb(colour))
    ground = _luminance(np.array(to_rgb(paper)))
    end = 0.0 if ground > 0.5 else 1.0
    while True:
        # As it is written: in hundredths of the whole it may be a little less.
        written = to_hex(tuple(rgb.tolist()))
        low, high = sorted((_luminance(np.array(to_rgb(written))), ground))
        if (high + 0.05) / (low + 0.05) >= 4.5:
            return written
        # Small steps: the colour should stay the strategy's.
        rgb = end + (rgb - end) * 0.96


def _luminance(rgb: Array) -> float:
    # sRGB's curve, as WCAG's definition of luminance has it.
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
