"""Images or features of any X, as a tensor that small networks can be trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from al_sklearn import inference
from al_sklearn._core.types import Array
from al_sklearn.rows import by_chunks, n_rows


def read_inputs(strategy: str, classifier: Any, X: Any, max_side: int) -> torch.Tensor:
    """Read what a network would be given.

    Images (n, C, H, W), uint8 or float32, or features (n, d), float32.

    A net reads X by its own iterator, so that whatever it can be trained on can be read
    here, and chunk by chunk. For others arrays of three and four axes are images (uint8
    with channels last, float with channels first, as in ``ImageClassifier``), and all
    else is flattened as by :func:`al_sklearn.inference.embed`.

    Parameters
    ----------
    strategy : str
        Who asks; for messages.
    classifier : estimator, Pipeline, ActiveLearner, Committee or None
    X : any kind of rows
    max_side : int
        Images are shrunk to this longer side as they are read.

    Raises
    ------
    TypeError
        When a net takes several inputs, or rows of X are no numbers.
    """
    if inference.gives(classifier, "network_inputs"):

        def read(rows: Any) -> Array:
            parts = []
            for batch in inference.network_inputs(classifier, rows):
                if not isinstance(batch, torch.Tensor):
                    raise TypeError(
                        f"{strategy} needs rows of one input, the net is given "
                        f"{type(batch).__name__}."
                    )
                parts.append(_shrunk(batch.detach().cpu(), max_side).numpy())
            return np.concatenate(parts)

    else:

        def read(rows: Any) -> Array:
            shape = getattr(rows, "shape", ())
            if len(shape) in (3, 4) and 0 not in shape:
                values = torch.as_tensor(
                    np.array(rows) if not isinstance(rows, torch.Tensor) else rows.cpu()
                )
                if values.ndim == 4 and values.dtype == torch.uint8:
                    values = values.permute(0, 3, 1, 2)
                return _shrunk(values, max_side).numpy()
            # A copy: torch warns about arrays that it may not write to.
            return np.array(inference.embed(None, rows), dtype=np.float32)

    values = torch.from_numpy(by_chunks(read, X))
    if len(values) != n_rows(X):
        raise ValueError(
            f"{strategy} read {len(values)} rows of X, which has {n_rows(X)}."
        )
    return values


def _shrunk(values: torch.Tensor, max_side: int) -> torch.Tensor:
    """Images with their longer side at most ``max_side``.

    Rows of any other shape flattened.
    """
    # Neither one channel nor several: features.
    if values.ndim not in (3, 4):
        return values.float().flatten(1)
    if values.ndim == 3:
        values = values.unsqueeze(1)
    raw = values.dtype == torch.uint8
    longer = max(values.shape[2:])
    if longer > max_side:
        size = [max(1, round(side * max_side / longer)) for side in values.shape[2:]]
        # Means of areas: no pixel is skipped, as nearest would.
        values = F.interpolate(values.float(), size=size, mode="area")
        return values.round().to(torch.uint8) if raw else values
    return values.contiguous() if raw else values.float().contiguous()
