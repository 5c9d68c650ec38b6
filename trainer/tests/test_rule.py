"""The data decides whether repeats count, by what may be fitted on alone; then it stays so."""

import json

import pytest
from test_split import events

from trainer import rule
from trainer.atomic import write_json
from trainer.failure import ConfigurationError, DataError
from trainer.split import before_split

RUN = "shop-20261123T0200Z"


def shop(returns, of=40, later=10):
    """Before the split `of` events of one user, of which `returns` come back to the first item;
    after it `later` new ones."""
    new = of - returns
    before = [("a", item if item < new else 0, item) for item in range(of)]
    return events(before + [("a", 1000 + n, of + n) for n in range(later)])


@pytest.mark.parametrize(("returns", "repeats"), [(0, False), (3, False), (4, True), (12, True)])
def test_the_data_decides_at_a_tenth(returns, repeats):
    decided = rule.decide(shop(returns))

    assert decided.repeat_share == returns / 40
    assert decided.repeats is repeats
    assert decided.decided_by == "data"
    assert decided.threshold == rule.REPEAT_SHARE == 0.1


def test_what_must_be_predicted_takes_no_part():
    before = [("a", n, n) for n in range(40)]
    only_returns = events(before + [("a", 0, 40 + n) for n in range(10)])
    no_returns = events(before + [("a", 100 + n, 40 + n) for n in range(10)])

    for made in (only_returns, no_returns):
        assert before_split(made).n_events == 40
        assert rule.decide(made).repeat_share == 0.0
        assert rule.decide(made).repeats is False


def test_a_line_written_twice_is_nobody_coming_back():
    twice = [("a", n, n) for n in range(20)] * 2

    assert rule.repeat_share(events(twice)) == 0.0


def test_another_user_with_the_item_is_no_return():
    made = events([("a", 0, 1), ("b", 0, 2), ("b", 1, 3), ("a", 0, 4)])

    assert rule.repeat_share(made) == 0.25


def test_no_events_before_the_split_are_no_returns():
    made = events([("a", 0, 5), ("a", 1, 5)])

    assert rule.decide(made).repeat_share == 0.0


@pytest.mark.parametrize("asked", [True, False])
def test_params_decide_over_the_data_and_the_reason_says_so(asked):
    decided = rule.decide(shop(12), asked)

    assert decided.repeats is asked
    assert decided.decided_by == "params"
    assert decided.reason.startswith("the params say so; 30.0 % of the events before the split")
    assert decided.reason.endswith("which would decide otherwise") is not asked


def test_the_reason_names_share_and_threshold():
    assert rule.decide(shop(2)).reason == (
        "5.0 % of the events before the split return to an item that their user had before, "
        "below the threshold of 10 %"
    )


def test_later_stages_follow_what_is_written_and_not_the_data():
    told = rule.decide(shop(0), True, RUN)

    for asked in ("auto", True):
        assert rule.followed(told, asked, shop(0)) == told
        assert rule.served(told, asked, shop(0), RUN) == told


@pytest.mark.parametrize("written", [True, False])
def test_params_that_contradict_what_is_written_are_refused(written):
    made = shop(12 if written else 0)
    decided = rule.decide(made, run_id=RUN)

    for refuse in (rule.followed, rule.served):
        with pytest.raises(ConfigurationError) as caught:
            refuse(decided, not written, made, RUN)
        assert caught.value.reason == (
            f'`repeats` must be "auto" or {json.dumps(written)} as train wrote, '
            f"received: {json.dumps(not written)}"
        )
        assert f"{decided.reason}; to have the other rule" in caught.value.hint


@pytest.mark.parametrize("returns", [0, 12])
def test_a_model_without_a_record_goes_by_the_data_at_hand(returns):
    made = shop(returns)

    for rule_of in (rule.followed, rule.served):
        assert rule_of(None, "auto", made, RUN) == rule.decide(made, run_id=RUN)
        assert rule_of(None, True, made, RUN).repeats is True


@pytest.mark.parametrize("returns", [0, 12])
def test_a_champion_of_earlier_data_serves_by_the_rule_of_this_data(returns):
    champion = rule.decide(shop(12 - returns), run_id="shop-20261120T0200Z")
    now = shop(returns)

    serving = rule.served(champion, "auto", now, RUN)

    assert serving == rule.decide(now, run_id=RUN)
    assert serving.repeats is not champion.repeats


def test_a_champion_that_was_told_its_rule_keeps_it_until_the_run_tells_another():
    champion = rule.decide(shop(0), True, "shop-20261120T0200Z")
    now = shop(1)

    assert rule.served(champion, "auto", now, RUN).repeats is True
    assert rule.served(champion, False, now, RUN).repeats is False


def written(folder, about):
    folder.mkdir(parents=True)
    write_json(folder / "config.json", about)
    return folder


def test_a_record_is_read_as_it_was_written(tmp_path):
    decided = rule.decide(shop(12), run_id=RUN)

    assert rule.written(written(tmp_path / "model", {"rule": decided.record()})) == decided


def test_no_model_and_an_old_model_have_no_record(tmp_path):
    assert rule.written(tmp_path / "absent") is None
    assert rule.written(written(tmp_path / "old", {"params": {"repeats": False}})) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"repeats": 1}, "must hold a `rule` with `repeats` (bool)"),
        ({"repeat_share": None}, "must hold a `rule` with `repeat_share` (float)"),
        ({"decided_by": "me"}, "`decided_by` must be data or params, received: me"),
        ({"repeats": False}, "must hold a `rule` that agrees with itself: 30.0 %"),
    ],
)
def test_a_spoilt_record_is_refused_by_name(tmp_path, change, reason):
    record = rule.decide(shop(12), run_id=RUN).record() | change
    folder = written(tmp_path / "train" / "model", {"rule": record})

    with pytest.raises(DataError) as caught:
        rule.written(folder)

    assert caught.value.reason.startswith("`train/model/config.json`")
    assert reason in caught.value.reason
