"""Every Python block of every page runs as written, page by page, in an empty folder.

Nothing is there but what the page says: no name, no data, no file.
"""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from al_sklearn.datasets import _base
from al_sklearn.estimators import networks
from al_sklearn.strategies import _registry

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", flags=re.M | re.S)
# Pages that train for more than a few seconds, or have a test of their own.
SLOW = {"ensembles", "tracking", "tuning", "extending"}
# What may stand behind the three signs; a block of Python that is called otherwise
# would not be run.
LANGUAGES = {"", "python", "yaml", "toml", "text"}


def blocks(page: Path) -> list[tuple[int, str]]:
    """The line before each block of Python, and its code."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, match.start(2)), match[2])
        for match in BLOCK.finditer(text)
        if match[1] == "python"
    ]


PAGES = [page for page in sorted(DOCS.glob("*.md")) if blocks(page)]


def test_every_block_says_what_it_is():
    assert len(PAGES) >= 15
    for page in DOCS.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert {match[1] for match in BLOCK.finditer(text)} <= LANGUAGES, page.name
        # Every fence is closed, and so every block was seen.
        assert len(re.findall(r"^```", text, flags=re.M)) == 2 * len(
            BLOCK.findall(text)
        ), page.name


def code_of(page: Path) -> str:
    """All blocks, with lines as on the page, so that an error names the right one."""
    lines: list[str] = []
    for before, code in blocks(page):
        lines += [""] * (before - len(lines)) + code.splitlines()
    return "\n".join(lines) + "\n"


@pytest.fixture
def nothing_stays():
    """What a page registers is gone after it."""
    tables = (_base._REGISTRY, _registry._registry, networks.NETWORKS)
    before = [dict(table) for table in tables]
    yield
    for table, known in zip(tables, before, strict=True):
        table.clear()
        table.update(known)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.stem not in SLOW],
    ids=lambda page: page.stem,
)
def test_a_page_runs_from_nothing_but_itself(
    page, tmp_path, monkeypatch, nothing_stays
):
    monkeypatch.chdir(tmp_path)
    code = compile(code_of(page), str(page), "exec")
    # Users see warnings, and go on.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, {"__name__": f"docs_{page.stem}"})


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_a_script(page, tmp_path):
    """In a process of its own, where nothing was imported either."""
    (tmp_path / f"{page.stem}_page.py").write_text(code_of(page), "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", f"{page.stem}_page.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"docs/{page.name}: {done.stderr[-2000:]}"
