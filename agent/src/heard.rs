//! What has come from outside so far: the notice, the host's identity.

use std::time::Duration;

use jiff::Timestamp;
use trainspot_edge::World;

use crate::host::{Happening, Host, HostIdentity};

/// Why the attempt was told to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Spot,
    Sigterm,
}

/// That the attempt was told to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) kind: Kind,
    pub(crate) at: Timestamp,
    /// The world's uptime then: what is left of the host's time is counted from it.
    pub(crate) uptime: Duration,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot_notice",
            Self::Sigterm => "sigterm",
        }
    }
}

/// All that was heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) identity: HostIdentity,
    /// Whether the identity came since somebody last looked.
    pub(crate) has_news: bool,
    /// The first notice; what comes after it does not make the loss smaller.
    pub(crate) notice: Option<Notice>,
    pub(crate) was_terminated: bool,
}

impl Heard {
    /// Takes a happening in. `true` if it is the first word that the attempt has to go.
    pub(crate) fn take(&mut self, happening: &Happening, world: &impl World) -> bool {
        let kind = match happening {
            Happening::Identity(identity) => {
                self.identity = identity.clone();
                self.has_news = true;
                return false;
            }
            Happening::SpotNotice { .. } => Kind::Spot,
            Happening::Terminate => Kind::Sigterm,
            Happening::RebalanceHint | Happening::GpusBusy(_) | Happening::Forward(_) => {
                return false;
            }
        };
        self.was_terminated |= kind == Kind::Sigterm;
        let is_first = self.notice.is_none();
        if is_first {
            tracing::warn!("told to go: {}", kind.as_str());
            self.notice = Some(Notice {
                kind,
                at: world.now(),
                uptime: world.uptime(),
            });
            self.has_news = true;
        }
        is_first
    }

    /// Finishes `work`, whatever comes meanwhile.
    pub(crate) async fn while_finishing<T>(
        &mut self,
        host: &mut impl Host,
        world: &impl World,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                happening = host.next() => { self.take(&happening, world); }
            }
        }
    }

    /// Does `work` unless the attempt is told to go first; then `None`.
    pub(crate) async fn unless_told_to_go<T>(
        &mut self,
        host: &mut impl Host,
        world: &impl World,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        while self.notice.is_none() {
            tokio::select! {
                biased;
                happening = host.next() => { self.take(&happening, world); }
                done = &mut work => return Some(done),
            }
        }
        None
    }

    /// After a Spot notice: waits for the SIGTERM that the dying host sends.
    pub(crate) async fn linger(&mut self, host: &mut impl Host, world: &impl World) {
        while !self.was_terminated {
            let happening = host.next().await;
            self.take(&happening, world);
        }
    }
}
