"""The command ``al-sklearn``."""

# Each adds its commands to the app.
from al_sklearn.cli import (  # noqa: F401
    _best,
    _compare,
    _convert,
    _images,
    _lists,
    _results,
    _retrain,
    _run,
    _splits,
    _verify,
)
from al_sklearn.cli._console import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line."""
    app()
