//! Trying again while a service is out of reach.

use std::time::Duration;

use crate::store::StoreError;
use crate::world::World;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An error that may pass by itself.
pub trait MayPass {
    /// Whether the same call may go better later.
    fn may_pass(&self) -> bool;
}

impl MayPass for StoreError {
    fn may_pass(&self) -> bool {
        Self::may_pass(self)
    }
}

/// Calls until the answer is final or `patience` is used up; then the last answer counts.
/// Each call must be safe to repeat.
pub async fn patiently<T, E, F>(
    world: &impl World,
    patience: Duration,
    mut call: impl FnMut() -> F + Send,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>> + Send,
    E: MayPass + Send,
{
    let began = world.uptime();
    let mut cap = FIRST_PAUSE;
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !error.may_pass() || world.uptime().saturating_sub(began) >= patience {
            return Err(error);
        }
        // Half of it fixed, or a short streak of luck would use a minute up in thousands of calls.
        world
            .pause(cap.mul_f64(0.5 + world.chance().clamp(0.0, 1.0) / 2.0))
            .await;
        cap = (cap * 2).min(LONGEST_PAUSE);
    }
}
