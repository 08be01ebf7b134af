"""How large the library is and how it reads: ``python tests/house/mirror.py [FOLDER]``.

Counted over every module, docstrings left out: syntax nodes (``ast.walk``), lines on
which one begins or ends, nodes a line, and comments that say something per hundred such
lines.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

# Directions to tools are no comments: they explain nothing to a reader.
_DIRECTIVE = re.compile(r"#\s*(noqa|type:|pragma|ruff:|fmt:|mypy:|!)")


class Counts(NamedTuple):
    """What is counted of one or several modules."""

    nodes: int = 0
    code_lines: int = 0
    comments: int = 0
    longest: int = 0

    def __add__(self, other: Counts) -> Counts:  # type: ignore[override]
        return Counts(
            self.nodes + other.nodes,
            self.code_lines + other.code_lines,
            self.comments + other.comments,
            max(self.longest, other.longest),
        )

    @property
    def nodes_a_line(self) -> float:
        """Syntax nodes per line of code."""
        return self.nodes / self.code_lines

    @property
    def comments_per_100(self) -> float:
        """Comments that say something per hundred lines of code."""
        return 100 * self.comments / self.code_lines


def count(source: str) -> Counts:
    """Count one module."""
    tree = ast.parse(source)
    docstrings = list(_docstrings(tree))
    lines_of_docstrings = {
        line
        for node in docstrings
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    # A docstring is an expression that holds a constant: two nodes.
    nodes = sum(1 for _ in ast.walk(tree)) - 2 * len(docstrings)
    placed = [node for node in ast.walk(tree) if hasattr(node, "lineno")]
    code = {line for node in placed for line in (node.lineno, node.end_lineno)}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = sum(
        token.type == tokenize.COMMENT and not _DIRECTIVE.match(token.string)
        for token in tokens
    )
    longest = max((len(line) for line in source.splitlines()), default=0)
    return Counts(nodes, len(code - lines_of_docstrings), comments, longest)


def count_folder(folder: Path) -> Counts:
    """Count every module below a folder."""
    modules = sorted(folder.rglob("*.py"))
    counts = [count(path.read_text(encoding="utf-8")) for path in modules]
    return sum(counts, start=Counts())  # type: ignore[return-value]


def _docstrings(tree: ast.AST):
    """Yield the expressions that are docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if not isinstance(node, kinds) or not node.body:
            continue
        first = node.body[0]
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            yield first


def main() -> None:
    """Print the counts of the library, or of the folder that is given."""
    library = Path(__file__).parents[2] / "al_sklearn"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else library
    counts = count_folder(folder)
    print(f"{counts.nodes:,} syntax nodes in {counts.code_lines:,} lines of code")
    print(f"{counts.nodes_a_line:.1f} nodes a line; longest line {counts.longest}")
    print(f"{counts.comments_per_100:.1f} comments per 100 lines of code")


if __name__ == "__main__":
    main()
