//! The container's entry point: wires the library to the machine, and nothing else.

use std::process::ExitCode;

use trainspot_agent::host::Channel;
use trainspot_agent::mask::Secrets;
use trainspot_agent::metadata::Metadata;
use trainspot_agent::nvidia::Gpus;
use trainspot_agent::process::{BOUND, Process};
use trainspot_agent::{Assignment, Settings, bound, exit_code, log_line, reaper, signals, work};
use trainspot_edge::aws::Aws;

const USAGE: &str = "usage: trainspot-agent -- [program [argument …]]";

fn main() -> ExitCode {
    if let Err(error) = log_line::begin() {
        eprintln!("trainspot-agent: no log: {error}");
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let code = match words.as_slice() {
        [BOUND, agent, "--", ..] => bound::become_program(agent, &arguments[3..]),
        [] => run(Vec::new()),
        ["--", ..] => run(arguments[1..].to_vec()),
        ["--help" | "-h"] => {
            println!("{USAGE}\nWithout a program it runs the job document's.");
            exit_code::DONE
        }
        [other, ..] => {
            tracing::error!("the program comes after `--`, received: `{other}`; {USAGE}");
            exit_code::BAD_CONFIGURATION
        }
    };
    ExitCode::from(code)
}

/// One thread: what takes long runs on threads of its own, and the program is bound to this one.
fn run(program: Vec<String>) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("start: {error}");
            return exit_code::BUG;
        }
    };
    let code = runtime.block_on(attempt(program));
    // A look at a metadata service that is not there must not hold the end up.
    runtime.shutdown_background();
    code
}

async fn attempt(program: Vec<String>) -> u8 {
    let variable = |name: &str| std::env::var(name).ok();
    let assignment = match Assignment::from_variables(variable) {
        Ok(assignment) => assignment,
        Err(error) => {
            tracing::error!("{error}");
            return exit_code::BAD_CONFIGURATION;
        }
    };
    // A variable that is no text is no secret that could be told in a line of text.
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = Settings {
        secrets: Secrets::of_variables(texts),
        ..Settings::from_variables(variable, program)
    };
    let (happenings, mut host) = Channel::open();
    let ears = signals::listen(&happenings).and_then(|()| reaper::reap_orphans());
    let awaited = match ears {
        Ok(awaited) => awaited,
        Err(error) => {
            tracing::error!("hear signals: {error}");
            return exit_code::BUG;
        }
    };
    let process = Process::new()
        .hiding(settings.secrets.clone())
        .awaited_in(awaited.clone());
    let mut process = match std::env::current_exe() {
        Ok(agent) => process.bound_to(agent),
        Err(error) => {
            tracing::warn!("a killed agent will leave the program alone: {error}");
            process
        }
    };
    if let Some(gpus) = Gpus::from_variables(variable) {
        tokio::spawn(gpus.watch(happenings.clone(), awaited));
    }
    if let Some(metadata) = Metadata::from_variables(variable) {
        tokio::spawn(metadata.watch(happenings));
    }
    let aws = Aws::for_agent().await;
    // The SDK's futures make it 60 kB; on the heap it need not be copied about.
    Box::pin(work(
        &aws,
        &aws,
        &settings,
        &assignment,
        &mut process,
        &mut host,
    ))
    .await
}
