"""Ends a training that no longer makes steps, so that it does not hold a GPU for nothing."""

import faulthandler
import os
import threading
import time
from collections.abc import Callable

from trainer.failure import Stalled


class Watchdog:
    """Calls `on_stall` and exits 74 when `alive` was not called for `limit_s` seconds.

    The process is ended from the watching thread: the main one is stuck, by definition.
    """

    def __init__(self, limit_s: float, on_stall: Callable[[Stalled], None]) -> None:
        self.limit_s, self.on_stall = limit_s, on_stall
        self.seen = time.monotonic()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()

    def alive(self) -> None:
        """A step was finished."""
        self.seen = time.monotonic()

    def watch(self) -> None:
        """Runs on its own thread until training is done."""
        while not self.done.wait(min(self.limit_s / 4, 5.0)):
            silent = time.monotonic() - self.seen
            if silent > self.limit_s:
                self.on_stall(
                    Stalled(
                        f"no step was finished for {silent:.0f} s",
                        "raise `stall_after_s` if a step may take that long",
                    )
                )
                faulthandler.dump_traceback(all_threads=True)
                os._exit(Stalled.exit_code)
