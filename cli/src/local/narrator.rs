//! Tells on stderr what happens in a local cloud: lines on a pipe, lines above a bar on a terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use trainspot_localcloud::Happening;
use trainspot_shared::progress::Progress;

/// On a pipe the heartbeat is a line each time another tenth is done.
const TENTHS: f64 = 10.0;

/// Somebody to tell.
#[derive(Debug)]
pub(crate) struct Narrator {
    bar: Option<ProgressBar>,
    told: std::sync::Mutex<Option<(String, u64)>>,
}

impl Narrator {
    /// To stderr.
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            bar,
            told: std::sync::Mutex::new(None),
        }
    }

    /// One line.
    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// Where the work of a job stands.
    pub(crate) fn heartbeat(&self, what: &str, progress: &Progress) {
        if progress.total == 0 {
            return;
        }
        let percent = progress.share() * 100.0;
        let text = format!(
            "{what}: {percent:.0} % (step {} of {}, {:.1} a second) {}",
            progress.step, progress.total, progress.rate, progress.detail
        );
        self.standing(what, progress.share(), text);
    }

    /// A share of something that is done.
    pub(crate) fn share(&self, what: &str, n_done: usize, n_all: usize) {
        #[expect(clippy::cast_precision_loss, reason = "at most ten thousand")]
        let share = n_done as f64 / n_all.max(1) as f64;
        self.standing(what, share, format!("{what}: {n_done} of {n_all} done"));
    }

    fn standing(&self, what: &str, share: f64, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            return;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 10"
        )]
        let tenth = (share * TENTHS).floor().clamp(0.0, TENTHS) as u64;
        let now = Some((what.to_owned(), tenth));
        let mut told = self
            .told
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *told != now {
            eprintln!("{}", text.trim_end());
            *told = now;
        }
    }

    /// What is worth a line, of all that happens.
    pub(crate) fn tell(&self, happening: &Happening) {
        if let Some(line) = line(happening) {
            self.line(&line);
        }
    }
}

impl Default for Narrator {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Narrator {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(happening: &Happening) -> Option<String> {
    Some(match happening {
        Happening::JobChanged {
            job_id,
            job_name,
            status,
            attempts,
            status_reason,
            ..
        } => {
            let child = job_id
                .split_once(':')
                .map_or(String::new(), |(_, index)| format!(" shard job {index}"));
            let attempt = if *attempts > 0 {
                format!(", {attempts} attempts ended")
            } else {
                String::new()
            };
            let reason = status_reason
                .as_ref()
                .map_or(String::new(), |reason| format!(" ({reason})"));
            match status.as_str() {
                // Between the two a person sees nothing that matters.
                "SUBMITTED" | "STARTING" | "PENDING" => return None,
                _ => format!(
                    "{job_name}{child}: {}{attempt}{reason}",
                    status.to_lowercase()
                ),
            }
        }
        Happening::InvocationEnded {
            function,
            error: Some(error),
            ..
        } => format!("{function} failed: {error}"),
        Happening::DeadLettered { function, error } => {
            format!("{function} gave up after its retries: {error}")
        }
        Happening::NoticePublished { subject, .. } => {
            format!(
                "notice: {}",
                subject.as_deref().unwrap_or("without a subject")
            )
        }
        Happening::Reclaimed {
            instance_id,
            notice_until,
            ..
        } => match notice_until {
            Some(until) => format!(
                "Spot host {instance_id} is reclaimed, gone at {}",
                until.strftime("%H:%M:%SZ")
            ),
            None => format!("Spot host {instance_id} is gone without notice"),
        },
        Happening::Struck { kind, what } => format!("chaos: {kind}: {what}"),
        Happening::NotImplemented { service, what } => {
            format!("the local cloud has no {service} {what}: answered 501")
        }
        Happening::Broken { what } => format!("the local cloud failed: {what}"),
        _ => return None,
    })
}
