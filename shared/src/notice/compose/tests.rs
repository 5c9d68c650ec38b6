//! Four notices as a person gets them.

use super::*;
use crate::notice::body::BODY_MAX_BYTES;
use crate::notice::ledgers;

fn told(notice: &Notice) -> String {
    let machine = serde_json::to_string_pretty(&notice.machine).expect("a document");
    format!("{}\n\n{}\n{machine}", notice.subject, notice.text)
}

#[test]
fn a_success_tells_what_the_reclaim_cost() {
    let notice = compose(&ledgers::succeeded_with_a_reclaim(), NoticeKind::Succeeded);

    insta::assert_snapshot!(told(&notice), @r#"
    [trainspot] recommender succeeded (2026-11-23 02:00 UTC)

    The recommender run of 2026-11-23 02:00 UTC succeeded after 32 min 7 s.
    Deadline 2026-11-23 22:00 UTC (07:00 on 2026-11-24 in Asia/Seoul): kept, with 19 h 27 min to
    spare.

    WHY
    `sequential-rules` passes every check against the champion.

    WHAT YOU MAY DO
    - Nothing. If the new champion turns out bad: `trainspot promote recommender-20261120T0200Z`
      makes the one before it champion again.

    LOST AND SAVED
    Cost at least $0.0789 (estimated); the same hours on-demand $0.2192; saved $0.1403.
    1 reclaim, 1 interruption; 1.8 s of work repeated in all.
    - train 1, attempt 1: reclaimed at step 412, resumed at 408: 1.8 s of work repeated, 1 min
      change-over.
    - Estimated from host seconds and the price list of 2026-08-17 (us-east-1); Spot at its mean
      price. Storage, requests and the time a host takes to start and stop are not in it.
    - 3 min 47 s of host time has no known price (the instance type is not in the list, or the host
      told none) and is not in it.

    WHAT TRAINSPOT DID
    - train 1 on Spot: job job-train-1, 2 ended attempts, its output counts.
    - evaluate 1 on Spot: job job-evaluate-1, 1 ended attempt, its output counts.
    - recommend 1 on Spot: job job-recommend-1, 1 ended attempt, its output counts.
    - gather 1 on Spot: job job-gather-1, 1 ended attempt, its output counts.

    GATE AND CHAMPION
    Best candidate: `sequential-rules`, ndcg_at_10 0.1132. `sequential-rules` passes every check
    against the champion.
    Checks: 2 passed, 0 failed.
    New champion: `sequential-rules` of this run, in place of `network` of
    recommender-20261120T0200Z.

    WHERE TO LOOK
    - Run: recommender-20261123T0200Z
    - Report, in the results bucket: reports/recommender/recommender-20261123T0200Z.html
    - Ledger: state/recommender/recommender-20261123T0200Z/run.json
    - Log stream of train 1, attempt 1: recommender/default/train11
    - Log stream of train 1, attempt 2: recommender/default/train12
    - Log stream of evaluate 1, attempt 1: recommender/default/evaluate11
    - Log stream of recommend 1, attempt 1: recommender/default/recommend11
    - Log stream of gather 1, attempt 1: recommender/default/gather11
    - Notice: recommender-20261123T0200Z/succeeded

    {
      "class": "none",
      "cost_usd": 0.0789,
      "deadline": "2026-11-23T22:00:00Z",
      "end": "succeeded",
      "ended_at": "2026-11-23T02:32:10Z",
      "evidence": null,
      "id": "recommender-20261123T0200Z/succeeded",
      "kind": "succeeded",
      "on_demand_usd": 0.219168,
      "phase": "final",
      "pipeline": "recommender",
      "reclaims": 1,
      "repeated_s": 1.8181818181818181,
      "report_key": "reports/recommender/recommender-20261123T0200Z.html",
      "run_id": "recommender-20261123T0200Z",
      "saved_usd": 0.140268,
      "schema": 1,
      "stage": null
    }
    "#);
}

#[test]
fn a_failure_shows_the_program_s_words_and_no_secret() {
    let notice = compose(&ledgers::failed_by_a_bug(), NoticeKind::Failed);

    insta::assert_snapshot!(told(&notice), @r#"
    [trainspot] recommender failed in train: bug (2026-11-23 02:00 UTC)

    The recommender run of 2026-11-23 02:00 UTC failed in train after 1 min 31 s.
    Deadline 2026-11-23 22:00 UTC (07:00 on 2026-11-24 in Asia/Seoul): there is no result to keep it
    with.

    WHY
    The program failed in a way that it did not foresee.
    Class `bug`, evidence: exit code 70
    The program says: loss is no number at step 17
    Its hint: lower `learning_rate`, or look for empty rows in the data

    WHAT YOU MAY DO
    - Read the last log lines and correct the program; then run again with force.
    - To run it again: `trainspot retry recommender-20261123T0200Z`
    - To read more: `trainspot show recommender-20261123T0200Z`
    - All of its log lies in the log streams that are named here.

    LOST AND SAVED
    Cost $0.0027 (estimated); the same hours on-demand $0.0075; saved $0.0048.
    No work was repeated.
    - Estimated from host seconds and the price list of 2026-08-17 (us-east-1); Spot at its mean
      price. Storage, requests and the time a host takes to start and stop are not in it.

    WHAT TRAINSPOT DID
    - train 1 on Spot: job job-train-1, 1 ended attempt, ended as `bug` (exit code 70).

    LAST LOG LINES OF TRAIN, SUBMISSION 1, ATTEMPT 1
      | connecting with password=**** as trainer
      | step 16 loss 0.6931
      | step 17 loss nan
      | FloatingPointError: loss is no number at step 17

    WHERE TO LOOK
    - Run: recommender-20261123T0200Z
    - Report, in the results bucket: reports/recommender/recommender-20261123T0200Z.html
    - Ledger: state/recommender/recommender-20261123T0200Z/run.json
    - Log stream of train 1, attempt 1: recommender/default/train11
    - Notice: recommender-20261123T0200Z/failed

    {
      "class": "bug",
      "cost_usd": 0.002683,
      "deadline": "2026-11-23T22:00:00Z",
      "end": "failed",
      "ended_at": "2026-11-23T02:01:34Z",
      "evidence": "exit code 70",
      "id": "recommender-20261123T0200Z/failed",
      "kind": "failed",
      "on_demand_usd": 0.007452,
      "phase": "final",
      "pipeline": "recommender",
      "reclaims": 0,
      "repeated_s": 0.0,
      "report_key": "reports/recommender/recommender-20261123T0200Z.html",
      "run_id": "recommender-20261123T0200Z",
      "saved_usd": 0.004769,
      "schema": 1,
      "stage": "train"
    }
    "#);
}

#[test]
fn a_move_says_why_and_that_the_sums_come_later() {
    let notice = compose(&ledgers::moved(), NoticeKind::Moved);

    insta::assert_snapshot!(told(&notice), @r#"
    [trainspot] recommender moved to on-demand: host lost (2026-11-23 02:00 UTC)

    The recommender run of 2026-11-23 02:00 UTC goes on, now on on-demand: train is submitted for
    the 2nd time.
    Deadline 2026-11-23 22:00 UTC (07:00 on 2026-11-24 in Asia/Seoul).

    WHY
    The host went away without a notice: a Spot reclaim, or somebody or something ended the
    instance.
    Class `host_lost`, evidence: Host EC2 (instance i-0123456789abcdef0) terminated.

    WHAT YOU MAY DO
    - Nothing: the work goes on from its newest checkpoint, at the on-demand price.
    - To see how far it is: `trainspot show recommender-20261123T0200Z`

    LOST AND SAVED
    What it cost is not known.
    - The run is still at work: the sums are made at its end.

    WHAT TRAINSPOT DID
    - train 1 on Spot: job job-train-1, 2 ended attempts, ended as `host_lost` (Host EC2 (instance
      i-0123456789abcdef0) terminated).
    - train 2 on on-demand (moved from Spot): on its way to Batch.

    WHERE TO LOOK
    - Run: recommender-20261123T0200Z
    - Report, at the run's end: reports/recommender/recommender-20261123T0200Z.html
    - Ledger: state/recommender/recommender-20261123T0200Z/run.json
    - Log stream of train 1, attempt 1: recommender/default/train11
    - Log stream of train 1, attempt 2: recommender/default/train12
    - Notice: recommender-20261123T0200Z/moved-train-2

    {
      "class": "host_lost",
      "cost_usd": null,
      "deadline": "2026-11-23T22:00:00Z",
      "end": null,
      "ended_at": null,
      "evidence": "Host EC2 (instance i-0123456789abcdef0) terminated.",
      "id": "recommender-20261123T0200Z/moved-train-2",
      "kind": "moved",
      "on_demand_usd": null,
      "phase": "training",
      "pipeline": "recommender",
      "reclaims": 0,
      "repeated_s": 0.0,
      "report_key": null,
      "run_id": "recommender-20261123T0200Z",
      "saved_usd": null,
      "schema": 1,
      "stage": "train"
    }
    "#);
}

#[test]
fn a_skipped_tick_costs_nothing_and_needs_nothing() {
    let notice = compose(&ledgers::skipped(), NoticeKind::Skipped);

    insta::assert_snapshot!(told(&notice), @r#"
    [trainspot] recommender skipped (2026-11-23 02:00 UTC)

    The recommender run of 2026-11-23 02:00 UTC was skipped: nothing was started for it.

    WHY
    Data, spec and image are the same as in the last run that ended well.

    WHAT YOU MAY DO
    - Nothing, if that is as you want it. To run all the same: `trainspot start recommender --force`

    LOST AND SAVED
    Nothing ran, so nothing was paid.

    WHERE TO LOOK
    - Run: recommender-20261123T0200Z
    - There is no report: no stage was begun.
    - Ledger: state/recommender/recommender-20261123T0200Z/run.json
    - Notice: recommender-20261123T0200Z/skipped

    {
      "class": "none",
      "cost_usd": 0.0,
      "deadline": "2026-11-23T22:00:00Z",
      "end": "skipped",
      "ended_at": "2026-11-23T02:00:05Z",
      "evidence": null,
      "id": "recommender-20261123T0200Z/skipped",
      "kind": "skipped",
      "on_demand_usd": 0.0,
      "phase": "final",
      "pipeline": "recommender",
      "reclaims": 0,
      "repeated_s": 0.0,
      "report_key": null,
      "run_id": "recommender-20261123T0200Z",
      "saved_usd": 0.0,
      "schema": 1,
      "stage": null
    }
    "#);
}

#[test]
fn a_second_move_is_a_second_notice_and_the_same_move_the_same() {
    let first = ledgers::moved();
    let mut second = first.clone();
    let train = second
        .stages
        .get_mut(&crate::identity::Stage::Train)
        .expect("trained");
    let mut again = train.submissions[0].clone();
    again.number = 3;
    train.submissions.push(again);

    let id = |run| compose(run, NoticeKind::Moved).id;
    assert_eq!(id(&first), id(&first));
    assert_ne!(id(&first), id(&second));
}

#[test]
fn a_flood_of_interruptions_still_fits() {
    let mut run = ledgers::succeeded_with_a_reclaim();
    let train = run
        .stages
        .get_mut(&crate::identity::Stage::Train)
        .expect("trained");
    let submission = train.submissions[0].clone();
    train.submissions.extend((2..400).map(|number| {
        let mut next = submission.clone();
        next.number = number;
        next.records
            .iter_mut()
            .for_each(|record| record.submission = number);
        next
    }));

    let notice = compose(&run, NoticeKind::Succeeded);
    assert!(notice.text.len() <= BODY_MAX_BYTES, "{}", notice.text.len());
    assert!(notice.text.contains("... and 78"), "{}", notice.text);
}

#[test]
fn every_kind_can_be_told_of_every_ledger() {
    let ledgers = [
        ledgers::succeeded_with_a_reclaim(),
        ledgers::failed_by_a_bug(),
        ledgers::moved(),
        ledgers::skipped(),
    ];
    for run in &ledgers {
        for kind in NoticeKind::ALL {
            let notice = compose(run, kind);

            assert!(notice.subject.len() < 100);
            assert!(!notice.text.contains("hunter2"));
            assert_eq!(notice.machine["id"], notice.id.as_str());
            assert_eq!(notice.machine["kind"], kind.as_str());
            assert_eq!(notice.machine["class"], notice.attributes["class"].as_str());
        }
    }
}
