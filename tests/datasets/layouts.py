"""Folders as people bring them: which files lie where, and what must become of them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

LAYOUTS = {}
ANIMALS = {"cat": 2, "dog": 2}


@dataclass
class Layout:
    """Files by their paths (or functions of the root, which make what is no file), and
    what is expected: images a class and part, warnings, or an error."""

    files: list
    train: dict | None = None
    val: dict | None = None
    test: dict | None = None
    unlabelled: int = 0
    warns: list = field(default_factory=list)
    error: str | None = None
    options: dict = field(default_factory=dict)

    def write(self, root):
        root = Path(root)
        root.mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(self.files):
            if callable(one):
                one(root)
            else:
                write_image(root / one, number)
        return root


def write_image(path, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in (".txt", ".heic", ".svg", ".db", "", ".csv", ".xml"):
        path.write_bytes(b"not an image for Pillow")
        return
    pixels = np.full((5, 4, 3), number, np.uint8)
    grey = path.suffix.lower() in (".pgm", ".pbm")
    Image.fromarray(pixels[..., 0] if grey else pixels).save(path)


def classes(*parts, names=ANIMALS, suffix="png"):
    """Class folders with their images, below each of the parts."""
    return [
        "/".join(filter(None, [part, name, f"{i}.{suffix}"]))
        for part in parts
        for name, n in names.items()
        for i in range(n)
    ]


def flat(*parts):
    return [
        "/".join(filter(None, [part, f"{i}.jpg"])) for part in parts for i in (0, 1)
    ]


def link(target, name):
    """A link below the root to a folder below the root."""

    def make(root):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(root / target, target_is_directory=True)

    return make


def odd_name(root):
    write_image(root / "caf\udce9" / "0.png")


VAL_TESTS = ["no part for testing: its part for validation is the test set"]
LAYOUTS |= {
    "class folders": Layout(classes(""), train=ANIMALS),
    "train": Layout(classes("train"), train=ANIMALS),
    "train, test": Layout(classes("train", "test"), train=ANIMALS, test=ANIMALS),
    "train, val": Layout(
        classes("train", "val"), train=ANIMALS, test=ANIMALS, warns=VAL_TESTS
    ),
    "train, valid": Layout(
        classes("train", "valid"), train=ANIMALS, test=ANIMALS, warns=VAL_TESTS
    ),
    "training, validation": Layout(
        classes("training", "validation"),
        train=ANIMALS,
        test=ANIMALS,
        warns=VAL_TESTS,
    ),
    "Train, Test": Layout(classes("Train", "Test"), train=ANIMALS, test=ANIMALS),
    "TRAIN, VAL, TEST": Layout(
        classes("TRAIN", "VAL", "TEST"), train=ANIMALS, val=ANIMALS, test=ANIMALS
    ),
    "train, val, test": Layout(
        classes("train", "val", "test"), train=ANIMALS, val=ANIMALS, test=ANIMALS
    ),
    "seg_train, seg_test, seg_pred": Layout(
        [
            *classes("seg_train/seg_train", "seg_test/seg_test"),
            *flat("seg_pred/seg_pred"),
        ],
        train=ANIMALS,
        test=ANIMALS,
        unlabelled=2,
    ),
    "val and validation": Layout(
        classes("train", "val", "validation"), error="would both be the part 'val'"
    ),
    "test alone": Layout(classes("test"), error="has test but no class folders"),
    "val and test alone": Layout(
        classes("val", "test"), error="no class folders for training"
    ),
    "a class that train lacks": Layout(
        [*classes("train", "test"), "test/cow/0.png"],
        error="classes that the train folder lacks: cow",
    ),
    "train with a folder beside": Layout(
        [*classes("train", "test"), "raw/0.png"],
        train=ANIMALS,
        test=ANIMALS,
        warns=[r"1 folder beside its parts .* left out \(raw\)"],
    ),
    "flat test": Layout(
        [*classes("train"), *flat("test")],
        train=ANIMALS,
        unlabelled=2,
        warns=["2 images in no class folder, without label"],
    ),
    "flat": Layout(flat(""), unlabelled=2),
    "flat train, flat test": Layout(flat("train", "test"), unlabelled=4),
    "unlabelled beside classes": Layout(
        [*classes(""), *flat("unlabelled")], train=ANIMALS, unlabelled=2
    ),
    "images beside classes": Layout(
        [*classes(""), "overview.png"],
        train=ANIMALS,
        unlabelled=1,
        warns=["1 image in no class folder, without label"],
    ),
    "a class called train": Layout(
        classes("", names={"bus": 1, "car": 1, "train": 2}),
        train={"bus": 1, "car": 1, "train": 2},
    ),
    "folders inside class folders": Layout(
        [*classes(""), "cat/2019/0.png", "cat/2020/spring/0.png"],
        train={"cat": 4, "dog": 2},
    ),
    "class folders of folders": Layout(
        classes("animals", "plants"), error=r"animals holds no image, only 2 folders"
    ),
    "class folders of folders, nested": Layout(
        classes("animals", "plants"),
        train={"animals": 4, "plants": 4},
        options={"nested": True},
    ),
    "one folder too high": Layout(
        classes("archive/train", "archive/test"),
        error=r"archive holds no image, only 2 folders \(test, train\)",
    ),
    "junk": Layout(
        [
            *classes(""),
            ".ipynb_checkpoints/0.png",
            "__MACOSX/cat/0.png",
            "cat/@eaDir/0.png/thumb.jpg",
            "cat/.trashed-1.jpg",
            "cat/._0.png",
            "$RECYCLE.BIN/0.png",
            "cat/Thumbs.db",
        ],
        train=ANIMALS,
    ),
    "hidden root": Layout([*classes("")], train=ANIMALS),
    "files of other kinds": Layout(
        [*classes(""), "cat/a.heic", "cat/b.HEIC", "dog/c.svg", "cat/notes.txt"],
        train=ANIMALS,
        warns=[r"3 files are left out, .* \(2 \.heic, 1 \.svg\)"],
    ),
    "a folder without images": Layout(
        [*classes(""), "cow/notes.txt"],
        train=ANIMALS,
        warns=[r"1 folder without images left out \(cow\)"],
    ),
    "other formats": Layout(
        [
            "cat/0.pgm",
            "cat/1.jfif",
            "dog/0.avif",
            "dog/1.jp2",
            "dog/2.tga",
            "dog/3.JPG",
        ],
        train={"cat": 2, "dog": 4},
    ),
    "a link to the folder itself": Layout(
        [*classes(""), link("cat", "cat/again")], train=ANIMALS
    ),
    "two links to the root": Layout(
        [*classes(""), link(".", "cat/up"), link(".", "dog/up too")], train=ANIMALS
    ),
    "a link to another class": Layout(
        [*classes(""), link("dog", "cat/friend")], train=ANIMALS
    ),
    "a class folder that is a link": Layout(
        [
            "../elsewhere/0.png",
            *classes("", names={"cat": 2}),
            link("../elsewhere", "dog"),
        ],
        train={"cat": 2, "dog": 1},
    ),
    "two classes in one folder": Layout(
        [*classes(""), link("cat", "kitten")], error="are one folder"
    ),
    "test is train": Layout(
        [*classes("train"), link("train", "test")], error="are one folder"
    ),
    "one letter written in two ways": Layout(
        ["caf\u00e9/0.png", "cafe\u0301/0.png"],
        train={"caf\u00e9": 1, "cafe\u0301": 1},
        warns=["look the same"],
    ),
    "a class that is not UTF-8": Layout(
        [*classes("", names={"cat": 2}), odd_name], train={"cat": 2, r"caf\xe9": 1}
    ),
    "blanks and brackets": Layout(
        classes("", names={"a cat [old], 1": 2, "dog": 1}),
        train={"a cat [old], 1": 2, "dog": 1},
    ),
    "nothing": Layout([], error="holds no class folders with images"),
    "only other files": Layout(
        ["cat/a.heic", "dog/b.txt"], error="holds no class folders with images"
    ),
}
