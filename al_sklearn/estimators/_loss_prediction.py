"""A network that also learns how large its own loss will be (learning loss)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, ClassVar, cast

import numpy as np
import torch
from skorch.callbacks import PassthroughScoring
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from al_sklearn._core.random import preserve_global_rng
from al_sklearn._core.types import Array, Options
from al_sklearn.estimators._image_classifier import ImageClassifier
from al_sklearn.estimators._shape import ImageShape
from al_sklearn.inference.modules import evaluating, modes_kept, tapping

# Where the head hangs in the network: its weights are saved, moved and trained with the
# others.
_HEAD = "loss_prediction"
# What each number may be at most; at least 0.
_HIGHEST = {"loss_weight": np.inf, "loss_margin": np.inf, "stop_gradient": 1}
# Their outputs are noise, or the layer before once more.
_NO_STAGE = (_DropoutNd, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d)


def ranking_loss(predicted: Tensor, true: Tensor, margin: float = 1.0) -> Tensor:
    """Return how badly the order of predicted losses follows that of the true ones.

    Pair i with B - 1 - i; the mean over pairs of max(0, margin - sign(l_i - l_j) (l̂_i
    - l̂_j)). The middle one of an odd batch has no partner. A pair of equal losses says
    nothing: it has no gradient.

    Parameters
    ----------
    predicted : Tensor of shape (B,)
        Predicted losses l̂.
    true : Tensor of shape (B,)
        True losses l; no gradient flows into them.
    margin : float, default=1.0
        How far apart predictions of a pair should be.

    Returns
    -------
    Tensor of shape ()

    Raises
    ------
    ValueError
        When the shapes differ or are not one-dimensional, so that they would broadcast,
        or there is no pair.

    References
    ----------
    Yoo & Kweon. Learning Loss for Active Learning. CVPR 2019.

    Examples
    --------
    >>> import torch
    >>> ranking_loss(torch.tensor([0.0, 3.0]), torch.tensor([0.1, 0.9])).item()
    0.0
    >>> ranking_loss(torch.tensor([3.0, 0.0]), torch.tensor([0.1, 0.9])).item()
    4.0
    """
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise ValueError(
            "Predicted and true losses must both have shape (B,), got "
            f"{tuple(predicted.shape)} and "
            f"{tuple(true.shape)}."
        )
    n_pairs = len(predicted) // 2
    if n_pairs == 0:
        raise ValueError("Losses are compared in pairs: at least two are needed.")
    order = torch.sign(true - true.flip(0))[:n_pairs].detach()
    difference = (predicted - predicted.flip(0))[:n_pairs]
    return (margin - order * difference).clamp_min(0).mean()


class LossPredictionHead(nn.Module):
    """From several feature maps to one number: each pooled, to 128 units, ReLU.

    Joined, to one.

    Parameters
    ----------
    n_channels : sequence of int
        Channels of each feature map.
    hidden : int, default=128
        Units for each.
    seed : int, default=0
        Of the first weights; the global generators are not touched.

    References
    ----------
    Yoo & Kweon. Learning Loss for Active Learning. CVPR 2019.
    """

    def __init__(self, n_channels: Sequence[int], hidden: int = 128, seed: int = 0):
        super().__init__()
        with preserve_global_rng(seed):
            self.branches = nn.ModuleList(
                nn.Linear(channels, hidden) for channels in n_channels
            )
            self.join = nn.Linear(hidden * len(n_channels), 1)

    def forward(self, logits: Any) -> Any:
        """Return what it is given.

        In an ``nn.Sequential`` the head hangs behind the logits.
        """
        return logits

    def predict(self, pooled: Sequence[Tensor]) -> Tensor:
        """Return (n,) predicted losses of pooled feature maps (n, channels)."""
        parts = [
            torch.relu(branch(part))
            for branch, part in zip(self.branches, pooled, strict=True)
        ]
        return self.join(torch.cat(parts, dim=1)).squeeze(1)


def pool_features(out: Any) -> Tensor:
    """Return the mean over positions of a layer's output.

    Maps (n, C, h, w), tokens (n, t, C) or units (n, C).

    Raises
    ------
    ValueError
        For anything else.
    """
    out = out[0] if isinstance(out, tuple) else out
    # Every axis but those of images and channels.
    positions = {2: (), 3: 1, 4: (2, 3)}
    if isinstance(out, Tensor) and out.ndim in positions:
        # Half precision would lose the last bits of a sum over thousands of pixels.
        out = out.float()
        return out if out.ndim == 2 else out.mean(positions[out.ndim])
    got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
    raise ValueError(
        f"A loss layer must give (n, C, h, w), (n, tokens, C) or (n, C), got {got}."
    )


def find_loss_layers(network: nn.Module, image_shape: ImageShape) -> tuple[str, ...]:
    """Return the names of the last layers at each resolution, in running order.

    Only what runs before the layer that makes the logits counts, without dropout and
    pooling, and without maps of a single pixel that larger ones follow (squeeze and
    excitation). For transformers: the last layer at each number of tokens. Without
    either: the last layer of each width.

    Parameters
    ----------
    network : nn.Module
        Run once, in evaluation mode, on an image of zeros.
    image_shape : tuple of int
        (C, H, W).

    Raises
    ------
    ValueError
        When no layer is found.
    """
    ran: list[tuple[str, tuple[int, ...]]] = []
    before_logits = 0

    def starts(part: nn.Module, _args: Any) -> None:
        nonlocal before_logits
        weight = getattr(part, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim > 1:
            before_logits = len(ran)

    def ends(name: str, part: nn.Module, out: Any) -> None:
        if (
            isinstance(out, Tensor)
            and out.ndim in (2, 3, 4)
            and not isinstance(part, _NO_STAGE)
        ):
            ran.append((name, tuple(out.shape[1:])))

    with ExitStack() as taps:
        for name, part in network.named_modules():
            if name:
                handle = part.register_forward_pre_hook(starts)
                taps.callback(handle.remove)
                taps.enter_context(tapping(network, partial(ends, name, part), name))
        _run_zeros(network, image_shape)
    ran = ran[:before_logits]
    maps = [(name, shape) for name, shape in ran if len(shape) > 1]
    # A dict keeps the first place of a key and its last value: stages in order, each by
    # its last layer.
    stages = {shape[1:] if len(shape) == 3 else shape[:1]: name for name, shape in maps}
    single = stages.pop((1, 1), None)
    if single is not None and maps[-1][1][1:] == (1, 1):
        # Behind all larger maps: the last stage.
        stages[1, 1] = single
    stages = stages or {shape: name for name, shape in ran}
    if not stages:
        raise ValueError(
            "No layer before the logits was found to predict the loss from; name "
            "some: loss_layers=."
        )
    return tuple(stages.values())


class LossPredictionClassifier(ImageClassifier):
    """An :class:`ImageClassifier` that also learns to predict its own loss.

    It says, beside its task, on which images its loss is large.

    A small head on several feature maps (each pooled, through 128 units and ReLU,
    joined to one number) is trained together with the network, on the order of the
    losses in each batch. Strategy ``learning_loss`` asks for the images of the largest
    predicted loss.

    Parameters
    ----------
    module : str, nn.Module class, callable or nn.Module, default="small_cnn"
        As in :class:`ImageClassifier`.
    loss_layers : "auto" or sequence of str, default="auto"
        Layers whose outputs the head reads, named as in ``module_.named_modules()``.
        ``"auto"``: the last layer at each spatial resolution before the logits, which
        are the four stages of a ResNet.
    loss_weight : float, default=1.0
        What the head's loss counts beside the task's (λ).
    loss_margin : float, default=1.0
        How far apart the predictions of a pair should be.
    loss_hidden : int, default=128
        Units of the head for each layer.
    stop_gradient : float, default=0.6
        Share of the epochs after which the head's gradients no longer reach the
        network. Each ``fit``, ``partial_fit`` or warm start counts its own
        ``max_epochs``; with one epoch a call they always reach it. 1 never stops them,
        0 always does: then the network is the one that :class:`ImageClassifier` would
        train, bit for bit.
    **kwargs
        All other parameters of :class:`ImageClassifier`, except ``compile=True``.

    Attributes
    ----------
    loss_layers_ : tuple of str
        Layers that the head reads.
    history_ : skorch.history.History
        Has a ``ranking_loss`` for each epoch beside ``train_loss``, which is the sum of
        both.

    See Also
    --------
    al_sklearn.strategies.learning_loss : The strategy.

    Notes
    -----
    The head is a submodule of ``module_``, ``loss_prediction``, that its forward pass
    does not run: ``save_params``, pickle, devices and the optimizer treat it as part of
    the network, and embeddings, probabilities and exports are those without it. A batch
    of one image has no pair and trains the task alone. True losses are those of the
    criterion for each image, which must have a ``reduction``, as torch's have.

    References
    ----------
    Yoo & Kweon. Learning Loss for Active Learning. CVPR 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits().images.astype("float32"), load_digits().target
    >>> net = LossPredictionClassifier(max_epochs=10, random_state=0)
    >>> net = net.fit(X[:200], y[:200])
    >>> net.predict_loss(X[1000:]).shape
    (797,)
    >>> wrong = net.predict(X[1000:]) != y[1000:]
    >>> loss = net.predict_loss(X[1000:])
    >>> bool(loss[wrong].mean() > loss[~wrong].mean())
    True
    """

    # The head's weights have a stream apart from those of the network.
    _streams: ClassVar[dict[str, int]] = {**ImageClassifier._streams, _HEAD: 0x1055}

    def __init__(
        self,
        module: Any = "small_cnn",
        *,
        loss_layers: str | Sequence[str] = "auto",
        loss_weight: float = 1.0,
        loss_margin: float = 1.0,
        loss_hidden: int = 128,
        stop_gradient: float = 0.6,
        **kwargs: Any,
    ):
        super().__init__(module, **kwargs)
        self.loss_layers = loss_layers
        self.loss_weight = loss_weight
        self.loss_margin = loss_margin
        self.loss_hidden = loss_hidden
        self.stop_gradient = stop_gradient

    @property
    def _default_callbacks(self) -> list[Any]:
        *rest, log = super()._default_callbacks
        return [
            *rest,
            ("ranking_loss", PassthroughScoring(name="ranking_loss", on_train=True)),
            log,
        ]

    def initialize_module(self) -> LossPredictionClassifier:
        """Build ``module_`` and hang the head into it.

        The network's own weights are as without it.
        """
        super().initialize_module()
        network = self.module_
        self.loss_layers_ = self._named_layers(network)
        n_channels = _n_channels(network, self.loss_layers_, self.image_shape_)
        seed = self._stream(_HEAD)
        network.add_module(
            _HEAD, LossPredictionHead(n_channels, self.loss_hidden, seed)
        )
        return self

    def _named_layers(self, network: nn.Module) -> tuple[str, ...]:
        if isinstance(self.loss_layers, str):
            if self.loss_layers != "auto":
                raise ValueError(
                    "loss_layers must be 'auto' or names of layers, got "
                    f"{self.loss_layers!r}."
                )
            return find_loss_layers(network, self.image_shape_)
        names = [name for name, _ in network.named_modules() if name]
        unknown = set(self.loss_layers).difference(names)
        if unknown or not self.loss_layers:
            raise ValueError(
                f"loss_layers names {sorted(unknown) or 'no layer'}; the network has "
                f"{', '.join(names)}."
            )
        return tuple(self.loss_layers)

    def _check_loss_settings(self) -> None:
        if self.compile:
            raise ValueError(
                "compile=True skips the hooks by which the loss head reads the "
                "network's layers."
            )
        for name, high in _HIGHEST.items():
            value = getattr(self, name)
            if not 0 <= value <= high:
                raise ValueError(f"{name} must be from 0 to {high}, got {value!r}.")
        if not hasattr(self.criterion_, "reduction"):
            raise ValueError(
                "Loss prediction needs the loss of each image: a criterion with a "
                f"reduction, not {self.criterion_}."
            )

    def fit_loop(
        self, X: Any, y: Any = None, epochs: int | None = None, **fit_params: Any
    ) -> LossPredictionClassifier:
        """Train for some epochs; see skorch."""
        self._check_loss_settings()
        epochs = self.max_epochs if epochs is None else epochs
        # The history goes on in partial_fit and warm starts: this training begins where
        # it is now.
        self._gradient_epochs = len(self.history) + self.stop_gradient * epochs
        return super().fit_loop(X, y, epochs, **fit_params)

    def train_step_single(self, batch: Any, **fit_params: Any) -> Options:
        """Compute the sum of both losses and its gradients for one batch.

        See skorch.
        """
        with self._tapped():
            return super().train_step_single(batch, **fit_params)

    def get_loss(self, y_pred: Any, y_true: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Return the loss of logits, in training with the head's ranking loss.

        The ranking loss is weighted.
        """
        loss = super().get_loss(y_pred, y_true, *args, **kwargs)
        if not kwargs.get("training", False):
            return loss
        if len(y_pred) == 1:
            self.history.record_batch("ranking_loss", 0.0)
            return loss
        reduction, self.criterion_.reduction = self.criterion_.reduction, "none"
        try:
            with torch.no_grad():
                each = super().get_loss(y_pred, y_true, *args, **kwargs)
        finally:
            self.criterion_.reduction = reduction
        pooled = self._features()
        # The epoch that runs is in the history already.
        if len(self.history) > self._gradient_epochs:
            pooled = [part.detach() for part in pooled]
        ranking = ranking_loss(self._head.predict(pooled), each, self.loss_margin)
        self.history.record_batch("ranking_loss", ranking.item())
        return loss + self.loss_weight * ranking

    @property
    def _head(self) -> LossPredictionHead:
        return cast(LossPredictionHead, self.module_.get_submodule(_HEAD))

    @contextmanager
    def _tapped(self) -> Iterator[None]:
        """Keep, of each forward pass, the pooled outputs of the loss layers."""
        with _taps(self.module_, self.loss_layers_) as self._features:
            try:
                yield
            finally:
                # Neither maps nor functions are to be pickled with the classifier.
                del self._features

    def predict_loss(self, X: Any) -> Array:
        """Return how large a loss the trained head expects of each image.

        Parameters
        ----------
        X : images
            Shaped like those of ``fit``.

        Returns
        -------
        ndarray of shape (n,), float32
            Good for ranking alone: the head learns the order of losses, not their
            scale.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For NaN, or images shaped otherwise than in ``fit``.
        """
        self.check_is_fitted()
        parts = []
        # skorch leaves the network in evaluation; a loss is only looked at here.
        with modes_kept(self.module_), self._tapped():
            # Not forward_iter, which may score with a copy of the network, changed to
            # be faster.
            for batch in self._scoring_batches(self.get_dataset(X)):
                self.evaluation_step(batch)
                with torch.no_grad():
                    parts.append(self._head.predict(self._features()).cpu().numpy())
        return np.concatenate(parts)


