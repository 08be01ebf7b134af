"""Downloads from a server of the test's own: resumed, checked, whole or not at all."""

import hashlib
import http.server
import io
import re
import tarfile
import threading
import zipfile

import numpy as np
import pytest

from al_sklearn._core import archives
from al_sklearn.datasets import _download, load_dataset
from al_sklearn.datasets._cifar import Cifar10, Cifar100
from al_sklearn.datasets._download import Remote, checksum_of, extract, fetch
from al_sklearn.datasets._mnist import Emnist, FashionMnist, Mnist
from al_sklearn.datasets._stl10 import Stl10
from al_sklearn.datasets._svhn import Svhn
from tests.datasets.files import write_mnist
from tests.datasets.test_archives import write_cifar

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files`` with ranges; ``breaks`` says after how many bytes each further
    answer ends early."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.breaks, self.ranges, self.statuses = {}, [], True, []
        self.asked = []

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def remote(self, name, content=None):
        digest = hashlib.sha256(
            self.files[name] if content is None else content
        ).hexdigest()
        return Remote((self.url(name),), f"sha256:{digest}")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, content = self.server, self.server.files.get(self.path[1:])
        server.asked.append((self.path[1:], self.headers.get("Range")))
        if server.statuses:
            return self.send_error(server.statuses.pop(0))
        if content is None:
            return self.send_error(404)
        match = (
            re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if server.ranges
            else None
        )
        start = int(match[1]) if match else 0
        if match and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        self.send_response(206 if match else 200)
        if match:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
            )
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = server.breaks.pop(0) if server.breaks else len(content)
        self.wfile.write(content[start : start + stop])
        return None

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(_download, "_PAUSE", 0.001)
    with Server() as running:
        running.files["data.bin"] = CONTENT
        thread = threading.Thread(
            target=running.serve_forever, kwargs={"poll_interval": 0.01}
        )
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_whole_file_is_fetched_once(tmp_path, server):
    path = tmp_path / "below" / "data.bin"
    for _ in range(2):
        assert fetch(server.remote("data.bin"), path) == path
    assert path.read_bytes() == CONTENT and server.asked == [("data.bin", None)]
    assert [p.name for p in path.parent.iterdir()] == ["data.bin"]


def test_a_broken_connection_is_resumed(tmp_path, server):
    server.breaks = [100_000, 50_000]
    path = fetch(server.remote("data.bin"), tmp_path / "data.bin", progress=False)
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [
        None,
        "bytes=100000-",
        "bytes=150000-",
    ]


def test_a_later_call_resumes_what_an_earlier_one_kept(tmp_path, server):
    server.breaks = [1000] * 5
    with pytest.raises(
        ConnectionError,
        match=r"ended after 1,000 of 300,000 bytes.* 5,000 bytes are kept in .*\.part",
    ):
        fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert not (tmp_path / "data.bin").exists()
    fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT and server.asked[-1] == (
        "data.bin",
        "bytes=5000-",
    )


