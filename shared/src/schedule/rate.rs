//! `rate(…)`: due again and again after the same length of time.
//!
//! AWS counts from when the rule was made, which nobody here knows. So a rate is checked and never
//! reckoned with: its tick is the minute in which it fires, and one that got lost stays unknown.
//! Counting from a beginning of our own would give ticks hours older than their firings, and with
//! them deadlines that have passed before the run begins.

/// Refuses what AWS refuses: it wants `minute`, `hour` and `day` after 1, and only then.
pub(super) fn check(fields: &str) -> Result<(), String> {
    let wrong =
        || format!("`{fields}` is not a number of minutes, hours or days such as `12 hours`");
    let (number, unit) = fields.split_once(' ').ok_or_else(wrong)?;
    let has_sign = !fields.starts_with(|c: char| c.is_ascii_digit());
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let singular = unit.strip_suffix('s').unwrap_or(unit);
    if has_sign || number == 0 || !["minute", "hour", "day"].contains(&singular) {
        return Err(wrong());
    }
    let right = if number == 1 {
        singular.to_owned()
    } else {
        format!("{singular}s")
    };
    if unit == right {
        Ok(())
    } else {
        Err(format!(
            "AWS wants `{number} {right}`, received: `{fields}`"
        ))
    }
}
