# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exceptions that cross layers. Everything else is a bug and keeps its traceback."""

from __future__ import annotations

import sys
from typing import Any


class BackupHaError(Exception):
    """Something a person has to know: one sentence, and the plain data behind it."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class RefusedError(BackupHaError):
    """Nothing was changed. ``reasons`` are whole sentences, at least one."""

    def __init__(self, message: str, reasons: list[str], **details: Any) -> None:
        super().__init__(message, reasons=reasons, **details)
        self.reasons = reasons


class BusyError(RefusedError):
    """Nothing was changed, because another operation is under way; it holds the record."""


class RolledBackError(BackupHaError):
    """It did not work, and everything is as it was before: the old primary serves."""


class UnreachableError(BackupHaError):
    """A server did not answer within the time it was given."""


class DeadlineError(BackupHaError):
    """A condition did not come true in time; ``details`` say how far it got."""


class InDoubtError(BackupHaError):
    """The point of no return was passed and the outcome could not be read back."""


def outcome_of(error: BackupHaError) -> str:
    """The word that programs read."""
    words = {
        BusyError: "in_progress",
        RefusedError: "refused",
        RolledBackError: "rolled_back",
        InDoubtError: "in_doubt",
    }
    return next((word for kind, word in words.items() if isinstance(error, kind)), "failed")


def is_session_error(error: Exception) -> bool:
    """Whether PostgreSQL's driver raised it. Without loading the driver, which takes longer than most modules do."""
    driver = sys.modules.get("psycopg")
    return driver is not None and isinstance(error, driver.Error)


def first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def problem_of(error: Exception) -> str:
    """One sentence for a person. libpq's own for a lost connection differ by the moment and help nobody."""
    if isinstance(error, BackupHaError):
        return str(error)
    if getattr(error, "sqlstate", None):
        return f"PostgreSQL refused a statement: {first_line(error)}"
    if is_session_error(error):
        return "A session to PostgreSQL broke: its server ended, or stands still, or the connection to it was lost."
    return f"{first_line(error)}."
