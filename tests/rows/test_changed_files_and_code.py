"""Image files by their bytes, code by what it does."""

import os
import shutil
import types

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from al_sklearn.rows import code_of, data_differences, fingerprint


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    names = []
    for i in range(300):
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.random.default_rng(i).bytes(40))
        names.append(str(path))
    return names


def found(stored, names):
    return [
        what.partition(" was ")[0]
        for what in data_differences(stored, fingerprint(names, stored))
    ]


def test_files_are_known_by_what_is_in_them(photos, tmp_path):
    stored = fingerprint(photos)
    assert found(stored, photos) == []
    shutil.copytree(tmp_path / "photos", tmp_path / "copy")
    copied = [name.replace("/photos/", "/copy/") for name in photos]
    for name in copied:
        os.utime(name, (1, 1))
    assert found(stored, copied) == []
    assert found(stored, photos[::-1]) == ["hash", "more"]
    with open(copied[0], "ab") as file:
        file.write(b"longer")
    assert found(stored, copied) == ["hash", "more"]


def test_where_times_have_changed_more_is_read(photos):
    stored = fingerprint(photos)
    # Of 300 files 256 are looked at; this one is not among them.
    looked_at = np.unique(np.linspace(0, 299, 256).astype(int))
    [hidden, *_] = np.setdiff1d(np.arange(300), looked_at)
    times = os.stat(photos[hidden])
    with open(photos[hidden], "r+b") as file:
        file.write(b"other")
    os.utime(photos[hidden], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert found(stored, photos) == []
    os.utime(photos[hidden])
    assert found(stored, photos) == ["more"]


def test_texts_that_are_no_files_stay_texts():
    assert fingerprint(["a", "b\0c"]) == fingerprint(["a", "b\0c"])
    assert "times" not in fingerprint(np.array(["no", "files"]))


def test_code_of_packages_has_a_version_instead():
    assert code_of(LogisticRegression(), "margin", np.mean, None) == {}


def test_code_is_known_by_what_it_does():
    def made(text):
        module = types.ModuleType("somebodys")
        exec(text, vars(module))
        return code_of(module.f)

    text = "K = 1\ndef g(x): return x + K\ndef f(x): return g(x) in {'a', 'b'}\n"
    assert made(text) == made("# more\n\n" + text)
    assert list(made(text)) == ["somebodys.f", "somebodys.g"]
    other = made(text.replace("K = 1", "K = 2"))
    assert other["somebodys.f"] == made(text)["somebodys.f"]
    assert other["somebodys.g"] != made(text)["somebodys.g"]
    # What a function counts with is no code.
    counts = "N = {}\ndef f(x):\n    global N\n    N += 1\n"
    assert made(counts.format(1)) == made(counts.format(2))
