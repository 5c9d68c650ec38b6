use serde_json::json;
use test_case::test_case;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

#[test]
fn a_tick_is_for_its_pipeline() {
    let payload = json!({"pipeline": "recommender", "tick": "2026-11-23T02:00:06Z"});

    let request = Request::parse(&payload).expect("a request");

    assert_eq!(request.pipeline.as_str(), "recommender");
    assert_eq!(
        request.kind,
        RequestKind::Tick {
            at: at("2026-11-23T02:00:06Z")
        }
    );
}

#[test]
fn a_bare_invoke_is_a_manual_run_without_force() {
    let request = Request::parse(&json!({"pipeline": "recommender"})).expect("a request");

    assert_eq!(
        request.kind,
        RequestKind::Manual {
            run_id: None,
            force: false
        }
    );
}

#[test_case(&json!("recommender"), "is an object"; "a text")]
#[test_case(&json!({}), "`pipeline` is missing"; "nothing")]
#[test_case(&json!({"pipeline": "Recommender"}), "`Recommender`"; "no name")]
#[test_case(&json!({"pipeline": 3}), "`pipeline` must be a text"; "a number")]
#[test_case(&json!({"pipeline": "a", "forse": true}), "no field `forse`"; "a typing error")]
#[test_case(&json!({"pipeline": "a", "force": "yes"}), "`force` must be true or false, received: \"yes\""; "force as a text")]
#[test_case(&json!({"pipeline": "a", "tick": "monday"}), "received: `monday`"; "no time")]
#[test_case(&json!({"pipeline": "a", "tick": "<aws.scheduler.scheduled-time>"}), "scheduled-time"; "an attribute that nobody filled in")]
#[test_case(&json!({"pipeline": "a", "tick": "2026-11-23T02:00:00Z", "force": true}), "one or the other"; "a forced tick")]
#[test_case(&json!({"pipeline": "a", "run_id": "b-20261123T0200Z-m0a1b2c3d"}), "not one of pipeline `a`"; "another pipeline's run")]
#[test_case(&json!({"pipeline": "a", "run_id": "a-latest"}), "`a-latest`"; "no run id")]
#[test_case(&json!({"source": "aws.events", "detail-type": "Scheduled Event"}), "needs an input"; "a whole event")]
fn what_can_never_be_a_run_is_refused_with_a_sentence(payload: &Value, part: &str) {
    let error = Request::parse(payload).expect_err("no request").to_string();

    assert!(error.contains(part), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

const WEEKLY: &str = "cron(0 2 ? * MON,FRI *)";

#[test_case("2026-11-23T02:00:00Z", "20261123T0200Z"; "on time")]
#[test_case("2026-11-23T02:00:06Z", "20261123T0200Z"; "seconds late")]
#[test_case("2026-11-23T02:01:20Z", "20261123T0200Z"; "a minute late is no second run")]
#[test_case("2026-11-23T01:59:31Z", "20261123T0200Z"; "early by another clock")]
#[test_case("2026-11-24T01:59:00Z", "20261123T0200Z"; "late as long as supervision would make it up")]
#[test_case("2026-11-25T10:07:30Z", "20261125T1007Z"; "fired though nothing was due for a day")]
fn a_firing_stands_for_the_latest_due_tick(fired: &str, tick: &str) {
    let schedule = Schedule::parse(WEEKLY, "UTC").expect("a schedule");

    assert_eq!(tick_of(at(fired), Some(&schedule)).to_string(), tick);
}

#[test]
fn without_a_schedule_the_minute_is_the_tick() {
    assert_eq!(
        tick_of(at("2026-11-23T02:01:59Z"), None).to_string(),
        "20261123T0201Z"
    );
}

#[test]
fn a_rate_s_tick_is_the_minute_in_which_it_fires() {
    let daily = Schedule::parse("rate(1 day)", "UTC").expect("a schedule");

    let tick = tick_of(at("2026-11-23T15:04:59Z"), Some(&daily));

    assert_eq!(tick.to_string(), "20261123T1504Z");
}
