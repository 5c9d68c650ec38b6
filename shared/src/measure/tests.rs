//! What is told of runs, save by save.

use jiff::SignedDuration;
use proptest::prelude::*;
use test_case::test_case;

use super::*;
use crate::attempt::AttemptOutcome;
use crate::batch_event::{ArrayRole, AttemptSeen, JobSeen, JobStatus};
use crate::identity::{Market, Stage};
use crate::notice::ledgers::{self, Story};
use crate::run::{End, Platform, ProgressSeen, Run, ToldNotice};

fn told(before: Option<&Run>, after: &Run) -> Vec<String> {
    of_save(before, after)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn train_job(run: &mut Run) -> &mut JobSeen {
    let stage = run.stages.get_mut(&Stage::Train).expect("it was trained");
    let newest = stage.submissions.last_mut().expect("it was submitted");
    newest.jobs.last_mut().expect("Batch told of it")
}

/// A run's versions as its ledger had them: asked for, submitted, at work, reclaimed, at work again, done,
/// final, reviewed.
fn versions() -> Vec<Run> {
    let mut story = Story::begins();
    let mut versions = vec![story.run.clone()];
    story = story.submits(Stage::Train, Market::Spot);
    train_job(&mut story.run).status = JobStatus::Runnable;
    versions.push(story.run.clone());
    let reviewed = Story::begins()
        .submits(Stage::Train, Market::Spot)
        .loses_its_host(Stage::Train, 640)
        .works(Stage::Train, 820, AttemptOutcome::Done, |record| {
            record.resumed_from = Some(190);
        })
        .completes(Stage::Train)
        .ends(End::Succeeded);
    let mut version = |status: JobStatus, ended: usize| {
        let mut run = reviewed.clone();
        (run.end, run.ended_at, run.is_reviewed) = (None, None, false);
        run.phase = crate::run::Phase::Training;
        run.stages.entry(Stage::Train).or_default().submissions[0]
            .records
            .clear();
        let job = train_job(&mut run);
        job.status = status;
        job.started_at_ms = job.attempts.get(ended).and_then(|next| next.started_at_ms);
        job.attempts.truncate(ended);
        versions.push(run);
    };
    version(JobStatus::Running, 0);
    version(JobStatus::Runnable, 1);
    version(JobStatus::Running, 1);
    version(JobStatus::Succeeded, 2);
    let mut is_final = reviewed.clone();
    is_final.is_reviewed = false;
    is_final.stages.entry(Stage::Train).or_default().submissions[0]
        .records
        .clear();
    versions.push(is_final);
    versions.push(reviewed);
    versions
}

#[test]
fn each_save_tells_what_it_decided_and_what_it_saw() {
    let versions = versions();
    let saves = versions.windows(2);

    let told: Vec<Vec<String>> = saves.map(|pair| told(Some(&pair[0]), &pair[1])).collect();

    // 660 s and 840 s of host time; 222 steps at 2.2 a second are done twice.
    let expected: [&[&str]; 7] = [
        &["RunsStarted 1"],
        &["QueueWait 40"],
        &["Reclaims 1"],
        &["QueueWait 40"],
        &[],
        &["RunsEnded(succeeded) 1"],
        &[
            "Goodput 93.27272727272728",
            "DollarsSpent 0.0789",
            "DollarsSaved 0.140268",
            "DollarsWasted 0.005313",
        ],
    ];
    assert_eq!(told, expected);
}

proptest! {
    /// Events get lost and functions race: however many saves the way is cut into, the same is told of it.
    #[test]
    fn however_often_it_is_saved_the_same_is_told(
        saved in proptest::sample::subsequence((1..7_usize).collect::<Vec<_>>(), 0..=6),
    ) {
        let versions = versions();
        let mut told_of = Vec::new();
        let mut before = None;
        for place in std::iter::once(0).chain(saved).chain([7]) {
            told_of.extend(told(before, &versions[place]));
            before = Some(&versions[place]);
        }
        let mut at_once = told(None, &versions[7]);
        told_of.sort();
        at_once.sort();

        prop_assert_eq!(told_of, at_once);
    }
}

#[test]
fn what_was_known_is_not_told_again() {
    for run in versions() {
        assert_eq!(told(Some(&run), &run), [""; 0]);
    }
}

#[test]
fn a_skipped_tick_ends_and_neither_starts_nor_costs_anything() {
    let waits = Story::begins().so_far();

    assert_eq!(told(None, &waits), [""; 0]);
    assert_eq!(
        told(Some(&waits), &ledgers::skipped()),
        ["RunsEnded(skipped) 1"]
    );
}

#[test]
fn a_run_whose_hosts_told_no_type_is_told_of_without_dollars() {
    let run = Story::begins()
        .submits(Stage::Train, Market::Spot)
        .works(Stage::Train, 60, AttemptOutcome::Done, |record| {
            record.instance_type = None;
        })
        .completes(Stage::Train)
        .ends(End::Succeeded);

    assert_eq!(
        told(None, &run),
        [
            "RunsStarted 1",
            "QueueWait 40",
            "RunsEnded(succeeded) 1",
            "Goodput 100"
        ]
    );
}

#[test]
fn a_move_is_counted_where_spot_gave_up_and_not_where_it_goes_on() {
    let again = Story::begins()
        .submits(Stage::Train, Market::Spot)
        .submits(Stage::Train, Market::Spot)
        .so_far();
    let moved = Story::begins()
        .submits(Stage::Train, Market::Spot)
        .submits(Stage::Train, Market::Spot)
        .submits(Stage::Train, Market::OnDemand)
        .so_far();
    let stays = Story::begins()
        .submits(Stage::Train, Market::Spot)
        .submits(Stage::Train, Market::Spot)
        .submits(Stage::Train, Market::OnDemand)
        .submits(Stage::Train, Market::OnDemand)
        .so_far();

    assert_eq!(told(None, &again), ["RunsStarted 1"]);
    assert_eq!(told(Some(&again), &moved), ["MovesToOnDemand 1"]);
    assert_eq!(told(Some(&moved), &stays), [""; 0]);
}

#[test_case(Some(75), None, Some(75), 1; "a notice came")]
#[test_case(Some(76), None, Some(76), 1; "a notice came too late")]
#[test_case(None, Some("Host EC2 (instance i-0) terminated."), None, 1; "the host went")]
#[test_case(Some(137), Some("Essential container in task exited"), Some(137), 0; "killed")]
#[test_case(Some(70), None, Some(70), 0; "a bug")]
fn an_attempt_that_lost_its_host_is_a_reclaim(
    exit_code: Option<i32>,
    status_reason: Option<&str>,
    last: Option<i32>,
    n: usize,
) {
    let before = Story::begins().submits(Stage::Train, Market::Spot).so_far();
    let attempt = AttemptSeen {
        exit_code,
        status_reason: status_reason.map(str::to_owned),
        ..AttemptSeen::default()
    };
    let mut after = before.clone();
    train_job(&mut after).attempts.push(attempt.clone());
    let mut failed = after.clone();
    let job = train_job(&mut failed);
    job.status = JobStatus::Failed;
    job.attempts.push(AttemptSeen {
        exit_code: last,
        ..attempt
    });

    // As one of several, and as the last one.
    assert_eq!(told(Some(&before), &after), vec!["Reclaims 1"; n]);
    assert_eq!(told(Some(&after), &failed), vec!["Reclaims 1"; n]);
}

#[test]
fn a_job_that_trainspot_ended_lost_no_host_whatever_its_agent_says() {
    let before = Story::begins().submits(Stage::Train, Market::Spot).so_far();
    let mut after = before.clone();
    let job = train_job(&mut after);
    job.status = JobStatus::Failed;
    job.status_reason = Some("trainspot: cancelled: no longer wanted".to_owned());
    job.attempts.push(AttemptSeen {
        exit_code: Some(75),
        ..AttemptSeen::default()
    });

    assert_eq!(told(Some(&before), &after), [""; 0]);
}

#[test]
fn a_reclaimed_child_of_a_fan_out_is_counted_when_its_record_is_read() {
    let mut run = Story::begins()
        .submits(Stage::Recommend, Market::Spot)
        .works(
            Stage::Recommend,
            60,
            AttemptOutcome::PreemptedPublished,
            |record| {
                record.shard = Some(2);
                record.job_id = format!("{}:2", record.job_id);
                record.notice = Some("spot_notice".to_owned());
            },
        )
        .ends(End::Succeeded);
    let stage = run.stages.get_mut(&Stage::Recommend).expect("submitted");
    let parent = &mut stage.submissions[0].jobs[0];
    parent.status = JobStatus::Succeeded;
    parent.attempts.clear();
    parent.array = Some(ArrayRole::Parent {
        size: 4,
        summary: std::collections::BTreeMap::new(),
    });
    let mut before = run.clone();
    before.is_reviewed = false;

    let told = told(Some(&before), &run);

    assert_eq!(told[..2], ["Reclaims 1", "Goodput 100"]);
}

#[test]
fn each_notice_that_is_refused_for_good_is_counted_once() {
    let before = Story::begins().so_far();
    let notice = |id: &str, undeliverable: Option<&str>| ToldNotice {
        id: id.to_owned(),
        at: before.created_at,
        undeliverable: undeliverable.map(str::to_owned),
    };
    let mut one = before.clone();
    one.notices = vec![notice("a", None), notice("b", Some("too long"))];
    let mut two = one.clone();
    two.notices.push(notice("c", Some("too long")));

    assert_eq!(told(Some(&before), &one), ["NoticesUndeliverable 1"]);
    assert_eq!(told(Some(&one), &two), ["NoticesUndeliverable 1"]);
}

#[test]
fn a_months_spend_is_that_of_the_month_in_which_the_run_was_due() {
    let run = |day: &str| -> RunId {
        let id = format!("recommender-2026{day}T0200Z");
        id.parse().expect("an id")
    };
    let at = "2026-11-01T00:00:00Z".parse().expect("a time");
    let first = PipelineHead::first(run("1130").pipeline().clone(), at, "w".to_owned());
    let costs = [("1127", 2), ("1130", 3), ("1204", 5)];
    let head = costs.iter().fold(first, |head, (day, dollars)| {
        let cost = Usd::from_micros(dollars * 1_000_000);
        let next = head.record_end(&run(day), cost, None, None, "w".to_owned());
        next.expect("it is new")
    });

    let told = |day| month_spend(&head, &run(day)).map(|measure| measure.to_string());
    assert_eq!(told("1130").as_deref(), Some("MonthSpend 5"));
    assert_eq!(told("1204").as_deref(), Some("MonthSpend 5"));
    assert_eq!(told("1207"), None);
}

/// A training at work for ten minutes, and what a sweep sees of it.
fn at_work() -> (Run, ProgressSeen, jiff::Timestamp) {
    let mut run = Story::begins().submits(Stage::Train, Market::Spot).so_far();
    let began_at = run.created_at;
    train_job(&mut run).started_at_ms = Some(began_at.as_millisecond());
    let now = began_at + SignedDuration::from_mins(10);
    let seen = ProgressSeen {
        watch: run.watch().expect("it runs"),
        checkpoint_at: None,
        heartbeat_at: Some(now),
        has_output: false,
    };
    (run, seen, now)
}

#[test]
fn a_checkpoint_is_as_old_as_the_work_since_it() {
    let (run, seen, now) = at_work();
    let told = |seen| checkpoint_age(&run, &seen, now).map(|measure| measure.value);
    let before = |minutes| Some(now - SignedDuration::from_mins(minutes));

    assert_eq!(told(seen), Some(600.0));
    let checkpoint_at = before(3);
    assert_eq!(
        told(ProgressSeen {
            checkpoint_at,
            ..seen
        }),
        Some(180.0)
    );
    // An earlier attempt's is this one's beginning.
    let checkpoint_at = before(40);
    assert_eq!(
        told(ProgressSeen {
            checkpoint_at,
            ..seen
        }),
        Some(600.0)
    );
}

#[test]
fn a_training_without_sign_of_life_or_with_its_output_has_no_checkpoint_age() {
    let (mut run, seen, now) = at_work();
    let silent = ProgressSeen {
        heartbeat_at: None,
        ..seen
    };
    let done = ProgressSeen {
        has_output: true,
        ..seen
    };

    assert_eq!(checkpoint_age(&run, &silent, now), None);
    assert_eq!(checkpoint_age(&run, &done, now), None);
    train_job(&mut run).status = JobStatus::Runnable;
    assert_eq!(checkpoint_age(&run, &seen, now), None);
}

#[test]
fn only_a_job_that_waits_in_the_on_demand_queue_waits_there() {
    let (mut run, _, now) = at_work();
    let platform = Platform {
        spot_queue: "spot".to_owned(),
        on_demand_queue: "on-demand".to_owned(),
        post_processing_queue: "post".to_owned(),
        train_definition: "t".to_owned(),
        post_processing_definition: "p".to_owned(),
        image: "i".to_owned(),
        post_processing_image: "i".to_owned(),
        results_bucket: "r".to_owned(),
        gpu_instance_types: Vec::new(),
        cpu_instance_types: Vec::new(),
    };
    let job = train_job(&mut run);
    job.status = JobStatus::Runnable;
    job.queue = "on-demand".to_owned();
    let told = |job: &JobSeen| on_demand_wait(job, &platform, now).map(|measure| measure.value);

    assert_eq!(told(job), Some(600.0));
    let mut again = job.clone();
    again.attempts.push(AttemptSeen {
        stopped_at_ms: Some((now - SignedDuration::from_mins(2)).as_millisecond()),
        ..AttemptSeen::default()
    });
    assert_eq!(told(&again), Some(120.0));
    again.status = JobStatus::Running;
    assert_eq!(told(&again), None);
    job.queue = "spot".to_owned();
    assert_eq!(told(job), None);
}
