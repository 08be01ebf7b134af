"""Monte-Carlo dropout strategies for nets.

Posterior samples of :func:`al_sklearn.inference.sample_proba`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from scipy.special import entr
from torch.nn.modules.dropout import _DropoutNd

from al_sklearn import inference
from al_sklearn._core.random import (
    RandomState,
    as_generator,
    as_seed,
    preserve_global_rng,
)
from al_sklearn._core.types import Array
from al_sklearn.inference.modules import evaluating
from al_sklearn.modal._sampling import Chosen, best
from al_sklearn.rows import iter_chunks
from al_sklearn.strategies import measures

# The names and the order of arguments are modAL's; what it computed wrongly is right.
__all__ = [
    "default_logits_adaptor",
    "entropy_sum",
    "get_predictions",
    "mc_dropout_bald",
    "mc_dropout_max_entropy",
    "mc_dropout_max_variationRatios",
    "mc_dropout_mean_st",
    "set_dropout_mode",
]

Adaptor = Callable[[torch.Tensor, Any], torch.Tensor]


def default_logits_adaptor(input_tensor: torch.Tensor, samples: Any) -> torch.Tensor:
    """Return the output of the network as it is.

    Parameters
    ----------
    input_tensor : tensor of shape (n, n_classes)
    samples : rows that gave it

    Returns
    -------
    tensor of shape (n, n_classes)
    """
    return input_tensor


def get_predictions(
    classifier: Any,
    X: Any,
    dropout_layer_indexes: Sequence[int] = (),
    num_predictions: int = 50,
    sample_per_forward_pass: int = 1000,
    logits_adaptor: Adaptor = default_logits_adaptor,
    random_state: RandomState = None,
) -> list[Array]:
    """Predict several times, with other dropout masks each time.

    Parameters
    ----------
    classifier : skorch net, or learner around one
        Initialised; neither its modes, nor BatchNorm statistics, nor the global
        generators are changed.
    X : any kind of rows
        With a ``logits_adaptor``, arrays, tensors or dicts of them.
    dropout_layer_indexes : sequence of int, default=()
        Positions in ``list(module.modules())`` of the dropout modules to switch on; all
        kinds of dropout modules, those for SELU too, when empty.
    num_predictions : int, default=50
    sample_per_forward_pass : int, default=1000
        Rows at most in one pass.
    logits_adaptor : callable, default=default_logits_adaptor
        Turns the output of the network, and the rows that gave it, into logits (n, ...,
        n_classes), NaN for classes that a row does not have. The net's own nonlinearity
        is then applied, once.
    random_state : int, Generator or None, default=None

    Returns
    -------
    list of arrays of shape (n, ..., n_classes)
        Class probabilities. Without an adaptor the masks of one prediction are those of
        all rows.

    Raises
    ------
    KeyError
        When an index is not that of a dropout module.
    TypeError
        When the network has no active dropout module: functional dropout cannot be
        switched on.
    """
    counts = {
        "num_predictions": num_predictions,
        "sample_per_forward_pass": sample_per_forward_pass,
    }
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    net = inference.unwrap(classifier)
    seed = as_seed(random_state)
    with _only(getattr(net, "module_", None), dropout_layer_indexes):
        if logits_adaptor is default_logits_adaptor:
            # One seed: the masks are those of the sample, whatever chunk they meet.
            parts = [
                inference.sample_proba(net, rows, num_predictions, seed)
                for _, rows in iter_chunks(X, sample_per_forward_pass)
            ]
            return list(np.concatenate(parts, axis=1))
        return _adapted(
            net, X, num_predictions, sample_per_forward_pass, logits_adaptor, seed
        )


def _adapted(
    net: Any,
    X: Any,
    num_predictions: int,
    chunk_rows: int,
    logits_adaptor: Adaptor,
    seed: int,
) -> list[Array]:
    nonlinearity = net._get_predict_nonlinearity()
    predictions = []
    with preserve_global_rng(seed), evaluating(net.module_):
        # The adaptor may need the rows: torch draws the masks, batch by batch.
        set_dropout_mode(net.module_, (), train_mode=True)
        for _ in range(num_predictions):
            parts = []
            for _, rows in iter_chunks(X, chunk_rows):
                logits = logits_adaptor(net.infer(rows), rows)
                # A class that a row does not have: no share in the softmax, and NaN
                # again in the answer.
                missing = logits.isnan()
                proba = nonlinearity(logits.masked_fill(missing, -torch.inf))
                proba = proba.masked_fill(missing, torch.nan)
                parts.append(proba.float().cpu().numpy())
            predictions.append(np.concatenate(parts))
    return predictions


@contextmanager
def _only(module: Any, indexes: Sequence[int]) -> Iterator[None]:
    """Switch the other dropout modules off by a rate of 0, and back on."""
    if len(indexes) == 0 or module is None:
        yield
        return
    others = set(_dropout_modules(module, ())) - set(_dropout_modules(module, indexes))
    with ExitStack() as stack:
        for part in others:
            stack.callback(setattr, part, "p", part.p)
            # Not by its mode: inference switches every module of a rate above 0 on.
            part.p = 0.0
        yield


def _dropout_modules(
    module: torch.nn.Module, indexes: Sequence[int]
) -> list[_DropoutNd]:
    parts = list(module.modules())
    if len(indexes) == 0:
        return [part for part in parts if isinstance(part, _DropoutNd)]
    chosen: Any = [parts[index] for index in indexes]
    for part in chosen:
        if not isinstance(part, _DropoutNd):
            # modAL's error for it.
            raise KeyError(
                "A passed index is not that of a dropout module but of "
                f"{type(part).__name__}."
            )
    return chosen


def set_dropout_mode(
    model: torch.nn.Module, dropout_layer_indexes: Sequence[int], train_mode: bool
) -> None:
    """Switch dropout modules of every kind on or off, for good.

    Parameters
    ----------
    model : torch module
    dropout_layer_indexes : sequence of int
        Positions in ``list(model.modules())``; all dropout modules when empty.
    train_mode : bool

    Raises
    ------
    KeyError
        When an index is not that of a dropout module.
    """
    for part in _dropout_modules(model, dropout_layer_indexes):
        part.train(train_mode)


def entropy_sum(values: Array, axis: int = -1) -> Array:
    """Entropy along an axis, NaN left out.

    Parameters
    ----------
    values : array of probabilities
    axis : int, default=-1

    Returns
    -------
    array
        In nats.
    """
    return np.nansum(entr(values), axis=axis)


def _by_measure(measure: Callable[[Array], Array], samples: Array) -> Array:
    """Utilities (n, rest) of samples (T, n, ..., C).

    A class that a row does not have has probability 0.
    """
    n_samples, n, *_, n_classes = samples.shape
    flat = np.nan_to_num(samples, nan=0.0).reshape(n_samples, -1, n_classes)
    return measure(flat).reshape(n, -1)


def _bald(samples: Array) -> Array:
    """H(mean p) - mean H(p), summed where a row has several predictions."""
    return _by_measure(measures.bald, samples).sum(axis=1)


def _max_entropy(samples: Array) -> Array:
    """H(mean p): the entropy of the prediction, not the predictions' mean entropy."""
    return _by_measure(measures.max_entropy, samples).mean(axis=1)


