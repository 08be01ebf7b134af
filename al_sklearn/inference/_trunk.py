"""What a network computes before its first dropout, computed once for all samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from al_sklearn.inference._batches import copied

# Enough to see what a network calls; one row alone is an axis that networks may squeeze
# away.
FEW_ROWS = 2


@contextmanager
def forward_as(part: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
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
        with self._watching(self._watched, copied) as calls:
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
        with ExitStack() as stack:
            for part, forward in serve.items():
                stack.enter_context(forward_as(part, forward))
            yield

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
            value = copied(recorded)
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
                copied(recorded[position])
                if position < len(recorded)
                else forward(*args, **kwargs)
            )

        return served
