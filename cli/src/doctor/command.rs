//! Runs the `aws` command: no shell, several at a time, each with a time limit.

use std::collections::BTreeMap;
use std::io::{ErrorKind, IsTerminal as _};
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::process::Command;

use super::call::{Answer, Call, Gap};

/// One takes about a second, nearly all of it Python's start; more at a time would only fill the cores.
const AT_A_TIME: usize = 8;
const PROGRAM: &str = "aws";

/// The `aws` command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aws {
    /// For one call.
    pub(crate) time_limit: Duration,
}

/// What came of many calls.
#[derive(Debug, Default)]
pub(crate) struct Answers(BTreeMap<Call, Answer>);

impl Answers {
    /// Of a call that was made; of one that was not, that nothing came.
    pub(crate) fn of(&self, call: &Call) -> Answer {
        self.0.get(call).cloned().unwrap_or(Answer::Failed {
            why: "it was not asked".to_owned(),
        })
    }
}

impl Aws {
    /// One call.
    pub(crate) async fn ask(self, call: &Call) -> Answer {
        let mut command = Command::new(PROGRAM);
        command
            .args(call.words())
            // Version 2 would wait in a pager.
            .env("AWS_PAGER", "")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        match tokio::time::timeout(self.time_limit, command.output()).await {
            Err(_) => Answer::TimedOut {
                seconds: self.time_limit.as_secs(),
            },
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
                Answer::Unreachable(Gap::NoProgram)
            }
            Ok(Err(error)) => Answer::Unreachable(Gap::NotStarted(error.to_string())),
            Ok(Ok(done)) => call.read(done.status.success(), &done.stdout, &done.stderr),
        }
    }

    /// Many calls, with their progress on stderr.
    pub(crate) async fn ask_all(self, mut calls: Vec<Call>) -> Answers {
        calls.sort();
        calls.dedup();
        let bar = bar(calls.len());
        let asked = futures::stream::iter(calls)
            .map(|call| async move {
                let answer = self.ask(&call).await;
                (call, answer)
            })
            .buffer_unordered(AT_A_TIME)
            .inspect(|_| bar.inc(1));
        let answers = Answers(asked.collect().await);
        bar.finish_and_clear();
        answers
    }
}

/// A bar on a terminal, one line on a pipe.
fn bar(n_calls: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        if n_calls > 0 {
            eprintln!("asking AWS {n_calls} questions");
        }
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(n_calls as u64);
    let style = ProgressStyle::with_template("asking AWS {wide_bar} {pos} of {len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
