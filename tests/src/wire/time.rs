//! The SDKs' time and sleep, by the world's clock.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use trainspot_edge::World;
use trainspot_edge::memory::MemoryEdge;

/// The invocation's host's clock.
pub(super) struct Clock(MemoryEdge);

impl Clock {
    pub(super) const fn of(sight: MemoryEdge) -> Self {
        Self(sight)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::from(World::now(&self.0))
    }
}

/// Waits until somebody moves the world's clock.
pub(super) struct Sleeper(MemoryEdge);

impl Sleeper {
    pub(super) const fn of(sight: MemoryEdge) -> Self {
        Self(sight)
    }
}

impl fmt::Debug for Sleeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sleeper")
    }
}

impl AsyncSleep for Sleeper {
    fn sleep(&self, duration: Duration) -> Sleep {
        let sight = self.0.clone();
        Sleep::new(async move { sight.pause(duration).await })
    }
}
