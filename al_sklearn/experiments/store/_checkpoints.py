"""Models on disk: the weights of networks as safetensors, other models by joblib."""

from __future__ import annotations

import importlib.util
import json
import os
import warnings
from pathlib import Path
from typing import Any, Final

import cloudpickle
import joblib
import numpy as np
import torch
from sklearn.base import clone
from skorch import NeuralNet

from al_sklearn._core.files import replacing
from al_sklearn._core.sealed import checksum_of, unsealed
from al_sklearn.exceptions import StoreError
from al_sklearn.experiments.store._rounds import MODEL

SUFFIXES = (".safetensors", ".joblib")
_ESTIMATOR: Final = "estimator.pickle"


def check_checkpoints(estimator: Any, store: Any) -> None:
    """Raise unless models of this kind can be kept, and warn where they need pickle."""
    if store is None:
        raise ValueError("checkpoints=True keeps models in the store; give store=.")
    if not isinstance(estimator, NeuralNet):
        warnings.warn(
            f"Models of {type(estimator).__name__} are kept by joblib: such a file "
            "runs code when it is read (read "
            "only your own), and wants the same versions of the packages.",
            stacklevel=4,
        )
    elif importlib.util.find_spec("safetensors") is None:
        raise ImportError(
            "checkpoints=True writes networks as safetensors, which is not installed: "
            "pip install "
            "'al-sklearn[checkpoints]'."
        )


def write_checkpoint(path: Path, model: Any, durable: bool = True) -> Path:
    """Write a model, whole or not at all.

    Parameters
    ----------
    path : Path
        Without suffix, which says how it was written: ``.safetensors`` or ``.joblib``.
    model : estimator
    durable : bool, default=True
        Wait until the disk has it.
    """
    # Only when there is something to write: safetensors is an extra.
    if isinstance(model, NeuralNet):
        from safetensors.torch import save

        # Weights that are shared, or no rows in order, are no plain tensors:
        # safetensors wants those.
        state = {
            name: tensor.detach().cpu().contiguous().clone()
            for name, tensor in model.module_.state_dict().items()
        }
        # Which output is which class: without, the weights would go into a net of as
        # many other classes unseen.
        metadata = {}
        if hasattr(model, "classes_"):
            metadata["classes"] = _classes_of(model)
        # What a net has to be built for before the weights fit.
        if hasattr(model, "image_shape_"):
            metadata["image_shape"] = json.dumps(list(map(int, model.image_shape_)))
        target = path.with_name(f"{path.name}.safetensors")
        with replacing(target, durable=durable) as file:
            file.write(save(state, metadata or None))
        return target
    target = path.with_name(f"{path.name}.joblib")
    with replacing(target, durable=durable) as file:
        joblib.dump(model, file)
    return target


def load_checkpoint(path: str | os.PathLike[str], model: Any = None) -> Any:
    """Read a model that ``checkpoints=True`` kept.

    Parameters
    ----------
    path : path
        As ``runs/mine/rounds/margin/seed_000/round_004.safetensors``.
    model : NeuralNet, optional
        For ``.safetensors``: a net of the same kind, fitted or initialised, as
        ``ImageClassifier("resnet20").initialize(X, y)``; it gets the weights.

    Returns
    -------
    estimator
        The model with these weights.

    Raises
    ------
    ValueError
        When the weights or the classes do not fit, no net was given, or the file is
        neither of the two kinds.
    StoreError
        When the file is not the one that its round, beside it, was written with.
    FileNotFoundError
        When there is no such file.

    Notes
    -----
    A ``.joblib`` file runs code when it is read: read only your own.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: models are kept as {' or '.join(SUFFIXES)}.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no model {path}.")
    # Before it is read: a damaged pickle may run anything.
    wrong = wrong_with_model(path)
    if wrong:
        raise StoreError(f"{path} is damaged: {wrong}. No result depends on it.")
    if path.suffix == ".joblib":
        return joblib.load(path)
    if not isinstance(model, NeuralNet) or not hasattr(model, "module_"):
        raise ValueError(
            f"{path} holds weights alone; give model= a net of the same kind, fitted "
            "or initialised."
        )
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        classes = (file.metadata() or {}).get("classes")
    if (
        classes is not None
        and hasattr(model, "classes_")
        and classes != _classes_of(model)
    ):
        raise ValueError(
            f"The weights in {path} do not fit: they are for the classes {classes}, "
            f"{type(model).__name__} has "
            f"{_classes_of(model)}."
        )
    # torch raises RuntimeError for any mismatch of names or shapes, and for nothing
    # else here.
    try:
        model.module_.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ValueError(
            f"The weights in {path} do not fit {type(model).__name__}: {error}"
        ) from error
    # Weights come to the CPU; the net may live elsewhere.
    model.module_.to(torch.device(model.device))
    return model


def wrong_with_model(path: Path) -> str:
    """Say why a model is not the one that its round was written with.

    Empty where it is, and where no round beside it knows.
    """
    record = path.with_suffix(".json")
    try:
        known = unsealed(record.read_text(encoding="utf-8")).get(MODEL)
    except FileNotFoundError:
        return ""
    except ValueError:
        return f"{record.name}, which says its checksum, is"
    if known is None or known == checksum_of(path):
        return ""
    return f"its checksum is not the one that {record.name} says"


def write_estimator(folder: Path, estimator: Any, durable: bool = True) -> None:
    """Keep a network as it is before it is fitted, so that weights find one again.

    Other models are whole in their own files. One that is there stays.
    """
    path = folder / _ESTIMATOR
    if isinstance(estimator, NeuralNet) and not path.exists():
        # By value what no package has: a notebook's own network, a script's.
        content = cloudpickle.dumps(clone(estimator))
        with replacing(path, durable=durable) as file:
            file.write(content)


def rebuild(folder: Path, weights: Path) -> Any:
    """Build a net of the kind that a run trained, for the weights of one round.

    Raises
    ------
    FileNotFoundError
        When the run does not keep its estimator.
    """
    path = folder / _ESTIMATOR
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} does not keep the estimator that it trained; give model= a net "
            "of the same kind, fitted or initialised."
        )
    from safetensors import safe_open

    with safe_open(weights, framework="pt") as file:
        known = file.metadata() or {}
    with path.open("rb") as file:
        net = cloudpickle.load(file)
    if "classes" in known and net.classes is None:
        net.set_params(classes=np.asarray(json.loads(known["classes"])))
    if "image_shape" not in known:
        return net.initialize()
    # One black image has the shape; the statistics of the true ones are in the weights.
    image = np.zeros((1, *json.loads(known["image_shape"])), dtype=np.float32)
    return net.initialize(image)


def _classes_of(model: Any) -> str:
    return json.dumps(np.asarray(model.classes_).tolist(), default=str)
