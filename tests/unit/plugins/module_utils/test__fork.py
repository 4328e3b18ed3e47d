# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only a former primary has: read from what pg_waldump prints, named, and never taken for whole when it is not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _fork
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Postgresql
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError, UnreachableError
from ansible_collections.duet.backup_ha.plugins.module_utils._fork import (
    Fork,
    end_of_wal,
    files_to_read,
    name_tables,
    read_fork,
    take_in,
)
from ansible_collections.duet.backup_ha.plugins.module_utils._timeline import Stretch
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import Session

SEGMENT = 16 * 1024 * 1024
BEGIN = 0x35AD148
# pg_waldump of PostgreSQL 15 on a lab's node.
LINES = """\
rmgr: Heap2       len (rec/tot):     59/    59, tx:          0, lsn: 0/035B4C08, prev 0/035A4BD0, desc: VISIBLE cutoff xid 2 flags 0x03, blkref #0: rel 1663/1/2619 fork vm blk 0, blkref #1: rel 1663/1/2619 blk 18
rmgr: Heap2       len (rec/tot):     85/    85, tx:        834, lsn: 0/035B6600, prev 0/035B5398, desc: MULTI_INSERT+INIT 4 tuples flags 0x02, blkref #0: rel 1663/16414/2608 blk 16
rmgr: Heap        len (rec/tot):     59/    59, tx:        834, lsn: 0/035C2FD8, prev 0/035C2F90, desc: INSERT+INIT off 1 flags 0x00, blkref #0: rel 1663/16414/16774 blk 0
rmgr: Transaction len (rec/tot):    405/   405, tx:        834, lsn: 0/035C3018, prev 0/035C2FD8, desc: COMMIT 2026-11-22 19:09:41.564539 UTC; inval msgs: catcache 80 catcache 79
rmgr: Heap        len (rec/tot):     59/    59, tx:        835, lsn: 0/035C3218, prev 0/035C31E0, desc: INSERT off 2 flags 0x00, blkref #0: rel 1663/16414/16774 blk 0
rmgr: Transaction len (rec/tot):     34/    34, tx:        835, lsn: 0/035C3358, prev 0/035C3318, desc: ABORT 2026-11-22 19:09:41.566971 UTC
rmgr: Heap        len (rec/tot):     69/    69, tx:        836, lsn: 0/035C3380, prev 0/035C3358, desc: HOT_UPDATE off 1 xmax 836 flags 0x40 ; new off 7 xmax 0, blkref #0: rel 1663/16414/16774 blk 0
rmgr: Heap        len (rec/tot):     54/    54, tx:        836, lsn: 0/035C33C8, prev 0/035C3380, desc: DELETE off 2 flags 0x00 KEYS_UPDATED , blkref #0: rel 1663/16414/16774 blk 0
rmgr: Heap        len (rec/tot):     54/    54, tx:        836, lsn: 0/035C33E8, prev 0/035C3380, desc: LOCK off 2: xid 836: flags 0x00 LOCK_ONLY EXCL_LOCK , blkref #0: rel 1663/16414/16774 blk 0
rmgr: Transaction len (rec/tot):     34/    34, tx:        836, lsn: 0/035C3410, prev 0/035C33C8, desc: COMMIT 2026-11-22 19:09:41.572264 UTC
first record is after 0/35AD148, at 0/35AD150, skipping over 8 bytes
"""  # noqa: E501
ENDED = "pg_waldump: error: error in WAL record at 0/35C3470: invalid record length at 0/35C34E8: wanted 24, got 0\n"
TABLE = (1663, 16414, 16774)
CATALOGUE = (1663, 16414, 2608)


def empty() -> Fork:
    return Fork(BEGIN, BEGIN, 1)


def test_what_the_records_say() -> None:
    fork = empty()
    take_in(fork, LINES.splitlines(keepends=True))
    assert (fork.records, fork.commits) == (10, 2)
    assert (fork.first_commit, fork.last_commit) == ("2026-11-22 19:09:41.564539 UTC", "2026-11-22 19:09:41.572264 UTC")
    assert fork.relations == {
        CATALOGUE: {"inserted": 4, "updated": 0, "deleted": 0},
        TABLE: {"inserted": 2, "updated": 1, "deleted": 1},
    }
    assert fork.end > 0x35C3410


@pytest.mark.parametrize(
    ("said", "end"),
    [
        (ENDED, 0x35C34E8),
        (
            "pg_waldump: error: error in WAL record at 0/35C3470: invalid magic number 0000 in log segment 0000\n",
            0x35C3470,
        ),
        ("pg_waldump: error: could not find a valid record after 0/35AD148\n", None),
        ('pg_waldump: error: could not find file "00000001000000000000000F": No such file or directory\n', None),
        ("", None),
    ],
)
def test_where_the_wal_ends(said: str, end: int | None) -> None:
    assert end_of_wal(said) == end


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Postgresql:
    """A data directory with two segments; its pg_waldump prints what LINES and ENDED hold."""
    wal = tmp_path / "pg_wal"
    wal.mkdir()
    for name in ("000000010000000000000003", "000000010000000000000004"):
        (wal / name).touch()
    says(tmp_path, monkeypatch, LINES, ENDED, 1)
    return Postgresql("15", "main", 5432, str(tmp_path))


