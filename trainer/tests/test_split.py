"""No protocol sees what it must predict."""

import numpy as np
import pyarrow as pa

from trainer.dataset import interactions
from trainer.split import nothing_to_judge, p1_leave_one_out, p2_rolling


def events(rows):
    """Rows of (user, item, second)."""
    user, item, second = zip(*rows, strict=True)
    return interactions(
        pa.table(
            {
                "user_id": pa.array(user),
                "item_id": pa.array(item),
                "time_ms": pa.array([value * 1000 for value in second]),
                "weight": pa.array(np.ones(len(rows), np.float32)),
            }
        )
    )


def histories(made, split):
    """(user, history, target) by id."""
    cases = split.cases
    return sorted(
        (
            str(made.user_ids[cases.user[row]]),
            [made.item_ids[i].as_py() for i in made.item[cases.start[row] : cases.end[row]]],
            made.item_ids[item].as_py(),
        )
        for row, item in zip(cases.target_row, cases.target_item, strict=True)
    )


def test_rolling_fits_before_the_split_and_reads_all_before_each_event():
    made = events([("a", n, n) for n in range(8)] + [("a", 8, 8), ("a", 9, 9)])

    split = p2_rolling(made)

    assert split.fit.time_ms.max() < split.at_ms == 8000
    assert histories(made, split) == [("a", list(range(8)), 8), ("a", list(range(9)), 9)]


def test_simultaneous_events_do_not_predict_one_another():
    made = events([("a", n, n) for n in range(8)] + [("a", 8, 20), ("a", 9, 20)])

    assert [len(history) for _, history, _ in histories(made, p2_rolling(made))] == [8, 8]


def test_repeats_are_no_targets_but_stay_in_the_history():
    made = events([("a", n % 4, n) for n in range(8)] + [("a", 0, 8), ("a", 9, 9)])

    split = p2_rolling(made)

    assert split.repeats == 1
    assert histories(made, split) == [("a", [0, 1, 2, 3, 0, 1, 2, 3, 0], 9)]


def test_repeats_are_targets_where_they_are_asked_for():
    made = events([("a", n % 4, n) for n in range(8)] + [("a", 0, 8), ("a", 0, 8), ("a", 9, 9)])

    split = p2_rolling(made, repeats=True)

    assert [target for _, _, target in histories(made, split)] == [0, 9]


def test_a_shop_where_people_only_come_back_can_be_judged_with_repeats_alone():
    made = events([("a", n % 4, n) for n in range(10)])

    assert nothing_to_judge(p2_rolling(made)).endswith(
        "received: 8 events and 0 targets, with 2 repeats left out"
    )
    assert len(p2_rolling(made, repeats=True).cases) == 2


def test_a_new_user_is_predicted_from_nothing():
    made = events([("a", n, n) for n in range(9)] + [("b", 1, 9), ("b", 2, 10)])

    assert ("b", [], 1) in histories(made, p2_rolling(made))


def test_leave_one_out_takes_the_last_new_item_of_each_user():
    made = events([("a", 1, 1), ("a", 2, 2), ("a", 1, 3), ("b", 1, 1), ("c", 1, 1), ("c", 3, 2)])

    split = p1_leave_one_out(made)

    assert histories(made, split) == [("a", [1], 2), ("c", [1], 3)]
    assert split.fit.n_events == 3
