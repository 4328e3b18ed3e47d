#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_files
short_description: Put the node's own files in place, all in one call
version_added: 0.1.0
description:
  - Writes configuration files, units and certificates, and installs the collection's node library, which is the
    very code
    that the modules run, for the units and the on-node command C(backup-ha).
  - Files are replaced atomically. Nothing is written when nothing differs. When a unit was written, systemd reads its
    units again.
options:
  files:
    description: What to write.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The absolute path.
        type: path
        required: true
      content:
        description: The whole content.
        type: str
        required: true
      mode:
        description: The permission bits, in octal.
        type: str
        default: "0644"
      group:
        description: The group that owns the file; the owner is root.
        type: str
        default: root
  links:
    description: Symbolic links to make, each path with its target.
    type: dict
    default: {}
  blocks:
    description:
      - Lines to keep between markers at the beginning of an existing file, each path with its lines.
      - The file keeps its owner and mode; a copy of it is made beside it before it changes.
    type: dict
    default: {}
  absent:
    description: Files or links to remove.
    type: list
    elements: path
    default: []
  library:
    description: Whether to install the node library and the command C(backup-ha).
    type: bool
    default: false
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.changes
attributes:
  diff_mode:
    support: full
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
- name: Install the library and a unit
  duet.backup_ha.node_files:
    library: true
    files:
      - path: /etc/systemd/system/backup-ha-primary.target
        content: "{{ lookup('ansible.builtin.template', 'primary.target.j2') }}"
"""

RETURN = r"""
written:
  description: Paths that were (in check mode, would be) written, linked or removed.
  returned: success
  type: list
  elements: str
backups:
  description: The copies that were made.
  returned: success
  type: list
  elements: str
outcome:
  description: V(failed).
  returned: failure
  type: str
reasons:
  description: Why it failed, as sentences.
  returned: failure
  type: list
  elements: str
duration:
  description: How many seconds the module took.
  returned: success
  type: float
"""

import grp
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils import _system
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._node_library import library_files

BEGIN = "# BEGIN backup-ha\n"
END = "# END backup-ha\n"
UNITS = "/etc/systemd/system/"
# There while systemd has not read anew what was changed: whoever was interrupted in between finds nothing to change.
RELOAD = Path("/run/backup-ha/reload")
ARGUMENTS = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0644"},
            "group": {"type": "str", "default": "root"},
        },
    },
    "blocks": {"type": "dict", "default": {}},
    "links": {"type": "dict", "default": {}},
    "absent": {"type": "list", "elements": "path", "default": []},
    "library": {"type": "bool", "default": False},
}


def differs(wanted: dict[str, str]) -> bool:
    path = Path(wanted["path"])
    try:
        status = path.stat()
        mode = status.st_mode & 0o7777
        same_owner = status.st_uid == 0 and grp.getgrgid(status.st_gid).gr_name == wanted["group"]
        return not (same_owner and mode == int(wanted["mode"], 8) and path.read_text("utf-8") == wanted["content"])
    except FileNotFoundError:
        return True


def write(wanted: dict[str, str]) -> None:
    path = Path(wanted["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    _system.write_durably(path, wanted["content"], mode=int(wanted["mode"], 8))
    os.chown(path, 0, grp.getgrnam(wanted["group"]).gr_gid)


def with_block(text: str, block: str) -> str:
    """The text with these lines between the markers: where they were, else at the beginning.

    >>> with_block("a\\n", "b\\n")
    '# BEGIN backup-ha\\nb\\n# END backup-ha\\na\\n'
    """
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not (begin and end):
        before, after = "", text
    return f"{before}{BEGIN}{block.rstrip()}\n{END}{after}"


def rewrite(module: AnsibleModule, path: str, content: str) -> str:
    """Replace the file's content and nothing else of it. Returns the path of the copy of the old one."""
    backup: str = module.backup_local(path)
    descriptor, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)
    module.atomic_move(temporary, path)
    return backup


def points_to(path: str, target: str) -> bool:
    return os.path.islink(path) and os.readlink(path) == target


def link(path: str, target: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(target, path)


def difference(path: str, content: str) -> dict[str, str]:
    before = Path(path).read_text("utf-8") if os.path.exists(path) else ""
    return {"before_header": path, "after_header": path, "before": before, "after": content}


def read_whole(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except FileNotFoundError as error:
        raise BackupHaError(f"{path} is missing; it gets lines of this cluster.") from error


def body(module: AnsibleModule) -> dict[str, Any]:
    shown = list(module.params["files"])
    hidden = library_files() if module.params["library"] else []
    changed = [wanted for wanted in [*hidden, *shown] if differs(wanted)]
    before = {path: read_whole(path) for path in module.params["blocks"]}
    after = {path: with_block(before[path], block) for path, block in module.params["blocks"].items()}
    blocks = {path: content for path, content in after.items() if content != before[path]}
    diff = [difference(wanted["path"], wanted["content"]) for wanted in changed if wanted not in hidden]
    diff += [difference(path, content) for path, content in blocks.items()]
    links = {path: to for path, to in module.params["links"].items() if not points_to(path, to)}
    removed = [path for path in module.params["absent"] if os.path.lexists(path)]
    paths = [*(wanted["path"] for wanted in changed), *blocks, *links, *removed]
    backups = []
    if not module.check_mode:
        if any(path.startswith(UNITS) for path in paths):
            RELOAD.parent.mkdir(parents=True, exist_ok=True)
            RELOAD.touch()
        for wanted in changed:
            write(wanted)
        backups = [rewrite(module, path, content) for path, content in blocks.items()]
        for path, target in links.items():
            link(path, target)
        for path in removed:
            os.unlink(path)
        if RELOAD.exists():
            _system.run(["systemctl", "daemon-reload"])
            RELOAD.unlink()
    return {"changed": bool(paths), "written": paths, "backups": backups, "diff": diff}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body, step="write_files")


if __name__ == "__main__":
    main()
