//! Bugs on purpose. A proof that cannot fail proves nothing: each of these must be found by the bad weeks.
//!
//! Behind a feature that only the stories turn on; never read from an environment.

/// Which rule is broken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Planted {
    /// None.
    #[default]
    None,
    /// A job is submitted before the ledger says so.
    SubmitBeforeSave,
    /// A claim runs out while its holder is still at work.
    ShortLease,
    /// A late event changes how a run ended.
    TerminalOverwritten,
}
