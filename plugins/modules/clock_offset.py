#!/usr/bin/python
# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: clock_offset
short_description: Measure a server's clock against the control node's
version_added: 0.1.0
description:
  - Asks the server for its time between two readings of the control node's clock, three times, and keeps the reading
    with the shortest round trip.
  - Runs on the control node as an action; nothing is copied to the server.
extends_documentation_fragment:
  - duet.backup_ha.attributes
  - duet.backup_ha.attributes.reads
author:
  - Duet contributors (@duet)
"""

EXAMPLES = r"""
- name: Measure the clock
  duet.backup_ha.clock_offset:
  register: clock
"""

RETURN = r"""
offset_s:
  description: Seconds by which the server's clock is ahead of the control node's.
  returned: success
  type: float
error_s:
  description: Half of the round trip, which bounds the error.
  returned: success
  type: float
"""
