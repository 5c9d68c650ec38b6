"""The datasets of the page, and what is asked about each of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer import rule
from trainer.dataset import Interactions, read_interactions
from trainer.split import Cases, Split, cases, p1_leave_one_out, p2_rolling


@dataclass(frozen=True)
class Question:
    """Cases that share one fit: a protocol, and whether what a user had may be recommended."""

    name: str
    title: str
    split: Split
    repeats: bool
    decides: bool = False  # whether a run of its rule promotes by it


@dataclass(frozen=True)
class Dataset:
    """Events, and the questions about them by what is fitted on. The first question of a dataset
    is the one by which a candidate is promoted."""

    name: str
    title: str
    events: Interactions
    epochs: int  # of the network at most; early stopping ends it before
    questions: tuple[tuple[str, tuple[Question, ...]], ...]

    @property
    def by_name(self) -> dict[str, Question]:
        """All questions."""
        return {one.name: one for _, some in self.questions for one in some}


def from_folder(name: str, title: str, folder: Path, epochs: int) -> Dataset:
    """A dataset as a pipeline has it: P2-rolling by the rule that the data decides, by the other
    rule where repeats count, and P1."""
    events = read_interactions(folder)
    repeats = rule.decide(events).repeats
    rolling = [Question("p2", "P2-rolling", p2_rolling(events, repeats), repeats, True)]
    if repeats:
        title_of_new = "P2-rolling, new items only (`repeats` false)"
        rolling.append(Question("p2-new", title_of_new, p2_rolling(events, False), False, True))
    last = Question("p1", "P1, leave-one-out", p1_leave_one_out(events), False)
    questions = (("before the split", tuple(rolling)), ("before each user's last", (last,)))
    return Dataset(name, title, events, epochs, questions)


def as_in_papers(events: Interactions) -> Split:
    """Leave-one-out as the papers' files are used: a user's last event is the target, the one
    before it belongs to validation and is not fitted on, though it is in the history."""
    place = np.arange(events.n_events)
    last = events.offsets[1:] - 1
    enough = np.flatnonzero(np.diff(events.offsets) >= 3)
    targets = last[enough]
    asked: Cases = cases(events, targets, np.arange(len(targets)), targets)
    fit = events.only(place < (last - 1)[events.user])
    return Split(fit=fit, cases=asked, at_ms=int(events.time_ms.max()), repeats=0)
