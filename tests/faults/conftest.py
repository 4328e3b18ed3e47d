"""Two labs share what is left of the matrix: each takes every other row."""

from __future__ import annotations

import pytest

from tests.faults.matrix import read_rows, short_name


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", default="1/1", help="which part of the matrix, and of how many")
    parser.addoption("--whole", action="store_true", help="the rows that were found before, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--whole"):
        return
    proven = {row.test for row in read_rows()}
    items[:] = [item for item in items if short_name(item.nodeid) not in proven]
    number, of = map(int, config.getoption("--share").split("/"))
    items[:] = items[number - 1 :: of]
