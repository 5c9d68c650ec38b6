//! One visit to everything that the product does, without chaos, so that every call it can need is made: what the
//! bad weeks meet by chance, or not at all (people's commands, a queue that is blocked, a move to on-demand).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use trainspot_edge::Store as _;
use trainspot_edge::aws::Aws;
use trainspot_edge::store::Condition;
use trainspot_localcloud::{JobSnapshot, LocalCloud, Reclaim};
use trainspot_shared::identity::{PipelineName, RunId};
use trainspot_shared::layout;
use trainspot_shared::run::{End, Run};

use crate::place::Place;
use crate::recorded;
use crate::watch::Watch;
use crate::week::person;

/// A slow machine has minutes for each stop of the tour.
const PATIENCE: Duration = Duration::from_mins(4);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Supervision comes by so often, and each time five minutes have passed for functions and jobs.
const SWEEP_EVERY: Duration = Duration::from_millis(1500);
const SKIP: SignedDuration = SignedDuration::from_mins(5);
/// As the template says for every job.
const MOST_ATTEMPTS: usize = 10;
/// Whose tick the template's rule brings; the others are asked for by hand.
const SCHEDULED: &str = "recommender";
/// When that rule is due: further ahead than all stops before the tour wants it to be, on the slowest machine. By the
/// template's own schedule, which is due twice a week, two ticks of a tour on such a day would be one run.
const DUE_IN: SignedDuration = SignedDuration::from_hours(3 * 24);

/// The tour under way.
pub(crate) struct Tour<'a> {
    place: &'a Place,
    folder: PathBuf,
    cloud: LocalCloud,
    store: Aws,
    watch: Watch,
    seen: BTreeSet<RunId>,
    results: String,
    data: String,
    clock: PathBuf,
    ahead: SignedDuration,
    swept_at: Instant,
}

impl<'a> Tour<'a> {
    /// Makes it, and writes down what was called on the way.
    pub(crate) async fn make(place: &'a Place) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut tour = Self::begin(place, folder.path()).await;
        let made = std::panic::AssertUnwindSafe(tour.visit_everything());
        let made = futures::FutureExt::catch_unwind(made).await;
        if let Err(panic) = made {
            let kept = folder.keep();
            eprintln!("kept {}\n{}", kept.display(), tour.watch.tell());
            tour.cloud.stop().await;
            std::panic::resume_unwind(panic);
        }
        recorded::write(place, &tour.cloud, "tour");
        tour.cloud.stop().await;
    }

    async fn begin(place: &'a Place, folder: &Path) -> Self {
        let clock = folder.join("clock");
        std::fs::write(&clock, "0").expect("the test's own folder is writable");
        let mut settings = place.settings(folder, &clock, 1);
        settings.chaos = None;
        let due = (Timestamp::now() + DUE_IN).strftime("cron(%-M %-H %-d %-m ? %Y)");
        let parameter = ("ScheduleExpression".to_owned(), due.to_string());
        settings.parameters.extend([parameter]);
        let cloud = LocalCloud::start(settings).await.expect("it starts");
        let physical = |id: &str| cloud.physical(id).expect("the template has it");
        let (results, data) = (physical("ResultsBucket"), physical("DataBucket"));
        Self {
            place,
            folder: folder.to_owned(),
            store: person(&cloud),
            watch: Watch::of(folder.join("cloud/buckets").join(&results)),
            seen: BTreeSet::new(),
            results,
            data,
            cloud,
            clock,
            ahead: SignedDuration::ZERO,
            swept_at: Instant::now(),
        }
    }

    async fn visit_everything(&mut self) {
        self.a_move_to_on_demand().await;
        self.data_that_is_waited_for().await;
        self.a_failure_that_is_tried_again().await;
        self.a_queue_that_is_blocked().await;
        self.a_run_that_a_person_ends().await;
        self.a_champion_after_a_reclaim().await;
        self.ticks_that_are_skipped().await;
        self.a_tick_that_nobody_delivered().await;
        self.a_letter_that_nobody_could_deliver().await;
    }

