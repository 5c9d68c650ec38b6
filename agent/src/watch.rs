//! The hours between the program's start and its end.
//!
//! One loop hears the program, the host and the shipping at once: a notice must reach the program
//! within a second, also while gigabytes are on their way.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use trainspot_edge::{Store, World};
use trainspot_shared::attempt::AttemptRecord;
use trainspot_shared::identity::Stage;

use crate::account::Account;
use crate::ending::{Stop, Why};
use crate::error::AgentError;
use crate::gpu::Idleness;
use crate::heartbeat::Heartbeat;
use crate::host::{Happening, Host};
use crate::program::{Ended, Program, Signal};
use crate::settings::Settings;
use crate::shipper::Shipper;

/// After the store was out of reach.
const NEXT_TRY: Duration = Duration::from_secs(5);
/// The record of a running attempt is for people who look; a PUT a minute is enough.
const RECORD_EVERY: Duration = Duration::from_mins(1);
/// For a stuck program to say where it hangs, before it is told to end.
const FOR_STACKS: Duration = Duration::from_secs(1);
/// A killed process that does not die sits in the kernel, on a dead driver or disk: nothing that
/// the agent does will end it, but its host's end.
const FOR_DYING: Duration = Duration::from_secs(5);
/// `SIGKILL`
const KILLED: Ended = Ended::Signaled(9);

/// How the watch ended.
pub(crate) struct Watched<'s, S, W> {
    /// `None`: it was still on its way when the host had to go.
    pub(crate) shipper: Option<Shipper<'s, S, W>>,
    /// A record on its way; the closing one has to come after it.
    pub(crate) recording: Beside<'s, Result<(), AgentError>>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) ended: Ended,
    pub(crate) stop: Option<Stop>,
    /// Whether it was told to go before the program ended.
    pub(crate) was_noticed: bool,
}

type Swept<'s, S, W> = (Shipper<'s, S, W>, Result<(), AgentError>);

/// Something that goes on beside the watch, or nothing.
pub(crate) struct Beside<'s, T>(Option<Pin<Box<dyn Future<Output = T> + Send + 's>>>);

impl<'s, T> Beside<'s, T> {
    fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    fn start(&mut self, work: impl Future<Output = T> + Send + 's) {
        self.0 = Some(Box::pin(work));
    }

    /// Never ends while there is nothing. May be dropped and called again.
    async fn done(&mut self) -> T {
        let done = match &mut self.0 {
            Some(work) => work.await,
            None => std::future::pending().await,
        };
        self.0 = None;
        done
    }

    /// Ends at once if there is nothing.
    pub(crate) async fn rest(self) -> Option<T> {
        match self.0 {
            Some(work) => Some(work.await),
            None => None,
        }
    }
}

async fn sweep<S: Store, W: World>(mut shipper: Shipper<'_, S, W>) -> Swept<'_, S, W> {
    let outcome = sweep_once(&mut shipper).await;
    (shipper, outcome)
}

/// Without patience: the next sweep is the next try.
async fn sweep_once<S: Store, W: World>(shipper: &mut Shipper<'_, S, W>) -> Result<(), AgentError> {
    shipper.ship_live(Duration::ZERO, false).await?;
    shipper.ship_checkpoint(Duration::ZERO).await
}

/// What the loop decides by.
struct Watch<'w> {
    settings: &'w Settings,
    account: &'w mut Account,
    heartbeat: Heartbeat,
    idleness: Idleness,
    stop: Option<Stop>,
    /// A rebalance hint that the program could not be told of yet.
    has_hint: bool,
    terminate_at: Option<Duration>,
    kill_at: Option<Duration>,
    dead_at: Option<Duration>,
    sweep_at: Duration,
    recorded_at: Duration,
    record_not_before: Duration,
}

