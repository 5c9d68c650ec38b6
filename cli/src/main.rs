//! The `trainspot` command: wires arguments to commands, and prints what went wrong, once.

mod ask;
mod cancel;
mod check;
mod clean;
mod command_line;
mod credentials;
mod demo;
mod doctor;
mod fragment;
mod function;
mod ledgers;
mod local;
mod near;
mod output;
mod parquet_footer;
mod pause;
mod problem;
mod promote;
mod push;
mod redrive;
mod results;
mod retry;
mod runs;
mod show;
mod spec_file;
mod start;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::command_line::{Command, CommandLine, LocalCommand};
use crate::pause::Turn;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    // What the libraries have to say is for those who ask; the commands speak for themselves.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("error,trainspot=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    match work(line.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => problem::report(&error),
    }
}

fn work(command: Command) -> anyhow::Result<()> {
    // Replaces the process on the first call, so it comes before there are any threads.
    let port = match &command {
        Command::Local(LocalCommand::Run(_) | LocalCommand::Demo(_)) => local::address::settle()?,
        Command::Local(LocalCommand::Serve { port, .. }) => *port,
        _ => 0,
    };
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    runtime.block_on(async {
        match command {
            Command::Check(arguments) => check::check(&arguments),
            Command::Doctor(arguments) => doctor::doctor(&arguments).await,
            Command::Fragment(arguments) => fragment::fragment(&arguments),
            Command::Push { file, bucket } => push::push(&file, bucket.bucket).await,
            Command::Runs {
                pipeline,
                limit,
                json,
                bucket,
            } => runs::runs(pipeline, bucket.bucket, limit, json).await,
            Command::Show { run, json, bucket } => show::show(&run, bucket.bucket, json).await,
            Command::Start {
                pipeline,
                force,
                asking,
                bucket,
            } => start::start(&pipeline, force, &asking, bucket.bucket).await,
            Command::Retry {
                run,
                asking,
                bucket,
            } => retry::retry(&run, &asking, bucket.bucket).await,
            Command::Cancel { arguments, bucket } => {
                cancel::cancel(&arguments, bucket.bucket).await
            }
            Command::Promote { arguments, bucket } => {
                promote::promote(&arguments, bucket.bucket).await
            }
            Command::Clean { arguments, bucket } => clean::clean(arguments, bucket.bucket).await,
            Command::Redrive(arguments) => redrive::redrive(&arguments).await,
            Command::Pause { pipeline, bucket } => {
                pause::turn(&pipeline, Turn::Pause, bucket.bucket).await
            }
            Command::Resume { pipeline, bucket } => {
                pause::turn(&pipeline, Turn::Resume, bucket.bucket).await
            }
            Command::Local(LocalCommand::Serve {
                folder,
                parts,
                gbps,
                chaos,
                ..
            }) => local::serve::serve(&parts, &folder, port, gbps, &chaos).await,
            Command::Local(LocalCommand::Run(arguments)) => {
                Box::pin(local::run::run(&arguments, port)).await
            }
            Command::Local(LocalCommand::Demo(arguments)) => {
                Box::pin(demo::demo(&arguments, port)).await
            }
        }
    })
}
