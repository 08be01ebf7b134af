"""The name under which trackers know a run."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from al_sklearn._core.files import replacing


def new_run_id() -> str:
    """Return a name that sorts by time and that no other run has."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"


def run_id_of(folder: Path) -> str:
    """Return the name of the run in a store.

    Drawn once, so that a run that is resumed goes on under it.

    Parameters
    ----------
    folder : Path
        The store's, which the caller has locked.
    """
    path = folder / "tracking_id"
    # Beside the rounds: whoever copies the folder goes on under the same name.
    if not path.exists():
        with replacing(path) as file:
            file.write(new_run_id().encode())
    return path.read_text().strip()
