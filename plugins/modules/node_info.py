#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Read the state of one node of a cluster
version_added: 0.1.0
description:
  - Reads what is true on this node now. The role, the timeline, WAL positions, slots, senders and receiver, lag in
    bytes and seconds, services, the endpoint, versions and the operation under way.
  - Changes no data. Works on a server that is no node too, and on a node whose PostgreSQL is stopped.
options:
  jobs:
    description: Whether to ask the workload how many jobs it runs, which may take seconds.
    type: bool
    default: false
  measure_stop:
    description:
      - For how many seconds to measure what a stop of this primary would take; V(0) leaves it. It writes two
        checkpoints, which write earlier what has to be written anyway.
    version_added: 0.2.0
    type: int
    default: 0
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.reads
  - duet.backup_ha.attributes.node
seealso:
  - module: duet.backup_ha.server_info
"""

EXAMPLES = r"""
- name: Look at this node
  duet.backup_ha.node_info:
  register: node

- name: Say its role
  ansible.builtin.debug:
    msg: "{{ node.node.node }} is {{ node.node.role }} on timeline {{ node.node.postgresql.timeline }}"
"""

RETURN = r"""
node:
  description: What is true on this node.
  returned: success
  type: dict
  contains:
    node: {type: str, sample: node1, description: "The node's name in its cluster, or the host name of a server that
      is no node."}
    assembled: {type: bool, description: Whether this server is a node of a cluster.}
    cluster: {type: str, sample: vault, description: The name of its cluster.}
    role: {type: str, sample: primary, description: "V(primary) accepts writes, V(secondary) is in recovery,
      V(stopped) has no server running, V(none) no PostgreSQL."}
    time: {type: float, description: "The node's clock, in seconds since the epoch."}
    postgresql:
      description: The PostgreSQL server. On a server that is no node, C(running) alone.
      type: dict
      contains:
        running: {type: bool, description: Whether the server runs.}
        accepting: {type: bool, description: "Whether it lets a session in. Positions, senders, receiver, slots,
          archive and versions are missing when it does not."}
        problem: {type: str, description: "Why it lets nobody in, or why its files could not be read."}
        unit: {type: str, sample: postgresql@15-main.service, description: Its systemd unit.}
        data_directory: {type: str, description: Where its data is.}
        control:
          description: What its control file says, which needs no running server. Empty where there is none.
          type: dict
          contains:
            state: {type: str, sample: in production, description: The state in C(pg_controldata)'s words.}
            checkpoint_lsn: {type: str, sample: 0/30134E0, description: Where the last checkpoint is in the WAL.}
            timeline: {type: int, description: The timeline of the last checkpoint.}
            system_identifier: {type: str, description: What a server and its copies have in common.}
            checksums: {type: bool, description: Whether data pages have checksums.}
            wal_log_hints: {type: bool, description: "Whether C(wal_log_hints) is on, which C(pg_rewind) needs where
              there are no checksums."}
            recovery_lsn: {type: str, sample: 0/30134E0, description: Up to where a standby has to replay to be
              consistent; V(0/0) on a primary.}
            recovery_timeline: {type: int, description: The timeline of C(recovery_lsn); 0 on a primary.}
            segment_bytes: {type: int, description: "The size of one WAL file, in bytes."}
            standby_minimums: {type: dict, description: "For each parameter that a standby needs at least as large
              as its primary, the primary's value."}
        past:
          description: The timelines that the data came along, the present one last.
          type: list
          elements: dict
          contains:
            timeline: {type: int, description: The timeline.}
            begin: {type: int, description: "Where in the WAL it began, as a number of bytes."}
            end: {type: int, description: "Where the next one began, as a number of bytes; empty on the present
              one."}
        in_recovery: {type: bool, description: "Whether it is a standby, which accepts no writes. Guessed from the
          control file when it lets nobody in."}
        timeline: {type: int, description: The timeline that it writes or follows.}
        lsn: {type: str, sample: 0/30134E0, description: "The end of its WAL. What a primary has written, what a
          standby has received or replayed."}
        replay_lsn: {type: str, sample: 0/30134E0, description: Up to where a standby has replayed; the same as
          C(lsn) on a primary.}
        lag_bytes: {type: int, description: How many bytes of WAL a standby knows of and has not replayed; 0 on a
          primary.}
        replay_age_s: {type: float, description: Seconds since the last transaction that a standby has replayed was
          committed. It grows while nobody writes.}
        wal_bytes: {type: int, description: "The size of all its WAL files, in bytes."}
        system_identifier: {type: str, description: "The same as in C(control), from the running server."}
        version: {type: str, sample: "15.20 (Debian 15.20-0+deb12u1)", description: "Its version, as it says it."}
        version_num: {type: int, sample: 150020, description: The same as a number.}
        senders:
          description: Who streams WAL from it. Empty on a standby.
          type: list
          elements: dict
          contains:
            pid: {type: int, description: The process that sends.}
            user: {type: str, sample: backup_ha, description: As which role they stream; V(backup_ha) is the
              cluster's own.}
            application_name: {type: str, description: How they call themselves; the secondary by its name.}
            client_address: {type: str, description: Where they are.}
            state: {type: str, sample: streaming, description: "PostgreSQL's word for it, V(streaming) when it is in
              step."}
            sync_state: {type: str, sample: async, description: "Whether commits wait for it, in PostgreSQL's
              words."}
            sent_lsn: {type: str, sample: 0/30134E0, description: Up to where WAL was sent.}
            write_lsn: {type: str, sample: 0/30134E0, description: Up to where they have written it.}
            flush_lsn: {type: str, sample: 0/30134E0, description: Up to where they have it on disk.}
            replay_lsn: {type: str, sample: 0/30134E0, description: Up to where they have replayed it; empty for
              those that replay nothing.}
            lag_bytes: {type: int, description: How many bytes of WAL they have not replayed; empty for those that
              replay nothing.}
            lag_s: {type: float, description: How many seconds it took lately until they had replayed; 0 when
              PostgreSQL has not measured it.}
        receiver:
          description: From whom a standby receives WAL; empty when it does not.
          type: dict
          contains:
            status: {type: str, sample: streaming, description: PostgreSQL's word for it.}
            sender_host: {type: str, description: The address of the sender.}
            slot: {type: str, description: The slot there that keeps WAL for this node.}
            timeline: {type: int, description: The timeline that is received.}
            flushed_lsn: {type: str, sample: 0/30134E0, description: Up to where WAL is on disk here.}
            latest_end_lsn: {type: str, sample: 0/30134E0, description: The end of WAL that the sender has told
              last.}
            silent_s: {type: float, description: Seconds since the sender's last message.}
        slots:
          description: Its replication slots.
          type: list
          elements: dict
          contains:
            name: {type: str, sample: backup_ha_node2, description: The slot's name.}
            type: {type: str, description: V(physical) or V(logical).}
            active: {type: bool, description: Whether somebody streams through it now.}
            restart_lsn: {type: str, sample: 0/30134E0, description: From where on it keeps WAL.}
            wal_status: {type: str, sample: reserved, description: "Whether that WAL is still there, in PostgreSQL's
              words; V(lost) when not."}
            kept_bytes: {type: int, description: How many bytes of WAL it keeps; empty for a slot that was never
              used.}
        archive:
          description: The archiving of WAL.
          type: dict
          contains:
            mode: {type: str, sample: "off", description: The setting C(archive_mode).}
            failed_count: {type: int, description: How many attempts have failed since the statistics were reset.}
            last_failed_wal: {type: str, description: The file that failed last.}
            failing: {type: bool, description: Whether the last attempt has failed.}
            waiting: {type: int, description: How many files wait.}
        settings: {type: dict, description: "The parameters that a standby needs at least as large as its primary,
          and C(max_slot_wal_keep_size) in MB, as text."}
    services: {type: dict, description: "The primary target, the endpoint, PostgreSQL and the workload's units by
      name, each with C(active), C(sub) and C(enabled) in systemd's words; C(active) is V(not-found) for a unit that
      is not installed."}
    endpoint: {type: dict, description: "The endpoint's C(address), and whether this node has it (C(held)). Empty on
      a server that is no node."}
    operation:
      description: The operation under way or left over; empty when there is none.
      type: dict
      contains:
        id: {type: str, description: What identifies it.}
        kind: {type: str, sample: switchover, description: Its name.}
        target: {type: str, description: "The node that becomes primary, where one does."}
        step: {type: str, sample: stop_primary, description: What this node has begun last; empty when nothing.}
        by: {type: str, description: "Who runs it, and where."}
        controller: {type: str, description: Which process on which control node runs it.}
        started: {type: float, description: "When it began, in seconds since the epoch."}
        renewed: {type: float, description: "Its last sign of life, in seconds since the epoch."}
        boot: {type: str, description: This node's boot that it began in.}
        age_s: {type: float, description: Seconds since its last sign of life.}
    jobs: {type: int, description: "How many jobs the workload runs on this node. Empty without O(jobs), and when it
      does not run here or does not say."}
    jobs_unknown: {type: bool, description: "Whether the workload runs here, was asked, and did not say how many
      jobs it runs."}
    stop:
      description: What was measured for O(measure_stop), in seconds. Each is empty when it can't be told.
      type: dict
      contains:
        flush_s: {type: float, description: "How long both checkpoints took, or, when they did not end in time, how
          long they were waited for."}
        checkpoint_s: {type: float, description: How long the second one took.}
        archive_file_s: {type: float, description: How long archiving one WAL file takes.}
        workload_s: {type: float, description: How long the workload's last stop on this node took.}
    unusable: {type: bool, description: Whether a rewind of this node was begun and has not ended. PostgreSQL must
      not start then.}
    agent: {type: str, sample: active, description: The state of the unit C(backup-ha-agent.service).}
    protection:
      description: Whether commits wait for the secondary; empty where they are not wanted to.
      type: dict
      contains:
        wanted: {type: str, sample: preferred, description: What C(backup_ha_synchronous) says.}
        word:
          description: The last word about it in the stream; empty when there was none yet.
          type: dict
          contains:
            node: {type: str, description: The primary that gave it.}
            timeline: {type: int, description: The timeline that it is about.}
            protected: {type: bool, description: Whether commits wait.}
            since: {type: float, description: "Since when, in epoch seconds."}
            why: {type: str, description: Why.}
        waiting: {type: str, description: "A sentence while no commit is acknowledged, because the secondary is away."}
    rejoin:
      description: How this node rejoins by itself when it can't follow; missing on a server that is no node.
      type: dict
      contains:
        wanted: {type: bool, description: What C(backup_ha_auto_rejoin) says.}
        works: {type: bool, description: Whether it does so at this moment.}
        attempts:
          description: The attempts so far; empty without any, and when the node has followed for a while.
          type: dict
          contains:
            mark: {type: str, description: What keeps it from following.}
            attempts: {type: int, description: How many there were.}
            outcome:
              description: Of the last one, V(running), V(done), V(failed), V(silent) or V(declined).
              type: str
              sample: failed
            at: {type: float, description: "When that was, in epoch seconds."}
            boot: {type: str, description: The machine's boot in which it was made.}
            problem: {type: str, description: Why it failed.}
            next_at: {type: float, description: When the next one is due; empty for never.}
    events:
      description: What has happened last to the cluster, as far as this node knows; the last event last.
      type: list
      elements: dict
      contains:
        id: {type: str, description: What identifies it on every way.}
        at: {type: float, description: "When it happened, in seconds since the epoch."}
        kind: {type: str, sample: role_changed, description: What happened.}
        severity: {type: str, description: "V(info), V(warning) or V(error)."}
        cluster: {type: str, description: The cluster.}
        node: {type: str, description: The node that tells it.}
        message: {type: str, description: A sentence.}
        details: {type: dict, description: "The same for programs; see docs/events.md."}
    files:
      description: How the workload's files on this node compare with those in the stream; empty where that can't be
        told, as on a node whose PostgreSQL does not answer.
      type: dict
      contains:
        drift:
          description: What differs.
          type: list
          elements: dict
          contains:
            path: {type: str, sample: /etc/bacula/bacula-dir.conf, description: The file.}
            how: {type: str, sample: changed, description: "V(changed), V(missing) on this node, or V(extra), which is
              not in the stream."}
            age_s: {type: float, description: "For how many seconds; the last few are on their way."}
        problems: {type: dict, description: "For each file that can't be replicated, why, as a sentence."}
    waits: {type: str, description: "Why a former primary stays read-only, while it asks whether it may go on."}
    versions: {type: dict, description: The versions of C(postgresql) and C(workload).}
outcome:
  description: V(refused) when nothing was changed, else V(failed).
  returned: failure
  type: str
reasons:
  description: Why it failed, as sentences.
  returned: failure
  type: list
  elements: str
duration:
  description: How many seconds the module took.
  returned: success
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.duet.backup_ha.plugins.module_utils._config import load_config
from ansible_collections.duet.backup_ha.plugins.module_utils._module import run_module
from ansible_collections.duet.backup_ha.plugins.module_utils._observe import observe_node
from ansible_collections.duet.backup_ha.plugins.module_utils._stop_measure import measure_stop

RECENT_EVENTS = 5
ARGUMENTS = {"jobs": {"type": "bool", "default": False}, "measure_stop": {"type": "int", "default": 0}}


def body(module: AnsibleModule) -> dict[str, Any]:
    config = load_config()
    node = observe_node(config, ask_jobs=module.params["jobs"], recent=RECENT_EVENTS)
    patience = module.params["measure_stop"]
    node["stop"] = measure_stop(config, node["role"] == "primary", patience) if config and patience else None
    return {"changed": False, "node": node}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True), body)


if __name__ == "__main__":
    main()
