"""HDF5, .npy, .npz and Zarr; and rows of HDF5 that stay in the file."""

import multiprocessing
import pickle
import sys
import warnings

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from al_sklearn import ImageClassifier, StrategyComparison
from al_sklearn.datasets import Hdf5Rows, load_dataset, read_index_sets
from al_sklearn.pool import n_rows, take_rows, view_rows
from al_sklearn.rows._numpy_files import read_numpy
from tests.datasets.files import sum_of_two


def write(kind, folder, arrays, class_names=()):
    if kind == "hdf5":
        with h5py.File(folder / "x.h5", "w") as file:
            for name, array in arrays.items():
                file[name] = array
            if class_names:
                file.attrs["class_names"] = list(class_names)
        return folder / "x.h5"
    if kind == "zarr":
        group = zarr.open_group(str(folder / "x.zarr"), mode="w")
        for name, array in arrays.items():
            group.create_array(name, data=array, chunks=(7, *array.shape[1:]))
        if class_names:
            group.attrs["class_names"] = list(class_names)
        return folder / "x.zarr"
    if kind == "npz":
        names = {"class_names": np.array(class_names)} if class_names else {}
        np.savez(folder / "x.npz", **arrays, **names)
        return folder / "x.npz"
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    if class_names:
        (folder / "class_names.txt").write_text("\n".join(class_names))
    return folder


KINDS = ["hdf5", "zarr", "npz", "npy"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names",
    [("X_train", "y_train", "X_test", "y_test"), ("images", "labels", None, None)],
)
def test_usual_names_are_found(tmp_path, digits, kind, names):
    X, y = digits[0][:60], digits[1][:60]
    arrays = {names[0]: X[:40], names[1]: y[:40]}
    if names[2]:
        arrays |= {names[2]: X[40:], names[3]: y[40:]}
    data = load_dataset(
        kind, write(kind, tmp_path, arrays, [f"digit {i}" for i in range(10)])
    )
    assert data.class_names[3] == "digit 3" and data.X_train.shape == (40, 8, 8)
    chosen = np.array([31, 2, 2, 17])
    np.testing.assert_array_equal(take_rows(data.X_train, chosen), X[chosen])
    np.testing.assert_array_equal(take_rows(data.X_train, slice(3, 9)), X[3:9])
    np.testing.assert_array_equal(view_rows(data.X_train, chosen)[[1, 0]], X[[2, 31]])
    assert data.y_train.tolist() == y[:40].tolist()
    assert (data.X_test is None) == (names[2] is None)
    assert isinstance(
        data.X_train,
        {"npy": np.memmap, "npz": np.ndarray, "hdf5": Hdf5Rows, "zarr": zarr.Array}[
            kind
        ],
    )


