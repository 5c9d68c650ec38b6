//! What happens to one attempt of a job.

use trainspot_edge::memory::AttemptEnd;

/// As a story's script has it; an attempt without one finishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Works, publishes its output, exits 0.
    Finish,
    /// Gets a Spot notice, publishes a checkpoint of that step, exits 75.
    Reclaimed {
        /// Step of the checkpoint.
        step: u64,
    },
    /// The host goes without a word.
    LosesHost,
    /// Ends so, with nothing published.
    Ends(AttemptEnd),
    /// Publishes its output and ends so all the same.
    FinishesThen(AttemptEnd),
    /// Exits 0 and publishes nothing.
    ComesBackEmptyHanded,
    /// Is at work and stays there.
    Stays,
}
