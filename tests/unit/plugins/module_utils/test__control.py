# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control file, as real servers' pg_controldata prints it."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._control import parse_control_data
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError

# PostgreSQL 15 on Debian 12, a primary.
PRIMARY = """\
pg_control version number:            1300
Catalog version number:               202209061
Database system identifier:           7711032857674076380
Database cluster state:               in production
pg_control last modified:             Sun Nov 22 16:26:22 2026
Latest checkpoint location:           0/2000060
Latest checkpoint's REDO location:    0/2000028
Latest checkpoint's REDO WAL file:    000000010000000000000002
Latest checkpoint's TimeLineID:       1
Latest checkpoint's PrevTimeLineID:   1
Latest checkpoint's full_page_writes: on
Latest checkpoint's NextXID:          0:742
Latest checkpoint's oldestMulti's DB: 1
Latest checkpoint's oldestCommitTsXid:0
Time of latest checkpoint:            Sun Nov 22 16:26:22 2026
Minimum recovery ending location:     0/0
Min recovery ending loc's timeline:   0
End-of-backup record required:        no
wal_level setting:                    replica
wal_log_hints setting:                on
Bytes per WAL segment:                16777216
max_connections setting:              100
max_prepared_xacts setting:           0
max_locks_per_xact setting:           64
Data page checksum version:           0
Mock authentication nonce:            ffb0979b5ab8f24676ed7e5fdd5046cf582218df17f3dbc50b2eef5cb703b9e6
"""


def in_state(state: str) -> str:
    return PRIMARY.replace("in production", state)


def test_a_primary_s_control_file() -> None:
    assert parse_control_data(PRIMARY).as_dict() == {
        "state": "in production",
        "checkpoint_lsn": "0/2000060",
        "timeline": 1,
        "system_identifier": "7711032857674076380",
        "checksums": False,
        "wal_log_hints": True,
        "recovery_lsn": "0/0",
        "recovery_timeline": 0,
        "segment_bytes": 16777216,
        "standby_minimums": {"max_connections": 100, "max_prepared_transactions": 0, "max_locks_per_transaction": 64},
    }


def test_the_timeline_is_the_checkpoint_s_and_not_the_one_before() -> None:
    text = PRIMARY.replace("Latest checkpoint's TimeLineID:       1", "Latest checkpoint's TimeLineID:       27")
    assert parse_control_data(text).timeline == 27


def test_checksums_and_hints() -> None:
    text = PRIMARY.replace("version:           0", "version:           1").replace(
        "hints setting:                on", "hints setting: off"
    )
    control = parse_control_data(text)
    assert control.checksums and not control.wal_log_hints


# Whether the last record of a server in this state is a writer's shutdown checkpoint.
@pytest.mark.parametrize(
    ("state", "clean"),
    [
        ("starting up", False),
        ("shut down", True),
        ("shut down in recovery", False),
        ("shutting down", False),
        ("in crash recovery", False),
        ("in archive recovery", False),
        ("in production", False),
    ],
)
def test_states(state: str, clean: bool) -> None:
    assert parse_control_data(in_state(state)).stopped_cleanly_as_writer is clean


@pytest.mark.parametrize(
    "label",
    [
        "Database cluster state",
        "Latest checkpoint location",
        "Latest checkpoint's TimeLineID",
        "Database system identifier",
        "Data page checksum version",
        "wal_log_hints setting",
        "Minimum recovery ending location",
        "Min recovery ending loc's timeline",
        "Bytes per WAL segment",
    ],
)
def test_a_missing_line_is_named(label: str) -> None:
    text = "\n".join(line for line in PRIMARY.splitlines() if not line.startswith(f"{label}:"))
    with pytest.raises(BackupHaError, match=f"no line '{label}'") as raised:
        parse_control_data(text)
    assert raised.value.details["output"] == text


def test_another_language_is_not_guessed_at() -> None:
    with pytest.raises(BackupHaError, match="no line"):
        parse_control_data("Datenbank-Cluster-Status:  im Produktionsmodus\n")
