//! The numbers that the agent and the programs it wraps end with.
//!
//! Batch's retry rules and the failure classifier read them; they never change meaning.

use trainspot_edge::store::StoreError;

use crate::error::AgentError;
use crate::program::Ended;

/// All done.
pub const DONE: u8 = 0;
/// The job document, a variable or the program's own configuration is wrong, or S3 refuses for good.
pub const BAD_CONFIGURATION: u8 = 64;
/// A pinned object changed or cannot be read, or the data is not what it should be.
pub const BAD_DATA: u8 = 65;
/// S3 gave no answer for a minute.
pub const STORE_UNREACHABLE: u8 = 69;
/// A bug, here or in the program.
pub const BUG: u8 = 70;
/// The program's heartbeat went on without progress.
pub const STALLED: u8 = 74;
/// Told to go, and the newest checkpoint is published.
pub const PREEMPTED_PUBLISHED: u8 = 75;
/// Told to go, and nothing new could be published.
pub const PREEMPTED_UNPUBLISHED: u8 = 76;
/// A role or a bucket policy forbids what the agent must do.
pub const PERMISSION: u8 = 77;
/// Somebody else owns the stage.
pub const NOT_OWNER: u8 = 79;

/// What a shell ends with for a program that is there but cannot be run.
pub const NOT_EXECUTABLE: u8 = 126;
/// What a shell ends with for a program that is not there.
pub const NOT_FOUND: u8 = 127;

/// The codes that only mean something from a program that declares the contract.
const CONTRACT: std::ops::RangeInclusive<i32> = 64..=80;
/// Added to a signal's number, as shells do.
const SIGNAL_BASE: i32 = 128;

/// The agent's code for a program that ended by itself and not with 0.
///
/// A program that does not know the contract may use 64 to 80 for anything: that is a bug to us,
/// or a foreign 75 would be retried as a reclaim for ever.
pub fn of_program(ended: Ended, declares_contract: bool) -> u8 {
    let code = match ended {
        Ended::Exited(code) if CONTRACT.contains(&code) && !declares_contract => i32::from(BUG),
        Ended::Exited(code) => code,
        Ended::Signaled(signal) => SIGNAL_BASE + signal,
    };
    u8::try_from(code).unwrap_or(BUG)
}

/// The agent's code for an error of its own.
pub(crate) fn of_error(error: &AgentError) -> u8 {
    match error {
        AgentError::Configuration(_) => BAD_CONFIGURATION,
        AgentError::BadData(_) => BAD_DATA,
        AgentError::NotOwner(_) => NOT_OWNER,
        AgentError::Contended(_) => STORE_UNREACHABLE,
        AgentError::Local { .. } => BUG,
        AgentError::Store(store) => match store {
            StoreError::Unreachable { .. }
            | StoreError::Garbled { .. }
            | StoreError::NoUpload { .. } => STORE_UNREACHABLE,
            StoreError::Denied { .. } => PERMISSION,
            StoreError::Refused(refused) if !refused.is_pinned => BAD_CONFIGURATION,
            StoreError::Refused(_) | StoreError::Changed { .. } => BAD_DATA,
            StoreError::NoBucket { .. } | StoreError::DiskFull { .. } => BAD_CONFIGURATION,
            StoreError::File { .. } | StoreError::Moving { .. } | StoreError::Malformed { .. } => {
                BUG
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use trainspot_edge::refused::Refused;

    use super::*;

    #[test]
    fn a_refusal_for_good_is_bad_data_when_the_object_was_pinned_and_else_bad_configuration() {
        for (is_pinned, code) in [(true, BAD_DATA), (false, BAD_CONFIGURATION)] {
            let refused = StoreError::Refused(Refused {
                what: "GET s3://data/a.parquet".to_owned(),
                code: "InvalidObjectState".to_owned(),
                message: "no".to_owned(),
                is_pinned,
            });

            assert!(!refused.may_pass());
            assert_eq!(of_error(&AgentError::Store(refused)), code);
        }
    }

    #[test]
    fn a_program_that_declares_the_contract_passes_its_codes_through() {
        for code in 64..=80 {
            assert_eq!(i32::from(of_program(Ended::Exited(code), true)), code);
        }
    }

    #[test]
    fn a_program_that_does_not_declare_the_contract_has_a_bug_instead() {
        for code in 64..=80 {
            assert_eq!(of_program(Ended::Exited(code), false), BUG);
        }
    }

    #[test]
    fn every_other_code_passes_as_it_is() {
        for code in (1..=63).chain(81..=127) {
            assert_eq!(i32::from(of_program(Ended::Exited(code), false)), code);
            assert_eq!(i32::from(of_program(Ended::Exited(code), true)), code);
        }
    }

    #[test]
    fn a_signal_is_128_and_its_number() {
        assert_eq!(of_program(Ended::Signaled(9), true), 137);
        assert_eq!(of_program(Ended::Signaled(15), false), 143);
        assert_eq!(of_program(Ended::Signaled(6), false), 134);
    }
}
