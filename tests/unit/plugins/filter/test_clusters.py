"""A playbook runs on a group that has hosts, or says in one sentence why it does not run."""

from __future__ import annotations

import pytest
from ansible import context
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.collections import ImmutableDict
from ansible_collections.duet.backup_ha.plugins.filter.clusters import FilterModule, clusters

GROUPS = {"all": ["a1", "a2", "gw"], "ungrouped": ["gw"], "backup_ha": ["a1", "a2"], "a": ["a1", "a2"], "b": []}


def test_a_group_with_hosts() -> None:
    assert clusters(GROUPS) == "backup_ha"
    assert clusters(GROUPS, "a") == "a"
    assert FilterModule().filters() == {"clusters": clusters}


@pytest.mark.parametrize(
    ("groups", "wanted", "words"),
    [
        (GROUPS, "typo", ["group typo", "with hosts are: a.", "backup_ha_cluster"]),
        (GROUPS, "b", ["group b", "with hosts are: a."]),
        ({"all": [], "ungrouped": []}, "a", ["with hosts are: none"]),
        ({"all": [], "ungrouped": []}, "", ["group backup_ha", "-i", "-e backup_ha_cluster=NAME"]),
        ({**GROUPS, "backup_ha": []}, "", ["group backup_ha"]),
    ],
)
def test_no_host_is_an_error(groups: dict[str, list[str]], wanted: str, words: list[str]) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        clusters(groups, wanted)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_check_of_the_syntax_needs_no_inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "CLIARGS", ImmutableDict(syntax=True))
    assert clusters({"all": [], "ungrouped": []}, "") == "backup_ha"