@pytest.mark.parametrize("kind", ["hdf5", "zarr", "npy"])
def test_a_classifier_takes_them_as_they_are(tmp_path, digits, kind):
    X, y = digits[0][:300], digits[1][:300]
    data = load_dataset(kind, write(kind, tmp_path, {"X": X, "y": y}))
    in_memory = ImageClassifier("small_cnn", max_epochs=2, random_state=0).fit(X, y)
    lazy = ImageClassifier("small_cnn", max_epochs=2, random_state=0).fit(
        data.X_train, data.y_train
    )
    np.testing.assert_array_equal(
        lazy.predict_proba(data.X_train), in_memory.predict_proba(X)
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hdf5", "zarr", "npy"])
def test_a_comparison_takes_them_into_its_workers(tmp_path, digits, kind):
    X, y = digits[0][:200], digits[1][:200]
    data = load_dataset(
        kind,
        write(
            kind,
            tmp_path,
            {"X_train": X[:150], "y_train": y[:150], "X_test": X, "y_test": y},
        ),
    )
    results = []
    for X_train, X_test in ((data.X_train, data.X_test), (X[:150], X)):
        comparison = StrategyComparison(
            ImageClassifier("small_cnn", max_epochs=1), ["random", "margin"],
            n_initial=10, n_instances=5, n_rounds=1, n_seeds=1, n_jobs=2,
            store=tmp_path / f"run{len(results)}", verbose=0,
        )  # fmt: skip
        with pytest.warns(UserWarning, match="seed"):
            comparison.fit(X_train, y[:150], X_test, y)
        results.append(comparison.results_["accuracy"].tolist())
    assert results[0] == results[1]


@pytest.mark.parametrize("kind", KINDS)
def test_own_names_and_mistakes(tmp_path, digits, kind):
    X, y = digits[0][:20], digits[1][:20]
    path = write(
        kind, tmp_path, {"photos": X, "kinds": y, "photos2": X[:5], "kinds2": y[:5]}
    )
    data = load_dataset(
        kind,
        path,
        images="photos",
        labels="kinds",
        test_images="photos2",
        test_labels="kinds2",
    )
    assert n_rows(data.X_test) == 5 and n_rows(data.X_train) == 20
    with pytest.raises(ValueError, match="say which are what with images="):
        load_dataset(kind, path)
    with pytest.raises(ValueError, match=r"has no 'photo'; it has .*photos"):
        load_dataset(kind, path, images="photo", labels="kinds")
    with pytest.raises(ValueError, match="give both"):
        load_dataset(kind, path, images="photos", labels="kinds", test_images="photos2")
    with pytest.raises(ValueError, match="same length, got 20 images and 5 labels"):
        load_dataset(kind, path, images="photos", labels="kinds2")
    with pytest.raises(FileNotFoundError, match="data_dir must be the file itself"):
        load_dataset(kind, tmp_path / "none")


def test_a_single_npy_file(tmp_path, digits):
    write("npy", tmp_path, {"a": digits[0][:9], "b": digits[1][:9]})
    assert len(load_dataset("npy", tmp_path / "a.npy", labels="b.npy").X_train) == 9
    with pytest.raises(
        ValueError,
        match=r"a\.npy holds the images; name the file beside it with labels=",
    ):
        load_dataset("npy", tmp_path / "a.npy")


def test_names_as_labels(tmp_path):
    X = np.zeros((3, 4, 4), np.uint8)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["X"], file["y"] = X, ["cat", "dog", "cat"]
    data = load_dataset("hdf5", tmp_path / "x.h5")
    assert data.y_train.tolist() == ["cat", "dog", "cat"] and data.class_names == (
        "cat",
        "dog",
    )


def test_damaged_files_are_named(tmp_path, digits):
    arrays = {"X": digits[0][:20], "y": digits[1][:20]}
    for kind, message in (
        ("hdf5", "no whole HDF5 file"),
        ("npz", r"no whole \.npy or \.npz file"),
    ):
        path = write(kind, tmp_path, arrays)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ValueError, match=rf"{path.name} is {message}"):
            load_dataset(kind, path)
    write("npy", tmp_path, arrays)
    whole = (tmp_path / "X.npy").read_bytes()
    (tmp_path / "X.npy").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"X\.npy is no whole \.npy"):
        load_dataset("npy", tmp_path)
    np.save(
        tmp_path / "X.npy", np.array([[1], [2, 3]], dtype=object), allow_pickle=True
    )
    with pytest.raises(
        ValueError, match=r"X\.npy holds Python objects, which only pickle can read"
    ):
        load_dataset("npy", tmp_path)
    np.savez(tmp_path / "lists.npz", i=np.array([[1], [2, 3]], dtype=object))
    with pytest.raises(ValueError, match=r"lists\.npz holds Python objects"):
        read_index_sets(tmp_path / "lists.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is no Zarr group"):
        load_dataset("zarr", tmp_path / "empty")


