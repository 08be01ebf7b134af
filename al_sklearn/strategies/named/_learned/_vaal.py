"""Variational adversarial active learning.

An autoencoder, and a discriminator on its latent space.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from al_sklearn import inference
from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import RandomState, as_generator, as_seed
from al_sklearn._core.types import Array, Options
from al_sklearn.exceptions import ParameterError
from al_sklearn.strategies._registry import Chosen, query_strategy, variant
from al_sklearn.strategies.named._learned import _training as training
from al_sklearn.strategies.named._learned._inputs import read_inputs
from al_sklearn.strategies.selectors import k_center, top_k

# Side at which convolutions stop to halve the image.
_LEAST_SIDE = 4
_LEAST_CHANNELS = 8
# Rows encoded at a time.
_CHUNK_ROWS = 1024


def negative_elbo(
    x: torch.Tensor,
    reconstruction: torch.Tensor,
    mean: torch.Tensor,
    log_variance: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """Return the mean over rows of Σ (x - x̂)² / 2 + β Σ (μ² + σ² - 1 - ln σ²) / 2.

    Both are sums over a row, of its values and of its latent units: the one in the mean
    beside the other in the sum would be another β for each size of image.

    Parameters
    ----------
    x, reconstruction : Tensors of shape (n, …)
        The decoder is Gaussian with variance 1.
    mean, log_variance : Tensors of shape (n, k)
        Of the encoder.
    beta : float

    Raises
    ------
    ValueError
        When shapes differ, so that they would broadcast.
    """
    if (
        x.shape != reconstruction.shape
        or mean.shape != log_variance.shape
        or len(x) != len(mean)
    ):
        raise ValueError(
            f"Shapes must match: rows {tuple(x.shape)} and "
            f"{tuple(reconstruction.shape)}, latent {tuple(mean.shape)} "
            f"and {tuple(log_variance.shape)}."
        )
    error = (x - reconstruction).square().flatten(1).sum(1) / 2
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
    return (error + beta * divergence).mean()


class Autoencoder(nn.Module):
    """A variational autoencoder for rows of one shape.

    Convolutions for images, a perceptron for features.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) or (d,).
    latent : int
        Latent units.
    hidden : int
        Hidden units of the perceptron; for images the channels of the last convolution.
    generator : torch.Generator
        Draws the first weights.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        latent: int,
        hidden: int,
        generator: torch.Generator,
    ):
        super().__init__()
        if len(shape) == 1:
            self.encoder: nn.Module = nn.Sequential(
                training.linear(shape[0], hidden, generator), nn.ReLU()
            )
            self.decoder: nn.Module = training.perceptron(
                [latent, hidden, shape[0]], generator
            )
            # Features have no neighbours to convolve: one hidden layer each way.
            n_encoded = hidden
        else:
            sizes = _halved((shape[1], shape[2]))
            # From many positions and few channels to few positions and many channels.
            channels = [
                shape[0],
                *(
                    max(hidden >> (len(sizes) - 1 - i), _LEAST_CHANNELS)
                    for i in range(1, len(sizes))
                ),
            ]
            self.encoder = _convolutions(channels, generator)
            self.decoder = _Enlarging(latent, channels[::-1], sizes[::-1], generator)
            n_encoded = channels[-1] * sizes[-1][0] * sizes[-1][1]
        self.mean = training.linear(n_encoded, latent, generator)
        self.log_variance = training.linear(n_encoded, latent, generator)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean and the logarithm of the variance, (n, latent) each."""
        encoded = self.encoder(x).flatten(1)
        # Beyond this exp overflows or the reconstruction has no noise left.
        return self.mean(encoded), self.log_variance(encoded).clamp(-10, 10)

    def forward(
        self, x: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the reconstruction, and mean and log-variance of the latents.

        The reconstruction is from a sample of the latent units.
        """
        mean, log_variance = self.encode(x)
        return self.decoder(mean + noise * (log_variance / 2).exp()), mean, log_variance


