"""skorch callbacks behind the plain training parameters.

Learning-rate schedule, early stopping, averaged weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.utils import check_scalar
from skorch.callbacks import Callback, EarlyStopping, PrintLog
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from al_sklearn._core.checks import check_count, unknown_name
from al_sklearn.estimators._loader import AugmentedLoader
from al_sklearn.exceptions import ParameterError


def _cosine(step: float, steps: float) -> float:
    return (1 + math.cos(math.pi * step / steps)) / 2


def _one_cycle(step: float, steps: float) -> float:
    """Follow torch's ``OneCycleLR``: up, then down to almost nothing.

    It goes up from 1/25 in the first 30 % of the steps.
    """
    first, last, top = 1 / 25, 1 / 25e4, 0.3 * steps - 1
    if step <= top:
        return 1 - (1 - first) * _cosine(step, top)
    return last + (1 - last) * _cosine(step - top, steps - 1 - top)


# What the rate is multiplied with at a step, of a number of steps.
_SHAPES: dict[str, Callable[[float, float], float]] = {
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}
SCHEDULES = (*_SHAPES, "plateau")


class QuietPrintLog(PrintLog):
    """skorch's log, which draws no table at ``verbose=0``.

    skorch's own would draw it all the same, a millisecond each epoch.
    """

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Print the epoch where anybody reads it."""
        if net.verbose or self.sink is not print:
            super().on_epoch_end(net, **kwargs)


@dataclass(eq=False, repr=False)
class LearningRateSchedule(Callback):
    """Change the learning rate in the course of a training.

    Each ``fit`` and ``partial_fit`` is a course of its own; after it the optimizer has
    its rates back. Several parameter groups keep their ratios. The rate at the start of
    each epoch is ``lr`` in the history.

    Parameters
    ----------
    policy : {None, "cosine", "one_cycle", "plateau"}, default=None
        Constant, a step-wise curve over the whole training, or the rate times
        ``factor`` when the signal has not improved for more than ``patience`` epochs.
    warmup_epochs : float, default=0
        Epochs in which the rate rises in a line, step by step, before ``policy``
        begins.
    monitor : str, default="auto"
        The signal of ``"plateau"``: a column of the history.
    factor : float, default=0.1
        See ``policy``.
    patience : int, default=5
        See ``policy``.

    References
    ----------
    Loshchilov, Hutter. SGDR: Stochastic Gradient Descent with Warm Restarts. ICLR 2017
    (cosine). Smith, Topin. Super-Convergence: Very Fast Training of Neural Networks
    Using Large Learning Rates. 2017 (one cycle). Goyal et al. Accurate, Large Minibatch
    SGD: Training ImageNet in 1 Hour. 2017 (warm-up).
    """

    policy: str | None = None
    warmup_epochs: float = 0
    monitor: str = "auto"
    factor: float = 0.1
    patience: int = 5

    def initialize(self) -> LearningRateSchedule:
        """Forget what came before."""
        # Of each parameter group: its own rate, and the one that it was given last.
        self.rates_: list[tuple[float, float | None]] = []
        return self

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start a course from the rates that the optimizer has."""
        groups = net.optimizer_.param_groups
        # A training that an error ended has left its last rate behind, unless another
        # was set since.
        left = self.rates_ or [(group["lr"], None) for group in groups]
        self.rates_ = [
            (base if group["lr"] == last else group["lr"], group["lr"])
            for group, (base, last) in zip(groups, left, strict=True)
        ]
        self.step_, self.steps_ = 0, 0
        self.plateau_: ReduceLROnPlateau | None = None
        if self.policy == "plateau":
            self.signal_, lower = find_signal(net, self.monitor)
            # On an optimizer of its own, of rate 1: what torch makes of the signal, as
            # a factor.
            unit = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
            self.plateau_ = ReduceLROnPlateau(
                unit,
                mode="min" if lower else "max",
                factor=self.factor,
                patience=self.patience,
            )

    def on_epoch_begin(
        self, net: Any, dataset_train: Any = None, **kwargs: Any
    ) -> None:
        """Find the number of steps in the training at hand.

        Repeated small data sets and joined last batches change it.
        """
        if self.steps_ == 0:
            self.steps_ = len(net.get_iterator(dataset_train, training=True))
        self._set(net, self.factor_at(self.step_, net.max_epochs))
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])

    def on_batch_begin(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Set the rate of the step that comes."""
        if training:
            self._set(net, self.factor_at(self.step_, net.max_epochs))
            self.step_ += 1

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Hand the signal to ``ReduceLROnPlateau``, once the warm-up is over."""
        if self.plateau_ is not None and self.step_ >= self._warmup_steps():
            self.plateau_.step(net.history[-1, self.signal_])

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Give the optimizer its rates back."""
        self._set(net, 1.0)
        self.rates_ = []

    def _set(self, net: Any, factor: float) -> None:
        self.rates_ = [(base, base * factor) for base, _ in self.rates_]
        for group, (_, rate) in zip(
            net.optimizer_.param_groups, self.rates_, strict=True
        ):
            group["lr"] = rate

    def _warmup_steps(self) -> int:
        return round(self.warmup_epochs * self.steps_)

    def factor_at(self, step: int, epochs: int) -> float:
        """Return the rate's factor at a step of a training of ``epochs`` epochs."""
        warmup = self._warmup_steps()
        if step < warmup:
            return (step + 1) / warmup
        if self.plateau_ is not None:
            return float(self.plateau_.optimizer.param_groups[0]["lr"])
        if self.policy is None:
            return 1.0
        last = epochs * self.steps_ - 1
        return _SHAPES[self.policy](min(step, last) - warmup, last + 1 - warmup)


