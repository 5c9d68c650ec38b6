//! One attempt from its start to its exit code.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use futures::FutureExt;
use trainspot_edge::store::{Condition, StoreError};
use trainspot_edge::{Store, World};
use trainspot_shared::attempt::AttemptOutcome;

use crate::account::{Account, Moment};
use crate::assignment::Assignment;
use crate::bound;
use crate::ending::{Ending, Next, Stop, after_program};
use crate::error::AgentError;
use crate::exit_code;
use crate::fetch;
use crate::folder;
use crate::heard::Heard;
use crate::heartbeat::final_step;
use crate::host::Host;
use crate::patience::patiently;
use crate::place::{self, Arrival, Seat};
use crate::program::{Program, Signal};
use crate::settings::Settings;
use crate::shipper::{Shipper, write_record};
use crate::unread::Unread;
use crate::watch::{Watched, watch};
use crate::workplace::Workplace;

/// Works one attempt and answers the code to exit with. Everything it decides is in the log, and in
/// the attempt's record as soon as the job document could be read.
pub async fn work<S: Store, W: World>(
    store: &S,
    world: &W,
    settings: &Settings,
    assignment: &Assignment,
    program: &mut impl Program,
    host: &mut impl Host,
) -> u8 {
    if settings.ignore_heads {
        tracing::warn!(
            "TRAINSPOT_TEST_IGNORE_HEADS is set: publishing whatever the heads say, for tests only"
        );
    }
    let mut heard = Heard::by(settings);
    let started = Moment::now(world);
    let (bucket, key) = (assignment.bucket.as_str(), assignment.job_key.as_str());
    let read = fetch::job(store, world, settings.patience, bucket, key);
    let opened = match heard.unless_told_to_go(host, world, read).await {
        Some(job) => job
            .and_then(|job| Ok((place::shard(&job, assignment)?, job)))
            .map_err(|error| Ending::of_error(&error)),
        None => Err(Ending::preempted(false)),
    };
    let (shard, job) = match opened {
        Ok(opened) => opened,
        Err(ending) => {
            let unread = Unread {
                assignment,
                started_at: started.at,
                heard,
                ending,
            };
            return unread.close(store, world, settings, host).await;
        }
    };
    let seat = Seat::of(&job, assignment, shard, settings.ignore_heads);
    let mut account = Account::open(
        job,
        assignment,
        shard,
        started,
        heard,
        settings.secrets.clone(),
    );
    let mut attempt = Attempt {
        store,
        world,
        settings,
        seat: &seat,
        came_in: false,
        workplace: None,
    };

    let run = Box::pin(attempt.run(&mut account, program, host));
    // A bug in here is no reason to leave no record: what was seen so far tells what happened.
    let ending = match AssertUnwindSafe(run).catch_unwind().await {
        Ok(ending) => ending.unwrap_or_else(|error| Ending::of_error(&error)),
        Err(panic) => {
            program.signal(Signal::Kill);
            Ending::failed(
                exit_code::BUG,
                format!("a bug in the agent: {}", said(&*panic)),
            )
        }
    };
    account.log_tail = program.log_tail();
    let code = attempt.close(&mut account, &ending, host).await;
    if settings.linger && account.heard.notice.is_some() {
        tracing::info!("waiting for SIGTERM, so that this host takes no other job");
        account.heard.linger(host, world).await;
    }
    code
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked")
}

struct Attempt<'a, S, W> {
    store: &'a S,
    world: &'a W,
    settings: &'a Settings,
    seat: &'a Seat,
    /// Whether the heads let it in.
    came_in: bool,
    workplace: Option<Workplace>,
}

impl<'a, S: Store, W: World> Attempt<'a, S, W> {
    async fn run(
        &mut self,
        account: &mut Account,
        program: &mut impl Program,
        host: &mut impl Host,
    ) -> Result<Ending, AgentError> {
        let (store, world, settings) = (self.store, self.world, self.settings);
        let take = {
            let (seat, job, shard) = (self.seat, account.job().clone(), account.shard());
            async move {
                patiently(world, settings.patience, || {
                    seat.take(store, world, &job, shard)
                })
                .await
            }
        };
        let checkpoint = match account.heard.unless_told_to_go(host, world, take).await {
            None => return Ok(Ending::preempted(false)),
            Some(arrival) => match arrival? {
                Arrival::Work(checkpoint) => checkpoint,
                Arrival::AlreadyDone => {
                    return Ok(Ending::of(AttemptOutcome::AlreadyDone, exit_code::DONE));
                }
                Arrival::NotOwner(why) => {
                    return Err(AgentError::NotOwner(why.to_owned()));
                }
            },
        };
        self.came_in = true;
        let record = account.running(world.now(), Vec::new());
        let workplace = Workplace::make(&settings.work_dir, self.seat, &world.draw())?;
        let prepared = {
            let prepare = workplace.fill(
                (store, world),
                settings.patience,
                self.seat,
                account.job().clone(),
                checkpoint.as_ref(),
            );
            let record = write_record(
                store,
                world,
                settings.patience,
                self.seat,
                &record,
                Condition::Always,
            );
            let both = async move {
                record.await?;
                prepare.await
            };
            account.heard.unless_told_to_go(host, world, both).await
        };
        let launch = workplace.launch(account.job(), account.shard(), &settings.program);
        let (checkpoint_dir, output_dir) =
            (workplace.checkpoints.clone(), workplace.output.clone());
        let shipping_dir = workplace.shipping.clone();
        self.workplace = Some(workplace);
        match prepared {
            None => return Ok(Ending::preempted(false)),
            Some(restored) => account.resumed_from = restored?,
        }
        account.has_fetched(world.uptime());

        let shipper = Shipper::before_program(
            (store, world, self.seat),
            (checkpoint_dir.clone(), output_dir.clone(), shipping_dir),
        )?;
        if launch.command.is_empty() {
            return Err(AgentError::Configuration(
                "there is no program to run".to_owned(),
            ));
        }
        if let Err(error) = program.start(&launch).await {
            let name = launch.command.first().map_or("", String::as_str);
            return Ok(Ending::failed(
                bound::code_of(&error),
                format!("run `{name}`: {error}"),
            ));
        }
        account.program_started_at = Some(world.now());
        let watched = watch(
            world,
            settings,
            account,
            (&mut *program, &mut *host),
            shipper,
            (&output_dir, &checkpoint_dir),
        )
        .await;
        program.sweep_up().await;
        account.read_failure(&output_dir);
        self.finish(account, watched?, &output_dir, host).await
    }

