# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an operation ended on a cluster, in one word, from how its tasks ended on each node. Pure."""

from __future__ import annotations

from typing import Any

OUTCOMES = ("done", "planned", "rolled_back", "in_doubt", "refused", "in_progress", "failed")
# What says that nothing was changed; the word of the outcome says it, too.
UNCHANGED = "Nothing was changed."


def word_of(node: dict[str, Any]) -> str:
    """How it ended on one node; ``lost`` when its connection broke."""
    failure = node.get("failure")
    if node.get("lost"):
        return "lost"
    if not failure:
        return "done"
    if failure.get("outcome") in OUTCOMES:
        return str(failure["outcome"])
    # Playbooks judge with assertions before they change anything.
    return "refused" if "assertion" in failure else "failed"


def reasons_of(name: str, node: dict[str, Any]) -> list[str]:
    """Why it did not work on one node, as sentences."""
    if node.get("lost"):
        return [f"The connection to {name} broke in the middle. duet.backup_ha.status says what is true."]
    failure = node.get("failure")
    if not failure:
        return []
    said = failure.get("reasons") or failure.get("msg") or "A task failed and did not say why."
    sentences = said if isinstance(said, list) else [said]
    found = (str(sentence).strip().removeprefix(UNCHANGED).strip() for sentence in sentences)
    return [sentence for sentence in found if sentence]


def outcome(
    nodes: dict[str, dict[str, Any]],
    leader: str | None = None,
    began: bool = False,
    passed: bool = False,
    changed: bool = False,
) -> tuple[str, list[str]]:
    """The word for the whole cluster, and the reasons, as sentences; none when it is done.

    ``nodes`` holds ``failure`` (the result of the task that failed) and ``lost`` for each; ``leader`` is the node that
    decides, as the giving one of a switchover; ``began``: something may have been changed; ``passed``: the point of no
    return is known to be behind; ``changed``: servers are not what they were, so nothing counts as refused.
    """
    words = {name: word_of(node) for name, node in nodes.items()}
    reasons = [reason for name in _leader_first(nodes, leader) for reason in reasons_of(name, nodes[name])]
    if leader and words.get(leader) not in (None, "done", "lost"):
        reasons = reasons_of(leader, nodes[leader])  # the other one only knows that nothing came of it
    word = _whole(words, leader, began, passed)
    word = "failed" if changed and word in ("refused", "in_progress") else word
    return word, list(dict.fromkeys(reasons))


def _leader_first(nodes: dict[str, Any], leader: str | None) -> list[str]:
    return sorted(nodes, key=lambda name: name != leader)


def _whole(words: dict[str, str], leader: str | None, began: bool, passed: bool) -> str:
    found = set(words.values())
    if found <= {"done"}:
        return "done"
    if "in_doubt" in found or passed:
        return "in_doubt"
    for word in ("in_progress", "rolled_back"):
        if word in found:
            return word
    if leader and words.get(leader) in ("refused", "failed"):
        return words[leader]
    if "lost" in found and began:
        return "in_doubt"
    return "failed" if "failed" in found else "refused"


def roles_after(
    word: str, before: tuple[str | None, str | None], wanted: tuple[str | None, str | None]
) -> dict[str, Any]:
    """Who is primary and secondary now, as far as it is known."""
    primary, secondary = wanted if word == "done" else (None, None) if word == "in_doubt" else before
    return {"primary": primary or None, "secondary": secondary or None}


def answer(
    operation: str,
    nodes: dict[str, dict[str, Any]],
    before: tuple[str | None, str | None],
    wanted: tuple[str | None, str | None],
    leader: str | None = None,
    began: bool = False,
    passed: bool = False,
    rehearsal: bool = False,
    changed: bool = False,
) -> dict[str, Any]:
    """The document for programs. A rehearsal that nothing speaks against is ``planned``, and changes no roles."""
    word, reasons = outcome(nodes, leader, began, passed, changed)
    word = "planned" if rehearsal and word == "done" else word
    return {"operation": operation, "outcome": word, "reasons": reasons, **roles_after(word, before, wanted)}
