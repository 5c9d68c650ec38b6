//! The signals that the agent hears, as happenings.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::host::Happening;
use crate::program::Signal;

/// Listens from now on: as process 1 an unheard signal would be ignored, elsewhere it would kill.
pub fn listen(happenings: &mpsc::UnboundedSender<Happening>) -> io::Result<()> {
    let heard = [
        (SignalKind::terminate(), Happening::Terminate),
        (
            SignalKind::interrupt(),
            Happening::Forward(Signal::Interrupt),
        ),
        (SignalKind::hangup(), Happening::Forward(Signal::HangUp)),
        (
            SignalKind::user_defined1(),
            Happening::Forward(Signal::Checkpoint),
        ),
    ];
    for (kind, happening) in heard {
        let mut stream = signal(kind)?;
        let happenings = happenings.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() && happenings.send(happening.clone()).is_ok() {}
        });
    }
    Ok(())
}
