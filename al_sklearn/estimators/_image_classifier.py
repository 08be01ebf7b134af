"""Torch networks for images as scikit-learn classifiers."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, ClassVar

import cloudpickle
import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import unpack_data
from skorch.utils import to_device
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader, Subset

from al_sklearn._core.random import as_seed, preserve_global_rng
from al_sklearn._core.types import Array, Options
from al_sklearn.estimators._augment import get_augment
from al_sklearn.estimators._callbacks import (
    QuietPrintLog,
    average_more,
    check_training,
    has_stopped_early,
    training_callbacks,
    uncompiled,
)
from al_sklearn.estimators._class_weight import check_class_weight, class_weights
from al_sklearn.estimators._classes import check_subset, encode
from al_sklearn.estimators._data import (
    ImageDataset,
    image_tensor,
    labels_of,
    without_subsets,
)
from al_sklearn.estimators._device import AMP, best_device, find_device, precision
from al_sklearn.estimators._epoch_scores import TrainAccuracy
from al_sklearn.estimators._folding import folded
from al_sklearn.estimators._loader import AugmentedLoader, ImageLoader
from al_sklearn.estimators._normalisation import check_normalize, image_statistics
from al_sklearn.estimators._outputs import check_outputs
from al_sklearn.estimators._parameters import (
    check_part,
    check_words,
    find_criterion,
    find_optimizer,
)
from al_sklearn.estimators._reach import with_module
from al_sklearn.estimators._sample_weight import check_sample_weight, weighted_loss
from al_sklearn.estimators._workers import apart, in_worker
from al_sklearn.estimators.networks import (
    NETWORKS,
    added_network,
    build_network,
    memory_format,
    register_network,
)
from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import MODES, Size, check_known_mode

# Pixels in a scoring batch on the CPU: 32 images of 28x28.
_SCORING_PIXELS = 32 * 28 * 28
# From so many images on, folding BatchNorm pays: it takes about as long as scoring a
# hundred.
_FOLDED_IMAGES = 512
_FUSABLE = (
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.SGD,
    torch.optim.Adagrad,
)
# Parameters that callbacks are made from.
_CALLBACK_PARAMS = {"schedule", "warmup_epochs", "patience", "monitor", "swa"}

# Options of a scoring iterator that leave rows out, or give them in another order.
_NO_SCORING = ("shuffle", "sampler", "batch_sampler", "drop_last")
# Whose options are compared with what they take.
_PARTS = (
    "module",
    "criterion",
    "optimizer",
    "iterator_train",
    "iterator_valid",
    "dataset",
)

# Where a pickle holds the network that a user registered under the name in use.
_REGISTERED = "_registered_network"


class _AnyRequest:
    """Keeps skorch's way to say what ``fit`` may be given when metadata are routed.

    scikit-learn gives each class one that knows the names of the signature alone, and
    here the network's ``forward`` may take others.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        kind: Any = cls
        kind.set_fit_request = NeuralNetClassifier.set_fit_request


