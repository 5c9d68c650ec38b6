//! Whether the GPU works while the program trains: decided from samples, without doing anything.
//!
//! A program whose loader hangs, or that trains on the CPU because its driver is not found, pays for
//! a GPU that does nothing, and its own heartbeat may go on all the while.

use std::time::Duration;

/// Without a sample for so long nobody knows what the GPU did.
const LONGEST_GAP: Duration = Duration::from_secs(100);

/// What the samples said so far.
#[derive(Debug, Default)]
pub(crate) struct Idleness {
    /// Since when every sample was idle.
    since: Option<Duration>,
    sampled_at: Option<Duration>,
    was_busy: bool,
}

impl Idleness {
    /// Takes in how busy each GPU was at this uptime, in per cent. One that works is enough.
    pub(crate) fn take(&mut self, busy: &[u8], now: Duration) {
        let has_gap = self
            .sampled_at
            .is_none_or(|at| now.saturating_sub(at) > LONGEST_GAP);
        self.sampled_at = Some(now);
        if busy.iter().any(|&per_cent| per_cent > 0) {
            self.was_busy = true;
            self.since = None;
        } else if has_gap {
            self.since = Some(now);
        } else {
            self.since.get_or_insert(now);
        }
    }

    /// How long all of them have been idle, as far as is known; nothing before the training began.
    /// It has begun when a GPU worked once or a step is done: reading the data may take its time.
    pub(crate) fn lasts(&mut self, has_steps: bool, now: Duration) -> Duration {
        if !(has_steps || self.was_busy) {
            // The time before the first step does not count, also not later.
            self.since = self.since.map(|_| now);
        }
        self.since
            .map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 30 s; `None` is a sample that did not come.
    fn after(samples: &[Option<&[u8]>], steps_from: usize) -> Duration {
        let mut idleness = Idleness::default();
        let mut lasts = Duration::ZERO;
        for (n, sample) in samples.iter().enumerate() {
            let now = Duration::from_secs(30 * n as u64);
            if let Some(busy) = sample {
                idleness.take(busy, now);
            }
            lasts = idleness.lasts(n >= steps_from, now);
        }
        lasts
    }

    #[test]
    fn idleness_counts_from_the_first_idle_sample_after_the_last_busy_one() {
        let (busy, idle): (Option<&[u8]>, Option<&[u8]>) = (Some(&[40]), Some(&[0]));

        assert_eq!(after(&[busy, busy], 0), Duration::ZERO);
        assert_eq!(after(&[busy, idle, idle, idle], 9), Duration::from_mins(1));
        assert_eq!(after(&[idle, idle, busy], 0), Duration::ZERO);
        assert_eq!(after(&[idle, busy, idle, idle], 9), Duration::from_secs(30));
    }

    #[test]
    fn one_gpu_that_works_is_enough() {
        assert_eq!(after(&[Some(&[0, 1]), Some(&[0, 1])], 0), Duration::ZERO);
    }

    #[test]
    fn before_the_first_step_nothing_is_idle_and_nothing_is_made_up_for_later() {
        let idle: Option<&[u8]> = Some(&[0]);

        assert_eq!(after(&[idle; 40], 99), Duration::ZERO);
        assert_eq!(after(&[idle; 40], 37), Duration::from_secs(90));
        assert_eq!(after(&[idle; 40], 0), Duration::from_secs(39 * 30));
    }

    #[test]
    fn a_long_gap_begins_anew_and_a_short_one_does_not() {
        let idle: Option<&[u8]> = Some(&[0]);
        let short = [idle, None, None, idle];
        let long = [idle, None, None, None, idle, idle];

        assert_eq!(after(&short, 0), Duration::from_secs(90));
        assert_eq!(after(&long, 0), Duration::from_secs(30));
    }

    #[test]
    fn without_a_sample_nothing_is_idle() {
        assert_eq!(after(&[None; 100], 0), Duration::ZERO);
    }
}
