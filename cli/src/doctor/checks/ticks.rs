//! When the next ticks are due, in the schedule's zone and in that of whoever asks. Needs no AWS.

use jiff::tz::TimeZone;
use trainspot_shared::schedule::Schedule;

use super::super::case::Case;
use super::super::finding::Finding;
use crate::check::ticks;

const SHOWN: usize = 3;
const FORM: &str = "%a %d %b %Y %H:%M";

pub(crate) fn findings(case: &Case) -> Vec<Finding> {
    let all = ticks(&case.template, &mut Vec::new());
    if all.is_empty() {
        return vec![Finding::warn(
            "ticks",
            "no pipeline has a schedule",
            "`trainspot fragment` prints what one needs",
        )];
    }
    all.iter()
        .map(|tick| {
            let check = format!("ticks, {}", tick.pipeline);
            match Schedule::parse(tick.schedule.expression, tick.schedule.time_zone) {
                Ok(schedule) => judge(&check, &schedule, case),
                Err(error) => Finding::bad(
                    &check,
                    error.to_string(),
                    "write it as EventBridge reads it: cron(minute hour day month weekday year), one day field `?`",
                ),
            }
        })
        .collect()
}

fn judge(check: &str, schedule: &Schedule, case: &Case) -> Finding {
    let mut at = case.now;
    let mut next = Vec::new();
    while next.len() < SHOWN {
        let Some(tick) = schedule.next_after(at) else {
            break;
        };
        at = tick.start();
        next.push(at);
    }
    let expression = schedule.expression();
    if next.is_empty() {
        return if expression.starts_with("rate") {
            Finding::ok(
                check,
                format!("`{expression}`: only AWS knows from when it counts"),
            )
        } else {
            Finding::bad(
                check,
                format!("`{expression}` is never due again"),
                "write one that is",
            )
        };
    }
    // The zone was read when the schedule was.
    let own = TimeZone::get(schedule.time_zone()).unwrap_or(TimeZone::UTC);
    let list = |zone: &TimeZone| {
        let times: Vec<String> = next
            .iter()
            .map(|at| at.to_zoned(zone.clone()).strftime(FORM).to_string())
            .collect();
        times.join(", ")
    };
    let there = list(&own);
    let here = list(&case.zone);
    let what = if there == here {
        format!("{there} ({})", schedule.time_zone())
    } else {
        let here_name = case.zone.iana_name().unwrap_or("here").to_owned();
        format!(
            "{there} ({}), which is {here} ({here_name})",
            schedule.time_zone()
        )
    };
    Finding::ok(check, what)
}
