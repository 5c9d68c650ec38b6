use proptest::prelude::*;
use test_case::test_case;

use super::*;

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::parse(expression, zone).expect(expression)
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// The next few ticks after `from`, in one line.
fn next(expression: &str, zone: &str, from: &str, n: usize) -> String {
    let schedule = schedule(expression, zone);
    let mut ticks = Vec::new();
    let mut from = at(from);
    for _ in 0..n {
        let Some(tick) = schedule.next_after(from) else {
            break;
        };
        ticks.push(tick.to_string());
        from = tick.start();
    }
    ticks.join(" ")
}

// The forms of AWS's documentation, each from a day on which it can be told from a misreading.
#[test_case("cron(0 10 * * ? *)", "20261121T1000Z 20261122T1000Z"; "at 10:00 every day")]
#[test_case("cron(15 12 * * ? *)", "20261121T1215Z 20261122T1215Z"; "at 12:15 every day")]
#[test_case("cron(0 18 ? * MON-FRI *)", "20261123T1800Z 20261124T1800Z"; "at 18:00 on working days")]
#[test_case("cron(0 8 1 * ? *)", "20261201T0800Z 20270101T0800Z"; "on the first of each month")]
#[test_case("cron(0/15 * * * ? *)", "20261121T0015Z 20261121T0030Z"; "every 15 minutes")]
#[test_case("cron(0/10 * ? * MON-FRI *)", "20261123T0000Z 20261123T0010Z"; "every 10 minutes on working days")]
#[test_case("cron(0/5 8-17 ? * MON-FRI *)", "20261123T0800Z 20261123T0805Z"; "every 5 minutes in working hours")]
#[test_case("cron(0 9 ? * 2#1 *)", "20261207T0900Z 20270104T0900Z"; "on the first Monday of each month")]
#[test_case("cron(0/30 20-2 ? * MON-FRI *)", ""; "hours that wrap are not ours to guess")]
#[test_case("cron(0 2 ? * MON,FRI *)", "20261123T0200Z 20261127T0200Z"; "on Monday and Friday")]
#[test_case("cron(0 2 ? * 2,6 *)", "20261123T0200Z 20261127T0200Z"; "2 is Monday and 6 is Friday")]
#[test_case("cron(0 2 ? * 1 *)", "20261122T0200Z 20261129T0200Z"; "1 is Sunday")]
#[test_case("cron(0 2 ? * SAT *)", "20261121T0200Z 20261128T0200Z"; "by name")]
#[test_case("cron(0 2 ? * L *)", "20261121T0200Z 20261128T0200Z"; "the last day of the week is Saturday")]
#[test_case("cron(0 2 L * ? *)", "20261130T0200Z 20261231T0200Z"; "the last day of the month")]
#[test_case("cron(0 2 15W * ? *)", "20261215T0200Z 20270115T0200Z"; "the working day next to the 15th")]
#[test_case("cron(0 2 1W * ? *)", "20261201T0200Z 20270101T0200Z"; "never into the month before")]
#[test_case("cron(0 2 ? * 6L *)", "20261127T0200Z 20261225T0200Z"; "the last Friday of the month")]
#[test_case("cron(0 2 ? * FRI#3 *)", "20261218T0200Z 20270115T0200Z"; "the third Friday of the month")]
#[test_case("cron(0 2 1 JAN,JUL ? *)", "20270101T0200Z 20270701T0200Z"; "months by name")]
#[test_case("cron(0 2 1 1/3 ? *)", "20270101T0200Z 20270401T0200Z"; "every third month")]
#[test_case("cron(0 2 1 1 ? 2028-2030)", "20280101T0200Z 20290101T0200Z"; "a range of years")]
#[test_case("cron(0 2 1 1 ? 2027)", "20270101T0200Z"; "one year only")]
#[test_case("cron(5,35 14 * * ? *)", "20261121T1405Z 20261121T1435Z"; "lists")]
#[test_case("cron(0 0 29 2 ? *)", "20280229T0000Z 20320229T0000Z"; "leap days")]
fn every_documented_form_is_read_as_aws_reads_it(expression: &str, ticks: &str) {
    if ticks.is_empty() {
        assert!(Schedule::parse(expression, "UTC").is_err());
        return;
    }
    assert_eq!(next(expression, "UTC", "2026-11-21T00:00:00Z", 2), ticks);
}

