# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether files of the stream may be written to the disk now: not while roles change, nor on a former primary."""

from __future__ import annotations

import time

from ._operation import boot_id, is_left_over, read_operation
from ._primary_memory import was_primary


def may_apply() -> bool:
    """On a standby.

    One that was primary asks whether it may go on, or is about to be promoted: its own disk may be what counts.
    """
    return not was_primary() and not _roles_change()


def _roles_change() -> bool:
    record = read_operation()
    return record is not None and not is_left_over(record, time.time(), boot_id(), [])
