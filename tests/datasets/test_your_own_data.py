"""Each row of the table in docs/your-own-data.md is run: layouts, files and tables."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from al_sklearn.datasets import load_dataset
from al_sklearn.rows import ImageFiles, _decode
from tests.datasets.layouts import LAYOUTS, write_image
from tests.datasets.test_layouts import test_layout as run_layout
from tests.rows.test_ugly_files import (
    test_read_as_the_right_array as run_file,
)
from tests.rows.test_ugly_files import (
    test_refused_by_name as run_refused,
)
from tests.rows.ugly_files import COLOUR, DEEP, GREY, IMAGES, MAKERS

PAGE = Path(__file__).parents[2] / "docs" / "your-own-data.md"


def table():
    """The rows of the page's second table, as two texts each."""
    part = PAGE.read_text(encoding="utf-8").partition("## What becomes of it")[2]
    lines = part.partition("\n## ")[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {what: done for what, done in rows if what != "you bring"}


def files_of(*kinds):
    """Names of the ugly files whose name begins or ends so."""
    found = [
        name
        for name in MAKERS
        if any(name.startswith(kind) or name.endswith(f".{kind}") for kind in kinds)
    ]
    assert found
    return found


def csv_table(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def mixed_grey(folder):
    paths = [str(folder / f"{i}.png") for i in range(2)]
    IMAGES["colour"].save(paths[0])
    IMAGES["grey"].save(paths[1])
    whole = ImageFiles(paths, COLOUR.shape[:2], mode=None)
    np.testing.assert_array_equal(whole[0], COLOUR)
    np.testing.assert_array_equal(whole[1], np.repeat(GREY[..., None], 3, axis=2))
    assert ImageFiles(paths, COLOUR.shape[:2], mode="L")[:].shape == (2, *GREY.shape)


def mixed_depth(folder):
    paths = [str(folder / f"{i}.png") for i in range(2)]
    IMAGES["deep"].save(paths[0])
    IMAGES["grey"].save(paths[1])
    whole = ImageFiles(paths, GREY.shape, mode=None)
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole[1], GREY)
    assert np.abs(whole[0] - DEEP / 257).max() <= 0.51
    np.testing.assert_allclose(
        ImageFiles(paths[:1], GREY.shape, mode=None)[0], DEEP / 65535, atol=1e-6
    )


def table_without_labels(folder):
    for text, options in (
        ("path\na.png\nb.png\n", {}),
        ("path,label\na.png,\nb.png,\n", {}),
        ("path,size\na.png,1\nb.png,2\n", {"label_column": None}),
    ):
        data = load_dataset("csv", csv_table(folder / "x.csv", text), **options)
        assert data.X_train is None and len(data.X_unlabelled) == 2
        with pytest.raises(ValueError, match="needs labels, and x has none"):
            data.check_labelled("This")


def table_with_gaps(folder):
    path = csv_table(folder / "x.csv", "path,label\na.png,cat\nb.png,\nc.png,dog\n")
    data = load_dataset("csv", path)
    assert len(data.X_train) == 2 and data.X_unlabelled == [str(folder / "b.png")]


def table_with_long_rows(folder):
    path = csv_table(folder / "x.csv", "path,label\na.png,cat\nb.png,dog,blurred\n")
    with pytest.raises(ValueError, match=r"x\.csv, line 3: 3 cells, but 2 columns"):
        load_dataset("csv", path)


def table_with_splits(folder):
    text = "path,label,split\na,cat,Train\nb,dog,training\nc,cat,val\nd,dog,TEST\n"
    data = load_dataset("csv", csv_table(folder / "x.csv", text), split_column="split")
    assert [len(X) for X in (data.X_train, data.X_val, data.X_test)] == [2, 1, 1]
    assert data.y_val.tolist() == ["cat"] and data.y_test.tolist() == ["dog"]
    text = text.replace("TEST", "valid")
    with pytest.warns(UserWarning, match="validation is the test set"):
        data = load_dataset(
            "csv", csv_table(folder / "x.csv", text), split_column="split"
        )
    assert data.X_val is None and len(data.X_test) == 2


def skipped(folder):
    for name in ("cut.jpg", "empty.png", "web-page.jpg", "text.png"):
        (folder / "photos" / "cat").mkdir(parents=True, exist_ok=True)
        MAKERS[name].write(folder / "photos" / "cat")
    write_image(folder / "photos" / "dog" / "0.png")
    data = load_dataset("folder", folder / "photos", on_corrupt="skip")
    assert len(data.skipped) == 4 and data.X_train == [
        str(folder / "photos" / "dog" / "0.png")
    ]


# What the row says -> layouts by name, ugly files by name, or functions of a folder.
ROWS = {
    "class folders": ["class folders", "blanks and brackets"],
    "folders named train, test": ["train, test", "Train, Test"],
    "train and val without test": [
        "train, val",
        "train, valid",
        "training, validation",
    ],
    "train, val and test": ["train, val, test", "TRAIN, VAL, TEST"],
    "only train": ["train"],
    "only test, or val and test": ["test alone", "val and test alone"],
    "val beside validation": ["val and validation"],
    "a class in test that train lacks": ["a class that train lacks"],
    "a folder inside itself, as archives make (`seg_train/seg_train`)": [
        "seg_train, seg_test, seg_pred"
    ],
    "a folder of images only": ["flat", "flat train, flat test"],
    "images of test in no class folder": ["flat test"],
    "images beside class folders": ["images beside classes"],
    "a folder unlabelled beside class folders": ["unlabelled beside classes"],
    "other folders beside train and test": ["train with a folder beside"],
    "a class called train": ["a class called train"],
    "folders inside class folders": ["folders inside class folders"],
    "class folders that hold only folders": ["class folders of folders"],
    "the same with `nested=True`": ["class folders of folders, nested"],
    "one folder too high (`archive/train`)": ["one folder too high"],
    "hidden files, `.ipynb_checkpoints`, `__MACOSX`, `@eaDir`, `$RECYCLE.BIN`, "
    "`Thumbs.db`": ["junk"],
    "files that Pillow does not read (`.heic`, `.svg`)": ["files of other kinds"],
    "text, tables and the like beside images": ["folders inside class folders"],
    "a folder without images": ["a folder without images"],
    "`.pgm`, `.jfif`, `.avif`, `.jp2`, `.tga`": ["other formats"],
    "links to folders above, to the same folder, to another class": [
        "a link to the folder itself",
        "two links to the root",
        "a link to another class",
        "a class folder that is a link",
    ],
    "two classes in one folder, by links": [
        "two classes in one folder",
        "test is train",
    ],
    "two class names that look the same (é in one sign, or in two)": [
        "one letter written in two ways"
    ],
    "a class name that is not UTF-8": ["a class that is not UTF-8"],
    "nothing": ["nothing", "only other files"],
    "grey beside colour": [mixed_grey],
    "grey, bilevel, grey with alpha": files_of("grey.", "bilevel.", "grey-alpha."),
    "colour, palette, CMYK, YCbCr, Lab": files_of(
        "colour.", "palette.", "cmyk.", "ycbcr.", "lab."
    ),
    "16-bit grey": ["deep.png", "deep.tif", "deep.jp2", mixed_depth],
    "12 bits in 16, white-is-zero, big-endian": [
        "twelve-bits.tif",
        "white-is-zero-16.tif",
        "white-is-zero-8.tif",
        "big-endian.tif",
    ],
    "PGM of any highest value": [
        name for name in MAKERS if name.endswith(".pgm") and not MAKERS[name].refused
    ],
    "16 bits a channel": ["colour-16.png", "colour-16.tif", "colour-alpha-16.png"],
    "transparency: alpha, one colour, a palette's": [
        *files_of("colour-alpha", "palette-hole", "grey-hole", "deep-hole"),
        "colour-hole.png",
        "colour-hole-16.png",
    ],
    "photos turned by their camera (EXIF, XMP, TIFF)": files_of("turned-"),
    "EXIF data that cannot be read": ["exif-of-letters.webp"],
    "several pages or frames": files_of("pages", "frames"),
    "float or 32-bit images, signed numbers": [
        "numbers.pfm",
        "floats.tif",
        "whole-numbers.tif",
        "signed-16.tif",
    ],
    "a file that is cut, empty, a web page, a text": [
        *files_of("cut."),
        "empty.png",
        "web-page.jpg",
        "text.png",
        skipped,
    ],
    "missing files, folders and broken links named like images": [
        "missing.png",
        "folder.png",
        "nowhere.png",
        "itself.png",
    ],
    "a header of 100,000 x 100,000 pixels": ["bomb.png"],
    "names with blanks, commas, line breaks, or not UTF-8": [
        "caf\udce9.png",
        "new\nline, comma; and spaces .png",
    ],
    "a table without labels": [table_without_labels],
    "a table with empty labels": [table_with_gaps],
    "a table whose rows are longer than its header": [table_with_long_rows],
    "a split column of Train, val, TEST": [table_with_splits],
}


def test_each_row_has_its_test():
    assert set(table()) == set(ROWS)
    used = {one for shown in ROWS.values() for one in shown if isinstance(one, str)}
    assert used <= LAYOUTS.keys() | MAKERS.keys()


@pytest.mark.parametrize("row", ROWS)
def test_row(tmp_path, monkeypatch, row):
    done = table()[row]
    for number, one in enumerate(ROWS[row]):
        monkeypatch.setattr(_decode, "_said", set())
        folder = tmp_path / str(number)
        folder.mkdir()
        if callable(one):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                one(folder)
        elif one in LAYOUTS:
            run_layout(folder, one)
            layout = LAYOUTS[one]
            assert bool(layout.error) == ("refused" in done), one
            assert bool(layout.warns) == bool(re.search(r"\bsaid\b", done)), one
            assert not layout.unlabelled or "X_unlabelled" in done or "inner" in done
        else:
            run = run_refused if MAKERS[one].refused else run_file
            run(folder, one)
            assert MAKERS[one].refused == ("refused" in done), one
            assert bool(MAKERS[one].warns) == bool(re.search(r"\bsaid\b", done)), one
