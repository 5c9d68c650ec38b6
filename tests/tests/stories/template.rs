//! What the world of the stories takes over from the template, and from AWS.

use trainspot_edge::memory::{ATTEMPTS_MAX, AttemptEnd, is_retried};
use trainspot_shared::batch_event::{BatchEvent, JobStatus};
use trainspot_shared::identity::Stage;
use trainspot_stories::{Deed, Spec, Wake, Week};

use super::MONDAY;

#[test]
fn the_hosts_of_the_stories_retry_by_the_rules_of_the_template() {
    let template = include_str!("../../../template.yaml");
    let rules: Vec<String> = template
        .split("EvaluateOnExit:")
        .skip(1)
        .map(|rest| {
            rest.split("ContainerProperties:")
                .next()
                .unwrap_or_default()
        })
        .map(|rules| rules.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();

    assert!(rules.len() >= 2, "one for each job definition");
    for rules in rules {
        assert_eq!(
            rules,
            "- OnStatusReason: Host EC2* Action: RETRY - OnExitCode: \"75\" Action: RETRY \
             - OnExitCode: \"76\" Action: RETRY - OnReason: DockerTimeoutError* Action: RETRY \
             - OnReason: \"*\" Action: EXIT"
        );
    }
    assert!(template.contains(&format!("Attempts: {ATTEMPTS_MAX}\n")));
    let retried: Vec<i32> = (0..=255)
        .filter(|code| is_retried(&AttemptEnd::exit(*code)))
        .collect();
    assert_eq!(retried, [75, 76]);
    assert!(is_retried(&AttemptEnd::host_lost()) && !is_retried(&AttemptEnd::out_of_memory()));
}

#[test]
fn every_event_parses_and_says_what_describe_jobs_says() {
    let mut week = Week::new(&Spec::default());
    week.script(Stage::Train, [Deed::Reclaimed { step: 1 }, Deed::LosesHost]);
    week.script_shard(1, [Deed::Ends(AttemptEnd::out_of_memory())]);
    week.tick(MONDAY);
    let mut seen = Vec::new();

    for _ in 0..40 {
        for wake in week.take_events() {
            let Wake::Event(event) = &wake else {
                panic!("Batch emits events")
            };
            let told = BatchEvent::parse(event).expect("an event as Batch emits it");
            let described = week.edge.batch(|batch| batch.job(&told.job().id).cloned());
            let described = described.expect("a job that Batch tells of").seen;
            assert_eq!(
                told.job().attempts,
                described.attempts[..told.job().attempts.len()]
            );
            if told.job().status.is_terminal() {
                assert_eq!(*told.job(), described);
            }
            seen.push(told.job().status);
            week.deliver(&wake);
        }
        // One at a time, so that the newest state is the one that the events told of.
        if let Some(id) = week.runnable().first() {
            week.work(id);
        }
    }

    for status in [
        JobStatus::Pending,
        JobStatus::Runnable,
        JobStatus::Starting,
        JobStatus::Running,
        JobStatus::Succeeded,
        JobStatus::Failed,
    ] {
        assert!(seen.contains(&status), "{status:?}");
    }
}
