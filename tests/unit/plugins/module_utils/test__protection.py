"""The setting and the word about it: whose it is, whom it names, and when a standby may believe it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _protection
from ansible_collections.duet.backup_ha.plugins.module_utils._config import AgentConfig
from ansible_collections.duet.backup_ha.plugins.module_utils._protection import (
    change_setting,
    describe_waiting,
    is_lossless,
    kind_of_setting,
)
from ansible_collections.duet.backup_ha.tests.unit.plugins.stage import CONFIG

PREFERRED = replace(CONFIG, agent=AgentConfig("preferred", sync_grace=10.0))
REQUIRED = replace(CONFIG, agent=AgentConfig("required"))
WORD = {"node": CONFIG.peer, "timeline": 3, "protected": True, "since": 1.0, "why": ""}


@pytest.mark.parametrize(
    ("config", "word", "timeline", "silent_s", "believed"),
    [
        (PREFERRED, WORD, 3, 9.9, True),
        (PREFERRED, WORD, 3, 10.0, False),
        (PREFERRED, WORD, 3, None, False),
        (REQUIRED, WORD, 3, None, True),
        (REQUIRED, WORD, 3, 9000.0, True),
        (REQUIRED, WORD, 2, 1.0, True),
        (REQUIRED, WORD, 4, 1.0, False),
        (REQUIRED, WORD, None, 1.0, False),
        (REQUIRED, None, 3, 1.0, False),
        (REQUIRED, {**WORD, "protected": False}, 3, 1.0, False),
        (REQUIRED, {**WORD, "node": CONFIG.node}, 3, 1.0, False),
    ],
)
def test_when_a_standby_believes(
    config: Any, word: dict[str, Any] | None, timeline: int | None, silent_s: float | None, believed: bool
) -> None:
    assert is_lossless(config, word, timeline, silent_s) is believed


class Session:
    def __init__(self) -> None:
        self.said: list[str] = []

    def execute(self, statement: str) -> None:
        self.said.append(statement)


def test_the_setting_is_written_quoted_and_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = replace(CONFIG, peer='the "other" one\'s')
    path, session = tmp_path / "backup-ha-synchronous.conf", Session()
    monkeypatch.setattr(_protection, "setting_path", lambda _config: path)
    for on, wanted in ((True, '\'"the ""other"" one\'\'s"\''), (False, "''")):
        change_setting(config, session, on)  # type: ignore[arg-type]
        assert path.read_text(encoding="utf-8").splitlines()[1] == f"synchronous_standby_names = {wanted}"
    assert session.said == ["SELECT pg_reload_conf()"] * 2


@pytest.mark.parametrize(
    ("config", "setting", "alone", "said"),
    [
        (REQUIRED, "ours", True, f"Commits wait until {CONFIG.peer} is back."),
        (PREFERRED, "ours", True, f"Commits wait until {CONFIG.peer} is back, or for 10 s."),
        (REQUIRED, "ours", False, ""),
        (REQUIRED, "", True, ""),
        (REQUIRED, "somebody_else", True, ""),
    ],
)
def test_whether_anything_is_acknowledged(
    monkeypatch: pytest.MonkeyPatch, config: Any, setting: str, alone: bool, said: str
) -> None:
    value = f'"{CONFIG.peer}"' if setting == "ours" else setting
    monkeypatch.setattr(_protection, "one", lambda _session, query, *_more: value if "SHOW" in query else alone)
    assert describe_waiting(config, Session()) == said  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "kind"), [("", "none"), (f'"{CONFIG.peer}"', "ours"), (CONFIG.peer, "foreign"), ("*", "foreign")]
)
def test_whose_the_setting_is(value: str, kind: str) -> None:
    assert kind_of_setting(CONFIG, value) == kind
