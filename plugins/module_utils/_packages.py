# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages of a server that is to become a node: which are there, and which versions it has or would get."""

from __future__ import annotations

import re

from ._system import run


def missing_packages(packages: list[str]) -> list[str]:
    """Those that are not installed, without the second that apt's own cache takes."""
    listed = run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", *packages], check=False)
    installed = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    return [name for name in packages if name not in installed]


def package_versions(packages: list[str]) -> dict[str, str]:
    """The installed version of each, else the one that would be installed; those that nobody offers are left out."""
    return read_policy(run(["apt-cache", "policy", *packages], check=False)) if packages else {}


def read_policy(text: str) -> dict[str, str]:
    """Pure: what ``apt-cache policy`` prints.

    >>> read_policy("bacula-director:\\n  Installed: (none)\\n  Candidate: 9.6.7-7\\n  Version table:\\n")
    {'bacula-director': '9.6.7-7'}
    """
    found = {}
    for name, installed, candidate in re.findall(
        r"^(\S+):\n +Installed: (\S+)\n +Candidate: (\S+)$", text, re.MULTILINE
    ):
        version = installed if installed != "(none)" else candidate
        if version != "(none)":
            found[name] = version
    return found


def upstream(version: str) -> str:
    """Without Debian's epoch and revision: what another build of the same sources shares.

    >>> upstream("1:9.6.7-7+deb12u1")
    '9.6.7'
    """
    return version.rpartition(":")[2].rpartition("-")[0] or version.rpartition(":")[2]


def describe_differences(first: str, ours: dict[str, str], second: str, theirs: dict[str, str]) -> list[str]:
    """Pure: packages of which two servers have, or would get, different upstream versions, as sentences."""
    return [
        f"{second} has or would get {name} {theirs[name]}, {first} {ours[name]}; the version must be the same, because "
        "both work on one database. Install the same version, or give both the same package sources."
        for name in sorted(ours.keys() & theirs.keys())
        if upstream(ours[name]) != upstream(theirs[name])
    ]