/// Watches a started program until it ends; ships and publishes meanwhile.
pub(crate) async fn watch<'s, S: Store, W: World>(
    world: &W,
    settings: &Settings,
    account: &mut Account,
    (program, host): (&mut impl Program, &mut impl Host),
    shipper: Shipper<'s, S, W>,
    (output_dir, checkpoint_dir): (&Path, &Path),
) -> Result<Watched<'s, S, W>, AgentError> {
    let now = world.uptime();
    let scribe = shipper.scribe();
    let mut at_rest = Some(shipper);
    let mut sweeping: Beside<'s, Swept<'s, S, W>> = Beside(None);
    // A sweep may take minutes: that a notice came has to be on record before.
    let mut recording = Beside(None);
    let mut watch = Watch {
        settings,
        account,
        heartbeat: Heartbeat::of(output_dir, checkpoint_dir, now),
        idleness: Idleness::default(),
        stop: None,
        has_hint: false,
        terminate_at: None,
        kill_at: None,
        dead_at: None,
        sweep_at: now,
        recorded_at: now,
        record_not_before: now,
    };
    // Whatever else comes, however often.
    let mut tick_at = now + settings.sweep_every;
    let ended = loop {
        tokio::select! {
            biased;
            ended = program.ended() => break ended,
            happening = host.next() => watch.hear(&happening, program, world),
            (shipper, outcome) = sweeping.done() => {
                watch.swept(shipper.last_published(), outcome, program, world.uptime());
                at_rest = Some(shipper);
            }
            outcome = recording.done() => watch.recorded(outcome, program, world.uptime()),
            () = world.pause(tick_at.saturating_sub(world.uptime())) => {
                tick_at = world.uptime() + settings.sweep_every;
                if watch.tick(program, world.uptime()) {
                    break Ok(KILLED);
                }
            }
        }
        let now = world.uptime();
        if watch.stop.is_some() {
            continue;
        }
        if recording.is_idle()
            && let Some(record) = watch.record_if_due(program, world)
        {
            recording.start(scribe.write(record));
        }
        if now >= watch.sweep_at
            && let Some(shipper) = at_rest.take()
        {
            sweeping.start(sweep(shipper));
        }
    };
    let was_noticed = watch.account.heard.notice.is_some();
    let ended = ended.map_err(|source| AgentError::Local {
        what: "wait for the program".to_owned(),
        source,
    })?;
    watch.heartbeat.look(world.uptime());
    watch.account.ended = Some(ended);
    watch.account.progress = watch.heartbeat.latest().cloned();
    let under_way = sweeping.rest();
    let swept = watch
        .account
        .heard
        .while_there_is_time(host, world, under_way)
        .await;
    if let Some((shipper, outcome)) = swept.flatten() {
        watch.swept(shipper.last_published(), outcome, program, world.uptime());
        at_rest = Some(shipper);
    }
    let Watch {
        heartbeat, stop, ..
    } = watch;
    Ok(Watched {
        shipper: at_rest,
        recording,
        heartbeat,
        ended,
        stop,
        was_noticed,
    })
}