    async fn a_champion_after_a_reclaim(&mut self) {
        self.push(SCHEDULED, &self.whole_run(SCHEDULED, "")).await;
        self.new_data(SCHEDULED, "part-0.parquet", "first").await;
        self.tick().await;
        let job = self.running_job(SCHEDULED).await;
        let checkpoints = self
            .folder
            .join("cloud/buckets")
            .join(&self.results)
            .join("checkpoints")
            .join(SCHEDULED);
        self.until("a checkpoint", |_| checkpoints.exists().then_some(()))
            .await;
        let how = Reclaim::WithNotice(Duration::from_secs(10));
        self.cloud.reclaim(&job, how).await.expect("it runs");

        let run = self.end(SCHEDULED).await;

        assert_eq!(run.end, Some(End::Succeeded));
        let resumed = run
            .records()
            .iter()
            .any(|record| record.resumed_from.is_some());
        assert!(resumed, "{:?}", run.records());
        assert!(
            run.records().len() > run.stages.len(),
            "an attempt more than stages"
        );
    }

    async fn ticks_that_are_skipped(&mut self) {
        self.tick().await;
        let unchanged = self.end(SCHEDULED).await;
        assert!(
            matches!(unchanged.end, Some(End::Skipped { .. })),
            "{:?}",
            unchanged.end
        );
        self.people("pause", &[SCHEDULED]);
        self.tick().await;
        let paused = self.end(SCHEDULED).await;
        assert!(
            matches!(paused.end, Some(End::Skipped { .. })),
            "{:?}",
            paused.end
        );
        self.people("resume", &[SCHEDULED]);

        // Now there is a champion to beat.
        self.new_data(SCHEDULED, "part-0.parquet", "second").await;
        self.tick().await;
        assert_eq!(self.end(SCHEDULED).await.end, Some(End::Succeeded));
    }

    async fn data_that_is_waited_for(&mut self) {
        let spec = self.whole_run("waiting", "wait_for = \"12h\"");
        self.push("waiting", &spec).await;
        self.people("start", &["waiting"]);
        self.sweep().await;
        assert!(self.jobs_of("waiting").is_empty(), "it waits");
        self.new_data("waiting", "part-0.parquet", "first").await;
        self.new_data("waiting", "_READY", "").await;

        assert_eq!(self.end("waiting").await.end, Some(End::Succeeded));
    }

