//! What comes to an agent from outside, by the week's word.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use trainspot_agent::Host;
use trainspot_agent::host::{Happening, HostIdentity};

#[derive(Debug, Default)]
struct Inbox {
    happenings: VecDeque<Happening>,
    listener: Option<Waker>,
}

/// One end for the agent, any number for the week.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Arc<Mutex<Inbox>>);

impl Line {
    /// To a host of this market, which says who it is first.
    pub(super) fn to_host(life_cycle: &str) -> Self {
        let line = Self::default();
        line.tell(Happening::Identity(HostIdentity {
            life_cycle: Some(life_cycle.to_owned()),
            instance_type: Some("g4dn.xlarge".to_owned()),
            instance_id: Some("i-0123456789abcdef0".to_owned()),
            availability_zone: Some("us-east-1a".to_owned()),
        }));
        line
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the agent.
    pub(super) fn tell(&self, happening: Happening) {
        let mut inbox = self.lock();
        inbox.happenings.push_back(happening);
        if let Some(listener) = inbox.listener.take() {
            listener.wake();
        }
    }
}

impl Host for Line {
    async fn next(&mut self) -> Happening {
        std::future::poll_fn(|context| {
            let mut inbox = self.lock();
            if let Some(happening) = inbox.happenings.pop_front() {
                return Poll::Ready(happening);
            }
            inbox.listener = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
