"""Points, rings and turned boxes, in pixels from the top-left corner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def box_of_points(points: Sequence[Any]) -> list[float]:
    """Smallest box around points."""
    xs = [p[0] for p in points]
    ys = [p[1] for p in points]
    return [min(xs), min(ys), max(xs), max(ys)]


def area_of_ring(ring: Sequence[Any]) -> float:
    """Signed area of a closed ring, by the shoelace formula."""
    following = [*ring[1:], ring[0]]
    pairs = zip(ring, following, strict=True)
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs) / 2


def turned_box(
    x: float, y: float, w: float, h: float, degrees: float, about: tuple[float, float]
) -> list[list[float]]:
    """Corners of a box turned clockwise on the screen about a point.

    From the corner that was top left before the turn, clockwise.
    """
    radians = math.radians(degrees)
    cos, sin = math.cos(radians), math.sin(radians)
    a, b = about
    corners = ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
    # y points down, so this is clockwise to the eye.
    return [
        [
            a + (px - a) * cos - (py - b) * sin,
            b + (px - a) * sin + (py - b) * cos,
        ]
        for px, py in corners
    ]


def box_of_ellipse(
    cx: float, cy: float, rx: float, ry: float, degrees: float
) -> list[float]:
    """Smallest box around an ellipse turned about its centre."""
    radians = math.radians(degrees)
    half_w = math.hypot(rx * math.cos(radians), ry * math.sin(radians))
    half_h = math.hypot(rx * math.sin(radians), ry * math.cos(radians))
    return [cx - half_w, cy - half_h, cx + half_w, cy + half_h]
