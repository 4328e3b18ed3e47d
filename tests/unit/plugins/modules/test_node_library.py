# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The library on a node is whole: one module that is imported and not installed breaks every command there."""

from __future__ import annotations

import ast
from pathlib import Path

from ansible_collections.duet.backup_ha.plugins.modules.node_files import NODE_MODULES


def imported_by(source: str) -> set[str]:
    """The names of the library's modules that a source imports, as ``from ._x import y`` or ``from . import _x``."""
    found: set[str] = set()
    for statement in ast.walk(ast.parse(source)):
        if isinstance(statement, ast.ImportFrom) and statement.level == 1:
            found |= {statement.module} if statement.module else {alias.name for alias in statement.names}
    return found


def test_what_is_imported_is_installed() -> None:
    installed = {module.__name__.rpartition(".")[2] for module in NODE_MODULES}
    wanted = {name for module in NODE_MODULES for name in imported_by(Path(str(module.__file__)).read_text("utf-8"))}
    assert wanted - installed == set()
    assert "_cli" in installed
