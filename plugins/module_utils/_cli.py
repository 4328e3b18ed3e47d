# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The on-node command backup-ha: for the units, and for an administrator whose control node is gone."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext

from . import _before_start, _endpoint, _event_list, _failover_command, _file_command, _promotion
from ._abstain import abstain
from ._agent import work
from ._auto_rejoin_attempt import attempt
from ._clone import run_and_report
from ._config import NodeConfig, load_config, require_config
from ._deliver import deliver
from ._errors import BackupHaError, InDoubtError, RefusedError, problem_of
from ._events import told
from ._file_process import synchronize
from ._node_text import describe_node
from ._observe import observe_node
from ._operation import await_own_end
from ._postgres import SessionError
from ._rejoin import rejoin
from ._rejoin_outcome import report
from ._resume import resume


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


SHOWN = 5
OWN_REJOIN_S = 60.0
FOREVER_S = 10 * 365 * 24 * 3600.0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="backup-ha", description="This node of a backup server cluster.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    status = commands.add_parser("status", help="show what is true on this node now")
    status.add_argument("--json", action="store_true", help="everything, as JSON")
    resumed = commands.add_parser("resume", help="go on as primary, when the other node grants it")
    resumed.add_argument(
        "--patience", type=float, default=10.0, metavar="SECONDS", help="how long to ask (0: for ever)"
    )
    resumed.add_argument(
        "--alone",
        action="store_true",
        help="my word that the other node is not primary: it is lost and switched off, or follows",
    )
    _failover_command.add_arguments(commands.add_parser("failover", help="take over from a primary that is gone"))
    copied = commands.add_parser("clone", help="(unit) make this node a copy of the primary")
    copied.add_argument("--erase", action="store_true", help="databases of its own may be replaced")
    copied.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="for all but the copy itself")
    rejoined = commands.add_parser("rejoin", help="follow the other node, which became primary meanwhile")
    rejoined.add_argument("--check", action="store_true", help="say what would be done, and change nothing")
    rejoined.add_argument(
        "--discard-fork",
        action="store_true",
        help="my word that what only this node has may be lost if it can't be kept",
    )
    rejoined.add_argument(
        "--timeout", type=float, default=120.0, metavar="SECONDS", help="how long a stop or a start may take"
    )
    _event_list.add_arguments(commands.add_parser("events", help="list what has happened to this cluster"))
    _file_command.add_arguments(commands)
    commands.add_parser("agent", help="(unit) look once a second, and do what is needed")
    commands.add_parser("auto-rejoin", help="(unit) rejoin, when that is due, and keep account of it")
    commands.add_parser("abstain", help="(unit) tell the other node that this one has no usable copy")
    commands.add_parser("deliver", help="(unit) send events on to the cluster's database and to the hook")
    commands.add_parser("sync-files", help="(unit) capture or apply the workload's files, once")
    commands.add_parser("before-start", help="(unit) prepare a start of PostgreSQL")
    endpoint = commands.add_parser("endpoint", help="(unit) take, linger on or drop the cluster's address")
    endpoint.add_argument("verb", choices=["take", "linger", "drop"])
    return parser


def main(argv: list[str]) -> int:
    """Exit codes: 0 done, 1 not done (the sentence says why), 2 wrong usage, 3 begun and not known to be done."""
    options = build_parser().parse_args(argv)
    try:
        return _run(options)
    except InDoubtError as error:
        sys.stderr.write(f"backup-ha: {error}\n")
        return 3
    except RefusedError as error:
        sys.stderr.write(f"backup-ha: {error} {' '.join(error.reasons)}\n")
        return 1
    except BackupHaError as error:
        sys.stderr.write(f"backup-ha: {error}\n")
        return 1


def _run(options: argparse.Namespace) -> int:
    if options.command == "status":
        return _status(options.json)
    if options.command == "before-start":
        return _before_start.main([])
    config = require_config()
    if options.command in _UNITS:
        _UNITS[options.command](config, options)
        return 0
    if options.command in _WITH_CODE:
        return _WITH_CODE[options.command](config, options)
    if options.command == "resume":
        return _resume(config, options)
    return _rejoin(config, options)


def _resume(config: NodeConfig, options: argparse.Namespace) -> int:
    if options.alone:
        with told(config, "resume", _failover_command.who(), config.node) as ending:
            answer = resume(config, options.patience or FOREVER_S, True)
            if answer not in _SAID:
                ending.update(outcome="refused", reasons=[f"{config.node} stays read-only: {answer}."])
    else:
        answer = resume(config, options.patience or FOREVER_S, False)
    _say(f"{config.node}: {_SAID.get(answer, f'stays read-only: {answer}')}")
    return 0 if answer in _SAID else 1


def _keep_endpoint(config: NodeConfig, options: argparse.Namespace) -> None:
    if options.verb == "take":
        _promotion.endpoint_take_unit(config)
    elif options.verb == "linger":
        _promotion.endpoint_linger(config)
    else:
        _endpoint.delete(config.endpoint)


# What only systemd's units call.
_UNITS: dict[str, Callable[[NodeConfig, argparse.Namespace], object]] = {
    "agent": lambda config, _options: work(config),
    "abstain": lambda config, _options: abstain(config),
    "deliver": lambda config, _options: deliver(config),
    "clone": lambda config, options: run_and_report(config, options.erase, options.timeout),
    "endpoint": _keep_endpoint,
}


# What decides about the exit code itself.
_WITH_CODE: dict[str, Callable[[NodeConfig, argparse.Namespace], int]] = {
    "auto-rejoin": lambda config, _options: attempt(config),
    "config": _file_command.run_config,
    "diff": _file_command.run_diff,
    "events": lambda config, options: _event_list.run_command(config, options.json, options.since, options.limit),
    "failover": _failover_command.run_command,
    "sync-files": lambda config, _options: synchronize(config),
}


def _rejoin(config: NodeConfig, options: argparse.Namespace) -> int:
    # The terminal may vanish in the middle; the rewind ends all the same.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if not options.check:
        await_own_end("", OWN_REJOIN_S)
    try:
        with nullcontext() if options.check else told(config, "rejoin", _failover_command.who()):
            outcome = rejoin(config, options.timeout, options.discard_fork, options.check)
    except SessionError as error:
        raise BackupHaError(f"{problem_of(error)} Run it again.") from error
    for line in report(config, outcome, options.check):
        _say(line)
    return 0


_SAID = {"promoted": "is primary", "follows": "follows the other node"}


def _status(as_json: bool) -> int:
    observed = observe_node(load_config(), recent=SHOWN)
    if as_json:
        _say(json.dumps(observed, indent=2, sort_keys=True, default=str))
    else:
        for line in describe_node(observed):
            _say(line)
    return 0
