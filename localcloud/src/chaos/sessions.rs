//! Which function processes are to die at which of their calls. A process is known at the door by the session token
//! of its credentials, as several processes of one function work at a time.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::locked::locked;

/// A process's end, as it was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doom {
    /// The leader of its group.
    pub(crate) pid: i32,
    /// The function's logical id, for the telling.
    pub(crate) function: String,
    /// So many calls are still let through.
    pub(crate) calls_left: u32,
    /// Whether the call at which it dies takes effect.
    pub(crate) after_effect: bool,
}

/// Processes that are to die.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Doom>>);

impl Sessions {
    pub(super) fn condemn(&self, token: &str, doom: Doom) {
        locked(&self.0).insert(token.to_owned(), doom);
    }

    /// The invocation is over: what comes next is another one's.
    pub(super) fn spare(&self, token: &str) {
        locked(&self.0).remove(token);
    }

    /// Counts a call; gives the doom if this is the one.
    pub(super) fn call(&self, token: &str) -> Option<Doom> {
        let mut all = locked(&self.0);
        let doom = all.get_mut(token)?;
        doom.calls_left = doom.calls_left.saturating_sub(1);
        if doom.calls_left > 0 {
            return None;
        }
        all.remove(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_dies_at_its_call_once_and_no_other_does() {
        let sessions = Sessions::default();
        let doom = Doom {
            pid: 1,
            function: "FanOutFunction".to_owned(),
            calls_left: 2,
            after_effect: true,
        };
        sessions.condemn("a", doom.clone());
        sessions.condemn("spared", doom);
        sessions.spare("spared");

        let died = |token: &str| sessions.call(token).is_some();

        assert!(!died("b") && !died("a"));
        assert!(died("a"));
        assert!(!died("a"));
        assert!(!died("spared") && !died("spared"));
    }
}
