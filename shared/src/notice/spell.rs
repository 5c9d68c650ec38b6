//! How times, amounts and shares are spelled for people, in notices and on the run's page.
//!
//! Only spelling: nothing here decides what is told.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const MINUTE_S: f64 = 60.0;
const HOUR_S: f64 = 3600.0;
const DAY_S: f64 = 86_400.0;

/// `0.4 s`, `48 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "an unknown time".to_owned();
    }
    let seconds = seconds.max(0.0);
    if seconds < 10.0 {
        let tenths = (seconds * 10.0).round() / 10.0;
        return format!("{tenths} s");
    }
    let whole = seconds.round();
    if whole < MINUTE_S {
        format!("{whole} s")
    } else if whole < HOUR_S {
        two(whole, MINUTE_S, "min", 1.0, "s")
    } else if whole < DAY_S {
        two(whole, HOUR_S, "h", MINUTE_S, "min")
    } else {
        two(whole, DAY_S, "d", HOUR_S, "h")
    }
}

fn two(seconds: f64, large_s: f64, large: &str, small_s: f64, small: &str) -> String {
    let first = (seconds / large_s).floor();
    let second = ((seconds - first * large_s) / small_s).floor();
    if second > 0.0 {
        format!("{first} {large} {second} {small}")
    } else {
        format!("{first} {large}")
    }
}

/// Seconds from one to the other; 0 if the clocks say that it went backwards.
pub(crate) fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

/// `2026-11-23 02:41 UTC`.
pub(crate) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// `2026-11-23 02:41:10 UTC`.
pub(crate) fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `02:41:10`, for places that say the day and UTC themselves.
pub(crate) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// `2026-11-23 22:00 UTC (07:00 on 2026-11-24 in Asia/Seoul)`.
pub(crate) fn minute_there_too(at: Timestamp, zone: &TimeZone) -> String {
    let utc = minute(at);
    match zone.iana_name() {
        Some(name) if name != "UTC" => {
            let there = at
                .to_zoned(zone.clone())
                .strftime("%H:%M on %Y-%m-%d")
                .to_string();
            format!("{utc} ({there} in {name})")
        }
        _ => utc,
    }
}

/// `1 attempt`, `2 attempts`.
pub(crate) fn counted(n: usize, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}

/// `12,345`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A measured number: four places, `1.23e-5` where those would show nothing, a dash where it is none.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "no number".to_owned();
    }
    let is_hidden = value != 0.0 && value.abs() < 0.000_05;
    if is_hidden || value.abs() >= 1e7 {
        format!("{value:.2e}")
    } else {
        format!("{value:.4}")
    }
}

/// `+1.2 %`.
pub(crate) fn change(share: f64) -> String {
    if share.is_finite() {
        format!("{:+.1} %", share * 100.0)
    } else {
        "no number".to_owned()
    }
}

/// At most `max` characters of one line: no control characters, `…` where it was cut.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let clean: String = without_escapes(text)
        .chars()
        .map(|c| {
            if c.is_control() || is_line_break(c) {
                ' '
            } else {
                c
            }
        })
        .collect();
    let clean = clean.trim_end();
    if clean.chars().count() <= max {
        return clean.to_owned();
    }
    let kept: String = clean.chars().take(max.saturating_sub(1)).collect();
    format!("{kept}…")
}

const fn is_line_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Without the colour codes that programs write for terminals.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
        } else if chars.next_if_eq(&'[').is_some() {
            while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(0.0, "0 s")]
    #[test_case(1.84, "1.8 s")]
    #[test_case(59.7, "1 min")]
    #[test_case(200.0, "3 min 20 s")]
    #[test_case(7_500.0, "2 h 5 min")]
    #[test_case(273_600.0, "3 d 4 h")]
    #[test_case(-3.0, "0 s")]
    #[test_case(f64::NAN, "an unknown time")]
    fn a_duration_has_at_most_two_units(seconds: f64, spelled: &str) {
        assert_eq!(duration(seconds), spelled);
    }

    #[test_case(0, "0")]
    #[test_case(999, "999")]
    #[test_case(12_345, "12,345")]
    #[test_case(1_234_567, "1,234,567")]
    fn thousands_are_grouped(n: u64, spelled: &str) {
        assert_eq!(grouped(n), spelled);
    }

    #[test]
    fn a_deadline_is_told_in_the_pipeline_s_own_zone_too() {
        let seoul = TimeZone::get("Asia/Seoul").expect("bundled");
        let at = "2026-11-23T22:00:00Z".parse().expect("a time");

        assert_eq!(
            minute_there_too(at, &seoul),
            "2026-11-23 22:00 UTC (07:00 on 2026-11-24 in Asia/Seoul)"
        );
        assert_eq!(minute_there_too(at, &TimeZone::UTC), "2026-11-23 22:00 UTC");
    }

    #[test]
    fn colours_and_line_breaks_do_not_reach_a_person() {
        assert_eq!(
            one_line("\u{1b}[31mred\u{1b}[0m\tand\r\nmore\n", 80),
            "red and  more"
        );
        assert_eq!(one_line("12345678", 5), "1234…");
    }
}
