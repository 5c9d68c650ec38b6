//! `trainspot local serve`: keeps a local cloud running over a folder until Ctrl-C.

use std::fmt::Write as _;
use std::path::Path;

use tokio::sync::broadcast::error::RecvError;

use crate::local::chaos::ChaosArguments;
use crate::local::cloud::{Local, Parts};
use crate::local::narrator::Narrator;
use crate::local::tick::SUBMIT_TRAINING;
use crate::problem::{Exit, Problem};
use crate::results::BUCKET_VARIABLE;
use crate::{ask, cancel, output, redrive};

/// The template's name of the function that people ask to end a run.
const SUPERVISE_RUNS: &str = "SuperviseRunsFunction";
/// And of the queue that keeps what was given up.
const DEAD_LETTERS: &str = "DeadLetterQueue";

/// The command. Schedules fire by the wall clock, as they would in the cloud.
pub(crate) async fn serve(
    parts: &Parts,
    folder: &Path,
    port: u16,
    gbps: Option<f64>,
    chaos: &ChaosArguments,
) -> anyhow::Result<()> {
    parts.check(&[])?;
    let chaos = chaos.read()?;
    let bytes_per_s = gbps.map(bytes_per_s).transpose()?;
    let local = Local::start(parts, folder, port, |settings| {
        settings.fire_schedules = true;
        settings.chaos = chaos;
        settings.bytes_per_s = bytes_per_s;
    })
    .await?;
    output::print(&greeting(&local))?;
    until_interrupted(local).await
}

/// A network's speed in bytes.
fn bytes_per_s(gbps: f64) -> Result<u64, Problem> {
    const OF_A_GIGABIT: f64 = 1e9 / 8.0;
    if !(0.000_01..=1000.0).contains(&gbps) {
        let sentence = format!("`--gbps` must be between 0.00001 and 1000, received: {gbps}");
        return Err(Problem::new(Exit::Configuration, sentence));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "its range was checked above"
    )]
    Ok((gbps * OF_A_GIGABIT) as u64)
}

/// Tells what happens in the cloud, and stops it at Ctrl-C.
pub(crate) async fn until_interrupted(local: Local) -> anyhow::Result<()> {
    let narrator = Narrator::new();
    let mut happenings = local.cloud.happenings();
    loop {
        tokio::select! {
            happening = happenings.recv() => match happening {
                Ok(happening) => narrator.tell(&happening),
                Err(RecvError::Lagged(n)) => narrator.line(&format!("({n} happenings were too fast to show)")),
                Err(RecvError::Closed) => break,
            },
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                narrator.line("stopping: jobs that run are lost, as with their hosts");
                break;
            }
        }
    }
    local.cloud.stop().await;
    Ok(())
}

/// How to reach the cloud: what to paste into another shell.
pub(crate) fn greeting(local: &Local) -> String {
    let mut text = format!(
        "local cloud at {} over {}\n",
        local.cloud.endpoint_url(),
        local.folder.display()
    );
    let mut export = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "export {name}={value}");
    };
    for (name, value) in local.cloud.sdk_environment() {
        export(&name, &value);
    }
    export(BUCKET_VARIABLE, &local.results);
    export("TRAINSPOT_DATA_BUCKET", &local.data);
    for (variable, logical_id) in [
        (ask::FUNCTION_VARIABLE, SUBMIT_TRAINING),
        (cancel::FUNCTION_VARIABLE, SUPERVISE_RUNS),
        (redrive::QUEUE_VARIABLE, DEAD_LETTERS),
    ] {
        if let Some(name) = local.cloud.physical(logical_id) {
            export(variable, &name);
        }
    }
    text.push_str("Ctrl-C ends it; what is in the folder stays.");
    text
}