class StopEarly(EarlyStopping):
    """skorch's early stopping, with the signal's direction and the best weights.

    It knows which way its signal is better, and puts a copy of the best weights back.

    Parameters
    ----------
    patience : int, default=5
        Epochs without a better signal after which training stops.
    monitor : str, default="auto"
        The signal: a column of the history.
    threshold : float, default=1e-4
        What counts as better, relative to the best.
    """

    monitor: str

    def __init__(
        self, patience: int = 5, monitor: str = "auto", threshold: float = 1e-4
    ):
        super().__init__(
            monitor=monitor, patience=patience, threshold=threshold, load_best=True
        )

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget the training before."""
        self.signal_, self.lower_is_better = find_signal(net, self.monitor)
        super().on_train_begin(net, **kwargs)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare the epoch with the best one."""
        given, self.monitor = self.monitor, self.signal_
        try:
            super().on_epoch_end(net, **kwargs)
        finally:
            self.monitor = given


class WeightAveraging(Callback):
    """Stochastic weight averaging.

    What predicts is the mean of the weights at the end of the last epochs.

    The statistics of BatchNorm, which the averaged weights never saw, are taken anew in
    one pass over the training images, without augmentation.

    Parameters
    ----------
    start : float, default=0.75
        The part of ``max_epochs`` after which epochs are averaged; the last one always
        is.
    lr : float, optional
        Constant rate of the epochs that are averaged; by default what the schedule has.
    every : int, default=1
        Every so many of these epochs the weights are added to the mean, and after the
        last one.
    extra_epochs : int, default=0
        Epochs behind the training, which begin with its best weights (those that
        ``patience`` puts back): then these alone are averaged, at ``lr``, by default
        the rate that the schedule began with.

    References
    ----------
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson. Averaging Weights Leads to Wider
    Optima and Better Generalization. UAI 2018.
    """

    def __init__(
        self,
        start: float = 0.75,
        lr: float | None = None,
        every: int = 1,
        extra_epochs: int = 0,
    ):
        self.start = start
        self.lr = lr
        self.every = every
        self.extra_epochs = extra_epochs

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget the training before."""
        if not 0 <= self.start < 1:
            raise ValueError(
                f"callbacks__swa__start must be from 0 to below 1, got {self.start!r}."
            )
        if self.lr is not None and not 0 <= self.lr < math.inf:
            raise ValueError(
                f"callbacks__swa__lr must be a number from 0, or None; got {self.lr!r}."
            )
        check_count("callbacks__swa__every", self.every)
        check_count("callbacks__swa__extra_epochs", self.extra_epochs, least=0)
        self.averaged_: AveragedModel | None = None
        self.dataset_: Any = None
        self.epoch_ = 0
        # Of the extra epochs so far; None before them.
        self.extra_: int | None = None
        self.rates_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_epoch_begin(
        self, net: Any, dataset_train: Any = None, **kwargs: Any
    ) -> None:
        """Remember what is trained on."""
        self.dataset_ = dataset_train
        if self.extra_ is None:
            self.epoch_ += 1
        else:
            self.extra_ += 1

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Set the rate of the epochs that are averaged, after the schedule has."""
        own = self.lr is not None or self.extra_ is not None
        if training and own and self._place(net):
            rates = self.rates_ if self.lr is None else [self.lr] * len(self.rates_)
            for group, rate in zip(net.optimizer_.param_groups, rates, strict=True):
                group["lr"] = rate

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Add the weights of this epoch to the mean."""
        place = self._place(net)
        last = net.max_epochs if self.extra_ is None else self.extra_epochs
        at_end = last == (self.epoch_ if self.extra_ is None else self.extra_)
        if place and (place % self.every == 0 or at_end):
            module = uncompiled(net.module_)
            if self.averaged_ is None:
                self.averaged_ = AveragedModel(module)
            self.averaged_.update_parameters(module)

    def _place(self, net: Any) -> int:
        """Number an epoch among those that are averaged, from 1; 0 is none of them."""
        if self.extra_ is not None:
            return self.extra_
        first = math.floor(self.start * net.max_epochs)
        return 0 if self.extra_epochs else max(0, self.epoch_ - first)

    def train_more(self, net: Any, dataset: Any, y: Any, **fit_params: Any) -> None:
        """Train the extra epochs, from the best weights and without early stopping."""
        given = net.callbacks_
        for _, callback in given:
            best = getattr(callback, "best_model_weights_", None)
            if best is not None:
                net.module_.load_state_dict(best)
        # A schedule is over, and what has stopped once would stop again.
        over = (EarlyStopping, LearningRateSchedule)
        net.callbacks_ = [pair for pair in given if not isinstance(pair[1], over)]
        self.extra_ = 0
        try:
            net.fit_loop(dataset, y, epochs=self.extra_epochs, **fit_params)
        finally:
            net.callbacks_ = given

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Put the mean in the place of the weights."""
        averaged, dataset = self.averaged_, self.dataset_
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = rate
        # Neither the copy of the network nor the images are to be pickled with the
        # classifier.
        self.averaged_ = None
        self.dataset_ = None
        if averaged is None:
            return
        with torch.no_grad():
            for weight, mean in zip(
                net.module_.parameters(), averaged.module.parameters(), strict=True
            ):
                weight.copy_(mean)
        renew_batchnorm(net, dataset)