def says(directory: Path, monkeypatch: pytest.MonkeyPatch, out: str, err: str, code: int) -> None:
    program = directory / "pg_waldump"
    script = f"import sys\nsys.stdout.write({out!r})\nsys.stderr.write({err!r})\nraise SystemExit({code})\n"
    program.write_text(f"#!{sys.executable}\n{script}", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(Postgresql, "bin_directory", str(directory))


def test_a_fork_is_read_from_the_disk(server: Postgresql) -> None:
    fork = read_fork(server, [Stretch(1, BEGIN)], 0, SEGMENT)
    assert fork is not None
    assert (fork.begin, fork.end, fork.bytes, fork.commits) == (BEGIN, 0x35C34E8, 0x35C34E8 - BEGIN, 2)
    assert (fork.segments, fork.missing) == (["000000010000000000000003"], [])


def test_nothing_was_written(server: Postgresql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says(tmp_path, monkeypatch, "", "pg_waldump: error: could not find a valid record after 0/35AD148\n", 1)
    assert read_fork(server, [Stretch(1, BEGIN)], BEGIN, SEGMENT) is None


def test_wal_that_is_gone_is_named(server: Postgresql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = read_fork(server, [Stretch(1, BEGIN)], 0x5000010, SEGMENT)
    assert fork is not None
    assert fork.missing == ["000000010000000000000004", "000000010000000000000005"]
    assert fork.end == 0x5000010
    says(tmp_path, monkeypatch, "", "pg_waldump: error: could not find file\n", 1)
    gone = read_fork(server, [Stretch(1, 0x5000028)], 0x5000100, SEGMENT)
    assert gone is not None and gone.missing == ["000000010000000000000005"] and gone.segments == []


@pytest.mark.parametrize(
    ("stretch", "files"),
    [
        (Stretch(1, BEGIN), ["000000010000000000000003", "000000010000000000000004"]),
        (Stretch(1, BEGIN, 0x4000000), ["000000010000000000000003", "000000010000000000000003"]),
        (Stretch(1, BEGIN, 0x4000001), ["000000010000000000000003", "000000010000000000000004"]),
        (Stretch(2, 0x5000010), ["000000020000000000000005", "000000020000000000000005"]),
        (Stretch(1, 0x2000000), []),
    ],
)
def test_the_first_and_the_last_file_are_named(stretch: Stretch, files: list[str]) -> None:
    """One that was made in advance has no header yet, and must not be the one that tells how large they are."""
    present = ["000000010000000000000004", "000000010000000000000003", "000000020000000000000005", "00000002.history"]
    assert files_to_read([*present, "000000010000000000000003.partial"], stretch, SEGMENT) == files


def test_a_reader_that_fails_is_no_proof_that_wal_is_gone(
    server: Postgresql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "pg_waldump: error: WAL segment size must be a power of two between 1 MB and 1 GB"
    says(tmp_path, monkeypatch, "", said, 1)
    with pytest.raises(BackupHaError, match="a power of two between"):
        read_fork(server, [Stretch(1, BEGIN)], 0x35C3470, SEGMENT)


def test_a_fork_over_two_timelines(server: Postgresql) -> None:
    fork = read_fork(server, [Stretch(1, BEGIN, 0x4000010), Stretch(2, 0x4000010)], 0, SEGMENT)
    assert fork is not None
    assert fork.timeline == 2
    assert fork.segments == ["000000010000000000000003", "000000010000000000000004"]
    assert fork.end == 0x4000010


def test_a_reader_that_is_killed_is_an_error(
    server: Postgresql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pg_waldump"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n", encoding="utf-8")
    monkeypatch.setattr(_fork, "WALDUMP_TIMEOUT_S", 0.2)
    with pytest.raises(BackupHaError, match="did not read the WAL from 0/35AD148"):
        read_fork(server, [Stretch(1, BEGIN)], 0, SEGMENT)


def connected(monkeypatch: pytest.MonkeyPatch, found: list[dict[str, Any]]) -> Any:
    """Sessions to a server with the databases bacula (16414) and a bytes-speaking catalogue."""

    def rows(_connection: Session, query: str, *_parameters: Any) -> list[dict[str, Any]]:
        return [{"oid": 16414, "datname": b"bacula"}] if "pg_database" in query else found

    monkeypatch.setattr(_fork, "rows", rows)
    return Session


COUNTS = {"inserted": 1, "updated": 0, "deleted": 0}


def test_tables_get_their_names_and_catalogues_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        {"space": 1663, "node": 16774, "schema": b"public", "name": b"public.job"},
        {"space": 1663, "node": 2608, "schema": "pg_catalog", "name": "pg_catalog.pg_depend"},
    ]
    touched = dict.fromkeys((TABLE, CATALOGUE, (1663, 16414, 9), (1663, 77, 5), (1664, 0, 1260)), COUNTS)
    named = name_tables(touched, connected(monkeypatch, found))
    assert [(row["database"], row["table"]) for row in named] == [
        ("(unknown database 77)", "(unknown table, file 5)"),
        ("bacula", "(unknown table, file 9)"),
        ("bacula", "public.job"),
    ]
    assert named[0]["inserted"] == 1


@pytest.mark.parametrize("refused", ["postgres", "bacula"])
def test_nobody_to_ask_leaves_the_numbers(monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    sessions = connected(monkeypatch, [])

    def connect(name: str) -> Any:
        if name == refused:
            raise UnreachableError("nobody")
        return sessions(name)

    (row,) = name_tables({TABLE: COUNTS}, connect)
    assert row["table"] == "(unknown table, file 16774)"
