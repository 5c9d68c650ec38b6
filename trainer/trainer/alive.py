"""A sign of life: long work calls it between its parts, so that nobody takes it for stalled.

The agent ends a stage whose step does not move for ten minutes; whoever works longer than seconds
without coming back takes an `Alive` and calls it.
"""

from collections.abc import Callable

from trainer.progress import Progress

Alive = Callable[[str], None]  # what is being done, in a few words


def silent(doing: str) -> None:
    """For callers to whom nobody listens."""


class Steps:
    """Counts parts of a stage's work as steps of its progress."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.step, self.planned = progress, 0, 1

    def plan(self, parts: int) -> None:
        """So many more parts are to come. A plan is a guess for people; nothing rests on it."""
        self.planned += parts

    def __call__(self, doing: str) -> None:
        """One more part is done."""
        self.step += 1
        self.progress.tick(self.step, max(self.planned, self.step + 1), doing)
