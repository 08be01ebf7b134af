"""Inner products of float32 rows, by the faster of two libraries.

The two are those that torch brings for processors.

``torch.mm`` is MKL's, which does without AVX-512 on processors that are not Intel's;
torch's convolutions are oneDNN's, which does not. Rows are pixels and their values
channels: a convolution of one pixel's width is the same product.
"""

from __future__ import annotations

import torch

from al_sklearn._core.types import Floats

_IMAGES = 16  # by one thread torch leaves smaller batches to MKL
# A convolution's preparations take as long as a smaller product, and few others leave
# most of its lanes empty.
_LEAST = 2**23
_LEAST_ROWS = 256
_LEAST_OTHERS = 16


def inner_products(
    rows: torch.Tensor, others: torch.Tensor, offset: torch.Tensor | None = None
) -> torch.Tensor:
    """Inner products of `rows` (m, d) with `others` (k, d), plus `offset`.

    `offset`, of shape (k,) or (1,), is added to each row of them.
    """
    (m, d), k = rows.shape, len(others)
    is_large = m >= _LEAST_ROWS and k >= _LEAST_OTHERS and m * k * d >= _LEAST
    if is_large and _is_for_convolution(rows) and _is_for_convolution(others):
        images = _IMAGES if m % _IMAGES == 0 else 1
        pixels = rows.view(images, m // images, 1, d).permute(0, 3, 1, 2)
        bias = None if offset is None else offset.expand(k)
        products = torch.nn.functional.conv2d(pixels, others.view(k, d, 1, 1), bias)
        return products.permute(0, 2, 3, 1).reshape(m, k)
    return (
        torch.mm(rows, others.T)
        if offset is None
        else torch.addmm(offset, rows, others.T)
    )


def _is_for_convolution(rows: torch.Tensor) -> bool:
    return (
        rows.device.type == "cpu"
        and rows.dtype == torch.float32
        and rows.is_contiguous()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        # Whoever allows convolutions less than float32 does not mean these; versions
        # before 2.9 have no such setting.
        and getattr(
            getattr(torch.backends.mkldnn, "conv", None), "fp32_precision", "none"
        )
        in ("none", "ieee")
    )


def matmul64(a: Floats, b: Floats) -> Floats:
    """``a @ b`` of writable matrices by torch.

    Its threads and those of numpy's BLAS, waiting for more work after each product,
    would hold each other up.
    """
    return torch.mm(torch.from_numpy(a), torch.from_numpy(b)).numpy()
