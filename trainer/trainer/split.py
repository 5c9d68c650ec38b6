"""Which events may be learnt from and which must be predicted, for both protocols.

A case is one moment of one user: a history and the items that followed. Items that the user had
are no targets unless repeats count (`rule.py`), and `recommend` serves them under the same rule:
what is measured is what is served. A target's history is strictly earlier than it in P2-rolling, so
lines of one order do not predict one another.
"""

from dataclasses import dataclass

import numpy as np

from trainer.dataset import Interactions

TRAIN_SHARE = 0.8
REPEATS_HINT = (
    "all timestamps may be the same: check the `timestamp` column; where people now only come back "
    "to what they had, set `repeats` to true in train's params"
)


@dataclass(frozen=True)
class Cases:
    """Rows are histories `item[start:end]` of `user`; targets point to rows."""

    user: np.ndarray
    start: np.ndarray
    end: np.ndarray
    target_row: np.ndarray
    target_item: np.ndarray

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Split:
    """A protocol's part to fit on and its cases to predict."""

    fit: Interactions
    cases: Cases
    at_ms: int
    repeats: int  # later events left out because the user had the item already


def split_time(events: Interactions, share: float = TRAIN_SHARE) -> int:
    """The moment before which `share` of all events lie."""
    ordered = np.sort(events.time_ms)
    return int(ordered[min(int(len(ordered) * share), len(ordered) - 1)])


def before_split(events: Interactions) -> Interactions:
    """What P2-rolling fits on."""
    return events.only(events.time_ms < split_time(events))


def p2_rolling(events: Interactions, repeats: bool = False) -> Split:
    """Fit on what came before the split; predict each later event from all before it, and with
    `repeats` also those events with which a user comes back to an item."""
    at_ms = split_time(events)
    later = np.flatnonzero(events.time_ms >= at_ms)
    targets = later[(once_a_moment(events) if repeats else is_first(events))[later]]
    rows, target_row = np.unique(moment_start(events)[targets], return_inverse=True)
    return Split(
        fit=before_split(events),
        cases=cases(events, rows, target_row, targets),
        at_ms=at_ms,
        repeats=len(later) - len(targets),
    )


def nothing_to_judge(split: Split) -> str:
    """Why a split with an empty side cannot be trained on or judged."""
    return (
        "the dataset must have events before and targets after its 80 % time, received: "
        f"{split.fit.n_events} events and {len(split.cases.target_item)} targets, with "
        f"{split.repeats} repeats left out"
    )


def p1_leave_one_out(events: Interactions) -> Split:
    """Each user's last new item is the target; all that came before it is fitted on."""
    places = np.arange(events.n_events)
    starts = events.offsets[:-1][events.user]
    new = np.flatnonzero(is_first(events) & (places > starts))
    last = np.full(events.n_users, -1, np.int64)
    last[events.user[new]] = new  # later assignments win: the last new event of each user
    targets = last[last >= 0]
    limit = np.where(last >= 0, last, events.offsets[1:])
    return Split(
        fit=events.only(places < limit[events.user]),
        cases=cases(events, targets, np.arange(len(targets)), targets),
        at_ms=int(events.time_ms.max()),
        repeats=0,
    )


def cases(
    events: Interactions, ends: np.ndarray, target_row: np.ndarray, targets: np.ndarray
) -> Cases:
    """Histories that end before the events `ends`."""
    user = events.user[ends]
    return Cases(user, events.offsets[user], ends, target_row, events.item[targets])


def is_first(events: Interactions) -> np.ndarray:
    """Whether an event is its user's first with its item."""
    pair = events.user.astype(np.int64) * events.n_items + events.item
    first = np.zeros(events.n_events, bool)
    first[np.unique(pair, return_index=True)[1]] = True
    return first


def once_a_moment(events: Interactions) -> np.ndarray:
    """Whether an event is the first of its user, time and item."""
    pair = moment_start(events) * events.n_items + events.item
    first = np.zeros(events.n_events, bool)
    first[np.unique(pair, return_index=True)[1]] = True
    return first


def moment_start(events: Interactions) -> np.ndarray:
    """For each event, the place of the first event of the same user at the same time."""
    new = np.ones(events.n_events, bool)
    new[1:] = (events.user[1:] != events.user[:-1]) | (events.time_ms[1:] != events.time_ms[:-1])
    return np.maximum.accumulate(np.where(new, np.arange(events.n_events), 0))