@torch.no_grad()
def renew_batchnorm(net: Any, dataset: Any) -> None:
    """Take BatchNorm's means and variances anew over a data set.

    The batches are those of training, but never augmented.

    ``torch.optim.swa_utils.update_bn`` would do so for frozen layers too, which must
    keep theirs.
    """
    net._set_training(True)
    layers = [
        part
        for part in net.module_.modules()
        if isinstance(part, _BatchNorm) and part.training and part.track_running_stats
    ]
    if not layers or len(dataset) == 1:
        return
    loader = net.get_iterator(dataset, training=True)
    if isinstance(loader, AugmentedLoader):
        loader = loader.loader
    momenta = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # an average in which all batches count the same
        # Compiling a network anew for one pass would take longer than the pass.
        compiled = hasattr(net.module_, "_orig_mod")
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            for images, _ in loader:
                net.infer(images)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def find_signal(net: Any, monitor: str) -> tuple[str, bool]:
    """Return the name of a signal in the history, and whether it is better when lower.

    Parameters
    ----------
    net : ImageClassifier
        Whose scoring callbacks record signals.
    monitor : str
        A name, or ``"auto"``: ``valid_loss`` where something is held out for
        validation, else ``train_loss``.

    Raises
    ------
    ValueError
        When nothing records a signal of that name, or it needs a validation set and
        there is none.
    """
    signals = {}
    for _, callback in net.callbacks_:
        name = getattr(callback, "name_", None) or getattr(callback, "name", None)
        lower = getattr(callback, "lower_is_better", None)
        if name is not None and lower is not None:
            if net.train_split or getattr(callback, "on_train", False):
                signals[name] = lower
            elif name == monitor:
                raise ValueError(
                    f"monitor={monitor!r} needs a validation set: give "
                    "train_split=ValidSplit(…) or "
                    "predefined_split(…), or monitor='train_loss'."
                )
    if monitor == "auto":
        monitor = "valid_loss" if net.train_split else "train_loss"
    if monitor not in signals:
        raise unknown_name("signal to monitor", monitor, signals)
    return monitor, signals[monitor]


