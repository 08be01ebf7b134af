"""Where networks compute, and how exactly."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch

# The precisions that ``amp`` names.
AMP = {"bf16": torch.bfloat16, "fp16": torch.float16}


@lru_cache
def best_device() -> str:
    """Return what ``device="auto"`` is: the first CUDA device, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def precision(device: Any, amp: str | None) -> AbstractContextManager[Any]:
    """Compute in the precision that ``amp`` names, in ``with``."""
    if amp is None:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=AMP[amp])
