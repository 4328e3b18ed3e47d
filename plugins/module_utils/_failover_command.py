# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`backup-ha failover`: the takeover for an administrator on the secondary, whose control node may be gone as well."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import signal
import sys
from typing import Any

from ._config import NodeConfig
from ._errors import BackupHaError, InDoubtError, RefusedError, problem_of
from ._failover import Report, describe
from ._postgres import SessionError
from ._takeover import Order, look, take_over

DONE, NOT_DONE, IN_DOUBT = 0, 1, 3
_CODES = {"done": DONE, "refused": NOT_DONE, "failed": NOT_DONE, "in_doubt": IN_DOUBT}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument(
        "--primary-is-off", action="store_true", help="my word that the silent primary is switched off and stays off"
    )
    parser.add_argument(
        "--max-loss-bytes", type=int, metavar="N", help="how many bytes of the primary's WAL may be missing here"
    )
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def run_command(config: NodeConfig, options: argparse.Namespace) -> int:
    """Look, ask, take over, and say what came of it."""
    order = Order(options.primary_is_off, options.max_loss_bytes, who=who())
    answer: dict[str, Any] = {"outcome": "done", "node": config.node, "reasons": []}
    try:
        if not options.yes:
            _confirm(config, order, quiet=options.json)
        # From here on the terminal may go away.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        takeover = take_over(config, order)
        answer.update({**takeover.as_dict(), "reasons": takeover.said(config.node)})
    except RefusedError as error:
        answer.update(outcome="refused", reasons=[str(error), *error.reasons], **error.details.get("report", {}))
        answer["reasons"] = [str(error), *error.reasons]
    except InDoubtError as error:
        answer.update(outcome="in_doubt", reasons=[str(error)])
    except (BackupHaError, SessionError) as error:
        answer.update(outcome="failed", reasons=[problem_of(error)])
    _print(config, answer, options.json)
    return _CODES[answer["outcome"]]


def who() -> str:
    """The person, also behind sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _confirm(config: NodeConfig, order: Order, quiet: bool) -> None:
    """Show what was found and ask. Raises RefusedError without a yes, or when there is nothing to agree to."""
    report = look(config, order)
    if report.refusals:
        raise RefusedError("Nothing was changed.", report.refusals, report=report.as_dict())
    if quiet or not sys.stdin.isatty():
        raise RefusedError(
            "Nothing was changed.",
            [*describe(report), "A failover has to be confirmed: backup-ha failover --yes."],
            report=report.as_dict(),
        )
    _show(report)
    sys.stdout.write(f"Make {config.node} the primary instead of {config.peer}? Type yes: ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() != "yes":
        raise RefusedError("Nothing was changed.", ["It was not confirmed."], report=report.as_dict())


def _show(report: Report) -> None:
    for line in describe(report):
        sys.stdout.write(f"{line}\n")


def _print(config: NodeConfig, answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(f"{json.dumps(answer, indent=2, sort_keys=True, default=str)}\n")
        return
    if answer["outcome"] == "done":
        for line in [*answer["reasons"], f"{config.node} is the primary and has the endpoint."]:
            sys.stdout.write(f"{line}\n")
        return
    for line in answer["reasons"]:
        sys.stderr.write(f"backup-ha: {line}\n")