def _halved(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes of the maps, from the image down to about 4 pixels a side.

    There is at least one step.
    """
    sizes = [size]
    while len(sizes) == 1 or max(sizes[-1]) > _LEAST_SIDE:
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def _convolutions(channels: list[int], generator: torch.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(channels):
        layers += [training.convolution(n_in, n_out, 2, generator), nn.ReLU()]
    return nn.Sequential(*layers)


class _Enlarging(nn.Module):
    """From latent units to an image.

    Enlarged to each size in turn, and convolved there.
    """

    def __init__(
        self,
        latent: int,
        channels: list[int],
        sizes: list[tuple[int, int]],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.first = (channels[0], *sizes[0])
        self.sizes = sizes[1:]
        self.spread = training.linear(
            latent, channels[0] * sizes[0][0] * sizes[0][1], generator
        )
        # Half as many channels at each size: the last sizes have nearly all the pixels.
        out = [max(n_in // 2, _LEAST_CHANNELS) for n_in in channels[:-1]]
        pairs = pairwise([channels[0], *out])
        self.convolutions = nn.ModuleList(
            training.convolution(n_in, n_out, 1, generator) for n_in, n_out in pairs
        )
        self.last = training.convolution(out[-1], channels[-1], 1, generator)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.spread(z)).view(len(z), *self.first)
        for size, convolution in zip(self.sizes, self.convolutions, strict=True):
            x = torch.relu(convolution(F.interpolate(x, size=size)))
        return self.last(x)


class Adversaries:
    """The autoencoder hides what is labelled, the discriminator finds it out.

    Parameters
    ----------
    shape : tuple of int
        Of a row.
    latent, hidden, beta, adversary_weight, lr
        See :func:`vaal`.
    generator : torch.Generator
        On the CPU; draws first weights and noise.
    device : torch.device
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        latent: int,
        hidden: int,
        beta: float,
        adversary_weight: float,
        lr: float,
        generator: torch.Generator,
        device: torch.device,
    ):
        self.autoencoder = Autoencoder(shape, latent, hidden, generator).to(device)
        sizes = [latent, hidden, hidden, 1]
        self.discriminator = training.perceptron(sizes, generator).to(device)
        self.beta, self.adversary_weight = beta, adversary_weight
        self.generator = generator
        # Each holds the weights of its own network alone.
        self._autoencoder_step = training.adam(self.autoencoder, lr)
        self._discriminator_step = training.adam(self.discriminator, lr)

    def _logits(self, mean: torch.Tensor) -> torch.Tensor:
        return self.discriminator(mean).squeeze(1)

    def fit_autoencoder(
        self, labelled: torch.Tensor, unlabelled: torch.Tensor
    ) -> tuple[float, float]:
        """Take one step towards good reconstructions that all look labelled.

        The ELBO's loss and the adversary's.
        """
        # One pass for both kinds, by the same weights.
        rows = torch.cat([labelled, unlabelled])
        latent = self.autoencoder.mean.out_features
        # Drawn on the CPU: the same numbers whatever device trains.
        noise = torch.randn((len(rows), latent), generator=self.generator).to(rows)
        reconstruction, mean, log_variance = self.autoencoder(rows, noise)
        cut = len(labelled)
        # Labelled and unlabelled count the same, whatever the sizes of their batches.
        parts = (rows, reconstruction, mean, log_variance)
        elbo_of = partial(negative_elbo, beta=self.beta)
        elbo = elbo_of(*(part[:cut] for part in parts))
        elbo = elbo + elbo_of(*(part[cut:] for part in parts))
        logits = self._logits(mean)
        ones = torch.ones_like(logits)
        fooled = training.binary_loss(logits[:cut], ones[:cut])
        fooled = fooled + training.binary_loss(logits[cut:], ones[cut:])
        loss = elbo + self.adversary_weight * fooled
        own = list(self.autoencoder.parameters())
        for parameter, gradient in zip(
            own, torch.autograd.grad(loss, own), strict=True
        ):
            # The discriminator's weights get no gradient from the step that fools it.
            parameter.grad = gradient
        self._autoencoder_step.step()
        return float(elbo.detach()), float(fooled.detach())

    def fit_discriminator(
        self, labelled: torch.Tensor, unlabelled: torch.Tensor
    ) -> float:
        """Take one step towards telling labelled from unlabelled by the latent mean.

        The loss.
        """
        with torch.no_grad():
            # The discriminator learns to see, not to change what it sees.
            means = [
                self.autoencoder.encode(part)[0] for part in (labelled, unlabelled)
            ]
        known, other = (self._logits(mean) for mean in means)
        loss = training.binary_loss(known, torch.ones_like(known))
        loss = loss + training.binary_loss(other, torch.zeros_like(other))
        self._discriminator_step.zero_grad()
        loss.backward()
        self._discriminator_step.step()
        return float(loss.detach())

    def latent(self, batches: Iterator[torch.Tensor]) -> Array:
        """Return the latent means (n, latent), float32."""
        with torch.inference_mode():
            return np.concatenate(
                [self.autoencoder.encode(batch)[0].cpu().numpy() for batch in batches]
            )

    def labelled_logits(self, batches: Iterator[torch.Tensor]) -> Array:
        """Return the logits (n,) of being labelled."""
        with torch.inference_mode():
            return np.concatenate(
                [
                    self._logits(self.autoencoder.encode(batch)[0])
                    .double()
                    .cpu()
                    .numpy()
                    for batch in batches
                ]
            )