def _variation_ratio(samples: Array) -> Array:
    """1 - max mean p, as Gal et al. (2017) write it."""
    return _by_measure(
        lambda flat: measures.least_confidence(flat.mean(axis=0)), samples
    ).mean(axis=1)


def _mean_std(samples: Array) -> Array:
    """Mean over the classes of the standard deviation over the samples."""
    # Over the classes that a row has; in float64, as differences of equal masks are
    # tiny.
    n_classes = (~np.isnan(samples[0])).sum(axis=-1)
    std = np.nan_to_num(samples.astype(np.float64).std(axis=0), nan=0.0).sum(axis=-1)
    return (std / np.maximum(n_classes, 1)).reshape(samples.shape[1], -1).mean(axis=1)


_DOC = """{summary}

    Parameters
    ----------
    classifier : skorch net with dropout, or learner around one
    X : any kind of rows
        The pool.
    n_instances : int, default=1
    random_tie_break : bool, default=False
        Whether ties are broken at random instead of by position.
    dropout_layer_indexes : sequence of int, default=()
        As for :func:`get_predictions`.
    num_cycles : int, default=50
        Number of posterior samples.
    sample_per_forward_pass : int, default=1000
    logits_adaptor : callable, default=default_logits_adaptor
        As for :func:`get_predictions`.
    random_state : int, Generator or None, default=None
        Draws the masks, and breaks ties.

    Returns
    -------
    indices : int64 array of shape (n_instances,)
        Largest first.
    metrics : float array of shape (n_instances,)

    References
    ----------
    Gal, Islam & Ghahramani, *Deep Bayesian active learning with image data*, ICML 2017.
    """


def _strategy(name: str, utility: Callable[[Array], Array], summary: str) -> Callable:
    def query(
        classifier: Any,
        X: Any,
        n_instances: int = 1,
        random_tie_break: bool = False,
        dropout_layer_indexes: Sequence[int] = (),
        num_cycles: int = 50,
        sample_per_forward_pass: int = 1000,
        logits_adaptor: Adaptor = default_logits_adaptor,
        *,
        random_state: RandomState = None,
    ) -> Chosen:
        # One stream: masks first, then ties.
        rng = as_generator(random_state)
        samples = get_predictions(
            classifier,
            X,
            dropout_layer_indexes,
            num_cycles,
            sample_per_forward_pass,
            logits_adaptor,
            rng,
        )
        return best(utility(np.stack(samples)), n_instances, random_tie_break, rng)

    # Found by this name when it is unpickled.
    query.__name__ = query.__qualname__ = name
    query.__doc__ = _DOC.format(summary=summary)
    return query


mc_dropout_bald = _strategy(
    "mc_dropout_bald",
    _bald,
    "Choose the rows on which posterior samples disagree most.",
)
mc_dropout_mean_st = _strategy(
    "mc_dropout_mean_st",
    _mean_std,
    "Choose the rows whose probabilities vary most between posterior samples.",
)
mc_dropout_max_entropy = _strategy(
    "mc_dropout_max_entropy",
    _max_entropy,
    "Choose the rows whose mean prediction has the largest entropy.",
)
mc_dropout_max_variationRatios = _strategy(
    "mc_dropout_max_variationRatios",
    _variation_ratio,
    "Choose the rows whose mean prediction is least sure.",
)
