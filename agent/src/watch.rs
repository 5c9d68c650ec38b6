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

use crate::account::Account;
use crate::ending::Stop;
use crate::error::AgentError;
use crate::heartbeat::Heartbeat;
use crate::host::{Happening, Host};
use crate::patience::between;
use crate::program::{Ended, Program, Signal};
use crate::settings::Settings;
use crate::shipper::Shipper;

/// After the store was out of reach.
const NEXT_TRY: Duration = Duration::from_secs(5);
/// The record of a running attempt is for people who look; a PUT a minute is enough.
const RECORD_EVERY: Duration = Duration::from_mins(1);
/// Of the time that a Spot notice leaves, the rest is for shipping.
const SHARE_OF_PROGRAM: f64 = 0.75;

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
    Idle(Option<Shipper<'s, S, W>>),
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
        *self = Self::Busy(Box::pin(sweep(shipper, record)));
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
    stop: Option<Stop>,
    kill_at: Option<Timestamp>,
    sweep_at: Timestamp,
    recorded_at: Timestamp,
}

/// Watches a started program until it ends; ships and publishes meanwhile.
pub(crate) async fn watch<'s, S: Store, W: World>(
    world: &W,
    settings: &Settings,
    account: &mut Account,
    (program, host): (&mut impl Program, &mut impl Host),
    shipper: Shipper<'s, S, W>,
    output_dir: &Path,
) -> Result<Watched<'s, S, W>, AgentError> {
    let now = world.now();
    let mut shipping = Shipping::Idle(Some(shipper));
    let mut watch = Watch {
        settings,
        account,
        heartbeat: Heartbeat::of(output_dir),
        stop: None,
        kill_at: None,
        sweep_at: now,
        recorded_at: now,
    };
    let ended = loop {
        tokio::select! {
            biased;
            ended = program.ended() => break ended,
            happening = host.next() => watch.hear(&happening, program, world.now()),
            (shipper, outcome) = shipping.swept() => {
                watch.swept(shipper.last_published(), outcome, program, world.now());
                shipping = Shipping::Idle(Some(shipper));
            }
            () = world.pause(settings.sweep_every) => {
                watch.tick(program, world.now());
            }
        }
        let now = world.now();
        if now >= watch.sweep_at && watch.stop.is_none() {
            shipping.start(watch.record_if_due(program, now));
        }
    };
    let ended = ended.map_err(|source| AgentError::Local {
        what: "wait for the program".to_owned(),
        source,
    })?;
    watch.heartbeat.look(world.now());
    watch.account.ended = Some(ended);
    watch.account.progress = watch.heartbeat.latest().cloned();
    let shipper = match shipping {
        Shipping::Idle(shipper) => shipper,
        Shipping::Busy(sweep) => {
            let (shipper, outcome) = watch
                .account
                .heard
                .while_finishing(host, world, sweep)
                .await;
            watch.swept(shipper.last_published(), outcome, program, world.now());
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
    fn hear(&mut self, happening: &Happening, program: &mut impl Program, now: Timestamp) {
        let is_first = self.account.heard.take(happening, now);
        let grace = match happening {
            Happening::SpotNotice { goes_at } => {
                let left = goes_at.map(|at| between(now, at).mul_f64(SHARE_OF_PROGRAM));
                left.unwrap_or(Duration::MAX)
                    .min(self.settings.grace_after_notice)
            }
            Happening::Terminate => self.settings.grace_after_sigterm,
            Happening::RebalanceHint => return self.hint(program),
            Happening::Forward(signal) => return program.signal(*signal),
            Happening::Identity(_) => return,
        };
        if is_first {
            program.signal(Signal::Terminate);
        }
        self.kill_by(now, grace);
    }

    /// A program that does not know the contract may die of the signal.
    fn hint(&self, program: &mut impl Program) {
        if self.settings.contract || self.heartbeat.latest().is_some() {
            tracing::info!("a rebalance hint: checkpoint now and go on");
            program.signal(Signal::Checkpoint);
        } else {
            tracing::info!("a rebalance hint, but the program does not declare the contract");
        }
    }

    fn swept(
        &mut self,
        last_published: Option<(u64, Timestamp)>,
        outcome: Result<(), AgentError>,
        program: &mut impl Program,
        now: Timestamp,
    ) {
        if let Some((step, _)) = last_published {
            self.account.published_step = Some(step);
        }
        self.sweep_at = now.checked_add(self.settings.sweep_every).unwrap_or(now);
        match outcome {
            Ok(()) => {}
            // The program goes on: an hour of its work is worth more than a minute's answer.
            Err(error) if error.may_pass() => {
                tracing::warn!("could not ship, tried again soon: {}", error.sentence());
                self.sweep_at = now.checked_add(NEXT_TRY).unwrap_or(now);
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

    fn tick(&mut self, program: &mut impl Program, now: Timestamp) {
        self.heartbeat.look(now);
        self.account.progress = self.heartbeat.latest().cloned();
        if self.kill_at.is_some_and(|at| now >= at) {
            tracing::warn!("the program took too long to end and is killed");
            program.signal(Signal::Kill);
            self.kill_at = None;
        }
        let is_watched = self.stop.is_none() && self.account.heard.notice.is_none();
        if is_watched && self.heartbeat.is_stalled(now, self.settings.stall_after) {
            tracing::error!(
                "no progress for {} s: stopping the program",
                self.settings.stall_after.as_secs()
            );
            self.end(Stop::Stalled, program, now);
        }
    }

    fn end(&mut self, stop: Stop, program: &mut impl Program, now: Timestamp) {
        if self.account.heard.notice.is_none() {
            program.signal(Signal::Terminate);
        }
        // Whoever may not work must not be asked again why.
        if !matches!(self.stop, Some(Stop::GaveUp(_))) {
            self.stop = Some(stop);
        }
        self.kill_by(now, self.settings.grace_after_stop);
    }

    /// Only ever earlier.
    fn kill_by(&mut self, now: Timestamp, grace: Duration) {
        let at = now.checked_add(grace).unwrap_or(Timestamp::MAX);
        self.kill_at = Some(self.kill_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn record_if_due(&mut self, program: &impl Program, now: Timestamp) -> Option<AttemptRecord> {
        let has_news = std::mem::take(&mut self.account.heard.has_news);
        if !has_news && between(self.recorded_at, now) < RECORD_EVERY {
            return None;
        }
        self.recorded_at = now;
        Some(self.account.running(now, program.log_tail()))
    }
}
