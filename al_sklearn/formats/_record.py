"""The one record in the middle: what any label file says of one image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from al_sklearn._core.types import Array, Floats, Options
from al_sklearn.formats._geometry import area_of_ring, box_of_points
from al_sklearn.formats._masks import Mask

# What an object says beyond its fields is shown in these words.
_OBJECT_WORDS = ("corners", "polygons", "keypoints", "score", "shape", "track")
# An outline of fewer points has no area.
FEWEST_POINTS = 3


@dataclass(slots=True)
class Shape:
    """One object on an image.

    Attributes
    ----------
    label : str or None
        The class's name.
    box : sequence of float or None
        ``x0, y0, x1, y1`` in pixels, half-open, the first pixel is 0, 0, 1, 1.
    corners : list of (x, y), optional
        Of a turned box; its ``box`` is the smallest around them.
    rotation : float
        Degrees clockwise that a turned box was turned by.
    polygons : list of rings, optional
        Each ring a list of (x, y); rings are joined, none is a hole.
    lines : list of lists of (x, y), optional
        Open lines, which have no area.
    keypoints : list of (x, y, v), optional
        v is 0 for not labelled, 1 for hidden, 2 for visible.
    mask : Mask, optional
        Pixels of the image.
    score : float, optional
        A model's.
    shape : str, optional
        ``"ellipse"``, ``"polyline"``, ``"point"``, where the tool tells them apart.
    track : int, optional
        Number of the track of a video that it belongs to.
    attributes : dict
        Whatever else the file says of it, by the file's names.
    """

    label: str | None = None
    box: Any = None
    corners: Any = None
    rotation: float = 0.0
    polygons: Any = None
    lines: Any = None
    keypoints: Any = None
    mask: Mask | None = None
    score: float | None = None
    shape: str | None = None
    track: int | None = None
    attributes: Options = field(default_factory=dict)

    @property
    def area(self) -> float:
        """Pixels: of the mask, else of the rings, else of the box."""
        if self.mask is not None:
            return float(self.mask.area)
        if self.polygons:
            return float(sum(abs(area_of_ring(ring)) for ring in self.polygons))
        if self.box is None:
            return 0.0
        x0, y0, x1, y1 = self.box
        return float((x1 - x0) * (y1 - y0))

    def complete(self) -> Shape:
        """Give it the smallest box around what it has, where it has none."""
        if self.box is None:
            if self.mask is not None:
                self.box = self.mask.box
            elif self.corners:
                self.box = box_of_points(self.corners)
            elif self.polygons:
                self.box = box_of_points([p for ring in self.polygons for p in ring])
            elif self.keypoints:
                seen = [(x, y) for x, y, v in self.keypoints if v > 0]
                self.box = box_of_points(seen) if seen else None
        return self

    def beside_its_box(self, *held: str) -> list[str]:
        """Name what it has and a box cannot say, but for what is ``held``."""
        there = {
            "outlines": bool(self.polygons),
            "masks": self.mask is not None,
            "keypoints": bool(self.keypoints),
            "turned boxes": bool(self.corners),
            "open lines": bool(self.lines),
            "scores": self.score is not None,
        }
        return [
            what for what, is_there in there.items() if is_there and what not in held
        ]

    def as_dict(self, size: tuple[int, int] | None = None) -> Options:
        """Return plain lists and numbers; ``size`` is the image's height and width."""
        said: Options = {**self.attributes, "label": self.label}
        said["box"] = None if self.box is None else [float(v) for v in self.box]
        for word in _OBJECT_WORDS:
            value = getattr(self, word)
            if value is not None:
                said[word] = value
        if self.rotation:
            said["rotation"] = self.rotation
        if self.lines:
            said["lines"] = self.lines
        said.setdefault("area", self.area)
        if self.mask is not None:
            said["mask"] = self.mask.as_dict()
            said["mask_area"] = int(self.mask.area)
            said["mask_pixels"] = self.mask.pixels()
        elif self.polygons and size is not None:
            said["mask_area"] = int(Mask.of_rings(self.polygons, *size).area)
        return said


