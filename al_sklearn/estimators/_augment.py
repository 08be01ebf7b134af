"""Augmentation of training batches.

By name, by a callable of the user's, or several one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from al_sklearn._core.checks import check_count, unknown_name

Augment = Callable[[Tensor, torch.Generator], Tensor]

# Largest strengths, those of torchvision: reached at magnitude 30.
_MAX_MAGNITUDE = 30
_MAX_SHEAR = 0.3
_MAX_SHIFT = 150 / 331
_MAX_ANGLE = torch.pi / 6
_MAX_BLEND = 0.9
_MAX_BITS = 4
# Cutout's square, of the shorter side: 40 of 224 pixels where TorchAL has it from.
_MAX_CUTOUT = 40 / 224

_GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_TONES = (
    "brightness",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
    "color",
)
# Those of the paper; the last wants three channels.
_OPERATIONS = ("identity", *_GEOMETRIC, *_TONES)
# Some programs have two more.
_MORE = ("invert", "cutout")
_ALL = (*_MORE, *_OPERATIONS)
# What has a range of values to keep to.
_RANGED = (*_TONES, *_MORE)


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image from left to right with probability 1/2.

    Parameters
    ----------
    images : Tensor of shape (n, C, H, W), float
        The batch.
    generator : torch.Generator
        Source of the draws.

    Returns
    -------
    Tensor of shape (n, C, H, W)
    """
    # Both are computed and one is taken: quicker than to pick the images out.
    flips = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(flips[:, None, None, None], images.flip(3), images)


def crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to an eighth of its sides.

    What the shift uncovers repeats the edge: float images have no known black.

    Parameters
    ----------
    images : Tensor of shape (n, C, H, W), float
        The batch.
    generator : torch.Generator
        Source of the draws.

    Returns
    -------
    Tensor of shape (n, C, H, W)
    """
    n, _, height, width = images.shape
    # At least one pixel: an eighth of a small digit would be none.
    down, right = max(1, height // 8), max(1, width // 8)
    padded = F.pad(images, (right, right, down, down), mode="replicate")
    tops = torch.randint(2 * down + 1, (n,), generator=generator)
    lefts = torch.randint(2 * right + 1, (n,), generator=generator)
    rows = (tops[:, None] + torch.arange(height))[:, :, None]
    columns = (lefts[:, None] + torch.arange(width))[:, None, :]
    # Indices around the sliced channel axis put it last.
    return padded[torch.arange(n)[:, None, None], :, rows, columns].permute(0, 3, 1, 2)


def flip_crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image at random and shift it; see ``flip`` and ``crop``.

    An image is mirrored with probability 1/2 and shifted by up to an eighth of its
    sides.
    """
    return crop(flip(images, generator), generator)


