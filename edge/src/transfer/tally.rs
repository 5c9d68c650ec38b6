//! How far a long transfer is, as a line of the log every ten seconds.

use std::time::Duration;

const SAY_EVERY: Duration = Duration::from_secs(10);

/// The count.
#[derive(Debug, Default)]
pub(super) struct Tally {
    verb: &'static str,
    done: u64,
    of: u64,
    /// Since when, and when it last said so.
    times: Option<(Duration, Duration)>,
}

impl Tally {
    pub(super) fn begin(&mut self, verb: &'static str, bytes: u64, now: Duration) {
        if self.verb == verb && self.done < self.of {
            self.of += bytes;
            return;
        }
        *self = Self {
            verb,
            done: 0,
            of: bytes,
            times: Some((now, now)),
        };
    }

    /// `bytes` more are there; the line to say, if it is time for one.
    pub(super) fn count(&mut self, bytes: u64, now: Duration) -> Option<String> {
        self.done += bytes;
        let (began, said) = self.times?;
        if now.saturating_sub(said) < SAY_EVERY {
            return None;
        }
        self.times = Some((began, now));
        let rate = rate(self.done, now.saturating_sub(began));
        let (verb, done, of) = (self.verb, self.done >> 20, self.of >> 20);
        Some(format!("{verb} {done} of {of} MiB, {rate} MiB/s"))
    }
}

/// In MiB a second.
fn rate(bytes: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(bytes >> 20) * 1000 / time.as_millis().max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn it_says_so_every_ten_seconds_and_not_more_often() {
        let mut tally = Tally::default();
        tally.begin("sent", 100 << 20, at(0));

        let said: Vec<_> = (1..=25)
            .filter_map(|second| tally.count(1 << 20, at(second)))
            .collect();

        assert_eq!(
            said,
            ["sent 10 of 100 MiB, 1 MiB/s", "sent 20 of 100 MiB, 1 MiB/s"]
        );
    }

    #[test]
    fn jobs_at_once_are_one_and_the_next_one_begins_anew() {
        let mut tally = Tally::default();
        tally.begin("fetched", 10 << 20, at(0));
        tally.begin("fetched", 10 << 20, at(1));
        let both = tally.count(20 << 20, at(10));
        tally.begin("fetched", 5 << 20, at(100));
        let next = tally.count(5 << 20, at(110));

        assert_eq!(both.as_deref(), Some("fetched 20 of 20 MiB, 2 MiB/s"));
        assert_eq!(next.as_deref(), Some("fetched 5 of 5 MiB, 0 MiB/s"));
    }
}
