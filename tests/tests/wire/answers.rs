//! Which of the product's errors comes of which answer on the wire, and how often a client tries.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use test_case::test_case;
use trainspot_edge::jobs::{JobRequest, SubmitError};
use trainspot_edge::memory::{AttemptEnd, CallKind, Fault, MemoryEdge, Travel};
use trainspot_edge::store::{Condition, Put, StoreError};
use trainspot_edge::topic::PublishError;
use trainspot_edge::transfer::{Arrived, Transfer, Wanted};
use trainspot_edge::{Jobs as _, Store as _, Topic as _, World as _, cas};
use trainspot_shared::identity::JobName;
use trainspot_shared::notice::Notice;
use trainspot_shared::stage_head::StageHead;
use trainspot_stories::{Door as _, Ended, OverTheWire, Simulation, WireEdge};

const BUCKET: &str = "trainspot-results";
const KEY: &str = "state/recommender/a b+c&d/run.json";
const QUEUE: &str = "arn:aws:batch:us-east-1:123456789012:job-queue/trainspot-gpu-spot";

/// Of the product's clients, one call's tries.
const TRIES: usize = 3;

struct Scene {
    world: MemoryEdge,
    edge: WireEdge,
}

impl Scene {
    fn set() -> Self {
        Self::seeded(1)
    }

    fn seeded(seed: u64) -> Self {
        let begins_at = "2026-11-23T02:00:00Z".parse().expect("a valid time");
        let world = MemoryEdge::new(seed, begins_at);
        world.wait_by_timers();
        let sight = world.caller("function/1", jiff::SignedDuration::ZERO);
        let edge = OverTheWire.edge(sight);
        Self { world, edge }
    }

    /// One call to its end, in the world's time. `None`: a fault killed the caller.
    fn play<T: 'static>(&self, act: impl AsyncFnOnce(WireEdge) -> T + 'static) -> Option<T> {
        self.play_at(|sight| OverTheWire.edge(sight), act)
    }

    fn play_at<T: 'static>(
        &self,
        edge: impl FnOnce(MemoryEdge) -> WireEdge,
        act: impl AsyncFnOnce(WireEdge) -> T + 'static,
    ) -> Option<T> {
        let mut simulation = Simulation::default();
        let mut chance = fastrand::Rng::with_seed(1);
        let sight = self.world.caller("function/1", jiff::SignedDuration::ZERO);
        let edge = edge(sight.clone());
        simulation.begin(sight, act(edge));
        loop {
            match simulation.turn(self.world.clock(), &mut chance) {
                Some((_, Some(Ended::Answered(answer)))) => return Some(answer),
                Some((_, Some(Ended::Killed))) => return None,
                Some((_, None)) => {}
                None => {
                    let next = self.world.next_moment();
                    self.world
                        .advance_to(next.expect("the call waits for something"));
                }
            }
        }
    }

    fn answered<T: 'static>(&self, act: impl AsyncFnOnce(WireEdge) -> T + 'static) -> T {
        self.play(act).expect("nobody is killed")
    }

    /// The same with an agent's clients, and how many seconds it took.
    fn agent<T: 'static>(&self, act: impl AsyncFnOnce(WireEdge) -> T + 'static) -> (T, i64) {
        let begun = self.world.clock();
        let answer = self.play_at(|sight| OverTheWire.agent(sight), act);
        let took = self.world.clock().duration_since(begun).as_secs();
        (answer.expect("nobody is killed"), took)
    }

    /// The answers to the first `times` calls never come back.
    fn swallows(&self, times: usize) {
        let mut left = times;
        self.world.on_travel(move |_| {
            let swallows = left > 0;
            left -= usize::from(swallows);
            Travel {
                there: Duration::ZERO,
                back: Duration::from_hours(if swallows { 24 } else { 0 }),
            }
        });
    }

    /// The same fault at the first `times` calls of that kind.
    fn strikes(&self, kind: CallKind, fault: Fault, times: usize) {
        let mut left = times;
        self.world.on_call(move |call| {
            let strikes = call.kind == kind && left > 0;
            left -= usize::from(strikes);
            strikes.then_some(fault)
        });
    }

    fn n_calls(&self, kind: CallKind) -> usize {
        self.world.counts_since(0).get(&kind).copied().unwrap_or(0)
    }
}

