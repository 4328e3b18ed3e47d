# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _system
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import BackupHaError
from ansible_collections.duet.backup_ha.plugins.modules import node_files
from ansible_collections.duet.backup_ha.plugins.modules.node_files import main, with_block

Run = Callable[..., dict[str, Any]]
OURS = "# BEGIN backup-ha\nours\n# END backup-ha\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", OURS),
        ("theirs\n", OURS + "theirs\n"),
        (OURS.replace("ours", "old\nlines") + "theirs\n", OURS + "theirs\n"),
        ("first\n" + OURS.replace("ours\n", "") + "last\n", "first\n" + OURS + "last\n"),
        # Half a block is somebody's; it is not completed by guessing where it ends.
        ("# BEGIN backup-ha\ntheirs\n", OURS + "# BEGIN backup-ha\ntheirs\n"),
    ],
)
def test_a_block_is_kept_between_its_markers(before: str, after: str) -> None:
    assert with_block(before, "ours\n\n") == after
    assert with_block(after, "ours") == after


def test_a_block_changes_nothing_else_of_the_file(run_module: Run, tmp_path: Path) -> None:
    file = tmp_path / "pg_hba.conf"
    file.write_text("theirs\n")
    file.chmod(0o640)
    wanted = {"blocks": {str(file): "ours"}}
    rehearsed = run_module(main, _check=True, _diff=True, **wanted)
    assert (file.read_text(), rehearsed["changed"], rehearsed["backups"]) == ("theirs\n", True, [])
    assert rehearsed["diff"][0]["after"] == OURS + "theirs\n"
    done = run_module(main, **wanted)
    assert file.read_text() == OURS + "theirs\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [Path(backup).read_text() for backup in done["backups"]] == ["theirs\n"]
    assert run_module(main, **wanted)["changed"] is False


def test_a_file_that_is_missing_is_named(run_module: Run, tmp_path: Path) -> None:
    file = tmp_path / "pg_hba.conf"
    failed = run_module(main, blocks={str(file): "ours"})
    assert failed["failed"] and failed["msg"] == f"{file} is missing; it gets lines of this cluster."


def test_systemd_reads_anew_also_what_an_interrupted_run_has_written(
    run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit, other = tmp_path / "system/some.service", tmp_path / "other"
    monkeypatch.setattr(node_files, "UNITS", str(unit.parent))
    monkeypatch.setattr(node_files, "RELOAD", tmp_path / "run/reload")
    asked: list[list[str]] = []

    def reload(argv: list[str]) -> None:
        asked.append(argv)
        if len(asked) == 1:
            raise BackupHaError("interrupted")

    monkeypatch.setattr(_system, "run", reload)
    files = [{"path": str(unit), "content": "[Unit]\n"}]
    assert run_module(main, _check=True, files=files)["changed"] and not asked
    assert run_module(main, files=files)["failed"] and unit.exists()
    assert run_module(main, files=files)["changed"] is False
    assert asked == [["systemctl", "daemon-reload"]] * 2
    assert run_module(main, files=[{"path": str(other), "content": ""}])["changed"]
    assert len(asked) == 2, "nothing of systemd's was changed"