def training_callbacks(net: Any) -> list[tuple[str, Callback]]:
    """Return the callbacks that the plain training parameters ask for.

    These are ``schedule``, ``warmup_epochs``, ``swa`` and ``patience``.
    """
    callbacks: dict[str, Callback] = {}
    if net.schedule is not None or net.warmup_epochs:
        callbacks["schedule"] = LearningRateSchedule(
            net.schedule, net.warmup_epochs, net.monitor
        )
    # First the best weights are put back, then those averaged, if there are any.
    if net.patience is not None:
        callbacks["early_stopping"] = StopEarly(net.patience, net.monitor)
    if net.swa:
        callbacks["swa"] = WeightAveraging()
    return list(callbacks.items())


def average_more(net: Any, dataset: Any, y: Any, **fit_params: Any) -> None:
    """Train the epochs that weight averaging asks for behind a training, if any."""
    for _, callback in net.callbacks_:
        if isinstance(callback, WeightAveraging) and callback.extra_epochs:
            callback.train_more(net, dataset, y, **fit_params)


def check_training(net: Any) -> None:
    """Raise an error for plain training parameters that cannot be.

    It is a ``ValueError`` or a ``TypeError``.
    """
    for name, kind in (
        ("max_epochs", Integral),
        ("batch_size", Integral),
        ("warmup_epochs", Real),
    ):
        check_scalar(getattr(net, name), name, kind)
    check_count("max_epochs", net.max_epochs, least=0)
    if not isinstance(net.lr, Tensor):  # which torch's optimisers take as well
        check_scalar(net.lr, "lr", Real)
    if not 0 <= net.lr < math.inf:
        raise ValueError(
            f"lr must be a number from 0 to below infinity, got {net.lr!r}."
        )
    if net.schedule is not None and net.schedule not in SCHEDULES:
        raise unknown_name("schedule", net.schedule, SCHEDULES)
    if not 0 <= net.warmup_epochs < max(net.max_epochs, 1):
        raise ValueError(
            f"warmup_epochs must be from 0 to below max_epochs={net.max_epochs}, got "
            f"{net.warmup_epochs!r}."
        )
    if net.schedule == "one_cycle" and net.warmup_epochs:
        raise ValueError(
            "schedule='one_cycle' rises by itself: it takes no warmup_epochs."
        )
    _check_early_stopping(net)
    if net.patience is not None:
        check_count("patience", net.patience)
        if net.monitor == "auto" and not net.train_split:
            raise ParameterError(
                "patience needs a validation set: give train_split=ValidSplit(0.2, "
                "stratified=True) or predefined_split(…); or monitor='train_loss'.",
                "train_split",
                "patience",
            )


def _check_early_stopping(net: Any) -> None:
    """Raise an error for skorch's early stopping where there is nothing to watch."""
    given = [] if net.callbacks in (None, "disable") else list(net.callbacks)
    for callback in given:
        name, callback = callback if isinstance(callback, tuple) else (None, callback)
        kind = callback if isinstance(callback, type) else type(callback)
        if not issubclass(kind, EarlyStopping):
            continue
        # A class has its default; a parameter of the net goes before both.
        monitor = getattr(callback, "monitor", "valid_loss")
        option = f"callbacks__{name or kind.__name__}__monitor"
        monitor = getattr(net, option, monitor)
        if monitor in ("valid_loss", "valid_acc") and not net.train_split:
            raise ParameterError(
                f"{kind.__name__} watches {monitor!r}, which needs a validation set: "
                "give train_split=ValidSplit(0.2, stratified=True) or "
                f"predefined_split(…); or {kind.__name__}(monitor='train_loss').",
                "train_split",
                "callbacks",
            )


def has_stopped_early(net: Any) -> bool:
    """Whether the ``KeyboardInterrupt`` at hand is skorch's early stopping.

    Otherwise it is somebody's Ctrl-C.
    """
    return any(
        isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience
        for _, callback in net.callbacks_
    )


def uncompiled(module: torch.nn.Module) -> torch.nn.Module:
    """Return the network inside of a compiled one, or the network itself."""
    return getattr(module, "_orig_mod", module)