#[test_case("rate(1 minute)")]
#[test_case("rate(5 minutes)")]
#[test_case("rate(1 hour)")]
#[test_case("rate(12 hours)")]
#[test_case("rate(1 day)")]
#[test_case("rate(30 days)")]
fn a_rate_is_taken_and_its_ticks_are_not_guessed(expression: &str) {
    let schedule = schedule(expression, "UTC");
    let now = at("2026-11-21T00:00:30Z");

    assert_eq!(schedule.latest_due(now), None);
    assert_eq!(schedule.next_after(now), None);
    assert_eq!(schedule.due_between(at("2026-11-01T00:00:00Z"), now), []);
}

#[test_case("cron(0 10 * * * *)"; "no day field is a question mark")]
#[test_case("cron(0 10 ? * ? *)"; "both day fields are")]
#[test_case("cron(0 10 * * ?)"; "five fields, as in crontab")]
#[test_case("cron(0 0 10 * * ? *)"; "seven fields, as in Quartz")]
#[test_case("cron(60 10 * * ? *)"; "minute 60")]
#[test_case("cron(0 24 * * ? *)"; "hour 24")]
#[test_case("cron(0 10 32 * ? *)"; "day 32")]
#[test_case("cron(0 10 ? * 0 *)"; "weekday 0")]
#[test_case("cron(0 10 ? * 8 *)"; "weekday 8")]
#[test_case("cron(0 10 ? 13 MON *)"; "month 13")]
#[test_case("cron(0 10 * * ? 1969)"; "before 1970")]
#[test_case("cron(0 10 * * ? 2200)"; "after 2199")]
#[test_case("cron(? 10 * * ? *)"; "a question mark elsewhere")]
#[test_case("cron(0 10 ?,1 * MON *)"; "a question mark with company")]
#[test_case("cron(@daily)"; "a nickname")]
#[test_case("cron(0 10 ? * FUN *)"; "no such day")]
#[test_case("cron(0 L * * ? *)"; "L among the hours")]
#[test_case("cron(0 10 ? * 15W *)"; "W among the weekdays")]
#[test_case("cron(0 10 30 2 ? *)"; "a day that never comes")]
#[test_case("rate(5 minute)"; "singular after five")]
#[test_case("rate(1 hours)"; "plural after one")]
#[test_case("rate(0 minutes)"; "zero")]
#[test_case("rate(-5 minutes)"; "less than zero")]
#[test_case("rate(+5 minutes)"; "a sign")]
#[test_case("rate(30 seconds)"; "seconds")]
#[test_case("rate(5)"; "no unit")]
#[test_case("every day"; "neither kind")]
#[test_case("cron(0 10 * * ? *"; "no closing parenthesis")]
fn what_aws_refuses_is_refused(expression: &str) {
    let error = Schedule::parse(expression, "UTC").expect_err(expression);

    assert!(error.to_string().contains(expression), "{error}");
}

#[test]
fn a_zone_that_is_none_is_refused() {
    let error = Schedule::parse("rate(1 day)", "Mars/Olympus").expect_err("no zone");

    assert_eq!(error, ScheduleError::TimeZone("Mars/Olympus".to_owned()));
}

