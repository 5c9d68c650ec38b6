//! What is shipped last has a limit of its own: a record must be there before the host is gone.

use std::time::Duration;

use trainspot_agent::host::Happening;
use trainspot_shared::attempt::AttemptOutcome;

use crate::bench::{Bench, count, until};
use crate::shelf::Fault;

#[tokio::test]
async fn a_store_that_does_not_take_the_checkpoint_does_not_cost_the_record() {
    for happening in [
        Happening::Terminate,
        Happening::SpotNotice { goes_at: None },
    ] {
        let mut bench = Bench::train(count(100_000, 100_000, ""));
        // Longer than a story may take.
        bench.settings.patience = Duration::from_mins(10);
        bench.settings.leave_after_sigterm = Duration::from_millis(300);
        bench.settings.leave_after_notice = Duration::from_millis(300);
        let attempt = bench.start("job", 1);
        until("it works", || bench.result(1, "progress.json").is_some()).await;
        bench.store.fail(Some(Fault::Unreachable("checkpoints/")));

        attempt.tell(happening.clone());
        let code = attempt.code().await;

        assert_eq!(code, 76, "{happening:?}");
        let record = bench.record(1);
        assert_eq!(record.outcome, AttemptOutcome::PreemptedUnpublished);
        assert!(record.last_step > Some(0), "{happening:?}");
    }
}