fn request(array_size: Option<u32>) -> JobRequest {
    JobRequest {
        name: name(),
        queue: QUEUE.to_owned(),
        definition: "arn:aws:batch:us-east-1:123456789012:job-definition/trainspot-gpu:3"
            .to_owned(),
        command: vec!["python".to_owned(), "-m".to_owned(), "trainer".to_owned()],
        job_document: format!("s3://{BUCKET}/state/x/job-1.json"),
        gpus: 1,
        vcpus: 4,
        memory_mib: 15 * 1024,
        timeout_s: 21_600,
        array_size,
        share: "recommender".to_owned(),
        priority: 50,
    }
}

fn name() -> JobName {
    let name = "recommender-20261123T0200Z--train-1".parse();
    name.expect("a valid name")
}

fn notice() -> Notice {
    Notice {
        id: "recommender-20261123T0200Z/succeeded".to_owned(),
        subject: "recommender: trained & promoted".to_owned(),
        text: "It cost $1.20 = little.\nÜber alles <fine>.".to_owned(),
        machine: json!({"id": "recommender-20261123T0200Z/succeeded", "cost_usd": 1.2}),
        attributes: [("kind", "succeeded"), ("pipeline", "recommender")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

#[test]
fn an_object_comes_back_as_it_was_written_with_its_etag_and_time() {
    let scene = Scene::set();

    let (put, got) = scene.answered(async |edge| {
        let put = edge
            .put(BUCKET, KEY, b"\x00\xffbody".to_vec(), Condition::Absent)
            .await;
        (put, edge.get(BUCKET, KEY).await)
    });

    let Ok(Put::Written(etag)) = put else {
        panic!("{put:?}")
    };
    let got = got.expect("it is read").expect("it is there");
    assert_eq!(
        (got.body.as_slice(), got.etag),
        (b"\x00\xffbody".as_slice(), etag)
    );
    assert_eq!(got.last_modified.as_second(), scene.edge.now().as_second());
    assert_eq!(scene.world.objects().keys(BUCKET), [KEY]);
}

#[test]
fn an_object_that_is_not_there_is_none() {
    let scene = Scene::set();

    let got = scene.answered(async |edge| edge.get(BUCKET, KEY).await);

    assert_eq!(got.expect("S3 answers"), None);
    assert_eq!(scene.n_calls(CallKind::Get), 1, "404 is not tried again");
}

/// (there, condition, put). 412 twice, 404 under `If-Match`.
#[test_case(Some("old"), Condition::Absent => false; "412 under If-None-Match")]
#[test_case(Some("old"), Condition::Matches("\"else\"".to_owned()) => false; "412 under If-Match")]
#[test_case(None, Condition::Matches("\"else\"".to_owned()) => false; "404 under If-Match")]
#[test_case(None, Condition::Absent => true; "nothing there")]
#[test_case(Some("old"), Condition::Always => true; "no condition")]
fn a_write_goes_by_its_condition(there: Option<&'static str>, condition: Condition) -> bool {
    let scene = Scene::set();
    if let Some(there) = there {
        let objects = scene.world.objects();
        objects.write(BUCKET, KEY, there.as_bytes(), &Condition::Always);
    }

    let put = scene.answered(async |edge| edge.put(BUCKET, KEY, b"new".to_vec(), condition).await);

    assert_eq!(scene.n_calls(CallKind::Put), 1);
    matches!(put.expect("S3 answers"), Put::Written(_))
}

#[test]
fn a_409_is_a_refusal_and_nothing_is_written() {
    let scene = Scene::set();
    scene.strikes(CallKind::Put, Fault::Conflict, 1);

    let put = scene.answered(async |edge| {
        edge.put(BUCKET, KEY, b"new".to_vec(), Condition::Absent)
            .await
    });

    assert_eq!(put.expect("S3 answers"), Put::Refused);
    assert_eq!(scene.n_calls(CallKind::Put), 1, "409 is not tried again");
    assert!(scene.world.objects().keys(BUCKET).is_empty());
}

#[test]
fn a_lost_answer_is_asked_for_again_and_the_second_try_is_refused_by_the_first() {
    let scene = Scene::set();
    scene.strikes(CallKind::Put, Fault::LostAfter, 1);

    let put = scene.answered(async |edge| {
        edge.put(BUCKET, KEY, b"new".to_vec(), Condition::Absent)
            .await
    });

    assert_eq!(put.expect("S3 answers"), Put::Refused);
    assert_eq!(scene.n_calls(CallKind::Put), 2);
    assert_eq!(scene.world.objects().keys(BUCKET), [KEY]);
}

/// Every shape that no answer has comes up among a few seeds.
#[test_case(Fault::LostBefore; "never arrives")]
#[test_case(Fault::Throttled; "turned away for load")]
fn a_store_that_stays_silent_is_unreachable_after_three_tries(fault: Fault) {
    for seed in 0..20 {
        let scene = Scene::seeded(seed);
        scene.strikes(CallKind::Get, fault, usize::MAX);

        let got = scene.answered(async |edge| edge.get(BUCKET, KEY).await);

        assert!(
            matches!(got, Err(StoreError::Unreachable { .. })),
            "{got:?}"
        );
        assert_eq!(scene.n_calls(CallKind::Get), TRIES);
    }
}

#[test]
fn a_store_that_answers_the_third_time_is_reached() {
    let scene = Scene::set();
    scene.strikes(CallKind::Get, Fault::LostBefore, TRIES - 1);

    let got = scene.answered(async |edge| edge.get(BUCKET, KEY).await);

    assert_eq!(got.expect("the third time"), None);
}

#[test]
fn a_403_is_denied_and_not_tried_again() {
    let scene = Scene::set();
    scene.strikes(CallKind::Put, Fault::Refused, usize::MAX);

    let put = scene.answered(async |edge| {
        edge.put(BUCKET, KEY, b"new".to_vec(), Condition::Always)
            .await
    });

    assert!(matches!(put, Err(StoreError::Denied { .. })), "{put:?}");
    assert_eq!(scene.n_calls(CallKind::Put), 1);
}

#[test]
fn lists_are_read_to_their_last_page() {
    let scene = Scene::set();
    let keys: Vec<String> = (0..10).map(|n| format!("p/{}/{n} <&>", n % 5)).collect();
    for key in &keys {
        let objects = scene.world.objects();
        objects.write(BUCKET, key, b"x", &Condition::Always);
    }

    let (objects, folders) = scene.answered(async |edge| {
        (
            edge.list(BUCKET, "p/").await,
            edge.list_folders(BUCKET, "p/").await,
        )
    });

    let mut sorted = keys;
    sorted.sort();
    let objects = objects.expect("S3 lists");
    let listed: Vec<&String> = objects.iter().map(|object| &object.key).collect();
    assert_eq!(listed, sorted.iter().collect::<Vec<_>>());
    assert!(
        objects
            .iter()
            .all(|object| object.size == 1 && object.etag.starts_with('"'))
    );
    assert_eq!(folders.expect("S3 lists"), ["0/", "1/", "2/", "3/", "4/"]);
    assert!(scene.n_calls(CallKind::List) > 2, "there are pages");
}

/// Files need a runtime and no time.
#[tokio::test]
async fn files_go_up_and_come_down_and_a_changed_one_is_refused() {
    let scene = Scene::set();
    let edge = scene.edge.clients();
    let transfer = Transfer::new(edge, edge);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    let data: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&from, &data).expect("the test's own folder is writable");

    let sent = transfer.send(Duration::ZERO, (BUCKET, KEY), &from).await;

    let sent = sent.expect("it goes up");
    let there = scene
        .world
        .objects()
        .read(BUCKET, KEY)
        .expect("it is there");
    assert!(there.body == data, "other bytes arrived");
    let wanted = Wanted {
        bucket: BUCKET,
        key: KEY,
        size: sent.size,
        if_match: Some(&there.etag),
        sha256: Some(&sent.sha256),
        crc32: &[],
    };
    let other = Wanted {
        if_match: Some("\"else\""),
        ..wanted
    };
    let unpinned = Wanted {
        if_match: None,
        ..wanted
    };
    let cases = [
        (wanted, Arrived::Whole),
        (other, Arrived::Other),
        (
            Wanted {
                key: "no such key",
                ..other
            },
            Arrived::Other,
        ),
        (
            Wanted {
                key: "no such key",
                ..unpinned
            },
            Arrived::Absent,
        ),
    ];
    for (wanted, arrives) in cases {
        let arrived = transfer.fetch(Duration::ZERO, &wanted, &to).await;
        assert_eq!(arrived.expect("S3 answers"), arrives, "{wanted:?}");
    }
    assert!(std::fs::read(&to).expect("it is there") == data);
}

#[test]
fn a_job_is_submitted_with_all_that_was_asked_and_found_by_its_name() {
    let scene = Scene::set();

    let (ids, found) = scene.answered(async |edge| {
        let mut ids = Vec::new();
        for array_size in [None, Some(3)] {
            ids.push(edge.submit(&request(array_size)).await.ok());
        }
        (ids, edge.find(QUEUE, &name()).await)
    });

    let ids: Vec<String> = ids.into_iter().flatten().collect();
    let found = found.expect("Batch lists");
    let names: Vec<&String> = found.iter().map(|job| &job.id).collect();
    assert_eq!(names, ids.iter().collect::<Vec<_>>());
    assert_eq!(scene.n_calls(CallKind::Find), 2, "there are pages");
    scene.world.batch(|batch| {
        for (id, array_size) in ids.iter().zip([None, Some(3)]) {
            let job = batch.job(id).expect("it was made");
            assert_eq!(job.request, request(array_size));
        }
    });
}

/// (fault, calls, what the caller learns)
#[test_case(Fault::Throttled => "throttled"; "429")]
#[test_case(Fault::Refused => "refused"; "400")]
#[test_case(Fault::LostBefore => "unclear"; "no answer")]
#[test_case(Fault::LostAfter => "unclear"; "no answer though there is a job")]
fn a_submission_is_sent_once_whatever_comes_back(fault: Fault) -> &'static str {
    let mut learned = Vec::new();
    for seed in 0..20 {
        let scene = Scene::seeded(seed);
        scene.strikes(CallKind::Submit, fault, usize::MAX);

        let submitted = scene.answered(async |edge| edge.submit(&request(None)).await);

        assert_eq!(scene.n_calls(CallKind::Submit), 1);
        learned.push(match submitted {
            Ok(_) => "a job",
            Err(SubmitError::Throttled { .. }) => "throttled",
            Err(SubmitError::Refused { .. }) => "refused",
            Err(SubmitError::Unclear { .. }) => "unclear",
        });
    }
    learned.dedup();
    assert_eq!(learned.len(), 1, "{learned:?}");
    learned[0]
}

#[test]
fn a_job_is_described_as_batch_holds_it() {
    let scene = Scene::set();
    let ids = scene.world.batch(|batch| batch.jobs().count());
    assert_eq!(ids, 0);
    let id = scene
        .answered(async |edge| edge.submit(&request(Some(2))).await)
        .expect("Batch takes it");
    let child = format!("{id}:1");
    scene.world.batch(|batch| {
        batch.start(&child);
        batch.end(&child, &AttemptEnd::host_lost());
        batch.start(&child);
        batch.terminate(&id, "trainspot: not the owner");
    });

    let asked = vec![id.clone(), child.clone(), "nobody".to_owned()];
    let seen = scene.answered(async move |edge| edge.describe(&asked).await);

    let held: Vec<_> = scene.world.batch(|batch| {
        let ids = [&id, &child];
        ids.map(|id| batch.job(id).map(|job| job.seen.clone()))
            .into_iter()
            .flatten()
            .collect()
    });
    assert_eq!(seen.expect("Batch answers"), held);
}

#[test_case(CallKind::Describe; "DescribeJobs")]
#[test_case(CallKind::Find; "ListJobs")]
#[test_case(CallKind::Terminate; "TerminateJob")]
fn other_calls_on_batch_are_tried_three_times(kind: CallKind) {
    for fault in [Fault::Throttled, Fault::LostBefore] {
        let scene = Scene::set();
        scene.strikes(kind, fault, usize::MAX);

        let failed = scene.answered(async move |edge| match kind {
            CallKind::Describe => edge.describe(&["job-0001".to_owned()]).await.is_err(),
            CallKind::Find => edge.find(QUEUE, &name()).await.is_err(),
            _ => edge.terminate("job-0001", "trainspot: no").await.is_err(),
        });

        assert!(failed);
        assert_eq!(scene.n_calls(kind), TRIES, "{fault:?}");
    }
}

#[test]
fn a_notice_arrives_as_it_was_written() {
    let scene = Scene::set();

    let told = scene.answered(async |edge| edge.publish(&notice()).await);

    assert!(told.is_ok(), "{told:?}");
    assert_eq!(scene.world.told(), [notice()]);
}

#[test_case(Fault::LostBefore, false; "no answer")]
#[test_case(Fault::Throttled, false; "429")]
#[test_case(Fault::Refused, true; "400")]
fn a_notice_that_is_not_taken_is_tried_later_or_never_again(fault: Fault, is_for_good: bool) {
    for seed in 0..20 {
        let scene = Scene::seeded(seed);
        scene.strikes(CallKind::Publish, fault, usize::MAX);

        let told = scene.answered(async |edge| edge.publish(&notice()).await);

        let is_refused = matches!(told, Err(PublishError::Refused { .. }));
        assert!(told.is_err());
        assert_eq!(is_refused, is_for_good, "{told:?}");
    }
}

#[test]
fn a_killed_caller_hears_nothing() {
    let scene = Scene::set();
    scene.strikes(CallKind::Put, Fault::KilledAfter, 1);

    let put = scene.play(async |edge| {
        edge.put(BUCKET, KEY, b"new".to_vec(), Condition::Always)
            .await
    });

    assert!(put.is_none());
    assert_eq!(scene.world.objects().keys(BUCKET), [KEY]);
}

#[test]
fn tries_wait_by_the_worlds_clock_and_a_seed_replays() {
    let play = |seed| {
        let scene = Scene::seeded(seed);
        scene.strikes(CallKind::Get, Fault::Throttled, usize::MAX);
        let begun = scene.world.clock();
        let got = scene.answered(async |edge| edge.get(BUCKET, KEY).await);
        assert!(got.is_err());
        scene.world.clock().duration_since(begun)
    };

    assert_eq!(play(1), play(1));
    assert_ne!(play(1), play(2), "there is jitter");
    assert!(
        play(1) > jiff::SignedDuration::from_millis(10),
        "{:?}",
        play(1)
    );
}

#[test]
fn a_call_that_hangs_is_given_up_after_the_products_time_out() {
    let scene = Scene::set();
    scene.world.on_travel(|_| Travel {
        there: Duration::from_hours(1),
        back: Duration::ZERO,
    });
    let begun: Timestamp = scene.world.clock();

    let submitted = scene.answered(async |edge| edge.submit(&request(None)).await);

    assert!(
        matches!(submitted, Err(SubmitError::Unclear { .. })),
        "{submitted:?}"
    );
    assert_eq!(scene.world.clock().duration_since(begun).as_secs(), 15);
}

/// With what the two pauses between three tries may add.
const TEN_SECONDS_AND_A_PAUSE: std::ops::Range<i64> = 10..13;

#[test]
fn an_agent_whose_answer_never_comes_asks_again_and_knows_its_own_write() {
    let scene = Scene::set();
    scene.swallows(1);
    let head = StageHead::first(1, "one".to_owned());

    let (written, took_s) =
        scene.agent(async move |edge| cas::write(&edge, BUCKET, KEY, &head, None).await);

    assert!(matches!(written, Ok(true)), "{written:?}");
    assert_eq!(scene.n_calls(CallKind::Put), 2);
    assert!(TEN_SECONDS_AND_A_PAUSE.contains(&took_s), "{took_s}");
}

#[test]
fn an_agent_that_never_hears_anything_has_patience_for_another_round_of_tries() {
    let scene = Scene::set();
    scene.swallows(usize::MAX);

    let (got, took_s) = scene.agent(async |edge| edge.get(BUCKET, KEY).await);

    assert!(
        matches!(got, Err(StoreError::Unreachable { .. })),
        "{got:?}"
    );
    assert_eq!(scene.n_calls(CallKind::Get), TRIES);
    assert!(took_s < 60, "{took_s}");
}

#[test]
fn bytes_have_the_time_that_a_slow_line_takes_and_are_sent_again() {
    let scene = Scene::set();
    scene.swallows(1);
    let bytes = Bytes::from(vec![1; 64 << 10]);

    let (sent, took_s) = scene.agent(async move |edge| edge.put_bytes(BUCKET, KEY, bytes, 1).await);

    assert!(sent.is_ok(), "{sent:?}");
    assert_eq!(scene.n_calls(CallKind::Put), 2);
    assert!((16..19).contains(&took_s), "{took_s}");
}
