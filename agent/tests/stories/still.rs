//! Programs that stand still, programs that do not die, and clocks that jump.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use trainspot_agent::host::{Channel, Happening};
use trainspot_agent::program::{Ended, Launch, Program, Signal};
use trainspot_agent::work;
use trainspot_edge::World;
use trainspot_shared::identity::Stage;

use crate::bench::{Bench, count, shell, until};

/// Waiting takes no time, and the host's clock is set to and fro by hours all the while.
#[derive(Clone, Default)]
struct Jumping {
    uptime_ms: Arc<AtomicU64>,
    asked: Arc<AtomicI64>,
}

impl World for Jumping {
    fn now(&self) -> Timestamp {
        let hours =
            [0, 5, -7, 1][usize::try_from(self.asked.fetch_add(1, Ordering::SeqCst) % 4).unwrap()];
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(500_000 + hours)
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.uptime_ms.load(Ordering::SeqCst))
    }

    fn draw(&self) -> String {
        trainspot_edge::world::RealWorld.draw()
    }

    fn chance(&self) -> f64 {
        0.5
    }

    async fn pause(&self, duration: Duration) {
        // The store's threads need a moment of the real time.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let ms = u64::try_from(duration.as_millis()).unwrap();
        self.uptime_ms.fetch_add(ms.max(1), Ordering::SeqCst);
    }

    fn print(&self, _: &str) {}
}

/// A step every second; deaf to everything, even to SIGKILL, once it is told to go.
struct Undying {
    world: Jumping,
    launch: Option<Launch>,
    steps: u64,
    step: u64,
    is_stuck: bool,
}

impl Program for Undying {
    async fn start(&mut self, launch: &Launch) -> io::Result<()> {
        self.launch = Some(launch.clone());
        Ok(())
    }

