//! Trying again while the store is out of reach.

use std::time::Duration;

use jiff::Timestamp;
use trainspot_edge::World;

use crate::error::AgentError;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Calls until the answer is final or `patience` is used up; then the last answer counts.
/// Each call must be safe to repeat.
pub(crate) async fn patiently<T, E, F>(
    world: &impl World,
    patience: Duration,
    mut call: impl FnMut() -> F + Send,
) -> Result<T, AgentError>
where
    F: Future<Output = Result<T, E>> + Send,
    AgentError: From<E>,
{
    let began = world.now();
    let mut cap = FIRST_PAUSE;
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => AgentError::from(error),
        };
        if !error.may_pass() || between(began, world.now()) >= patience {
            return Err(error);
        }
        // Half of it fixed, or a short streak of luck would use a minute up in thousands of calls.
        world
            .pause(cap.mul_f64(0.5 + world.chance().clamp(0.0, 1.0) / 2.0))
            .await;
        cap = (cap * 2).min(LONGEST_PAUSE);
    }
}

/// How long it is from one reading of the clock to a later one; nothing if the clock was set back.
pub(crate) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}
