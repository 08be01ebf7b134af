"""How a torch network inside a skorch net is run.

Probabilities, embeddings, dropout, gradients, batch by batch.

Nothing here changes the net: modes, weights, BatchNorm statistics and hooks are put
back, and the global random generators are not drawn from. Only the batches that the
net's own iterator makes are ever in memory.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from skorch.dataset import unpack_data
from torch import nn
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from al_sklearn._core.prefetch import read_ahead
from al_sklearn._core.random import preserve_global_rng
from al_sklearn.config import current
from al_sklearn.exceptions import CapabilityError
from al_sklearn.rows import are_files

# torch's own constants of AlphaDropout: the saturation value of SELU, -lambda * alpha.
_ALPHA = -1.7580993408473766
# enough to see what a network calls; one row alone is an axis that networks may squeeze
# away
_FEW_ROWS = 2


def _for_scoring(net: Any, n: int) -> Any:
    """Return the net that gives the same numbers for ``n`` rows faster, if any."""
    return (
        net.scoring_net(n)
        if hasattr(net, "scoring_net") and hasattr(net, "module_")
        else net
    )


@contextmanager
def _quiet(net: Any, gradients: bool = False) -> Iterator[nn.Module]:
    """Yield the net's module in evaluation mode and eager; all is put back.

    It runs without gradients unless they are asked for.
    """
    module = net.module_
    modes = [(part, part.training) for part in module.modules()]
    with ExitStack() as stack:
        stack.enter_context(preserve_global_rng())
        if hasattr(module, "_orig_mod"):
            # A compiled module skips the hooks below: run it eagerly.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(torch.inference_mode(not gradients))
        stack.enter_context(torch.set_grad_enabled(gradients))
        try:
            module.eval()
            yield module
        finally:
            for part, training in modes:
                part.training = training


def _batches(net: Any, X: Any) -> Iterator[tuple[int, Any]]:
    """Yield (start, rows) for each batch that the net's own iterator makes."""
    start = 0
    batches = net.get_iterator(net.get_dataset(X), training=False)
    # Files are decoded beside the network's work; arrays are in memory by now.
    for batch in (
        read_ahead(batches) if current().prefetch and are_files(X) else batches
    ):
        rows, _ = unpack_data(batch)
        if (
            isinstance(rows, torch.Tensor)
            and rows.is_floating_point()
            and bool(torch.isnan(rows).any())
        ):
            raise ValueError(f"X contains NaN (in the rows from {start} on).")
        yield start, rows
        start += (
            len(rows)
            if isinstance(rows, torch.Tensor)
            else len(next(iter(rows.values())))
        )


def _proba_of(net: Any, rows: Any, exact: bool = False) -> torch.Tensor:
    """Class probabilities of one batch.

    With ``exact`` the net's own nonlinearity is applied in float64.
    """
    out = net.infer(rows)
    out = out[0] if isinstance(out, tuple) else out
    return net._get_predict_nonlinearity()(out.cpu().double() if exact else out)


