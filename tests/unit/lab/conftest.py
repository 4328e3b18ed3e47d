"""The lab's scripts as modules: they import each other by their plain names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

LAB = Path(__file__).resolve().parents[3] / "lab"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import one. The path is for this moment: on it lab.py would take the place of the folder that has its name."""
    monkeypatch.syspath_prepend(str(LAB))
    return importlib.import_module
