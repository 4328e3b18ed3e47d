"""Say which of the Python files named have grown too long, and which functions in them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILE = 300
MODULE = 150
FUNCTION = 40
DOCUMENTATION = {"DOCUMENTATION", "EXAMPLES", "RETURN"}


def lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def documents(node: ast.stmt) -> bool:
    """Whether this is a part of a module's documentation, which may be as long as it has to be."""
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in DOCUMENTATION


def too_long(path: Path) -> Iterator[str]:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    length = len(source.splitlines()) - sum(lines(node) for node in tree.body if documents(node))
    most = MODULE if path.match("plugins/modules/*") else FILE
    if length > most:
        yield f"{path}: {length} lines, at most {most}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines(node) > FUNCTION:
            yield f"{path}:{node.lineno}: {node.name} has {lines(node)} lines, at most {FUNCTION}"


def main() -> int:
    found = [complaint for name in sys.argv[1:] for complaint in too_long(Path(name))]
    for complaint in found:
        print(complaint)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
