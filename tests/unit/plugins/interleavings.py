# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run real functions side by side in every possible order of their steps.

A function calls step() before each thing that another one could see or change; between two steps only one runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

DEADLINE_S = 10.0


class Schedule:
    """One run: at every choice the next recorded index says who goes on; past the record, the first one does."""

    def __init__(self, choices: list[int]) -> None:
        self.choices = choices
        self.widths: list[int] = []
        self.errors: list[BaseException] = []
        self._ready: list[int] = []
        self._turns: list[threading.Semaphore] = []
        self._over = threading.Semaphore(0)
        self._me = threading.local()

    def run(self, functions: list[Callable[[], None]]) -> None:
        """Run them all to their ends. Raises the first error that one of them ended with."""
        self._turns = [threading.Semaphore(0) for _function in functions]
        self._ready = list(range(len(functions)))
        for number, function in enumerate(functions):
            threading.Thread(target=self._body, args=(number, function), daemon=True).start()
        self._pass_on()
        if not self._over.acquire(timeout=DEADLINE_S):
            raise TimeoutError("a function does not come to its next step")
        if self.errors:
            raise self.errors[0]

    def step(self) -> None:
        """Let somebody else go on, or this function itself, as the record says."""
        number: int = self._me.number
        self._ready.append(number)
        if self._pass_on() != number and not self._turns[number].acquire(timeout=DEADLINE_S):
            raise TimeoutError("a function waits for its turn in vain")

    def _body(self, number: int, function: Callable[[], None]) -> None:
        self._me.number = number
        self._turns[number].acquire()
        try:
            function()
        except Exception as error:  # noqa: BLE001 handed to whoever called run()
            self.errors.append(error)
        if self._ready:
            self._pass_on()
        else:
            self._over.release()

    def _pass_on(self) -> int:
        """Choose who goes on, and wake it unless it is the caller itself."""
        made = len(self.widths)
        self._ready.sort()
        self.widths.append(len(self._ready))
        chosen = self._ready.pop(self.choices[made] if made < len(self.choices) else 0)
        if getattr(self._me, "number", None) != chosen:
            self._turns[chosen].release()
        return chosen


def all_schedules(run: Callable[[Schedule], None]) -> Iterator[list[int]]:
    """Call ``run`` once for every order there is; yields the choices of each run after it."""
    choices: list[int] = []
    while True:
        schedule = Schedule(choices)
        run(schedule)
        made = [*choices, *[0] * (len(schedule.widths) - len(choices))]
        yield made
        while made and made[-1] + 1 >= schedule.widths[len(made) - 1]:
            made.pop()
        if not made:
            return
        choices = [*made[:-1], made[-1] + 1]