@dataclass
class Record:
    """What a file says of one image, in the same words whatever file it is.

    Attributes
    ----------
    file : str
        Path of the image with ``/``, relative to the folder that was read, or as the
        file names it.
    width, height : int or None
        In pixels; None where nothing tells them.
    objects : list of Shape
        What is on the image.
    labelled : bool or None
        False where nobody labelled it, True where somebody looked (then no object means
        background), None where the format does not tell.
    image_labels : list or dict
        Labels of the whole image; a dict by question where a tool has several.
    id : str or None
        The file's own name for the image.
    original : str or None
        The name before a tool changed it.
    split : str or None
        ``"train"``, ``"val"``, ``"test"``.
    answer : str or None
        ``"label"``, ``"skip"``, ``"reject"``: the kind of answer.
    annotator : str or None
        Who answered.
    seconds : float or None
        How long it took.
    rank : int or None
        Place in a request, from 0.
    score : float or None
        A strategy's, of a request; or a model's of the whole image.
    by_annotator : dict
        Objects of each person, where there are several.
    extra : dict
        Whatever else the file says of the image.

    Examples
    --------
    >>> from al_sklearn.formats import Record, Shape
    >>> record = Record("a.png", 100, 80, [Shape("cat", (10, 20, 40, 60))])
    >>> record.boxes.tolist(), record.labels
    ([[10.0, 20.0, 40.0, 60.0]], ['cat'])
    """

    file: str
    width: int | None = None
    height: int | None = None
    objects: list[Shape] = field(default_factory=list)
    labelled: bool | None = None
    image_labels: Any = field(default_factory=list)
    id: str | None = None
    original: str | None = None
    split: str | None = None
    answer: str | None = None
    annotator: str | None = None
    seconds: float | None = None
    rank: int | None = None
    score: float | None = None
    by_annotator: dict[str, list[Shape]] = field(default_factory=dict)
    extra: Options = field(default_factory=dict)

    @property
    def boxes(self) -> Floats:
        """Boxes (m, 4) of all objects; NaN for one without."""
        nothing = (np.nan,) * 4
        boxes = [nothing if o.box is None else o.box for o in self.objects]
        return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)

    @property
    def labels(self) -> list[str | None]:
        """Label of each object."""
        return [o.label for o in self.objects]

    @property
    def scores(self) -> Floats:
        """Score of each object, NaN for one without."""
        return np.array([np.nan if o.score is None else o.score for o in self.objects])

    @property
    def keypoints(self) -> list[Array]:
        """Keypoints (K, 3) of each object, (0, 3) for one without."""
        return [np.reshape(o.keypoints or [], (-1, 3)) for o in self.objects]

    @property
    def masks(self) -> list[Mask | None]:
        """Mask of each object, of its rings where it has no other."""
        size = self._size()
        if size is None:
            return [o.mask for o in self.objects]
        return [
            Mask.of_rings(o.polygons, *size)
            if o.mask is None and o.polygons
            else o.mask
            for o in self.objects
        ]

    def _size(self) -> tuple[int, int] | None:
        if self.width is None or self.height is None:
            return None
        return self.height, self.width

    def as_dict(self) -> Options:
        """Return plain lists and numbers, in the words that label files are told in."""
        said: Options = {"file": self.file, "width": self.width, "height": self.height}
        size = self._size()
        said["objects"] = [o.as_dict(size) for o in self.objects]
        if self.labelled is not None:
            said["labelled"] = self.labelled
        if self.image_labels:
            said["image_labels"] = self.image_labels
        for word in ("id", "original", "split", "answer", "annotator", "seconds"):
            if getattr(self, word) is not None:
                said[word] = getattr(self, word)
        for word in ("rank", "score"):
            if getattr(self, word) is not None:
                said[word] = getattr(self, word)
        if self.by_annotator:
            said["by_annotator"] = {
                who: [o.as_dict(size) for o in objects]
                for who, objects in self.by_annotator.items()
            }
        return {**self.extra, **said}


class Records(list[Record]):
    """Records of a file or folder, with what was noticed.

    Attributes
    ----------
    format : str
        The format's name.
    warnings : list of str
        What was left out or understood in spite of the file.
    classes : list of str
        Names of the classes in the file's order.
    category_ids : dict of str to int
        The file's number of each class, where it has numbers.
    keypoint_names : dict of str to list, or list
        Names of the points of each class, None where the file has none.
    predictions : list of Record
        What models said, where the file keeps it apart from people's answers.
    """

    def __init__(
        self,
        records: Iterable[Record] = (),
        format: str = "",
        classes: Iterable[str] = (),
        warnings: Iterable[str] = (),
    ) -> None:
        super().__init__(records)
        self.format = format
        self.classes = list(classes)
        self.warnings = list(warnings)
        self.category_ids: dict[str, int] = {}
        self.keypoint_names: Any = {}
        self.predictions: list[Record] = []

    def warn(self, text: str) -> None:
        """Note something once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def has_area(self, points: Sequence[Any], path: Path, where: str) -> bool:
        """Whether an outline has an area; one that has none is left out and noted."""
        if len(points) >= FEWEST_POINTS:
            return True
        self.warn(
            f"{path.name}: {where}: an outline of {len(points)} points has no area and "
            "is left out."
        )
        return False

    def as_dict(self) -> Options:
        """Return plain lists and numbers; images sorted by their names."""
        in_order = sorted(self, key=lambda record: record.file)
        said: Options = {"images": [record.as_dict() for record in in_order]}
        if self.classes:
            said["classes"] = self.classes
        if self.category_ids:
            said["category_ids"] = self.category_ids
        if self.keypoint_names:
            said["keypoint_names"] = self.keypoint_names
        if self.predictions:
            said["predictions"] = [record.as_dict() for record in self.predictions]
        return said