@dataclass(frozen=True)
class RandAugment:
    """Some operations for each image, drawn anew each time, all of one strength.

    Parameters
    ----------
    num_ops : int, default=2
        Operations an image goes through, N in the paper; one may be drawn twice.
    magnitude : int or float, default=9
        Their strength from 0 to 30, M in the paper, on torchvision's scale: at 30 a
        rotation of 30 degrees, a shear of 0.3, a shift of 45 % of the side, a blend of
        1 ± 0.9, 4 bits, everything solarised. The direction is drawn.
    operations : tuple of str or "all", optional
        What is drawn from. By default all of the paper that fit the images:
        ``identity``, ``shear_x``, ``shear_y``, ``translate_x``, ``translate_y``,
        ``rotate``, ``brightness``, ``contrast``, ``sharpness``, ``posterize``,
        ``solarize``, ``autocontrast``, ``equalize``, and for three channels ``color``.
        Other numbers of channels than three have no colour to fade: each channel is
        toned by itself, as a grey image. ``"all"`` are those and two that TorchAL has
        besides: ``invert``, and ``cutout``, a grey square of up to 18 % of the shorter
        side somewhere in the image.
    value_range : (low, high) or None, default=(0, 1)
        What float pixels lie between; uint8 images come as [0, 1]. None: the range is
        not known, and the geometric operations alone are drawn.

    Raises
    ------
    ValueError
        For other values; when called, for pixels outside ``value_range``.

    Notes
    -----
    What a geometric operation uncovers repeats the edge: float images have no known
    black. An upright digit or a sign with a direction does not bear every operation:
    choose them.

    References
    ----------
    Cubuk, Zoph, Shlens, Le. RandAugment: Practical Automated Data Augmentation with a
    Reduced Search Space. NeurIPS 2020.

    Examples
    --------
    >>> images = torch.rand(8, 11, 16, 16)
    >>> augment = RandAugment(num_ops=3, magnitude=5)
    >>> augment(images, torch.Generator().manual_seed(0)).shape
    torch.Size([8, 11, 16, 16])
    """

    num_ops: int = 2
    magnitude: float = 9
    operations: tuple[str, ...] | str | None = None
    value_range: tuple[float, float] | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        check_count("num_ops", self.num_ops)
        if not 0 <= self.magnitude <= _MAX_MAGNITUDE:
            raise ValueError(
                f"magnitude must be from 0 to {_MAX_MAGNITUDE}, got {self.magnitude!r}."
            )
        for name in self._named() or ():
            if name not in _ALL:
                raise unknown_name("operation of RandAugment", name, _ALL)
        if self.operations is not None and not self.operations:
            raise ValueError(
                "operations must name at least one operation, or be None for all."
            )
        if (
            self.value_range is not None
            and not self.value_range[0] < self.value_range[1]
        ):
            raise ValueError(
                "value_range must be (low, high) with low < high, or None, got "
                f"{self.value_range!r}."
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the batch (n, C, H, W), augmented."""
        names = self._allowed(images.shape[1])
        toned = not set(names).isdisjoint(_RANGED)
        low, high = self.value_range or (0.0, 1.0)
        if toned and not (images.min() >= low and images.max() <= high):
            raise ValueError(
                f"RandAugment changes tones within value_range={self.value_range}, "
                "but there are pixels from "
                f"{images.min():.4g} to {images.max():.4g}: give their range, or None "
                "for geometric operations alone."
            )
        images = (images - low) / (high - low)
        for _ in range(self.num_ops):
            drawn = torch.randint(len(names), (len(images),), generator=generator)
            signs = 2 * torch.randint(2, (len(images),), generator=generator) - 1
            images = self._apply(images, names, drawn, signs)
            if "cutout" in names:
                cut = (drawn == names.index("cutout")).nonzero()[:, 0]
                # Drawn for all: how many are cut must not shift what comes after.
                places = torch.rand(len(images), 2, generator=generator)
                side = self.magnitude / _MAX_MAGNITUDE * _MAX_CUTOUT
                images = _cut_out(images, cut, places, side)
        return images * (high - low) + low

    def _allowed(self, channels: int) -> tuple[str, ...]:
        names = self._named()
        if names is None:
            every = _ALL if self.operations == "all" else _OPERATIONS
            names = every if channels == 3 else every[:-1]
        if "color" in names and channels != 3:
            raise ValueError(
                "The operation 'color' fades three channels to grey; these images have "
                f"{channels}."
            )
        if self.value_range is None:
            names = tuple(name for name in names if name not in _RANGED)
            if not names:
                raise ValueError(
                    "Without value_range there are geometric operations alone; "
                    "operations= names none."
                )
        return names

    def _named(self) -> tuple[str, ...] | None:
        """The operations that are named one by one; a name alone names one."""
        given = self.operations
        if given is None or given == "all":
            return None
        return (given,) if isinstance(given, str) else tuple(given)

    def _apply(
        self,
        images: Tensor,
        names: tuple[str, ...],
        drawn: Tensor,
        signs: Tensor,
    ) -> Tensor:
        images = images.clone()
        strength = self.magnitude / _MAX_MAGNITUDE
        geometric = torch.tensor([name in _GEOMETRIC for name in names])
        moved = geometric[drawn].nonzero()[:, 0]
        if len(moved):
            kinds = [names[i] for i in drawn[moved].tolist()]
            images[moved] = _move(images[moved], kinds, signs[moved] * strength)
        changed = (*_TONES, "invert")
        toned = [(i, name) for i, name in enumerate(names) if name in changed]
        for (i, name), sign in itertools.product(toned, (-1, 1)):
            rows = ((drawn == i) & (signs == sign)).nonzero()[:, 0]
            if len(rows):
                images[rows] = _tone(images[rows], name, strength, sign)
        return images


def _move(images: Tensor, kinds: list[str], strengths: Tensor) -> Tensor:
    """Shear, shift or turn each image about its centre, all in one interpolation."""
    n, _, height, width = images.shape
    # Where each output pixel is read: in units of pixels from the centre, then of half
    # sides, as torch wants it.
    read = torch.eye(2, 3).repeat(n, 1, 1)
    for matrix, kind, strength in zip(read, kinds, strengths.tolist(), strict=True):
        if kind == "rotate":
            angle = torch.tensor(strength * _MAX_ANGLE)
            matrix[0, 0] = matrix[1, 1] = angle.cos()
            matrix[0, 1], matrix[1, 0] = -angle.sin(), angle.sin()
        elif kind.startswith("shear"):
            matrix[(0, 1) if kind == "shear_x" else (1, 0)] = strength * _MAX_SHEAR
        else:
            side, row = (width, 0) if kind == "translate_x" else (height, 1)
            matrix[row, 2] = strength * _MAX_SHIFT * side
    read[:, 0] *= torch.tensor([1.0, height / width, 2 / width])
    read[:, 1] *= torch.tensor([width / height, 1.0, 2 / height])
    grid = F.affine_grid(read, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _cut_out(images: Tensor, rows: Tensor, places: Tensor, share: float) -> Tensor:
    """Cover a square of some images with the middle of the range of values.

    ``places`` are the squares' centres, (n, 2), from 0 to 1.
    """
    height, width = images.shape[2:]
    side = round(share * min(height, width))
    for row in rows.tolist():
        down, right = (places[row] * torch.tensor([height, width])).int().tolist()
        top, left = max(down - side // 2, 0), max(right - side // 2, 0)
        images[row, :, top : top + side, left : left + side] = 0.5
    return images


def _tone(images: Tensor, name: str, strength: float, sign: int) -> Tensor:
    """One operation on the tones of some images with pixels in [0, 1]."""
    from torchvision.transforms.v2 import functional as kernels

    shape = images.shape
    # torchvision's kernels take one channel or three.
    flat = images if shape[1] == 3 else images.reshape(-1, 1, *shape[2:])
    if name in ("brightness", "contrast", "sharpness", "color"):
        kernel = getattr(kernels, f"adjust_{'saturation' if name == 'color' else name}")
        out = kernel(flat, 1 + sign * strength * _MAX_BLEND)
    elif name == "posterize":
        out = kernels.posterize(flat, 8 - round(strength * _MAX_BITS))
    elif name == "invert":
        out = 1 - flat
    elif name == "solarize":
        out = kernels.solarize(flat, 1 - strength)
    else:
        out = getattr(kernels, name)(flat)
    return out.reshape(shape)


def _one_by_one(
    parts: list[Augment], images: Tensor, generator: torch.Generator
) -> Tensor:
    for part in parts:
        images = part(images, generator)
    return images


_AUGMENTS: dict[str, Augment] = {"flip": flip, "crop": crop, "flip_crop": flip_crop}
_NAMES = (*_AUGMENTS, "rand_augment")


def get_augment(augment: Any, **params: Any) -> Augment:
    """Return the augmentation named or given.

    Parameters
    ----------
    augment : str, callable, or list of these
        A list is applied in its order.
    **params
        Parameters of ``"rand_augment"``.

    Raises
    ------
    ValueError
        For an unknown name, or parameters where nothing takes them.
    """
    given = list(augment) if isinstance(augment, (list, tuple)) else [augment]
    if not given:
        raise ValueError(
            "augment must not be an empty list; None means no augmentation."
        )
    if params and "rand_augment" not in given:
        raise ValueError(
            "augment__… are parameters of 'rand_augment', not of "
            f"augment={augment!r}: {sorted(params)}."
        )
    parts: list[Augment] = []
    for part in given:
        if callable(part):
            parts.append(part)
        elif part == "rand_augment":
            try:
                parts.append(RandAugment(**params))
            except TypeError as error:
                raise ValueError(
                    f"'rand_augment' does not take augment__{'/'.join(params)}: {error}"
                ) from error
        elif part in _AUGMENTS:
            parts.append(_AUGMENTS[part])
        else:
            raise unknown_name("augmentation", part, _NAMES)
    return parts[0] if len(parts) == 1 else partial(_one_by_one, parts)
