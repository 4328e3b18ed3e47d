# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the docstrings promise by example."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
from ansible_collections.duet.backup_ha.plugins import action, module_utils

PACKAGES = (module_utils, action)
NAMES = sorted(
    found.name for package in PACKAGES for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
)


def short(name: str) -> str:
    return name.rpartition("plugins.")[2]


@pytest.mark.parametrize("name", NAMES, ids=short)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name), raise_on_error=False).failed == 0


def test_there_are_examples() -> None:
    """Should the collection's files move, this test must not pass by finding nothing."""
    assert sum(doctest.testmod(importlib.import_module(name)).attempted for name in NAMES) >= 8
