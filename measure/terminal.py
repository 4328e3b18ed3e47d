"""Progress for a person: one line per finished step, and a live line below it on a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

TICK_S = 0.2
QUIET_S = 10.0  # without a terminal, what goes on is told this often at most
WIDTH = 46


class Step:
    """One step under way: `now` is what it does at the moment, `result` what it is to be remembered for."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.now = ""
        self.result = ""
        self.began = time.monotonic()

    def show(self, text: str) -> None:
        self.now = text

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


class Terminal:
    """Prints steps, numbered up to a total that is known beforehand."""

    def __init__(self, total: int, stream: TextIO = sys.stdout) -> None:
        self._total, self._stream = total, stream
        self._number = 0
        self._live = stream.isatty()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Time a step; its line is printed when it ends, also when it fails."""
        self._number += 1
        step = Step(f"[{self._number}/{self._total}] {title}")
        ended = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(step, ended), daemon=True)
        ticker.start()
        try:
            yield step
        except BaseException:
            step.result = "failed"
            raise
        finally:
            ended.set()
            ticker.join()
            self._finish(step)

    def say(self, text: str = "") -> None:
        print(text, file=self._stream, flush=True)

    def _finish(self, step: Step) -> None:
        clear = "\r\033[K" if self._live else ""
        line = f"{step.title:<{WIDTH}} {step.seconds:6.1f} s  {step.result}".rstrip()
        self.say(clear + line)

    def _tick(self, step: Step, ended: threading.Event) -> None:
        told, at = "", time.monotonic()
        while not ended.wait(TICK_S):
            if self._live:
                line = f"{step.title:<{WIDTH}} {step.seconds:6.1f} s  {step.now}"
                self._stream.write(f"\r\033[K{line[:110]}")
                self._stream.flush()
            elif step.now != told and time.monotonic() - at > QUIET_S:
                told, at = step.now, time.monotonic()
                self.say(f"{'':6}{step.seconds:.0f} s: {told}")
