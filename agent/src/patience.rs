//! Trying again while the store is out of reach, with the agent's own errors.

use std::time::Duration;

use trainspot_edge::World;
use trainspot_edge::patience::{self, MayPass};

use crate::error::AgentError;

impl MayPass for AgentError {
    fn may_pass(&self) -> bool {
        Self::may_pass(self)
    }
}

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
    let call = || {
        let answer = call();
        async move { answer.await.map_err(AgentError::from) }
    };
    patience::patiently(world, patience, call).await
}
