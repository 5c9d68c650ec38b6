//! How many bytes may be held for requests at once.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Twelve parts: eight fill 2.5 Gbit/s at the 85 MB/s that one connection to S3 brings, and half as many more
/// are being read or wait for an answer. A small training container has 2 GiB.
pub const MOST_IN_FLIGHT: u64 = 96 << 20;
/// What the smallest request weighs is this part of all room: so at most 96 are under way, each with a
/// connection of its own. Small objects are bound by round trips, so many at once is what makes them fast.
pub(crate) const MOST_REQUESTS: u32 = 96;
/// Permits are counted in units: there may be at most 2^29 of them on some machines.
const UNIT: u64 = 1 << 10;

/// The room.
#[derive(Debug)]
pub struct Room {
    units: Semaphore,
    all: u32,
}

impl Room {
    /// For `bytes`; a request that is larger takes all of it.
    pub fn of(bytes: u64) -> Self {
        let all = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX >> 3).max(1);
        Self {
            units: Semaphore::new(all as usize),
            all,
        }
    }

    /// Waits until a request of `bytes` fits in. First come, first served.
    pub(super) async fn take(&self, bytes: u64) -> SemaphorePermit<'_> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let units = units.clamp(self.all.div_ceil(MOST_REQUESTS), self.all);
        match self.units.acquire_many(units).await {
            Ok(permit) => permit,
            Err(_) => unreachable!("nobody closes the room"),
        }
    }
}