@dataclass
class Rows:
    """Rows of one shape in memory, standardised only as their batch is taken.

    Attributes
    ----------
    values : Tensor of shape (n, C, H, W) or (n, d), uint8 or float32
    mean, std : Tensors that broadcast to a row
    device : torch.device
        Where batches go.
    """

    values: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    device: torch.device

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Any) -> torch.Tensor:
        """Return some rows, standardised, on the device."""
        return ((self.values[rows].float() - self.mean) / self.std).to(self.device)

    def batches(self) -> Iterator[torch.Tensor]:
        """Yield all rows in order."""
        for start in range(0, len(self), _CHUNK_ROWS):
            yield self.take(slice(start, start + _CHUNK_ROWS))


def as_rows(parts: list[torch.Tensor], device: torch.device) -> list[Rows]:
    """Standardise parts by the mean and deviation of all.

    Of each channel of images, of each feature else.
    """
    axes = (0, 2, 3) if parts[0].ndim == 4 else (0,)
    # In float64 and chunk by chunk: no second copy of the images is made.
    count, total, square = 0, torch.zeros(()), torch.zeros(())
    chunks = (chunk.double() for part in parts for chunk in part.split(_CHUNK_ROWS))
    for chunk in chunks:
        if not torch.isfinite(chunk.sum()):
            raise ValueError("X contains NaN or infinite values.")
        count += chunk.numel() // chunk.shape[1]
        total = total + chunk.sum(axes, keepdim=True)
        square = square + chunk.square().sum(axes, keepdim=True)
    mean = total / count
    # Rounding may leave a little less than nothing.
    variance = (square / count - mean.square()).clamp_min(0)
    # What never changes stays, centred.
    changes = variance > 1e-9 * mean.square().clamp_min(1e-9)
    std = torch.where(changes, variance.sqrt(), 1)
    return [Rows(part, mean.float(), std.float(), device) for part in parts]


def train_adversaries(
    labelled: Rows,
    unlabelled: Rows,
    *,
    n_steps: int,
    batch_size: int,
    generator: torch.Generator,
    **options: Any,
) -> tuple[Adversaries, list[tuple[float, float, float]]]:
    """Train autoencoder and discriminator in turns.

    Parameters
    ----------
    labelled, unlabelled : Rows
    n_steps, batch_size : int
        Steps of each network, and rows of each kind in a batch.
    generator : torch.Generator
        On the CPU.
    **options
        Of :class:`Adversaries`.

    Returns
    -------
    adversaries : Adversaries
    history : list of (ELBO loss, loss of being found out, discriminator's loss)
        Of each step.
    """
    adversaries = Adversaries(
        tuple(unlabelled.values.shape[1:]),
        generator=generator,
        device=unlabelled.device,
        **options,
    )
    history = []

    def batch(rows: Rows) -> torch.Tensor:
        # With replacement: few labelled rows serve as many steps as the pool.
        size = (min(batch_size, len(rows)),)
        return rows.take(torch.randint(len(rows), size, generator=generator))

    for _ in range(n_steps):
        known, other = batch(labelled), batch(unlabelled)
        losses = adversaries.fit_autoencoder(known, other)
        history.append((*losses, adversaries.fit_discriminator(known, other)))
    return adversaries, history


_BY = ("discriminator", "distance")
_MAY_BE_ZERO = ("beta", "adversary_weight")


def _train(
    strategy: str,
    classifier: Any,
    X: Any,
    X_labelled: Any,
    generator: torch.Generator,
    *,
    space: str,
    layer: str | None,
    max_side: int,
    device: torch.device,
    **options: Any,
) -> tuple[Adversaries, Rows, Rows]:
    """Read the rows and train on them.

    The networks, the candidates and what is labelled.
    """
    if space not in ("inputs", "embeddings"):
        raise unknown_name("space", space, ("inputs", "embeddings"))
    positive = {name: options[name] for name in options if name not in _MAY_BE_ZERO}
    training.check_positive(max_side=max_side, **positive)
    for name in _MAY_BE_ZERO:
        if not 0 <= options[name] < np.inf:
            raise ParameterError(
                f"{name} must be a number of at least 0, got {options[name]!r}.",
                name,
            )

    def read(rows: Any) -> torch.Tensor:
        if space == "inputs":
            return read_inputs(strategy, classifier, rows, max_side)
        # A copy: what the query keeps may not be written to, and torch warns of that.
        embeddings = np.array(inference.embed(classifier, rows, layer), np.float32)
        return torch.from_numpy(embeddings)

    known = training.labelled_rows(strategy, classifier, X_labelled)
    parts = [read(X), read(known)]
    # One network reads both.
    if parts[0].shape[1:] != parts[1].shape[1:]:
        raise ValueError(
            f"Candidates have shape {tuple(parts[0].shape[1:])} and labelled rows "
            f"{tuple(parts[1].shape[1:])}: they must be the same."
        )
    unlabelled, labelled = as_rows(parts, device)
    adversaries, _ = train_adversaries(
        labelled, unlabelled, generator=generator, **options
    )
    return adversaries, unlabelled, labelled


