"""Which settings need a restart, and which PostgreSQL does not accept."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _settings
from ansible_collections.duet.backup_ha.plugins.module_utils._config import Postgresql
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._settings import restarts_for, survey_settings

SERVER = Postgresql("15", "main", 5432, "/var/lib/postgresql/15/main")
OURS = {"hot_standby": "on", "listen_addresses": "*", "wal_log_hints": "on", "wal_level": "replica"}


@pytest.mark.parametrize(
    ("present", "wanted", "found"),
    [
        (OURS, {}, []),
        ({**OURS, "listen_addresses": "localhost"}, {}, ["listen_addresses = *"]),
        ({**OURS, "hot_standby": "off"}, {}, ["hot_standby = on"]),
        ({**OURS, "wal_level": "minimal"}, {}, ["wal_level = replica"]),
        ({**OURS, "wal_level": "logical"}, {}, []),
        ({**OURS, "wal_level": "logical"}, {"wal_level": "replica"}, ["wal_level = replica"]),
        ({**OURS, "shared_buffers": "16384"}, {"shared_buffers": "262144"}, ["shared_buffers = 262144"]),
        ({**OURS, "shared_buffers": "262144"}, {"shared_buffers": "262144"}, []),
        # work_mem is not among those that only a restart changes.
        (OURS, {"work_mem": "64"}, []),
        ({**OURS, "listen_addresses": "localhost"}, {"listen_addresses": "localhost"}, []),
    ],
)
def test_what_needs_a_restart(present: dict[str, str], wanted: dict[str, str], found: list[str]) -> None:
    assert restarts_for(present, wanted) == found


def test_values_are_compared_as_postgresql_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_server: Postgresql, name: str, value: str) -> str:
        if name == "typo":
            raise BackupHaError(
                "'runuser …' failed with exit code 1: 2026-01-01 UTC [7] FATAL:  unrecognized parameter \"typo\""
            )
        return {"2GB": "262144", "True": "on"}[value]

    monkeypatch.setattr(_settings, "as_postgresql_reads", read)
    present = {**OURS, "shared_buffers": "16384", "wal_log_hints": "on"}
    wanted = {"shared_buffers": "2GB", "wal_log_hints": True, "typo": 5}
    assert survey_settings(SERVER, present, wanted) == (
        ["shared_buffers = 262144"],
        ['typo = 5: unrecognized parameter "typo"'],
    )


def test_postgresql_itself_is_asked() -> None:
    asked: list[list[str]] = []

    def ask(argv: list[str]) -> str:
        asked.append(argv)
        return "262144\n"

    assert _settings.as_postgresql_reads(SERVER, "shared_buffers", "2GB", ask) == "262144"
    assert asked[0][-4:] == ["-C", "shared_buffers", "-c", "shared_buffers=2GB"]
