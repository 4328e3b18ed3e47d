"""What every playbook promises: a server that is dead, and closes no connection, holds nobody up for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_dead_server_is_noticed(path: Path) -> None:
    for play in yaml.safe_load(path.read_text(encoding="utf-8")):
        assert play["vars"]["ansible_ssh_timeout"] == 3
        assert play["vars"]["ansible_ssh_extra_args"] == "{{ backup_ha_ssh_arguments }}"


def test_ssh_asks_whether_the_server_is_still_there() -> None:
    defaults = yaml.safe_load((ROOT / "roles/cluster/defaults/main.yml").read_text(encoding="utf-8"))
    assert "ServerAliveInterval=5" in defaults["backup_ha_ssh_arguments"]
    assert "ServerAliveCountMax=3" in defaults["backup_ha_ssh_arguments"]
    assert len(PLAYBOOKS) >= 5
