"""Where the seconds go before the first step: what a reclaim costs besides the work."""

import time
from collections.abc import Callable
from pathlib import Path


class Clock:
    """Seconds spent in each part of the stage."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> float:
        """Ends a part and returns its seconds."""
        now = time.monotonic()
        seconds, self.last = now - self.last, now
        self.laps[name] = round(seconds, 3)
        return seconds

    def total(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self.began


class ColdStart:
    """Seconds from the start of the process to the first step, by part, in their order."""

    def __init__(self, process_s: float | None, alive: Callable[[], None]) -> None:
        """`process_s`: what the interpreter took before the stage began, where that is known.
        `alive` is told at the end of each part."""
        self.clock, self.alive, self.is_open = Clock(), alive, True
        self.before = {} if process_s is None else {"process_s": round(process_s, 3)}

    @property
    def seconds(self) -> dict[str, float]:
        """By part."""
        return self.before | self.clock.laps

    def end(self, part: str) -> dict[str, float]:
        """Ends a part; `first_step_s` is the last one. Returns all so far."""
        self.clock.lap(part)
        self.is_open = part != "first_step_s"
        self.alive()
        return self.seconds


def since_process_start_s(proc: Path = Path("/proc")) -> float | None:
    """How long this process has been there, as the kernel says."""
    try:
        # Behind the name, which may hold spaces: state is the 3rd field, the start the 22nd.
        fields = (proc / "self/stat").read_text().rpartition(")")[2].split()
        started_s = int(fields[19]) / 100  # in ticks of USER_HZ, 100 on every Linux
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started_s
    except (OSError, ValueError, IndexError, AttributeError):
        return None
