//! How long an attempt has after it was told to go: for its program, and for shipping what that leaves.

use std::time::Duration;

use jiff::SignedDuration;

/// What a host that shuts down is sure to leave, and no clock that is wrong may take away.
const AT_SHUTDOWN: TimeLeft = TimeLeft {
    program: Duration::from_secs(20),
    shipping: Duration::from_secs(27),
};
/// Of the time until a Spot host goes, the program has this share; the rest is for shipping.
const SHARE_OF_PROGRAM: f64 = 0.75;
/// Kept for the attempt's record.
const FOR_RECORD: Duration = Duration::from_secs(10);
/// Of the time until a stopped container is killed, likewise, and until shipping is given up.
const PROGRAM_OF_STOP: f64 = 2.0 / 3.0;
const SHIPPING_OF_STOP: f64 = 0.9;

/// Counted from when it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLeft {
    /// The program is killed then.
    pub program: Duration,
    /// Shipping is given up then, so that there is a record before the host is gone.
    pub shipping: Duration,
}

impl TimeLeft {
    /// Of a container that is killed so long after its SIGTERM.
    pub(crate) fn of_stop(timeout: Duration) -> Self {
        Self {
            program: timeout.mul_f64(PROGRAM_OF_STOP),
            shipping: timeout.mul_f64(SHIPPING_OF_STOP),
        }
    }

    /// After a Spot notice of a host that goes in `goes_in`, and at most `self`. A host whose clock is wrong
    /// costs nobody his work: there is as long as at a shutdown, whatever the notice's time says.
    pub(crate) fn noticed(self, goes_in: Option<SignedDuration>) -> Self {
        let Some(goes_in) = goes_in else { return self };
        let goes_in = Duration::try_from(goes_in).unwrap_or_default();
        Self {
            program: goes_in.mul_f64(SHARE_OF_PROGRAM),
            shipping: goes_in.saturating_sub(FOR_RECORD),
        }
        .or_longer(AT_SHUTDOWN)
        .or_shorter(self)
    }

    /// After SIGTERM, and at most `self`. The one that follows a Spot notice comes of a host that shuts down;
    /// any other comes of whoever stops the container, and kills it when the stop's time is over.
    pub(crate) fn terminated(self, was_noticed: bool) -> Self {
        if was_noticed {
            self.or_shorter(AT_SHUTDOWN)
        } else {
            self
        }
    }

    fn or_longer(self, other: Self) -> Self {
        Self {
            program: self.program.max(other.program),
            shipping: self.shipping.max(other.shipping),
        }
    }

    fn or_shorter(self, other: Self) -> Self {
        Self {
            program: self.program.min(other.program),
            shipping: self.shipping.min(other.shipping),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of(program: u64, shipping: u64) -> TimeLeft {
        TimeLeft {
            program: Duration::from_secs(program),
            shipping: Duration::from_secs(shipping),
        }
    }

    #[test]
    fn a_notice_leaves_most_of_its_time_whatever_the_clock_says() {
        let left =
            |goes_in_s: Option<i64>| of(90, 110).noticed(goes_in_s.map(SignedDuration::from_secs));

        assert_eq!(left(None), of(90, 110));
        assert_eq!(left(Some(120)), of(90, 110));
        assert_eq!(left(Some(100)), of(75, 90));
        assert_eq!(left(Some(60)), of(45, 50));
        assert_eq!(left(Some(5)), of(20, 27));
        assert_eq!(left(Some(-3_600)), of(20, 27));
        assert_eq!(left(Some(86_400)), of(90, 110));
    }

    #[test]
    fn a_stopped_container_has_until_it_is_killed_and_a_dying_host_seconds() {
        let stop = |timeout_s: u64| TimeLeft::of_stop(Duration::from_secs(timeout_s));

        assert_eq!(stop(30), of(20, 27));
        assert_eq!(stop(110).program.as_secs(), 73);
        assert_eq!(stop(110).shipping.as_secs(), 99);
        assert_eq!(stop(110).terminated(false), stop(110));
        assert_eq!(stop(110).terminated(true), of(20, 27));
        assert_eq!(of(2, 3).terminated(true), of(2, 3));
    }
}