def _copied(value: Any) -> Any:
    """The same with tensors of its own, so that in-place arithmetic is safe.

    It reaches nothing that is used again.
    """
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, Mapping):
        return type(value)({key: _copied(part) for key, part in value.items()})  # type: ignore[call-arg]
    if isinstance(value, (list, tuple)):
        parts = [_copied(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


@contextmanager
def _every_module_called() -> Iterator[None]:
    """Without torch's fused attention layers, which pass over dropout inside them."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _outputs(net: Any, X: Any) -> Iterator[tuple[int, Callable[..., np.ndarray]]]:
    """Yield (start, forward) for each batch.

    ``forward()`` gives its class probabilities as an array.

    ``forward(m)`` gives those of its first m rows.
    """
    for start, rows in _batches(net, X):

        def forward(most: int | None = None, rows: Any = rows) -> np.ndarray:
            # A copy: a network that works in place on its input would begin again from
            # what it left.
            return _proba_of(net, _copied(_first(rows, most))).float().cpu().numpy()

        yield start, forward


def _first(rows: Any, most: int | None) -> Any:
    if most is None:
        return rows
    return (
        rows[:most]
        if isinstance(rows, torch.Tensor)
        else {key: part[:most] for key, part in rows.items()}
    )


class _Rows:
    """Grows an array of known length batch by batch, so that it is never held twice."""

    def __init__(self, n: int, axis: int = 0):
        self.n, self.axis = n, axis
        self.array = np.empty(0, dtype=np.float32)

    def put(self, start: int, part: np.ndarray) -> None:
        if not self.array.size:
            shape = list(part.shape)
            shape[self.axis] = self.n
            self.array = np.empty(shape, dtype=np.float32)
        where = (slice(None),) * self.axis + (
            slice(start, start + part.shape[self.axis]),
        )
        self.array[where] = part


def proba(net: Any, X: Any, n: int) -> np.ndarray:
    """Class probabilities (n, C), in the order of X."""
    out = _Rows(n)
    net = _for_scoring(net, n)
    with _quiet(net):
        for start, forward in _outputs(net, X):
            out.put(start, forward())
    return out.array


@contextmanager
def _tap(module: nn.Module, layer: str | None) -> Iterator[list[torch.Tensor]]:
    """Yield a list whose only entry is the embedding of the latest batch.

    It is set after each forward pass.
    """
    seen: list[torch.Tensor] = []

    def keep(value: Any) -> None:
        value = value[0] if isinstance(value, tuple) else value
        seen[:] = [value.flatten(1)]

    handles = []
    if layer is None:
        # Every linear layer overwrites the last: what remains belongs to the one that
        # runs last.
        handles = [
            part.register_forward_pre_hook(lambda _, args: keep(args))
            for part in _linears(module)
        ]
    else:
        parts = dict(module.named_modules())
        if layer not in parts or not layer:
            raise ValueError(
                f"Unknown layer {layer!r}. Available: {_layer_names(module)}."
            )
        # A copy: an in-place ReLU after the layer would change it.
        handles = [
            parts[layer].register_forward_hook(lambda _, __, out: keep(_copied(out)))
        ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _linears(module: nn.Module) -> list[nn.Linear]:
    linears = [part for part in module.modules() if isinstance(part, nn.Linear)]
    if not linears:
        raise CapabilityError(
            "embed: the network has no nn.Linear whose input could serve as the "
            "embedding; name a layer with "
            f"layer=…: {_layer_names(module)}."
        )
    return linears


def _layer_names(module: nn.Module, most: int = 40) -> str:
    names = [name for name, _ in module.named_modules() if name]
    return ", ".join(names[:most]) + (
        f", … ({len(names) - most} more)" if len(names) > most else ""
    )


def proba_and_embed(
    net: Any, X: Any, n: int, layer: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Class probabilities (n, C) and embeddings (n, d) from one forward pass."""
    out, embeddings = _Rows(n), _Rows(n)
    # A layer asked for by name gives what it gives in the network as it is.
    net = net if layer is not None else _for_scoring(net, n)
    with _quiet(net) as module, _tap(module, layer) as seen:
        for start, forward in _outputs(net, X):
            out.put(start, forward())
            embeddings.put(start, seen[0].float().cpu().numpy())
    return out.array, embeddings.array


def active_dropout(module: nn.Module) -> list[_DropoutNd]:
    """Dropout modules of every kind that would drop something, as registered.

    They come in the order of registration.
    """
    return [
        part for part in module.modules() if isinstance(part, _DropoutNd) and part.p > 0
    ]


class _FixedDropout:
    """One mask per posterior sample, the same for every image of the pool.

    A sample is one function.
    """

    def __init__(self, layers: list[_DropoutNd], seed: int):
        self.layers, self.seed = layers, seed
        self.sample = 0
        self._calls: dict[int, int] = {}
        self._masks: dict[tuple[int, int, int], torch.Tensor] = {}

    def start(self, sample: int) -> None:
        self.sample = sample
        self._calls = {}

    def forward(self, index: int, x: torch.Tensor) -> torch.Tensor:
        layer = self.layers[index]
        call = self._calls.get(index, 0)
        self._calls[index] = call + 1
        key = (self.sample, index, call)
        # Feature-wise kinds drop whole channels; the others single values.
        wholesale = isinstance(
            layer, (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout)
        )
        shape = (
            (1, x.shape[1]) + (1,) * (x.ndim - 2) if wholesale else (1, *x.shape[1:])
        )
        mask = self._masks.get(key)
        if mask is None:
            entropy = np.random.SeedSequence([self.seed, *key]).generate_state(
                1, np.uint64
            )
            generator = torch.Generator().manual_seed(int(entropy[0] >> np.uint64(1)))
            mask = (torch.rand(shape, generator=generator) >= layer.p).to(
                device=x.device, dtype=x.dtype
            )
            self._masks[key] = mask
        elif mask.shape != shape:
            raise ValueError(
                "MC dropout shares one mask over the pool, but two batches reach a "
                "dropout layer with features "
                f"of shape {tuple(mask.shape[1:])} and {tuple(shape[1:])}; give "
                "images of one size."
            )
        if isinstance(layer, (nn.AlphaDropout, nn.FeatureAlphaDropout)):
            scale = ((1 - layer.p) * (1 + layer.p * _ALPHA**2)) ** -0.5
            return scale * (x * mask + _ALPHA * (1 - mask)) - scale * layer.p * _ALPHA
        return x * (mask / (1 - layer.p)) if layer.p < 1 else x * mask


_FUNCTIONAL_DROPOUT = frozenset(
    getattr(functional, name)
    for name in (
        "alpha_dropout",
        "dropout",
        "dropout1d",
        "dropout2d",
        "dropout3d",
        "feature_alpha_dropout",
    )
)


class _FunctionalDropout(TorchFunctionMode):
    """Notices dropout that the network calls as a function.

    Only modules can be switched on from outside.
    """

    seen = False

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if (
            func in _FUNCTIONAL_DROPOUT
            and kwargs.get("p", args[1] if len(args) > 1 else 0.5) > 0
        ):
            self.seen = True
        return func(*args, **kwargs)


class _Trunk:
    """Remembers what the network computes before the first of ``layers``.

    It does so for one batch; the layers are active dropout or the head.

    A pass over a few rows finds the largest modules that finish before any of them
    begins. The first pass over a batch records the outputs of these; later passes get
    them back and so compute the rest alone. Where control flow takes another way, what
    is not remembered is computed again. Functional code between modules runs again: it
    is cheap, and skipping it would need the network's graph.
    """

    def __init__(self, module: nn.Module, layers: Sequence[nn.Module]):
        self.module, self.layers = module, layers
        self._watched: list[nn.Module] = []
        self._resumed: dict[
            nn.Module, int
        ] = {}  # behind which child a plain nn.Sequential goes on
        self._outputs: dict[nn.Module, list[Any]] = {}
        self._served: dict[nn.Module, int] = {}

    @contextmanager
    def finding(self) -> Iterator[None]:
        """Find the modules to remember in one forward pass."""
        with self._watching(list(self.module.modules()), lambda _: None) as calls:
            yield
        counts = Counter(part for part, _ in calls)
        needed = set(counts)
        self._resumed = {}
        for part in self.module.modules():
            known = self._known_children(part, counts)
            if known:
                # It resumes behind the last of them, and nobody else reads what those
                # before gave.
                self._resumed[part] = known
                needed.difference_update(list(part.children())[: known - 1])
        self._watched = [*{*self.layers, *needed}]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record one forward pass."""
        # A copy: what follows may work in place on what the module returned, as `out +=
        # identity` does.
        with self._watching(self._watched, _copied) as calls:
            yield
        self._outputs = {}
        for part, out in calls:
            self._outputs.setdefault(part, []).append(out)

    @contextmanager
    def _watching(
        self, parts: list[nn.Module], keep: Callable[[Any], Any]
    ) -> Iterator[list[tuple[nn.Module, Any]]]:
        """Yield the list of modules that finished before ``layers``.

        What was kept of their outputs comes with it.
        """
        calls: list[tuple[nn.Module, Any]] = []
        layers = set(self.layers)
        open_calls: list[int] = []
        reached = False

        def before(part: nn.Module, _args: Any) -> None:
            nonlocal reached
            reached = reached or part in layers
            if not reached:
                open_calls.append(len(calls))

        def after(part: nn.Module, _args: Any, out: Any) -> None:
            if not reached:
                # Finished before any dropout: it stands for all that it called.
                del calls[open_calls.pop() :]
                calls.append((part, keep(out)))

        handles = [part.register_forward_pre_hook(before) for part in parts]
        handles += [part.register_forward_hook(after) for part in parts]
        try:
            yield calls
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Serve the recorded outputs in place of the modules that made them."""
        serve = {part: self._serve(part, part.forward) for part in self._outputs}
        for part, known in self._resumed.items():
            children = list(part.children())
            if len(self._outputs.get(children[known - 1], [])) == 1:
                serve[part] = self._resume(children, known)
        own = {part: part.__dict__.get("forward") for part in serve}
        for part, forward in serve.items():
            part.forward = forward
        try:
            yield
        finally:
            for part, before in own.items():
                if before is None:
                    del part.forward
                else:
                    part.forward = before

    def _known_children(self, part: nn.Module, counts: Counter[nn.Module]) -> int:
        """How many of the first children of an ``nn.Sequential`` are remembered.

        The ``nn.Sequential`` is a plain one, and each child is called once.
        """
        children = (
            list(part.children())
            if type(part) is nn.Sequential and "forward" not in vars(part)
            else []
        )
        if part in counts or len(children) < len(part._modules):
            return 0
        known = 0
        while known < len(children) and counts[children[known]] == 1:
            known += 1
        return known

    def _resume(self, children: list[nn.Module], known: int) -> Callable[..., Any]:
        """Begin behind the last recorded child.

        Nobody but a child reads what the one before it gives.
        """
        recorded = self._outputs[children[known - 1]][0]

        def resumed(_: Any) -> Any:
            value = _copied(recorded)
            for child in children[known:]:
                value = child(value)
            return value

        return resumed

    def rewind(self) -> None:
        self._served = {}

    def _serve(
        self, part: nn.Module, forward: Callable[..., Any]
    ) -> Callable[..., Any]:
        def served(*args: Any, **kwargs: Any) -> Any:
            position = self._served.get(part, 0)
            self._served[part] = position + 1
            recorded = self._outputs[part]
            return (
                _copied(recorded[position])
                if position < len(recorded)
                else forward(*args, **kwargs)
            )

        return served


@contextmanager
def _dropout_on(masks: _FixedDropout) -> Iterator[None]:
    """Replace the forward pass of the dropout modules alone by the fixed masks."""
    own = [layer.__dict__.get("forward") for layer in masks.layers]
    for index, layer in enumerate(masks.layers):
        layer.forward = lambda x, index=index: masks.forward(index, x)
    try:
        yield
    finally:
        for layer, forward in zip(masks.layers, own, strict=True):
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward


def sample_proba(net: Any, X: Any, n: int, n_samples: int, seed: int) -> np.ndarray:
    """Class probabilities (n_samples, n, C) under ``n_samples`` dropout masks.

    Each mask is shared by the whole pool.
    """
    net = _for_scoring(net, n)
    layers = active_dropout(net.module_)
    masks = _FixedDropout(layers, seed)
    out = _Rows(n, axis=1)
    with _quiet(net) as module, _dropout_on(masks), _every_module_called():
        trunk = _Trunk(module, layers)
        functions = _FunctionalDropout()
        for start, forward in _outputs(net, X):
            if start == 0:
                # The first rows tell: watching every batch would slow the network down.
                masks.start(0)
                with trunk.finding(), functions:
                    forward(_FEW_ROWS)
            masks.start(0)
            with trunk.recording():
                first = forward()
            part = np.empty((n_samples, *first.shape), dtype=np.float32)
            part[0] = first
            with trunk.replaying():
                for sample in range(1, n_samples):
                    masks.start(sample)
                    trunk.rewind()
                    part[sample] = forward()
            out.put(start, part)
        if functions.seen:
            warnings.warn(
                "The network also calls dropout as a function, which cannot be "
                "switched on from outside: the posterior "
                "samples differ by its dropout modules alone. Make it an nn.Dropout "
                "to have it sampled too.",
                stacklevel=2,
            )
        if not masks._masks:
            raise CapabilityError(
                "sample_proba: the network's dropout modules are never called in its "
                "forward pass, so all samples "
                "would be the same; call them, or use DeepEnsemble or a Committee."
            )
    return out.array


def _last_linear(net: Any, module: nn.Module, X: Any) -> nn.Linear:
    """Find the linear layer that runs last, by running one batch."""
    ran: list[nn.Linear] = []
    handles = [
        part.register_forward_pre_hook(lambda part, _: ran.append(part))
        for part in _linears(module)
    ]
    try:
        _proba_of(net, next(_batches(net, X))[1])
    finally:
        for handle in handles:
            handle.remove()
    if not ran:
        raise CapabilityError(
            "embed: no nn.Linear of the network is called in its forward pass; name a "
            "layer with layer=…."
        )
    return ran[-1]


def last_layer(net: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights (C, d) and biases (C,) of the linear layer that runs last, copied."""
    with _quiet(net) as module:
        last = _last_linear(net, module, X)
        weight = last.weight.detach().float().cpu().numpy().copy()
        bias = (
            np.zeros(len(weight), np.float32)
            if last.bias is None
            else last.bias.detach().float().cpu().numpy().copy()
        )
    return weight, bias


def perturbed_proba(
    net: Any,
    X: Any,
    n: int,
    n_samples: int,
    factors: Callable[[int, int, int, int], np.ndarray],
) -> np.ndarray:
    """Class probabilities (n_samples, n, C) with the embeddings multiplied.

    The factors are ``factors(sample, start, stop, d)``.

    What comes before the last linear layer runs once for all samples.
    """
    out = _Rows(n, axis=1)
    current = [0, 0]
    net = _for_scoring(net, n)

    def perturb(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        sample, start = current
        x = args[0]
        size = x[0].numel()
        scale = torch.from_numpy(factors(sample, start, start + len(x), size)).to(
            device=x.device, dtype=x.dtype
        )
        return (x * scale.view(x.shape), *args[1:])

    with _quiet(net) as module:
        last = _last_linear(net, module, X)
        trunk = _Trunk(module, [last])
        for start, forward in _outputs(net, X):
            if start == 0:
                with trunk.finding():
                    forward(_FEW_ROWS)
            with trunk.recording():
                first = forward()
            part = np.empty((n_samples, *first.shape), dtype=np.float32)
            handle = last.register_forward_pre_hook(perturb)
            try:
                with trunk.replaying():
                    for sample in range(n_samples):
                        current[:] = sample, start
                        trunk.rewind()
                        part[sample] = forward()
            finally:
                handle.remove()
            out.put(start, part)
    return out.array


def input_gradient(net: Any, X: Any, n: int) -> np.ndarray:
    """Size (n,) of the gradient of the predicted class's loss in the input.

    It is Σ|∂CE(x, ŷ)/∂x|, in the network's input.
    """
    out = _Rows(n)
    leaf: list[torch.Tensor] = []

    def open_leaf(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if (
            not args
            or not isinstance(args[0], torch.Tensor)
            or not args[0].is_floating_point()
        ):
            raise CapabilityError(
                f"{type(net).__name__} cannot give input gradients: its network takes "
                "no float images."
            )
        leaf[:] = [args[0].detach().requires_grad_()]
        # A copy goes on, because a first layer that works in place may not change a
        # leaf.
        return (leaf[0].clone(), *args[1:])

    with _quiet(net, gradients=True) as module:
        handle = getattr(module, "_orig_mod", module).register_forward_pre_hook(
            open_leaf
        )
        try:
            for start, rows in _batches(net, X):
                # Float64 and the sum over the batch, not its mean: confident images do
                # not drown in rounding, and no image's gradient depends on how many
                # others share its batch.
                proba = _proba_of(net, rows, exact=True)
                loss = -proba.gather(1, proba.argmax(dim=1, keepdim=True)).log().sum()
                (gradient,) = torch.autograd.grad(loss, leaf[0])
                out.put(
                    start, gradient.abs().flatten(1).sum(dim=1).float().cpu().numpy()
                )
        finally:
            handle.remove()
    return out.array
