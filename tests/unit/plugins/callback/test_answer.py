# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that read the status get the answer on one stream and complaints on the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.duet.backup_ha.plugins.callback.answer import CallbackModule


class Screen:
    """What was shown, and where."""

    def __init__(self, callback: CallbackModule) -> None:
        self.shown: list[tuple[str, bool]] = []
        display: Any = SimpleNamespace(display=lambda text, stderr=False: self.shown.append((text, stderr)))
        callback._display = display


def result(**found: Any) -> Any:
    return SimpleNamespace(result=found, host=SimpleNamespace(get_name=lambda: "node1"))


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"msg": "Nothing was changed."}, "node1: Nothing was changed."),
        ({"msg": ["One.", "Two."]}, 'node1: ["One.", "Two."]'),
        ({}, "node1: failed"),
    ],
)
def test_a_failure_goes_to_the_standard_error(found: dict[str, Any], text: str) -> None:
    callback = CallbackModule()
    screen = Screen(callback)
    callback.v2_runner_on_failed(result(**found))
    callback.v2_runner_on_unreachable(result(**found))
    assert screen.shown == [(text, True)] * 2


def test_a_failure_that_is_ignored_is_none() -> None:
    callback = CallbackModule()
    screen = Screen(callback)
    callback.v2_runner_on_failed(result(msg="no"), ignore_errors=True)
    assert screen.shown == []
