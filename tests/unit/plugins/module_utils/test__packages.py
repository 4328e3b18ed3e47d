"""What dpkg and apt say of packages, and when two servers would not have the same."""

from __future__ import annotations

import pytest
from ansible_collections.duet.backup_ha.plugins.module_utils import _packages
from ansible_collections.duet.backup_ha.plugins.module_utils._packages import describe_differences, read_policy

POLICY = """bacula-director:
  Installed: 9.6.7-7
  Candidate: 9.6.7-7+deb12u1
  Version table:
 *** 9.6.7-7 100
        100 /var/lib/dpkg/status
bacula-console:
  Installed: (none)
  Candidate: 9.6.7-7
  Version table:
nosuch:
  Installed: (none)
  Candidate: (none)
  Version table:
"""


def test_packages_that_are_removed_but_not_purged_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "postgresql-15 installed\nopenssl config-files\niproute2 installed\n"
    monkeypatch.setattr(_packages, "run", lambda _argv, **_options: said)
    assert _packages.missing_packages(["postgresql-15", "openssl", "nosuch"]) == ["openssl", "nosuch"]


def test_versions_that_are_there_or_would_come(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"bacula-director": "9.6.7-7", "bacula-console": "9.6.7-7"}
    assert read_policy(POLICY) == wanted
    monkeypatch.setattr(_packages, "run", lambda _argv, **_options: POLICY)
    assert _packages.package_versions(["bacula-director", "bacula-console", "nosuch"]) == wanted
    assert _packages.package_versions([]) == {}


@pytest.mark.parametrize(
    ("ours", "theirs", "differs"),
    [
        ("9.6.7-7", "9.6.7-7", False),
        ("9.6.7-7", "9.6.7-7+deb12u1", False),
        ("9.6.7-7", "1:9.6.7-8", False),
        ("9.6.7-7", "13.0.3-1", True),
        ("13.0.1", "13.0.2", True),
    ],
)
def test_only_other_sources_are_a_difference(ours: str, theirs: str, differs: bool) -> None:
    said = describe_differences("node1", {"a": ours, "b": "1"}, "node2", {"a": theirs, "c": "1"})
    assert [f"node2 has or would get a {theirs}, node1 {ours};" in line for line in said] == [True] * differs
