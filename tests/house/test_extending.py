"""docs/extending.md: every block runs as it is, and is as short as the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
# What a new thing may take, the example that uses it included.
MOST_LINES = 30


def _blocks() -> list[tuple[str, str]]:
    """The page's blocks of Python, each with the heading it stands under."""
    found, heading = [], ""
    pattern = r"^## ([^\n]+)$|^```python\n(.*?)^```$"
    for title, code in re.findall(pattern, PAGE.read_text(), flags=re.M | re.S):
        heading = title or heading
        if code:
            found.append((heading, code))
    return found


def test_every_kind_has_a_block():
    assert {heading for heading, _ in _blocks()} == {
        "A strategy",
        "A measure",
        "A selector",
        "A kind of classifier",
        "A network",
        "A metric",
        "A stopping rule",
        "A data set",
        "A command",
    }


@pytest.mark.parametrize("heading, code", _blocks())
def test_a_block_is_short(heading, code):
    assert len([line for line in code.splitlines() if line.strip()]) < MOST_LINES


def test_the_blocks_run_one_after_the_other(tmp_path):
    # In a process of its own: what is registered would stay in this one's catalogue.
    code = "\n\n".join(code for _, code in _blocks())
    (tmp_path / "my_module.py").write_text(f'{code}\n\nhello("there")\n')
    command = [sys.executable, "-W", "error", "-c", "import my_module"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "top_2" in done.stdout and "ImageData('stripes': 6" in done.stdout
    assert done.stdout.endswith("hello there\n")