def test_damaged_parts_of_files_are_named(tmp_path, digits):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset(
            "X", data=digits[0][:20], chunks=(20, 8, 8), compression="gzip"
        )
        file["y"] = digits[1][:20]
        start = file["X"].id.get_chunk_info(0).byte_offset
    whole = bytearray((tmp_path / "x.h5").read_bytes())
    whole[start : start + 40] = bytes(40)
    (tmp_path / "x.h5").write_bytes(whole)
    images = load_dataset("hdf5", tmp_path / "x.h5").X_train
    for key in (0, slice(0, 3), [5, 2]):
        with pytest.raises(ValueError, match=r"x\.h5: 'X' is damaged"):
            images[key]

    path = write("zarr", tmp_path, {"X": digits[0][:20], "y": digits[1][:20]})
    for chunk in (path / "y" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"no chunk")
    with pytest.raises(ValueError, match=r"x\.zarr: 'y' is damaged"):
        load_dataset("zarr", path)


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=5),
    st.integers(0, 2000),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_array_or_a_clear_error(tmp_path_factory, name, changes, cut):
    path = tmp_path_factory.getbasetemp() / name
    (np.save if name == "x.npy" else np.savez_compressed)(path, np.arange(50))
    content = bytearray(path.read_bytes())
    for position, byte in changes:
        content[position % len(content)] = byte
    path.write_bytes(content[: max(cut, 1) if cut < 200 else None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's of headers that Python 2 wrote
        try:
            read_numpy(path)
        except ValueError as error:
            assert name in str(error)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        ImportError, match=r"Reading HDF5 needs h5py: pip install 'al-sklearn\[data\]'"
    ):
        load_dataset("hdf5", tmp_path / "x.h5")


@pytest.fixture(scope="module")
def rows_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "x.h5"
    array = np.random.default_rng(0).integers(0, 256, (50, 3, 4), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file["contiguous"] = array
        file.create_dataset("chunked", data=array, chunks=(7, 3, 4))
    return path, array


KEYS = st.one_of(
    st.integers(-50, 49),
    st.slices(50),
    st.lists(st.integers(-50, 49), max_size=80).map(
        lambda rows: np.array(rows, dtype=np.int64)
    ),
    st.lists(st.booleans(), min_size=50, max_size=50).map(np.array),
)


@settings(max_examples=60, deadline=None)
@given(
    key=KEYS,
    name=st.sampled_from(["contiguous", "chunked"]),
    channels=st.sampled_from([None, [3, 1], [2]]),
)
def test_rows_are_numpys(rows_file, key, name, channels):
    path, array = rows_file
    expected = array if channels is None else array[..., channels]
    rows = Hdf5Rows(path, name, channels)
    assert (
        rows.shape == expected.shape
        and len(rows) == 50
        and rows.ndim == 3
        and rows.dtype == np.uint8
    )
    np.testing.assert_array_equal(rows[key], expected[key])


# From Python 3.12 on, a fork beside other threads is warned of.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_rows_travel_to_other_processes(rows_file, method):
    path, array = rows_file
    rows = Hdf5Rows(path, "chunked")
    assert rows[0].tolist() == array[0].tolist()  # the file is open here
    with multiprocessing.get_context(method).Pool(1) as workers:
        assert workers.map(sum_of_two, [rows]) == [int(array[[5, 3]].sum())]
    assert "_opened=" not in repr(pickle.loads(pickle.dumps(rows)))


def test_positions_outside_are_refused(rows_file):
    with pytest.raises(IndexError):
        Hdf5Rows(rows_file[0], "chunked")[[50]]
    with pytest.raises(ValueError, match="has no 'other'; it has chunked, contiguous"):
        Hdf5Rows(rows_file[0], "other")


def hdf5_that_leads(folder, how):
    """A file whose images lie in another, in one of HDF5's ways."""
    images = np.arange(40, dtype=np.uint8).reshape(10, 2, 2)
    with h5py.File(folder / "secret.h5", "w") as file:
        file["images"] = images
    (folder / "secret.raw").write_bytes(images.tobytes())
    with h5py.File(folder / "x.h5", "w") as file:
        file["y"] = np.arange(10) % 2
        if how == "link":
            file["X"] = h5py.ExternalLink(str(folder / "secret.h5"), "images")
        elif how == "link behind a link":
            file["there"] = h5py.ExternalLink(str(folder / "secret.h5"), "/")
            file["X"] = h5py.SoftLink("/there/images")
        elif how == "storage":
            place = [(str(folder / "secret.raw"), 0, images.nbytes)]
            file.create_dataset("X", images.shape, "u1", external=place)
        else:
            layout = h5py.VirtualLayout(images.shape, "u1")
            layout[:] = h5py.VirtualSource(
                str(folder / "secret.h5"), "images", images.shape
            )
            file.create_virtual_dataset("X", layout)
    return folder / "x.h5", images


@pytest.mark.parametrize("how", ["link", "link behind a link", "storage", "virtual"])
def test_hdf5_reads_no_other_file_unless_it_is_asked_to(tmp_path, how):
    path, images = hdf5_that_leads(tmp_path, how)
    with pytest.raises(ValueError, match="another file; give external=True"):
        Hdf5Rows(path, "X")
    np.testing.assert_array_equal(Hdf5Rows(path, "X", external=True)[:], images)
    # What is in the file itself is read as before.
    assert Hdf5Rows(path, "y")[:].tolist() == [0, 1] * 5
    if how != "link behind a link":
        with pytest.raises(ValueError, match="external=True"):
            load_dataset("hdf5", path)
        data = load_dataset("hdf5", path, external=True)
        np.testing.assert_array_equal(data.X_train[:], images)


def test_links_within_an_hdf5_file_are_followed(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/b"] = np.arange(4)
        file["near"] = h5py.SoftLink("a/b")
        file["a/up"] = h5py.SoftLink("/a/b")
        file["round"] = h5py.SoftLink("/round")
        file["gone"] = h5py.SoftLink("/nothing")
    for name in ("near", "a/up", "a/b"):
        assert Hdf5Rows(tmp_path / "x.h5", name)[:].tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="too many links"):
        Hdf5Rows(tmp_path / "x.h5", "round")
    with pytest.raises(ValueError, match="has no 'gone'"):
        Hdf5Rows(tmp_path / "x.h5", "gone")
