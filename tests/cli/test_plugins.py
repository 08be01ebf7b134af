"""Commands that other packages bring."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from al_sklearn.cli import _plugins
from tests.cli.test_cli import run


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A distribution installed beside ours, with four entry points."""
    (tmp_path / "al_extra.py").write_text(
        textwrap.dedent(
            """
            import typer

            app = typer.Typer()

            @app.command()
            def count(name: str):
                "Count something."
                print("one", name)

            @app.command()
            def other():
                "Do something else."

            def hello(name: str, loud: bool = False):
                "Say hello."
                print(("HELLO " if loud else "hello ") + name)

            number = 3
            """
        )
    )
    (tmp_path / "al_broken.py").write_text("import no_such_thing\n")
    info = tmp_path / "al_extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: al-extra\nVersion: 1\n"
    )
    (info / "entry_points.txt").write_text(
        "[al_sklearn.commands]\nextra = al_extra:app\nhello = al_extra:hello\n"
        "number = al_extra:number\nbroken = al_broken:app\nrun = al_extra:hello\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    _plugins.plugins.cache_clear()
    yield tmp_path
    _plugins.plugins.cache_clear()


def test_apps_and_functions_become_commands(package):
    assert run("hello", "you", "--loud").output == "HELLO you\n"
    assert run("extra", "count", "me").output == "one me\n"
    assert "Count something" in run("extra", "--help").output
    # Ours stay ours.
    assert "experiment file" in run("run", "--help").output


def test_a_broken_plugin_is_a_line_and_no_traceback(package):
    page = run("--help")
    assert page.exit_code == 0 and "Say hello" in page.output
    lines = [line for line in page.output.splitlines() if "Warning" in line]
    assert len(lines) == 2
    assert any(
        "the command broken of al-extra cannot be loaded: ModuleNotFoundError" in line
        for line in lines
    )
    assert any(
        "number of al-extra" in line
        and "must be a typer app or a function, got 3" in line
        for line in lines
    )
    asked = run("broken")
    assert asked.exit_code == 2 and "No such command" in asked.output
    assert "Traceback" not in asked.output
    # And what is not asked for is not even loaded.
    assert "Warning" not in run("version").output


def test_in_a_process_of_its_own(package):
    done = subprocess.run(
        [sys.executable, "-m", "al_sklearn.cli", "hello", "you"],
        env={"PYTHONPATH": f"{package}:{':'.join(sys.path)}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "hello you\n", done.stderr
