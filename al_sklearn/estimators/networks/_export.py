"""A trained classifier as one file that needs neither this package nor scikit-learn."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.files import replacing
from al_sklearn._core.types import Options
from al_sklearn.inference.modules import evaluating

_INPUTS = ("uint8", "float32")


class _Scorer(nn.Module):
    """Images as people have them in, probabilities out."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        statistics: Any,
        proba: Callable[[Tensor], Tensor],
        raw: bool,
    ):
        super().__init__()
        self.net, self.proba, self.raw = net, proba, raw
        mean, std = (0.0, 1.0) if statistics is None else statistics
        for name, value in (("mean", mean), ("std", std)):
            value = torch.as_tensor(value, dtype=torch.float32).view(1, -1, 1, 1)
            self.register_buffer(name, value)

    def forward(self, images: Tensor) -> Tensor:
        if self.raw:
            images = images.permute(0, 3, 1, 2).float() / 255
        out = self.net((images - self.mean) / self.std)
        return self.proba(out[0] if isinstance(out, tuple) else out)


def export_classifier(
    classifier: Any, path: str | Path, *, input_type: str = "uint8"
) -> Path:
    """Write a fitted classifier to one file: images in, class probabilities out.

    Scaling, normalisation and softmax are part of the file, so that whoever loads it
    has none of them to get wrong. It computes in float32 on the CPU it was exported on;
    torch moves it elsewhere. The file replaces one of the same name only once it is
    whole.

    Parameters
    ----------
    classifier : ImageClassifier
        Fitted. It stays as it is.
    path : str or Path
        ``.pt2`` is torch's own format, loaded by ``torch.export.load(path).module()``;
        ``.onnx`` is for other runtimes and needs the package onnxscript to be written.
    input_type : {"uint8", "float32"}, default="uint8"
        What the file takes: ``"uint8"`` images (n, H, W, C) from 0 to 255, with C = 1
        for grey ones, or ``"float32"`` images (n, C, H, W) as they were given to
        ``fit``. Any n, with the C, H and W of ``fit``.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    NotFittedError
        Before ``fit``.
    TypeError
        For anything that is no ``ImageClassifier``.
    ValueError
        For another suffix or ``input_type``.
    ImportError
        For ``.onnx`` without onnxscript.

    Notes
    -----
    The file says what it holds: ``classes`` (in the order of the columns),
    ``image_shape`` (C, H, W) and ``input_type``, as JSON: in a ``.pt2`` file the extra
    file ``classifier.json``, in an ``.onnx`` file its metadata of these names.

    Examples
    --------
    >>> import json, tempfile, torch
    >>> from al_sklearn import ImageClassifier
    >>> images = torch.randint(256, (20, 8, 8), dtype=torch.uint8)
    >>> net = ImageClassifier(max_epochs=1, random_state=0)
    >>> net = net.fit(images, ["cat", "dog"] * 10)
    >>> extra = {"classifier.json": ""}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export_classifier(net, f"{folder}/net.pt2")
    ...     program = torch.export.load(path, extra_files=extra).module()
    >>> program(images[:3, :, :, None]).shape
    torch.Size([3, 2])
    >>> json.loads(extra["classifier.json"])["classes"]
    ['cat', 'dog']
    """
    path = Path(path)
    if path.suffix not in (".pt2", ".onnx"):
        raise ValueError(f"path must end with '.pt2' or '.onnx', got {path.name!r}.")
    if input_type not in _INPUTS:
        raise unknown_name("input_type", input_type, _INPUTS)
    if hasattr(classifier, "check_is_fitted"):
        classifier.check_is_fitted()
    if not hasattr(classifier, "image_statistics_"):
        raise TypeError(
            "export_classifier writes an ImageClassifier, got "
            f"{type(classifier).__name__}."
        )
    if path.suffix == ".onnx" and find_spec("onnxscript") is None:
        raise ImportError(
            "Writing .onnx needs onnxscript, which is not installed: pip install "
            "onnxscript. Or write .pt2."
        )
    about = {
        "classes": classifier.classes_.tolist(),
        "image_shape": list(classifier.image_shape_),
        "input_type": input_type,
    }
    program = _program(classifier, raw=input_type == "uint8")
    with replacing(path) as file:
        if path.suffix == ".pt2":
            torch.export.save(
                program, file, extra_files={"classifier.json": json.dumps(about)}
            )
        else:
            file.write(_onnx(program, about))
    return path


def _program(classifier: Any, raw: bool) -> torch.export.ExportedProgram:
    module = classifier.module_
    net = copy.deepcopy(getattr(module, "_orig_mod", module)).to(
        "cpu", memory_format=torch.contiguous_format
    )
    scorer = _Scorer(
        net, classifier.image_statistics_, classifier._get_predict_nonlinearity(), raw
    )
    channels, height, width = classifier.image_shape_
    # Two images: one would be taken for the only number there is.
    example = (
        torch.zeros(2, height, width, channels, dtype=torch.uint8)
        if raw
        else torch.zeros(2, channels, height, width)
    )
    with evaluating(scorer):
        return torch.export.export(
            scorer, (example,), dynamic_shapes=({0: torch.export.Dim.AUTO},)
        )


def _onnx(program: torch.export.ExportedProgram, about: Options) -> bytes:
    written = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=["proba"],
    )
    assert written is not None
    written.model.metadata_props.update(
        {name: json.dumps(value) for name, value in about.items()}
    )
    return written.model_proto.SerializeToString()
