"""What a network computes before its first dropout, computed once for all samples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from typing import Any

from torch import nn

from al_sklearn._core.types import Function
from al_sklearn.inference._batches import copied
from al_sklearn.inference.modules import hooked

# Enough to see what a network calls; one row alone is an axis that networks may squeeze
# away.
FEW_ROWS = 2


@contextmanager
def forward_as(part: nn.Module, forward: Function) -> Iterator[None]:
    """Give a module another forward pass for a while."""
    # The module's own, if a caller set one on the instance: that one is put back.
    own = vars(part).get("forward")
    part.forward = forward
    try:
        yield
    finally:
        if own is None:
            del part.forward
        else:
            part.forward = own


class Trunk:
    """Remembers what the network computes before the first of ``layers``.

    It does so for one batch; the layers are active dropout or the head.

    A pass over a few rows finds the largest modules that finish before any of them
    begins. The first pass over a batch records the outputs of these; later passes get
    them back and so compute the rest alone. Where control flow takes another way, what
    is not remembered is computed again. Functional code between modules runs again: it
    is cheap, and skipping it would need the network's graph.
    """

    def __init__(self, module: nn.Module, layers: Sequence[nn.Module]):
        self.module = module
        self.layers = layers
        self._watched: list[nn.Module] = []
        # The first children of plain nn.Sequentials, behind which these go on.
        self._known: dict[nn.Module, list[nn.Module]] = {}
        self._outputs: dict[nn.Module, list[Any]] = {}
        self._served: Counter[nn.Module] = Counter()

    @contextmanager
    def finding(self) -> Iterator[None]:
        """Find the modules to remember in one forward pass."""
        with self._watching(list(self.module.modules()), lambda _: None) as calls:
            yield
        counts = Counter(part for part, _ in calls)
        needed = set(counts)
        self._known = {}
        for part in self.module.modules():
            known = _known_children(part, counts)
            if known:
                # It resumes behind the last of them, and nobody else reads what those
                # before gave.
                self._known[part] = known
                needed.difference_update(known[:-1])
        self._watched = [*{*self.layers, *needed}]

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record one forward pass."""
        # A copy: what follows may work in place on what the module returned, as `out +=
        # identity` does.
        with self._watching(self._watched, copied) as calls:
            yield
        self._outputs = defaultdict(list)
        for part, out in calls:
            self._outputs[part].append(out)

    @contextmanager
    def _watching(
        self,
        parts: list[nn.Module],
        keep: Callable[[Any], Any],
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
        with hooked(handles):
            yield calls

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Serve the recorded outputs in place of the modules that made them."""
        serve = {part: self._serve(part) for part in self._outputs}
        for part, known in self._known.items():
            # Once, as when it was found: of two calls it would not be known which.
            if len(self._outputs.get(known[-1], ())) == 1:
                serve[part] = self._resume(part, known)
        with ExitStack() as stack:
            for part, forward in serve.items():
                stack.enter_context(forward_as(part, forward))
            yield

    def rewind(self) -> None:
        """Begin a forward pass."""
        self._served.clear()

    def _serve(self, part: nn.Module) -> Function:
        """Return what was recorded, call by call."""
        forward = part.forward
        recorded = self._outputs[part]

        def served(*args: Any, **kwargs: Any) -> Any:
            position = self._served[part]
            self._served[part] += 1
            if position < len(recorded):
                return copied(recorded[position])
            # One call more than before the layers.
            return forward(*args, **kwargs)

        return served

    def _resume(self, part: nn.Module, known: list[nn.Module]) -> Function:
        """Begin an ``nn.Sequential`` with the last of its known children."""
        forward = part.forward
        last = known[-1]
        rest = list(part.children())[len(known) :]

        def resumed(value: Any) -> Any:
            if self._served[last]:
                # A second call, behind the layers: of something else.
                return forward(value)
            # The first of these gives what was recorded, whatever it is given.
            for child in [last, *rest]:
                value = child(value)
            return value

        return resumed


def _known_children(part: nn.Module, counts: Counter[nn.Module]) -> list[nn.Module]:
    """First children of a plain ``nn.Sequential`` that are remembered.

    Each was called once. None of one that is remembered itself, or in which a child
    stands twice.
    """
    is_plain = type(part) is nn.Sequential and "forward" not in vars(part)
    children = list(part.children())
    if not is_plain or part in counts or len(children) < len(part._modules):
        return []
    return list(takewhile(lambda child: counts[child] == 1, children))
