//! Gives this process an environment in which the AWS clients find its own local cloud.
//!
//! The clients are those that the functions use, and they read endpoint and credentials from the
//! environment. A running process must not change its environment, so the command replaces itself by
//! itself, with the address that its local cloud will take. Nothing is done before that.

use std::ffi::OsString;
use std::io::Error;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::problem::{Exit, Problem};

/// Holds the port that was chosen, and how often one was.
const PORT_VARIABLE: &str = "TRAINSPOT_LOCAL_PORT";
const TRIES_VARIABLE: &str = "TRAINSPOT_LOCAL_TRIES";
/// A free port may be taken by somebody else before the cloud takes it; so often in a row it is not chance.
const TRIES: u32 = 5;

/// The port that this process' clients look at. On the first call it does not come back: the process
/// begins anew with such a port.
pub(crate) fn settle() -> anyhow::Result<u16> {
    match chosen() {
        Some(port) => Ok(port),
        None => Err(begin_anew(0)),
    }
}

/// The chosen port was taken by somebody else: begins anew with another one.
pub(crate) fn choose_again() -> anyhow::Error {
    let tries = std::env::var(TRIES_VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    if tries < TRIES {
        return begin_anew(tries + 1);
    }
    Problem::new(
        Exit::InUse,
        format!("no free port on 127.0.0.1 in {TRIES} tries"),
    )
    .into()
}

fn chosen() -> Option<u16> {
    let port: u16 = std::env::var(PORT_VARIABLE).ok()?.parse().ok()?;
    let endpoint = std::env::var("AWS_ENDPOINT_URL").ok()?;
    (endpoint == url(port)).then_some(port)
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn begin_anew(tries: u32) -> anyhow::Error {
    match replaced(tries) {
        Ok(error) => anyhow::Error::new(error)
            .context("start this command again with its local cloud's address"),
        Err(error) => error,
    }
}

/// Comes back only with an error.
fn replaced(tries: u32) -> anyhow::Result<Error> {
    let listener =
        TcpListener::bind(("127.0.0.1", 0)).context("look for a free port on 127.0.0.1")?;
    let port = listener
        .local_addr()
        .context("look for a free port on 127.0.0.1")?
        .port();
    drop(listener);
    let mut command =
        Command::new(std::env::current_exe().context("find this command's own file")?);
    command.args(std::env::args_os().skip(1));
    // A profile, an endpoint for one service or a session token from the shell would lead elsewhere.
    let from_shell = std::env::vars_os().map(|(name, _)| name).filter(is_aws);
    for name in from_shell {
        command.env_remove(name);
    }
    let environment = [
        ("AWS_ENDPOINT_URL", url(port)),
        ("AWS_REGION", "us-east-1".to_owned()),
        // Nobody checks them; without any, the clients would look for some.
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        (PORT_VARIABLE, port.to_string()),
        (TRIES_VARIABLE, tries.to_string()),
    ];
    Ok(command.envs(environment).exec())
}

fn is_aws(name: &OsString) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("AWS_"))
}
