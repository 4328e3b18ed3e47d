"""Programs get an outcome also when the checks of the inventory fail, which come before everything that is rescued."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
VARIABLES = {
    "backup_ha_cluster": "vault",
    "backup_ha_endpoint_address": "192.0.2.10",
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
}


def play(folder: Path, operation: str, hosts: tuple[str, ...], options: tuple[str, ...], **changed: Any) -> Any:
    """Run a playbook on hosts that are none; its exit code and its statistics, None without any."""
    variables = {name: value for name, value in {**VARIABLES, **changed}.items() if value is not None}
    vault = {"hosts": {host: {} for host in hosts}, "vars": variables}
    inventory = folder / "inventory.yml"
    document = {"all": {"children": {"backup_ha": {"children": {"vault": vault}}}}}
    inventory.write_text(yaml.safe_dump(document), encoding="utf-8")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    settings = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SHOW_CUSTOM_STATS": "1",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    argv = [program, "-i", str(inventory), f"duet.backup_ha.{operation}", *options]
    done = subprocess.run(
        argv, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, timeout=120, check=False
    )
    found = re.search(r"^\tRUN: (\{.*\})$", done.stdout, re.MULTILINE)
    return done.returncode, json.loads(found[1])["backup_ha"] if found else None


@pytest.mark.parametrize(
    ("operation", "hosts", "options", "changed", "keys"),
    [
        ("switchover", ("a", "b", "c"), (), {}, {"vault"}),
        ("failover", ("a", "b"), (), {"backup_ha_synchronous": "perhaps"}, {"vault"}),
        ("rejoin", ("a", "b"), (), {"backup_ha_cluster": None}, {"a", "b"}),
        ("assemble", ("a", "b"), ("--limit", "a"), {}, {"vault"}),
    ],
)
def test_an_outcome_is_said(
    tmp_path: Path,
    operation: str,
    hosts: tuple[str, ...],
    options: tuple[str, ...],
    changed: dict[str, Any],
    keys: set[str],
) -> None:
    code, said = play(tmp_path, operation, hosts, options, **changed)
    assert code != 0 and set(said) == keys
    for answer in said.values():
        assert (answer["operation"], answer["outcome"]) == (operation, "refused")
        assert len(answer["reasons"]) == 1 and answer["primary"] is answer["secondary"] is None


def test_what_is_no_operation_has_no_outcome(tmp_path: Path) -> None:
    code, said = play(tmp_path, "status", ("a", "b"), (), backup_ha_synchronous="perhaps")
    assert code != 0 and said is None