impl Watch<'_> {
    fn hear(&mut self, happening: &Happening, program: &mut impl Program, world: &impl World) {
        let is_first = self.account.heard.take(happening, world);
        match happening {
            Happening::SpotNotice { .. } | Happening::Terminate => {}
            Happening::RebalanceHint => {
                self.has_hint = true;
                return self.hint(program);
            }
            Happening::GpusBusy(busy) => return self.idleness.take(busy, world.uptime()),
            Happening::Forward(signal) => return program.signal(*signal),
            Happening::Identity(_) => return,
        }
        if is_first {
            self.account.published_at_notice = self.account.published_step;
            program.signal(Signal::Terminate);
        }
        if let Some(at) = self.account.heard.kill_by {
            self.kill_by(at);
        }
    }

    /// A program that does not know the contract may die of the signal; one that has not begun to
    /// say so is told when it does.
    fn hint(&mut self, program: &mut impl Program) {
        if self.settings.contract || self.heartbeat.latest().is_some() {
            tracing::info!("a rebalance hint: checkpoint now and go on");
            program.signal(Signal::Checkpoint);
            self.has_hint = false;
        } else {
            tracing::info!("a rebalance hint, but the program does not declare the contract yet");
        }
    }

    fn swept(
        &mut self,
        last_published: Option<(u64, Timestamp)>,
        outcome: Result<(), AgentError>,
        program: &mut impl Program,
        now: Duration,
    ) {
        if let Some((step, _)) = last_published {
            self.account.published_step = Some(step);
        }
        self.sweep_at = now + self.settings.sweep_every;
        match outcome {
            Err(error) if error.is_missing_file() => {
                tracing::info!(
                    "a file went away meanwhile, tried again: {}",
                    error.sentence()
                );
            }
            Err(error) => {
                self.sweep_at = now + NEXT_TRY;
                self.not_shipped(error, program, now);
            }
            Ok(()) => {}
        }
    }

    fn recorded(
        &mut self,
        outcome: Result<(), AgentError>,
        program: &mut impl Program,
        now: Duration,
    ) {
        if let Err(error) = outcome {
            self.account.heard.has_news = true;
            self.record_not_before = now + NEXT_TRY;
            self.not_shipped(error, program, now);
        }
    }

    fn not_shipped(&mut self, error: AgentError, program: &mut impl Program, now: Duration) {
        if error.may_pass() {
            // The program goes on: an hour of its work is worth more than a minute's answer.
            tracing::warn!("could not ship, tried again soon: {}", error.sentence());
        } else {
            tracing::error!("stopping the program: {}", error.sentence());
            self.end(Stop::GaveUp(error), program, now);
        }
    }

    /// `true` if the program was killed and does not die.
    fn tick(&mut self, program: &mut impl Program, now: Duration) -> bool {
        self.heartbeat.look(now);
        self.account.progress = self.heartbeat.latest().cloned();
        if self.has_hint && self.heartbeat.latest().is_some() {
            self.hint(program);
        }
        if self.terminate_at.take_if(|at| now >= *at).is_some() {
            program.signal(Signal::Terminate);
        }
        if self.kill_at.take_if(|at| now >= *at).is_some() {
            tracing::warn!("the program took too long to end and is killed");
            program.signal(Signal::Kill);
            self.dead_at = Some(now + FOR_DYING);
        }
        if let Some(why) = self.stall(now) {
            tracing::error!("{}: stopping the program", why.sentence());
            self.end(Stop::Stalled(why), program, now);
        }
        let survives = self.dead_at.is_some_and(|at| now >= at);
        if survives {
            tracing::error!("the program was killed and does not die; going on without it");
        }
        survives
    }

    /// Why the program stands still, unless it is ending anyway.
    fn stall(&mut self, now: Duration) -> Option<Why> {
        if self.stop.is_some() || self.account.heard.notice.is_some() {
            return None;
        }
        let limit = self.settings.stall_after;
        if self.heartbeat.is_stalled(now, limit) {
            return Some(Why::NoProgress(limit));
        }
        let has_steps = self
            .heartbeat
            .latest()
            .is_some_and(|progress| progress.step > 0);
        let limit = self.settings.gpu_idle_after;
        let is_idle = self.account.job().stage == Stage::Train
            && self.idleness.lasts(has_steps, now) >= limit;
        is_idle.then_some(Why::IdleGpu(limit))
    }

    fn end(&mut self, stop: Stop, program: &mut impl Program, now: Duration) {
        let mut grace = self.settings.grace_after_stop;
        if self.account.heard.notice.is_none() {
            if matches!(stop, Stop::Stalled(_)) {
                program.signal(Signal::Stacks);
                self.terminate_at = Some(now + FOR_STACKS);
                grace += FOR_STACKS;
            } else {
                program.signal(Signal::Terminate);
            }
        }
        // Whoever may not work must not be asked again why.
        if !matches!(self.stop, Some(Stop::GaveUp(_))) {
            self.stop = Some(stop);
        }
        self.kill_by(now.saturating_add(grace));
    }

    /// Only ever earlier.
    fn kill_by(&mut self, at: Duration) {
        if self.dead_at.is_none() {
            self.kill_at = Some(self.kill_at.map_or(at, |earlier| earlier.min(at)));
        }
    }

    fn record_if_due(
        &mut self,
        program: &impl Program,
        world: &impl World,
    ) -> Option<AttemptRecord> {
        let now = world.uptime();
        let is_time =
            self.account.heard.has_news || now.saturating_sub(self.recorded_at) >= RECORD_EVERY;
        if !is_time || now < self.record_not_before {
            return None;
        }
        self.account.heard.has_news = false;
        self.recorded_at = now;
        Some(self.account.running(world.now(), program.log_tail()))
    }
}