def test_ctrl_c_keeps_what_arrived(tmp_path, server, monkeypatch):
    class Interrupted(_download.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(_download, "_CHUNK", 10_000)
    with monkeypatch.context() as patch:
        patch.setattr(_download, "tqdm", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin.part").stat().st_size == 10_000
    fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT and server.asked[-1][
        1
    ] == "bytes=10000-"


def test_a_server_without_ranges_sends_it_all_again(tmp_path, server):
    server.ranges, server.breaks = False, [200_000]
    assert (
        fetch(server.remote("data.bin"), tmp_path / "data.bin").read_bytes() == CONTENT
    )


def test_everything_had_arrived_already(tmp_path, server):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert (
        fetch(server.remote("data.bin"), tmp_path / "data.bin").read_bytes() == CONTENT
    )
    assert server.asked == [("data.bin", "bytes=300000-")]


@pytest.mark.parametrize("kept", [CONTENT[:1000][::-1], CONTENT + b"more"])
def test_the_beginning_of_another_version_is_thrown_away(tmp_path, server, kept):
    (tmp_path / "data.bin.part").write_bytes(kept)
    assert (
        fetch(server.remote("data.bin"), tmp_path / "data.bin").read_bytes() == CONTENT
    )


def test_a_wrong_checksum_names_the_file_and_removes_it(tmp_path, server):
    with pytest.raises(
        ValueError,
        match=r"data\.bin from http://127.* has the checksum "
        r"sha256:\w+, it should have",
    ):
        fetch(server.remote("data.bin", b"other"), tmp_path / "data.bin")
    assert list(tmp_path.iterdir()) == []


def test_mirrors_are_tried_in_turn(tmp_path, server):
    good = server.remote("data.bin")
    remote = Remote((server.url("gone.bin"), *good.urls), good.checksum)
    assert fetch(remote, tmp_path / "data.bin").read_bytes() == CONTENT
    with pytest.raises(
        ConnectionError, match=r"gone\.bin could not be downloaded \(http.*404"
    ):
        fetch(Remote(remote.urls[:1], good.checksum), tmp_path / "gone.bin")
    assert [name for name, _ in server.asked] == ["gone.bin", "data.bin", "gone.bin"]


def test_a_busy_server_is_asked_again(tmp_path, server):
    server.statuses = [503, 429]
    assert (
        fetch(server.remote("data.bin"), tmp_path / "data.bin").read_bytes() == CONTENT
    )


def test_archives(tmp_path):
    folder = tmp_path / "in"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b.txt").write_text("b")
    for archive, opened in (("x.tar.gz", tarfile.open), ("x.zip", zipfile.ZipFile)):
        with opened(tmp_path / archive, "w:gz" if "tar" in archive else "w") as packed:
            (packed.add if "tar" in archive else packed.write)(
                folder / "a" / "b.txt", "a/b.txt"
            )
        out = tmp_path / f"out-{archive}"
        (out / "a").mkdir(parents=True)
        (out / "a" / "mine.txt").write_text("stays")
        extract(tmp_path / archive, out)
        assert (out / "a" / "b.txt").read_text() == "b" and (
            out / "a" / "mine.txt"
        ).exists()
        assert [path.name for path in out.iterdir()] == ["a"]


def test_damaged_and_hostile_archives(tmp_path):
    archive = tmp_path / "x.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("big.bin")
        info.size = len(CONTENT)
        tar.addfile(info, io.BytesIO(CONTENT))
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        ValueError, match=r"x\.tar\.gz cannot be unpacked .* fetch it again"
    ):
        extract(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("../outside.txt")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(ValueError, match="cannot be unpacked"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "outside.txt").exists()


def tar_of(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, link, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (("../x", tarfile.REGTYPE, "", b"x"), "leads out"),
        (("a/../../x", tarfile.REGTYPE, "", b"x"), "leads out"),
        (("/tmp/al-sklearn-x", tarfile.REGTYPE, "", b"x"), "absolute name"),
        (("C:\\x", tarfile.REGTYPE, "", b"x"), "absolute name"),
        (("C:x", tarfile.REGTYPE, "", b"x"), "absolute name"),
        (("..\\x", tarfile.REGTYPE, "", b"x"), "leads out"),
        (("link", tarfile.SYMTYPE, "/etc", b""), "a link"),
        (("link", tarfile.SYMTYPE, "whole.txt", b""), "a link"),
        (("link", tarfile.LNKTYPE, "../mine.txt", b""), "a link"),
        (("null", tarfile.CHRTYPE, "", b""), "a device"),
        (("pipe", tarfile.FIFOTYPE, "", b""), "a device"),
        # Three million zeros in three thousand bytes.
        (("bomb", tarfile.REGTYPE, "", bytes(3_000_000)), "100 times its size"),
        (("whole.txt/x", tarfile.REGTYPE, "", b"x"), "whole.txt"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_nothing_of_an_archive_leads_out_of_its_folder(
    tmp_path, member, said, monkeypatch
):
    monkeypatch.setattr(archives, "_ALWAYS", 1 << 20)
    whole = ("whole.txt", tarfile.REGTYPE, "", b"whole")
    archive = tar_of(tmp_path / "x.tar.gz", whole, member)
    (tmp_path / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=f"cannot be unpacked .*{said}"):
        extract(archive, tmp_path / "out")
    (tmp_path / "out").rmdir()
    assert sorted(tmp_path.rglob("*")) == before


def test_links_and_bombs_in_a_zip_file(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_ALWAYS", 1 << 20)
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    for name, content, said in (
        (link, "/etc", "a link"),
        ("../x", "x", "leads out"),
        ("bomb", bytes(3_000_000), "100 times its size"),
    ):
        with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(name, content)
        with pytest.raises(ValueError, match=f"cannot be unpacked .*{said}"):
            extract(tmp_path / "x.zip", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_rights_of_an_archive_stay_in_it(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        info = tarfile.TarInfo("run")
        info.mode, info.size = 0o6777, 1
        tar.addfile(info, io.BytesIO(b"x"))
    extract(tmp_path / "x.tar", tmp_path / "out")
    assert (tmp_path / "out" / "run").stat().st_mode & 0o7111 == 0


def test_what_is_there_already_is_compared(tmp_path, server):
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    assert fetch(server.remote("data.bin"), path) == path and not server.asked
    # As long, and one bit is another.
    path.write_bytes(bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
    with pytest.raises(ValueError, match=r"data\.bin is there already.* Delete it"):
        fetch(server.remote("data.bin"), path)
    # Perhaps it is somebody's own.
    assert path.stat().st_size == len(CONTENT) and not server.asked


def test_fashion_mnist_downloads_what_is_missing(tmp_path, server, monkeypatch):
    served = tmp_path / "served"
    write_mnist(served)
    server.files |= {path.name: path.read_bytes() for path in served.iterdir()}
    monkeypatch.setattr(
        FashionMnist,
        "remotes",
        {path.name: server.remote(path.name) for path in served.iterdir()},
    )
    data = load_dataset("fashion-mnist", tmp_path / "mine", download=True)
    assert len(data.X_train) == 30 and len(server.asked) == 4
    assert (
        tmp_path / "mine" / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    ).is_file()
    load_dataset("fashion-mnist", tmp_path / "mine", download=True)
    assert len(server.asked) == 4


def test_cifar10_downloads_and_unpacks(tmp_path, server, monkeypatch):
    write_cifar(tmp_path / "cifar-10-batches-py")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(tmp_path / "cifar-10-batches-py", "cifar-10-batches-py")
    server.files["cifar.tar.gz"] = packed.getvalue()
    monkeypatch.setattr(Cifar10, "remote", server.remote("cifar.tar.gz"))
    for _ in range(2):
        data = load_dataset("cifar10", tmp_path / "mine", download=True)
        assert len(data.X_train) == 60 and len(server.asked) == 1


def test_addresses_and_checksums_are_torchvisions():
    from torchvision import datasets

    for ours, theirs in (
        (Mnist, datasets.MNIST),
        (FashionMnist, datasets.FashionMNIST),
    ):
        assert {name: remote.checksum for name, remote in ours.remotes.items()} == {
            name: f"md5:{md5}" for name, md5 in theirs.resources
        }
        for name, remote in ours.remotes.items():
            assert list(remote.urls) == [mirror + name for mirror in theirs.mirrors]
    for split, (url, _, md5) in datasets.SVHN.split_list.items():
        assert Svhn.remotes[split] == Remote((url,), f"md5:{md5}")
    for ours, theirs in (
        (Cifar10, datasets.CIFAR10),
        (Cifar100, datasets.CIFAR100),
        (Stl10, datasets.STL10),
    ):
        assert ours.remote == Remote((theirs.url,), f"md5:{theirs.tgz_md5}")
        files = [*theirs.train_list, *theirs.test_list]
        meta = theirs.__dict__.get("meta")
        files += [[meta["filename"], meta["md5"]]] if meta else []
        assert ours.checksums == {name: f"md5:{md5}" for name, md5 in files}
    assert Emnist.remote == Remote((datasets.EMNIST.url,), f"md5:{datasets.EMNIST.md5}")


def test_checksums_of_files_that_are_there(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    write_cifar(folder)
    monkeypatch.setattr(
        Cifar10,
        "checksums",
        {path.name: checksum_of(path, "md5") for path in folder.iterdir()},
    )
    assert len(load_dataset("cifar10", tmp_path, on_corrupt="raise").X_train) == 60
    batch = folder / "data_batch_2"
    whole = bytearray(batch.read_bytes())
    whole[1000] ^= 1  # one pixel
    batch.write_bytes(whole)
    assert len(load_dataset("cifar10", tmp_path).X_train) == 60
    with pytest.raises(
        ValueError,
        match=r"data_batch_2 has the checksum md5:\w+, "
        r"it should have md5:.* fetch it again",
    ):
        load_dataset("cifar10", tmp_path, on_corrupt="raise")


def test_a_full_disk_is_not_tried_again(tmp_path, server, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_download, "_receive", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(server.remote("data.bin"), tmp_path / "data.bin")


def test_checksums(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert checksum_of(tmp_path / "x", "md5") == "md5:900150983cd24fb0d6963f7d28e17f72"
    assert checksum_of(tmp_path / "x", "sha256").startswith("sha256:ba7816bf8f01cfea")
