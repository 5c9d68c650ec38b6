//! What has come from outside so far: the notice, the host's identity.

use std::time::Duration;

use jiff::Timestamp;
use trainspot_edge::World;

use crate::host::{Happening, Host, HostIdentity};
use crate::settings::Settings;
use crate::time_left::TimeLeft;

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
#[derive(Debug)]
pub(crate) struct Heard {
    /// What a notice and a SIGTERM leave at most.
    after: (TimeLeft, TimeLeft),
    pub(crate) identity: HostIdentity,
    /// Whether the identity came since somebody last looked.
    pub(crate) has_news: bool,
    /// The first notice; what comes after it does not make the loss smaller.
    pub(crate) notice: Option<Notice>,
    pub(crate) was_terminated: bool,
    /// In the world's uptime, when the program and all shipping have to be over. Each word may make it sooner.
    pub(crate) kill_by: Option<Duration>,
    pub(crate) leave_by: Option<Duration>,
}

impl Heard {
    /// Nothing so far.
    pub(crate) fn by(settings: &Settings) -> Self {
        Self {
            after: (settings.after_notice, settings.after_sigterm),
            identity: HostIdentity::default(),
            has_news: false,
            notice: None,
            was_terminated: false,
            kill_by: None,
            leave_by: None,
        }
    }

    /// Takes a happening in. `true` if it is the first word that the attempt has to go.
    pub(crate) fn take(&mut self, happening: &Happening, world: &impl World) -> bool {
        let (after_notice, after_sigterm) = self.after;
        let was_noticed = matches!(
            self.notice,
            Some(Notice {
                kind: Kind::Spot,
                ..
            })
        );
        let (kind, left) = match happening {
            Happening::Identity(identity) => {
                self.identity = identity.clone();
                self.has_news = true;
                return false;
            }
            Happening::SpotNotice { goes_at } => {
                let goes_in = goes_at.map(|at| at.duration_since(world.now()));
                (Kind::Spot, after_notice.noticed(goes_in))
            }
            Happening::Terminate => (Kind::Sigterm, after_sigterm.terminated(was_noticed)),
            Happening::RebalanceHint | Happening::GpusBusy(_) | Happening::Forward(_) => {
                return false;
            }
        };
        self.was_terminated |= kind == Kind::Sigterm;
        self.kill_by = Some(sooner(self.kill_by, world.uptime() + left.program));
        self.leave_by = Some(sooner(self.leave_by, world.uptime() + left.shipping));
        let is_first = self.notice.is_none();
        if is_first {
            tracing::warn!("told to go: {}", kind.as_str());
            self.notice = Some(Notice {
                kind,
                at: world.now(),
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

    /// Finishes `work` unless the host goes before; then `None`. What comes meanwhile may make that sooner.
    pub(crate) async fn while_there_is_time<T>(
        &mut self,
        host: &mut impl Host,
        world: &impl World,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let leave_by = self.leave_by;
            let host_goes = async {
                match leave_by {
                    Some(at) => world.pause(at.saturating_sub(world.uptime())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                happening = host.next() => { self.take(&happening, world); }
                () = host_goes => return None,
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

fn sooner(one: Option<Duration>, other: Duration) -> Duration {
    one.map_or(other, |one| one.min(other))
}

#[cfg(test)]
mod tests {
    use trainspot_edge::world::RealWorld;

    use super::*;

    #[test]
    fn each_word_may_make_the_end_sooner_and_none_later() {
        let settings = Settings::in_folder("work".into());
        let notice = Happening::SpotNotice { goes_at: None };
        let mut heard = Heard::by(&settings);
        let in_s = |by: Option<Duration>| {
            let left = by.map(|at| at.saturating_sub(RealWorld.uptime()));
            left.map(|left| left.as_secs_f64().round())
        };
        assert_eq!((heard.kill_by, heard.leave_by), (None, None));

        assert!(heard.take(&notice, &RealWorld));
        assert_eq!(
            (in_s(heard.kill_by), in_s(heard.leave_by)),
            (Some(90.0), Some(110.0))
        );
        assert!(!heard.take(&Happening::Terminate, &RealWorld));
        assert_eq!(
            (in_s(heard.kill_by), in_s(heard.leave_by)),
            (Some(20.0), Some(27.0))
        );
        assert!(!heard.take(&notice, &RealWorld));
        assert_eq!(in_s(heard.leave_by), Some(27.0));
        assert_eq!(heard.notice.map(|first| first.kind), Some(Kind::Spot));
    }
}
