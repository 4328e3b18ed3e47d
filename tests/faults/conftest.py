"""Two labs share what is left of the matrix: each takes every other row."""

from __future__ import annotations

import pytest

from tests.faults.matrix import read_rows, short_name
from tests.scenarios.conftest import by_hand, cluster, lab, pytest_report_teststatus

__all__ = ["by_hand", "cluster", "lab", "pytest_report_teststatus"]  # pytest finds them here


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", help="which part, and of how many, of what is left of the matrix")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--share"):
        return
    proven = {row.test for row in read_rows()}
    items[:] = [item for item in items if short_name(item.nodeid) not in proven]
    number, of = map(int, config.getoption("--share").split("/"))
    items[:] = items[number - 1 :: of]
