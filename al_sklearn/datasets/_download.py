"""Files from the network: resumed, checked by checksum, whole or not there.

A download goes on where it broke off.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from al_sklearn._core.archives import unpack
from al_sklearn._core.progress import tqdm

# Pooch, the library for this, begins a broken download anew; these are up to 4 GB.
# A megabyte: at most so much is lost by a kill, and the bar still moves on a slow line.
_CHUNK = 1 << 20
# With the pauses below 15 seconds: a server that restarts is waited for, one that is
# gone is not waited for long.
_TRIES = 5
_TIMEOUT = 60  # seconds without a byte
_PAUSE = 1.0  # seconds before the second try, doubled for each further one


# What may pass by the next try. Not every OSError: on a full disk it is no use.
_PASSING = (
    urllib.error.URLError,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
    http.client.HTTPException,
)


class Remote(NamedTuple):
    """A file on the network."""

    urls: tuple[str, ...]
    checksum: str
    """``md5:…`` or ``sha256:…``"""

    @property
    def name(self) -> str:
        """The file's name at its first address."""
        return self.urls[0].rpartition("/")[2]

    def differs(self, path: Path) -> str:
        """Return a file's checksum where it is another, else nothing."""
        found = checksum_of(path, self.checksum.partition(":")[0])
        return "" if found == self.checksum else found


def fetch(remote: Remote, path: Path, progress: bool = True) -> Path:
    """Download a file to ``path``, unless it is there with the right checksum.

    What has arrived is kept in ``path`` with ``.part`` added, also after Ctrl-C; the
    next call goes on from there.

    Parameters
    ----------
    remote : Remote
        Its addresses are tried in turn.
    path : Path
    progress : bool, default=True

    Returns
    -------
    Path

    Raises
    ------
    ConnectionError
        When no address gave the whole file.
    ValueError
        When the file that came has another checksum; it is removed. When the one that
        was there has another; it stays.
    """
    if path.is_file():
        if found := remote.differs(path):
            # Perhaps somebody's own: what was not fetched here is not removed either.
            raise ValueError(
                f"{path} is there already, with the checksum {found}; it should have "
                f"{remote.checksum}. Delete it, and it is fetched again."
            )
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own until the checksum was seen: what has the right one is whole.
    part = path.with_name(path.name + ".part")
    while True:
        resumed = part.exists()
        _fetch_part(remote.urls, part, progress)
        found = remote.differs(part)
        if not found:
            os.replace(part, path)
            return path
        part.unlink()
        # The beginning may be of an older version of the file: once more, from nothing.
        if not resumed:
            raise ValueError(
                f"{path.name} from {remote.urls[0]} has the checksum {found}, it "
                f"should have {remote.checksum}. It was removed; try again. If that "
                "gives the same, the file there has changed, or something on the way "
                "(a proxy's login page?) is sent in its place: get it by other means, "
                f"and put it at {path}."
            )


def checksum_of(path: Path, kind: str) -> str:
    """Return ``kind:hexdigest`` of a file, ``kind`` being ``md5`` or ``sha256``."""
    with path.open("rb") as file:
        # Not for security: it says whether the bytes arrived.
        digest = hashlib.file_digest(
            file, lambda: hashlib.new(kind, usedforsecurity=False)
        )
    return f"{kind}:{digest.hexdigest()}"


def compare_checksums(folder: Path, checksums: Mapping[str, str]) -> None:
    """Compare files with their checksums; those that are not there are passed over.

    Raises
    ------
    ValueError
        For the first file that differs.
    """
    for name, checksum in checksums.items():
        path = folder / name
        if path.is_file() and (found := Remote((), checksum).differs(path)):
            raise ValueError(
                f"{path} has the checksum {found}, it should have {checksum}: delete "
                "it, and fetch it again with download=True."
            )


def fetch_archive(remote: Remote, folder: Path) -> None:
    """Download an archive into a folder, and unpack it there."""
    extract(fetch(remote, folder / remote.name), folder)


def extract(archive: Path, folder: Path) -> None:
    """Unpack what was fetched; what cannot be is to be fetched again."""
    try:
        unpack(archive, folder)
    except ValueError as error:
        raise ValueError(
            f"{archive} cannot be unpacked ({error}): delete it, and fetch it again."
        ) from error


def _fetch_part(urls: Sequence[str], part: Path, progress: bool) -> None:
    problems = []
    for url in urls:
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE * 2 ** (attempt - 1))
            try:
                _receive(url, part, progress)
            except urllib.error.HTTPError as error:
                error.close()
                problems.append(f"{url}: {error}")
                # Too slow, too many requests, the server's own fault: these pass.
                if error.code not in (408, 429) and error.code < 500:
                    break
            except _PASSING as error:
                problems.append(f"{url}: {error or type(error).__name__}")
            else:
                return
    # Each problem once, however often it was met.
    text = "; ".join(dict.fromkeys(problems))
    message = f"{part.stem} could not be downloaded ({text})."
    if part.exists():
        message += (
            f" {part.stat().st_size:,} bytes are kept in {part}: the same call goes "
            "on from there."
        )
    raise ConnectionError(message)


def _receive(url: str, part: Path, progress: bool) -> None:
    """One request for what is missing of a file; raises unless all of it came."""
    start = part.stat().st_size if part.exists() else 0
    # Packed on the way, the bytes that are here would not be those to go on from.
    request = urllib.request.Request(
        url, headers={"User-Agent": "al_sklearn", "Accept-Encoding": "identity"}
    )
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing comes after what is here: it is all there, or it is not this file.
        whole = error.headers.get("Content-Range", "") == f"bytes */{start}"
        error.close()
        if whole:
            return
        part.unlink()
        raise ConnectionError("what was here did not belong to it") from error
    with response:
        sent = response.headers.get("Content-Range", "")
        if response.status != 206 or not sent.startswith(f"bytes {start}-"):
            # The server knows no ranges, and sends it all.
            start = 0
        # Not all servers say how much they send; then only the checksum tells.
        total = None if response.length is None else start + response.length
        with (
            part.open("r+b" if start else "wb") as file,
            tqdm(
                total=total,
                initial=start,
                desc=part.stem,
                unit="B",
                unit_scale=True,
                disable=not progress,
            ) as bar,
        ):
            file.seek(start)
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            arrived = file.tell()
    if total is not None and arrived != total:
        raise ConnectionError(
            f"the connection ended after {arrived:,} of {total:,} bytes"
        )