#[test]
fn a_zone_moves_the_tick() {
    // Seoul has no daylight saving: 02:00 there is 17:00 UTC the day before, the whole year.
    assert_eq!(
        next(
            "cron(0 2 ? * MON *)",
            "Asia/Seoul",
            "2026-11-21T00:00:00Z",
            1
        ),
        "20261122T1700Z"
    );
    assert_eq!(
        next(
            "cron(0 2 ? * MON *)",
            "Asia/Seoul",
            "2026-06-20T00:00:00Z",
            1
        ),
        "20260621T1700Z"
    );
    // Berlin has: 07:00 there is 05:00 UTC in summer and 06:00 in winter.
    assert_eq!(
        next(
            "cron(0 7 * * ? *)",
            "Europe/Berlin",
            "2026-10-24T00:00:00Z",
            2
        ),
        "20261024T0500Z 20261025T0600Z"
    );
}

#[test]
fn a_time_that_the_clocks_jump_over_is_skipped() {
    // On 2026-03-29 Berlin goes from 02:00 to 03:00.
    assert_eq!(
        next(
            "cron(30 2 * * ? *)",
            "Europe/Berlin",
            "2026-03-28T00:00:00Z",
            2
        ),
        "20260328T0130Z 20260330T0030Z"
    );
    let daily = schedule("cron(30 2 * * ? *)", "Europe/Berlin");
    let latest = daily
        .latest_due(at("2026-03-29T12:00:00Z"))
        .map(|tick| tick.to_string());
    assert_eq!(latest.as_deref(), Some("20260328T0130Z"));
}

