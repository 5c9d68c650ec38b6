//! The hours between the program's start and its end.
//!
//! One loop hears the program, the host and the shipping at once: a notice must reach the program
//! within a second, also while gigabytes are on their way.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
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
/// Of the time that a Spot notice leaves, the rest is for shipping.
const SHARE_OF_PROGRAM: f64 = 0.75;
/// For a stuck program to say where it hangs, before it is told to end.
const FOR_STACKS: Duration = Duration::from_secs(1);
/// A killed process that does not die sits in the kernel, on a dead driver or disk: nothing that
/// the agent does will end it, but its host's end.
const FOR_DYING: Duration = Duration::from_secs(10);
/// `SIGKILL`
const KILLED: Ended = Ended::Signaled(9);

/// How the watch ended.
#[derive(Debug)]
pub(crate) struct Watched<'s, S, W> {
    pub(crate) shipper: Shipper<'s, S, W>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) ended: Ended,
    pub(crate) stop: Option<Stop>,
}

type Swept<'s, S, W> = (Shipper<'s, S, W>, Result<(), AgentError>);

/// The shipper at rest, or on its way with everything it needs.
enum Shipping<'s, S, W> {
    Idle(Option<Box<Shipper<'s, S, W>>>),
    Busy(Pin<Box<dyn Future<Output = Swept<'s, S, W>> + Send + 's>>),
}

impl<'s, S: Store, W: World> Shipping<'s, S, W> {
    /// Never ends while the shipper is at rest. May be dropped and called again.
    async fn swept(&mut self) -> Swept<'s, S, W> {
        match self {
            Self::Busy(sweep) => sweep.await,
            Self::Idle(_) => std::future::pending().await,
        }
    }

    fn start(&mut self, record: Option<AttemptRecord>) {
        let Self::Idle(shipper) = self else { return };
        let Some(shipper) = shipper.take() else {
            return;
        };
        *self = Self::Busy(Box::pin(sweep(*shipper, record)));
    }
}

async fn sweep<S: Store, W: World>(
    mut shipper: Shipper<'_, S, W>,
    record: Option<AttemptRecord>,
) -> Swept<'_, S, W> {
    let outcome = sweep_once(&mut shipper, record).await;
    (shipper, outcome)
}

/// Without patience: the next sweep is the next try.
async fn sweep_once<S: Store, W: World>(
    shipper: &mut Shipper<'_, S, W>,
    record: Option<AttemptRecord>,
) -> Result<(), AgentError> {
    shipper.ship_live(Duration::ZERO, false).await?;
    shipper.ship_checkpoint(Duration::ZERO).await?;
    match record {
        Some(record) => shipper.ship_record(&record).await,
        None => Ok(()),
    }
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
    let mut shipping = Shipping::Idle(Some(Box::new(shipper)));
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
    };
    // Whatever else comes, however often.
    let mut tick_at = now + settings.sweep_every;
    let ended = loop {
        tokio::select! {
            biased;
            ended = program.ended() => break ended,
            happening = host.next() => watch.hear(&happening, program, world),
            (shipper, outcome) = shipping.swept() => {
                watch.swept(shipper.last_published(), outcome, program, world.uptime());
                shipping = Shipping::Idle(Some(Box::new(shipper)));
            }
            () = world.pause(tick_at.saturating_sub(world.uptime())) => {
                tick_at = world.uptime() + settings.sweep_every;
                if watch.tick(program, world.uptime()) {
                    break Ok(KILLED);
                }
            }
        }
        let now = world.uptime();
        if now >= watch.sweep_at && watch.stop.is_none() {
            shipping.start(watch.record_if_due(program, world));
        }
    };
    let ended = ended.map_err(|source| AgentError::Local {
        what: "wait for the program".to_owned(),
        source,
    })?;
    watch.heartbeat.look(world.uptime());
    watch.account.ended = Some(ended);
    watch.account.progress = watch.heartbeat.latest().cloned();
    let shipper = match shipping {
        Shipping::Idle(shipper) => shipper.map(|shipper| *shipper),
        Shipping::Busy(sweep) => {
            let (shipper, outcome) = watch
                .account
                .heard
                .while_finishing(host, world, sweep)
                .await;
            watch.swept(shipper.last_published(), outcome, program, world.uptime());
            Some(shipper)
        }
    };
    let Some(shipper) = shipper else {
        unreachable!("a shipper is either at rest or on its way");
    };
    let Watch {
        heartbeat, stop, ..
    } = watch;
    Ok(Watched {
        shipper,
        heartbeat,
        ended,
        stop,
    })
}