    /// After the program's end.
    async fn finish(
        &self,
        account: &mut Account,
        watched: Watched<'a, S, W>,
        output_dir: &Path,
        host: &mut impl Host,
    ) -> Result<Ending, AgentError> {
        let Watched {
            mut shipper,
            recording,
            heartbeat,
            ended,
            stop,
            was_noticed,
        } = watched;
        let declares =
            self.settings.contract || account.failure.is_some() || heartbeat.latest().is_some();
        let next = after_program(ended, stop.as_ref(), was_noticed, declares);
        let gave_up = match stop {
            Some(Stop::GaveUp(error)) => Some(error),
            Some(Stop::Stalled(_)) | None => None,
        };
        let step = final_step(output_dir, &heartbeat);
        let shipped = match (gave_up, &mut shipper) {
            (Some(error), _) => Some(Err(error)),
            (None, Some(shipper)) => {
                let last = self.ship(next, shipper, step);
                account
                    .heard
                    .while_there_is_time(host, self.world, last)
                    .await
            }
            (None, None) => None,
        };
        let is_shipped = shipped.is_some();
        if !is_shipped {
            tracing::error!("the host goes before the last of it is shipped");
        }
        let published = shipper.and_then(|shipper| shipper.last_published());
        if let Some((step, _)) = published {
            account.published_step = Some(step);
        }
        // It must not come after the closing one; what became of it is of no more interest.
        let _ = account
            .heard
            .while_there_is_time(host, self.world, recording.rest())
            .await;
        shipped.unwrap_or(Ok(()))?;
        Ok(match next {
            Next::PublishOutput if is_shipped => Ending::of(AttemptOutcome::Done, exit_code::DONE),
            // By the steps: a host's clock may be set back meanwhile.
            Next::PublishOutput | Next::Preempted => Ending::preempted(
                account.published_step.is_some()
                    && account.published_step != account.published_at_notice,
            ),
            Next::Leave => unreachable!("somebody gave up, and that error is answered before"),
            Next::Failed(code) => Ending::of(AttemptOutcome::Failed, code),
            Next::Stalled(why) => Ending::failed(exit_code::STALLED, why.sentence()),
        })
    }

    /// Ships what the program left, as far as it can be. An error changes the attempt's end.
    async fn ship(
        &self,
        next: Next,
        shipper: &mut Shipper<'a, S, W>,
        step: u64,
    ) -> Result<(), AgentError> {
        let patience = self.settings.patience;
        if next == Next::PublishOutput {
            return shipper.publish_output(patience, step).await;
        }
        let (patience, outcome) = shipper.ship_last(patience).await;
        if let Err(error) = outcome {
            if is_final(&error) {
                return Err(error);
            }
            tracing::error!("could not ship the last of it: {}", error.sentence());
        }
        if next != Next::Preempted
            && let Err(error) = shipper.ship_remains(patience).await
        {
            tracing::error!("could not ship what the program left: {}", error.sentence());
        }
        Ok(())
    }

    /// Writes the record, whatever happened, and answers the code to exit with.
    async fn close(&self, account: &mut Account, ending: &Ending, host: &mut impl Host) -> u8 {
        let why = ending.error.as_deref().unwrap_or("as the record says");
        tracing::info!("{:?}, exit {}: {why}", ending.outcome, ending.exit_code);
        let record = account.closed(self.world.now(), ending);
        let condition = if self.came_in {
            Condition::Always
        } else {
            Condition::Absent
        };
        let write = write_record(
            self.store,
            self.world,
            self.settings.patience,
            self.seat,
            &record,
            condition,
        );
        let written = account.heard.while_finishing(host, self.world, write).await;
        if let Some(workplace) = &self.workplace
            && let Err(error) = folder::remove(&workplace.own)
        {
            tracing::warn!("could not clean up: {}", error.sentence());
        }
        match written {
            Ok(()) => ending.exit_code,
            Err(error) => {
                tracing::error!("could not write the attempt's record: {}", error.sentence());
                // What is published is published, whether it is on record or not.
                if ending.outcome == AttemptOutcome::Failed {
                    exit_code::of_error(&error)
                } else {
                    ending.exit_code
                }
            }
        }
    }
}

/// Whether an error at the end changes the end: somebody else's stage, or no permission.
fn is_final(error: &AgentError) -> bool {
    matches!(
        error,
        AgentError::NotOwner(_) | AgentError::Store(StoreError::Denied { .. })
    )
}
