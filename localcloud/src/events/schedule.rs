//! When a schedule fires: `cron(…)`, `rate(…)` and `at(…)` as AWS writes them.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A schedule expression in its time zone.
#[derive(Debug, Clone)]
pub(super) enum Schedule {
    Cron(Box<Cron>, TimeZone),
    Rate(SignedDuration),
    At(Timestamp),
}

impl Schedule {
    pub(super) fn parse(expression: &str, time_zone: &str) -> Result<Self, String> {
        let zone = TimeZone::get(time_zone).map_err(|error| error.to_string())?;
        let bad = || format!("`{expression}` is no schedule expression");
        let (kind, body) = expression
            .strip_suffix(')')
            .and_then(|text| text.split_once('('))
            .ok_or_else(bad)?;
        match kind {
            "cron" => cron(body).map(|cron| Self::Cron(Box::new(cron), zone)),
            "rate" => {
                let (number, unit) = body.trim().split_once(' ').ok_or_else(bad)?;
                let number: i64 = number.parse().map_err(|_| bad())?;
                // AWS refuses `rate(1 minutes)` and `rate(5 minute)`.
                let minutes = match (unit.trim(), number) {
                    ("minute", 1) => 1,
                    ("hour", 1) => 60,
                    ("day", 1) => 24 * 60,
                    ("minutes", 2..) => number,
                    ("hours", 2..) => number * 60,
                    ("days", 2..) => number * 24 * 60,
                    _ => return Err(bad()),
                };
                Ok(Self::Rate(SignedDuration::from_mins(minutes)))
            }
            "at" => {
                let at: DateTime = body.parse().map_err(|_| bad())?;
                at.to_zoned(zone)
                    .map(|at| Self::At(at.timestamp()))
                    .map_err(|error| error.to_string())
            }
            _ => Err(bad()),
        }
    }

    /// The next time after `after`; a rate counts from there.
    pub(super) fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron, zone) => cron
                .find_next_occurrence(&after.to_zoned(zone.clone()), false)
                .ok()
                .map(|next| next.timestamp()),
            Self::Rate(every) => after.checked_add(*every).ok(),
            Self::At(at) => Some(*at).filter(|at| *at > after),
        }
    }
}

fn cron(body: &str) -> Result<Cron, String> {
    let fields: Vec<&str> = body.split_whitespace().collect();
    let [_, _, day_of_month, _, day_of_week, _] = fields.as_slice() else {
        return Err(format!("`cron({body})` must have six fields"));
    };
    if (*day_of_month == "?") == (*day_of_week == "?") {
        return Err(format!(
            "exactly one of the day fields of `cron({body})` must be `?`"
        ));
    }
    // AWS has no seconds, counts Sunday as 1, and writes ranges loosely.
    CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Optional)
        .alternative_weekdays(true)
        .sloppy_ranges(true)
        .build()
        .parse(&format!("0 {}", fields.join(" ")))
        .map_err(|error| format!("`cron({body})`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    fn next(expression: &str, zone: &str, after: &str) -> String {
        let schedule = Schedule::parse(expression, zone).expect("the expression is AWS's");
        let after = after.parse().expect("the time is RFC 3339");
        schedule
            .next_after(after)
            .map(|next| next.to_string())
            .unwrap_or_default()
    }

    #[test_case("cron(0 2 ? * MON,FRI *)", "UTC", "2026-11-21T00:00:00Z" => "2026-11-23T02:00:00Z")]
    #[test_case("cron(0 2 ? * 2 *)", "UTC", "2026-11-21T00:00:00Z" => "2026-11-23T02:00:00Z"; "2 is Monday")]
    #[test_case("cron(0/5 * * * ? *)", "UTC", "2026-11-21T00:02:00Z" => "2026-11-21T00:05:00Z")]
    #[test_case("cron(0 11 ? * MON *)", "Asia/Seoul", "2026-11-21T00:00:00Z" => "2026-11-23T02:00:00Z"; "in its zone")]
    #[test_case("rate(5 minutes)", "UTC", "2026-11-21T00:02:00Z" => "2026-11-21T00:07:00Z")]
    #[test_case("at(2026-11-21T09:00:00)", "Asia/Seoul", "2026-11-20T00:00:00Z" => "2026-11-21T00:00:00Z")]
    #[test_case("at(2026-11-21T09:00:00)", "UTC", "2026-11-22T00:00:00Z" => ""; "once")]
    fn schedules_fire_when_aws_would(expression: &str, zone: &str, after: &str) -> String {
        next(expression, zone, after)
    }

    #[test_case("cron(0 2 * * MON *)"; "both day fields")]
    #[test_case("cron(0 2 ? * ? *)"; "no day field")]
    #[test_case("cron(0 2 * * ?)"; "five fields")]
    #[test_case("rate(5 minute)"; "singular of many")]
    #[test_case("rate(0 minutes)"; "nothing")]
    #[test_case("every day"; "prose")]
    fn what_aws_refuses_is_refused(expression: &str) {
        assert!(Schedule::parse(expression, "UTC").is_err());
    }
}
