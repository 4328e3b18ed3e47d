"""An assembly turns a server into a node only when the other one copies it, and knows from when on servers change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
BEGIN = ROOT / "roles/pair/tasks/begin.yml"
# What the other node's task said, by the primary's name. Nothing when an earlier task of it failed.
SAID: dict[str, dict[str, Any]] = {
    "copies": {"changed": True, "job": "backup-ha-clone.service"},
    "is_copy": {"changed": False, "job": ""},
    "failed": {"failed": True, "msg": "PostgreSQL on node1 does not answer."},
    "refused": {"failed": True, "outcome": "refused"},
    "unreachable": {"unreachable": True, "msg": "no route"},
    "nothing": {},
}
PLAY = {
    "hosts": "primaries",
    "gather_facts": False,
    "tasks": [
        {
            "block": [{"import_tasks": str(BEGIN)}, {"debug": {"msg": "GOES ON: {{ inventory_hostname }}"}}],
            "rescue": [{"debug": {"msg": "STOPS: {{ ansible_failed_result.msg }}"}}],
        }
    ],
}


def host(name: str) -> dict[str, Any]:
    return {"__backup_ha_peer": f"peer_{name}", "__node_is_primary": True, "ansible_connection": "local"}


def test_the_primary_goes_on_only_when_it_is_copied(tmp_path: Path) -> None:
    peers = {f"peer_{name}": {"__pair_copy": said} if said else {} for name, said in SAID.items()}
    groups = {"primaries": {"hosts": {name: host(name) for name in SAID}}, "peers": {"hosts": peers}}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"children": groups}}), encoding="utf-8")
    (tmp_path / "play.yml").write_text(yaml.safe_dump([PLAY]), encoding="utf-8")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", str(tmp_path / "hosts.json"), str(tmp_path / "play.yml")]
    settings = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build/tree"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | settings, check=False)
    assert {name for name in SAID if f"GOES ON: {name}" in done.stdout} == {"copies", "is_copy"}, done.stdout
    for name in ("failed", "refused", "unreachable", "nothing"):
        assert f"STOPS: peer_{name} has not begun to copy {name}" in " ".join(done.stdout.split()), done.stdout


def test_what_comes_before_and_after() -> None:
    (block,) = yaml.safe_load((ROOT / "roles/assemble/tasks/pair.yml").read_text(encoding="utf-8"))
    names = [task["name"] for task in block["block"]]
    assert names.index("Begin to copy the primary") + 1 == names.index("Put the units in place meanwhile")
    marks = [number for number, task in enumerate(block["block"]) if "__assemble_changes" in str(task)]
    assert marks == [names.index("Begin the operation") + 1] == [names.index("Set up each node") - 1]