#[test]
fn a_time_that_comes_twice_is_due_once() {
    // On 2026-10-25 Berlin goes from 03:00 back to 02:00.
    assert_eq!(
        next(
            "cron(30 2 * * ? *)",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            2
        ),
        "20261025T0030Z 20261026T0130Z"
    );
    let daily = schedule("cron(30 2 * * ? *)", "Europe/Berlin");
    let due = daily.due_between(at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z"));
    assert_eq!(due.len(), 1);
}

#[test]
fn in_the_second_pass_later_times_on_the_clock_have_been() {
    // 01:10 UTC is 02:10 for the second time; 02:45 was at 00:45 UTC.
    let daily = schedule("cron(45 2 * * ? *)", "Europe/Berlin");

    let latest = daily
        .latest_due(at("2026-10-25T01:10:00Z"))
        .map(|tick| tick.to_string());

    assert_eq!(latest.as_deref(), Some("20261025T0045Z"));
    assert_eq!(
        next(
            "cron(45 2 * * ? *)",
            "Europe/Berlin",
            "2026-10-25T01:10:00Z",
            1
        ),
        "20261026T0145Z"
    );
}

#[test]
fn a_tick_is_due_at_its_own_instant() {
    let weekly = schedule("cron(0 2 ? * MON *)", "UTC");
    let monday = at("2026-11-23T02:00:00Z");

    assert_eq!(weekly.latest_due(monday).map(Tick::start), Some(monday));
    assert_eq!(
        weekly
            .next_after(monday)
            .map(|tick| tick.to_string())
            .as_deref(),
        Some("20261130T0200Z")
    );
    let just_before = monday - SignedDuration::from_nanos(1);
    assert_eq!(
        weekly
            .latest_due(just_before)
            .map(|tick| tick.to_string())
            .as_deref(),
        Some("20261116T0200Z")
    );
    assert_eq!(
        weekly.next_after(just_before).map(Tick::start),
        Some(monday)
    );
}

#[test]
fn a_schedule_of_the_past_is_due_no_more() {
    let once = schedule("cron(0 2 1 1 ? 2020)", "UTC");

    assert_eq!(once.next_after(at("2026-11-21T00:00:00Z")), None);
    assert_eq!(
        once.latest_due(at("2026-11-21T00:00:00Z"))
            .map(|tick| tick.to_string())
            .as_deref(),
        Some("20200101T0200Z")
    );
    assert_eq!(once.latest_due(at("2019-11-21T00:00:00Z")), None);
}

#[test]
fn due_ticks_are_listed_oldest_first_and_never_too_many() {
    let every_minute = schedule("cron(* * * * ? *)", "UTC");
    let until = at("2026-11-21T00:00:00Z");

    let due = every_minute.due_between(at("2026-11-01T00:00:00Z"), until);

    assert_eq!(due.len(), DUE_MAX);
    assert!(due.is_sorted());
    assert_eq!(due.last().map(|tick| tick.start()), Some(until));
    assert_eq!(every_minute.due_between(until, until), []);
}

#[test]
fn schedules_are_read_from_the_variable() {
    let json = r#"{"recommender":{"expression":"cron(0 2 ? * MON,FRI *)","time_zone":"Asia/Seoul"},"ranker":{"expression":"rate(1 day)"}}"#;
    let schedules = Schedules::parse(json).expect("two schedules");

    let recommender = schedules
        .get(&"recommender".parse().expect("a name"))
        .expect("there");
    let ranker = schedules
        .get(&"ranker".parse().expect("a name"))
        .expect("there");

    assert_eq!(recommender.time_zone(), "Asia/Seoul");
    assert_eq!(ranker.time_zone(), "UTC");
    assert_eq!(schedules.iter().count(), 2);
    assert!(schedules.get(&"other".parse().expect("a name")).is_none());
}

#[test_case("[]"; "a list")]
#[test_case(r#"{"recommender":{}}"#; "no expression")]
#[test_case(r#"{"recommender":{"expression":"rate(1 day)","zone":"UTC"}}"#; "an unknown field")]
#[test_case(r#"{"Recommender":{"expression":"rate(1 day)"}}"#; "not a pipeline's name")]
#[test_case(r#"{"recommender":{"expression":"daily"}}"#; "no schedule")]
fn schedules_that_are_none_are_refused(json: &str) {
    assert!(Schedules::parse(json).is_err());
}

const EXPRESSIONS: [&str; 6] = [
    "cron(0 2 ? * MON,FRI *)",
    "cron(30 2 * * ? *)",
    "cron(0/7 * * * ? *)",
    "cron(59 23 L * ? *)",
    "cron(0 12 15W * ? *)",
    "cron(0 3 ? * 6L *)",
];
const ZONES: [&str; 5] = [
    "UTC",
    "Europe/Berlin",
    "Asia/Seoul",
    "America/New_York",
    "Australia/Lord_Howe",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn latest_and_next_are_neighbours(
        expression in proptest::sample::select(EXPRESSIONS.to_vec()),
        zone in proptest::sample::select(ZONES.to_vec()),
        second in 1_700_000_000_i64..1_900_000_000,
    ) {
        let schedule = schedule(expression, zone);
        let now = Timestamp::from_second(second).expect("in range");
        let latest = schedule.latest_due(now).expect("due for ever").start();
        let next = schedule.next_after(now).expect("due for ever").start();

        prop_assert!(latest <= now && now < next);
        prop_assert_eq!(schedule.next_after(latest).map(Tick::start), Some(next));
        prop_assert_eq!(schedule.latest_due(next).map(Tick::start), Some(next));
        prop_assert_eq!(schedule.due_between(latest, next), vec![Tick::containing(next)]);
    }

    #[test]
    fn around_a_change_of_the_clocks_no_tick_is_lost_or_doubled(
        expression in proptest::sample::select(EXPRESSIONS.to_vec()),
        change in proptest::sample::select(vec!["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"]),
        offset in -180_i64..180,
    ) {
        let schedule = schedule(expression, "Europe/Berlin");
        let around = at(change);
        let middle = around + SignedDuration::from_mins(offset);
        let (from, until) = (around - SignedDuration::from_hours(6), around + SignedDuration::from_hours(6));

        let whole = schedule.due_between(from, until);
        let mut halves = schedule.due_between(from, middle);
        halves.extend(schedule.due_between(middle, until));
        let mut forward = Vec::new();
        let mut cursor = from;
        while let Some(tick) = schedule.next_after(cursor).filter(|tick| tick.start() <= until) {
            forward.push(tick);
            cursor = tick.start();
        }

        prop_assert_eq!(&whole, &halves);
        prop_assert_eq!(&whole, &forward);
    }
}