@contextmanager
def _taps(
    network: nn.Module, names: Sequence[str]
) -> Iterator[Callable[[], list[Tensor]]]:
    """Yield a function that gives the layers' pooled outputs of the last pass."""
    pooled: dict[str, Tensor] = {}

    def keep(name: str, out: Any) -> None:
        # Pooled at once: what follows may work in place on the map.
        pooled[name] = pool_features(out)

    def in_order() -> list[Tensor]:
        missing = [name for name in names if name not in pooled]
        if missing:
            raise ValueError(
                f"The forward pass of the network does not run {', '.join(missing)}; "
                "see loss_layers."
            )
        return [pooled[name] for name in names]

    with ExitStack() as taps:
        for name in names:
            taps.enter_context(tapping(network, partial(keep, name), name))
        yield in_order


def _run_zeros(network: nn.Module, image_shape: ImageShape) -> None:
    """Run an image of zeros through the network, which stays as it is."""
    device = next(network.parameters()).device
    with evaluating(network):
        network(torch.zeros((1, *image_shape), device=device))


def _n_channels(
    network: nn.Module, names: Sequence[str], image_shape: ImageShape
) -> list[int]:
    with _taps(network, names) as features:
        _run_zeros(network, image_shape)
        return [part.shape[1] for part in features()]
