# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records survive being written to a file and read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from measure.records import Attempt, Connect, Outcome, Probe, Record, decode, encode, read

RECORDS: list[Record] = [
    Attempt(7, 1.25, 1.5, Outcome.ACCEPTED),
    Attempt(8, 1.5, 2.5, Outcome.DOUBT, 'said "no"\nand left'),
    Connect(2.5, 2.75, 3, 2, "refused"),
    Probe("node1", 4, 0.5, 0.75, Outcome.ACCEPTED),
    Probe("node2", None, 0.5, 0.75, Outcome.REFUSED, "25006"),
]


@pytest.mark.parametrize("record", RECORDS)
def test_round_trip(record: Record) -> None:
    assert decode(encode(record)) == record
    assert encode(record).count("\n") == 1


@pytest.mark.parametrize("line", ["", "{}", "[]", '["Attempt"]', '["Other",1]', '["Attempt",1,2,3,"maybe",""]'])
def test_what_is_no_record_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="not a record"):
        decode(line)


def test_a_file_is_read_by_kind(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_text("".join(encode(record) for record in RECORDS), encoding="utf-8")
    assert read(path, Attempt) == RECORDS[:2]
    assert read(path, Probe) == RECORDS[3:]