class ImageClassifier(_AnyRequest, NeuralNetClassifier):
    """A convolutional network as a scikit-learn classifier of images.

    A skorch ``NeuralNetClassifier`` whose network, input and training are made for
    active learning: the number of channels, the image size and the number of classes
    are found out at ``fit``; twenty labels train as well as two thousand; images are
    read batch by batch from wherever they are; the same ``random_state`` gives the same
    weights, bit for bit (same machine, same number of threads), and the global random
    generators stay as they are.

    Parameters
    ----------
    module : str, nn.Module class, callable or nn.Module, default="small_cnn"
        ``"small_cnn"``, ``"resnet20"``, the name of any classification model of
        torchvision, or a network of your own that returns logits. A class or function
        is given what it accepts of ``n_classes`` (or ``num_classes``, ``n_outputs``),
        ``in_channels`` (or ``n_channels``, ``num_channels``, ``in_chans``) and
        ``image_size`` (or ``img_size``, ``input_size``); ``module__…`` goes before
        these. An instance is copied at each ``fit``, which so always starts from the
        weights it has. Torchvision's models get a first layer for the channels at hand;
        for images up to 64 pixels it keeps their resolution (3x3 kernel, stride 1, no
        max pooling), and images too small for a model are enlarged before it.
        ``module__weights="DEFAULT"`` loads pretrained weights.
    criterion : nn.Module class or str, default=nn.CrossEntropyLoss
        The loss, of logits and class numbers, or its name in ``torch.nn``. With
        ``NLLLoss`` the network gives probabilities, as in skorch. The first batch of
        each training shows whether the network gives what the two take.
    optimizer : torch optimizer class or str, default=torch.optim.Adam
        Or its name in ``torch.optim``. Its parameters are ``optimizer__…``. Torch's
        fused kernels are used where the optimizer has them and ``optimizer__fused``
        does not say otherwise.
    lr : float, default=1e-3
        Learning rate.
    max_epochs : int, default=30
        Epochs of each ``fit`` or ``partial_fit``.
    batch_size : int, default=32
        Images in a training batch; -1 for all. A last batch of one image is joined to
        the one before. An epoch has at least 8 batches
        (``iterator_train__min_batches``): on few images it goes over them again,
        because thirty steps do not train a network.
    iterator_train, iterator_valid : class, default=ImageLoader
        What makes batches; ``torch.utils.data.DataLoader`` works too.
        ``iterator_valid__batch_size`` is the batch of scoring: by default 256; on the
        CPU less for larger images (32 for 28x28 and more, 128 with ``amp``), so that
        activations stay in the cache. ``iterator_train__num_workers`` and
        ``iterator_valid__num_workers`` read image files in parallel.
        ``iterator_train__sampler`` says which images an epoch goes over, see
        :class:`ImageLoader`. Scoring goes over every image once, in order: a
        ``sampler``, ``shuffle`` or ``drop_last`` of ``iterator_valid`` is refused.
    dataset : class, default=ImageDataset
        What holds images and labels.
    train_split : callable, optional
        skorch's ``ValidSplit`` or ``predefined_split``. By default every label is
        trained on.
    classes : array-like, optional
        All the classes there are, when the first labels may miss some. Columns are in
        sorted order.
    callbacks, predict_nonlinearity, warm_start, use_caching, torch_load_kwargs
        As in skorch. In workers that train at once each ``Checkpoint`` writes to a new
        folder below its ``dirname``.
    verbose : int, default=0
        1 prints a line each epoch.
    device : str or torch.device, default="auto"
        ``"auto"`` is the first CUDA device where there is one, else the CPU, decided
        anew wherever the classifier is unpickled. One that is not there is refused.
    compile : bool, default=False
        Whether the network goes through ``torch.compile`` (``compile__…`` are its
        parameters): minutes of work before the first batch, worth it for long training
        on a GPU.
    amp : {None, "bf16", "fp16"}, default=None
        Precision of the network's arithmetic, in training and scoring; weights stay
        float32. ``"bf16"`` scores several times faster on processors with bf16
        instructions and changes probabilities by less than 1e-2; ``"fp16"`` is for GPUs
        without bf16, and scales the loss. Set it after ``fit`` to speed up scoring
        alone.
    augment : {"flip", "crop", "flip_crop", "rand_augment"}, callable or list, optional
        Augmentation of training images: mirrored, shifted by up to an eighth, both,
        ``RandAugment`` (its parameters are ``augment__num_ops``, ``augment__magnitude``
        …), or ``augment(images, generator)`` on a float batch (n, C, H, W), in [0, 1]
        when the images are uint8. A list of these is applied in its order. Nothing is
        ever scored augmented.
    schedule : {None, "cosine", "one_cycle", "plateau"}, default=None
        How the learning rate changes in the course of each ``fit`` or ``partial_fit``:
        not, down to 0 along a cosine, up and down in one cycle whose top is ``lr``, or
        to a tenth whenever ``monitor`` has not improved for more than 5 epochs
        (``callbacks__schedule__patience``, ``callbacks__schedule__factor``).
    warmup_epochs : float, default=0
        Epochs in which the rate rises in a line to ``lr`` first.
    patience : int, optional
        Epochs without a better ``monitor`` after which training stops. The weights of
        the best epoch, of which a copy was kept, are put back, also when all epochs
        were done and after Ctrl-C.
    monitor : str, default="auto"
        The signal that ``patience`` and ``"plateau"`` look at: ``"train_loss"``,
        ``"train_acc"``, ``"valid_loss"``, ``"valid_acc"`` or the name of a scoring
        callback. ``"auto"`` is ``valid_loss`` where ``train_split`` holds something
        out, else ``train_loss``; ``patience`` then asks for a ``train_split``.
    swa : bool, default=False
        Stochastic weight averaging: the mean of the weights at the ends of the last
        quarter of the epochs predicts (``callbacks__swa__start``), with BatchNorm's
        statistics taken anew. It goes before ``patience``'s weights. Its rate, how
        often, and epochs of its own behind the training are ``callbacks__swa__lr``,
        ``callbacks__swa__every`` and ``callbacks__swa__extra_epochs``.
    class_weight : {None, "balanced"}, mapping or array-like, default=None
        Weights of the classes in the loss: inverse to their frequency among the labels
        trained on, by label (1 where none is given), or in the order of ``classes_``.
    normalize : "auto", None or (mean, std), default="auto"
        What is subtracted from, and what divides, each channel inside the batch, after
        uint8 was scaled to [0, 1]. ``"auto"``: mean and standard deviation of the
        training images (at most 1,000 of them, evenly spaced) at the first ``fit``,
        kept by ``partial_fit`` and ``warm_start``; those of the weights for pretrained
        ones. They are buffers of ``module_``, so that ``save_params`` keeps them.
    image_size : int or (height, width), optional
        What image files are resized to; without it they must all have one size.
        ``dataset__crop=True`` cuts their middle out in these proportions first, instead
        of squashing the whole.
    mode : {"RGB", "L", "I;16"}, optional
        What image files are read as: colour, grey, or grey of 16 bits as float in
        [0, 1]. By default colour as soon as one of the images of ``fit`` has colour;
        what ``fit`` saw, afterwards.
    random_state : int, Generator, RandomState or None, default=None
        Fixes weights, order, augmentation and dropout of training. None draws fresh
        entropy at each ``fit``.
    **kwargs
        skorch's prefixed parameters: ``module__…``, ``optimizer__…``, ``criterion__…``,
        ``iterator_train__…``, ``iterator_valid__…``, ``dataset__…``, ``callbacks__…``,
        ``compile__…``; and ``augment__…``.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Class labels, sorted: the order of the columns of ``predict_proba``.
    image_shape_ : tuple of int
        (C, H, W) of the images.
    image_mode_ : {"RGB", "L", "I;16"} or None
        What image files are read as; None where the channels say neither.
    pixel_range_ : PixelRange
        The range of the pixels trained on: images of another scale are refused.
    n_features_in_ : int
        Values in an image, C·H·W.
    module_ : nn.Module
        The trained network, in evaluation mode.
    history_ : skorch.history.History
        Losses, accuracies and times of the epochs.
    class_weight_ : array of shape (n_classes,) or None
        Weights of the classes in the last training.
    seed_ : int
        The seed drawn from ``random_state``.

    See Also
    --------
    DeepEnsemble : Several of them, for uncertainty.

    Notes
    -----
    X is one of: an array, memmap, HDF5 dataset or tensor (n, H, W), (n, H, W, C) uint8
    or (n, C, H, W) float; a list of such images; a list of image files; a torch
    ``Dataset`` or ``Subset`` of images or (image, label) pairs; a skorch
    ``SliceDataset``. Grey is taken for granted where there is no channel axis. Float
    pixels are taken as they are. Ctrl-C in training raises ``KeyboardInterrupt``, as in
    scikit-learn: a network stopped half-way must not pass for a trained one in an
    experiment. The callbacks end their work before, so that ``patience`` puts back the
    best weights so far. Every way of training is described in ``docs/training.md``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits().images.astype("float32"), load_digits().target
    >>> net = ImageClassifier(max_epochs=10, random_state=0).fit(X[:200], y[:200])
    >>> net.image_shape_
    (1, 8, 8)
    >>> bool(net.score(X[1000:], y[1000:]) > 0.8)
    True
    """

    # Of the training at hand: what the images of the batch count, and whether the
    # network's outputs were compared with what the loss takes.
    _batch_weights_: Array | None = None
    _outputs_seen_ = False
    prefixes_: ClassVar[list[str]] = [*NeuralNetClassifier.prefixes_, "augment"]
    _streams: ClassVar[dict[str, int]] = {
        "weights": 0,
        "dropout": 1,
        "order": 2,
        "augment": 3,
    }

    def __init__(
        self,
        module: Any = "small_cnn",
        *,
        criterion: Any = nn.CrossEntropyLoss,
        optimizer: Any = torch.optim.Adam,
        lr: float = 1e-3,
        max_epochs: int = 30,
        batch_size: int = 32,
        iterator_train: Any = ImageLoader,
        iterator_valid: Any = ImageLoader,
        dataset: Any = ImageDataset,
        train_split: Any = None,
        classes: Any = None,
        callbacks: Any = None,
        predict_nonlinearity: Any = "auto",
        warm_start: bool = False,
        verbose: int = 0,
        device: Any = "auto",
        compile: bool = False,
        amp: str | None = None,
        augment: Any = None,
        schedule: str | None = None,
        warmup_epochs: float = 0,
        patience: int | None = None,
        monitor: str = "auto",
        swa: bool = False,
        class_weight: Any = None,
        normalize: Any = "auto",
        image_size: Size = None,
        mode: str | None = None,
        random_state: Any = None,
        use_caching: Any = "auto",
        torch_load_kwargs: Options | None = None,
        **kwargs: Any,
    ):
        self._check_names(kwargs)
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            dataset=dataset,
            train_split=train_split,
            classes=classes,
            callbacks=callbacks,
            predict_nonlinearity=predict_nonlinearity,
            warm_start=warm_start,
            verbose=verbose,
            device=device,
            compile=compile,
            use_caching=use_caching,
            torch_load_kwargs=torch_load_kwargs,
            **kwargs,
        )
        self.amp = amp
        self.augment = augment
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.patience = patience
        self.monitor = monitor
        self.swa = swa
        self.class_weight = class_weight
        self.normalize = normalize
        self.image_size = image_size
        self.mode = mode
        self.random_state = random_state

    # ---- parameters
    # ----------------------------------------------------------------------------------

    @property
    def device(self) -> Any:
        """The device in use: what was set, or what ``"auto"`` means on this machine."""
        given = vars(self)["device"]
        return best_device() if isinstance(given, str) and given == "auto" else given

    @device.setter
    def device(self, value: Any) -> None:
        # In the instance's own dict, where skorch looks for parameters; the property is
        # found before it.
        self.__dict__["device"] = value

    def get_params(self, deep: bool = True, **kwargs: Any) -> Options:
        """Return the parameters as they were given; ``device`` stays ``"auto"``."""
        return {
            **super().get_params(deep=deep, **kwargs),
            "device": vars(self)["device"],
        }

    def set_params(self, **kwargs: Any) -> ImageClassifier:
        """Set parameters, also of a fitted classifier; see skorch.

        Parameters of the network build it anew; the others hold from the next ``fit``
        or ``predict`` on.
        """
        self._check_names(set(kwargs) - set(self.get_params(deep=False)))
        if self.initialized_:
            self._check_scoring(kwargs)
        if "device" in kwargs:
            find_device(kwargs["device"])
        rest = {}
        for key, value in kwargs.items():
            prefix, _, name = key.partition("__")
            data = prefix in ("iterator_train", "iterator_valid", "dataset", "augment")
            # An optimizer is made anew at the next fit.
            other = key == "optimizer"
            if data or other or (prefix == "optimizer" and name and "__" not in name):
                # On a fitted net skorch refuses the first and would forget the second
                # at the next fit.
                setattr(self, key, value)
                if name:
                    self._params_to_validate.add(key)
            if not (data or other):
                rest[key] = value
        super().set_params(**rest)
        if self.initialized_ and not _CALLBACK_PARAMS.isdisjoint(kwargs):
            self._initialize_callbacks()
        return self

    def __getstate__(self) -> Options:
        state = super().__getstate__()
        network = added_network(self.module)
        if network is None:
            return state
        # Workers do not run the file or the cell that registered it.
        return {**state, _REGISTERED: (self.module, cloudpickle.dumps(network))}

    def __setstate__(self, state: Options) -> None:
        state = dict(state)
        name, network = state.pop(_REGISTERED, (None, None))
        if name is not None and name not in NETWORKS:
            register_network(name)(cloudpickle.loads(network))
        self.device = given = state["device"]
        super().__setstate__({**state, "device": self.device})
        if given == "auto":
            self.device = given

    def load_params(self, *args: Any, **kwargs: Any) -> None:
        """Load what ``save_params`` saved, into a fitted or initialized classifier.

        See skorch.
        """
        given = vars(self)["device"]
        super().load_params(*args, **kwargs)
        if given == "auto":
            self.device = given

    def _check_names(self, names: Iterable[str]) -> None:
        """Raise a ``ParameterError`` for a misspelt parameter."""
        # skorch's own state travels with clones under names of one underscore; what has
        # a prefix is compared with the part's parameters, once the parts are known.
        # "iterator_train_shuffle" is answered by skorch.
        prefixes = tuple(f"{prefix}_" for prefix in self.prefixes_)
        plain = [
            name
            for name in names
            if not (name.startswith(("_", *prefixes)) or name.endswith("_"))
            and "__" not in name
        ]
        if plain:
            bases = [vars(base) for base in type(self).__mro__]
            own = [base["__init__"] for base in bases if "__init__" in base]
            known = {
                one.name
                for constructor in own
                for one in inspect.signature(constructor).parameters.values()
                if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
            }
            check_words(type(self).__name__, plain, {*known, "history"} - {"self"})

    def _check_parts(self) -> None:
        """Raise a ``ParameterError`` for a misspelt ``optimizer__…`` and its like."""
        parts = {name: getattr(self, name) for name in _PARTS}
        parts["criterion"] = find_criterion(self.criterion)
        parts["optimizer"] = find_optimizer(self.optimizer)
        for name in ("iterator_train", "iterator_valid"):
            if not callable(parts[name]):
                raise ParameterError(
                    f"{name} must be a class such as ImageLoader or DataLoader, got "
                    f"{parts[name]!r}.",
                    name,
                )
        for name, part in parts.items():
            check_part(name, part, self.get_params_for(name))
        check_part("compile", torch.compile, self.get_params_for("compile"))

    def _check_scoring(self, params: Mapping[str, Any]) -> None:
        """Raise a ``ParameterError`` for a scoring iterator that is not in order."""
        for option in _NO_SCORING:
            name = f"iterator_valid__{option}"
            given = params.get(name)
            # A sampler may have no truth, or be empty.
            is_sampler = option.endswith("sampler")
            if given is not None if is_sampler else given:
                raise ParameterError(
                    f"{name}={given!r}: scoring goes over every image once, in the "
                    "order of X, or its answers would belong to others. Training has "
                    f"iterator_train__{option}.",
                    name,
                )

    def _check_settings(self) -> None:
        self._check_parts()
        self._check_scoring(vars(self))
        find_device(vars(self)["device"])
        if self.amp is not None and self.amp not in AMP:
            raise ValueError(
                f"amp must be None, {' or '.join(map(repr, AMP))}, got {self.amp!r}."
            )
        if self.augment is not None:
            self._get_augment()
        check_training(self)
        check_class_weight(self.class_weight)
        check_normalize(self.normalize)
        check_known_mode(self.mode, (*MODES, None))

    @property
    def classes_(self) -> Array:
        """Class labels, sorted: the order of the columns of ``predict_proba``."""
        if "classes_inferred_" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} has no classes_ before it is fitted."
            )
        return self.classes_inferred_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    # ---- training
    # ----------------------------------------------------------------------------------

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, **fit_params: Any
    ) -> ImageClassifier:
        """Train from new weights, or with ``warm_start=True`` from those there are.

        Parameters
        ----------
        X : images
            See the class.
        y : array-like of shape (n,), optional
            Labels of any type; None when X is a torch Dataset that holds them.
        sample_weight : array-like of shape (n,), optional
            What each image counts in the loss of training; only their ratios matter.
            An image of weight 0 teaches nothing. What ``train_split`` holds out is
            measured without weights.
        **fit_params
            As in skorch: handed to the network's ``forward``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When X is empty, not images, not as long as ``y``, contains NaN, or ``y``
            has one class only.
        """
        fresh = not (self.warm_start and self.initialized_)
        return self._train(
            X,
            y,
            None,
            sample_weight,
            fresh=fresh,
            _routing_method="fit",
            **fit_params,
        )

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: Any = None,
        sample_weight: Any = None,
        **fit_params: Any,
    ) -> ImageClassifier:
        """Go on training.

        The first call may say in ``classes`` all the classes that will ever come.

        Parameters
        ----------
        X, y
            As in :meth:`fit`.
        classes : array-like, optional
            All classes; ``y`` may miss some.
        sample_weight : array-like of shape (n,), optional
            As in :meth:`fit`.
        **fit_params
            As in skorch.

        Returns
        -------
        self
        """
        return self._train(
            X,
            y,
            classes,
            sample_weight,
            fresh=not self.initialized_,
            _routing_method="partial_fit",
            **fit_params,
        )

    def initialize(self, X: Any = None, y: Any = None) -> ImageClassifier:
        """Build the network without training it, as ``load_params`` needs it.

        Parameters
        ----------
        X : images, optional
            One image is enough to tell the shape. Not needed after a ``fit``.
        y : labels, optional
            Not needed when ``classes`` was given.

        Raises
        ------
        ValueError
            When the shape of the images or the classes are not known.
        """
        if X is not None:
            dataset = self._make_dataset(X, y, fresh=True)
            self._learn(dataset, dataset.y, None)
        elif "image_shape_" not in vars(self):
            raise ValueError(
                "The network's input and output are not known yet: call fit(X, y), or "
                "initialize(X, y) with an "
                "example of the images."
            )
        return super().initialize()

    def _train(
        self,
        X: Any,
        y: Any,
        classes: Any,
        sample_weight: Any,
        *,
        fresh: bool,
        **fit_params: Any,
    ) -> ImageClassifier:
        self._check_settings()
        self.check_training_readiness()
        dataset = self._make_dataset(X, y, fresh=fresh)
        labels = labels_of(dataset)
        weights = check_sample_weight(sample_weight, len(labels))
        if isinstance(dataset, Subset) or (weights is not None and dataset is X):
            # One of our own: subsets of an ImageDataset are none, and the caller's must
            # not be changed.
            dataset = self._as_fitted(ImageDataset(dataset, labels), fresh)
        if weights is not None:
            dataset.weights = weights
        self._batch_weights_ = None
        self._outputs_seen_ = False
        if fresh:
            self._learn(dataset, labels, classes)
            self.initialize()
        else:
            self._check_known(labels, classes)
            # Before the first step: another scale must not spoil the weights.
            dataset.pixel_range()
        # A network that is new, or whose train() keeps parts frozen, is told before the
        # first step.
        self._set_training(True)
        with self._own_rng():
            # Callbacks index what they are given: the data set can be indexed, whatever
            # the caller's X is.
            self.notify("on_train_begin", X=dataset, y=labels)
            interrupted = None
            try:
                self.fit_loop(dataset, labels, **fit_params)
            except KeyboardInterrupt as error:
                interrupted = None if has_stopped_early(self) else error
            if interrupted is None:
                try:
                    average_more(self, dataset, labels, **fit_params)
                except KeyboardInterrupt as error:
                    interrupted = error
            try:
                self.notify("on_train_end", X=dataset, y=labels)
            finally:
                self._set_training(False)
                self._batch_weights_ = None
                self.n_trainings_ += 1
                self.pixel_range_ |= dataset.seen_range
                # Whatever a callback says that found nothing to end: Ctrl-C it was.
                if interrupted is not None:
                    raise interrupted
        return self

    def _learn(self, dataset: ImageDataset, labels: Array | None, classes: Any) -> None:
        """Find out from the first data what the network must fit."""
        given = classes if classes is not None else self.classes
        if given is None and labels is None:
            raise ValueError("The classes are not known: give y, or classes=.")
        found = np.unique(np.asarray(labels if given is None else given))
        if given is not None and labels is not None:
            check_subset(labels, found)
        if len(found) < 2:
            raise ValueError(
                f"At least two classes are needed, got only {found.tolist()}; "
                "classes= names those still to come."
            )
        shape = dataset.image_shape()
        weights = self.get_params_for("module").get("weights")
        statistics = image_statistics(dataset, self.normalize, self.module, weights)
        self.seed_ = as_seed(self.random_state)
        self.n_trainings_ = 0
        self.classes_inferred_ = found
        self.image_shape_ = shape
        self.image_mode_ = dataset.mode_to_keep(shape[0])
        self.pixel_range_ = dataset.pixel_range()
        self.n_features_in_ = int(np.prod(shape))
        self.image_statistics_ = statistics

    def _check_known(self, labels: Array, classes: Any) -> None:
        same = classes is None or np.array_equal(np.unique(classes), self.classes_)
        if not same:
            raise ValueError(
                f"classes must be those of the first fit, {self.classes_.tolist()}, "
                f"got {list(classes)}."
            )
        check_subset(labels, self.classes_)

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [
            *super()._default_callbacks[:-1],
            ("train_acc", TrainAccuracy()),
            ("print_log", QuietPrintLog()),
        ]

    def _yield_callbacks(self) -> Iterator[Any]:
        yield from super()._yield_callbacks()
        # Last: they may look at what the user's callbacks record, and the epoch that
        # ends the training is printed.
        for name, callback in training_callbacks(self):
            yield name, callback, True

    def initialize_callbacks(self) -> ImageClassifier:
        """Make the callbacks, each ``Checkpoint`` of a worker with its own folder.

        The folder lies below the ``Checkpoint``'s ``dirname``.

        Members, seeds and strategies that train at once would else write to, and load
        from, the same files.
        """
        super().initialize_callbacks()
        if in_worker():
            self.callbacks_ = [
                (name, apart(callback)) for name, callback in vars(self)["callbacks_"]
            ]
        return self

    def initialize_module(self) -> ImageClassifier:
        """Build ``module_`` for the images and classes at hand.

        It draws from its own random stream.
        """
        with preserve_global_rng(self._stream("weights")):
            module = build_network(
                self.module,
                self.get_params_for("module"),
                self.image_shape_,
                len(self.classes_),
            )
        if self.image_statistics_ is not None:
            names = ("image_mean", "image_std")
            for name, part in zip(names, self.image_statistics_, strict=True):
                module.register_buffer(name, torch.tensor(part).view(1, -1, 1, 1))
        # That of the batches. The weights stay as they are: optimizers that join them
        # to one vector (LBFGS), and whoever else does, need them in their plain order.
        self.memory_format_ = memory_format(module)
        self.module_ = module.to(memory_format=torch.contiguous_format)
        return self

    def initialize_criterion(self) -> ImageClassifier:
        """Make the loss, also of a name in ``torch.nn``."""
        criterion = find_criterion(self.criterion)
        self.criterion_ = self.initialized_instance(
            criterion, self.get_params_for("criterion")
        )
        return self

    def initialize_optimizer(self) -> ImageClassifier:
        """Make the optimizer, with torch's fused kernel where it has one."""
        optimizer = find_optimizer(self.optimizer)
        args, kwargs = self.get_params_for_optimizer(
            "optimizer", self.get_all_learnable_params()
        )
        device = torch.device(self.device).type
        fusable = optimizer in _FUSABLE and device in ("cpu", "cuda")
        # One call for all weights instead of several for each: a tenth of a step of a
        # small network.
        if fusable and not ({"fused", "foreach", "differentiable"} & set(kwargs)):
            kwargs["fused"] = True
        self.optimizer_ = optimizer(*args, **kwargs)
        return self

    def _stream(self, purpose: str) -> int:
        """Seed for one purpose of one training.

        Streams that do not disturb each other.
        """
        entropy = [self.seed_, self.n_trainings_, self._streams[purpose]]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def _generator(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(self._stream(purpose))

    @contextmanager
    def _own_rng(self) -> Iterator[None]:
        with preserve_global_rng(self._stream("dropout")):
            self.scaler_ = None
            if self.amp == "fp16":
                # fp16 gradients underflow unless the loss is scaled up.
                self.scaler_ = torch.amp.GradScaler(torch.device(self.device).type)
            try:
                yield
            finally:
                self.scaler_ = None

    def check_data(self, X: Any, y: Any = None) -> None:
        """Do nothing: data are checked before the network is built."""

    def train_step_single(self, batch: Any, **fit_params: Any) -> Options:
        """Compute loss and gradients of one batch; see skorch."""
        if not self.module_.training:
            # Walking through the modules at every step would cost a small network a
            # twentieth of its time.
            self._set_training(True)
        Xi, yi = unpack_data(batch)
        alone = len(Xi) == 1
        if alone:
            # BatchNorm has no variance of one value: it uses its running statistics.
            for part in self.module_.modules():
                if isinstance(part, _BatchNorm):
                    part.eval()
        y_pred = self.infer(Xi, **fit_params)
        if not self._outputs_seen_:
            check_outputs(y_pred, uncompiled(self.criterion_))
            self._outputs_seen_ = True
        loss = self.get_loss(y_pred, yi, X=Xi, training=True)
        if self.scaler_ is None:
            loss.backward()
        else:
            self.scaler_.scale(loss).backward()
            for name in self._optimizers:
                self.scaler_.unscale_(getattr(self, name + "_"))
        if alone:
            self._set_training(True)
        return {"loss": loss, "y_pred": y_pred}

    def _step_optimizer(self, step_fn: Any) -> None:
        if self.scaler_ is None:
            super()._step_optimizer(step_fn)
            return
        step_fn()
        for name in self._optimizers:
            self.scaler_.step(getattr(self, name + "_"))
        self.scaler_.update()

    def get_loss(self, y_pred: Any, y_true: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Return the loss of logits against labels as the caller wrote them."""
        # A network of several outputs gives a tuple, which its own criterion
        # understands.
        if getattr(y_pred, "ndim", None) == 2 and y_pred.shape[1] != len(self.classes_):
            raise ValueError(
                f"The network has {y_pred.shape[1]} outputs for {len(self.classes_)} "
                "classes."
            )
        codes = torch.from_numpy(encode(y_true, self.classes_))
        weights = self._batch_weights_ if kwargs.get("training") else None
        if weights is None:
            return super().get_loss(y_pred, codes, *args, **kwargs)
        of_batch = partial(super().get_loss, y_pred, codes, *args, **kwargs)
        return weighted_loss(of_batch, uncompiled(self.criterion_), codes, weights)

    def _weigh_batch(self, weights: Array | None) -> None:
        self._batch_weights_ = weights

    # ---- data
    # ----------------------------------------------------------------------------------

    def _make_dataset(self, X: Any, y: Any, *, fresh: bool = False) -> Any:
        """Wrap images and labels, as ``fit`` saw them unless this is a fresh one."""
        if _is_ours(X) and y is None:
            return X
        params = self.get_params_for("dataset")
        read = {"image_size": self.image_size, "crop": params.get("crop", False)}
        if isinstance(X, torch.utils.data.Dataset):
            dataset = ImageDataset(X, y, **read)
        elif isinstance(self.dataset, type) and issubclass(self.dataset, ImageDataset):
            dataset = self.dataset(X, y, **{"image_size": self.image_size, **params})
        else:
            inner = super().get_dataset(X, y)
            dataset = ImageDataset(inner, y, **read)
        return self._as_fitted(dataset, fresh)

    def _as_fitted(self, dataset: ImageDataset, fresh: bool) -> ImageDataset:
        """Let images be read as ``fit`` saw them, unless this is a fresh one."""
        dataset.mode = self.mode
        if not fresh:
            # A network that was never fitted has neither.
            dataset.mode = self.mode or vars(self).get("image_mode_")
            dataset.known_range = vars(self).get("pixel_range_")
        return dataset

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Wrap images (and labels) for :meth:`get_iterator`.

        Nothing is read but the first image.

        Raises
        ------
        ValueError
            When X is empty, not images, or its images are not shaped like those of
            ``fit``.
        """
        dataset = X if _is_ours(X) else self._make_dataset(X, y)
        if "image_shape_" in vars(self) and isinstance(dataset, ImageDataset):
            shape = dataset.image_shape()
            if shape != self.image_shape_:
                raise ValueError(
                    f"X has images of shape {shape} (C, H, W), but this classifier "
                    f"was fitted on {self.image_shape_}."
                )
        return dataset

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Return the training and the validation data set; see skorch."""
        train, valid = super().get_split_datasets(X, y, **fit_params)
        if valid is not None and not _is_ours(valid):
            # predefined_split hands over the caller's own data set.
            valid = self._make_dataset(valid, None)
            valid.labels()
        self._weigh_classes(train)
        return train, valid

    def _weigh_classes(self, train: Any) -> None:
        """Put the weights of the classes into the loss."""
        before, self.class_weight_ = getattr(self, "class_weight_", None), None
        criterion: Any = uncompiled(self.criterion_)
        if self.class_weight is not None:
            given = self.get_params_for("criterion").get("weight")
            if not hasattr(criterion, "weight") or given is not None:
                raise ValueError(
                    "class_weight needs a criterion with a weight for each class that "
                    "nothing else sets, such as "
                    f"CrossEntropyLoss without criterion__weight; got {criterion}."
                )
            self.class_weight_ = class_weights(
                self.class_weight, self.classes_, labels_of(train)
            )
            criterion.weight = torch.from_numpy(self.class_weight_).to(self.device)
        elif before is not None:
            criterion.weight = None

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return the iterator over batches.

        Shuffled and augmented in training, else in the order of X.
        """
        prefix = "iterator_train" if training else "iterator_valid"
        params = self.get_params_for(prefix)
        iterator = getattr(self, prefix)
        ours = isinstance(iterator, type) and issubclass(iterator, ImageLoader)
        size = params.pop("batch_size", None)
        if size is None:
            size = self.batch_size if training else self._scoring_batch_size()
        by_batch = params.get("batch_sampler") is not None
        if ours or not by_batch:
            # DataLoader takes no other size beside a sampler of batches.
            params["batch_size"] = len(dataset) if size == -1 else size
        if training:
            if not by_batch and params.get("sampler") is None:
                params.setdefault("shuffle", True)
            if ours:
                params.setdefault("min_batches", 8)
            params.setdefault("generator", self._generator("order"))
        else:
            self._check_scoring(vars(self))
        whole = without_subsets(dataset)[0]
        if training and getattr(whole, "weights", None) is not None:
            if not ours:
                raise ParameterError(
                    "sample_weight needs iterator_train=ImageLoader, which says which "
                    f"images are in a batch; got {iterator!r}.",
                    "sample_weight",
                    "iterator_train",
                )
            params["on_weights"] = self._weigh_batch
        loader = iterator(dataset, **params)
        drops = training and isinstance(loader, DataLoader) and loader.drop_last
        if drops and isinstance(loader.sampler, Sized) and len(loader) == 0:
            raise ParameterError(
                f"There is no batch to train on: {len(dataset)} images at "
                f"batch_size={loader.batch_size}, drop_last=True.",
                "iterator_train__drop_last",
                "batch_size",
            )
        if training and self.augment is not None:
            augment, generator = self._get_augment(), self._generator("augment")
            loader = AugmentedLoader(loader, augment, generator)
        return loader

    def _get_augment(self) -> Any:
        return get_augment(self.augment, **self.get_params_for("augment"))

    def _scoring_batch_size(self) -> int:
        if torch.device(self.device).type != "cpu" or "image_shape_" not in vars(self):
            return 256
        # Larger activations leave the cache and are page-faulted in anew for every
        # batch: 3 times slower at 28x28.
        pixels = _SCORING_PIXELS if self.amp is None else 4 * _SCORING_PIXELS
        _, height, width = self.image_shape_
        return int(np.clip(pixels // (height * width), 32, 256))

    # ---- scoring
    # ----------------------------------------------------------------------------------

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Scale, normalise and run one batch through the network.

        Parameters
        ----------
        x : Tensor of shape (n, C, H, W), uint8 or float
            A batch of :meth:`get_iterator`, neither scaled nor normalised yet.
        **fit_params
            Handed to the network's ``forward``.

        Returns
        -------
        Tensor of shape (n, n_classes)
            Logits, float32.
        """
        x = x if isinstance(x, Tensor) else image_tensor(x)
        module = self.module_
        x = x.to(self.device, non_blocking=True)
        raw = x.dtype == torch.uint8
        if raw:
            x = x.to(torch.float32)
        if self.image_statistics_ is not None:
            inner = uncompiled(module)
            mean, std = inner.get_buffer("image_mean"), inner.get_buffer("image_std")
            scale = std.reciprocal()
            shift = mean * scale
            # uint8 was copied above, so that its copy may be changed in place; float
            # batches may be the caller's.
            x = x.mul_(scale / 255).sub_(shift) if raw else x * scale - shift
        elif raw:
            x = x.div_(255)
        x = x.contiguous(memory_format=self.memory_format_)
        if self.amp is None:
            return module(x, **fit_params)
        with precision(self.device, self.amp):
            out = module(x, **fit_params)
        if isinstance(out, tuple):
            return tuple(part.float() for part in out)
        return out.float()

    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        """Run one batch for scoring, in inference mode; see skorch."""
        self.check_is_fitted()
        Xi, _ = unpack_data(batch)
        if self.module_.training != training:
            self._set_training(training)
        # Not inference_mode(False), which would record gradients.
        with nullcontext() if training else torch.inference_mode():
            return self.infer(Xi)

    def forward_iter(
        self, X: Any, training: bool = False, device: Any = "cpu"
    ) -> Iterator[Any]:
        """Yield the network's outputs batch by batch, in the order of X.

        With ``training=True`` the order is the same.
        """
        dataset = self.get_dataset(X)
        net = self if training else self.scoring_net(len(dataset))
        net._set_training(training)
        for batch in net._scoring_batches(dataset):
            out = net.evaluation_step(batch, training=training)
            yield to_device(out, device=device)

    def _scoring_batches(self, dataset: Any) -> Iterator[Any]:
        """Yield the batches of a data set, and see that they hold every image."""
        n = 0
        for batch in self.get_iterator(dataset, training=False):
            yield batch
            n += len(unpack_data(batch)[0])
        if n != len(dataset):
            raise ParameterError(
                f"iterator_valid={self.iterator_valid!r} gave {n} of {len(dataset)} "
                "images: scoring needs every one once, in the order of X.",
                "iterator_valid",
            )

    def scoring_net(self, n_images: int) -> ImageClassifier:
        """Return a classifier that scores ``n_images`` fastest.

        Itself, or one whose BatchNorms are folded.

        Parameters
        ----------
        n_images : int
            How many images are to be scored: a few are not worth the milliseconds that
            folding takes.

        Returns
        -------
        ImageClassifier
            Shares this one's weights as they are now; for scoring, not for training.
            Probabilities agree up to the rounding of the network's arithmetic.
        """
        if n_images < _FOLDED_IMAGES or hasattr(self.module_, "_orig_mod"):
            return self
        module = folded(self.module_)
        return self if module is self.module_ else with_module(self, module)

    def predict_proba(self, X: Any) -> Array:
        """Return class probabilities.

        Parameters
        ----------
        X : images
            Shaped like those of ``fit``.

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            Rows sum to 1; columns follow ``classes_``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For NaN, or images shaped otherwise than in ``fit``.
        """
        self.check_is_fitted()
        return super().predict_proba(X)

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each image, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy of :meth:`predict`.

        Parameters
        ----------
        X : images
        y : array-like of shape (n,), optional
            Labels; None when X is a torch Dataset that holds them.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        float
        """
        y = labels_of(self._make_dataset(X, None)) if y is None else y
        return super().score(X, y, sample_weight)


def _is_ours(X: Any) -> bool:
    return isinstance(without_subsets(X)[0], ImageDataset)