    async fn ended(&mut self) -> io::Result<Ended> {
        let begun = self.world.uptime();
        while !self.is_stuck && self.step < self.steps {
            self.world.pause(Duration::from_millis(100)).await;
            if self.world.uptime().saturating_sub(begun) >= Duration::from_millis(100) {
                self.step += 1;
                let launch = self.launch.as_ref().unwrap();
                let progress = format!(r#"{{"step":{}}}"#, self.step);
                std::fs::write(launch.output_dir.join("progress.json"), progress)?;
                std::fs::create_dir(launch.checkpoint_dir.join(self.step.to_string()))?;
            }
        }
        if self.is_stuck {
            std::future::pending::<()>().await;
        }
        Ok(Ended::Exited(0))
    }

    fn signal(&mut self, _: Signal) {
        self.is_stuck = true;
    }

    async fn sweep_up(&mut self) {}

    fn log_tail(&self) -> Vec<String> {
        Vec::new()
    }
}

async fn work_by(world: &Jumping, bench: &Bench, steps: u64, told: Option<Happening>) -> u8 {
    bench.put_job();
    let mut settings = trainspot_agent::Settings::in_folder(bench.settings.work_dir.clone());
    settings.sweep_every = Duration::from_secs(1);
    let (sender, mut host) = Channel::open();
    let mut program = Undying {
        world: world.clone(),
        launch: None,
        steps,
        step: 0,
        is_stuck: false,
    };
    let assignment = bench.assignment("job", 1);
    let attempt = work(
        &bench.store,
        world,
        &settings,
        &assignment,
        &mut program,
        &mut host,
    );
    let teller = async {
        if let Some(happening) = told {
            until("it works", || bench.published_step().is_some()).await;
            sender.send(happening).unwrap();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        code = attempt => code,
        () = teller => unreachable!("the teller waits for ever"),
    }
}

#[tokio::test]
async fn a_clock_that_jumps_stalls_nothing_and_holds_nothing_up() {
    let bench = Bench::train(vec!["counts".to_owned()]);
    let world = Jumping::default();

    let code = work_by(&world, &bench, 300, None).await;

    assert_eq!(code, 0, "{:?}", bench.record(1));
    assert!(bench.published_step().is_some());
}

#[tokio::test]
async fn a_program_that_no_signal_ends_does_not_hold_the_attempt_up() {
    let bench = Bench::train(vec!["counts".to_owned()]);
    let world = Jumping::default();

    let code = work_by(&world, &bench, u64::MAX, Some(Happening::Terminate)).await;

    assert!([75, 76].contains(&code), "{code}");
    assert_eq!(bench.record(1).program_signal, Some(9));
}

#[tokio::test]
async fn an_idle_gpu_while_training_is_a_stall() {
    let mut bench = Bench::train(count(100_000, 10, ""));
    bench.settings.gpu_idle_after = Duration::from_millis(300);
    let attempt = bench.start("job", 1);
    until("it trains", || bench.published_step().is_some()).await;
    attempt.tell(Happening::GpusBusy(vec![0, 0]));

    let code = attempt.code().await;

    assert_eq!(code, 74);
    assert!(
        bench
            .record(1)
            .error
            .unwrap()
            .contains("no GPU did anything")
    );
}

#[tokio::test]
async fn a_gpu_that_works_and_one_that_is_idle_elsewhere_than_in_training_are_none() {
    for (stage, busy) in [(Stage::Train, 30), (Stage::Evaluate, 0)] {
        let mut bench = Bench::of(stage, count(60, 10, ""));
        bench.settings.gpu_idle_after = Duration::from_millis(100);
        let attempt = bench.start("job", 1);
        until("it works", || bench.published_step().is_some()).await;
        attempt.tell(Happening::GpusBusy(vec![0, busy]));

        assert_eq!(attempt.code().await, 0, "{stage}");
    }
}

/// Writes one heartbeat, then hangs; what it does on a signal is the story's.
fn hangs(traps: &str) -> Vec<String> {
    shell(&format!(
        r#"{traps}; echo '{{"step":1}}' >"$TRAINSPOT_OUTPUT_DIR/progress.json"
        while :; do read -rt 0.01 <> <(:); done"#
    ))
}

#[tokio::test]
async fn a_stuck_program_may_tell_where_before_it_is_ended() {
    let mut bench = Bench::train(hangs(
        "trap 'echo stuck in the loader' QUIT; trap 'echo told to go; exit 143' TERM",
    ));
    bench.settings.stall_after = Duration::from_millis(200);

    let code = bench.run(1).await;

    assert_eq!(code, 74);
    assert_eq!(
        bench.record(1).log_tail,
        ["stuck in the loader", "told to go"]
    );
}

#[tokio::test]
async fn a_stuck_program_that_tells_nothing_may_still_save_its_work_and_is_killed_if_it_does_not_end()
 {
    let save = r#"mkdir "$TRAINSPOT_CHECKPOINT_DIR/9"; exit 143"#;
    for (traps, signal, step) in [
        (format!("trap '{save}' TERM"), None, Some(9)),
        ("trap '' TERM".to_owned(), Some(9), None),
    ] {
        let mut bench = Bench::train(hangs(&traps));
        bench.settings.stall_after = Duration::from_millis(200);

        let code = bench.run(1).await;

        assert_eq!(code, 74, "{traps}");
        assert_eq!(bench.record(1).program_signal, signal, "{traps}");
        assert_eq!(bench.published_step(), step, "{traps}");
    }
}

#[tokio::test]
async fn a_hint_that_came_before_the_first_heartbeat_is_told_with_it() {
    let bench = Bench::train(shell(
        r#"trap ': >"$TRAINSPOT_OUTPUT_DIR/hinted"' USR1; : >"$TRAINSPOT_CHECKPOINT_DIR/up"
        while [ ! -e "$TRAINSPOT_CHECKPOINT_DIR/go" ]; do read -rt 0.01 <> <(:); done
        echo '{"step":1}' >"$TRAINSPOT_OUTPUT_DIR/progress.json"
        while [ ! -e "$TRAINSPOT_OUTPUT_DIR/hinted" ]; do read -rt 0.01 <> <(:); done; exit 0"#,
    ));
    let attempt = bench.start("job", 1);
    let checkpoints = || Some(bench.leftovers().first()?.join("checkpoints"));
    until("it runs", || {
        checkpoints().is_some_and(|folder| folder.join("up").exists())
    })
    .await;
    attempt.tell(Happening::RebalanceHint);
    std::fs::write(checkpoints().unwrap().join("go"), "").unwrap();

    assert_eq!(attempt.code().await, 0);
}
