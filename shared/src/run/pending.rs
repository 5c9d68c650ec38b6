//! The outbox: what is to be done, and who is doing it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Action, Run};

/// Two hosts' clocks differ by at most this.
const SKEW_S: i64 = 30;

/// A submission whose claim ran out may still be on its way: whoever takes it over waits this long.
pub const SUBMIT_TAKE_OVER_AFTER_S: i64 = 120;

/// Who is carrying an action out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Random per invocation.
    pub nonce: String,
    /// Function and request id, for people.
    pub by: String,
    /// Three times the function's time-out after it was made.
    pub expires_at: Timestamp,
}

/// An action that is not done yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// See [`Action::id`].
    pub id: String,
    /// What.
    pub action: Action,
    /// Who, if anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Not before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// How often it was begun.
    #[serde(default)]
    pub tries: u32,
    /// An earlier try may have had an effect: look before doing it again.
    #[serde(default)]
    pub is_unclear: bool,
    /// Why the last try was refused, where no other try helps until a person mends something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Of a submission of certain shards: so many of them have been granted. Whoever goes on begins after them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub granted: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Pending {
    /// Whether the claim is still that one's.
    pub(super) fn is_held_by(&self, nonce: &str) -> bool {
        self.claim
            .as_ref()
            .is_some_and(|claim| claim.nonce == nonce)
    }

    /// Whether somebody may begin it now.
    fn is_free(&self, now: Timestamp) -> bool {
        let is_due = self.not_before.is_none_or(|at| at <= now);
        let is_held = self.claim.as_ref().is_some_and(|claim| {
            let wait_s = match self.action {
                Action::Submit(_) => SUBMIT_TAKE_OVER_AFTER_S,
                _ => SKEW_S,
            };
            now < claim.expires_at + SignedDuration::from_secs(wait_s)
        });
        is_due && !is_held
    }
}

impl Run {
    /// Adds actions to the outbox; one that is pending already stays as it is.
    pub fn hold(&mut self, actions: Vec<Action>) {
        for action in actions {
            let id = action.id(&self.id);
            if !self.pending.iter().any(|pending| pending.id == id) {
                self.pending.push(Pending {
                    id,
                    action,
                    claim: None,
                    not_before: None,
                    tries: 0,
                    is_unclear: false,
                    refused: None,
                    granted: 0,
                });
            }
        }
    }

    /// Claims everything that is free, in order, and gives it to be carried out.
    pub fn claim(
        &mut self,
        nonce: &str,
        by: &str,
        now: Timestamp,
        lease: SignedDuration,
    ) -> Vec<Pending> {
        let mut claimed = Vec::new();
        for pending in &mut self.pending {
            if !pending.is_free(now) {
                continue;
            }
            // Somebody began it and never told: what they did is unknown.
            pending.is_unclear |= pending.claim.is_some();
            pending.tries += 1;
            pending.claim = Some(Claim {
                nonce: nonce.to_owned(),
                by: by.to_owned(),
                expires_at: now + lease,
            });
            claimed.push(pending.clone());
        }
        claimed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_keeps_others_away_until_its_lease_and_the_skew_are_over() {
        let lease = SignedDuration::from_secs(180);
        let start = Timestamp::UNIX_EPOCH;
        let claim = Claim {
            nonce: "a".to_owned(),
            by: "f".to_owned(),
            expires_at: start + lease,
        };
        let pending = Pending {
            id: "report".to_owned(),
            action: Action::WriteReport,
            claim: Some(claim),
            not_before: None,
            tries: 1,
            is_unclear: false,
            refused: None,
            granted: 0,
        };

        assert!(!pending.is_free(start + SignedDuration::from_secs(209)));
        assert!(pending.is_free(start + SignedDuration::from_secs(210)));
    }
}
