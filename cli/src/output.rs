//! Results go to stdout whole, once; everything else goes to stderr.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};

/// A pipe has no width of its own; a log that is read in a browser has about this one.
const PIPE_WIDTH: u16 = 158;

/// Writes a result. A reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let text = text.trim_end_matches('\n');
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("write to stdout"),
    }
}

/// A document as JSON for scripts.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value).context("write JSON")?)
}

/// A table in the one style of all commands.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    if !std::io::stdout().is_terminal() {
        table.set_width(PIPE_WIDTH);
    }
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    table
}

/// Seconds as people say them: `45s`, `12m 05s`, `3h 07m`.
pub(crate) fn length(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "lengths of runs, cut off at 0"
    )]
    let whole = seconds.round().max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_shown_as_people_say_them() {
        let shown: Vec<_> = [0.4, 59.6, 725.0, 11_220.0]
            .into_iter()
            .map(length)
            .collect();

        assert_eq!(shown, ["0s", "1m 00s", "12m 05s", "3h 07m"]);
    }
}
