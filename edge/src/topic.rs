//! Telling people.

use trainspot_shared::notice::Notice;

/// Why a notice was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Trying later may help.
    #[error("publish notice: {why}")]
    Later {
        /// The SDK's own words.
        why: String,
    },
    /// The same notice will never be taken.
    #[error("publish notice: refused: {why}")]
    Refused {
        /// SNS's own words.
        why: String,
    },
}

/// SNS, as far as trainspot uses it.
pub trait Topic: Send + Sync {
    /// Publishes; `Ok` means that SNS has it.
    fn publish(&self, notice: &Notice) -> impl Future<Output = Result<(), PublishError>> + Send;
}
