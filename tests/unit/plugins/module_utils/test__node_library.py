# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The library on a node is whole: one module that is imported and not installed breaks every command there."""

from __future__ import annotations

import ast
from pathlib import Path

from ansible_collections.duet.backup_ha.plugins import module_utils
from ansible_collections.duet.backup_ha.plugins.module_utils._node_library import NODE_MODULES, library_files


def imported_by(source: str) -> set[str]:
    """The names of the library's modules that a source imports, as ``from ._x import y`` or ``from . import _x``."""
    found: set[str] = set()
    for statement in ast.walk(ast.parse(source)):
        if isinstance(statement, ast.ImportFrom) and statement.level == 1:
            found |= {statement.module} if statement.module else {alias.name for alias in statement.names}
    return found


def source_of(name: str) -> str:
    (folder,) = module_utils.__path__
    return Path(folder, f"{name}.py").read_text("utf-8")


def test_what_is_imported_is_installed_and_nothing_else() -> None:
    wanted, seen = {"_command"}, set[str]()
    while wanted - seen:
        name = (wanted - seen).pop()
        seen.add(name)
        wanted |= imported_by(source_of(name))
    assert wanted == set(NODE_MODULES)


def test_the_sources_are_the_modules_own() -> None:
    shipped = {file["path"]: file["content"] for file in library_files()}
    for name in NODE_MODULES:
        assert shipped[f"/usr/lib/backup-ha/backup_ha/{name}.py"] == source_of(name)
