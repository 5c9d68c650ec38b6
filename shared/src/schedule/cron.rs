//! `cron(…)`: six fields, as AWS documents them, read as wall clock times in a zone.
//!
//! Croner finds the times on the wall clock; the zone is applied here, because AWS skips a time
//! that the clocks jump over and runs only once at one that comes twice.

use std::fmt;

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// No zone repeats more than this much of its wall clock when it turns back.
const FOLD_MAX_HOURS: i32 = 3;
/// More wall clock times in a row than any gap or fold holds: `* * * * ? *` has one a minute.
const TRIES_MAX: usize = 2_000;

/// AWS takes years from 1970 on.
const FIRST_YEAR: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// A parsed expression and its zone.
#[derive(Clone)]
pub(super) struct Cron {
    pattern: croner::Cron,
    zone: TimeZone,
}

impl fmt::Debug for Cron {
    /// Without croner's bit fields, which fill pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Cron({} in {:?})",
            self.pattern.as_str(),
            self.zone.iana_name()
        )
    }
}

struct Field {
    name: &'static str,
    /// Marks allowed besides digits, `,`, `-`, `*` and `/`.
    marks: &'static str,
    words: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// In order, with what AWS lets stand in each.
const FIELDS: [Field; 6] = [
    Field {
        name: "minutes",
        marks: "",
        words: &[],
    },
    Field {
        name: "hours",
        marks: "",
        words: &[],
    },
    Field {
        name: "day of month",
        marks: "?LW",
        words: &[],
    },
    Field {
        name: "month",
        marks: "",
        words: &MONTHS,
    },
    Field {
        name: "day of week",
        marks: "?L#",
        words: &WEEKDAYS,
    },
    Field {
        name: "year",
        marks: "",
        words: &[],
    },
];

impl Cron {
    /// Reads the text between the parentheses.
    pub(super) fn parse(fields: &str, zone: TimeZone) -> Result<Self, String> {
        let upper = fields.to_uppercase();
        let given: Vec<&str> = upper.split_whitespace().collect();
        let [minutes, hours, day_of_month, month, day_of_week, year] = given[..] else {
            return Err(format!(
                "cron has six fields (minutes, hours, day of month, month, day of week, year), received: {}",
                given.len()
            ));
        };
        for (field, text) in FIELDS.iter().zip(&given) {
            field.check(text)?;
        }
        if (day_of_month == "?") == (day_of_week == "?") {
            return Err("exactly one of day of month and day of week must be `?`".to_owned());
        }
        check_years(year)?;
        // AWS: the last day of the week, which is Saturday; croner reads `L` alone otherwise.
        let day_of_week = if day_of_week == "L" { "7" } else { day_of_week };
        let pattern = format!("0 {minutes} {hours} {day_of_month} {month} {day_of_week} {year}");
        let pattern = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Optional)
            // 1 = Sunday, as AWS counts.
            .alternative_weekdays(true)
            // `0/15`: from 0, every 15.
            .sloppy_ranges(true)
            .build()
            .parse(&pattern)
            .map_err(|error| error.to_string())?;
        let never = |_| "it is never due".to_owned();
        pattern
            .find_next_occurrence(&FIRST_YEAR, true)
            .map_err(never)?;
        Ok(Self { pattern, zone })
    }

    pub(super) fn latest_due(&self, at: Timestamp) -> Option<Timestamp> {
        let wall = self.wall_clock(at);
        // In the second pass of a fold, a later time on the wall clock may already have been.
        let in_fold = self.zone.to_ambiguous_timestamp(wall).is_ambiguous();
        let mut from = if in_fold {
            wall.checked_add(Span::new().hours(FOLD_MAX_HOURS)).ok()?
        } else {
            wall
        };
        let mut inclusive = true;
        for _ in 0..TRIES_MAX {
            let candidate = self
                .pattern
                .find_previous_occurrence(&from, inclusive)
                .ok()?;
            if let Some(due) = self.instant(candidate).filter(|due| *due <= at) {
                return Some(due);
            }
            (from, inclusive) = (candidate, false);
        }
        None
    }

    pub(super) fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let (mut from, mut inclusive) = (self.wall_clock(at), true);
        for _ in 0..TRIES_MAX {
            let candidate = self.pattern.find_next_occurrence(&from, inclusive).ok()?;
            if let Some(due) = self.instant(candidate).filter(|due| *due > at) {
                return Some(due);
            }
            (from, inclusive) = (candidate, false);
        }
        None
    }

    /// To the second below: croner compares whole seconds.
    fn wall_clock(&self, at: Timestamp) -> DateTime {
        let wall = self.zone.to_datetime(at);
        wall.with().subsec_nanosecond(0).build().unwrap_or(wall)
    }

    /// `None` for a time that the clocks jump over; the first of two.
    fn instant(&self, wall: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(wall);
        if matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Gap { .. }) {
            return None;
        }
        ambiguous.earlier().ok()
    }
}

impl Field {
    fn check(&self, text: &str) -> Result<(), String> {
        let wrong = || format!("`{text}` cannot stand in the field {}", self.name);
        let words = text
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter(|word| !word.is_empty());
        for word in words {
            let is_mark = word.len() == 1 && self.marks.contains(word);
            // `FRIL`: the last Friday.
            let named = word
                .strip_suffix('L')
                .filter(|_| self.marks.contains('L'))
                .unwrap_or(word);
            if !is_mark && !self.words.contains(&named) && !self.words.contains(&word) {
                return Err(wrong());
            }
        }
        let is_known =
            |c: char| c.is_ascii_alphanumeric() || ",-*/".contains(c) || self.marks.contains(c);
        let alone = text == "?" || !text.contains('?');
        if text.chars().all(is_known) && alone {
            Ok(())
        } else {
            Err(wrong())
        }
    }
}

/// AWS takes 1970 to 2199.
fn check_years(year: &str) -> Result<(), String> {
    let parts = year
        .split([',', '-'])
        .map(|part| part.split('/').next().unwrap_or(part));
    for part in parts.filter(|part| *part != "*") {
        if !part
            .parse::<u16>()
            .is_ok_and(|year| (1970..=2199).contains(&year))
        {
            return Err(format!("years are 1970 to 2199, received: `{year}`"));
        }
    }
    Ok(())
}
