"""Graph convolution over labelled and unlabelled embeddings (CoreGCN, UncertainGCN)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from al_sklearn import inference
from al_sklearn._core.checks import unknown_name
from al_sklearn._core.random import RandomState, as_generator, as_seed
from al_sklearn._core.types import Array, Options
from al_sklearn.exceptions import ParameterError
from al_sklearn.rows import n_rows, view_rows
from al_sklearn.strategies._registry import Chosen, query_strategy
from al_sklearn.strategies.named._learned import _training as training
from al_sklearn.strategies.selectors import k_center, top_k


class CosineGraph:
    """The graph of cosine similarities, D⁻¹(S - I) + I, as an operator.

    It is multiplied without ever being made.

    S = V Vᵀ of the normalised rows V, so that S H = V (Vᵀ H): O(n d) memory instead of
    O(n²), and the same numbers. Where embeddings have negative values, which the
    paper's do not, similarities are (1 + cos) / 2, so that the weights of the
    neighbours of every row are positive and sum to 1.

    Parameters
    ----------
    features : Tensor of shape (n, d)
        Rows of zeros are similar to nothing.

    Attributes
    ----------
    rows : Tensor of shape (n, d)
        The rows, of length 1.
    """

    def __init__(self, features: torch.Tensor):
        self.rows = torch.nn.functional.normalize(features, dim=1)
        self._half = bool((features < 0).any())
        # 1, or 0 for a row of zeros: what S has on its diagonal.
        own = self.rows.square().sum(1, keepdim=True)
        self._own = (1 + own) / 2 if self._half else own
        degree = self._neighbours(torch.ones_like(own))
        # Alone in the graph, or among rows of zeros: nothing comes from neighbours.
        self._scale = torch.where(degree > 1e-6, 1 / degree.clamp_min(1e-6), 0)

    def _neighbours(self, values: torch.Tensor) -> torch.Tensor:
        similar = self.rows @ (self.rows.T @ values)
        if self._half:
            similar = (values.sum(0, keepdim=True) + similar) / 2
        # S - I: no row is its own neighbour.
        return similar - self._own * values

    def __matmul__(self, values: torch.Tensor) -> torch.Tensor:
        """Return the product with values (n, k)."""
        return self._scale * self._neighbours(values) + values


class GraphNetwork(nn.Module):
    """Two graph convolutions: d to hidden units, ReLU, dropout; hidden to one logit."""

    def __init__(
        self, n_features: int, hidden: int, dropout: float, generator: torch.Generator
    ):
        super().__init__()
        self.first = training.linear(n_features, hidden, generator)
        self.second = training.linear(hidden, 1, generator)
        self.dropout = dropout

    def features(self, spread: torch.Tensor) -> torch.Tensor:
        """Return the hidden features (n, hidden) of A X.

        A X is the same in all epochs.
        """
        return torch.relu(self.first(spread))

    def logits(
        self,
        graph: CosineGraph,
        features: torch.Tensor,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Return the logits (n,) of being labelled.

        With dropout when there is a generator.
        """
        if generator is not None and self.dropout > 0:
            kept = torch.rand(features.shape, generator=generator) >= self.dropout
            # Scaled, so that scoring without dropout expects the same size.
            features = features * (kept / (1 - self.dropout)).to(features)
        return (graph @ self.second(features)).squeeze(1)


@dataclass
class GraphResult:
    """What the trained network says of the rows of a graph.

    Attributes
    ----------
    features : float32 array of shape (n, hidden)
    proba : float64 array of shape (n,)
        Of being labelled.
    history : list of float
        Loss of each epoch.
    """

    features: Array
    proba: Array
    history: list[float]


def graph_loss(
    logits: torch.Tensor, labelled: torch.Tensor, unlabelled_weight: float
) -> torch.Tensor:
    """Return the loss over the labelled rows and, weighted, over the others.

    It is -mean ln p over the labelled rows - weight · mean ln(1 - p) over the others.

    Parameters
    ----------
    logits : Tensor of shape (n,)
    labelled : bool Tensor of shape (n,)
        Which rows are labelled; what their labels are does not come in.
    unlabelled_weight : float
    """
    if logits.shape != labelled.shape or logits.ndim != 1:
        raise ValueError(
            f"Logits and mask must both have shape (n,), got {tuple(logits.shape)} "
            f"and {tuple(labelled.shape)}."
        )
    # By logits: the logarithm of a probability that rounds to 0 would be infinite.
    known = nn.functional.logsigmoid(logits[labelled]).mean()
    other = nn.functional.logsigmoid(-logits[~labelled]).mean()
    return -known - unlabelled_weight * other


