"""Names of strategies as names of folders."""

from __future__ import annotations

import hashlib
import re
from functools import cache


@cache
def slug(name: str) -> str:
    """Turn a strategy's name into a folder's.

    Different names give different folders.
    """
    # What every file system takes; 80 leave room below its limit of 255 for suffixes.
    plain = re.sub(r"[^A-Za-z0-9_.=+-]+", "_", name).strip("._")[:80]
    return (
        plain
        if plain == name
        else f"{plain}-{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"
    )
