# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module of this collection says about itself in the same words."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and return what it would change without changing anything.
  diff_mode:
    description: Returns details on what has changed (or would change), with C(--diff).
  idempotent:
    description: Run again in the same circumstances, it changes nothing.
"""

    CHANGES = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
"""

    READS = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: This module only reads.
  diff_mode:
    support: none
  idempotent:
    support: N/A
"""

    NODE = r"""
options: {}
requirements:
  - On the target, C(python3-psycopg) 3.1 or later and PostgreSQL 15 or later as Debian packages it.
author:
  - Duet contributors (@duet)
"""
