# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a former primary comes to follow: whatever is found there, nothing is overwritten without a copy or a word."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils._errors import RefusedError
from ansible_collections.duet.backup_ha.plugins.module_utils._rejoin_plan import COPY, REWIND, plan_rejoin
from ansible_collections.duet.backup_ha.tests.unit.plugins.worlds import OTHER_SYSTEM, POSTGRESQL_UNIT, SYSTEM

MIB = 2**20


def local(**changed: Any) -> dict[str, Any]:
    """A former primary that runs as a standby and does not stream."""
    return {
        "node": "node1",
        "unit": POSTGRESQL_UNIT,
        "role": "secondary",
        "streaming": False,
        "system_identifier": SYSTEM,
        "unusable": False,
        "rewindable": True,
        "leftover_slot": False,
        **changed,
    }


def primary(**changed: Any) -> dict[str, Any]:
    return {"node": "node2", "in_recovery": False, "system_identifier": SYSTEM, "has_wal": True, **changed}


def fork(**changed: Any) -> dict[str, Any]:
    return {"missing": [], "needed_bytes": 80 * MIB, "free_bytes": 900 * MIB, "kept": False, **changed}


FULL = fork(free_bytes=79 * MIB)
GONE = fork(missing=["000000010000000000000003"])
# (this node, the other one, the fork, on a word to discard it, steps)
PLANS = [
    pytest.param(local(streaming=True), primary(), None, False, [], id="it streams"),
    pytest.param(local(streaming=True, leftover_slot=True), primary(), None, False, ["drop_slot"], id="a slot is left"),
    pytest.param(local(), primary(), None, False, ["await_streaming"], id="no fork, and it runs"),
    pytest.param(
        local(leftover_slot=True),
        primary(),
        None,
        False,
        ["drop_slot", "await_streaming"],
        id="no fork, a slot is left",
    ),
    pytest.param(local(role="stopped"), primary(), None, False, ["start"], id="no fork, and it is stopped"),
    pytest.param(local(), primary(has_wal=False), None, False, COPY, id="the primary no longer has the WAL"),
    pytest.param(local(), primary(), fork(), False, ["keep_fork", *REWIND], id="a fork"),
    pytest.param(local(role="stopped"), primary(), fork(), False, ["keep_fork", *REWIND], id="a fork, stopped cleanly"),
    pytest.param(local(rewindable=False), primary(), fork(), False, ["keep_fork", *COPY], id="it can't be rewound"),
    pytest.param(
        local(), primary(has_wal=False), fork(), False, ["keep_fork", *COPY], id="a fork, and the WAL after it is gone"
    ),
    pytest.param(local(), primary(), fork(kept=True), False, ["keep_fork", *REWIND], id="kept by an earlier run"),
    pytest.param(
        local(),
        primary(),
        fork(kept=True, free_bytes=0),
        False,
        ["keep_fork", *REWIND],
        id="kept, and the disk is full",
    ),
    pytest.param(
        local(), primary(), fork(), True, ["keep_fork", *REWIND], id="it is kept where it can be, word or not"
    ),
    pytest.param(local(), primary(), FULL, True, REWIND, id="given up for want of space"),
    pytest.param(local(), primary(), GONE, True, COPY, id="given up because a part is gone"),
    pytest.param(local(unusable=True), primary(), None, False, COPY, id="an interrupted rewind"),
    pytest.param(
        local(unusable=True, system_identifier=OTHER_SYSTEM), primary(), None, False, COPY, id="whatever it holds"
    ),
    pytest.param(local(role="stopped", system_identifier=None), primary(), None, False, COPY, id="no data directory"),
]


@pytest.mark.parametrize(("node", "other", "what", "discard", "steps"), PLANS)
def test_plans(
    node: dict[str, Any], other: dict[str, Any], what: dict[str, Any] | None, discard: bool, steps: list[str]
) -> None:
    assert plan_rejoin(node, other, what, discard) == steps


REFUSED = [
    pytest.param(local(role="primary"), primary(in_recovery=True), None, "it is the primary", id="the primary"),
    pytest.param(local(role="primary"), None, None, "it is the primary", id="the primary, alone"),
    pytest.param(local(role="primary"), primary(), None, "Both nodes accept writes", id="two writers"),
    pytest.param(local(), None, None, "does not answer", id="nobody to follow"),
    pytest.param(local(), primary(in_recovery=True), None, "backup-ha resume", id="no primary"),
    pytest.param(local(unusable=True), primary(in_recovery=True), None, "backup-ha resume", id="no primary to copy"),
    pytest.param(
        local(system_identifier=OTHER_SYSTEM), primary(), None, "backup_ha_erase_secondary", id="a foreign directory"
    ),
    pytest.param(local(), primary(), FULL, "80.0 MiB .* 79.0 MiB are free", id="too little disk"),
    pytest.param(local(), primary(), GONE, "a part of its WAL is gone", id="a part is gone"),
]


@pytest.mark.parametrize(("node", "other", "what", "words"), REFUSED)
def test_refusals(node: dict[str, Any], other: dict[str, Any] | None, what: dict[str, Any] | None, words: str) -> None:
    with pytest.raises(RefusedError) as raised:
        plan_rejoin(node, other, what)
    assert str(raised.value) == "Nothing was changed."
    (reason,) = raised.value.reasons
    assert re.search(words, reason)


def test_both_reasons_are_told() -> None:
    with pytest.raises(RefusedError) as raised:
        plan_rejoin(local(), primary(), fork(missing=["x"], free_bytes=0))
    assert len(raised.value.reasons) == 2


EVERYTHING = list(
    product(
        ("secondary", "stopped"), (True, False), (True, False), (True, False), (None, fork(), FULL, GONE), (True, False)
    )
)


@pytest.mark.parametrize(("role", "streaming", "rewindable", "has_wal", "what", "discard"), EVERYTHING)
def test_nothing_is_overwritten_without_a_copy_or_a_word(
    role: str, streaming: bool, rewindable: bool, has_wal: bool, what: dict[str, Any] | None, discard: bool
) -> None:
    try:
        node = local(role=role, streaming=streaming, rewindable=rewindable)
        steps = plan_rejoin(node, primary(has_wal=has_wal), what, discard)
    except RefusedError:
        assert what in (FULL, GONE) and not discard
        return
    overwrites = {"rewind", "copy"} & set(steps)
    if overwrites and what is not None:
        assert steps[0] == "keep_fork" or discard
    if overwrites or "start" in steps:
        assert steps[-1] == "start"
    if "rewind" in steps:
        assert steps.index("prepare_primary") < steps.index("stop") < steps.index("rewind")
        assert rewindable and has_wal
