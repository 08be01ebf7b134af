"""Nested parameters as one level of texts."""

from __future__ import annotations

from typing import Any


def flat(parameters: Any, prefix: str = "") -> dict[str, str]:
    """Return nested parameters as one level of texts: ``estimator.max_epochs``."""
    if isinstance(parameters, dict) and parameters:
        found: dict[str, str] = {}
        for key, value in parameters.items():
            found |= flat(value, f"{prefix}.{key}" if prefix else str(key))
        return found
    return {prefix: str(parameters)}