impl Watch<'_> {
    fn hear(&mut self, happening: &Happening, program: &mut impl Program, world: &impl World) {
        let now = world.uptime();
        let is_first = self.account.heard.take(happening, world);
        let grace = match happening {
            Happening::SpotNotice { goes_at } => {
                let goes_in = goes_at.map(|at| at.duration_since(world.now()));
                grace_after_notice(goes_in, self.settings)
            }
            Happening::Terminate => self.settings.grace_after_sigterm,
            Happening::RebalanceHint => {
                self.has_hint = true;
                return self.hint(program);
            }
            Happening::GpusBusy(busy) => return self.idleness.take(busy, now),
            Happening::Forward(signal) => return program.signal(*signal),
            Happening::Identity(_) => return,
        };
        if is_first {
            self.account.published_at_notice = self.account.published_step;
            program.signal(Signal::Terminate);
        }
        self.kill_by(now, grace);
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
            Ok(()) => {}
            // The program goes on: an hour of its work is worth more than a minute's answer.
            Err(error) if error.may_pass() => {
                tracing::warn!("could not ship, tried again soon: {}", error.sentence());
                self.sweep_at = now + NEXT_TRY;
            }
            Err(error) if error.is_missing_file() => {
                tracing::info!(
                    "a file went away meanwhile, tried again: {}",
                    error.sentence()
                );
            }
            Err(error) => {
                tracing::error!("stopping the program: {}", error.sentence());
                self.end(Stop::GaveUp(error), program, now);
            }
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
        self.kill_by(now, grace);
    }

    /// Only ever earlier.
    fn kill_by(&mut self, now: Duration, grace: Duration) {
        let at = now.saturating_add(grace);
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
        let has_news = std::mem::take(&mut self.account.heard.has_news);
        if !has_news && now.saturating_sub(self.recorded_at) < RECORD_EVERY {
            return None;
        }
        self.recorded_at = now;
        Some(self.account.running(world.now(), program.log_tail()))
    }
}

/// How long the program may take after a Spot notice. A host whose clock is wrong must not kill it
/// at once: it has as long as after a SIGTERM, whatever the notice's time says.
fn grace_after_notice(goes_in: Option<SignedDuration>, settings: &Settings) -> Duration {
    let share = goes_in.map(|time| {
        Duration::try_from(time)
            .unwrap_or_default()
            .mul_f64(SHARE_OF_PROGRAM)
    });
    share
        .unwrap_or(Duration::MAX)
        .max(settings.grace_after_sigterm)
        .min(settings.grace_after_notice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_leaves_most_of_its_time_whatever_the_clock_says() {
        let settings = Settings::in_folder("work".into());
        let grace = |goes_in_s: Option<i64>| {
            let goes_in = goes_in_s.map(SignedDuration::from_secs);
            grace_after_notice(goes_in, &settings).as_secs()
        };

        assert_eq!(grace(None), 90);
        assert_eq!(grace(Some(120)), 90);
        assert_eq!(grace(Some(100)), 75);
        assert_eq!(grace(Some(5)), 20);
        assert_eq!(grace(Some(-3_600)), 20);
        assert_eq!(grace(Some(86_400)), 90);
    }
}
