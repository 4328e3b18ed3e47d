# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of a benchmark."""

from __future__ import annotations

import pytest

from bench.figures import cpu_model, figure, table


@pytest.mark.parametrize(
    ("values", "median", "least", "most"),
    [
        ([3.0], 3, 3, 3),
        ([5.0, 1.0, 3.0], 3, 1, 5),
        ([4.0, 1.0, 2.0, 3.0], 2.5, 1, 4),
        ([0.12345, 9.0], 4.562, 0.123, 9),
    ],
)
def test_figure(values: list[float], median: float, least: float, most: float) -> None:
    assert figure(values, "ms") == {"median": median, "min": least, "max": most, "n": len(values), "unit": "ms"}


def test_the_table_has_a_line_for_each_figure() -> None:
    lines = table({"status_s": figure([1.0, 2.0], "s"), "gap": figure([100.0], "ms")})
    assert len(lines) == 3
    assert lines[1].split() == ["status_s", "1.5", "1.0", "2.0", "2", "s"]


def test_the_processor_is_named() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n") == "Some CPU @ 2 GHz"
    assert cpu_model("") != ""
