"""Where networks compute, and how exactly."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch

from al_sklearn.exceptions import ParameterError

# The precisions that ``amp`` names.
AMP = {"bf16": torch.bfloat16, "fp16": torch.float16}


@lru_cache
def best_device() -> str:
    """Return what ``device="auto"`` is: the first CUDA device, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def find_device(given: Any) -> torch.device:
    """Return the device that a parameter names, if this machine has it.

    Parameters
    ----------
    given : str or torch.device
        ``"auto"`` is :func:`best_device`.

    Raises
    ------
    ParameterError
        When it is no device, or there is none here: the error says which there are.
    """
    try:
        device = torch.device(best_device() if given == "auto" else given)
    except (RuntimeError, TypeError) as error:
        raise ParameterError(
            f"device={given!r} is no device of torch: give 'auto', or one of this "
            f"machine's ({', '.join(_devices())}).",
            "device",
        ) from error
    # Devices of other kinds (xpu, meta …) are for torch to judge. One without a number
    # is the first.
    wanted = f"cuda:{device.index or 0}" if device.type == "cuda" else device.type
    if device.type in ("cuda", "mps") and wanted not in _devices():
        raise ParameterError(
            f"device={str(given)!r}, but torch {torch.__version__} sees "
            f"{', '.join(_devices())} alone on this machine; device='auto' takes what "
            "there is.",
            "device",
        )
    return device


def _devices() -> list[str]:
    """Those of this machine."""
    found = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return [*found, "mps"] if torch.backends.mps.is_available() else found


def precision(device: Any, amp: str | None) -> AbstractContextManager[Any]:
    """Compute in the precision that ``amp`` names, in ``with``."""
    if amp is None:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=AMP[amp])