    async fn a_failure_that_is_tried_again(&mut self) {
        let spec = train_only(r#"["/bin/sh", "-c", "echo about to die; kill -9 $$"]"#, 8);
        self.push("failing", &spec).await;
        self.people("start", &["failing"]);

        let run = self.end("failing").await;

        assert!(matches!(run.end, Some(End::Failed { .. })), "{:?}", run.end);
        assert_eq!(self.jobs_of("failing").len(), 2, "once more, and then told");
    }

    async fn a_queue_that_is_blocked(&mut self) {
        // More memory than any host of the template has.
        self.push("too-large", &train_only(r#"["true"]"#, 2000))
            .await;
        self.people("start", &["too-large"]);

        let run = self.end("too-large").await;

        assert!(matches!(run.end, Some(End::Failed { .. })), "{:?}", run.end);
    }

    async fn a_run_that_a_person_ends(&mut self) {
        self.push("unwanted", &train_only(r#"["sleep", "600"]"#, 8))
            .await;
        self.people("start", &["unwanted"]);
        self.running_job("unwanted").await;
        let run = self.run("unwanted").expect("its job runs").id.to_string();
        self.people("cancel", &[run.as_str(), "--because", "nobody wants it"]);

        let run = self.end("unwanted").await;

        assert!(
            matches!(run.end, Some(End::Cancelled { .. })),
            "{:?}",
            run.end
        );
    }

    /// Batch gives a job up after ten lost hosts; then certainty is worth its price.
    async fn a_move_to_on_demand(&mut self) {
        let spec = train_only(r#"["sleep", "600"]"#, 8);
        self.push("unlucky", &spec).await;
        self.people("start", &["unlucky"]);
        for attempts in 0..MOST_ATTEMPTS {
            let job = self.until("the next attempt", |tour| {
                let mut jobs = tour.cloud.jobs().into_iter();
                let is_next = |job: &JobSnapshot| {
                    job.attempts_ended == attempts && job.status == "RUNNING" && job.on_spot
                };
                jobs.find(|job| job.job_name.starts_with("unlucky-") && is_next(job))
            });
            let job = job.await.job_id;
            let lost = self.cloud.reclaim(&job, Reclaim::WithoutNotice).await;
            lost.expect("it runs");
        }
        let on_demand = self
            .cloud
            .physical("OnDemandQueue")
            .expect("the template has it");
        self.until("a job in the other queue", |tour| {
            let queues = tour.jobs_of("unlucky");
            queues
                .iter()
                .any(|queue| on_demand.ends_with(queue.as_str()))
                .then_some(())
        })
        .await;
        let run = self
            .run("unlucky")
            .expect("its job was submitted")
            .id
            .to_string();
        self.people("cancel", &[run.as_str()]);

        let run = self.end("unlucky").await;

        assert!(
            matches!(run.end, Some(End::Cancelled { .. })),
            "{:?}",
            run.end
        );
    }

    /// Supervision knows the schedule, and makes up for a tick that did not come.
    async fn a_tick_that_nobody_delivered(&mut self) {
        self.new_data(SCHEDULED, "part-0.parquet", "third").await;
        self.sweep().await;
        let begun = Instant::now();
        while self.run(SCHEDULED).is_none() {
            assert!(begun.elapsed() < PATIENCE, "no sweep made up for a tick");
            // Until it is due there are at most `DUE_IN`.
            self.let_time_pass(SignedDuration::from_hours(2));
            self.sweep().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }

        assert_eq!(self.end(SCHEDULED).await.end, Some(End::Succeeded));
    }

    /// Whatever is in the head's place, it is no head: the function fails as often as it is tried.
    async fn a_letter_that_nobody_could_deliver(&mut self) {
        let name: PipelineName = SCHEDULED.parse().expect("a valid name");
        let head = layout::pipeline_head(&name);
        self.put(&self.results.clone(), &head, "no head".to_owned())
            .await;
        self.tick_only().await;
        let queue = self
            .cloud
            .physical("DeadLetterQueue")
            .expect("the template has it");
        let begun = Instant::now();
        while self.cloud.letters(&queue).is_empty() {
            assert!(begun.elapsed() < PATIENCE, "no letter in {queue}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn whole_run(&self, name: &str, data: &str) -> String {
        let program = self.place.program();
        format!(
            "[data]\nprefix = \"{name}/\"\n{data}\nskip_if_unchanged = true\n\
             [train]\nprogram = {program}\ngpus = 1\nvcpus = 4\nmemory_gib = 8\ntimeout = \"1h\"\nparams = {{ step_s = 0.5 }}\n\
             [evaluate]\nprogram = {program}\n\
             [evaluate.gate]\nmetric = \"ndcg_at_10\"\nmin_gain = 0.01\n\
             [recommend]\nprogram = {program}\nshards = 2\n\
             [gather]\nprogram = {program}\n"
        )
    }

    async fn put(&self, bucket: &str, key: &str, body: String) {
        let put = self
            .store
            .put(bucket, key, body.into_bytes(), Condition::Always);
        put.await.expect("the cloud takes it");
    }

    async fn push(&self, name: &str, spec: &str) {
        let parsed: PipelineName = name.parse().expect("a valid name");
        let text = format!(
            "name = \"{name}\"\noverlap = \"queue\"\nwithin = \"48h\"\n{spec}\n\
             [notify]\non = [\"failed\", \"succeeded\", \"kept_champion\", \"moved\", \"skipped\", \"late\", \
             \"cancelled\", \"at_risk\"]\n"
        );
        self.put(&self.results, &layout::pipeline_spec(&parsed), text)
            .await;
    }

    async fn new_data(&self, name: &str, file: &str, content: &str) {
        self.put(&self.data, &format!("{name}/{file}"), content.to_owned())
            .await;
    }

    /// As a person types it.
    fn people(&self, command: &str, arguments: &[&str]) {
        let variable = |name: &str, id: &str| {
            (
                name.to_owned(),
                self.cloud.physical(id).expect("the template has it"),
            )
        };
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(self.place.binary("trainspot"))
            .arg(command)
            .args(arguments)
            .current_dir(&self.folder)
            .envs(self.cloud.sdk_environment())
            .envs([
                variable("TRAINSPOT_RESULTS_BUCKET", "ResultsBucket"),
                variable("TRAINSPOT_SUBMIT_FUNCTION", "SubmitTrainingFunction"),
                variable("TRAINSPOT_SUPERVISE_FUNCTION", "SuperviseRunsFunction"),
            ])
            .output()
            .expect("it starts");
        let (told, complaint) = (
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr),
        );
        assert!(
            status.success(),
            "{command} {arguments:?}: {told}{complaint}"
        );
    }

    /// The next one of the pipeline that the template has a rule for, an hour later.
    async fn tick(&mut self) {
        self.let_time_pass(SignedDuration::from_hours(1));
        self.tick_only().await;
    }

    async fn tick_only(&self) {
        let ticked = self
            .cloud
            .deliver_tick("OnTickOfRecommender", self.now())
            .await;
        ticked.expect("the template has it");
    }

    fn now(&self) -> Timestamp {
        Timestamp::now() + self.ahead
    }

    fn let_time_pass(&mut self, time: SignedDuration) {
        self.ahead += time;
        let next = self.clock.with_extension("next");
        std::fs::write(&next, self.ahead.as_secs().to_string()).expect("writable");
        std::fs::rename(&next, &self.clock).expect("writable");
    }

    /// Time passes only while no job is at work: to the agent on it, it would look like a stall.
    async fn sweep(&mut self) {
        let is_at_work = |status: &str| matches!(status, "STARTING" | "RUNNING");
        if !self.cloud.jobs().iter().any(|job| is_at_work(&job.status)) {
            self.let_time_pass(SKIP);
        }
        self.swept_at = Instant::now();
        let swept = self.cloud.deliver_tick("OnSweep", self.now()).await;
        swept.expect("the template has it");
    }

    /// The pipeline's run whose end was not looked at yet.
    fn run(&mut self, pipeline: &str) -> Option<Run> {
        self.watch.look();
        let runs = self.watch.runs.values();
        let mut runs = runs.filter(|run| run.id.pipeline().as_str() == pipeline);
        runs.find(|run| !self.seen.contains(&run.id)).cloned()
    }

    /// The queues of the pipeline's jobs, array children left out.
    fn jobs_of(&self, pipeline: &str) -> Vec<String> {
        let begins = format!("{pipeline}-");
        let jobs = self.cloud.jobs().into_iter();
        let jobs =
            jobs.filter(|job| job.job_name.starts_with(&begins) && !job.job_id.contains(':'));
        jobs.map(|job| job.queue).collect()
    }

    /// A job of the pipeline that has published a step, or at least runs.
    async fn running_job(&mut self, pipeline: &str) -> String {
        let begins = format!("{pipeline}-");
        self.until("a job that runs", |tour| {
            let jobs = tour.cloud.jobs();
            let mut jobs = jobs
                .into_iter()
                .filter(|job| job.job_name.starts_with(&begins));
            jobs.find(|job| job.status == "RUNNING")
                .map(|job| job.job_id)
        })
        .await
    }

    /// How the pipeline's next run ended, when nothing of it is left to do.
    async fn end(&mut self, pipeline: &str) -> Run {
        let what = format!("the end of a run of {pipeline}");
        let run = self.until(&what, |tour| tour.run(pipeline).filter(Run::is_settled));
        let run = run.await;
        self.seen.insert(run.id.clone());
        run
    }

    async fn until<T>(&mut self, what: &str, mut seen: impl FnMut(&mut Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = seen(self) {
                return found;
            }
            let logs = self.folder.join("cloud/logs");
            assert!(
                begun.elapsed() < PATIENCE,
                "waited in vain for {what}; logs: {}",
                logs.display()
            );
            if self.swept_at.elapsed() > SWEEP_EVERY {
                self.sweep().await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn train_only(program: &str, memory_gib: u32) -> String {
    format!(
        "[train]\nprogram = {program}\ngpus = 1\nvcpus = 4\nmemory_gib = {memory_gib}\ntimeout = \"10m\"\n"
    )
}