def train_graph(
    features: torch.Tensor,
    labelled: torch.Tensor,
    *,
    hidden: int,
    max_epochs: int,
    lr: float,
    dropout: float,
    weight_decay: float,
    unlabelled_weight: float,
    generator: torch.Generator,
) -> GraphResult:
    """Train a :class:`GraphNetwork` to tell labelled rows from the others.

    The rows are those of a graph.

    Parameters
    ----------
    features : Tensor of shape (n, d), float32
    labelled : bool Tensor of shape (n,)
    hidden, max_epochs, lr, dropout, weight_decay, unlabelled_weight
        See :func:`core_gcn`.
    generator : torch.Generator
        On the CPU; draws first weights and dropout.
    """
    graph = CosineGraph(features)
    # A X is the same in all epochs: multiplied once.
    spread = graph @ graph.rows
    network = GraphNetwork(features.shape[1], hidden, dropout, generator).to(
        features.device
    )
    optimizer = training.adam(network, lr, weight_decay)
    history = []
    for _ in range(max_epochs):
        loss = graph_loss(
            network.logits(graph, network.features(spread), generator),
            labelled,
            unlabelled_weight,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    with torch.inference_mode():
        out = network.features(spread)
        proba = torch.sigmoid(network.logits(graph, out).double())
    return GraphResult(out.cpu().numpy(), proba.cpu().numpy(), history)


@query_strategy(
    family="learned",
    needs=("embeddings", "labelled"),
    reference="Caramalau, Bhattarai & Kim, CVPR 2021",
    cost="O(e (m + l) d h + m (l + b) h) for e epochs, h hidden units and m = min(n, "
    "max_candidates)",
)
def core_gcn(
    classifier: Any,
    X: Any,
    n_instances: int = 1,
    *,
    select: Literal["k_center", "uncertain"] = "k_center",
    max_candidates: int = 10_000,
    hidden: int = 128,
    max_epochs: int = 200,
    lr: float = 1e-3,
    dropout: float = 0.3,
    weight_decay: float = 5e-4,
    unlabelled_weight: float = 1.2,
    margin: float = 0.1,
    layer: str | None = None,
    X_labelled: Any = None,
    device: Any = "auto",
    random_tie_break: bool = False,
    random_state: RandomState = None,
) -> Chosen:
    """Candidates that cover the features of a graph network (CoreGCN).

    The network is trained to tell labelled from unlabelled.

    Parameters
    ----------
    select : {"k_center", "uncertain"}
        ``"k_center"``: k-center greedy on the hidden features, from the labelled rows
        (CoreGCN). ``"uncertain"``: those whose probability of being labelled is nearest
        to ``margin`` (UncertainGCN).
    max_candidates : int, default=10000
        Of a larger pool so many are drawn at random (never fewer than ``n_instances``),
        and only they are looked at.
    hidden : int, default=128
        Hidden features.
    max_epochs, lr, weight_decay : int, float, float
        Of the training by Adam, each step on the whole graph.
    dropout : float, default=0.3
        Of the hidden features.
    unlabelled_weight : float, default=1.2
        What the mean loss of the unlabelled rows counts beside that of the labelled
        ones.
    margin : float, default=0.1
        See ``select``.
    layer : str, optional
        Layer of a net to embed by; the input of its last linear layer by default.
    X_labelled : rows, optional
        What is labelled; ``classifier.X_training`` by default. Its classes play no
        part.
    device : str or torch.device, default="auto"
        Where the network is trained; ``"auto"`` is CUDA where there is one.

    Notes
    -----
    Rows are joined by the cosine similarity of their embeddings, as in the paper. The
    matrix of m + l rows squared (400 MB of float32 for ten thousand) is never made: it
    is a product of the embeddings, and is multiplied as one, so that memory is O((m +
    l)(d + hidden)).
    """
    if select not in ("k_center", "uncertain"):
        raise unknown_name("select", select, ("k_center", "uncertain"))
    training.check_positive(
        max_candidates=max_candidates, hidden=hidden, max_epochs=max_epochs, lr=lr
    )
    if not 0 <= dropout < 1:
        raise ParameterError(
            f"dropout must be from 0 to below 1, got {dropout!r}.", "dropout"
        )
    known = inference.embed(
        classifier, training.labelled_rows("core_gcn", classifier, X_labelled), layer
    )
    rng = as_generator(random_state)
    seed = as_seed(rng)
    n = n_rows(X)
    # A batch larger than max_candidates needs at least itself to choose from.
    n_drawn = min(n, max(int(max_candidates), n_instances))
    drawn = np.sort(rng.choice(n, n_drawn, replace=False))
    candidates = inference.embed(
        classifier, X if n_drawn == n else view_rows(X, drawn), layer
    )
    features = torch.from_numpy(np.concatenate([candidates, known]).astype(np.float32))
    # Candidates first, then what is labelled: positions of the first are those drawn.
    labelled = torch.arange(len(features)) >= n_drawn
    # Embedded where the classifier is; the graph may be on another device.
    place = training.get_device(device)
    result = train_graph(
        features.to(place),
        labelled.to(place),
        hidden=hidden,
        max_epochs=max_epochs,
        lr=lr,
        dropout=dropout,
        weight_decay=weight_decay,
        unlabelled_weight=unlabelled_weight,
        generator=torch.Generator().manual_seed(seed),
    )
    ties: Options = {"random_tie_break": random_tie_break, "random_state": rng}
    if select == "uncertain":
        chosen, scores = top_k(
            -np.abs(result.proba[:n_drawn] - margin), n_instances, **ties
        )
    else:
        chosen, scores = k_center(
            result.features[:n_drawn],
            n_instances,
            labelled=result.features[n_drawn:],
            **ties,
        )
    return drawn[chosen], scores