@query_strategy(
    family="learned",
    needs=("labelled",),
    reference="Sinha, Ebrahimi & Darrell, ICCV 2019",
    cost="O((s m + n) p) for s steps on m rows and a network of p weights",
)
def vaal(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    by: Literal["discriminator", "distance"] = "discriminator",
    n_steps: int = 200,
    batch_size: int = 64,
    latent: int = 32,
    hidden: int = 64,
    beta: float = 0.1,
    adversary_weight: float = 1.0,
    lr: float = 1e-3,
    space: Literal["inputs", "embeddings"] = "inputs",
    max_side: int = 64,
    layer: str | None = None,
    X_labelled: Any = None,
    device: Any = "auto",
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates that a discriminator finds least like the labelled (VAAL).

    The discriminator works on the latent space of an autoencoder.

    Parameters
    ----------
    by : {"discriminator", "distance"}, default="discriminator"
        What chooses: the discriminator, or k-center greedy in the latent space, from
        what is labelled.
    n_steps : int, default=200
        Steps of each of the two networks: some seconds on a processor; the paper's are
        tens of thousands.
    batch_size : int, default=64
        Labelled rows, and as many unlabelled ones, in a step.
    latent : int, default=32
        Latent units.
    hidden : int, default=64
        Hidden units of both networks; for images the channels of the last convolution.
    beta : float, default=0.1
        What the divergence from the prior counts beside the reconstruction, both sums
        over a row: the same as a decoder of this variance, for rows of variance 1. With
        1 the latent units of two or three features stay empty.
    adversary_weight : float, default=1.0
        What it counts for the autoencoder that all rows look labelled.
    lr : float, default=1e-3
        Learning rate of Adam, of both.
    space : {"inputs", "embeddings"}, default="inputs"
        What is encoded: images (by convolutions) or features as they come, or the
        classifier's embeddings.
    max_side : int, default=64
        Larger images are shrunk to this longer side.
    layer : str, optional
        Layer of a net to embed by, with ``space="embeddings"``.
    X_labelled : rows, optional
        What is labelled; ``classifier.X_training`` by default.
    device : str or torch.device, default="auto"
        Where the networks are trained; ``"auto"`` is CUDA where there is one.

    See Also
    --------
    al_sklearn.strategies.selectors.k_center : the selector of distances.

    Notes
    -----
    Images are standardised by channel, features one by one. The classifier plays no
    part but to read the images, unless ``space="embeddings"``. Memory: all images,
    shrunk, in their own type. Scores are logits of being unlabelled, or distances.
    """
    if by not in _BY:
        raise unknown_name("by", by, _BY)
    rng = as_generator(random_state)
    adversaries, candidates, known = _train(
        f"vaal(by={by!r})",
        classifier,
        X,
        X_labelled,
        torch.Generator().manual_seed(as_seed(rng)),
        space=space,
        layer=layer,
        max_side=max_side,
        device=training.get_device(device),
        n_steps=n_steps,
        batch_size=batch_size,
        latent=latent,
        hidden=hidden,
        beta=beta,
        adversary_weight=adversary_weight,
        lr=lr,
    )
    ties: Options = {"random_tie_break": random_tie_break, "random_state": rng}
    if by == "discriminator":
        utilities = -adversaries.labelled_logits(candidates.batches())
        return top_k(utilities, n_instances, **ties)
    return k_center(
        adversaries.latent(candidates.batches()),
        n_instances,
        labelled=adversaries.latent(known.batches()),
        **ties,
    )


vaal_distance = variant(
    vaal,
    "vaal_distance",
    "Candidates farthest from the labelled and chosen, in VAAL's latent space.",
    cost="O((s m + n) p + n (l + b) k) for s steps on m rows, p weights and k latent "
    "units",
    by="distance",
)
